//! Participants of a call: each sends audio and a video that decoders take, in as many encodings as wished.

use std::io;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::packets::{Packets, Start};
use crate::publisher::RIDS;
use crate::sdp::{self, Kind, MID, Own, RID_EXTENSION, Sending};

const AUDIO: &str = "microphone";
const VIDEO: &str = "camera";
/// More make no sense of three pictures.
pub const MAX_ENCODINGS: usize = RIDS.len();
const FRAMES_PER_SECOND: u32 = 25;
const MAX_PAYLOAD: usize = 1100;
/// Of a packet of audio: 20 ms at 32 kbit/s.
const AUDIO_PAYLOAD: usize = 80;
/// Opus: one frame of 20 ms, full band (RFC 6716 section 3.1), of silence.
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
/// Grey squares of 96, 64 and 32 pixels in VP8, each with a picture that changes nothing. Decoders pass over what follows.
const PICTURES: [(&[u8], &[u8]); MAX_ENCODINGS] = [
    (
        &[
            0xf0, 0x03, 0x00, 0x9d, 0x01, 0x2a, 0x60, 0x00, 0x60, 0x00, 0x01, 0x07, 0x08, 0x85,
            0x85, 0x88, 0x99, 0x84, 0x88, 0x06, 0x82, 0x00, 0x06, 0x19, 0xc1, 0x34, 0x0b, 0x24,
            0xfb, 0x5e, 0xdc, 0xd9, 0x39, 0xc3, 0xd9, 0x39, 0xc3, 0xd9, 0x39, 0x70, 0x00, 0x00,
        ],
        &[
            0xf1, 0x01, 0x00, 0x05, 0x10, 0xb0, 0x00, 0x18, 0x00, 0x18, 0x58, 0x2f, 0xf4, 0x00,
            0x08, 0x85, 0x66, 0x00, 0x00,
        ],
    ),
    (
        &[
            0xf0, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x00, 0x40, 0x00, 0x00, 0x47, 0x08, 0x85,
            0x85, 0x88, 0x99, 0x84, 0x88, 0x01, 0xa2, 0x10, 0x00, 0x30, 0xce, 0x09, 0xa0, 0x59,
            0x27, 0xda, 0xf6, 0xa8, 0x00, 0x00,
        ],
        &[
            0xd1, 0x01, 0x00, 0x02, 0x10, 0x44, 0x00, 0x18, 0x00, 0x18, 0x58, 0x2f, 0xf4, 0x00,
            0x08, 0x8e, 0x80, 0x00,
        ],
    ),
    (
        &[
            0x50, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x20, 0x00, 0x20, 0x00, 0x00, 0x07, 0x08, 0x85,
            0x85, 0x88, 0x99, 0x84, 0x88, 0x01, 0x24, 0x10, 0x00, 0x30, 0xce, 0x09, 0x10, 0x00,
            0x00,
        ],
        &[
            0xd1, 0x01, 0x00, 0x00, 0x10, 0x09, 0x20, 0x00, 0xc0, 0x00, 0xc2, 0xc1, 0x7f, 0xa0,
            0x00, 0x43, 0x80, 0x00,
        ],
    ),
];
/// Start of a partition, and within one (RFC 7741 section 4.2).
const BEGINS: u8 = 0x10;
const CONTINUES: u8 = 0x00;

/// The tracks of a participant, whose video has encodings of so many bit/s.
pub fn tracks(participant: u32, bits: &[u64], now: Instant) -> [(&'static str, Vec<Stream>); 2] {
    let ssrc = first_ssrc(participant);
    // Those of many do not come in step.
    let first = now + Duration::from_micros(u64::from(participant) * 7919 % 40_000);
    let videos = bits.iter().enumerate().zip(ssrc + 1..);
    let encodings = videos.map(|((place, &bits), ssrc)| {
        let encoding = Encoding {
            rid: RIDS[place],
            bits,
            pictures: PICTURES[place],
        };
        Stream::new(ssrc, Some(encoding), first)
    });
    [
        (AUDIO, vec![Stream::new(ssrc, None, first)]),
        (VIDEO, encodings.collect()),
    ]
}

fn first_ssrc(participant: u32) -> u32 {
    0x5358_0000 + participant * 4
}

/// An offer of one of them.
pub fn offer(own: &Own<'_>, name: &str, participant: u32, encodings: usize) -> String {
    let (kind, rids) = match name {
        AUDIO => (Kind::Audio, &[][..]),
        _ => (Kind::Video, &RIDS[..encodings]),
    };
    let line = Sending {
        mid: MID,
        kind,
        ssrc: first_ssrc(participant),
        rids,
        repeats: false,
    };
    sdp::offer(own, &[line])
}

/// One encoding of a video.
struct Encoding {
    rid: &'static str,
    bits: u64,
    /// A key frame, and one that needs it.
    pictures: (&'static [u8], &'static [u8]),
}

/// What one SSRC sends: audio, or an encoding.
pub struct Stream {
    pub ssrc: u32,
    encoding: Option<Encoding>,
    next: Instant,
    packets: Packets,
    frame: u32,
    key_frame_wanted: bool,
}

impl Stream {
    fn new(ssrc: u32, encoding: Option<Encoding>, next: Instant) -> Stream {
        let kind = match encoding {
            None => Kind::Audio,
            Some(_) => Kind::Video,
        };
        Stream {
            ssrc,
            next,
            packets: Packets::new(ssrc, kind, MID),
            encoding,
            frame: 0,
            key_frame_wanted: true,
        }
    }

    /// The next frame is to be a key frame.
    pub fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// Sends what is due.
    pub fn drive(&mut self, endpoint: &Endpoint, now: Instant) -> io::Result<()> {
        if endpoint.sender.is_none() || now < self.next {
            return Ok(());
        }
        let interval = match self.encoding {
            None => Duration::from_millis(20),
            Some(_) => Duration::from_secs(1) / FRAMES_PER_SECOND,
        };
        self.next += interval;
        if self.next + Duration::from_secs(1) < now {
            self.next = now;
        }
        self.frame += 1;
        let Some(encoding) = &self.encoding else {
            return self.packet(true, &SILENCE, AUDIO_PAYLOAD, endpoint);
        };
        let key = std::mem::take(&mut self.key_frame_wanted);
        let bytes = frame_length(encoding.bits, self.frame, key);
        let packets = bytes.div_ceil(MAX_PAYLOAD);
        let (key_frame, delta_frame) = encoding.pictures;
        let first = [&[BEGINS][..], if key { key_frame } else { delta_frame }].concat();
        for packet in 0..packets {
            let start = if packet == 0 {
                &first[..]
            } else {
                &[CONTINUES]
            };
            self.packet(packet + 1 == packets, start, bytes / packets, endpoint)?;
        }
        Ok(())
    }

    fn packet(
        &mut self,
        marker: bool,
        start: &[u8],
        size: usize,
        endpoint: &Endpoint,
    ) -> io::Result<()> {
        let clock = match self.encoding {
            None => 960,
            Some(_) => 90_000 / FRAMES_PER_SECOND,
        };
        let rid = (self.encoding.as_ref()).map(|encoding| (RID_EXTENSION, encoding.rid.as_bytes()));
        let header = Start {
            marker,
            timestamp: self.frame.wrapping_mul(clock),
            extensions: rid.as_slice(),
        };
        let size = size.max(start.len());
        self.packets.send(endpoint, &header, size, |payload| {
            payload.fill(0);
            payload[..start.len()].copy_from_slice(start);
        })
    }
}

/// Frames differ as an encoder's do: from 0.6 to 1.4 of the mean, and key frames three times it.
fn frame_length(bits: u64, frame: u32, key: bool) -> usize {
    let mean = bits as usize / 8 / FRAMES_PER_SECOND as usize;
    if key {
        3 * mean
    } else {
        mean * (6 + frame as usize * 7 % 9) / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_rate_of_their_encoding() {
        let bytes: usize = (0..900)
            .map(|frame| frame_length(1_000_000, frame, false))
            .sum();
        let rate = bytes as f64 * 8.0 * f64::from(FRAMES_PER_SECOND) / 900.0;
        assert!((0.98e6..1.02e6).contains(&rate), "{rate}");
    }
}
