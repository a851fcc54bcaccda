//! Video as a browser sends it: 30 frames a second of several packets, a key frame when one is asked for.

use std::io;
use std::time::{Duration, Instant};

use switchyard_engine::wire::rtp::HeaderWriter;

use crate::endpoint::Endpoint;
use crate::sdp::PAYLOAD_TYPE;

pub const SSRC: u32 = 0x5157_0001;
const FRAME_INTERVAL: Duration = Duration::from_micros(33_333);
const PACKET_PAYLOAD: usize = 1150;
/// VP8 payload descriptors with and without the start of a frame, and frame headers (RFC 7741 section 4).
const KEY_FRAME: [u8; 11] = [0x10, 0x00, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
const DELTA_FRAME: [u8; 2] = [0x10, 0x01];
const CONTINUATION: [u8; 1] = [0x00];
/// Where the time stamp stands: behind the longest of these.
pub const STAMP_OFFSET: usize = 16;

/// The publishing side of one endpoint.
pub struct Publisher {
    packets_per_frame: usize,
    next_frame: Instant,
    frame: u32,
    index: u64,
    pub key_frame_wanted: bool,
    buffer: Vec<u8>,
}

impl Publisher {
    /// A publisher of so many bits a second.
    pub fn new(bits_per_second: u64, now: Instant) -> Publisher {
        let frame_bytes = bits_per_second as usize / 8 / 30;
        Publisher {
            packets_per_frame: frame_bytes.div_ceil(PACKET_PAYLOAD).max(1),
            next_frame: now,
            frame: 0,
            index: 1,
            key_frame_wanted: true,
            buffer: vec![0; 2048],
        }
    }

    /// Sends the frame that is due, if one is; `epoch` is what time stamps count from.
    pub fn drive(&mut self, endpoint: &Endpoint, now: Instant, epoch: Instant) -> io::Result<()> {
        let Some(sender) = &endpoint.sender else {
            return Ok(());
        };
        if now < self.next_frame {
            return Ok(());
        }
        self.next_frame = (self.next_frame + FRAME_INTERVAL).max(now);
        self.frame += 1;
        let key = std::mem::take(&mut self.key_frame_wanted);
        for packet in 0..self.packets_per_frame {
            let last = packet + 1 == self.packets_per_frame;
            let timestamp = self.frame * 3000;
            let sequence = self.index as u16;
            let writer = HeaderWriter::new(
                &mut self.buffer,
                last,
                PAYLOAD_TYPE,
                sequence,
                timestamp,
                SSRC,
            );
            let header = writer.finish();
            let payload = &mut self.buffer[header..header + PACKET_PAYLOAD];
            let start: &[u8] = match (packet, key) {
                (0, true) => &KEY_FRAME,
                (0, false) => &DELTA_FRAME,
                _ => &CONTINUATION,
            };
            payload[..start.len()].copy_from_slice(start);
            let stamp = epoch.elapsed().as_nanos() as u64;
            payload[STAMP_OFFSET..STAMP_OFFSET + 8].copy_from_slice(&stamp.to_be_bytes());
            let end = header + PACKET_PAYLOAD;
            let length = sender
                .protect_rtp(&mut self.buffer, end, header, self.index)
                .ok_or_else(|| io::Error::other("a packet could not be protected"))?;
            endpoint.send(&self.buffer[..length])?;
            self.index += 1;
        }
        Ok(())
    }
}
