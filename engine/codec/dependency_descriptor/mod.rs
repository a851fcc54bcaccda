//! The dependency descriptor of the AV1 RTP specification (appendix A), which Chromium sends with every video
//! codec: all that can be read of a frame whose payload is encrypted end to end.

mod bits;
mod structure;

pub use structure::{Structure, place};

/// Bytes of the mandatory part: start and end of frame, template, frame number.
const MANDATORY_LEN: usize = 3;

/// The frame's number, which counts modulo 2^16.
#[inline]
pub fn frame_number(descriptor: &[u8]) -> Option<u16> {
    let number = descriptor.get(1..MANDATORY_LEN)?;
    Some(u16::from_be_bytes([number[0], number[1]]))
}

/// Adds to the frame's number, in place.
pub fn renumber(descriptor: &mut [u8], offset: u16) {
    if let Some(number) = frame_number(descriptor) {
        let number = number.wrapping_add(offset);
        descriptor[1..MANDATORY_LEN].copy_from_slice(&number.to_be_bytes());
    }
}

/// Whether the packet begins a frame that brings the structure of those to come: a receiver can join here.
pub fn starts_key_frame(descriptor: &[u8]) -> bool {
    let starts_frame = descriptor.first().is_some_and(|first| first & 0x80 != 0);
    let has_structure = descriptor
        .get(MANDATORY_LEN)
        .is_some_and(|flags| flags & 0x80 != 0);
    starts_frame && has_structure
}

#[cfg(test)]
pub(crate) mod tests;
