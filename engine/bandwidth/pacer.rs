//! When packets leave: a leaky bucket that everything sent fills. Retransmissions and padding leave while it has room.
//! Audio never waits. Video waits only on a way that has shown its limit, where a key frame that left at once would fill
//! the queue before it; elsewhere its publisher's own pacing does.
//!
//! A credit bounds what a peer can make us send: in any second, repairs and padding are less than the media that it gets.
//! So a flood of NACKs is not amplified.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::credit::Credit;
use super::repair_queue::RepairQueue;

/// Packets leave at this multiple of the estimate, as libwebrtc's do.
const PACE: f64 = 2.5;
/// On a way that has shown its limit nearly at the estimate itself: a key frame is most of a second of it.
const NARROW_PACE: f64 = 1.2;
/// Repairs leave while the bucket holds less time of the pace.
const BURST: Duration = Duration::from_millis(10);
/// Video does while it holds less time of it, or a few packets: an ordinary frame is not taken apart.
const MEDIA_BURST: Duration = Duration::from_millis(20);
const MIN_MEDIA_BURST: f64 = 3_600.0;
/// No bucket is too small for a few packets.
const MIN_BURST: f64 = 6_000.0;
/// What waits leaves within so long, if need be faster than the pace: a picture that is later still is of no use.
const LONGEST_HELD: Duration = Duration::from_millis(500);
/// The oldest leave when more wait, and what comes is refused when this many times more do.
const MAX_HELD: usize = 512;
const MOST_HELD: usize = 4 * MAX_HELD;
/// Between two looks at what waits, several packets leave together.
const HELD_STEP: f64 = 0.005;

struct Held<M> {
    since: Instant,
    size: u16,
    media: M,
}

/// What leaves for one session; `K` names a repair, `M` is a packet of video.
pub struct Pacer<K, M> {
    repairs: RepairQueue<K>,
    /// In their order.
    held: VecDeque<Held<M>>,
    held_bytes: usize,
    /// bit/s at which all that waits leaves in time; zero while nothing does.
    drain: f64,
    /// Video waits while the bucket holds more bytes: infinite where none does, and below zero once any waits.
    limit: f64,
    /// The way has shown how little it carries.
    is_narrow: bool,
    credit: Credit,
    /// Bytes in the bucket at `leaked`.
    level: f64,
    leaked: Instant,
    /// bit/s; infinite while nothing is known about the way.
    pace: f64,
}

impl<K: Copy + Eq + Hash, M> Pacer<K, M> {
    /// An empty bucket.
    pub fn new(now: Instant) -> Pacer<K, M> {
        Pacer {
            repairs: RepairQueue::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            drain: 0.0,
            limit: f64::INFINITY,
            is_narrow: false,
            credit: Credit::new(now),
            level: 0.0,
            leaked: now,
            pace: f64::INFINITY,
        }
    }

    /// Sets the pace by an estimate in bit/s; video is held to it on a way that `is_narrow`.
    pub fn set_estimate(&mut self, estimate: f64, is_narrow: bool, now: Instant) {
        self.leak(now);
        self.pace = estimate * if is_narrow { NARROW_PACE } else { PACE };
        self.is_narrow = is_narrow;
        self.set_limit();
    }

    fn set_limit(&mut self) {
        let is_free = self.held.is_empty();
        self.limit = match (is_free, self.is_narrow) {
            (false, _) => f64::NEG_INFINITY,
            (true, true) => self.media_burst(),
            (true, false) => f64::INFINITY,
        };
        let drain = self.held_bytes as f64 * 8.0 / LONGEST_HELD.as_secs_f64();
        self.drain = if is_free { 0.0 } else { self.drain.max(drain) };
    }

    /// Whether video may have to wait: `must_hold` knows.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.level > self.limit
    }

    /// Whether video that comes now has to wait: behind what waits already, or for room.
    pub fn must_hold(&mut self, now: Instant) -> bool {
        self.leak(now);
        self.is_full()
    }

    /// Lets a packet of video of `size` bytes wait; false where too many do.
    pub fn hold(&mut self, media: M, size: u16, now: Instant) -> bool {
        let has_place = self.held.len() < MOST_HELD;
        if has_place {
            self.held_bytes += usize::from(size);
            self.held.push_back(Held {
                since: now,
                size,
                media,
            });
            self.set_limit();
        }
        has_place
    }

    /// Whether any video waits.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The next packet of video that may leave now.
    pub fn next_held(&mut self, now: Instant) -> Option<M> {
        let since = self.held.front()?.since;
        self.leak(now);
        let has_room = !self.is_narrow || self.level <= self.media_burst();
        let must_go =
            self.held.len() > MAX_HELD || now.saturating_duration_since(since) >= LONGEST_HELD;
        if !has_room && !must_go {
            return None;
        }
        let Held { size, media, .. } = self.held.pop_front()?;
        self.held_bytes -= usize::from(size);
        self.set_limit();
        Some(media)
    }

    /// What waits, in its order.
    pub fn held(&self) -> impl Iterator<Item = &M> {
        self.held.iter().map(|held| &held.media)
    }

    /// Takes all out that waits; how many.
    pub fn clear_held(&mut self) -> usize {
        let count = self.held.len();
        self.drop_held(|_| true);
        count
    }

    /// Takes out what is not to leave any more.
    pub fn drop_held(&mut self, mut is_dropped: impl FnMut(&M) -> bool) {
        self.held.retain(|held| !is_dropped(&held.media));
        self.held_bytes = self.held.iter().map(|held| usize::from(held.size)).sum();
        self.set_limit();
    }

    /// Notes media that leaves.
    #[inline]
    pub fn media_sent(&mut self, size: u16) {
        self.level += f64::from(size);
        self.credit.earn(size);
    }

    /// Has fetched what `media_sent` changes.
    #[inline]
    pub fn fetch_sending(&self) {
        switchyard_net::prefetch(&self.level);
        self.credit.fetch();
    }

    /// Spends credit on a repair or padding that leaves.
    pub fn extra_sent(&mut self, size: u16) {
        self.level += f64::from(size);
        self.credit.spend(size);
    }

    /// Whether a repair or padding may leave, as far as the media bounds them.
    pub fn has_credit(&mut self, now: Instant) -> bool {
        self.credit.is_left(now)
    }

    /// Queues a repair, unless it waits already, left within `rtt`, or too many wait.
    pub fn ask(&mut self, repair: K, rtt: Duration, now: Instant) {
        self.repairs.ask(repair, rtt, now);
    }

    /// The next repair that may leave now.
    pub fn next(&mut self, now: Instant) -> Option<K> {
        if self.repairs.is_empty() {
            return None;
        }
        self.leak(now);
        if self.level > self.burst() {
            return None;
        }
        if !self.credit.is_left(now) {
            self.repairs.clear();
            return None;
        }
        self.repairs.pop(now)
    }

    /// When a waiting repair or packet of video may leave.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let room_at = |limit: f64, least: f64| {
            let over = (self.level - limit).max(0.0);
            let wait = (over * 8.0 / self.leak_rate()).clamp(least, 1.0);
            now + Duration::from_secs_f64(wait)
        };
        let repair = (!self.repairs.is_empty()).then(|| room_at(self.burst(), 0.001));
        let media = self.held.front().map(|held| {
            let must_go = (held.since + LONGEST_HELD).max(now);
            room_at(self.media_burst(), HELD_STEP).min(must_go)
        });
        match (repair, media) {
            (Some(repair), Some(media)) => Some(repair.min(media)),
            (repair, media) => repair.or(media),
        }
    }

    /// bit/s.
    fn leak_rate(&self) -> f64 {
        self.pace.max(self.drain)
    }

    fn media_burst(&self) -> f64 {
        (self.pace / 8.0 * MEDIA_BURST.as_secs_f64()).max(MIN_MEDIA_BURST)
    }

    fn burst(&self) -> f64 {
        (self.pace / 8.0 * BURST.as_secs_f64()).max(MIN_BURST)
    }

    fn leak(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.leaked).as_secs_f64();
        self.leaked = now;
        // While nothing is known about the way, nothing is held back.
        self.level = if self.pace.is_finite() {
            // Media may exceed the estimate for a while; nothing is to wait for that for long.
            let most = 2.0 * self.media_burst();
            (self.level - self.leak_rate() / 8.0 * elapsed).clamp(0.0, most)
        } else {
            0.0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_requests_leaves_at_the_pace_and_within_the_credit() {
        let rtt = Duration::from_millis(50);
        let mut now = Instant::now();
        let mut pacer = Pacer::<_, ()>::new(now);
        pacer.set_estimate(1e6, false, now);
        let (mut sent, mut media, mut first_tick) = (0_usize, 0, 0);
        for tick in 0..1000 {
            // 960 kbit/s.
            if tick % 10 == 0 {
                pacer.media_sent(1200);
                media += 1200;
            }
            for number in 0..500 {
                pacer.ask(number, rtt, now);
            }
            while pacer.next(now).is_some() {
                pacer.extra_sent(1200);
                sent += 1200;
            }
            if tick == 200 {
                first_tick = sent + media;
            }
            now += Duration::from_millis(1);
        }
        assert!(first_tick < 75_000, "2.5 Mbit/s for 200 ms: {first_tick}");
        assert!(sent < media, "{sent} beside {media}");
        assert!(sent > media / 2, "{sent} beside {media}");
    }

    /// Times in ms at which 60 packets leave that come together.
    fn key_frame(estimate: f64, is_narrow: bool) -> Vec<usize> {
        let mut now = Instant::now();
        let mut pacer = Pacer::<(), usize>::new(now);
        pacer.set_estimate(estimate, is_narrow, now);
        let mut left = Vec::new();
        for number in 0..60 {
            if pacer.is_full() && pacer.must_hold(now) {
                assert!(pacer.hold(number, 1200, now));
            } else {
                pacer.media_sent(1200);
                left.push((number, 0));
            }
        }
        for at in 1..=600 {
            now += Duration::from_millis(1);
            while let Some(number) = pacer.next_held(now) {
                pacer.media_sent(1200);
                left.push((number, at));
            }
        }
        assert!(
            !pacer.holds()
                && left
                    .iter()
                    .enumerate()
                    .all(|(at, &(number, _))| at == number)
        );
        left.into_iter().map(|(_, at)| at).collect()
    }

    #[test]
    fn video_waits_in_its_order_on_a_narrow_way_and_nowhere_else() {
        assert!(key_frame(500e3, false).iter().all(|&at| at == 0));
        assert!(key_frame(50e6, true).iter().all(|&at| at == 0));
        let left = key_frame(1e6, true);
        let within = |ms| left.iter().filter(|&&at| at <= ms).count();
        assert!((3..6).contains(&within(0)), "{left:?}");
        // 1.2 Mbit/s are a packet in 8 ms.
        assert!((14..18).contains(&within(100)), "{left:?}");
        assert!((26..31).contains(&within(200)), "{left:?}");
        let slower = key_frame(200e3, true);
        let last = *slower.last().unwrap();
        assert!(
            (400..=500).contains(&last),
            "no longer than that: {slower:?}"
        );
        assert!(slower[30] > 150, "and evenly: {slower:?}");
    }
}
