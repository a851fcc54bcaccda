//! A peer that begins another DTLS association under the same ICE credentials.

use std::time::Duration;

use super::peer::{self, Laboratory};
use crate::codec::Codec;
use crate::link::proto::TransportState;

fn sound(lab: &mut Laboratory, publisher: usize, subscriber: usize, sequence: u16) -> usize {
    lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    lab.received(subscriber).len()
}

#[test]
fn media_goes_on_under_the_new_keys_with_or_without_a_goodbye() {
    for says_goodbye in [true, false] {
        let mut lab = Laboratory::new();
        let (publisher, subscriber) = lab.call(Codec::Opus);
        assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
        lab.begin_association(subscriber, says_goodbye);
        assert_eq!(sound(&mut lab, publisher, subscriber, 2), 1);
        lab.begin_association(publisher, says_goodbye);
        assert_eq!(sound(&mut lab, publisher, subscriber, 3), 1);
        lab.advance(Duration::from_secs(4));
        let closed: i32 = TransportState::Closed.into();
        assert!(!lab.transport_states().contains(&closed));
        assert_eq!(sound(&mut lab, publisher, subscriber, 4), 1);
    }
}

/// A receiver takes the first packet under new keys for one of the first 65,536 (RFC 3711 section 3.3.1).
#[test]
fn a_long_stream_is_understood_under_new_keys() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    for turn in 0..70_000_u32 {
        let datagram = lab.protect_numbered(publisher, u64::from(turn) + 1, b"sound");
        lab.deliver(publisher, &datagram);
    }
    assert_eq!(lab.received(subscriber).len(), 70_000);
    lab.begin_association(subscriber, false);
    let datagram = lab.protect_numbered(publisher, 70_001, b"sound");
    lab.deliver(publisher, &datagram);
    assert_eq!(lab.received(subscriber).len(), 1);
}

#[test]
fn a_goodbye_without_another_association_ends_the_transport() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    lab.say_goodbye(subscriber);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 0);
    lab.advance(Duration::from_secs(3));
    let closed: i32 = TransportState::Closed.into();
    assert_eq!(lab.transport_states().last(), Some(&closed));
}

#[test]
fn a_client_hello_that_leads_nowhere_changes_nothing() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let hello = [&[22, 254, 253, 0, 0][..], &[0; 8], &[1], &[0; 40]].concat();
    lab.deliver_from_another_port(subscriber, &hello);
    lab.deliver(subscriber, &hello);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
    lab.advance(Duration::from_secs(12));
    assert_eq!(sound(&mut lab, publisher, subscriber, 2), 1);
    let table = lab.table(subscriber);
    lab.request(peer::apply(table)).unwrap();
}

/// Somebody writes from the peer's address: before its handshake, and again within it.
#[test]
fn forged_records_in_plain_keep_no_peer_out() {
    let header = |kind: u8, body: &[u8]| {
        let head = [kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, body.len() as u8];
        [&head[..], body].concat()
    };
    let message = |kind: u8, total: [u8; 3], bytes: &[u8]| {
        let length = [0, 0, bytes.len() as u8];
        let parts = [&[kind], &total[..], &[0; 5], &length, bytes];
        header(22, &parts.concat())
    };
    let mut forged = vec![header(21, &[2, 40]), header(21, &[1, 0]), header(20, &[1])];
    forged.extend([header(23, b"data"), header(26, &[0, 0])]);
    for kind in 0..=25 {
        forged.push(message(kind, [0, 0, 0], &[]));
        forged.push(message(kind, [0, 0, 90], &[1; 90]));
        forged.push(message(kind, [255, 255, 255], &[1; 90]));
    }
    for records in forged.chunks(1).chain([&forged[..]]) {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            table.publications.push(peer::publication(Codec::Opus));
        });
        let subscriber = lab.introduce(9100, "subscriber", |table| {
            table.subscriptions.push(peer::subscription());
        });
        lab.check_again(subscriber);
        for record in records {
            lab.deliver(subscriber, record);
        }
        lab.handshake(subscriber);
        assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
    }
}

/// A peer that does not get the first packets under new keys would guess another rollover counter from those after a turn.
#[test]
fn a_stream_about_to_turn_is_understood_whatever_is_lost_under_new_keys() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let mut place = 0;
    let mut send = |lab: &mut Laboratory| {
        place += 1;
        lab.protect_numbered(publisher, place, b"sound")
    };
    loop {
        let datagram = send(&mut lab);
        lab.deliver(publisher, &datagram);
        let received = lab.received(subscriber);
        if received[0].sequence_number == u16::MAX - 1 {
            break;
        }
    }
    lab.begin_association(subscriber, false);
    for _ in 0..4 {
        let datagram = send(&mut lab);
        assert_eq!(lab.deliver_and_lose(publisher, &datagram).len(), 1);
    }
    let datagram = send(&mut lab);
    lab.deliver(publisher, &datagram);
    assert_eq!(lab.received(subscriber).len(), 1);
}

/// The peer stops all that it had, and begins with a connection of its own again.
#[test]
fn media_goes_on_over_another_transport_of_the_session() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    for place in 1..=70_000 {
        let datagram = lab.protect_numbered(publisher, place, b"sound");
        lab.deliver(publisher, &datagram);
    }
    assert_eq!(lab.received(subscriber).len(), 70_000);
    lab.begin_transport(subscriber);
    let datagram = lab.protect_numbered(publisher, 70_001, b"sound");
    lab.deliver(publisher, &datagram);
    assert_eq!(lab.received(subscriber).len(), 1);
}
