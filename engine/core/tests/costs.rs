//! What the engine spends on a packet before the system call where sessions are many, so that none of them is in a cache
//! when its turn comes. A measurement, run by hand:
//! `cargo test --release -p switchyard-engine --lib costs_of_many -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::super::outbox::{Message, Outbox, Transmit};
use super::peer::{self, Laboratory, SUBSCRIBER_SSRC, TRANSPORT_WIDE};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto;
use crate::srtp;
use crate::wire::rtcp::Arrivals;

const ROOMS: usize = 10;
const VIEWERS: usize = 50;
const PACKETS_OF_A_FRAME: usize = 10;
const FRAMES: usize = 60;
/// Frames between two feedback packets of a viewer: some 100 ms.
const FEEDBACK: usize = 3;
const FRAME_INTERVAL: Duration = Duration::from_millis(33);
const PAYLOAD: usize = 1150;
/// What lies between two batches: the kernel's copies push the sessions out of the nearer caches.
const KERNEL: usize = 8 << 20;

/// Copies what leaves, as the kernel does.
struct Kernel {
    memory: Vec<u8>,
    end: usize,
}

impl Transmit for Kernel {
    fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]) {
        for message in messages {
            for place in message.datagrams {
                let bytes = &arena[place.clone()];
                if self.end + bytes.len() > self.memory.len() {
                    self.end = 0;
                }
                self.memory[self.end..][..bytes.len()].copy_from_slice(bytes);
                self.end += bytes.len().next_multiple_of(64);
            }
        }
    }
}

struct Crowd {
    lab: Laboratory,
    outbox: Outbox,
    publishers: Vec<usize>,
    /// Each with the transport-wide number that its feedback begins with next.
    viewers: Vec<(usize, u16)>,
    start: Instant,
    now: Instant,
    sequence: u16,
    /// What a forwarded packet, its way out of the outbox, and a feedback packet took.
    media: Vec<Duration>,
    flushes: Vec<Duration>,
    feedback: Vec<Duration>,
}

fn name(kind: &str, number: usize) -> &'static str {
    Box::leak(format!("{kind}{number}").into_boxed_str())
}

fn agree(table: &mut proto::ApplySession) {
    use proto::HeaderExtensionKind::{AbsoluteSendTime, Mid, TransportWideCc};
    let ids = [
        (1, Mid),
        (3, AbsoluteSendTime),
        (TRANSPORT_WIDE, TransportWideCc),
    ];
    let extensions = ids.map(|(id, kind)| proto::HeaderExtension {
        id: id.into(),
        kind: kind.into(),
    });
    let transport = table.transport.as_mut().expect("of a peer");
    transport.header_extensions = extensions.to_vec();
}

impl Crowd {
    fn gather() -> Crowd {
        let mut lab = Laboratory::new();
        let (mut publishers, mut viewers) = (Vec::new(), Vec::new());
        for room in 0..ROOMS {
            let publisher = name("publisher", room);
            publishers.push(lab.join(publisher, |table| {
                agree(table);
                table.publications.push(peer::publication(Codec::Vp8));
            }));
            for viewer in 0..VIEWERS {
                let viewer = lab.join(name("viewer", room * VIEWERS + viewer), |table| {
                    agree(table);
                    table.subscriptions.push(proto::Subscription {
                        publisher_session_id: publisher.into(),
                        ..peer::subscription()
                    });
                });
                viewers.push((viewer, 0));
            }
            // Or those that came first would be given up for lack of checks.
            let viewers = viewers.iter().map(|&(viewer, _)| viewer);
            for early in publishers.iter().copied().chain(viewers) {
                lab.check_again(early);
            }
        }
        let kernel = Kernel {
            memory: vec![0; KERNEL],
            end: 0,
        };
        Crowd {
            start: lab.now(),
            now: lab.now(),
            lab,
            outbox: Outbox::new(Box::new(kernel)),
            publishers,
            viewers,
            sequence: 0,
            media: Vec::new(),
            flushes: Vec::new(),
            feedback: Vec::new(),
        }
    }

    /// A frame of each publisher, each a receive batch of its own.
    fn frame(&mut self, picture: &[u8]) {
        self.now += FRAME_INTERVAL;
        let mut payload = [0; PAYLOAD];
        payload[..picture.len()].copy_from_slice(picture);
        let numbers = self.sequence + 1..=self.sequence + PACKETS_OF_A_FRAME as u16;
        let time = self.now.duration_since(self.start).as_millis() as u32 * 90;
        for &publisher in &self.publishers {
            let protect = |number| (self.lab).protect_media(publisher, number, time, &payload);
            let mut packets: Vec<_> = numbers.clone().map(protect).collect();
            let source = self.lab.address(publisher);
            let before = Instant::now();
            for packet in &mut packets {
                (self.lab.engine).handle_datagram(self.now, 0, source, packet, &mut self.outbox);
            }
            (self.lab.engine).fan_out_burst(self.now, &mut self.outbox);
            let forwarded = before.elapsed();
            self.outbox.flush();
            let copies = (PACKETS_OF_A_FRAME * VIEWERS) as u32;
            self.media.push(forwarded / copies);
            self.flushes.push((before.elapsed() - forwarded) / copies);
        }
        self.sequence += PACKETS_OF_A_FRAME as u16;
    }

    /// All viewers tell what they got since they last did.
    fn tell(&mut self) {
        let clock = self.now.duration_since(self.start).as_micros() as u64;
        for at in 0..self.viewers.len() {
            let (viewer, first) = self.viewers[at];
            let source = self.lab.address(viewer);
            let key = self.lab.engine.by_address[&(0, source)];
            let next = self.lab.engine.sessions[key].transport_sequence;
            let mut arrivals = Arrivals::new();
            for number in first..next {
                arrivals.record(number, clock + u64::from(number) * 90);
            }
            self.viewers[at].1 = next;
            let mut packet = Vec::new();
            arrivals.push_feedback(&mut packet, 1, SUBSCRIBER_SSRC);
            let mut packet = self.lab.protect_rtcp(viewer, packet);
            let before = Instant::now();
            let (engine, outbox) = (&mut self.lab.engine, &mut self.outbox);
            engine.handle_datagram(self.now, 0, source, &mut packet, outbox);
            engine.handle_timeout(self.now, outbox);
            self.feedback.push(before.elapsed());
        }
        self.outbox.flush();
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (tenth, median) = (times[times.len() / 10], times[times.len() / 2]);
    println!("{what}: {median:?} (median), {tenth:?} (10th percentile)");
}

#[test]
#[ignore = "a measurement"]
fn costs_of_many() {
    let mut crowd = Crowd::gather();
    crowd.frame(VP8_KEY);
    for frame in 1..FRAMES {
        crowd.frame(VP8_DELTA);
        if frame % FEEDBACK == 0 {
            crowd.tell();
        }
    }
    let forwarded = crowd.lab.counter("packets_forwarded");
    assert!(forwarded as usize >= FRAMES * PACKETS_OF_A_FRAME * ROOMS * VIEWERS);
    show("a forwarded packet", crowd.media);
    show("its way out of the outbox, copied", crowd.flushes);
    show("a feedback packet on 30", crowd.feedback);
    let (one, many) = seal();
    show("sealing alone, one key", one);
    show("sealing alone, a key for each viewer", many);
}

/// A packet's encryption and nothing else.
fn seal() -> (Vec<Duration>, Vec<Duration>) {
    let profile = srtp::Profile::AeadAes128Gcm;
    let sender = |number: usize| {
        let master = srtp::Master::new(profile, &[number as u8; 16], &[7; 12]);
        srtp::Sender::new(profile, &master.expect("of the profile's lengths"))
    };
    let senders: Vec<_> = (0..ROOMS * VIEWERS).map(sender).collect();
    let mut slots = vec![[7_u8; 1280]; VIEWERS];
    let mut index = 0;
    let mut round = |keys: &[srtp::Sender]| {
        let before = Instant::now();
        for turn in 0..VIEWERS {
            index += 1;
            let sender = &keys[turn % keys.len()];
            black_box(sender.protect_rtp(&mut slots[turn], 1180, 28, index));
        }
        before.elapsed() / VIEWERS as u32
    };
    let one = (0..2000).map(|_| round(&senders[..1])).collect();
    let many = (0..2000).map(|at| round(&senders[at % ROOMS * VIEWERS..][..VIEWERS]));
    (one, many.collect())
}
