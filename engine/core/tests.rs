//! Whole calls through the engine, with real ICE checks, DTLS handshakes and SRTP, and a clock of our own.

mod addresses;
mod association;
mod bursts;
mod channels;
mod congestion;
mod connections;
mod costs;
mod data_peer;
mod forged_sources;
mod hostile;
mod hot_path;
mod layers;
mod lite_peer;
mod peer;
mod redundancy;
mod repeats;
mod simulcast;
mod slow_link;
mod switching;
mod turns;
mod walls;
mod workers;

use std::time::Duration;

use crate::codec::Codec;
use crate::link::proto;
use peer::{Laboratory, PUBLISHER_SSRC, SUBSCRIBER_SSRC};

#[test]
fn a_publishers_packets_reach_a_subscriber_under_other_numbers() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    for sequence in 0..20_u16 {
        lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    }
    let packets = lab.received(subscriber);
    assert_eq!(packets.len(), 20);
    for pair in packets.windows(2) {
        assert_eq!(
            pair[1].sequence_number,
            pair[0].sequence_number.wrapping_add(1)
        );
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
    }
    assert!(packets.iter().all(|packet| packet.ssrc == SUBSCRIBER_SSRC
        && packet.payload_type == 109
        && packet.payload == b"sound"));
}

#[test]
fn video_begins_at_the_key_frame_that_the_joining_subscriber_asked_for() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Vp8);
    lab.send_media(publisher, 100, 0, VP8_DELTA);
    assert!(lab.received(subscriber).is_empty());
    assert!(lab.feedback(publisher).pli > 0);
    lab.send_media(publisher, 101, 3000, VP8_KEY);
    lab.send_media(publisher, 102, 6000, VP8_DELTA);
    assert_eq!(lab.received(subscriber).len(), 2);
}

#[test]
fn a_subscriber_that_is_not_connected_yet_asks_for_no_key_frame() {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    lab.send_media(publisher, 100, 0, VP8_DELTA);
    let mut waiting = lab.table(publisher);
    waiting.session_id = "waiting".into();
    waiting.publications.clear();
    waiting.subscriptions.push(peer::subscription());
    waiting.transport.as_mut().expect("a transport").local_ufrag = "server-waiting".into();
    lab.request(peer::apply(waiting))
        .expect("the table is right");
    lab.send_media(publisher, 101, 3000, VP8_DELTA);
    lab.advance(Duration::from_secs(2));
    assert_eq!(lab.feedback(publisher).pli, 0);
}

#[test]
fn a_lost_packet_is_asked_for_and_a_subscriber_gets_its_own_losses_again() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Vp8);
    lab.send_media(publisher, 1, 0, VP8_KEY);
    lab.send_media(publisher, 3, 3000, VP8_DELTA);
    lab.advance(Duration::from_millis(20));
    assert_eq!(lab.feedback(publisher).nacked, [2]);
    lab.send_media(publisher, 2, 3000, VP8_DELTA);
    let packets = lab.received(subscriber);
    assert_eq!(packets.len(), 3);

    let lost = packets[1].sequence_number;
    lab.send_nack(subscriber, SUBSCRIBER_SSRC, lost);
    let again = lab.received(subscriber);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].payload_type, 121, "by RTX");
    assert_eq!(again[0].payload[..2], lost.to_be_bytes());
    assert_eq!(again[0].payload[2..], packets[1].payload);
}

#[test]
fn a_transport_that_was_taken_away_is_gone_and_another_peer_may_come() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let mut table = lab.table(subscriber);
    table.transport = None;
    lab.request(peer::apply(table)).expect("the table is right");
    lab.send_media(publisher, 1, 0, b"sound");
    assert!(lab.received(subscriber).is_empty());

    let again = lab.join("subscriber", |table| {
        table.subscriptions.push(peer::subscription());
    });
    lab.send_media(publisher, 2, 960, b"sound");
    assert_eq!(lab.received(again).len(), 1);
    assert!(lab.received(subscriber).is_empty());
}

/// libwebrtc passes over feedback about an SSRC that it does not send, and then sends less and less.
#[test]
fn transport_wide_feedback_names_a_stream_of_the_publisher() {
    let mut lab = Laboratory::new();
    let id = 3;
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Opus));
        let extensions = &mut table
            .transport
            .as_mut()
            .expect("a transport")
            .header_extensions;
        extensions.push(proto::HeaderExtension {
            id: id.into(),
            kind: proto::HeaderExtensionKind::TransportWideCc.into(),
        });
    });
    let number: (u8, &[u8]) = (id, &[0, 1]);
    let datagram = lab.protect_stream(publisher, PUBLISHER_SSRC, &[number], 1, 0, b"sound");
    lab.deliver(publisher, &datagram);
    lab.advance(Duration::from_millis(100));
    assert_eq!(lab.feedback(publisher).transport_feedback, [PUBLISHER_SSRC]);
}

#[test]
fn a_replayed_packet_is_not_forwarded() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let datagram = lab.protect_media(publisher, 7, 0, b"sound");
    lab.deliver(publisher, &datagram);
    lab.deliver(publisher, &datagram);
    assert_eq!(lab.received(subscriber).len(), 1);
    assert_eq!(lab.counter("discarded_replayed"), 1);
}

#[test]
fn a_stranger_gets_no_answer() {
    let mut lab = Laboratory::new();
    let (publisher, _) = lab.call(Codec::Opus);
    let datagram = lab.protect_media(publisher, 7, 0, b"sound");
    assert!(lab.deliver_from_stranger(&datagram).is_empty());
    for length in 0..64 {
        for first in [0_u8, 22, 128, 200] {
            assert!(lab.deliver_from_stranger(&vec![first; length]).is_empty());
        }
    }
    assert!(lab.check_with_wrong_password(publisher).is_empty());
    lab.send_media(publisher, 8, 0, b"sound");
    assert_eq!(lab.counter("packets_forwarded"), 1);
}

#[test]
fn a_refused_table_changes_nothing_and_a_repeated_one_neither() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let mut table = lab.table(subscriber);
    lab.request(peer::apply(table.clone()))
        .expect("the same table again");
    table.control_state = b"another".to_vec();
    let subscription = table.subscriptions[0].clone();
    table.subscriptions.push(subscription);
    assert!(lab.request(peer::apply(table)).is_err());
    let snapshot = lab.snapshot();
    assert!(
        snapshot
            .sessions
            .iter()
            .all(|session| session.control_state == b"state")
    );
    lab.send_media(publisher, 1, 0, b"sound");
    assert_eq!(lab.received(subscriber).len(), 1);
}

#[test]
fn silence_is_told_once_and_ended_publications_forward_nothing() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    lab.send_media(publisher, 1, 0, b"sound");
    lab.advance(Duration::from_secs(6));
    assert_eq!(lab.publication_states(), [2, 3], "active, then silent");
    let mut table = lab.table(publisher);
    table.publications.clear();
    lab.request(peer::apply(table))
        .expect("a table without publications");
    lab.received(subscriber);
    lab.send_media(publisher, 2, 960, b"sound");
    assert!(lab.received(subscriber).is_empty());
}

#[test]
fn a_publication_that_never_sent_is_silent_too() {
    let mut lab = Laboratory::new();
    let (publisher, _) = lab.call(Codec::Opus);
    lab.advance(Duration::from_secs(6));
    assert_eq!(lab.publication_states(), [3]);
    // It may begin late all the same.
    lab.send_media(publisher, 1, 0, b"sound");
    lab.advance(Duration::from_secs(6));
    assert_eq!(lab.publication_states(), [3, 2, 3]);
}

/// A browser checks all our addresses from each port of its own, and goes over to another one when it likes that better.
#[test]
fn packets_are_taken_at_each_socket_that_the_peer_checked() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let first = lab.protect_media(publisher, 1, 960, b"sound");
    lab.deliver_at(publisher, 1, &first);
    assert!(lab.received(subscriber).is_empty(), "not checked yet");
    lab.check_socket(publisher, 1);
    lab.deliver_at(publisher, 1, &first);
    lab.send_media(publisher, 2, 1920, b"sound");
    assert_eq!(lab.received(subscriber).len(), 2);
}

#[test]
fn an_address_that_is_in_use_is_not_forgotten_for_new_ones() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    for port in 1..=200 {
        lab.prove_another_port(publisher, 10_000 + port);
        if port % 20 == 0 {
            lab.check_again(publisher);
        }
    }
    lab.send_media(publisher, 1, 960, b"sound");
    assert_eq!(lab.received(subscriber).len(), 1);
    lab.close_all();
    assert!(lab.engine.by_address.is_empty());
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut lab = Laboratory::new();
    lab.call(Codec::Vp8);
    lab.close_all();
    assert!(lab.engine.sessions.is_empty());
    assert!(lab.engine.publications.is_empty());
    assert!(lab.engine.encodings.is_empty());
    assert!(lab.engine.subscriptions.is_empty());
    assert!(lab.engine.by_address.is_empty());
    assert!(lab.engine.by_ufrag.is_empty());
}

/// VP8 payload descriptor with S set and a key frame's header (RFC 7741 section 4).
const VP8_KEY: &[u8] = &[0x10, 0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
/// The same with the frame header's P bit.
const VP8_DELTA: &[u8] = &[0x10, 0x01, 0x00, 0x00, 0x00];

#[test]
fn a_session_that_checks_its_path_is_seldom_looked_at_and_lost_without_checks() {
    let mut lab = Laboratory::new();
    let idle = lab.join("idle", |_| {});
    let mut looks = 0;
    for _ in 0..12 {
        let until = lab.now() + Duration::from_secs(5);
        looks += usize::from(lab.engine.next_timeout().is_some_and(|due| due <= until));
        lab.advance(Duration::from_secs(5));
        lab.check_again(idle);
    }
    assert!(looks <= 6, "{looks} looks in a minute");
    let state = |lab: &Laboratory| lab.transport_states().last().copied();
    assert_eq!(state(&lab), Some(proto::TransportState::Connected as i32));
    lab.advance(Duration::from_millis(14_900));
    assert_eq!(state(&lab), Some(proto::TransportState::Connected as i32));
    // Looks that are far away fall due together.
    lab.advance(Duration::from_millis(400));
    assert_eq!(
        state(&lab),
        Some(proto::TransportState::Disconnected as i32)
    );
}
