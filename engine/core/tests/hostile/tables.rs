//! Floods while control changes what there is: tracks close, switch and come back, sessions end, streams begin anew.

use std::time::Duration;

use super::super::peer::{self, Laboratory, PUBLISHER_SSRC};
use super::super::{VP8_DELTA, VP8_KEY};
use super::{Bystanders, assert_bounded, assert_paced, exchange};
use crate::codec::Codec;
use crate::link::proto::{self, request};
use crate::wire::rtcp;

const NAMES: [&str; 2] = ["publisher", "another"];
/// Bytes that a peer may make us repeat before it got any media, of `bandwidth::pacer`.
const FIRST_CREDIT: usize = 32 * 1024;
const FRAMES: u32 = 600;

/// Two publishers on the first worker, a subscriber on the last, and others on both.
struct World {
    labs: Vec<Laboratory>,
    publishers: [usize; 2],
    subscriber: usize,
    /// Those that were the subscriber before, too.
    sessions: Vec<usize>,
    bystanders: Vec<Bystanders>,
    /// Of the publishers' streams.
    ssrc: u32,
    sequence: u16,
    /// Of the subscription, which never is one that was there before under the same keys.
    subscription: proto::Subscription,
    last_sequence: u16,
}

impl World {
    fn new(workers: u16) -> World {
        let of_worker = |worker| Laboratory::of_worker(worker, workers);
        let mut labs: Vec<_> = (0..workers).map(of_worker).collect();
        let publishers = NAMES.map(|name| {
            labs[0].join(name, |table| {
                table.publications.push(peer::publication(Codec::Vp8));
            })
        });
        let bystanders = labs.iter_mut().map(Bystanders::join).collect();
        let mut world = World {
            labs,
            publishers,
            subscriber: 0,
            sessions: Vec::new(),
            bystanders,
            ssrc: PUBLISHER_SSRC,
            sequence: 100,
            subscription: peer::subscription(),
            last_sequence: 0,
        };
        world.join();
        world
    }

    fn lab(&mut self) -> &mut Laboratory {
        self.labs.last_mut().expect("a worker")
    }

    fn join(&mut self) {
        let subscription = self.subscription.clone();
        self.subscriber = self.lab().join("subscriber", |table| {
            table.subscriptions.push(subscription.clone());
        });
        self.sessions.push(self.subscriber);
        exchange(&mut self.labs);
    }

    /// The subscriber has this track; none: no track.
    fn subscribe(&mut self, source: Option<&str>) {
        match source {
            Some(source) => self.subscription.publisher_session_id = source.into(),
            None => {
                self.subscription.subscription_id += 1;
                self.subscription.ssrc += 2;
                self.subscription.rtx_ssrc = Some(self.subscription.ssrc + 1);
            }
        }
        let subscriber = self.subscriber;
        let mut table = self.lab().table(subscriber);
        table.subscriptions.clear();
        if source.is_some() {
            table.subscriptions.push(self.subscription.clone());
        }
        self.lab().request(peer::apply(table)).expect("it is right");
    }

    fn end_session(&mut self) {
        let session_id = "subscriber".into();
        let close = proto::CloseSession { session_id };
        let done = self.lab().request(request::Body::CloseSession(close));
        done.expect("closed");
        exchange(&mut self.labs);
        self.join();
    }

    /// The track itself ends and comes back.
    fn publish(&mut self, is_there: bool) {
        let publisher = self.publishers[0];
        let mut table = self.labs[0].table(publisher);
        table.publications.truncate(usize::from(is_there));
        let done = self.labs[0].request(peer::apply(table));
        done.expect("it is right");
    }

    fn frame(&mut self, is_key: bool) {
        for packet in 0..3 {
            self.sequence += 1;
            let begins = is_key && packet == 0;
            let mut payload = if begins { VP8_KEY } else { VP8_DELTA }.to_vec();
            payload.resize(800, 0);
            let time = u32::from(self.sequence) / 3 * 3000;
            for publisher in self.publishers {
                let (ssrc, sequence) = (self.ssrc, self.sequence);
                let lab = &mut self.labs[0];
                let datagram = lab.protect_stream(publisher, ssrc, &[], sequence, time, &payload);
                // What comes next is in the same batch.
                let source = lab.address(publisher);
                lab.hand_over(source, &datagram);
            }
        }
    }

    /// Everything that can be asked for, many times.
    fn flood(&mut self) {
        let (subscriber, ssrc) = (self.subscriber, self.subscription.ssrc);
        let last = self.last_sequence;
        let all: Vec<u16> = (0..400).map(|at| last.wrapping_sub(at)).collect();
        let lab = self.lab();
        for turn in 0..4_u8 {
            let mut packet = Vec::new();
            rtcp::push_receiver_report(&mut packet, 1, &[]);
            rtcp::push_nack(&mut packet, 1, ssrc, &all);
            rtcp::push_pli(&mut packet, 1, ssrc);
            rtcp::push_fir(&mut packet, 1, ssrc, turn);
            packet.extend_from_slice(&[0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
            packet.extend_from_slice(&[last as u8, turn, 0x1f, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0, 0]);
            let packet = lab.protect_rtcp(subscriber, packet);
            let source = lab.address(subscriber);
            lab.hand_over(source, &packet);
        }
    }

    fn change(&mut self, turn: u32) {
        match turn % 60 {
            7 => self.subscribe(None),
            11 => self.subscribe(Some("publisher")),
            19 => self.subscribe(Some("another")),
            31 => self.subscribe(Some("publisher")),
            37 => self.publish(false),
            43 => self.publish(true),
            47 => self.end_session(),
            // After the track came back it is to be named again.
            53 => self.subscribe(Some("another")),
            59 => self.ssrc += 1,
            _ => {}
        }
    }

    /// What all happens in twenty seconds; bytes towards the subscriber, and the most key frames that one publisher was
    /// asked for.
    fn run(&mut self, is_flooding: bool) -> (usize, usize) {
        for turn in 0..FRAMES {
            self.frame(turn % 15 == 0);
            if is_flooding {
                self.flood();
            }
            self.change(turn);
            exchange(&mut self.labs);
            if is_flooding {
                self.flood();
            }
            for lab in &mut self.labs {
                lab.settle();
                lab.advance(Duration::from_millis(33));
            }
            exchange(&mut self.labs);
            for (bystanders, lab) in self.bystanders.iter_mut().zip(&mut self.labs) {
                bystanders.speak(lab);
                assert_bounded(lab);
            }
            for publisher in self.publishers {
                self.labs[0].check_again(publisher);
            }
            let (subscriber, ssrc) = (self.subscriber, self.subscription.ssrc);
            self.lab().check_again(subscriber);
            let received = self.lab().received(subscriber);
            let media = received.iter().rfind(|packet| packet.ssrc == ssrc);
            self.last_sequence = media.map_or(self.last_sequence, |packet| packet.sequence_number);
        }
        let sessions = self.sessions.clone();
        let lab = self.lab();
        let got = sessions
            .into_iter()
            .map(|index| lab.traffic(index).got)
            .sum();
        let publishers = self.publishers;
        let asked = publishers.map(|index| self.labs[0].feedback(index).pli);
        (got, asked.into_iter().max().unwrap_or(0))
    }
}

#[test]
fn floods_during_changes_of_tables_are_not_amplified() {
    for workers in [1, 2] {
        let (calm, _) = World::new(workers).run(false);
        assert!(calm > 500_000, "{calm}");
        let mut world = World::new(workers);
        let (flooded, asked) = world.run(true);
        let sessions = world.sessions.len();
        let bound = 2 * calm + sessions * FIRST_CREDIT;
        assert!(flooded < bound, "{flooded} for {calm} by {workers}");
        assert_paced(asked, 20);
        for lab in &mut world.labs {
            lab.close_all();
        }
        exchange(&mut world.labs);
        for lab in &world.labs {
            assert!(lab.engine.publications.is_empty());
            assert!(lab.engine.encodings.is_empty());
            assert!(lab.engine.subscriptions.is_empty());
            assert!(lab.engine.mirrors.is_empty());
        }
    }
}
