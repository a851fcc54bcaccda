//! What a subscriber tells of its link, and what the engine makes of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::peer::{self, Laboratory, SUBSCRIBER_SSRC, TRANSPORT_WIDE};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::core::session::Session;
use crate::link::proto;
use crate::wire::rtcp::{self, Arrivals};

const FRAME: Duration = Duration::from_millis(33);
/// Bytes of a frame of each encoding: about 1.2 Mbit/s, 360 and 120 kbit/s.
const SIZES: [usize; 3] = [5000, 1500, 500];

pub(super) struct Call {
    pub(super) lab: Laboratory,
    start: Instant,
    pub(super) publisher: usize,
    pub(super) subscriber: usize,
    arrivals: Arrivals,
    sequences: [u16; 3],
    timestamp: u32,
    /// Bytes of RTP payload that the subscriber got: media, and by RTX.
    pub(super) media: usize,
    pub(super) repeated: usize,
    pub(super) last_encoding: Option<u8>,
    last_sequence: u16,
}

impl Call {
    pub(super) fn new(transport_wide: bool) -> Call {
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
        });
        let subscriber = lab.join("subscriber", |table| {
            table.subscriptions.push(peer::subscription());
            if transport_wide {
                let extension = proto::HeaderExtension {
                    id: TRANSPORT_WIDE.into(),
                    kind: proto::HeaderExtensionKind::TransportWideCc.into(),
                };
                table.transport.as_mut().unwrap().header_extensions = vec![extension];
            }
        });
        Call {
            start: lab.now(),
            lab,
            publisher,
            subscriber,
            arrivals: Arrivals::new(),
            sequences: [0; 3],
            timestamp: 0,
            media: 0,
            repeated: 0,
            last_encoding: None,
            last_sequence: 0,
        }
    }

    /// A frame of each encoding, all of them key frames.
    pub(super) fn frame(&mut self) {
        self.timestamp += 3000;
        for (encoding, size) in SIZES.into_iter().enumerate() {
            for (packet, begins) in (0..size.div_ceil(1000)).map(|packet| (packet, packet == 0)) {
                let mut payload = if begins { VP8_KEY } else { &VP8_DELTA[..4] }.to_vec();
                payload[0] = if begins { 0x10 } else { 0 };
                payload.resize((size - packet * 1000).min(1000), 0);
                payload.push(encoding as u8);
                self.sequences[encoding] += 1;
                let (sequence, ssrc) = (self.sequences[encoding], 1000 + encoding as u32);
                let datagram = self.lab.protect_stream(
                    self.publisher,
                    ssrc,
                    &[],
                    sequence,
                    self.timestamp,
                    &payload,
                );
                self.lab.deliver(self.publisher, &datagram);
            }
        }
        self.lab.advance(FRAME);
        self.take();
    }

    pub(super) fn take(&mut self) {
        for packet in self.lab.received(self.subscriber) {
            if packet.ssrc == SUBSCRIBER_SSRC {
                self.media += packet.payload.len();
                self.last_sequence = packet.sequence_number;
                self.last_encoding = packet.payload.last().copied();
            } else {
                self.repeated += packet.payload.len();
            }
            if let Some(number) = packet.transport_sequence {
                let at = packet.at.saturating_duration_since(self.start);
                self.arrivals.record(number, at.as_micros() as u64);
            }
        }
    }

    /// Frames for so long, with feedback on each where the peer gives any.
    pub(super) fn run(&mut self, time: Duration, with_feedback: bool) {
        for _ in 0..time.as_millis() / FRAME.as_millis() {
            self.frame();
            if with_feedback && !self.arrivals.is_empty() {
                let arrivals = &mut self.arrivals;
                self.lab.send_rtcp(self.subscriber, |packet| {
                    arrivals.push_feedback(packet, 1, SUBSCRIBER_SSRC);
                });
                self.take();
            }
        }
    }

    fn estimate(&self) -> u64 {
        self.rate().expect("known")
    }

    /// bit/s of the subscriber's link, as the engine takes it to be.
    pub(super) fn rate(&self) -> Option<u64> {
        let estimator = &self.session().estimator;
        estimator.bits_per_second(self.lab.now())
    }

    /// The number of the last packet towards the subscriber.
    pub(super) fn transport_sequence(&self) -> u16 {
        self.session().transport_sequence.wrapping_sub(1)
    }

    fn session(&self) -> &Session {
        let mut sessions = self.lab.engine.sessions.values();
        let session = sessions.find(|session| session.id == "subscriber");
        session.expect("it is there")
    }

    fn remb(&mut self, bits_per_second: u32) {
        let exponent = 32 - bits_per_second.leading_zeros().min(14) - 18;
        let word = exponent << 18 | bits_per_second >> exponent;
        self.lab.send_rtcp(self.subscriber, |packet| {
            packet.extend_from_slice(&[0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
            packet.extend_from_slice(b"REMB");
            packet.extend_from_slice(&(1 << 24 | word).to_be_bytes());
            packet.extend_from_slice(&SUBSCRIBER_SSRC.to_be_bytes());
        });
    }
}

#[test]
fn a_peers_own_estimate_decides_which_encoding_it_gets() {
    let mut call = Call::new(false);
    call.run(Duration::from_secs(2), false);
    assert_eq!(call.last_encoding, Some(0));
    for (estimate, encoding) in [(600_000, 1), (200_000, 2), (20_000_000, 0)] {
        call.remb(estimate);
        call.run(Duration::from_secs(2), false);
        assert_eq!(call.last_encoding, Some(encoding), "{estimate}");
    }
    assert_eq!(call.repeated, 0);
}

#[test]
fn feedback_lets_the_estimate_rise_to_the_best_encoding_with_little_padding() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(8), true);
    assert_eq!(call.last_encoding, Some(0));
    assert!(call.lab.counter("packets_padded") > 0);
    assert!(call.repeated * 5 < call.media);
}

#[test]
fn a_peer_that_agrees_to_feedback_and_gives_none_is_not_limited_for_ever() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(2), false);
    assert_eq!(call.last_encoding, Some(2), "a guess at first");
    call.run(Duration::from_secs(4), false);
    assert_eq!(call.last_encoding, Some(0));
    assert_eq!(call.lab.counter("packets_padded"), 0);
}

#[test]
fn another_path_is_measured_afresh() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(8), true);
    assert_eq!(call.last_encoding, Some(0));
    let (before, padded) = (call.estimate(), call.lab.counter("packets_padded"));
    call.lab.change_path(call.subscriber);
    assert!(call.estimate() < before / 2, "{before}");
    call.run(Duration::from_secs(3), true);
    assert!(call.lab.counter("packets_padded") > padded, "it is probed");
    assert_eq!(call.last_encoding, Some(0));
    call.lab.check_again(call.subscriber);
    assert!(call.estimate() > 1_000_000, "the same path once more");
}

/// However often a subscriber asks for key frames, its publisher is asked once a second, and the encoding that nobody
/// gets not at all.
#[test]
fn a_flood_of_key_frame_requests_does_not_reach_the_publisher() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(8), true);
    assert_eq!(call.last_encoding, Some(0));
    call.lab.feedback(call.publisher);
    for _ in 0..300 {
        for _ in 0..20 {
            call.lab.send_rtcp(call.subscriber, |packet| {
                rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC);
                rtcp::push_fir(packet, 1, SUBSCRIBER_SSRC, 7);
            });
        }
        call.lab.advance(Duration::from_millis(10));
    }
    let asked = call.lab.feedback(call.publisher).pli_ssrcs;
    assert!((3..=4).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|&ssrc| ssrc == 1000), "{asked:?}");
}

/// A subscriber that asks for all that it got lately again and again makes the engine send less than twice what it would, in
/// any second, though it has asked for nothing for a while.
#[test]
fn a_flood_of_nacks_for_everything_is_not_amplified() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(6), true);
    let mut got = VecDeque::new();
    for _ in 0..120 {
        got.push_back((call.media, call.repeated));
        call.frame();
        for _ in 0..10 {
            let first = call.last_sequence.wrapping_sub(200);
            let all: Vec<u16> = (0..=200).map(|at| first.wrapping_add(at)).collect();
            call.lab.send_rtcp(call.subscriber, |packet| {
                for _ in 0..5 {
                    rtcp::push_nack(packet, 1, SUBSCRIBER_SSRC, &all);
                }
            });
        }
        call.take();
        if got.len() > 30
            && let Some((media, repeated)) = got.pop_front()
        {
            let (media, repeated) = (call.media - media, call.repeated - repeated);
            assert!(repeated < media, "{repeated} beside {media} in a second");
        }
    }
    assert!(call.lab.counter("packets_retransmitted") > 50);
}

/// However much a peer tells within a receive batch, its session's budgets and repairs are looked at once, behind it.
#[test]
fn what_follows_from_feedback_is_done_once_a_batch() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(2), true);
    call.frame();
    let source = call.lab.address(call.subscriber);
    let repaired = call.lab.counter("packets_retransmitted");
    for lost in 0..3 {
        let mut packet = Vec::new();
        rtcp::push_receiver_report(&mut packet, 1, &[]);
        let lost = call.last_sequence.wrapping_sub(lost);
        rtcp::push_nack(&mut packet, 1, SUBSCRIBER_SSRC, &[lost]);
        call.arrivals.push_feedback(&mut packet, 1, SUBSCRIBER_SSRC);
        let packet = call.lab.protect_rtcp(call.subscriber, packet);
        call.lab.hand_over(source, &packet);
    }
    assert_eq!(call.lab.engine.told.len(), 1);
    call.lab.settle();
    assert!(call.lab.engine.told.is_empty());
    assert_eq!(call.lab.counter("packets_retransmitted"), repaired + 3);
}

/// Run by hand, optimised: what a forwarded packet costs the engine before the system call, with congestion
/// control and without, in turn: `cargo test --release -p switchyard-engine congestion_control_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn congestion_control_costs() {
    // Less than the time after which a peer without checks is given up.
    const PACKETS: u16 = 700;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut best = [Duration::MAX; 2];
    for round in 0..40 {
        let is_on = round % 2 == 1;
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            table.publications.push(peer::publication(Codec::Opus));
        });
        let subscribers = names.map(|name| {
            lab.join(name, |table| {
                table.subscriptions.push(peer::subscription());
                let id = if is_on { TRANSPORT_WIDE } else { 0 };
                let extension = proto::HeaderExtension {
                    id: id.into(),
                    kind: proto::HeaderExtensionKind::TransportWideCc.into(),
                };
                let extensions = [extension].into_iter().filter(|_| is_on).collect();
                table.transport.as_mut().unwrap().header_extensions = extensions;
            })
        });
        let start = Instant::now();
        let mut arrivals = subscribers.map(|_| Arrivals::new());
        let mut spent = Duration::ZERO;
        for number in 1..=PACKETS {
            let timestamp = u32::from(number) * 960;
            let datagram = lab.protect_media(publisher, number, timestamp, &[7; 1100]);
            spent += lab.deliver_timed(publisher, &datagram);
            // 2.3 Mbit/s, and feedback each 50 ms.
            lab.advance(Duration::from_millis(4));
            for (at, &subscriber) in subscribers.iter().enumerate() {
                for packet in lab.received(subscriber) {
                    if let Some(number) = packet.transport_sequence {
                        let time = packet.at.saturating_duration_since(start);
                        arrivals[at].record(number, time.as_micros() as u64);
                    }
                }
                if number % 13 == 0 && !arrivals[at].is_empty() {
                    let mut feedback = Vec::new();
                    arrivals[at].push_feedback(&mut feedback, 1, SUBSCRIBER_SSRC);
                    let feedback = lab.protect_rtcp(subscriber, feedback);
                    spent += lab.deliver_timed(subscriber, &feedback);
                }
            }
        }
        let one = spent / (u32::from(PACKETS) * names.len() as u32);
        best[usize::from(is_on)] = best[usize::from(is_on)].min(one);
    }
    println!(
        "a forwarded packet without congestion control {:?}, with it {:?}",
        best[0], best[1]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn feedback_of_any_bytes_does_no_harm(lies in prop::collection::vec(
        (prop_oneof![Just((15_u8, 205_u8)), Just((15, 206)), Just((1, 205)), Just((1, 206)), Just((4, 206))],
         prop::collection::vec(any::<u8>(), 0..300)), 1..40)) {
        let mut call = Call::new(true);
        call.run(Duration::from_millis(300), true);
        for ((format, kind), body) in lies {
            call.lab.send_rtcp(call.subscriber, |packet| {
                let words = (body.len() / 4 + 2) as u16;
                packet.extend_from_slice(&[0x80 | format, kind]);
                packet.extend_from_slice(&words.to_be_bytes());
                packet.extend_from_slice(&1_u32.to_be_bytes());
                packet.extend_from_slice(&SUBSCRIBER_SSRC.to_be_bytes());
                packet.extend_from_slice(&body[..body.len() / 4 * 4]);
            });
            call.frame();
        }
        call.run(Duration::from_millis(500), true);
        prop_assert!(call.media > 0);
        prop_assert!(call.repeated <= call.media + 64 * 1024);
    }
}

/// Repairs wait for their turn on a narrow way: their track may be gone before that comes.
#[test]
fn repairs_of_a_track_that_was_closed_meanwhile_are_forgotten() {
    let mut call = Call::new(false);
    call.run(Duration::from_secs(2), false);
    call.remb(30_000);
    let last = call.last_sequence;
    let all: Vec<u16> = (0..200).map(|at| last.wrapping_sub(at)).collect();
    call.lab.send_rtcp(call.subscriber, |packet| {
        rtcp::push_nack(packet, 1, SUBSCRIBER_SSRC, &all);
    });
    let repaired = call.lab.counter("packets_retransmitted");
    let mut table = call.lab.table(call.subscriber);
    table.subscriptions.clear();
    call.lab.request(peer::apply(table)).unwrap();
    call.run(Duration::from_secs(5), false);
    assert_eq!(call.lab.counter("packets_retransmitted"), repaired);
    assert!(call.lab.counter("packets_asked_in_vain") > 0);
}

/// What a peer tells in one datagram is worked on up to a bound, whatever it claims.
#[test]
fn feedback_on_more_than_a_link_carries_is_not_read() {
    let mut call = Call::new(true);
    call.run(Duration::from_secs(2), true);
    let before = call.lab.counter("discarded_feedback_flood");
    // Of 8,191 packets that never came each; a run of them is two bytes.
    let claim = [
        [0x8f, 205, 0, 5],
        [0, 0, 0, 1],
        SUBSCRIBER_SSRC.to_be_bytes(),
        [0x40, 0, 0x1f, 0xff],
        [0, 0, 0, 0],
        [0x1f, 0xff, 0, 0],
    ];
    call.lab.send_rtcp(call.subscriber, |packet| {
        for _ in 0..40 {
            packet.extend_from_slice(claim.as_flattened());
        }
    });
    let claimed = call.lab.counter("discarded_feedback_flood");
    assert!(claimed >= before + 38, "{claimed}");
    let last = call.last_sequence;
    let all: Vec<u16> = (0..300).map(|at| last.wrapping_sub(at)).collect();
    call.lab.send_rtcp(call.subscriber, |packet| {
        for _ in 0..20 {
            rtcp::push_nack(packet, 1, SUBSCRIBER_SSRC, &all);
        }
    });
    assert!(call.lab.counter("discarded_feedback_flood") > claimed);
}
