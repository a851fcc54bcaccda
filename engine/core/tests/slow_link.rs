//! A call behind a bottleneck with a queue: what of it the viewer gets, and how long it waits there.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::peer::{self, Laboratory, ReceivedPacket, SUBSCRIBER_SSRC, TRANSPORT_WIDE};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp::{self, Arrivals};

const STEP: Duration = Duration::from_millis(5);
const FRAME: Duration = Duration::from_millis(33);
const SOUND: Duration = Duration::from_millis(20);
const FEEDBACK: Duration = Duration::from_millis(50);
/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// What the link drops behind.
const QUEUE: Duration = Duration::from_millis(500);
/// IP and UDP.
const HEADERS: usize = 28;
const RTX_SSRC: u32 = SUBSCRIBER_SSRC + 1;
const AUDIO_SSRC: u32 = 3333;
const AUDIO_PAYLOAD: usize = 100;
const VIDEO_PAYLOAD: usize = 1100;
/// Of the encodings, in bit/s, best first.
const LADDER: [u64; 3] = [1_500_000, 500_000, 150_000];

/// What came in and what did not, since the figures were begun.
#[derive(Default, Debug)]
struct Figures {
    dropped: usize,
    offered: usize,
    audio_dropped: usize,
    audio_offered: usize,
    video_bytes: usize,
    /// The shortest queue of each half second.
    longest_standing: Duration,
}

struct Call {
    lab: Laboratory,
    start: Instant,
    publisher: usize,
    viewer: usize,
    /// bit/s.
    rate: f64,
    /// When the link has sent what waits.
    free_at: Instant,
    coming: VecDeque<(Instant, ReceivedPacket)>,
    feedback: VecDeque<(Instant, Vec<u8>)>,
    arrivals: Arrivals,
    highest: Option<u16>,
    missing: BTreeSet<u16>,
    next: [Instant; 3],
    frames: u32,
    wants_key: [bool; 3],
    sequences: [u16; 4],
    last_encoding: Option<u8>,
    /// When the engine sent each packet of the video, with its number and last byte.
    left: Vec<(Instant, u16, u8)>,
    checked: Instant,
    standing: (Instant, Duration),
    figures: Figures,
}

impl Call {
    fn new(rate: f64) -> Call {
        Call::with(rate, &peer::subscription())
    }

    fn with(rate: f64, video: &proto::Subscription) -> Call {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            let encodings = ["f", "h", "q"].into_iter().zip(1000..);
            table.publications.push(proto::Publication {
                ssrcs: Vec::new(),
                encodings: encodings
                    .map(|(rid, ssrc)| proto::Encoding {
                        rid: rid.into(),
                        ssrcs: vec![ssrc],
                    })
                    .collect(),
                ..peer::publication(Codec::Vp8)
            });
            table.publications.push(proto::Publication {
                publication_id: 2,
                mid: "1".into(),
                ..peer::publication(Codec::Opus)
            });
        });
        let viewer = lab.join("viewer", |table| {
            table.subscriptions.push(video.clone());
            table.subscriptions.push(proto::Subscription {
                subscription_id: 2,
                publication_id: 2,
                mid: "1".into(),
                ssrc: AUDIO_SSRC,
                rtx_ssrc: None,
                ..peer::subscription()
            });
            let extension = proto::HeaderExtension {
                id: TRANSPORT_WIDE.into(),
                kind: proto::HeaderExtensionKind::TransportWideCc.into(),
            };
            table.transport.as_mut().unwrap().header_extensions = vec![extension];
        });
        let now = lab.now();
        Call {
            lab,
            start: now,
            publisher,
            viewer,
            rate,
            free_at: now,
            coming: VecDeque::new(),
            feedback: VecDeque::new(),
            arrivals: Arrivals::new(),
            highest: None,
            missing: BTreeSet::new(),
            next: [now; 3],
            frames: 0,
            wants_key: [true; 3],
            sequences: [0; 4],
            last_encoding: None,
            left: Vec::new(),
            checked: now,
            standing: (now, Duration::MAX),
            figures: Figures::default(),
        }
    }

    fn run(&mut self, seconds: f64) {
        let end = self.lab.now() + Duration::from_secs_f64(seconds);
        while self.lab.now() < end {
            self.publish();
            self.lab.advance(STEP);
            self.pass();
            self.arrive();
            self.answer();
        }
    }

    /// Sixty packets at once; when each of them left, after a check that they did in order.
    fn large_key_frame(&mut self) -> Vec<Duration> {
        let encoding = usize::from(self.last_encoding.expect("a picture"));
        self.left.clear();
        let began = self.lab.now();
        let payload = |packet| match packet {
            0 => [VP8_KEY, &[7; VIDEO_PAYLOAD]].concat(),
            _ => [&[0, 0], &[7; VIDEO_PAYLOAD][..]].concat(),
        };
        for packet in 0..60 {
            self.send(encoding, 1000 + encoding as u32, &payload(packet));
        }
        self.run(1.0);
        let left = std::mem::take(&mut self.left);
        for pair in left.windows(2) {
            assert_eq!(pair[1].1, pair[0].1.wrapping_add(1));
        }
        let frame = left.iter().filter(|(_, _, last)| *last == 7);
        frame.map(|(at, ..)| *at - began).collect()
    }

    /// Figures of what comes from now on.
    fn begin_figures(&mut self) {
        self.figures = Figures::default();
        self.standing = (self.lab.now(), Duration::MAX);
    }

    fn publish(&mut self) {
        let now = self.lab.now();
        if now >= self.checked + Duration::from_secs(5) {
            self.checked = now;
            self.lab.check_again(self.publisher);
            self.lab.check_again(self.viewer);
        }
        if now >= self.next[0] {
            self.next[0] += SOUND;
            self.send(3, peer::PUBLISHER_SSRC, &[1; AUDIO_PAYLOAD]);
        }
        if now >= self.next[1] {
            self.next[1] += FRAME;
            self.frames += 1;
            // As libwebrtc's encoders: a request for one encoding gives key frames of all, the best first.
            if self.lab.feedback(self.publisher).pli > 0 {
                self.wants_key = [true; 3];
            }
            for encoding in 0..LADDER.len() {
                self.frame(encoding);
            }
        }
    }

    /// Frames differ in size as an encoder's do, and a key frame is four times as large.
    fn frame(&mut self, encoding: usize) {
        let is_key = std::mem::take(&mut self.wants_key[encoding]);
        let mean = LADDER[encoding] as f64 / 8.0 * FRAME.as_secs_f64();
        let varies = 0.6 + f64::from(self.frames * 7 % 9) / 10.0;
        let size = (if is_key { 4.0 } else { varies } * mean) as usize;
        for packet in 0..size.div_ceil(VIDEO_PAYLOAD) {
            let mut payload = if is_key { VP8_KEY } else { VP8_DELTA }.to_vec();
            if packet > 0 {
                payload = vec![0, 0];
            }
            let len = (size - packet * VIDEO_PAYLOAD).clamp(20, VIDEO_PAYLOAD);
            payload.resize(len, 0);
            payload.push(encoding as u8);
            self.send(encoding, 1000 + encoding as u32, &payload);
        }
    }

    fn send(&mut self, stream: usize, ssrc: u32, payload: &[u8]) {
        self.sequences[stream] += 1;
        let timestamp = match stream {
            3 => u32::from(self.sequences[3]) * 960,
            _ => self.frames * 3000,
        };
        let number = self.sequences[stream];
        let datagram =
            self.lab
                .protect_stream(self.publisher, ssrc, &[], number, timestamp, payload);
        self.lab.deliver(self.publisher, &datagram);
    }

    fn queue(&self, at: Instant) -> Duration {
        self.free_at.saturating_duration_since(at)
    }

    /// What the engine sent goes into the queue, or is dropped where that is full.
    fn pass(&mut self) {
        for packet in self.lab.received(self.viewer) {
            let is_audio = packet.ssrc == AUDIO_SSRC;
            let is_dropped = self.queue(packet.at) > QUEUE;
            self.figures.offered += 1;
            self.figures.dropped += usize::from(is_dropped);
            self.figures.audio_offered += usize::from(is_audio);
            self.figures.audio_dropped += usize::from(is_audio && is_dropped);
            if packet.ssrc == SUBSCRIBER_SSRC {
                let last = packet.payload.last().copied().unwrap_or(0);
                self.left.push((packet.at, packet.sequence_number, last));
            }
            if is_dropped {
                continue;
            }
            let bits = (packet.size + HEADERS) as f64 * 8.0;
            let begins = self.free_at.max(packet.at);
            self.free_at = begins + Duration::from_secs_f64(bits / self.rate);
            self.coming.push_back((self.free_at + DELAY, packet));
        }
        let now = self.lab.now();
        let (since, least) = self.standing;
        self.standing.1 = least.min(self.queue(now));
        if now >= since + FEEDBACK * 10 {
            let standing = &mut self.figures.longest_standing;
            *standing = (*standing).max(self.standing.1);
            self.standing = (now, Duration::MAX);
        }
    }

    fn arrive(&mut self) {
        while let Some((at, packet)) = self.coming.pop_front_if(|(at, _)| *at <= self.lab.now()) {
            if let Some(number) = packet.transport_sequence {
                let at = at.saturating_duration_since(self.start);
                self.arrivals.record(number, at.as_micros() as u64);
            }
            match packet.ssrc {
                SUBSCRIBER_SSRC => {
                    self.figures.video_bytes += packet.payload.len();
                    self.last_encoding = packet.payload.last().copied();
                    self.take_number(packet.sequence_number);
                }
                RTX_SSRC => {
                    // Padding repeats nothing.
                    if let [high, low, ..] = packet.payload[..] {
                        self.missing.remove(&u16::from_be_bytes([high, low]));
                    }
                }
                _ => {}
            }
        }
    }

    /// As a browser's receiver: holes are asked for, and a key frame makes what came before it useless.
    fn take_number(&mut self, number: u16) {
        let highest = self.highest.unwrap_or(number.wrapping_sub(1));
        if number.wrapping_sub(highest) < 1 << 15 {
            let mut hole = highest.wrapping_add(1);
            while hole != number {
                self.missing.insert(hole);
                hole = hole.wrapping_add(1);
            }
            self.highest = Some(number);
        }
        self.missing.remove(&number);
        while self.missing.len() > 400 {
            self.missing.pop_first();
        }
    }

    fn answer(&mut self) {
        let now = self.lab.now();
        if now >= self.next[2] {
            self.next[2] += FEEDBACK;
            let mut packet = Vec::new();
            rtcp::push_receiver_report(&mut packet, 1, &[]);
            if !self.arrivals.is_empty() {
                self.arrivals.push_feedback(&mut packet, 1, SUBSCRIBER_SSRC);
            }
            if !self.missing.is_empty() {
                let missing: Vec<u16> = self.missing.iter().copied().collect();
                rtcp::push_nack(&mut packet, 1, SUBSCRIBER_SSRC, &missing);
            }
            self.feedback.push_back((now + DELAY, packet));
        }
        while let Some((_, packet)) = self.feedback.pop_front_if(|(at, _)| *at <= now) {
            let packet = self.lab.protect_rtcp(self.viewer, packet);
            self.lab.deliver(self.viewer, &packet);
        }
    }
}

/// How a link was used in each second.
fn seconds(call: &mut Call, count: usize) -> Vec<Figures> {
    (0..count)
        .map(|_| {
            call.begin_figures();
            call.run(1.0);
            std::mem::take(&mut call.figures)
        })
        .collect()
}

#[test]
fn a_link_that_narrows_is_followed_and_its_queue_empties() {
    let mut call = Call::new(3e6);
    call.run(10.0);
    assert_eq!(call.last_encoding, Some(0));
    call.rate = 600e3;
    let after = seconds(&mut call, 14);
    let standing = after[3..].iter().map(|second| second.longest_standing);
    assert!(standing.max().unwrap() < Duration::from_millis(100));
    assert!(after[2..].iter().all(|second| second.dropped == 0));
    call.rate = 3e6;
    call.run(10.0);
    assert_eq!(call.last_encoding, Some(0));
}

#[test]
fn a_link_below_the_least_encoding_carries_the_audio_whole() {
    let mut call = Call::new(3e6);
    call.run(8.0);
    call.rate = 130e3;
    let narrow = seconds(&mut call, 30);
    for second in &narrow[6..] {
        assert_eq!(second.audio_dropped, 0, "{second:?}");
        assert_eq!(second.video_bytes, 0, "{second:?}");
    }
    call.rate = 3e6;
    let wide = seconds(&mut call, 10);
    assert!(wide[9].video_bytes > 0, "the picture comes again");
    assert_eq!(call.last_encoding, Some(0));
}

/// No probe can be sent to a peer without RTX: the picture itself shows whether there is room.
#[test]
fn without_retransmissions_a_paused_picture_is_tried_again_now_and_then() {
    let mut video = peer::subscription();
    video.rtx_ssrc = None;
    video.formats[0].rtx_payload_type = None;
    let mut call = Call::with(3e6, &video);
    call.lab.take_repeats(call.viewer);
    call.run(8.0);
    call.rate = 130e3;
    call.run(6.0);
    let narrow = seconds(&mut call, 36);
    let tried = narrow.iter().filter(|second| second.video_bytes > 0);
    assert!((1..=15).contains(&tried.count()), "{narrow:?}");
    call.rate = 3e6;
    let wide = seconds(&mut call, 40);
    assert!(wide[20..].iter().all(|second| second.video_bytes > 0));
}

#[test]
fn a_large_key_frame_leaves_over_time_on_a_narrow_link_and_at_once_on_a_wide_one() {
    let mut call = Call::new(50e6);
    call.run(8.0);
    let left = call.large_key_frame();
    assert_eq!(left.len(), 60);
    assert!(left.iter().all(|at| at.is_zero()), "{left:?}");
    call.rate = 500e3;
    call.run(8.0);
    let left = call.large_key_frame();
    assert_eq!(left.len(), 60, "none is lost on its way to the link");
    let within = |ms| left.iter().filter(|at| at.as_millis() <= ms).count();
    assert!(within(5) <= 16, "{left:?}");
    assert!((20..50).contains(&within(200)), "{left:?}");
    assert!(within(520) == 60, "{left:?}");
}
