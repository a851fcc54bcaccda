//! One direction of the link: a queue in front of a rate, then delay.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::shape::Shape;

const DEFAULT_QUEUE_MS: f64 = 500.0;

/// Packets of one direction on their way.
pub struct Direction {
    pub shape: Shape,
    /// With the time of entering.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued_bytes: usize,
    /// When the packet in service, if any, has left the queue.
    served_at: Instant,
    serving: bool,
    delayed: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    count: u64,
    last_delivery: Instant,
    in_burst: bool,
    random: u64,
    figures: Figures,
}

/// Since the last report.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    bytes: u64,
    packets: u64,
    /// By the queue's length.
    dropped: u64,
    /// By chance.
    lost: u64,
    queue_ms: f64,
}

impl Direction {
    pub fn new(seed: u64, now: Instant) -> Direction {
        Direction {
            shape: Shape::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            served_at: now,
            serving: false,
            delayed: BinaryHeap::new(),
            count: 0,
            last_delivery: now,
            in_burst: false,
            random: seed,
            figures: Figures::default(),
        }
    }

    /// A packet enters.
    pub fn offer(&mut self, packet: &[u8], now: Instant) {
        self.serve(now);
        self.figures.packets += 1;
        if self.is_lost() {
            self.figures.lost += 1;
            return;
        }
        let longest = if self.shape.queue_ms > 0.0 {
            self.shape.queue_ms
        } else {
            DEFAULT_QUEUE_MS
        };
        if self.queue_ms(self.queued_bytes) > longest {
            self.figures.dropped += 1;
            return;
        }
        self.queued_bytes += packet.len();
        self.queue.push_back((now, packet.to_vec()));
        let waits = self.queue_ms(self.queued_bytes);
        self.figures.queue_ms = self.figures.queue_ms.max(waits);
        self.serve(now);
    }

    /// The next packet that has arrived by now.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.serve(now);
        let Reverse((at, _, _)) = self.delayed.peek()?;
        if *at > now {
            return None;
        }
        self.delayed.pop().map(|Reverse((_, _, packet))| {
            self.figures.bytes += packet.len() as u64;
            packet
        })
    }

    /// When something happens by itself.
    pub fn next_due(&self) -> Option<Instant> {
        let delivery = self.delayed.peek().map(|Reverse((at, _, _))| *at);
        let served = self.serving.then_some(self.served_at);
        match (delivery, served) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub fn take_figures(&mut self) -> Figures {
        std::mem::take(&mut self.figures)
    }

    fn queue_ms(&self, bytes: usize) -> f64 {
        if self.shape.rate > 0.0 {
            bytes as f64 * 8e3 / self.shape.rate
        } else {
            0.0
        }
    }

    /// Moves what has left the queue by now on to its delay.
    fn serve(&mut self, now: Instant) {
        loop {
            if self.serving {
                if self.served_at > now {
                    return;
                }
                let Some((_, packet)) = self.queue.pop_front() else {
                    return;
                };
                self.queued_bytes -= packet.len();
                self.delay(packet);
                self.serving = false;
            }
            let Some((entered, next)) = self.queue.front() else {
                return;
            };
            let seconds = self.queue_ms(next.len()) / 1e3;
            self.served_at = self.served_at.max(*entered) + Duration::from_secs_f64(seconds);
            self.serving = true;
        }
    }

    fn delay(&mut self, packet: Vec<u8>) {
        let jitter = self.chance() * self.shape.jitter_ms;
        let mut at = self.served_at + milliseconds(self.shape.delay_ms + jitter);
        if self.shape.reorder > 0.0 && self.chance() < self.shape.reorder {
            at += milliseconds(self.shape.reorder_ms);
        } else {
            at = at.max(self.last_delivery);
            self.last_delivery = at;
        }
        self.count += 1;
        self.delayed.push(Reverse((at, self.count, packet)));
    }

    fn is_lost(&mut self) -> bool {
        let changes = if self.in_burst {
            self.shape.burst_ends
        } else {
            self.shape.burst_begins
        };
        if changes > 0.0 && self.chance() < changes {
            self.in_burst = !self.in_burst;
        }
        self.in_burst || self.shape.loss > 0.0 && self.chance() < self.shape.loss
    }

    /// The same losses in each run: a generator with a fixed seed (Knuth's, of 64 bits).
    fn chance(&mut self) -> f64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / f64::from(1_u32 << 24)
    }
}

fn milliseconds(count: f64) -> Duration {
    Duration::from_secs_f64(count.max(0.0) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(shape: Shape) -> (Direction, Instant) {
        let now = Instant::now();
        let mut direction = Direction::new(1, now);
        direction.shape = shape;
        (direction, now)
    }

    /// Offers a packet of 1,000 bytes each ms for a second; when each came, in ms.
    fn arrivals(shape: Shape) -> Vec<u128> {
        let (mut direction, start) = direction(shape);
        let mut came = Vec::new();
        for ms in 0..3000 {
            let now = start + Duration::from_millis(ms);
            if ms < 1000 {
                direction.offer(&[0; 1000], now);
            }
            while direction.pop(now).is_some() {
                came.push(now.duration_since(start).as_millis());
            }
        }
        came
    }

    #[test]
    fn the_rate_and_the_queue_bound_what_comes() {
        let came = arrivals(Shape {
            rate: 4e6,
            delay_ms: 30.0,
            queue_ms: 100.0,
            ..Shape::default()
        });
        assert!((480..=560).contains(&came.len()), "{}", came.len());
        assert!(came[0] >= 30 && *came.last().unwrap() <= 1140);
    }

    #[test]
    fn losses_have_their_share_and_bursts_their_length() {
        let alone = arrivals(Shape {
            loss: 0.1,
            ..Shape::default()
        });
        assert!((860..=940).contains(&alone.len()), "{}", alone.len());
        let bursts = arrivals(Shape {
            burst_begins: 0.02,
            burst_ends: 0.2,
            ..Shape::default()
        });
        assert!((820..=970).contains(&bursts.len()), "{}", bursts.len());
    }

    #[test]
    fn late_packets_come_behind_others() {
        let (mut direction, now) = direction(Shape {
            reorder: 0.5,
            reorder_ms: 20.0,
            ..Shape::default()
        });
        for number in 0..100 {
            direction.offer(&[number], now + Duration::from_millis(u64::from(number)));
        }
        let end = now + Duration::from_secs(1);
        let order: Vec<u8> = std::iter::from_fn(|| direction.pop(end))
            .map(|packet| packet[0])
            .collect();
        assert_eq!(order.len(), 100);
        assert!(!order.is_sorted());
    }
}
