//! A subscription whose source changes: another publisher's track in the same stream.

use std::time::Duration;

use super::peer::{self, Laboratory, SUBSCRIBER_SSRC};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto::{self, request};

struct TwoPublishers {
    lab: Laboratory,
    publishers: [usize; 2],
    subscriber: usize,
    sequence: u16,
}

impl TwoPublishers {
    fn new() -> TwoPublishers {
        let mut lab = Laboratory::new();
        let fill = |table: &mut crate::link::proto::ApplySession| {
            table.publications.push(peer::publication(Codec::Vp8));
        };
        let publishers = [lab.join("publisher", fill), lab.join("another", fill)];
        let subscriber = lab.join("subscriber", |table| {
            table.subscriptions.push(peer::subscription());
        });
        TwoPublishers {
            lab,
            publishers,
            subscriber,
            sequence: 0,
        }
    }

    /// A frame of each publisher; its last byte tells whose it is.
    fn frames(&mut self, key: bool) {
        self.sequence += 1;
        for (index, publisher) in self.publishers.into_iter().enumerate() {
            let mut payload = if key { VP8_KEY } else { VP8_DELTA }.to_vec();
            payload.push(index as u8);
            let sequence = self.sequence + 20_000 * index as u16;
            let timestamp = u32::from(sequence) * 3000;
            self.lab
                .send_media(publisher, sequence, timestamp, &payload);
        }
        self.lab.advance(Duration::from_millis(33));
    }

    fn watch(&mut self, publisher: usize) {
        let mut table = self.lab.table(self.subscriber);
        table.subscriptions[0].publisher_session_id = ["publisher", "another"][publisher].into();
        self.lab.request(peer::apply(table)).unwrap();
    }
}

#[test]
fn the_new_picture_starts_at_a_key_frame_in_the_same_stream() {
    let mut call = TwoPublishers::new();
    call.frames(true);
    call.watch(1);
    call.frames(false);
    assert!(call.lab.feedback(call.publishers[1]).pli > 0);
    call.frames(true);
    call.watch(0);
    call.frames(true);
    let packets = call.lab.received(call.subscriber);
    let whose: Vec<u8> = packets.iter().map(|p| *p.payload.last().unwrap()).collect();
    assert_eq!(whose, [0, 0, 0, 1, 0]);
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence_number, pair[0].sequence_number + 1);
        assert!(pair[1].timestamp > pair[0].timestamp);
        assert_eq!(pair[1].ssrc, SUBSCRIBER_SSRC);
    }
}

#[test]
fn retransmissions_come_from_the_new_source() {
    let mut call = TwoPublishers::new();
    call.frames(true);
    call.watch(1);
    call.frames(true);
    let packets = call.lab.received(call.subscriber);
    let last = packets.last().unwrap();
    call.lab
        .send_nack(call.subscriber, SUBSCRIBER_SSRC, last.sequence_number);
    let again = call.lab.received(call.subscriber);
    assert_eq!(again[0].payload[2..], last.payload);
}

#[test]
fn the_old_source_may_end_before_the_new_one_begins() {
    let mut call = TwoPublishers::new();
    call.frames(true);
    call.watch(1);
    let mut table = call.lab.table(call.publishers[0]);
    table.publications.clear();
    call.lab.request(peer::apply(table)).unwrap();
    call.frames(false);
    assert_eq!(call.lab.received(call.subscriber).len(), 1);
    call.frames(true);
    assert_eq!(call.lab.received(call.subscriber).len(), 1);
    call.lab.close_all();
    assert!(call.lab.engine.subscriptions.is_empty());
}

/// VP9 payload descriptors (RFC 9628 section 4.2), each with a picture after it: a key frame's two sizes as S-modes send
/// them, where the larger one is no part of the smaller one's chain.
const SMALL_SIZE_OF_KEY: &[u8] = &[0xaf, 0x01, 0x00, 0x00, 0x20, 1, 2, 3, 4, 5];
const LARGE_SIZE_OF_KEY: &[u8] = &[0xad, 0x01, 0x02, 0x00, 1, 2, 3, 4, 5];

fn vp9() -> proto::Publication {
    let mut publication = peer::publication(Codec::Vp8);
    publication.formats[0].codec = proto::Codec::Vp9.into();
    publication
}

fn close(lab: &mut Laboratory, session: &str) {
    let session_id = session.into();
    let close = proto::CloseSession { session_id };
    lab.request(request::Body::CloseSession(close)).unwrap();
}

#[test]
fn a_new_source_whose_first_packet_is_of_another_size_takes_the_viewer_off_the_old_one() {
    let mut lab = Laboratory::new();
    let first = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let second = lab.join("another", |table| table.publications.push(vp9()));
    let viewer = lab.join("subscriber", |table| {
        table.subscriptions.push(peer::subscription());
    });
    lab.send_media(first, 1, 3000, VP8_KEY);
    let mut table = lab.table(viewer);
    table.subscriptions[0].publisher_session_id = "another".into();
    lab.request(peer::apply(table)).unwrap();
    lab.send_media(second, 1, 3000, SMALL_SIZE_OF_KEY);
    assert_eq!(lab.engine.check(), Ok(()));
    lab.send_media(second, 2, 3000, LARGE_SIZE_OF_KEY);
    close(&mut lab, "subscriber");
    assert_eq!(lab.engine.check(), Ok(()));
    lab.send_media(first, 2, 6000, VP8_DELTA);
}

/// The old picture gives way early to a cheaper one only; what has been there for longer is not dearer for that.
#[test]
fn an_old_picture_stays_until_the_key_frame_of_a_larger_one_that_began_later() {
    let mut call = TwoPublishers::new();
    let [old, new] = call.publishers;
    let frame = |size: usize, key: bool| {
        let mut payload = if key { VP8_KEY } else { VP8_DELTA }.to_vec();
        payload.resize(size, 7);
        payload
    };
    for sequence in 1..=900_u16 {
        let time = u32::from(sequence) * 3000;
        let payload = frame(100, sequence == 1);
        call.lab.send_media(old, sequence, time, &payload);
        if sequence > 840 {
            let payload = frame(1000, sequence == 841);
            call.lab.send_media(new, sequence, time, &payload);
        }
        if sequence % 60 == 0 {
            for index in [old, new, call.subscriber] {
                call.lab.check_again(index);
            }
        }
        call.lab.advance(Duration::from_millis(33));
    }
    assert_eq!(call.lab.received(call.subscriber).len(), 900);
    call.watch(1);
    for (sequence, key) in [(901, true), (902, false)] {
        let time = sequence * 3000;
        let payload = frame(100, key);
        call.lab.send_media(old, sequence as u16, time, &payload);
    }
    assert_eq!(call.lab.received(call.subscriber).len(), 2);
}
