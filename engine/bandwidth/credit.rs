//! How much a peer can make us send beside its media. Repairs and padding are earned by media and saved up only for a
//! moment, so in no second do they double what the peer gets, whatever it asks for.

use std::time::{Duration, Instant};

/// Bytes before any media, and the least that may be saved up: a few packets.
const LEAST: i64 = 8 * 1024;
/// Of each byte of media, in eighths. Together with what is saved up it is less than the media itself.
const EARNED: u64 = 5;
/// What is saved up at most: this part of the media of a second.
const SAVED: u64 = 4;
const SECOND: Duration = Duration::from_secs(1);

/// The bytes of one session.
pub struct Credit {
    /// Below zero after a packet that was larger than what was left.
    bytes: i64,
    /// All media so far, and how much of it has been earned from.
    media: u64,
    settled: u64,
    /// When this second began, with how much media, and what came in the one before.
    began: Instant,
    media_before: u64,
    last_second: u64,
}

impl Credit {
    /// That of a session without media.
    pub fn new(now: Instant) -> Credit {
        Credit {
            bytes: LEAST,
            media: 0,
            settled: 0,
            began: now,
            media_before: 0,
            last_second: 0,
        }
    }

    /// Notes media that leaves.
    #[inline]
    pub fn earn(&mut self, size: u16) {
        self.media += u64::from(size);
    }

    /// Notes a repair or padding that leaves.
    pub fn spend(&mut self, size: u16) {
        self.bytes -= i64::from(size);
    }

    /// Whether a repair or padding may leave.
    pub fn is_left(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.began);
        let mut this_second = self.media - self.media_before;
        if elapsed >= SECOND {
            self.last_second = (this_second as f64 / elapsed.as_secs_f64()) as u64;
            (self.began, self.media_before) = (now, self.media);
            this_second = 0;
        }
        let most = self.last_second.max(this_second) / SAVED;
        let earned = (self.media - self.settled) * EARNED / 8;
        self.settled = self.media;
        let bytes = self.bytes.saturating_add_unsigned(earned);
        self.bytes = bytes.min(LEAST.max(most.cast_signed()));
        self.bytes > 0
    }

    /// Has fetched what `earn` changes.
    #[inline]
    pub fn fetch(&self) {
        switchyard_net::prefetch(&self.media);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Bytes of extras and of media in the worst second of half a minute, after so long without a request. `media` gives
    /// the packet of each millisecond, if there is one.
    fn worst_second(silent: Duration, mut media: impl FnMut(u32) -> Option<u16>) -> (u64, u64) {
        let start = Instant::now();
        let mut credit = Credit::new(start);
        let mut last_second = VecDeque::new();
        let (mut worst, mut sums) = ((0, 1), (0, 0));
        for tick in 0..30_000 {
            let now = start + Duration::from_millis(tick.into());
            let (size, mut extras) = (media(tick).unwrap_or(0), 0);
            credit.earn(size);
            if now >= start + silent {
                while credit.is_left(now) {
                    credit.spend(1200);
                    extras += 1200;
                }
            }
            last_second.push_back((extras, u64::from(size)));
            sums = (sums.0 + extras, sums.1 + u64::from(size));
            if last_second.len() > 1000
                && let Some((extras, size)) = last_second.pop_front()
            {
                sums = (sums.0 - extras, sums.1 - size);
            }
            if tick >= 1000 && sums.0 * worst.1 > worst.0 * sums.1 {
                worst = sums;
            }
        }
        worst
    }

    #[test]
    fn a_flood_of_requests_never_doubles_what_a_peer_gets_in_any_second() {
        for silent in [0, 10].map(Duration::from_secs) {
            for interval in [1, 3, 10] {
                let (extras, media) =
                    worst_second(silent, |tick| (tick % interval == 0).then_some(1200));
                assert!(extras < media, "{extras} beside {media}");
                assert!(extras > media / 2, "honest peers get their repairs");
            }
        }
    }

    #[test]
    fn packets_that_are_larger_than_what_was_earned_are_paid_for_later() {
        let audio = |tick: u32| tick.is_multiple_of(20).then_some(120);
        let (extras, media) = worst_second(Duration::ZERO, audio);
        assert!(
            extras <= media * 5 / 8 + LEAST as u64 + 1200,
            "{extras} beside {media}"
        );
    }

    #[test]
    fn an_outage_of_a_fifth_of_a_second_is_repaired_at_once() {
        let mut now = Instant::now();
        let mut credit = Credit::new(now);
        for _ in 0..2000 {
            credit.earn(1200);
            now += Duration::from_millis(5);
        }
        let mut repairs = 0;
        while credit.is_left(now) {
            credit.spend(1200);
            repairs += 1;
        }
        assert!(repairs >= 40, "{repairs} of 200 packets a second");
    }
}
