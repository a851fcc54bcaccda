//! Simulcast: each subscriber gets one plain stream, whichever encoding is in it.

use std::time::{Duration, Instant};

use super::peer::{self, Laboratory, SUBSCRIBER_SSRC};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp;

const MID: u8 = 1;
const RID: u8 = 2;
const RIDS: [&str; 3] = ["f", "h", "q"];

/// A publisher of three encodings and a subscriber with that wish.
struct Simulcast {
    lab: Laboratory,
    publisher: usize,
    subscriber: usize,
    /// Of each encoding.
    sequences: [u16; 3],
    timestamp: u32,
}

fn wish(rid: &str, follow_bandwidth: bool, replace_unavailable: bool) -> proto::EncodingChoice {
    proto::EncodingChoice {
        preferred_rid: rid.into(),
        follow_bandwidth,
        replace_unavailable,
    }
}

impl Simulcast {
    /// By SSRC 1000, 1001, 1002, or by rid where `announced` is false.
    fn new(announced: bool, choice: Option<proto::EncodingChoice>) -> Simulcast {
        Simulcast::with(announced, choice, |_| {})
    }

    /// The same with more to say of both peers' transports.
    fn with(
        announced: bool,
        choice: Option<proto::EncodingChoice>,
        agree: impl Fn(&mut proto::Transport),
    ) -> Simulcast {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            let encodings = RIDS.iter().zip(1000..).map(|(rid, ssrc)| proto::Encoding {
                rid: (*rid).into(),
                ssrcs: if announced { vec![ssrc] } else { Vec::new() },
            });
            table.publications.push(proto::Publication {
                ssrcs: Vec::new(),
                encodings: encodings.collect(),
                ..peer::publication(Codec::Vp8)
            });
            let kinds = [
                (MID, proto::HeaderExtensionKind::Mid),
                (RID, proto::HeaderExtensionKind::Rid),
            ];
            let extensions = kinds.map(|(id, kind)| proto::HeaderExtension {
                id: id.into(),
                kind: kind.into(),
            });
            let transport = table.transport.as_mut().unwrap();
            transport.header_extensions = extensions.to_vec();
            agree(transport);
        });
        let subscriber = lab.join("subscriber", |table| {
            agree(table.transport.as_mut().unwrap());
            table.subscriptions.push(proto::Subscription {
                encoding_choice: choice.clone(),
                ..peer::subscription()
            });
        });
        Simulcast {
            lab,
            publisher,
            subscriber,
            sequences: [100, 20_000, 40_000],
            timestamp: 0,
        }
    }

    fn send(&mut self, encoding: usize, extensions: &[(u8, &[u8])], payload: &[u8]) {
        self.sequences[encoding] += 1;
        self.timestamp += 3000;
        let ssrc = 1000 + encoding as u32;
        let (sequence, timestamp) = (self.sequences[encoding], self.timestamp);
        let datagram = self.lab.protect_stream(
            self.publisher,
            ssrc,
            extensions,
            sequence,
            timestamp,
            payload,
        );
        self.lab.deliver(self.publisher, &datagram);
    }

    /// A frame of each encoding; its last byte tells which encoding it was.
    fn frames(&mut self, key: bool, encodings: &[usize]) {
        for &encoding in encodings {
            let mut payload = if key { VP8_KEY } else { VP8_DELTA }.to_vec();
            payload.push(encoding as u8);
            self.send(encoding, &[], &payload);
        }
        self.lab.advance(Duration::from_millis(33));
    }

    /// The encodings that the subscriber got, after a check that its numbers go on.
    fn got(&mut self) -> Vec<u8> {
        let packets = self.lab.received(self.subscriber);
        for pair in packets.windows(2) {
            let next = pair[0].sequence_number.wrapping_add(1);
            assert_eq!(pair[1].sequence_number, next);
            assert!(pair[1].timestamp > pair[0].timestamp);
        }
        let last = |packet: &peer::ReceivedPacket| packet.payload.last().copied();
        packets.iter().filter_map(last).collect()
    }

    /// Changes the subscriber's wish.
    fn wish(&mut self, choice: Option<proto::EncodingChoice>) {
        let mut table = self.lab.table(self.subscriber);
        table.subscriptions[0].encoding_choice = choice;
        self.lab.request(peer::apply(table)).unwrap();
    }
}

#[test]
fn the_preferred_encoding_is_sent_and_only_its_key_frame_is_asked_for() {
    let mut call = Simulcast::new(true, Some(wish("h", false, false)));
    call.frames(false, &[0, 1, 2]);
    assert!(call.got().is_empty());
    let asked = call.lab.feedback(call.publisher).pli_ssrcs;
    assert!(!asked.is_empty() && asked.iter().all(|&ssrc| ssrc == 1001));
    call.frames(true, &[0, 1, 2]);
    call.frames(false, &[0, 1, 2]);
    assert_eq!(call.got(), [1, 1]);
}

/// Viewers who join one after the other, switch and cannot decode: all encodings together are asked for once a second.
#[test]
fn a_publisher_is_asked_once_a_second_whatever_the_number_of_subscribers_and_encodings() {
    const STEP: Duration = Duration::from_millis(20);
    const NAMES: [&str; 8] = ["", "b", "c", "d", "e", "f", "g", "h"];
    let mut call = Simulcast::new(true, Some(wish("f", false, false)));
    let mut viewers = vec![call.subscriber];
    let mut asked: Vec<(Instant, Vec<u32>)> = Vec::new();
    for step in 0..250 {
        if step % 15 == 7 && viewers.len() < NAMES.len() {
            let rid = RIDS[viewers.len() % RIDS.len()];
            viewers.push(call.lab.join(NAMES[viewers.len()], |table| {
                table.subscriptions.push(proto::Subscription {
                    encoding_choice: Some(wish(rid, false, false)),
                    ..peer::subscription()
                });
            }));
        }
        for &viewer in &viewers {
            call.lab.send_rtcp(viewer, |packet| {
                rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC);
            });
        }
        let now = call.lab.now();
        let is_answered = asked.last().is_some_and(|(at, _)| *at == now);
        for (encoding, payload) in [(0, b'f'), (1, b'h'), (2, b'q')] {
            let frame = if is_answered { VP8_KEY } else { VP8_DELTA };
            call.send(encoding, &[], &[frame, &[payload]].concat());
        }
        call.lab.advance(STEP);
        let ssrcs = call.lab.feedback(call.publisher).pli_ssrcs;
        if !ssrcs.is_empty() {
            asked.push((call.lab.now(), ssrcs));
        }
    }
    assert_eq!(asked[0].1, [1000], "nobody watches the others yet");
    assert!((4..=6).contains(&asked.len()), "{asked:?}");
    for pair in asked.windows(2) {
        assert!(
            pair[1].0 - pair[0].0 + STEP >= Duration::from_secs(1),
            "{asked:?}"
        );
        let mut ssrcs = pair[1].1.clone();
        ssrcs.sort_unstable();
        assert_eq!(ssrcs, [1000, 1001, 1002]);
    }
}

#[test]
fn another_wish_switches_at_a_key_frame_with_continuous_numbers() {
    let mut call = Simulcast::new(true, Some(wish("h", false, false)));
    call.frames(true, &[0, 1, 2]);
    call.frames(true, &[0, 1, 2]);
    call.wish(Some(wish("q", false, false)));
    call.frames(false, &[0]);
    call.lab.advance(Duration::from_secs(1));
    call.frames(false, &[1, 2]);
    assert!(call.lab.feedback(call.publisher).pli_ssrcs.contains(&1002));
    call.frames(true, &[0, 1, 2]);
    call.frames(false, &[0, 1, 2]);
    // The old picture until the new one's key frame; at that moment both, one after the other.
    assert_eq!(call.got(), [1, 1, 1, 1, 2, 2]);
}

#[test]
fn what_was_lost_just_before_a_switch_is_sent_again() {
    let mut call = Simulcast::new(true, Some(wish("h", false, false)));
    call.frames(true, &[0, 1, 2]);
    call.frames(false, &[0, 1, 2]);
    call.wish(Some(wish("q", false, false)));
    call.frames(true, &[2]);
    let packets = call.lab.received(call.subscriber);
    let [.., last_of_old, first_of_new] = &packets[..] else {
        panic!("packets of both encodings");
    };
    assert_eq!(last_of_old.payload.last(), Some(&1));
    assert_eq!(first_of_new.payload.last(), Some(&2));
    for (at, lost) in [last_of_old, first_of_new].into_iter().enumerate() {
        call.lab
            .send_nack(call.subscriber, SUBSCRIBER_SSRC, lost.sequence_number);
        let again = call.lab.received(call.subscriber);
        let [again] = &again[..] else {
            panic!("packet {at} comes again");
        };
        assert_eq!(again.payload[..2], lost.sequence_number.to_be_bytes());
        assert_eq!(again.payload[2..], lost.payload);
        assert_eq!(again.timestamp, lost.timestamp);
    }
    assert_eq!(call.lab.counter("packets_asked_in_vain"), 0);
}

#[test]
fn without_a_wish_the_best_live_encoding_is_sent() {
    let mut call = Simulcast::new(true, None);
    call.frames(true, &[2]);
    assert_eq!(
        call.got(),
        [2],
        "the first that comes is better than nothing"
    );
    // The measured rate decides which is the best.
    for _ in 0..40 {
        for encoding in [0, 0, 0, 1, 1, 2] {
            let payload = [VP8_KEY, &[encoding as u8]].concat();
            call.send(encoding, &[], &payload);
        }
        call.lab.advance(Duration::from_millis(33));
    }
    assert_eq!(call.got().last(), Some(&0));
}

#[test]
fn an_encoding_that_stops_is_replaced_only_on_wish() {
    for (replace, expected) in [(true, Some(1)), (false, None)] {
        let mut call = Simulcast::new(true, Some(wish("f", false, replace)));
        call.frames(true, &[0, 1, 2]);
        call.frames(true, &[0, 1, 2]);
        call.got();
        for _ in 0..100 {
            call.frames(true, &[1, 2]);
        }
        assert_eq!(call.got().last().copied(), expected);
        for _ in 0..3 {
            call.frames(true, &[0, 1, 2]);
        }
        assert_eq!(call.got().last(), Some(&0), "and it comes back");
    }
}

#[test]
fn encodings_are_learned_from_their_rids_and_stay_known() {
    let mut call = Simulcast::new(false, Some(wish("q", false, false)));
    let payload = [VP8_KEY, &[2]].concat();
    call.send(2, &[], &payload);
    assert!(call.got().is_empty(), "without a rid nobody knows it");
    for (encoding, rid) in RIDS.iter().enumerate() {
        let extensions: [(u8, &[u8]); 2] = [(MID, b"0"), (RID, rid.as_bytes())];
        call.send(encoding, &extensions, &payload);
    }
    let table = call.lab.table(call.publisher);
    call.lab.request(peer::apply(table)).unwrap();
    call.frames(true, &[0, 1, 2]);
    assert_eq!(call.got(), [2, 2]);
}

#[test]
fn rids_that_come_and_go_cost_bounded_work() {
    let mut call = Simulcast::new(true, None);
    for round in 0..200_u32 {
        let mut table = call.lab.table(call.publisher);
        let encodings = &mut table.publications[0].encodings;
        let keep = (round % 3) as usize + 1;
        encodings.truncate(keep);
        call.lab.request(peer::apply(table)).unwrap();
        call.frames(true, &[0, 1, 2]);
    }
    assert!(call.lab.engine.encodings.len() <= 3);
    let key = call.lab.engine.encodings.keys().next().unwrap();
    assert_eq!(call.lab.engine.encodings[key].subscriptions.len(), 1);
    assert!(!call.got().is_empty());
}

#[test]
fn a_table_with_wrong_encodings_is_refused() {
    let mut call = Simulcast::new(true, None);
    let good = call.lab.table(call.publisher);
    for rids in [vec!["a", "a"], vec![""], vec!["a"; 9]] {
        let mut table = good.clone();
        table.publications[0].encodings = rids
            .iter()
            .map(|rid| proto::Encoding {
                rid: (*rid).into(),
                ssrcs: Vec::new(),
            })
            .collect();
        assert!(call.lab.request(peer::apply(table)).is_err());
    }
}

/// A dependency descriptor of a frame with its structure, too long for the one-byte form.
fn descriptor(frame_number: u16) -> Vec<u8> {
    let [high, low] = frame_number.to_be_bytes();
    [&[0x80, high, low, 0x80][..], &[7; 20]].concat()
}

#[test]
fn dependency_descriptors_pass_whole_and_their_frame_numbers_go_on() {
    const DESCRIPTOR: u8 = 5;
    for mixed in [true, false] {
        let choice = Some(wish("f", false, false));
        let mut call = Simulcast::with(true, choice, |transport| {
            let kind = proto::HeaderExtensionKind::DependencyDescriptor.into();
            let id = DESCRIPTOR.into();
            let extension = proto::HeaderExtension { id, kind };
            transport.header_extensions.push(extension);
            transport.mixed_header_extensions = mixed;
        });
        // The payload tells nothing, as one that is encrypted end to end.
        let hidden = &[0x00, 0xff];
        call.send(0, &[(DESCRIPTOR, &descriptor(500))], hidden);
        call.wish(Some(wish("q", false, false)));
        call.send(2, &[(DESCRIPTOR, &descriptor(9))], hidden);
        let packets = call.lab.received(call.subscriber);
        let got: Vec<_> = packets
            .iter()
            .map(|packet| &packet.extensions[..])
            .collect();
        let expected = [500, 501].map(|number| match mixed {
            true => vec![(DESCRIPTOR, descriptor(number))],
            false => Vec::new(),
        });
        assert_eq!(got, expected);
    }
}
