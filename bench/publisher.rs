//! Media as a browser sends it: video frames of several packets, in one encoding or in three, or small audio packets.

use std::io;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::packets::{Packets, Start};
use crate::sdp::{Kind, RID_EXTENSION, Sending, TRANSPORT_EXTENSION};
use crate::sockets;

/// Of a simulcast's encodings, the best one first.
pub const RIDS: [&str; 3] = ["f", "h", "q"];
/// What of the first one's bits each has: half its height and width are a quarter of them.
const PARTS: [u64; 3] = [1, 4, 16];
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
/// A packet's last bytes say which encoding it is of and when it left, in nanoseconds: servers may change a descriptor's
/// length, which comes first.
const STAMP: usize = 9;

/// What a publisher sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A packet in so many milliseconds.
    Audio { interval: u32 },
    /// So many bit/s and frames a second; a simulcast has smaller encodings beside it.
    Video {
        bits: u64,
        fps: u32,
        simulcast: bool,
    },
}

impl Media {
    pub fn kind(self) -> Kind {
        match self {
            Media::Audio { .. } => Kind::Audio,
            Media::Video { .. } => Kind::Video,
        }
    }

    /// Of its encodings, where there are several.
    pub fn rids(self) -> &'static [&'static str] {
        match self {
            Media::Video {
                simulcast: true, ..
            } => &RIDS,
            _ => &[],
        }
    }

    /// How many there are.
    pub fn encodings(self) -> usize {
        self.rids().len().max(1)
    }

    /// Between two frames.
    fn interval(self) -> Duration {
        match self {
            Media::Audio { interval } => Duration::from_millis(interval.into()),
            Media::Video { fps, .. } => Duration::from_secs(1) / fps,
        }
    }

    /// Of its RTP clock (RFC 7587 section 4.1, RFC 7741 section 4.1).
    fn ticks_per_frame(self) -> u32 {
        match self {
            Media::Audio { interval } => interval * 48,
            Media::Video { fps, .. } => 90_000 / fps,
        }
    }
}

/// Of so many subscribers of a track, those that ask for the encoding in this place: they choose by turns.
pub fn takers(subscribers: usize, encodings: usize, place: usize) -> usize {
    (subscribers + encodings - 1 - place) / encodings
}

/// One track of an endpoint.
pub struct Publisher {
    /// The endpoint's index.
    pub endpoint: usize,
    mid: &'static str,
    media: Media,
    next_frame: Instant,
    frame: u32,
    encodings: Vec<Encoding>,
    /// Sends at its full rate.
    pub is_active: bool,
    /// Between two frames while it is not active.
    pub idle_interval: Duration,
}

/// What one SSRC sends.
struct Encoding {
    ssrc: u32,
    packets: Packets,
    key_frame_wanted: bool,
    /// Packets so far.
    sent: u64,
}

impl Publisher {
    /// A track whose first frame is due at once. Those of many, told apart by `index`, do not send their large frames at the
    /// same time.
    pub fn new(index: usize, endpoint: usize, mid: &'static str, media: Media) -> Publisher {
        let encoding = |ssrc| Encoding {
            ssrc,
            packets: Packets::new(ssrc, media.kind(), mid),
            key_frame_wanted: true,
            sent: 0,
        };
        let ssrc = 0x5157_0000 + (index * RIDS.len()) as u32;
        Publisher {
            endpoint,
            mid,
            media,
            next_frame: Instant::now(),
            frame: index as u32 * 7,
            encodings: (ssrc..).take(media.encodings()).map(encoding).collect(),
            is_active: false,
            idle_interval: IDLE_INTERVAL,
        }
    }

    /// Its m-line.
    pub fn sending(&self) -> Sending<'static> {
        Sending {
            mid: self.mid,
            kind: self.media.kind(),
            ssrc: self.encodings[0].ssrc,
            rids: self.media.rids(),
            repeats: false,
        }
    }

    /// The next frame of the encoding with this SSRC, if it has it, is to be a key frame.
    pub fn want_key_frame(&mut self, ssrc: u32) {
        let mut encodings = self.encodings.iter_mut();
        if let Some(encoding) = encodings.find(|encoding| encoding.ssrc == ssrc) {
            encoding.key_frame_wanted = true;
        }
    }

    /// Packets that so many subscribers are to have so far, each those of the encoding that it asked for.
    pub fn expected(&self, subscribers: usize) -> u64 {
        let of = self.encodings.len();
        (self.encodings.iter().enumerate())
            .map(|(place, encoding)| encoding.sent * takers(subscribers, of, place) as u64)
            .sum()
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
        match self.is_active {
            true => self.media.interval(),
            false => self.idle_interval,
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
        for place in 0..self.encodings.len() {
            self.send_frame(place, endpoint)?;
        }
        Ok(Some(late))
    }

    /// Sends a frame of one encoding.
    fn send_frame(&mut self, place: usize, endpoint: &Endpoint) -> io::Result<()> {
        let key = std::mem::take(&mut self.encodings[place].key_frame_wanted);
        let (packets, base, longer) = self.sizes(place, key);
        for packet in 0..packets {
            let size = base + usize::from(packet >= packets - longer);
            let mut start = [0; MAX_START];
            if self.media.kind() == Kind::Video {
                vp8(&mut start, packet == 0, key, self.frame);
            }
            self.packet(place, packet + 1 == packets, size, &start, endpoint)?;
        }
        Ok(())
    }

    /// How libwebrtc cuts a frame: packets of one length, the last ones a byte longer where it does not come out even.
    /// Frames differ in length around the mean.
    fn sizes(&self, place: usize, key: bool) -> (usize, usize, usize) {
        let Media::Video { bits, fps, .. } = self.media else {
            return (1, AUDIO_PAYLOAD, 0);
        };
        let mean = (bits / PARTS[place]) as usize / 8 / fps as usize;
        let varied = mean * (75 + self.frame as usize * 37 % 51) / 100;
        let bytes = if key { 3 * mean } else { varied }.clamp(64, MAX_FRAME);
        let packets = bytes.div_ceil(MAX_PAYLOAD);
        (packets, bytes / packets, bytes % packets)
    }

    fn packet(
        &mut self,
        place: usize,
        marker: bool,
        size: usize,
        start: &[u8],
        endpoint: &Endpoint,
    ) -> io::Result<()> {
        let encoding = &mut self.encodings[place];
        let number = encoding.packets.sequence_number().to_be_bytes();
        let transport = (TRANSPORT_EXTENSION, &number[..]);
        let rid = self.media.rids().get(place).map_or("", |rid| rid);
        let extensions = [transport, (RID_EXTENSION, rid.as_bytes())];
        let header = Start {
            marker,
            timestamp: self.frame.wrapping_mul(self.media.ticks_per_frame()),
            extensions: &extensions[..1 + usize::from(!rid.is_empty())],
        };
        encoding.packets.send(endpoint, &header, size, |payload| {
            payload[..start.len()].copy_from_slice(start);
            payload[size - STAMP..].copy_from_slice(&stamp(place, sockets::clock()));
        })?;
        encoding.sent += 1;
        Ok(())
    }
}

fn stamp(place: usize, now: Duration) -> [u8; STAMP] {
    let mut stamp = [place as u8; STAMP];
    stamp[1..].copy_from_slice(&(now.as_nanos() as u64).to_be_bytes());
    stamp
}

/// Which encoding a payload is of, by its place, and when it left; none where it is too short.
pub fn read_stamp(payload: &[u8]) -> Option<(usize, Duration)> {
    let [place, sent @ ..] = payload.last_chunk::<STAMP>()?;
    let sent = Duration::from_nanos(u64::from_be_bytes(*sent));
    Some((usize::from(*place), sent))
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

    fn video(simulcast: bool) -> Media {
        Media::Video {
            bits: 2_500_000,
            fps: 30,
            simulcast,
        }
    }

    #[test]
    fn frames_vary_around_the_rate_and_are_cut_evenly() {
        let mut publisher = Publisher::new(0, 0, "0", video(false));
        let mut bytes = 0;
        for _ in 0..510 {
            publisher.frame += 1;
            let (packets, base, longer) = publisher.sizes(0, false);
            assert!(longer < packets && base + usize::from(longer > 0) <= MAX_PAYLOAD);
            bytes += packets * base + longer;
        }
        let mean = bytes / 510;
        assert!((10_300..10_500).contains(&mean), "{mean} bytes a frame");
        assert!(publisher.sizes(0, true).0 > 2 * publisher.sizes(0, false).0);
    }

    #[test]
    fn a_simulcast_has_encodings_of_falling_size_told_by_rid_and_ssrc() {
        let publisher = Publisher::new(1, 0, "0", video(true));
        assert_eq!(publisher.sending().rids, RIDS);
        let packets = [0, 1, 2].map(|place| publisher.sizes(place, false).0);
        assert!(packets[0] > 5 && packets[0] > 2 * packets[1] && packets[2] == 1);
        let next = Publisher::new(2, 0, "0", video(true));
        let both = [&publisher, &next].into_iter();
        let ssrcs: Vec<u32> = both
            .flat_map(|one| one.encodings.iter().map(|encoding| encoding.ssrc))
            .collect();
        assert!(ssrcs.is_sorted_by(|a, b| a < b), "{ssrcs:?}");
    }

    #[test]
    fn a_key_frame_is_of_the_encoding_whose_ssrc_is_named() {
        let mut publisher = Publisher::new(0, 0, "0", video(true));
        for encoding in &mut publisher.encodings {
            encoding.key_frame_wanted = false;
        }
        let named = publisher.encodings[1].ssrc;
        publisher.want_key_frame(named);
        publisher.want_key_frame(named + 70);
        let wanted: Vec<bool> = (publisher.encodings.iter())
            .map(|encoding| encoding.key_frame_wanted)
            .collect();
        assert_eq!(wanted, [false, true, false]);
    }

    #[test]
    fn what_is_expected_is_what_each_subscribers_encoding_sent() {
        let takers: Vec<usize> = (0..3).map(|place| takers(50, 3, place)).collect();
        assert_eq!(takers, [17, 17, 16]);
        let mut publisher = Publisher::new(0, 0, "0", video(true));
        for (encoding, sent) in publisher.encodings.iter_mut().zip([1000, 100, 10]) {
            encoding.sent = sent;
        }
        assert_eq!(publisher.expected(50), 17_000 + 1700 + 160);
    }

    #[test]
    fn a_stamp_tells_the_encoding_and_the_time() {
        let sent = Duration::from_nanos(1_234_567_890_123);
        let payload = [&[1, 2, 3][..], &stamp(2, sent)].concat();
        assert_eq!(read_stamp(&payload), Some((2, sent)));
        assert_eq!(read_stamp(&payload[..8]), None);
    }
}
