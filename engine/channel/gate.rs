//! Looks at an SCTP packet before the association does: ports, streams, and what a packet may cost.
//!
//! The association counts the bytes that it holds. A peer that sends fragments of one byte, or never the
//! message that all others wait for, would make it hold far more than those bytes.

use super::{Rejected, STREAMS};

pub const COMMON_HEADER: usize = 12;
const DATA_HEADER: usize = 16;
const DATA: u8 = 0;
const SACK: u8 = 3;
/// Of a SACK: header, cumulative TSN, then the window (RFC 9260 section 3.3.4).
const SACK_TSN: usize = COMMON_HEADER + 4;
/// Chunks that may wait to be read.
const MAX_HELD: usize = 16_384;
/// Of those, what may wait for a missing one. It needs room when it comes: else nothing that waits is ever read.
const MAX_AHEAD: usize = MAX_HELD / 2;

/// What the association holds for the peer, as far as it can be seen from outside.
pub struct Gate {
    remote_port: u16,
    local_port: u16,
    window: u32,
    held: usize,
    /// The TSN that goes on where nothing is missing; none before our first SACK.
    expected: Option<u32>,
}

impl Gate {
    /// `window` is what we offer when nothing is held, in bytes.
    pub fn new(remote_port: u16, local_port: u16, window: u32) -> Gate {
        Gate {
            remote_port,
            local_port,
            window,
            held: 0,
            expected: None,
        }
    }

    /// Whether the association may see the packet (RFC 9260 section 3).
    pub fn check(&mut self, packet: &[u8]) -> Result<(), Rejected> {
        let ports = packet.first_chunk::<4>().ok_or(Rejected)?;
        let source = u16::from_be_bytes([ports[0], ports[1]]);
        let destination = u16::from_be_bytes([ports[2], ports[3]]);
        if source != self.remote_port || destination != self.local_port {
            return Err(Rejected);
        }
        let mut chunks = packet.get(COMMON_HEADER..).ok_or(Rejected)?;
        let mut data = 0;
        let mut limit = MAX_HELD;
        let mut expected = self.expected;
        while let Some(&[kind, _, high, low]) = chunks.first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 4 || length > chunks.len() {
                return Err(Rejected);
            }
            if kind == DATA {
                let tsn = check_data(&chunks[..length])?;
                match expected.map(|next| tsn.wrapping_sub(next).cast_signed()) {
                    Some(..0) => {}
                    Some(1..) => {
                        limit = MAX_AHEAD;
                        data += 1;
                    }
                    Some(0) | None => {
                        expected = expected.map(|next| next.wrapping_add(1));
                        data += 1;
                    }
                }
            }
            let next = length.next_multiple_of(4).min(chunks.len());
            chunks = &chunks[next..];
        }
        if data > 0 && self.held + data > limit {
            return Err(Rejected);
        }
        self.held += data;
        self.expected = expected;
        Ok(())
    }

    /// A message of so many chunks was read.
    pub fn read(&mut self, chunks: usize) {
        self.held = self.held.saturating_sub(chunks);
    }

    /// Looks at a packet of ours: its window tells how many bytes are held, and no chunk has less than one.
    /// So what was counted twice or skipped by the peer is forgotten.
    pub fn sent(&mut self, packet: &[u8]) {
        if packet.get(COMMON_HEADER) != Some(&SACK) {
            return;
        }
        let Some(&[a, b, c, d, e, f, g, h]) = packet
            .get(SACK_TSN..)
            .and_then(|rest| rest.first_chunk::<8>())
        else {
            return;
        };
        let next = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
        if (self.expected).is_none_or(|expected| next.wrapping_sub(expected).cast_signed() > 0) {
            self.expected = Some(next);
        }
        let bytes = self.window.saturating_sub(u32::from_be_bytes([e, f, g, h]));
        self.held = self.held.min(bytes as usize);
    }
}

/// The TSN (RFC 9260 section 3.3.1).
fn check_data(chunk: &[u8]) -> Result<u32, Rejected> {
    let payload = chunk.len().checked_sub(DATA_HEADER).ok_or(Rejected)?;
    let stream = u16::from_be_bytes([chunk[8], chunk[9]]);
    if payload == 0 || stream >= STREAMS {
        return Err(Rejected);
    }
    Ok(u32::from_be_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]))
}
