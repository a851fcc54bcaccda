//! From the detector's word to a rate: additive increase near the known capacity, multiplicative
//! elsewhere, and back to 85 % of what came on overuse (draft-ietf-rmcat-gcc-02 section 5.5).

use std::time::{Duration, Instant};

use super::overuse_detector::Usage;

/// Back to this part of the acknowledged rate.
const BACK_OFF: f64 = 0.85;
/// Further below it, so that the queue empties on slow links too.
const BACK_OFF_BITS: f64 = 5_000.0;
/// In a second, far from the known capacity.
const GROWTH: f64 = 1.08;
/// What has not been tried is not known: not above this, compared with the acknowledged rate.
const UNTRIED: f64 = 1.5;
const UNTRIED_BITS: f64 = 10_000.0;
/// bit/s in a second, at least, near the known capacity.
const MIN_STEP: f64 = 4_000.0;
const LONGEST_STEP: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
}

/// The delay-based rate.
pub struct RateController {
    rate: f64,
    state: State,
    capacity: Capacity,
    last_update: Instant,
    last_decrease: Option<Instant>,
}

impl RateController {
    /// Begins with a guess in bit/s.
    pub fn new(rate: f64, now: Instant) -> RateController {
        RateController {
            rate,
            state: State::Hold,
            capacity: Capacity::default(),
            last_update: now,
            last_decrease: None,
        }
    }

    /// bit/s.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// When it last went down.
    pub fn last_decrease(&self) -> Option<Instant> {
        self.last_decrease
    }

    /// A probe or the peer showed what the way carries.
    pub fn set(&mut self, rate: f64, now: Instant) {
        self.rate = rate;
        self.last_update = now;
        if self.capacity.bounds().is_some_and(|(_, high)| rate > high) {
            self.capacity = Capacity::default();
        }
    }

    /// Takes the detector's word, the acknowledged rate and the round trip.
    pub fn update(&mut self, usage: Usage, acked: Option<f64>, rtt: Duration, now: Instant) {
        let elapsed = now
            .saturating_duration_since(self.last_update)
            .min(LONGEST_STEP);
        match usage {
            Usage::Over => {
                if self.may_decrease(acked, rtt, now) {
                    self.decrease(acked, now);
                }
                self.state = State::Hold;
            }
            // The queue is emptying: what is sent now says nothing about the capacity.
            Usage::Under => self.state = State::Hold,
            Usage::Normal if self.state == State::Hold => self.state = State::Increase,
            Usage::Normal => self.increase(acked, rtt, elapsed),
        }
        self.last_update = now;
    }

    /// One overuse is answered once: the effect shows after a round trip.
    fn may_decrease(&self, acked: Option<f64>, rtt: Duration, now: Instant) -> bool {
        let wait = rtt.clamp(Duration::from_millis(10), Duration::from_millis(200));
        self.last_decrease
            .is_none_or(|last| now.saturating_duration_since(last) >= wait)
            || acked.is_some_and(|acked| acked < self.rate / 2.0)
    }

    fn decrease(&mut self, acked: Option<f64>, now: Instant) {
        let mut lower = match acked {
            Some(acked) => acked * BACK_OFF - BACK_OFF_BITS,
            None => self.rate / 2.0,
        };
        if lower > self.rate
            && let Some(capacity) = self.capacity.estimate
        {
            lower = capacity * 1e3 * BACK_OFF;
        }
        self.rate = self.rate.min(lower.max(0.0));
        if let Some(acked) = acked {
            if self.capacity.bounds().is_some_and(|(low, _)| acked < low) {
                self.capacity = Capacity::default();
            }
            self.capacity.add(acked / 1e3);
        }
        self.last_decrease = Some(now);
    }

    fn increase(&mut self, acked: Option<f64>, rtt: Duration, elapsed: Duration) {
        if let (Some(acked), Some((_, high))) = (acked, self.capacity.bounds())
            && acked > high
        {
            self.capacity = Capacity::default();
        }
        let seconds = elapsed.as_secs_f64();
        let step = if self.capacity.estimate.is_some() {
            self.near_capacity(rtt) * seconds
        } else {
            (self.rate * (GROWTH.powf(seconds) - 1.0)).max(1000.0 * seconds)
        };
        let limit = acked.map_or(f64::MAX, |acked| UNTRIED * acked + UNTRIED_BITS);
        if self.rate < limit {
            self.rate = (self.rate + step).min(limit);
        }
    }

    /// bit/s in a second: about a packet in each response time.
    fn near_capacity(&self, rtt: Duration) -> f64 {
        let frame = self.rate / 30.0;
        let packets = (frame / (8.0 * 1200.0)).ceil().max(1.0);
        let response = rtt.as_secs_f64() + 0.1;
        (frame / packets / response).max(MIN_STEP)
    }
}

/// Where overuse began before, with its spread.
#[derive(Default)]
struct Capacity {
    /// kbit/s.
    estimate: Option<f64>,
    deviation: f64,
}

impl Capacity {
    const WEIGHT: f64 = 0.05;

    fn add(&mut self, kilobits: f64) {
        let estimate = match self.estimate {
            None => kilobits,
            Some(before) => before * (1.0 - Self::WEIGHT) + kilobits * Self::WEIGHT,
        };
        self.estimate = Some(estimate);
        let error = estimate - kilobits;
        self.deviation = (self.deviation * (1.0 - Self::WEIGHT)
            + error * error / estimate.max(1.0) * Self::WEIGHT)
            .clamp(0.4, 2.5);
    }

    /// In bit/s: three deviations to each side.
    fn bounds(&self) -> Option<(f64, f64)> {
        let estimate = self.estimate?;
        let spread = 3.0 * (self.deviation * estimate).sqrt();
        Some((
            (estimate - spread).max(0.0) * 1e3,
            (estimate + spread) * 1e3,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn it_grows_while_the_queue_does_not_and_goes_below_what_came_when_it_does() {
        let mut now = Instant::now();
        let mut controller = RateController::new(1e6, now);
        for _ in 0..100 {
            now += Duration::from_millis(100);
            controller.update(Usage::Normal, Some(2e6), RTT, now);
        }
        let grown = controller.rate();
        assert!((1.9e6..2.3e6).contains(&grown), "{grown}");
        controller.update(Usage::Over, Some(1.5e6), RTT, now);
        assert!((controller.rate() - 1.27e6).abs() < 1.0);
        controller.update(Usage::Over, Some(1.2e6), RTT, now);
        assert!((controller.rate() - 1.27e6).abs() < 1.0, "answered once");
        for _ in 0..11 {
            now += Duration::from_millis(100);
            controller.update(Usage::Normal, Some(1.25e6), RTT, now);
        }
        let near = controller.rate() - 1.27e6;
        assert!((10e3..100e3).contains(&near), "a little a second: {near}");
    }

    #[test]
    fn it_does_not_believe_in_what_was_not_tried() {
        let mut now = Instant::now();
        let mut controller = RateController::new(300e3, now);
        for _ in 0..1000 {
            now += Duration::from_millis(100);
            controller.update(Usage::Normal, Some(300e3), RTT, now);
        }
        assert!(controller.rate() <= 460e3);
    }
}
