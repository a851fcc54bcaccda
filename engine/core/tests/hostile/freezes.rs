//! Encodings that freeze while viewers are on them. (Layers of one: `layers`.)

use std::time::Duration;

use super::super::peer::{self, Laboratory};
use super::super::{VP8_DELTA, VP8_KEY};
use super::{Bystanders, assert_bounded, assert_paced};
use crate::codec::Codec;
use crate::link::proto;

const SSRCS: [u32; 3] = [1000, 1001, 1002];

/// A publisher of three encodings that makes a key frame where it is asked for one, as browsers do.
struct Room {
    lab: Laboratory,
    publisher: usize,
    viewers: Vec<usize>,
    bystanders: Bystanders,
    sequences: [u16; 3],
    timestamp: u32,
    key_due: [bool; 3],
    answers_requests: bool,
    asked: usize,
}

impl Room {
    fn new() -> Room {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            let encodings = ["f", "h", "q"].into_iter().zip(SSRCS);
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
        let viewers = ["a", "b", "c", "d", "e"].map(|name| {
            lab.join(name, |table| {
                table.subscriptions.push(peer::subscription());
            })
        });
        let bystanders = Bystanders::join(&mut lab);
        Room {
            lab,
            publisher,
            viewers: viewers.to_vec(),
            bystanders,
            sequences: [100; 3],
            timestamp: 0,
            key_due: [true; 3],
            answers_requests: true,
            asked: 0,
        }
    }

    /// Frames of these encodings for so many seconds; the larger one is of more packets.
    fn run(&mut self, encodings: &[usize], seconds: u32) {
        for _ in 0..seconds * 30 {
            self.timestamp += 3000;
            for &encoding in encodings {
                for packet in 0..5 - 2 * encoding {
                    let is_key = std::mem::take(&mut self.key_due[encoding]) && packet == 0;
                    let mut payload = if is_key { VP8_KEY } else { VP8_DELTA }.to_vec();
                    payload.resize(500, 0);
                    payload.push(encoding as u8);
                    self.sequences[encoding] += 1;
                    let sequence = self.sequences[encoding];
                    let datagram = self.lab.protect_stream(
                        self.publisher,
                        SSRCS[encoding],
                        &[],
                        sequence,
                        self.timestamp,
                        &payload,
                    );
                    self.lab.deliver(self.publisher, &datagram);
                }
            }
            self.lab.advance(Duration::from_millis(33));
            self.bystanders.speak(&mut self.lab);
            for index in [&[self.publisher], &self.viewers[..]].concat() {
                self.lab.check_again(index);
            }
            let asked = self.lab.feedback(self.publisher).pli_ssrcs;
            self.asked += asked.len();
            for (due, ssrc) in self.key_due.iter_mut().zip(SSRCS) {
                *due |= self.answers_requests && asked.contains(&ssrc);
            }
        }
        assert_bounded(&self.lab);
    }

    /// The encoding that all viewers got last, from now on counted anew; none where nothing came.
    fn shown(&mut self) -> Option<u8> {
        let mut shown = Vec::new();
        for &viewer in &self.viewers {
            let packets = self.lab.received(viewer);
            for pair in packets.windows(2) {
                let next = pair[0].sequence_number.wrapping_add(1);
                assert_eq!(pair[1].sequence_number, next);
            }
            shown.push(
                packets
                    .last()
                    .and_then(|packet| packet.payload.last().copied()),
            );
        }
        shown.dedup();
        assert_eq!(shown.len(), 1, "{shown:?}");
        shown[0]
    }
}

#[test]
fn viewers_of_an_encoding_that_freezes_go_on_with_another_within_seconds() {
    let mut room = Room::new();
    room.run(&[0, 1, 2], 4);
    assert_eq!(room.shown(), Some(0));
    room.asked = 0;
    room.run(&[1, 2], 4);
    room.shown();
    room.run(&[1, 2], 4);
    assert_eq!(room.shown(), Some(1));
    room.run(&[2], 4);
    room.shown();
    room.run(&[2], 4);
    assert_eq!(room.shown(), Some(2));
    assert_paced(room.asked, 16);
    room.run(&[0, 1, 2], 6);
    assert_eq!(room.shown(), Some(0), "and back");
}

/// It freezes, and what is left never makes a key frame: it is asked for, though not more and more.
#[test]
fn a_publisher_that_answers_no_request_is_asked_once_a_second() {
    let mut room = Room::new();
    room.run(&[0, 1, 2], 4);
    room.answers_requests = false;
    room.key_due = [false; 3];
    room.asked = 0;
    room.run(&[1, 2], 30);
    assert_paced(room.asked, 30);
    assert!(room.asked > 0);
    room.key_due = [true; 3];
    room.run(&[1, 2], 2);
    assert_eq!(room.shown(), Some(1));
}

/// An encoding that freezes for longer than it takes to notice, and again and again comes back for a moment.
#[test]
fn an_encoding_that_flickers_costs_bounded_requests() {
    let mut room = Room::new();
    room.run(&[0, 1, 2], 4);
    room.asked = 0;
    for _ in 0..6 {
        room.run(&[1, 2], 3);
        room.run(&[0, 1, 2], 1);
    }
    assert_paced(room.asked, 24);
    room.run(&[1, 2], 4);
    room.shown();
    room.run(&[1, 2], 1);
    assert_eq!(room.shown(), Some(1));
}
