//! What the engine needs to know of codecs: where a stream can be joined, and what can be left out of it.

mod av1;
pub mod dependency_descriptor;
mod h264;
mod h265;
pub mod layer;
mod layer_reader;
mod picture_numbers;
pub mod red;
pub mod ulpfec;
mod vp8;
mod vp9;

pub use layer_reader::LayerReader;
pub use picture_numbers::{PictureNumbers, PictureOffsets, picture_numbers, renumber};

/// A codec that is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, RFC 7587.
    Opus,
    /// G.711 µ-law, RFC 3551 section 4.5.14.
    Pcmu,
    /// G.711 A-law, RFC 3551 section 4.5.14.
    Pcma,
    /// Redundant audio, RFC 2198.
    Red,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// H.264, RFC 6184.
    H264,
    /// H.265, RFC 7798.
    H265,
    /// AV1, the RTP payload format of the Alliance for Open Media.
    Av1,
    /// RED of video, RFC 2198: a packet of one of the others, or its protection.
    VideoRed,
    /// Forward error correction, RFC 5109.
    UlpFec,
}

impl Codec {
    /// Whether its payload is a picture's or a sound's, not something around one.
    pub fn is_media(self) -> bool {
        !matches!(self, Codec::VideoRed | Codec::UlpFec)
    }
}

/// Whether a receiver can begin to decode at the packet with this payload; always true of audio.
pub fn starts_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Red => true,
        Codec::Vp8 => vp8::starts_key_frame(payload),
        Codec::Vp9 => vp9::starts_key_frame(payload),
        Codec::H264 => h264::starts_key_frame(payload),
        Codec::H265 => h265::starts_key_frame(payload),
        Codec::Av1 => av1::starts_key_frame(payload),
        Codec::VideoRed | Codec::UlpFec => false,
    }
}

/// Iterates over the units of an aggregation packet, each after a length of 16 bits; stops at a malformed one.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, body) = rest.split_first_chunk::<2>()?;
        let (unit, after) = body.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests;
