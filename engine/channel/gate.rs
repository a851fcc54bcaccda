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
const SACK_WINDOW: usize = COMMON_HEADER + 8;
/// Chunks that may wait for a missing one.
const MAX_HELD: usize = 16_384;

/// What the association holds for the peer, as far as it can be seen from outside.
pub struct Gate {
    remote_port: u16,
    local_port: u16,
    window: u32,
    held: usize,
}

impl Gate {
    /// `window` is what we offer when nothing is held, in bytes.
    pub fn new(remote_port: u16, local_port: u16, window: u32) -> Gate {
        Gate {
            remote_port,
            local_port,
            window,
            held: 0,
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
        while let Some(&[kind, _, high, low]) = chunks.first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 4 || length > chunks.len() {
                return Err(Rejected);
            }
            if kind == DATA {
                check_data(&chunks[..length])?;
                data += 1;
            }
            let next = length.next_multiple_of(4).min(chunks.len());
            chunks = &chunks[next..];
        }
        if data > 0 && self.held + data > MAX_HELD {
            return Err(Rejected);
        }
        self.held += data;
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
        if let Some(&window) = packet
            .get(SACK_WINDOW..)
            .and_then(|rest| rest.first_chunk::<4>())
        {
            let bytes = self.window.saturating_sub(u32::from_be_bytes(window));
            self.held = self.held.min(bytes as usize);
        }
    }
}

/// RFC 9260 section 3.3.1.
fn check_data(chunk: &[u8]) -> Result<(), Rejected> {
    let payload = chunk.len().checked_sub(DATA_HEADER).ok_or(Rejected)?;
    let stream = u16::from_be_bytes([chunk[8], chunk[9]]);
    if payload == 0 || stream >= STREAMS {
        return Err(Rejected);
    }
    Ok(())
}
