//! Encodings that come and go by packets: under ever new SSRCs, with rids that nobody announced, or one after another's.

use std::time::Duration;

use super::super::peer::{self, Laboratory, SUBSCRIBER_SSRC};
use super::super::{VP8_DELTA, VP8_KEY};
use super::{Bystanders, assert_bounded, assert_paced};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp;

const MID: u8 = 1;
const RID: u8 = 2;

struct Hostile {
    lab: Laboratory,
    publisher: usize,
    subscriber: usize,
    bystanders: Bystanders,
    timestamp: u32,
}

impl Hostile {
    /// A publisher of three encodings by rid, and one that has no wish among them.
    fn new() -> Hostile {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            let encodings = ["f", "h", "q"].map(|rid| proto::Encoding {
                rid: rid.into(),
                ssrcs: Vec::new(),
            });
            table.publications.push(proto::Publication {
                ssrcs: Vec::new(),
                encodings: encodings.to_vec(),
                ..peer::publication(Codec::Vp8)
            });
            let kinds = [
                (MID, proto::HeaderExtensionKind::Mid),
                (RID, proto::HeaderExtensionKind::Rid),
            ];
            table.transport.as_mut().unwrap().header_extensions = kinds
                .map(|(id, kind)| proto::HeaderExtension {
                    id: id.into(),
                    kind: kind.into(),
                })
                .to_vec();
        });
        let subscriber = lab.join("subscriber", |table| {
            table.subscriptions.push(peer::subscription());
        });
        let bystanders = Bystanders::join(&mut lab);
        Hostile {
            lab,
            publisher,
            subscriber,
            bystanders,
            timestamp: 0,
        }
    }

    fn send(&mut self, ssrc: u32, rid: Option<&str>, sequence: u16, payload: &[u8]) {
        self.timestamp += 3000;
        let named: [(u8, &[u8]); 2] = [(MID, b"0"), (RID, rid.unwrap_or("").as_bytes())];
        let extensions = if rid.is_some() { &named[..] } else { &[] };
        let datagram = self.lab.protect_stream(
            self.publisher,
            ssrc,
            extensions,
            sequence,
            self.timestamp,
            payload,
        );
        self.lab.deliver(self.publisher, &datagram);
    }

    /// Time passes, and others talk.
    fn pass(&mut self, milliseconds: u64) {
        self.lab.advance(Duration::from_millis(milliseconds));
        self.bystanders.speak(&mut self.lab);
        self.lab.check_again(self.publisher);
        self.lab.check_again(self.subscriber);
    }

    /// An ordinary encoding under an SSRC that was never used: all of it is shown from its key frame on, without holes.
    fn assert_goes_on(&mut self, ssrc: u32) {
        // What was there before is over for the engine, too.
        for _ in 0..150 {
            self.pass(20);
        }
        self.lab.received(self.subscriber);
        for sequence in 1..=30 {
            let payload = if sequence == 1 { VP8_KEY } else { VP8_DELTA };
            self.send(ssrc, Some("f"), sequence, payload);
            self.pass(33);
        }
        let packets = self.lab.received(self.subscriber);
        assert_eq!(packets.len(), 30);
        for pair in packets.windows(2) {
            let next = pair[0].sequence_number.wrapping_add(1);
            assert_eq!(pair[1].sequence_number, next);
            assert_eq!(pair[1].ssrc, SUBSCRIBER_SSRC);
        }
    }
}

/// Each packet is another stream's.
#[test]
fn ever_new_sources_cost_bounded_memory_and_an_ordinary_one_is_shown_afterwards() {
    let mut call = Hostile::new();
    let rids = [
        Some("f"),
        Some("nobody's"),
        None,
        Some("h"),
        Some(""),
        Some("q"),
    ];
    let before = [call.publisher, call.subscriber].map(|index| call.lab.traffic(index));
    for number in 0..3000_u32 {
        let payload = if number % 5 == 0 { VP8_KEY } else { VP8_DELTA };
        let rid = rids[number as usize % rids.len()];
        call.send(10_000 + number, rid, number as u16 ^ 0x5555, payload);
        if number % 10 == 0 {
            call.pass(20);
            assert_bounded(&call.lab);
        }
    }
    let after = [call.publisher, call.subscriber].map(|index| call.lab.traffic(index));
    let given = after[0].given - before[0].given;
    let caused: usize = (0..2).map(|at| after[at].got - before[at].got).sum();
    assert!(caused < 2 * given, "{caused} for {given}");
    assert_paced(call.lab.feedback(call.publisher).pli, 3 * 6);
    call.assert_goes_on(7);
}

/// Two streams that both say to be the same encoding, packet by packet, and exchange their rids as well.
#[test]
fn an_encoding_under_two_sources_at_once_costs_bounded_work() {
    let mut call = Hostile::new();
    for number in 0..2000_u32 {
        let rid = ["f", "h"][(number / 2 % 2) as usize];
        let payload = if number % 7 == 0 { VP8_KEY } else { VP8_DELTA };
        call.send(20_000 + number % 2, Some(rid), number as u16, payload);
        if number % 10 == 0 {
            call.pass(20);
            assert_bounded(&call.lab);
        }
    }
    let feedback = call.lab.feedback(call.publisher);
    assert_paced(feedback.pli, 2 * 4);
    assert!(feedback.nacked.len() < 100, "{}", feedback.nacked.len());
    call.assert_goes_on(7);
}

/// Encodings stop and begin under new SSRCs for an hour: none of them is unknown in the end.
#[test]
fn encodings_that_stop_and_begin_anew_are_shown_each_time() {
    let mut call = Hostile::new();
    for turn in 0..400_u32 {
        let rid = ["f", "h", "q"][(turn % 3) as usize];
        call.lab.received(call.subscriber);
        for sequence in 1..=10 {
            let payload = if sequence < 10 { VP8_KEY } else { VP8_DELTA };
            call.send(30_000 + turn, Some(rid), sequence, payload);
            call.pass(300);
        }
        let shown = call.lab.received(call.subscriber).len();
        assert!(shown >= 1, "turn {turn}");
        assert_bounded(&call.lab);
    }
    call.assert_goes_on(7);
}

/// Each fifth packet is missing and never comes, for a minute, and key frames are asked for that are not made.
#[test]
fn what_is_missing_for_long_is_looked_at_in_one_turn() {
    let mut call = Hostile::new();
    call.send(7, Some("f"), 1, VP8_KEY);
    for number in 2..3000_u16 {
        if number % 5 > 0 {
            call.send(7, None, number, VP8_DELTA);
        }
        for _ in 0..3 {
            call.lab.send_rtcp(call.subscriber, |packet| {
                rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC);
            });
        }
        call.pass(20);
        assert_bounded(&call.lab);
    }
    assert_paced(call.lab.feedback(call.publisher).pli, 60);
}

/// What one datagram of the publisher says is not said to all viewers forty times.
#[test]
fn a_flood_of_sender_reports_is_not_passed_on() {
    let mut call = Hostile::new();
    for number in 1..100_u16 {
        call.send(7, Some("f"), number, VP8_KEY);
        call.pass(5);
    }
    let before = call.lab.traffic(call.subscriber).got;
    for turn in 0..200_u64 {
        for _ in 0..5 {
            call.lab.send_rtcp(call.publisher, |packet| {
                for at in 0..40 {
                    rtcp::push_sender_report(packet, 7, turn << 32 | at, 960, 1, 5, &[]);
                }
            });
        }
        call.pass(5);
    }
    let seconds = 1;
    let got = call.lab.traffic(call.subscriber).got - before;
    let reports = call.lab.sender_reports(call.subscriber).len();
    assert!((1..=5 * seconds + 2).contains(&reports), "{reports}");
    assert!(got < 40_000, "{got}");
}

/// Gaps that nobody can mend are asked about for less than they cost.
#[test]
fn gaps_without_end_are_asked_about_within_bounds() {
    let mut call = Hostile::new();
    call.send(7, Some("f"), 1, VP8_KEY);
    let before = call.lab.traffic(call.publisher);
    let mut number = 1_u16;
    for turn in 0..1500_u16 {
        number = number.wrapping_add([2, 60, 200, 300][usize::from(turn % 4)]);
        // Each rollover would be another key stream.
        if number > 60_000 {
            break;
        }
        call.send(7, None, number, VP8_DELTA);
        call.pass(7);
        assert_bounded(&call.lab);
    }
    let after = call.lab.traffic(call.publisher);
    let (given, got) = (after.given - before.given, after.got - before.got);
    assert!(got < 2 * given, "{got} for {given}");
}
