//! A peer that forges where its packets come from has nothing sent to somebody who never asked ("voice hammer", RFC 8445
//! section 19.4.1, RFC 9000 section 8).

use std::net::SocketAddr;
use std::time::Duration;

use super::peer::{self, Laboratory};
use crate::codec::Codec;
use crate::link::proto::TransportState;

/// Receives, but is nobody's peer.
const VICTIM: ([u8; 4], u16) = ([192, 0, 2, 7], 5004);
const PASSWORD: &str = "a-password-that-is-long-enough";

fn victim() -> SocketAddr {
    SocketAddr::from(VICTIM)
}

/// At least something comes back, or the victim's own answer could never prove anything.
fn assert_bounded(lab: &Laboratory, forged: usize) {
    let got = lab.bytes_to(victim());
    assert!(0 < got && got <= 3 * forged, "{got} for {forged}");
}

fn sound(lab: &mut Laboratory, publisher: usize, subscriber: usize, sequence: u16) -> usize {
    lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    lab.received(subscriber).len()
}

#[test]
fn a_first_check_and_a_client_hello_bring_a_stranger_thrice_their_size_at_most() {
    for hellos in 0..4 {
        let mut lab = Laboratory::new();
        let forger = lab.introduce(9000, "forger", |_| {});
        let mut forged = lab.forge_check(forger, victim());
        for _ in 0..hellos {
            for record in lab.client_hello(forger) {
                forged += lab.forge(victim(), &record);
            }
        }
        lab.advance(Duration::from_secs(60));
        assert_bounded(&lab, forged);
    }
}

#[test]
fn media_stays_on_the_proven_path_while_another_one_is_claimed() {
    for is_heard in [true, false] {
        let mut lab = Laboratory::new();
        let (publisher, subscriber) = lab.call(Codec::Opus);
        let mut forged = 0;
        let mut heard = 0;
        for sequence in 1..=650 {
            if sequence % 25 == 0 {
                forged += lab.forge_check(subscriber, victim());
                lab.check_again(publisher);
            }
            if sequence % 100 == 0 && is_heard {
                lab.check_again(subscriber);
            }
            heard += sound(&mut lab, publisher, subscriber, sequence);
            lab.advance(Duration::from_millis(20));
        }
        assert_eq!(heard, 650, "heard: {is_heard}");
        assert_bounded(&lab, forged);
        // The peer is lost in the end, however often another address is claimed.
        for _ in 0..20 {
            forged += lab.forge_check(subscriber, victim());
            lab.check_again(publisher);
            lab.advance(Duration::from_secs(1));
        }
        let lost: i32 = TransportState::Disconnected.into();
        assert_eq!(lab.transport_states().last(), Some(&lost));
        assert_bounded(&lab, forged);
        // And comes back.
        lab.check_again(subscriber);
        assert_eq!(sound(&mut lab, publisher, subscriber, 651), 1);
    }
}

#[test]
fn an_association_that_is_begun_from_elsewhere_brings_a_stranger_nothing() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let mut forged = lab.forge_check(subscriber, victim());
    for _ in 0..5 {
        for record in lab.client_hello(subscriber) {
            forged += lab.forge(victim(), &record);
        }
        lab.advance(Duration::from_secs(1));
    }
    assert_bounded(&lab, forged);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
}

#[test]
fn many_claimed_addresses_bring_each_no_more_and_the_peer_can_still_move() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let strangers = (1..=200).map(|port| SocketAddr::from(([192, 0, 2, 8], port)));
    for stranger in strangers {
        let forged = lab.forge_check(subscriber, stranger);
        assert!(lab.bytes_to(stranger) <= 3 * forged);
    }
    lab.change_path(subscriber);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
}

/// An address changes hands, and the peer of before goes on to forge checks from there.
#[test]
fn media_to_an_address_that_no_longer_answers_ends() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let address = lab.address(subscriber);
    lab.vanish(subscriber);
    let mut after_a_minute = (0, 0);
    let mut forged = 0;
    for second in 0..120_u16 {
        if second == 60 {
            after_a_minute = (forged, lab.bytes_to(address));
        }
        forged += lab.forge_check(subscriber, address);
        lab.check_again(publisher);
        for packet in 0..10 {
            let sequence = second * 10 + packet;
            lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
            lab.advance(Duration::from_millis(100));
        }
    }
    let (forged_before, got_before) = after_a_minute;
    assert!(got_before > 0);
    let got = lab.bytes_to(address) - got_before;
    let forged = forged - forged_before;
    assert!(got <= 3 * forged, "{got} for {forged}");
    let lost: i32 = TransportState::Disconnected.into();
    assert_eq!(lab.transport_states().last(), Some(&lost));
}

#[test]
fn a_peer_that_answers_keeps_its_path_for_minutes() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    for sequence in 1..=100 {
        assert_eq!(sound(&mut lab, publisher, subscriber, sequence), 1);
        lab.advance(Duration::from_secs(5));
        lab.check_again(publisher);
        lab.check_again(subscriber);
    }
    let lost: i32 = TransportState::Disconnected.into();
    assert!(!lab.transport_states().contains(&lost));
}

#[test]
fn only_the_answer_that_was_asked_for_proves_an_address() {
    let mut lab = Laboratory::new();
    let forger = lab.introduce(9000, "forger", |_| {});
    let sent = lab.check_with_forged_source(forger, victim());
    let check = &sent[0];
    let mut another = Laboratory::answer(check, PASSWORD);
    another[8] ^= 1;
    let mut forged = lab.forge(victim(), &another);
    forged += lab.forge(
        victim(),
        &Laboratory::answer(check, "some-other-password-of-anybody"),
    );
    let from_elsewhere = SocketAddr::from(([192, 0, 2, 7], 5005));
    lab.forge(from_elsewhere, &Laboratory::answer(check, PASSWORD));
    for record in lab.client_hello(forger) {
        forged += lab.forge(victim(), &record);
        lab.forge(from_elsewhere, &record);
    }
    lab.advance(Duration::from_secs(10));
    assert!(lab.bytes_to(victim()) <= 3 * forged);
    assert_eq!(lab.bytes_to(from_elsewhere), 0);
}

#[test]
fn a_peer_that_moves_has_its_media_after_one_round_trip_or_a_repeat() {
    for losses in 0..4 {
        let mut lab = Laboratory::new();
        let (publisher, subscriber) = lab.call(Codec::Opus);
        assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
        lab.advance(Duration::from_secs(6));
        lab.move_and_lose(subscriber, losses);
        if losses > 2 {
            // Its repeats are paid for by the peer's.
            lab.advance(Duration::from_millis(250));
            lab.check_again(subscriber);
        }
        lab.advance(Duration::from_millis(100));
        assert_eq!(
            sound(&mut lab, publisher, subscriber, 2),
            1,
            "{losses} lost"
        );
    }
}

/// The engine's check is lost, so that the peer begins its handshake before it has proved its address.
#[test]
fn a_client_hello_that_comes_early_waits_for_the_proof() {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Opus));
    });
    let early = lab.introduce(9100, "early", |table| {
        table.subscriptions.push(peer::subscription());
    });
    assert_eq!(lab.check_and_lose(early).len(), 2, "a check and an answer");
    let before = lab.now();
    lab.handshake(early);
    assert!(lab.now() - before < Duration::from_millis(200));
    assert_eq!(sound(&mut lab, publisher, early, 1), 1);
}
