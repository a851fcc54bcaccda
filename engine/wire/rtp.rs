//! RTP headers, RFC 3550 section 5.1, with header extensions, RFC 8285.

use super::{Malformed, read_u16, read_u32};

/// Length of the header without contributing sources and extension.
pub const FIXED_HEADER_LEN: usize = 12;
/// `defined by profile` of the one-byte form, RFC 8285 section 4.2.
const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// `defined by profile` of the two-byte form without its four application bits, RFC 8285 section 4.3.
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// What the header of an RTP packet says, and where its parts are.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 7 bits.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence_number: u16,
    /// The media timestamp.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
    /// Whether the payload ends in padding.
    pub has_padding: bool,
    /// Length of the fixed header, contributing sources and extension: where the payload starts.
    pub header_len: usize,
    /// The header extension, if there is one.
    pub extension: Option<ExtensionBlock>,
}

/// Where the elements of a header extension are.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionBlock {
    /// The 16 bits that tell the form of the elements.
    pub profile: u16,
    /// Offset of the first element in the packet.
    pub start: usize,
    /// Offset after the last element in the packet.
    pub end: usize,
}

impl Header {
    /// Reads the header of an RTP or SRTP packet.
    pub fn parse(packet: &[u8]) -> Result<Header, Malformed> {
        Self::read(packet).ok_or(Malformed)
    }

    fn read(packet: &[u8]) -> Option<Header> {
        let first = *packet.first()?;
        let second = *packet.get(1)?;
        if first >> 6 != 2 {
            return None;
        }
        let mut header_len = FIXED_HEADER_LEN + usize::from(first & 0x0f) * 4;
        let mut extension = None;
        if first & 0x10 != 0 {
            let profile = read_u16(packet, header_len)?;
            let words = read_u16(packet, header_len + 2)?;
            let start = header_len + 4;
            let end = start + usize::from(words) * 4;
            extension = Some(ExtensionBlock {
                profile,
                start,
                end,
            });
            header_len = end;
        }
        if packet.len() < header_len {
            return None;
        }
        Some(Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence_number: read_u16(packet, 2)?,
            timestamp: read_u32(packet, 4)?,
            ssrc: read_u32(packet, 8)?,
            has_padding: first & 0x20 != 0,
            header_len,
            extension,
        })
    }

    /// The header extension elements of the packet this header was parsed from; stops at a malformed one.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> Extensions<'a> {
        let nothing = Extensions {
            rest: &[],
            two_byte: false,
        };
        let Some(block) = self.extension else {
            return nothing;
        };
        let two_byte = match block.profile {
            ONE_BYTE_PROFILE => false,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => true,
            _ => return nothing,
        };
        Extensions {
            rest: packet.get(block.start..block.end).unwrap_or(&[]),
            two_byte,
        }
    }

    /// The payload of a plaintext packet, without its padding.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let payload = packet.get(self.header_len..).ok_or(Malformed)?;
        if !self.has_padding {
            return Ok(payload);
        }
        let padding = usize::from(*payload.last().ok_or(Malformed)?);
        if padding == 0 {
            return Err(Malformed);
        }
        let end = payload.len().checked_sub(padding).ok_or(Malformed)?;
        payload.get(..end).ok_or(Malformed)
    }
}

/// Iterator over `(id, value)` of header extension elements, RFC 8285 sections 4.2 and 4.3.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    fn read(&mut self) -> Option<(u8, &'a [u8])> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, len, body) = if self.two_byte {
            let [id, len, body @ ..] = self.rest else {
                return None;
            };
            (*id, usize::from(*len), body)
        } else {
            let [first, body @ ..] = self.rest else {
                return None;
            };
            // Identifier 15 ends processing; 0 with a length is not padding but reserved.
            if matches!(first >> 4, 0 | 15) {
                return None;
            }
            (first >> 4, usize::from(first & 0x0f) + 1, body)
        };
        let (value, rest) = body.split_at_checked(len)?;
        self.rest = rest;
        Some((id, value))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.read();
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

/// Writes an RTP header into a buffer of at least 256 bytes.
#[derive(Debug)]
pub struct HeaderWriter<'a> {
    buffer: &'a mut [u8],
    /// Where the next element goes.
    at: usize,
    two_byte: bool,
}

impl<'a> HeaderWriter<'a> {
    /// Writes the fixed header; the buffer must hold at least that.
    pub fn new(
        buffer: &'a mut [u8],
        marker: bool,
        payload_type: u8,
        sequence_number: u16,
        timestamp: u32,
        ssrc: u32,
    ) -> Self {
        let mut fixed = [0; FIXED_HEADER_LEN];
        fixed[0] = 0x80;
        fixed[1] = (u8::from(marker) << 7) | (payload_type & 0x7f);
        fixed[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&ssrc.to_be_bytes());
        buffer[..FIXED_HEADER_LEN].copy_from_slice(&fixed);
        Self {
            buffer,
            at: FIXED_HEADER_LEN + 4,
            two_byte: false,
        }
    }

    /// Selects the two-byte form; to be called before the first element.
    pub fn two_byte(&mut self) {
        self.two_byte = true;
    }

    /// Appends an element and gives its value as written, to be changed in place; skipped, and nothing, when the
    /// form cannot represent it or the buffer has no room.
    ///
    /// Always inlined: most callers know the length, and then it is a few stores.
    #[inline(always)]
    pub fn extension(&mut self, id: u8, value: &[u8]) -> &mut [u8] {
        let representable = if self.two_byte {
            id != 0 && value.len() <= 255
        } else {
            matches!(id, 1..=14) && matches!(value.len(), 1..=16)
        };
        if !representable {
            return &mut [];
        }
        let prefix = 1 + usize::from(self.two_byte);
        let start = self.at + prefix;
        let end = start + value.len();
        if end.next_multiple_of(4) > self.buffer.len() {
            return &mut [];
        }
        if self.two_byte {
            self.buffer[self.at] = id;
            self.buffer[self.at + 1] = value.len() as u8;
        } else {
            self.buffer[self.at] = (id << 4) | (value.len() - 1) as u8;
        }
        self.buffer[start..end].copy_from_slice(value);
        self.at = end;
        &mut self.buffer[start..end]
    }

    /// Completes the header and returns its length; there is no extension when no element was written.
    #[inline]
    pub fn finish(mut self) -> usize {
        let start = FIXED_HEADER_LEN + 4;
        if self.at == start {
            return FIXED_HEADER_LEN;
        }
        while !self.at.is_multiple_of(4) {
            self.buffer[self.at] = 0;
            self.at += 1;
        }
        let end = self.at;
        self.buffer[0] |= 0x10;
        let profile = if self.two_byte {
            TWO_BYTE_PROFILE
        } else {
            ONE_BYTE_PROFILE
        };
        let words = ((end - start) / 4) as u16;
        self.buffer[FIXED_HEADER_LEN..FIXED_HEADER_LEN + 2].copy_from_slice(&profile.to_be_bytes());
        self.buffer[FIXED_HEADER_LEN + 2..start].copy_from_slice(&words.to_be_bytes());
        end
    }
}

#[cfg(test)]
mod tests;
