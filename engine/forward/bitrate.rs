//! What a stream carries, measured over short windows.

use std::time::{Duration, Instant};

/// A window shorter than this says nothing: a key frame would look like a rate.
const SHORTEST_WINDOW: Duration = Duration::from_millis(400);

/// Where nobody looks, a window ends with the first packet after this: later than with those who look each half second.
const LONGEST_WINDOW: Duration = Duration::from_millis(600);

/// The bit rate of one stream.
pub struct Bitrate {
    bytes: u64,
    since: Instant,
    /// Bits a second, smoothed; zero before the first window.
    current: u64,
    /// Of the window before.
    last: u64,
}

impl Bitrate {
    /// Nothing was measured yet.
    pub fn new(now: Instant) -> Bitrate {
        Bitrate {
            bytes: 0,
            since: now,
            current: 0,
            last: 0,
        }
    }

    /// Counts a packet.
    #[inline]
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether nobody has measured for so long that the next packet belongs to another window.
    #[inline]
    pub fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LONGEST_WINDOW
    }

    /// Ends the window, where it was long enough.
    pub fn measure(&mut self, now: Instant) {
        let window = now.duration_since(self.since);
        if window < SHORTEST_WINDOW {
            return;
        }
        let rate = self.bytes * 8_000_000 / window.as_micros().max(1) as u64;
        // A layer that pauses between frames has not become cheaper, and one window with a key frame makes none dearer.
        self.current = match self.current {
            0 => rate,
            current if rate > current => current.max(self.last.min(rate)),
            current => (current * 3 + rate) / 4,
        };
        self.last = rate;
        self.bytes = 0;
        self.since = now;
    }

    /// Bits a second; before the first window ended, what came so far as if it were all of one: it tells
    /// larger encodings from smaller ones.
    pub fn bits_per_second(&self) -> u64 {
        match self.current {
            0 => self.bytes * 8_000 / SHORTEST_WINDOW.as_millis() as u64,
            current => current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_rises_when_it_stays_and_falls_slowly() {
        let start = Instant::now();
        let mut rate = Bitrate::new(start);
        rate.add(50_000);
        rate.measure(start + Duration::from_millis(100));
        assert_eq!(rate.bits_per_second(), 1_000_000, "a first guess");
        rate.measure(start + Duration::from_millis(500));
        assert_eq!(rate.bits_per_second(), 800_000);
        rate.measure(start + Duration::from_millis(1000));
        assert_eq!(rate.bits_per_second(), 600_000);
        for (ms, expected) in [(1500, 600_000), (2000, 1_200_000)] {
            rate.add(75_000);
            rate.measure(start + Duration::from_millis(ms));
            assert_eq!(rate.bits_per_second(), expected, "it must go on");
        }
    }
}
