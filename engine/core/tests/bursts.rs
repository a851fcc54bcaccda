//! Packets that come in one receive batch, and so leave together: nobody misses one, and all stay in their order.

use super::peer::{self, Laboratory};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto::{self, request};

const VIEWERS: [&str; 3] = ["a", "b", "c"];
/// The publisher's number for the header extension with the mid.
const MID: u8 = 1;

struct Room {
    lab: Laboratory,
    publisher: usize,
    viewers: Vec<usize>,
    sequence: u16,
}

/// A publisher whose streams are known by their mid, and its viewers, who have their first picture.
fn room() -> Room {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        let id = proto::HeaderExtension {
            id: MID.into(),
            kind: proto::HeaderExtensionKind::Mid.into(),
        };
        let transport = table.transport.as_mut().expect("of a peer");
        transport.header_extensions = vec![id];
        table.publications.push(proto::Publication {
            ssrcs: Vec::new(),
            ..peer::publication(Codec::Vp8)
        });
    });
    let watch = |table: &mut proto::ApplySession| table.subscriptions.push(peer::subscription());
    let viewers = VIEWERS.map(|name| lab.join(name, watch)).to_vec();
    let mut room = Room {
        lab,
        publisher,
        viewers,
        sequence: 0,
    };
    room.take(7, &[VP8_KEY.to_vec()]);
    room.end_batch();
    for viewer in room.viewers.clone() {
        room.lab.received(viewer);
    }
    room
}

impl Room {
    /// Packets of a stream, as a part of a receive batch.
    fn take(&mut self, ssrc: u32, payloads: &[Vec<u8>]) {
        for payload in payloads {
            self.sequence += 1;
            let (number, mid) = (self.sequence, [(MID, &b"0"[..])]);
            let time = u32::from(number) * 3000;
            let packet =
                (self.lab).protect_stream(self.publisher, ssrc, &mid, number, time, payload);
            self.lab
                .hand_over(self.lab.address(self.publisher), &packet);
        }
    }

    fn end_batch(&mut self) {
        self.lab.settle();
    }

    /// The last bytes of what each viewer got.
    fn seen(&mut self) -> Vec<Vec<u8>> {
        let viewers = self.viewers.clone();
        let seen = viewers.into_iter().map(|viewer| {
            let packets = self.lab.received(viewer);
            for pair in packets.windows(2) {
                assert_eq!(pair[1].sequence_number, pair[0].sequence_number + 1);
            }
            packets
                .iter()
                .map(|packet| *packet.payload.last().unwrap())
                .collect()
        });
        seen.collect()
    }
}

fn marked(kind: &[u8], marks: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    marks.map(|mark| [kind, &[mark]].concat()).collect()
}

#[test]
fn each_viewer_gets_all_packets_of_a_batch_in_order() {
    let mut room = room();
    for count in [1, 10, 16, 17, 60] {
        room.take(7, &marked(VP8_DELTA, 0..count));
        room.end_batch();
        let all: Vec<u8> = (0..count).collect();
        assert_eq!(room.seen(), vec![all; VIEWERS.len()]);
    }
}

#[test]
fn packets_before_a_stream_that_begins_in_the_same_batch_are_not_lost() {
    let mut room = room();
    room.take(7, &marked(VP8_DELTA, 0..5));
    room.take(8, &marked(VP8_KEY, 5..6));
    room.take(8, &marked(VP8_DELTA, 6..9));
    room.end_batch();
    assert_eq!(
        room.seen(),
        vec![(0..9).collect::<Vec<u8>>(); VIEWERS.len()]
    );
}

#[test]
fn who_is_closed_or_leaves_a_track_in_a_batch_still_gets_what_came_before() {
    let mut room = room();
    room.take(7, &marked(VP8_DELTA, 0..5));
    let mut table = room.lab.table(room.viewers[0]);
    table.subscriptions.clear();
    room.lab.request(peer::apply(table)).unwrap();
    room.take(7, &marked(VP8_DELTA, 5..8));
    let session_id = "publisher".into();
    let close = proto::CloseSession { session_id };
    room.lab
        .request(request::Body::CloseSession(close))
        .unwrap();
    room.end_batch();
    let rest: Vec<u8> = (0..8).collect();
    assert_eq!(room.seen(), [(0..5).collect(), rest.clone(), rest]);
}

#[test]
fn each_viewer_has_its_turn_to_be_first_and_to_be_last() {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    for (ssrc, name) in (100..).zip(["a", "b", "c", "d", "e"]) {
        lab.join(name, |table| {
            table.subscriptions.push(proto::Subscription {
                ssrc,
                rtx_ssrc: Some(ssrc + 50),
                ..peer::subscription()
            });
        });
    }
    let (mut first, mut last) = ([0; 5], [0; 5]);
    for number in 0..50 {
        let payload = if number == 0 { VP8_KEY } else { VP8_DELTA };
        let media = lab.protect_media(publisher, number, 3000, payload);
        let sent = lab.deliver_and_lose(publisher, &media);
        let order: Vec<_> = sent.iter().map(|packet| packet[11] - 100).collect();
        assert_eq!(order.len(), 5);
        first[usize::from(order[0])] += 1;
        last[usize::from(order[4])] += 1;
    }
    for count in first.iter().chain(&last) {
        assert!((5..=15).contains(count), "{first:?} {last:?}");
    }
}
