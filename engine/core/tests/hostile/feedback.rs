//! Feedback that lies about the link.

use std::time::Duration;

use super::super::congestion::Call;
use super::super::peer::{self, Laboratory, SUBSCRIBER_SSRC, Traffic};
use super::{Bystanders, assert_bounded, assert_paced};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp;

/// An estimate in bit/s as REMB has it, for these SSRCs (draft-alvestrand-rmcat-remb-03 section 2.2).
fn push_remb(packet: &mut Vec<u8>, bits_per_second: u64, ssrcs: &[u32]) {
    let exponent = (64 - bits_per_second.leading_zeros()).saturating_sub(18);
    let mantissa = (bits_per_second >> exponent) as u32;
    let words = 4 + ssrcs.len() as u16;
    packet.extend_from_slice(&[0x8f, 206]);
    packet.extend_from_slice(&words.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
    packet.extend_from_slice(b"REMB");
    let head = (ssrcs.len() as u32) << 24 | exponent << 18 | mantissa;
    packet.extend_from_slice(&head.to_be_bytes());
    for ssrc in ssrcs {
        packet.extend_from_slice(&ssrc.to_be_bytes());
    }
}

/// Transport-wide feedback that says of `count` packets from `base` on that all came, a quarter of a millisecond apart.
fn push_arrivals(packet: &mut Vec<u8>, base: u16, count: u16, reference: u32) {
    let mut body = Vec::new();
    body.extend_from_slice(&base.to_be_bytes());
    body.extend_from_slice(&count.to_be_bytes());
    body.extend_from_slice(&(reference << 8).to_be_bytes());
    body.extend_from_slice(&(0x2000 | count).to_be_bytes());
    body.extend(std::iter::repeat_n(1, usize::from(count)));
    body.resize(body.len().next_multiple_of(4), 0);
    packet.extend_from_slice(&[0x8f, 205]);
    packet.extend_from_slice(&(2 + body.len() as u16 / 4).to_be_bytes());
    packet.extend_from_slice(&1_u32.to_be_bytes());
    packet.extend_from_slice(&SUBSCRIBER_SSRC.to_be_bytes());
    packet.extend_from_slice(&body);
}

/// A call for so many seconds, in which the subscriber says something before each frame; what it got is less than twice
/// what media alone makes.
fn assert_harmless(transport_wide: bool, seconds: u64, mut lie: impl FnMut(&mut Call, u32)) {
    let mut call = Call::new(transport_wide);
    let mut bystanders = Bystanders::join(&mut call.lab);
    call.run(Duration::from_secs(2), transport_wide);
    call.lab.feedback(call.publisher);
    let before = call.lab.traffic(call.subscriber);
    let media = call.media;
    for frame in 0..seconds as u32 * 30 {
        for _ in 0..5 {
            lie(&mut call, frame);
        }
        call.frame();
        bystanders.speak(&mut call.lab);
        for index in [call.publisher, call.subscriber] {
            call.lab.check_again(index);
        }
        let rate = call.rate();
        assert!(rate.is_none_or(|rate| (30_000..=1_000_000_000).contains(&rate)));
    }
    assert_bounded(&call.lab);
    let Traffic { got, .. } = call.lab.traffic(call.subscriber);
    let media = call.media - media;
    assert!(media > 0, "it still gets a picture");
    assert!(
        got - before.got < 2 * media + 64 * 1024,
        "{} of {media}",
        got - before.got
    );
    // Each frame is a key frame here: what is asked for was not there at that moment.
    assert_paced(call.lab.feedback(call.publisher).pli, seconds as usize);
}

#[test]
fn estimates_of_nothing_and_of_everything_are_bounded() {
    for (transport_wide, estimates) in [
        (false, [0, 0]),
        (false, [1_000_000_000_000, 1_000_000_000_000]),
        (false, [0, 1_000_000_000_000]),
        (true, [0, 1_000_000_000_000]),
        (true, [u64::MAX, 1]),
    ] {
        let mut told = 0;
        assert_harmless(transport_wide, 8, |call, _| {
            told += 1;
            call.lab.send_rtcp(call.subscriber, |packet| {
                push_remb(packet, estimates[told % 2], &[SUBSCRIBER_SSRC]);
            });
        });
    }
}

/// REMB is about the way as a whole; what it says of streams that are not there is no more and no less.
#[test]
fn estimates_for_streams_that_are_not_there_do_no_harm() {
    let strangers: Vec<u32> = (0..200).map(|at| 0xdead_0000 + at).collect();
    assert_harmless(false, 6, |call, frame| {
        call.lab.send_rtcp(call.subscriber, |packet| {
            push_remb(packet, u64::from(frame) * 1_000, &strangers);
            push_remb(packet, 1_000_000_000_000, &[]);
            rtcp::push_pli(packet, 1, 0xdead_0000);
            rtcp::push_nack(packet, 1, 0xdead_0000, &[1, 2, 3]);
        });
    });
}

/// Numbers that were never sent, at times that go backwards.
#[test]
fn acknowledgements_of_what_was_never_sent_are_not_counted() {
    assert_harmless(true, 8, |call, frame| {
        call.lab.send_rtcp(call.subscriber, |packet| {
            let base = (frame * 7919) as u16;
            push_arrivals(packet, base, 300, 0x00ff_ffff - frame);
            push_arrivals(
                packet,
                base.wrapping_sub(20_000),
                300,
                frame.wrapping_mul(77_777),
            );
        });
    });
}

/// The same numbers again and again, as if all had come at once: a link of any width.
#[test]
fn arrivals_that_are_too_good_to_be_true_make_no_more_than_the_media() {
    assert_harmless(true, 8, |call, frame| {
        let last = call.transport_sequence();
        call.lab.send_rtcp(call.subscriber, |packet| {
            push_arrivals(packet, last.wrapping_sub(100), 101, 0x0080_0000 - frame);
        });
    });
}

/// Writes the packets of a datagram.
type Write<'a> = &'a dyn Fn(&mut Vec<u8>);

/// What a viewer's flood made the engine do, beside a publisher's 100 packets.
struct Flooded {
    sent: u64,
    flooded: u64,
    discarded: u64,
    looked_for: u64,
}

/// 10 Mbit/s of a datagram for a second.
fn flood(write: impl Fn(&mut Vec<u8>)) -> Flooded {
    let mut lab = Laboratory::new();
    let (publisher, viewer) = lab.call(Codec::Opus);
    let mut bystanders = Bystanders::join(&mut lab);
    for sequence in 1..=100_u16 {
        lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    }
    let size = {
        let mut packet = Vec::new();
        rtcp::push_receiver_report(&mut packet, 1, &[]);
        write(&mut packet);
        lab.protect_rtcp(viewer, packet).len()
    };
    let flooded = 10_000_000 / 8 / size as u64;
    let before = lab.counter("packets_forwarded");
    for tick in 0..100 {
        for _ in 0..flooded / 100 {
            lab.send_rtcp(viewer, &write);
        }
        lab.advance(Duration::from_millis(10));
        if tick % 2 == 0 {
            bystanders.speak(&mut lab);
        }
    }
    assert_eq!(
        lab.counter("packets_forwarded") - before,
        50,
        "others go on"
    );
    assert_bounded(&lab);
    Flooded {
        sent: 100,
        flooded: flooded / 100 * 100,
        discarded: lab.counter("discarded_feedback_flood"),
        looked_for: ["packets_retransmitted", "packets_asked_in_vain"]
            .map(|name| lab.counter(name))
            .iter()
            .sum(),
    }
}

#[test]
fn statuses_are_read_of_few_more_packets_than_were_sent() {
    let run = |packet: &mut Vec<u8>| {
        for base in [0, 8191] {
            let mut body = vec![0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
            body.extend_from_slice(&u16::to_be_bytes(base));
            // Lost all of them: a run of 8,191 takes two bytes.
            body.extend_from_slice(&[0x1f, 0xff, 0, 0, 1, 0, 0x1f, 0xff, 0, 0]);
            packet.extend_from_slice(&body);
        }
    };
    let flooded = flood(run);
    assert!(flooded.discarded >= flooded.flooded, "none is read");
    // As many as were sent are read, also again and again, but not for ever.
    let few = |packet: &mut Vec<u8>| push_arrivals(packet, 0, 100, 1);
    let flooded = flood(few);
    let read = (flooded.flooded - flooded.discarded) * 100;
    assert!(read <= 4 * flooded.sent, "{read} statuses");
    assert!(read >= flooded.sent);
}

#[test]
fn packets_are_looked_for_no_more_than_twice_as_often_as_they_were_sent() {
    let lost: Vec<u16> = (0..510).map(|number| number * 17).collect();
    let flooded = flood(|packet| rtcp::push_nack(packet, 1, SUBSCRIBER_SSRC, &lost));
    // Retransmissions are sent, too.
    let most = 2 * flooded.sent + 32;
    assert!(flooded.looked_for <= most, "{}", flooded.looked_for);
    assert!(flooded.discarded >= flooded.flooded - 4);
}

#[test]
fn reports_and_requests_are_read_within_a_budget_of_time() {
    let report = rtcp::ReportBlock {
        ssrc: SUBSCRIBER_SSRC,
        ..Default::default()
    };
    let kinds: [Write<'_>; 4] = [
        &|packet| rtcp::push_receiver_report(packet, 1, &[report; 31]),
        &|packet| (0..90).for_each(|_| rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC)),
        &|packet| (0..50).for_each(|at| push_remb(packet, 1_000_000 - at * 50, &[])),
        &|packet| (0..140).for_each(|_| rtcp::push_receiver_report(packet, 1, &[])),
    ];
    // Units of work of each datagram.
    for (write, units) in kinds.into_iter().zip([31, 90 * 8, 50 * 8, 140]) {
        let flooded = flood(write);
        let read = flooded.flooded.saturating_sub(flooded.discarded) * units;
        assert!(read <= 20_000, "{read} units");
        assert!(flooded.discarded > 0);
    }
}

/// Half of the packets come late or not at all, and the peer tells all that it knows each 50 ms.
#[test]
fn honest_feedback_of_a_large_meeting_is_read_whole() {
    const OTHERS: u32 = 98;
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Opus));
    });
    let viewer = lab.join("viewer", |table| {
        let subscriptions = (0..OTHERS).map(|at| proto::Subscription {
            subscription_id: at + 1,
            mid: at.to_string(),
            ssrc: SUBSCRIBER_SSRC + at,
            rtx_ssrc: Some(50_000 + at),
            ..peer::subscription()
        });
        table.subscriptions = subscriptions.collect();
    });
    let mut sequence = 0;
    for round in 0..100_u32 {
        for _ in 0..3 {
            sequence += 1;
            lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
            lab.advance(Duration::from_millis(16));
        }
        lab.received(viewer);
        let last = lab
            .engine
            .sessions
            .values()
            .map(|one| one.transport_sequence)
            .max();
        let base = last.unwrap_or(0).wrapping_sub(600);
        if round > 2 {
            lab.send_rtcp(viewer, |packet| push_arrivals(packet, base, 600, round));
        }
        for ssrc in (SUBSCRIBER_SSRC..).take(OTHERS as usize) {
            if round % 20 == ssrc % 20 {
                let report = rtcp::ReportBlock {
                    ssrc,
                    ..Default::default()
                };
                lab.send_rtcp(viewer, |packet| {
                    rtcp::push_receiver_report(packet, 1, &[report]);
                    rtcp::push_pli(packet, 1, ssrc);
                });
            }
            lab.send_rtcp(viewer, |packet| {
                rtcp::push_nack(packet, 1, ssrc, &[sequence, sequence.wrapping_sub(1)]);
            });
        }
        lab.check_again(publisher);
        lab.check_again(viewer);
    }
    assert_eq!(lab.counter("discarded_feedback_flood"), 0);
}
