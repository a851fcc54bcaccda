//! A bottleneck with a queue, shared by flows under congestion control and by others that have none.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::choice::Choice;
use super::tcp::{Control, TcpFlow};
use crate::bandwidth::estimator::Estimator;
use crate::wire::rtcp::{Arrivals, Packet, parse};

const STEP: Duration = Duration::from_millis(1);
const PACKET: u16 = 1200;
/// Bytes of IP, UDP and SRTP that the estimator does not see are left out: rates are of what it sees.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

/// The bottleneck.
#[derive(Clone, Copy)]
pub struct Link {
    /// bit/s.
    pub rate: f64,
    /// One way.
    pub delay: Duration,
    /// Of arrivals, without reordering.
    pub jitter: Duration,
    pub loss: f64,
    /// Queue in time at the link's rate.
    pub queue: Duration,
}

impl Link {
    pub fn of(rate: f64) -> Link {
        Link {
            rate,
            delay: Duration::from_millis(25),
            jitter: Duration::ZERO,
            loss: 0.0,
            queue: Duration::from_millis(500),
        }
    }
}

/// What a flow sends.
pub struct Source {
    /// The most that it would send, in bit/s.
    pub most: f64,
    /// bit/s of encodings, ascending; empty: it follows the estimate.
    pub ladder: Vec<f64>,
    /// Deaf: neither congestion control nor feedback.
    pub constant: bool,
    /// It is a TCP flow, which has no rate.
    pub tcp: Option<Control>,
    /// bit/s of small packets beside it, always whole.
    pub audio: f64,
    /// Frames differ in length as an encoder's do, and another encoding begins with a key frame.
    pub encoded: bool,
}

impl Source {
    pub fn elastic(most: f64) -> Source {
        Source {
            most,
            ladder: Vec::new(),
            constant: false,
            tcp: None,
            audio: 0.0,
            encoded: false,
        }
    }

    pub fn layered(ladder: &[f64]) -> Source {
        Source {
            most: ladder.iter().copied().fold(0.0, f64::max),
            ladder: ladder.to_vec(),
            constant: false,
            tcp: None,
            audio: 0.0,
            encoded: false,
        }
    }

    /// A call: audio, and a video as encoders make it.
    pub fn call(ladder: &[f64]) -> Source {
        let audio = 50e3;
        Source {
            audio,
            encoded: true,
            most: audio + ladder.iter().copied().fold(0.0, f64::max),
            ..Source::layered(ladder)
        }
    }

    /// As `Demand::wish`.
    fn margin(&self) -> f64 {
        if self.ladder.is_empty() { 1.0 } else { 1.06 }
    }

    pub fn constant(rate: f64) -> Source {
        Source {
            most: rate,
            ladder: Vec::new(),
            constant: true,
            tcp: None,
            audio: 0.0,
            encoded: false,
        }
    }

    /// A TCP flow that always has something to send.
    pub fn tcp(control: Control) -> Source {
        Source {
            tcp: Some(control),
            ..Source::constant(0.0)
        }
    }
}

/// What a flow experienced since `reset_figures`.
#[derive(Default, Clone, Copy, Debug)]
pub struct Figures {
    pub received_bits: f64,
    pub sent: u64,
    pub lost: u64,
    pub padding_bits: f64,
    pub longest_queue_ms: f64,
}

impl Figures {
    pub fn lost_share(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }
}

struct Flow {
    source: Source,
    estimator: Estimator,
    number: u16,
    choice: Choice,
    /// Bytes of the current frame that are still to be sent.
    frame: f64,
    next_frame: Instant,
    next_audio: Instant,
    count: u32,
    key_frame: bool,
    arrivals: Arrivals,
    next_feedback: Instant,
    next_tick: Instant,
    figures: Figures,
    active: bool,
    tcp: Option<TcpFlow>,
}

struct Queued {
    flow: usize,
    number: u16,
    size: u16,
    at: Instant,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    Media { flow: usize, number: u16, size: u16 },
    Feedback { flow: usize, bytes: Vec<u8> },
    Ack { flow: usize, number: u16 },
}

pub struct Network {
    pub link: Link,
    start: Instant,
    now: Instant,
    queue: VecDeque<Queued>,
    free_at: Instant,
    last_arrival: Instant,
    coming: BinaryHeap<Reverse<(Instant, Coming)>>,
    flows: Vec<Flow>,
    random: u64,
}

impl Network {
    pub fn new(link: Link, seed: u64) -> Network {
        let now = Instant::now();
        Network {
            link,
            start: now,
            now,
            queue: VecDeque::new(),
            free_at: now,
            last_arrival: now,
            coming: BinaryHeap::new(),
            flows: Vec::new(),
            random: seed,
        }
    }

    /// Adds a flow, which begins at once.
    pub fn add(&mut self, source: Source) -> usize {
        let mut estimator = Estimator::new(self.now);
        estimator.set_wanted((source.most * source.margin()) as u64);
        // Flows do not beat in time with each other.
        let offset = Duration::from_micros(self.flows.len() as u64 * 7_300);
        let tcp = source.tcp.map(|control| TcpFlow::new(control, self.now));
        self.flows.push(Flow {
            source,
            tcp,
            estimator,
            number: 0,
            choice: Choice::default(),
            frame: 0.0,
            next_frame: self.now + offset,
            next_audio: self.now,
            count: 0,
            key_frame: true,
            arrivals: Arrivals::new(),
            next_feedback: self.now + FEEDBACK_INTERVAL,
            next_tick: self.now,
            figures: Figures::default(),
            active: true,
        });
        let index = self.flows.len() - 1;
        let flow = &mut self.flows[index];
        flow.choice
            .choose(&flow.source, &mut flow.estimator, self.now);
        index
    }

    pub fn stop(&mut self, flow: usize) {
        self.flows[flow].active = false;
    }

    /// What the flow sends at the moment, in bit/s.
    pub fn sending(&self, flow: usize) -> f64 {
        self.flows[flow].choice.rate
    }

    /// Whether the flow takes the queue for cross traffic's.
    pub fn is_competitive(&self, flow: usize) -> bool {
        self.flows[flow].estimator.is_competitive()
    }

    pub fn figures(&self, flow: usize) -> Figures {
        self.flows[flow].figures
    }

    pub fn reset_figures(&mut self) {
        for flow in &mut self.flows {
            flow.figures = Figures::default();
        }
    }

    pub fn queue_ms(&self) -> f64 {
        let bytes: f64 = self.queue.iter().map(|queued| f64::from(queued.size)).sum();
        bytes * 8.0 / self.link.rate * 1e3
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            for flow in 0..self.flows.len() {
                self.send(flow);
            }
            self.serve();
            self.deliver();
        }
    }

    /// Runs until `reached`; how long it took.
    pub fn run_until(&mut self, most: Duration, reached: impl Fn(&Network) -> bool) -> Duration {
        let began = self.now;
        while !reached(self) && self.now < began + most {
            self.run(10 * STEP);
        }
        self.now - began
    }

    fn chance(&mut self) -> f64 {
        // Numerical Recipes' generator: only the upper bits are good enough.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / f64::from(1_u32 << 24)
    }

    fn send(&mut self, index: usize) {
        let now = self.now;
        let flow = &mut self.flows[index];
        if !flow.active {
            return;
        }
        let before = flow.choice.rate;
        flow.choice.choose(&flow.source, &mut flow.estimator, now);
        let rate = flow.choice.rate;
        flow.key_frame |= rate != before;
        if now >= flow.next_tick {
            flow.next_tick += Duration::from_millis(100);
            flow.estimator.tick(now);
        }
        if now >= flow.next_frame {
            flow.next_frame += Duration::from_micros(33_333);
            let key_frame = std::mem::take(&mut flow.key_frame);
            flow.count += 1;
            // The same mean: 0.6 to 1.4 of it.
            let varies = match (flow.source.encoded, key_frame) {
                (false, _) => 1.0,
                (true, true) => 4.0,
                (true, false) => 0.6 + f64::from(flow.count * 7 % 9) / 10.0,
            };
            flow.frame += varies * rate / 8.0 / 30.0;
        }
        let mut sizes = Vec::new();
        if flow.source.audio > 0.0 && now >= flow.next_audio {
            flow.next_audio += Duration::from_millis(20);
            sizes.push(((flow.source.audio / 8.0 / 50.0) as u16, false));
        }
        // A publisher's pacer: two and a half times the rate, which is the rate of all its encodings in a call.
        let pace = if flow.source.encoded { 10.0 } else { 2.5 };
        let mut budget = (rate * pace / 8.0 / 1e3).max(f64::from(PACKET));
        while flow.frame >= 1.0 && budget >= 1.0 {
            let size = flow.frame.min(f64::from(PACKET)).max(100.0);
            flow.frame = (flow.frame - size).max(0.0);
            budget -= size;
            sizes.push((size as u16, false));
        }
        let mut padding = flow.estimator.padding(now);
        while padding > 0 {
            sizes.push((PACKET, true));
            padding = padding.saturating_sub(usize::from(PACKET));
        }
        if let Some(tcp) = &mut flow.tcp {
            let count = tcp.send(flow.number, now);
            sizes.extend((0..count).map(|_| (PACKET, false)));
        }
        for (size, is_padding) in sizes {
            self.enqueue(index, size, is_padding);
        }
    }

    fn enqueue(&mut self, index: usize, size: u16, is_padding: bool) {
        let queue_ms = self.queue_ms();
        let full = queue_ms > self.link.queue.as_secs_f64() * 1e3;
        let unlucky = self.chance() < self.link.loss;
        let flow = &mut self.flows[index];
        let number = flow.number;
        flow.number = number.wrapping_add(1);
        flow.estimator.sent(number, size, self.now);
        flow.figures.sent += 1;
        if is_padding {
            flow.figures.padding_bits += f64::from(size) * 8.0;
        }
        flow.figures.longest_queue_ms = flow.figures.longest_queue_ms.max(queue_ms);
        if full || unlucky {
            flow.figures.lost += 1;
            return;
        }
        self.queue.push_back(Queued {
            flow: index,
            number,
            size,
            at: self.now,
        });
    }

    fn serve(&mut self) {
        while let Some(queued) = self.queue.front() {
            let begins = self.free_at.max(queued.at);
            let seconds = f64::from(queued.size) * 8.0 / self.link.rate;
            let done = begins + Duration::from_secs_f64(seconds);
            if done > self.now {
                return;
            }
            self.free_at = done;
            let (flow, number, size) = (queued.flow, queued.number, queued.size);
            self.queue.pop_front();
            let jitter = self.link.jitter.mul_f64(self.chance());
            self.last_arrival = (done + self.link.delay + jitter).max(self.last_arrival);
            let media = Coming::Media { flow, number, size };
            self.coming.push(Reverse((self.last_arrival, media)));
        }
    }

    fn deliver(&mut self) {
        while let Some(Reverse((at, _))) = self.coming.peek()
            && *at <= self.now
        {
            let Some(Reverse((at, coming))) = self.coming.pop() else {
                return;
            };
            match coming {
                Coming::Media { flow, number, size } => {
                    let index = flow;
                    let flow = &mut self.flows[index];
                    let since = at.duration_since(self.start).as_micros() as u64;
                    flow.arrivals.record(number, since);
                    flow.figures.received_bits += f64::from(size) * 8.0;
                    if flow.tcp.is_some() {
                        let ack = Coming::Ack {
                            flow: index,
                            number,
                        };
                        self.coming.push(Reverse((at + self.link.delay, ack)));
                    }
                }
                Coming::Ack { flow, number } => {
                    if let Some(tcp) = &mut self.flows[flow].tcp {
                        tcp.take_ack(number, at);
                    }
                }
                Coming::Feedback { flow, bytes } => {
                    for packet in parse(&bytes) {
                        if let Ok(Packet::TransportFeedback(feedback)) = packet {
                            self.flows[flow].estimator.feedback(&feedback, self.now);
                        }
                    }
                }
            }
        }
        for (index, flow) in self.flows.iter_mut().enumerate() {
            if self.now >= flow.next_feedback {
                flow.next_feedback += FEEDBACK_INTERVAL;
                let mut bytes = Vec::new();
                flow.arrivals.push_feedback(&mut bytes, 1, 2);
                if !bytes.is_empty() && !flow.source.constant {
                    let feedback = Coming::Feedback { flow: index, bytes };
                    self.coming
                        .push(Reverse((self.now + self.link.delay, feedback)));
                }
            }
        }
    }
}
