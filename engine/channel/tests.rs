use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload};

use super::gate::Gate;
use super::*;

fn message(text: &str) -> Message {
    Message {
        kind: MessageKind::Text,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

#[test]
fn a_queue_is_full_or_drops_its_oldest_by_messages_and_by_bytes() {
    let mut reliable = Queue::new(2, 100, false);
    assert_eq!(reliable.push(message("a")), Pushed::Queued);
    assert_eq!(reliable.push(message("b")), Pushed::Queued);
    assert_eq!(reliable.push(message("c")), Pushed::Full);
    let mut lossy = Queue::new(10, 10, true);
    for text in ["1234", "5678"] {
        assert_eq!(lossy.push(message(text)), Pushed::Queued);
    }
    assert_eq!(lossy.push(message("12345678")), Pushed::DroppedOldest(2));
    assert_eq!(lossy.pop(), Some(message("12345678")));
    assert_eq!(
        lossy.push(message("longer than all that may wait")),
        Pushed::Queued
    );
    assert!(lossy.pop().is_some() && lossy.is_empty());
}

/// A packet from port 5000 to 5000 with one DATA chunk of so many bytes.
fn data(stream: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0];
    packet.extend([0, 3]);
    packet.extend((16 + payload as u16).to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(stream.to_be_bytes());
    packet.extend(vec![0; 6 + payload]);
    packet
}

#[test]
fn the_gate_lets_through_what_an_honest_peer_sends() {
    let mut gate = Gate::new(5000, 5000, 1000);
    assert!(gate.check(&data(511, 1)).is_ok());
    for bad in [data(512, 1), data(0, 0), data(0, 1)[..20].to_vec(), vec![]] {
        assert!(gate.check(&bad).is_err());
    }
    assert!(Gate::new(5001, 5000, 1000).check(&data(0, 1)).is_err());
}

#[test]
fn the_gate_bounds_what_waits_and_forgets_it_when_our_window_is_open_again() {
    let mut gate = Gate::new(5000, 5000, 1 << 20);
    let accepted = (0..40_000).filter(|_| gate.check(&data(0, 1)).is_ok());
    assert_eq!(accepted.count(), 16_384);
    let mut sack = vec![0; 12];
    sack.extend([3, 0, 0, 16, 0, 0, 0, 1]);
    sack.extend((1_u32 << 20).to_be_bytes());
    sack.extend([0; 4]);
    gate.sent(&sack);
    assert!(gate.check(&data(0, 1)).is_ok());
}

/// A data chunk with a TSN, the whole of a message.
fn numbered(tsn: u32) -> Vec<u8> {
    let mut packet = data(0, 1);
    packet[16..20].copy_from_slice(&tsn.to_be_bytes());
    packet
}

#[test]
fn the_gate_keeps_room_for_what_is_missing_and_counts_nothing_twice() {
    let mut gate = Gate::new(5000, 5000, 1 << 20);
    let mut sack = vec![0; 28];
    sack[12] = 3;
    sack[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    sack[20..24].copy_from_slice(&(1u32 << 20).to_be_bytes());
    gate.sent(&sack);
    assert!(gate.check(&numbered(0)).is_ok());
    let ahead = (2..40_000).filter(|&tsn| gate.check(&numbered(tsn)).is_ok());
    let ahead = ahead.count();
    assert!(ahead < 16_384, "{ahead}");
    for _ in 0..40_000 {
        assert!(gate.check(&numbered(0)).is_ok(), "had before");
    }
    let missing = (1..4_000).filter(|&tsn| gate.check(&numbered(tsn)).is_ok());
    assert_eq!(missing.count(), 3_999);
}

/// CRC-32C (RFC 9260 appendix A), bit by bit.
fn checksum(packet: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in packet {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

/// All packets of both sides, until there are no more.
fn exchange(now: Instant, one: &mut SctpAssociation, other: &mut SctpAssociation) {
    for _ in 0..10 {
        while let Some(packet) = one.poll_packet(now) {
            other.handle_packet(now, packet).expect("an honest packet");
        }
        while let Some(packet) = other.poll_packet(now) {
            one.handle_packet(now, packet).expect("an honest packet");
        }
    }
}

#[test]
fn we_begin_with_a_peer_that_waits_but_not_before_it_had_time_to() {
    let now = Instant::now();
    let [mut ours, mut peer] = [0; 2].map(|max| SctpAssociation::new(SCTP_PORT, max));
    assert_eq!(ours.next_timeout(), None, "not before DTLS is up");
    ours.begin(now);
    assert!(ours.poll_packet(now).is_none());
    let due = ours.next_timeout().expect("it waits");
    assert_eq!(due, now + Duration::from_secs(1));
    ours.handle_timeout(due);
    exchange(due, &mut ours, &mut peer);
    for (from, to) in [(0, 1), (1, 0)] {
        let sides = [&mut ours, &mut peer];
        assert_eq!(sides[from].poll_event(), Some(AssociationEvent::Connected));
        let settings = StreamSettings {
            ordered: true,
            reliability: Reliability::Reliable,
        };
        sides[from].open(3, settings);
        assert!(sides[from].write(3, &message("hello")));
        let [one, other] = sides;
        exchange(due, one, other);
        let got = [&mut ours, &mut peer][to].read();
        assert_eq!(got, Some((3, Incoming::Message(message("hello")))));
    }
}

#[test]
fn what_nobody_answers_gives_way_to_what_the_peer_begins() {
    let now = Instant::now();
    let mut ours = SctpAssociation::new(SCTP_PORT, 0);
    ours.begin(now);
    let due = ours.next_timeout().expect("it waits");
    ours.handle_timeout(due);
    assert!(ours.poll_packet(due).is_some(), "and it is lost");
    assert!(ours.poll_packet(due).is_none());
    begin_by_peer(due, &mut ours);
    // Nothing is left of the first one.
    assert!(
        ours.next_timeout()
            .is_none_or(|at| at > due + Duration::from_millis(100))
    );
}

/// An association that a peer has begun, and its verification tag as that peer knows it.
fn established(now: Instant) -> (SctpAssociation, [u8; 4]) {
    let mut ours = SctpAssociation::new(SCTP_PORT, 0);
    ours.begin(now);
    let tag = begin_by_peer(now, &mut ours);
    (ours, tag)
}

fn begin_by_peer(now: Instant, ours: &mut SctpAssociation) -> [u8; 4] {
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
    let address = "127.0.0.1:5000".parse().expect("an address");
    let (_, mut peer) = endpoint
        .connect(ClientConfig::new(), address)
        .expect("a good config");
    let mut tag = [0; 4];
    for _ in 0..4 {
        while let Some(transmit) = peer.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.payload else {
                continue;
            };
            for packet in packets {
                tag.copy_from_slice(&packet[4..8]);
                ours.handle_packet(now, packet).expect("an honest packet");
            }
        }
        while let Some(packet) = ours.poll_packet(now) {
            if let Some((_, DatagramEvent::AssociationEvent(event))) =
                endpoint.handle(now, address, None, None, packet)
            {
                peer.handle_event(event);
            }
        }
    }
    assert_eq!(ours.poll_event(), Some(AssociationEvent::Connected));
    tag
}

/// Authentic packets with chunks of random content: an association may end by them, and nothing else.
#[test]
fn random_chunks_of_the_peer_itself_are_survived() {
    let mut chance = 7_u32;
    let mut random = move || {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 16) as u8
    };
    let kinds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 64, 130, 192, 194];
    let now = Instant::now();
    for round in 0..600 {
        let (mut ours, tag) = established(now);
        for _ in 0..40 {
            let mut packet = vec![0x13, 0x88, 0x13, 0x88];
            packet.extend(tag);
            packet.extend([0; 4]);
            for _ in 0..=random() % 3 {
                let kind = kinds[(usize::from(random()) + round) % kinds.len()];
                let length = 4 + u16::from(random() % 40);
                packet.extend([kind, random() % 8]);
                packet.extend(length.to_be_bytes());
                // Small numbers lead further into parsers than large ones.
                packet.extend((4..length.next_multiple_of(4)).map(|_| match random() % 3 {
                    0 => random(),
                    1 => random() % 20,
                    _ => 0,
                }));
            }
            let sum = checksum(&packet).to_le_bytes();
            packet[8..12].copy_from_slice(&sum);
            let _ = ours.handle_packet(now, packet.into());
            while ours.read().is_some() {}
            while ours.poll_packet(now).is_some() {}
            while ours.poll_event().is_some() {}
        }
        if let Some(due) = ours.next_timeout() {
            ours.handle_timeout(due);
        }
        while ours.poll_packet(now).is_some() {}
    }
}
