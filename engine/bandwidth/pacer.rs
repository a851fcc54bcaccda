//! When packets leave that nobody waits for in real time: retransmissions and padding. Media is never
//! held back (its publisher paced it); it fills the bucket, and repairs leave while the bucket has room.
//!
//! A credit bounds what a peer can make us send: repairs and padding together never exceed the media
//! that it got, but for a first allowance. So a flood of NACKs is not amplified.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Repairs that wait; a peer that asks for more at once asks again.
const MAX_WAITING: usize = 256;
/// Repairs leave at this multiple of the estimate, media included.
const PACE: f64 = 2.0;
/// The bucket holds so much time of the pace.
const BURST: Duration = Duration::from_millis(10);
/// No bucket is too small for a few packets.
const MIN_BURST: f64 = 6_000.0;
/// Bytes of repairs before any media, and the most that is saved up.
const FIRST_CREDIT: u64 = 32 * 1024;
const MAX_CREDIT: u64 = 2 * 1024 * 1024;
/// Of the last repairs, to answer a repeated request once within a round trip.
const RECENT: usize = 128;

/// The repairs of one session; `K` names one.
pub struct Pacer<K> {
    waiting: VecDeque<K>,
    recent: VecDeque<(Instant, K)>,
    credit: u64,
    /// Bytes in the bucket at `leaked`.
    level: f64,
    leaked: Instant,
    /// bit/s; infinite while nothing is known about the way.
    pace: f64,
}

impl<K: Copy + PartialEq> Pacer<K> {
    /// An empty bucket.
    pub fn new(now: Instant) -> Pacer<K> {
        Pacer {
            waiting: VecDeque::new(),
            recent: VecDeque::new(),
            credit: FIRST_CREDIT,
            level: 0.0,
            leaked: now,
            pace: f64::INFINITY,
        }
    }

    /// Sets the pace by an estimate in bit/s.
    pub fn set_estimate(&mut self, estimate: f64, now: Instant) {
        self.leak(now);
        self.pace = PACE * estimate;
    }

    /// Notes media that leaves.
    #[inline]
    pub fn media_sent(&mut self, size: u16) {
        self.level += f64::from(size);
        self.credit = (self.credit + u64::from(size)).min(MAX_CREDIT);
    }

    /// Spends credit on a repair or padding that leaves.
    pub fn extra_sent(&mut self, size: u16) {
        self.level += f64::from(size);
        self.credit = self.credit.saturating_sub(u64::from(size));
    }

    /// Bytes of repairs and padding that may leave.
    pub fn credit(&self) -> usize {
        self.credit as usize
    }

    /// Queues a repair, unless it waits already, left within `rtt`, or too many wait.
    pub fn ask(&mut self, repair: K, rtt: Duration, now: Instant) {
        if self.waiting.len() == MAX_WAITING {
            return;
        }
        let again = self
            .recent
            .iter()
            .any(|&(at, other)| other == repair && now.saturating_duration_since(at) < rtt);
        if !again && !self.waiting.contains(&repair) {
            self.waiting.push_back(repair);
        }
    }

    /// The next repair that may leave now.
    pub fn next(&mut self, now: Instant) -> Option<K> {
        if self.waiting.is_empty() {
            return None;
        }
        self.leak(now);
        if self.level > self.burst() {
            return None;
        }
        if self.credit == 0 {
            self.waiting.clear();
            return None;
        }
        let repair = self.waiting.pop_front()?;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((now, repair));
        Some(repair)
    }

    /// When a waiting repair may leave.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.waiting.front()?;
        let over = (self.level - self.burst()).max(0.0);
        let wait = (over * 8.0 / self.pace).clamp(0.001, 1.0);
        Some(now + Duration::from_secs_f64(wait))
    }

    fn burst(&self) -> f64 {
        (self.pace / 8.0 * BURST.as_secs_f64()).max(MIN_BURST)
    }

    fn leak(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.leaked).as_secs_f64();
        self.leaked = now;
        // While nothing is known about the way, nothing is held back.
        self.level = if self.pace.is_finite() {
            // Media may exceed the estimate for a while; repairs are not to wait for that for long.
            (self.level - self.pace / 8.0 * elapsed).clamp(0.0, 2.0 * self.burst())
        } else {
            0.0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn a_flood_of_requests_leaves_at_the_pace_and_within_the_credit() {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.set_estimate(1e6, now);
        for _ in 0..200 {
            pacer.media_sent(1200);
        }
        let (mut sent, mut first_tick) = (0_usize, 0);
        for tick in 0..1000 {
            for number in 0..5000 {
                pacer.ask(number, RTT, now);
            }
            assert!(pacer.waiting.len() <= MAX_WAITING);
            while pacer.next(now).is_some() {
                pacer.extra_sent(1200);
                sent += 1200;
            }
            if tick == 200 {
                first_tick = sent;
            }
            now += Duration::from_millis(1);
        }
        assert!(first_tick < 70_000, "2 Mbit/s for 200 ms: {first_tick}");
        assert!(sent <= 200 * 1200 + FIRST_CREDIT as usize + 1200, "{sent}");
        assert!(sent > 100_000);
    }

    #[test]
    fn a_repair_leaves_once_in_a_round_trip() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.ask(7, RTT, now);
        pacer.ask(7, RTT, now);
        assert_eq!(pacer.next(now), Some(7));
        assert_eq!(pacer.next(now), None);
        pacer.ask(7, RTT, now + RTT / 2);
        assert_eq!(pacer.next(now + RTT / 2), None);
        pacer.ask(7, RTT, now + RTT);
        assert_eq!(pacer.next(now + RTT), Some(7));
    }
}
