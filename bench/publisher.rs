//! Media as a browser sends it: 30 video frames a second of several packets, or 50 small audio packets.

use std::io;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::packets::{Packets, Start};
use crate::sdp::TRANSPORT_EXTENSION;
use crate::sockets;

const VIDEO_INTERVAL: Duration = Duration::from_micros(33_333);
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// While sessions connect, which a busy server would only slow down.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);
const MAX_PAYLOAD: usize = 1150;
/// Opus at 40 kbit/s.
const AUDIO_PAYLOAD: usize = 100;
const MAX_FRAME: usize = 64 * MAX_PAYLOAD;
/// Frame headers of VP8 (RFC 6386 section 9.1): the key frame's is of a shown frame of 1280 by 720.
const KEY_FRAME: [u8; 10] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
const DELTA_FRAME: [u8; 3] = [0x11, 0, 0];
/// A descriptor and the longest of these.
const MAX_START: usize = 14;
/// A packet's last bytes are its time stamp: servers may change a descriptor's length, which comes first.
pub const STAMP: usize = 8;

/// What a publisher sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Audio,
    Video { bits: u64 },
}

/// The publishing side of one endpoint.
pub struct Publisher {
    media: Media,
    next_frame: Instant,
    frame: u32,
    packets: Packets,
    /// Sends at its full rate.
    pub is_active: bool,
    pub key_frame_wanted: bool,
    /// Packets sent so far.
    pub sent: u64,
    /// Between two audio packets.
    pub audio_interval: Duration,
    /// Between two frames while it is not active.
    pub idle_interval: Duration,
}

impl Publisher {
    /// The publisher of an endpoint, whose first frame is due at `first`. Those of many do not send their large frames at
    /// the same time.
    pub fn new(index: usize, media: Media, first: Instant) -> Publisher {
        Publisher {
            media,
            next_frame: first,
            frame: index as u32 * 7,
            packets: Packets::new(Publisher::ssrc(index)),
            is_active: false,
            key_frame_wanted: true,
            sent: 0,
            audio_interval: AUDIO_INTERVAL,
            idle_interval: IDLE_INTERVAL,
        }
    }

    pub fn ssrc(index: usize) -> u32 {
        0x5157_0000 + index as u32
    }

    /// Sends nothing for so long.
    pub fn pause(&mut self, now: Instant, time: Duration) {
        self.next_frame = now + time;
    }

    /// Sends at its full rate, in its place among so many.
    pub fn begin(&mut self, now: Instant, place: u32, of: u32) {
        self.is_active = true;
        self.next_frame = now + self.interval() * place / of;
    }

    /// When its next frame is due.
    pub fn next_frame(&self) -> Instant {
        self.next_frame
    }

    /// Between two frames.
    fn interval(&self) -> Duration {
        match (self.is_active, self.media) {
            (false, _) => self.idle_interval,
            (true, Media::Audio) => self.audio_interval,
            (true, Media::Video { .. }) => VIDEO_INTERVAL,
        }
    }

    /// Sends the frame that is due, if one is; gives by how much it is late.
    pub fn drive(&mut self, endpoint: &Endpoint, now: Instant) -> io::Result<Option<Duration>> {
        if endpoint.sender.is_none() || now < self.next_frame {
            return Ok(None);
        }
        let late = now - self.next_frame;
        // Behind time, frames are late, not skipped; far behind they begin anew.
        self.next_frame += self.interval();
        if self.next_frame + Duration::from_secs(1) < now {
            self.next_frame = now;
        }
        self.frame += 1;
        let key = std::mem::take(&mut self.key_frame_wanted);
        let (packets, base, longer) = self.sizes(key);
        for packet in 0..packets {
            let size = base + usize::from(packet >= packets - longer);
            let mut start = [0; MAX_START];
            if self.media != Media::Audio {
                vp8(&mut start, packet == 0, key, self.frame);
            }
            self.packet(packet + 1 == packets, size, &start, endpoint)?;
        }
        Ok(Some(late))
    }

    /// How libwebrtc cuts a frame: packets of one length, the last ones a byte longer where it does not come out even.
    /// Frames differ in length around the mean.
    fn sizes(&self, key: bool) -> (usize, usize, usize) {
        let Media::Video { bits } = self.media else {
            return (1, AUDIO_PAYLOAD, 0);
        };
        let mean = bits as usize / 8 / 30;
        let varied = mean * (75 + self.frame as usize * 37 % 51) / 100;
        let bytes = if key { 3 * mean } else { varied }.clamp(64, MAX_FRAME);
        let packets = bytes.div_ceil(MAX_PAYLOAD);
        (packets, bytes / packets, bytes % packets)
    }

    fn packet(
        &mut self,
        marker: bool,
        size: usize,
        start: &[u8],
        endpoint: &Endpoint,
    ) -> io::Result<()> {
        let clock = match self.media {
            Media::Audio => self.audio_interval.as_millis() as u32 * 48,
            Media::Video { .. } => 3000,
        };
        let number = self.packets.sequence_number().to_be_bytes();
        let header = Start {
            marker,
            timestamp: self.frame.wrapping_mul(clock),
            extension: Some((TRANSPORT_EXTENSION, &number)),
        };
        self.packets.send(endpoint, &header, size, |payload| {
            payload[..start.len()].copy_from_slice(start);
            let stamp = sockets::clock().as_nanos() as u64;
            payload[size - STAMP..].copy_from_slice(&stamp.to_be_bytes());
        })?;
        self.sent += 1;
        Ok(())
    }
}

/// The payload descriptor with a picture ID of 15 bits (RFC 7741 section 4.2), as libwebrtc writes it, and at the start
/// of a frame its header.
fn vp8(payload: &mut [u8; MAX_START], starts: bool, key: bool, picture: u32) {
    let [high, low] = (picture as u16 | 0x8000).to_be_bytes();
    payload[..4].copy_from_slice(&[0x80 | u8::from(starts) << 4, 0x80, high, low]);
    match (starts, key) {
        (true, true) => payload[4..14].copy_from_slice(&KEY_FRAME),
        (true, false) => payload[4..7].copy_from_slice(&DELTA_FRAME),
        (false, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_vary_around_the_rate_and_are_cut_evenly() {
        let media = Media::Video { bits: 2_500_000 };
        let mut publisher = Publisher::new(0, media, Instant::now());
        let mut bytes = 0;
        for _ in 0..510 {
            publisher.frame += 1;
            let (packets, base, longer) = publisher.sizes(false);
            assert!(longer < packets && base + usize::from(longer > 0) <= MAX_PAYLOAD);
            bytes += packets * base + longer;
        }
        let mean = bytes / 510;
        assert!((10_300..10_500).contains(&mean), "{mean} bytes a frame");
        assert!(publisher.sizes(true).0 > 2 * publisher.sizes(false).0);
    }
}
