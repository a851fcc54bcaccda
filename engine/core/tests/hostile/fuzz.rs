//! What hostile peers may send after their handshake: protected packets of any content, in any order, at any time, while
//! control changes what there is. Chance is seeded, so that each failure can be replayed.

mod chance;
mod packets;

use std::time::Duration;

use super::super::peer::{self, Laboratory, SUBSCRIBER_SSRC, TRANSPORT_WIDE};
use super::{Bystanders, assert_bounded, assert_consistent, exchange};
use crate::codec::Codec;
use crate::link::proto::{self, request};
use chance::Chance;

const NAMES: [&str; 3] = ["publisher", "subscriber", "both"];
const MID: u8 = 1;
const RID: u8 = 2;
const REPAIRED_RID: u8 = 3;
const AUDIO_LEVEL: u8 = 4;
const DESCRIPTOR: u8 = 6;
const SEND_TIME: u8 = 7;
const PLAYOUT_DELAY: u8 = 8;
const ORIENTATION: u8 = 9;
/// The publication's payload types.
const FORMATS: [(u8, proto::Codec); 7] = [
    (96, proto::Codec::Vp8),
    (97, proto::Codec::Vp9),
    (98, proto::Codec::Av1),
    (99, proto::Codec::H264),
    (100, proto::Codec::H265),
    (101, proto::Codec::VideoRed),
    (102, proto::Codec::Ulpfec),
];
const RTX: u8 = 103;
const STEPS: usize = 4000;

struct World {
    labs: Vec<Laboratory>,
    /// Of each hostile session: its worker, and who it is there; none while there is none.
    sessions: [Option<usize>; NAMES.len()],
    bystanders: Vec<Bystanders>,
    chance: Chance,
    sequence: u16,
    /// Of the subscriptions, which never are ones that were there before under the same keys.
    ssrcs: [u32; NAMES.len()],
}

fn worker_of(session: usize) -> usize {
    session % 2
}

fn extensions() -> Vec<proto::HeaderExtension> {
    use proto::HeaderExtensionKind as Kind;
    let kinds = [
        (MID, Kind::Mid),
        (RID, Kind::Rid),
        (REPAIRED_RID, Kind::RepairedRid),
        (TRANSPORT_WIDE, Kind::TransportWideCc),
        (DESCRIPTOR, Kind::DependencyDescriptor),
        (SEND_TIME, Kind::AbsoluteSendTime),
        (PLAYOUT_DELAY, Kind::PlayoutDelay),
        (AUDIO_LEVEL, Kind::AudioLevel),
        (ORIENTATION, Kind::VideoOrientation),
    ];
    let each = kinds.map(|(id, kind)| proto::HeaderExtension {
        id: id.into(),
        kind: kind.into(),
    });
    each.to_vec()
}

/// Some of them, which may have changed places: those of publishers change as well as those of subscribers.
fn some_extensions(chance: &mut Chance) -> Vec<proto::HeaderExtension> {
    let mut some = extensions();
    some.retain(|_| !chance.one_in(5));
    if some.len() > 1 && chance.one_in(3) {
        let (one, other) = (chance.below(some.len()), chance.below(some.len()));
        let kind = some[one].kind;
        some[one].kind = std::mem::replace(&mut some[other].kind, kind);
    }
    some
}

fn video(chance: &mut Chance) -> proto::Publication {
    let plain = peer::publication(Codec::Vp8);
    let formats = FORMATS.map(|(payload_type, codec)| proto::PublicationFormat {
        payload_type: payload_type.into(),
        codec: codec.into(),
        rtx_payload_type: (payload_type == 96).then_some(RTX.into()),
        ..plain.formats[0]
    });
    let rids = &["f", "h", "q"][..chance.below(4)];
    let announces = chance.one_in(2);
    let encodings = rids.iter().zip(1000..).map(|(rid, ssrc)| proto::Encoding {
        rid: (*rid).into(),
        ssrcs: if announces { vec![ssrc] } else { Vec::new() },
    });
    proto::Publication {
        ssrcs: if rids.is_empty() {
            vec![1000]
        } else {
            Vec::new()
        },
        formats: formats.to_vec(),
        encodings: encodings.collect(),
        ..plain
    }
}

fn subscription(chance: &mut Chance, from: usize, ssrc: u32) -> proto::Subscription {
    let formats = FORMATS.iter().zip(109..).filter(|_| !chance.one_in(4));
    let formats = formats.map(|(&(from, _), to)| proto::SubscriptionFormat {
        publication_payload_type: from.into(),
        payload_type: to,
        rtx_payload_type: (from < 101).then_some(to + 10),
    });
    let formats: Vec<_> = formats.collect();
    let choice = proto::EncodingChoice {
        preferred_rid: chance.of(&["f", "h", "q", "x"]).into(),
        follow_bandwidth: chance.one_in(2),
        replace_unavailable: chance.one_in(2),
    };
    let has_rtx = !chance.one_in(3);
    let plain = |mut format: proto::SubscriptionFormat| {
        format.rtx_payload_type = format.rtx_payload_type.filter(|_| has_rtx);
        format
    };
    proto::Subscription {
        publisher_session_id: NAMES[from].into(),
        publisher_worker: worker_of(from) as u32,
        formats: formats.into_iter().map(plain).collect(),
        subscription_id: ssrc,
        ssrc,
        rtx_ssrc: has_rtx.then_some(ssrc + 1),
        encoding_choice: (!chance.one_in(3)).then_some(choice),
        ..peer::subscription()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut labs: Vec<_> = (0..2).map(|at| Laboratory::of_worker(at, 2)).collect();
        let bystanders = labs.iter_mut().map(Bystanders::join).collect();
        World {
            labs,
            sessions: [None; NAMES.len()],
            bystanders,
            chance: Chance(seed),
            sequence: 2000,
            ssrcs: [SUBSCRIBER_SSRC; NAMES.len()],
        }
    }

    /// Some table, all of which control might write.
    fn fill(&mut self, session: usize, table: &mut proto::ApplySession) {
        let chance = &mut self.chance;
        table.publications.clear();
        table.subscriptions.clear();
        if session != 1 && !chance.one_in(6) {
            table.publications.push(video(chance));
        }
        if session != 0 && !chance.one_in(6) {
            let from = chance.of(&[0, 2]);
            table
                .subscriptions
                .push(subscription(chance, from, self.ssrcs[session]));
        } else {
            self.ssrcs[session] += 2;
        }
        if chance.one_in(3) {
            let transport = table.transport.as_mut().expect("a transport");
            // Those of publishers change as well as those of subscribers.
            transport.header_extensions = some_extensions(chance);
            transport.mixed_header_extensions = chance.one_in(2);
        }
    }

    fn change(&mut self, session: usize) {
        let worker = worker_of(session);
        match self.sessions[session] {
            None => {
                let index = self.labs[worker].join(NAMES[session], |table| {
                    table.transport.as_mut().unwrap().header_extensions = extensions();
                });
                self.sessions[session] = Some(index);
                self.labs[worker].take_repeats(index);
                self.labs[worker].watch_nonces(index);
                self.apply(session, index);
            }
            Some(_) if self.chance.one_in(10) => {
                let session_id = NAMES[session].into();
                let close = proto::CloseSession { session_id };
                let done = self.labs[worker].request(request::Body::CloseSession(close));
                done.expect("closed");
                self.sessions[session] = None;
            }
            Some(index) => self.apply(session, index),
        }
    }

    fn apply(&mut self, session: usize, index: usize) {
        let lab = &mut self.labs[worker_of(session)];
        let mut table = lab.table(index);
        self.fill(session, &mut table);
        // Not each of them can be: refused ones change nothing.
        let _refused = self.labs[worker_of(session)]
            .request(peer::apply(table))
            .err();
    }

    fn step(&mut self) {
        let session = self.chance.below(NAMES.len());
        let worker = worker_of(session);
        let Some(index) = self.sessions[session] else {
            self.change(session);
            return;
        };
        let datagram = match self.chance.below(40) {
            0 => {
                self.change(session);
                return;
            }
            1 => {
                let steps = [1, 5, 20, 20, 400, 2500].map(Duration::from_millis);
                let step = self.chance.of(&steps);
                for lab in &mut self.labs {
                    lab.advance(step);
                }
                return;
            }
            2 => {
                self.labs[worker].check_again(index);
                return;
            }
            3 => {
                let another = self.chance.below(10_000) as u16;
                let lab = &mut self.labs[worker];
                lab.settle();
                lab.prove_another_port(index, 20_000 + another);
                return;
            }
            4..=14 => self.rtcp(session, index),
            // One that only subscribes.
            _ if session == 1 && !self.chance.one_in(10) => return,
            _ => self.rtp(worker, index),
        };
        let is_last = self.chance.one_in(3);
        let lab = &mut self.labs[worker];
        let source = lab.address(index);
        lab.hand_over(source, &datagram);
        if is_last {
            lab.settle();
        }
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            self.step();
            self.labs.iter().for_each(assert_consistent);
            if step % 5 == 0 {
                for lab in &mut self.labs {
                    lab.settle();
                }
                exchange(&mut self.labs);
            }
            if step % 25 == 0 {
                for (bystanders, lab) in self.bystanders.iter_mut().zip(&mut self.labs) {
                    lab.settle();
                    bystanders.speak(lab);
                    assert_bounded(lab);
                }
            }
        }
    }
}

/// `FUZZ_SEEDS` says how many chances there are, where somebody has the time to look for longer.
#[test]
fn nothing_that_peers_send_in_any_order_ends_the_engine_or_others_calls() {
    let wished = std::env::var("FUZZ_SEEDS").ok();
    let seeds: u64 = wished.map_or(200, |seeds| seeds.parse().expect("a number"));
    for seed in 1..=seeds {
        println!("seed {seed}");
        let mut world = World::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        world.run();
        let labs = world.labs.iter_mut();
        let forwarded: u64 = labs.map(|lab| lab.counter("packets_forwarded")).sum();
        let others: u64 = world
            .bystanders
            .iter()
            .map(|them| u64::from(them.sequence))
            .sum();
        assert!(
            forwarded > others + 30,
            "some of it is understood: {forwarded}"
        );
        for lab in &mut world.labs {
            lab.close_all();
        }
        exchange(&mut world.labs);
        for lab in &world.labs {
            let engine = &lab.engine;
            assert!(engine.sessions.is_empty() && engine.by_address.is_empty());
            assert!(engine.publications.is_empty() && engine.encodings.is_empty());
            assert!(engine.subscriptions.is_empty() && engine.mirrors.is_empty());
        }
    }
}
