//! The rate that the losses allow: of a few candidates, the one under which the losses of the last
//! seconds were most likely, given that some loss is the way's own and has nothing to do with the rate.
//! After libwebrtc's second loss-based estimator; the draft's first one (section 6) would starve on 10 % of such loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: usize = 20;
/// An observation lasts at least so long.
const OBSERVATION: Duration = Duration::from_millis(250);
/// Weight of an observation against the one after it.
const AGEING: f64 = 0.9;
/// Candidates, as parts of the current rate.
const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
const MIN_INHERENT: f64 = 1e-3;
/// The way's own loss is believed up to this, and this many bit/s divided by the rate more.
const INHERENT_OFFSET: f64 = 0.05;
const INHERENT_BITS: f64 = 100e3;
/// Losses above the offset allow no more than this divided by what is above it.
const INSTANT_BITS: f64 = 100e3;
/// Of two equally likely rates the higher one is better.
const HIGHER_BIAS: f64 = 0.0002;
const HIGHER_LOG_BIAS: f64 = 0.02;
/// With more loss than this, it is not.
const BIAS_LOSS: f64 = 0.3;
/// Below this part of the rate before is a decrease, and no mere doubt.
const DECREASE: f64 = 0.98;
const NEWTON_STEP: f64 = 0.75;
/// In `GROWTH_WINDOW`, once losses limit the rate.
const GROWTH: f64 = 1.3;
const GROWTH_WINDOW: Duration = Duration::from_millis(300);

#[derive(Clone, Copy)]
struct Observation {
    received: f64,
    lost: f64,
    /// bit/s.
    sent_rate: f64,
}

#[derive(Default)]
struct Partial {
    received: u32,
    lost: u32,
    bytes: u64,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
}

/// The loss-based rate.
pub struct LossEstimator {
    partial: Partial,
    observations: VecDeque<Observation>,
    /// bit/s; none while losses do not limit.
    rate: Option<f64>,
    inherent: f64,
    growth_began: Option<(Instant, f64)>,
    last_decrease: Option<Instant>,
}

impl LossEstimator {
    /// An estimator that has seen nothing.
    pub fn new() -> LossEstimator {
        LossEstimator {
            partial: Partial::default(),
            observations: VecDeque::with_capacity(WINDOW),
            rate: None,
            inherent: 0.01,
            growth_began: None,
            last_decrease: None,
        }
    }

    /// bit/s that the losses allow; none: as much as the delay does.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// When losses last took some of the rate. Loss that is the way's own does not: there may be room all the same.
    pub fn last_decrease(&self) -> Option<Instant> {
        self.last_decrease
    }

    /// Takes the fate of a packet.
    pub fn packet(&mut self, sent: Instant, size: u16, arrived: bool) {
        let partial = &mut self.partial;
        if arrived {
            partial.received += 1;
        } else {
            partial.lost += 1;
        }
        partial.bytes += u64::from(size);
        partial.first_sent = Some(partial.first_sent.map_or(sent, |first| first.min(sent)));
        partial.last_sent = Some(partial.last_sent.map_or(sent, |last| last.max(sent)));
    }

    /// A packet that was told lost came after all.
    pub fn came_late(&mut self) {
        if self.partial.lost > 0 {
            self.partial.lost -= 1;
            self.partial.received += 1;
        } else if let Some(last) = self.observations.back_mut()
            && last.lost >= 1.0
        {
            last.lost -= 1.0;
            last.received += 1.0;
        }
    }

    /// After a feedback: `delay_rate` is what the delay allows, `acked` what came, in bit/s.
    pub fn update(&mut self, delay_rate: f64, acked: Option<f64>, now: Instant) {
        if !self.complete() {
            self.rate = self.rate.filter(|&rate| rate < delay_rate);
            return;
        }
        let loss = self.average_loss();
        let current = self.rate.unwrap_or(delay_rate).min(delay_rate);
        let bias = if loss < BIAS_LOSS { 1.0 } else { 0.0 };
        let mut best = (current, self.inherent, f64::MIN);
        let tried = acked.filter(|_| loss > INHERENT_OFFSET);
        let candidates = CANDIDATES
            .iter()
            .map(|factor| factor * current)
            .chain(tried)
            .chain([delay_rate]);
        for rate in candidates.map(|rate| rate.min(delay_rate)) {
            let inherent = self.likeliest_inherent(rate);
            let likelihood = self.likelihood(rate, inherent, bias);
            if likelihood > best.2 {
                best = (rate, inherent, likelihood);
            }
        }
        let (mut rate, inherent, _) = best;
        if rate > current && inherent < loss {
            rate = current;
        }
        if self.rate.is_some() {
            rate = self.limit_growth(rate, now);
        }
        self.inherent = inherent;
        let above = loss - INHERENT_OFFSET;
        if above > 0.0 {
            rate = rate.min(INSTANT_BITS / above);
        }
        if rate < DECREASE * current {
            self.last_decrease = Some(now);
        }
        self.rate = (rate < delay_rate).then_some(rate);
    }

    fn limit_growth(&mut self, rate: f64, now: Instant) -> f64 {
        let (began, from) = *self.growth_began.get_or_insert((now, rate));
        if now.saturating_duration_since(began) >= GROWTH_WINDOW || rate < from {
            self.growth_began = Some((now, rate.min(from * GROWTH)));
        }
        rate.min(from * GROWTH)
    }

    /// Makes an observation of what was gathered, when that is long enough.
    fn complete(&mut self) -> bool {
        let (Some(first), Some(last)) = (self.partial.first_sent, self.partial.last_sent) else {
            return false;
        };
        let elapsed = last.saturating_duration_since(first);
        if elapsed < OBSERVATION {
            return false;
        }
        if self.observations.len() == WINDOW {
            self.observations.pop_front();
        }
        self.observations.push_back(Observation {
            received: f64::from(self.partial.received),
            lost: f64::from(self.partial.lost),
            sent_rate: self.partial.bytes as f64 * 8.0 / elapsed.as_secs_f64(),
        });
        self.partial = Partial::default();
        true
    }

    /// The latest first, with their weights.
    fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let mut weight = 1.0;
        self.observations.iter().rev().map(move |observation| {
            let current = weight;
            weight *= AGEING;
            (current, observation)
        })
    }

    fn average_loss(&self) -> f64 {
        let (lost, all) = self
            .weighted()
            .fold((0.0, 0.0), |(lost, all), (weight, o)| {
                (lost + weight * o.lost, all + weight * (o.lost + o.received))
            });
        if all > 0.0 { lost / all } else { 0.0 }
    }

    /// One of Newton's steps from the last inherent loss.
    fn likeliest_inherent(&self, rate: f64) -> f64 {
        let (mut first, mut second) = (0.0, 0.0);
        for (weight, observation) in self.weighted() {
            let p = loss_probability(self.inherent, rate, observation.sent_rate);
            first += weight * (observation.lost / p - observation.received / (1.0 - p));
            second -= weight
                * (observation.lost / (p * p) + observation.received / ((1.0 - p) * (1.0 - p)));
        }
        let moved = if second < 0.0 {
            self.inherent - NEWTON_STEP * first / second
        } else {
            self.inherent
        };
        let most = (INHERENT_OFFSET + INHERENT_BITS / rate.max(1.0)).min(0.9);
        moved.clamp(MIN_INHERENT, most.max(MIN_INHERENT))
    }

    fn likelihood(&self, rate: f64, inherent: f64, bias: f64) -> f64 {
        let kilobits = rate / 1e3;
        let higher = bias * (HIGHER_BIAS * kilobits + HIGHER_LOG_BIAS * (1.0 + kilobits).ln());
        self.weighted()
            .map(|(weight, observation)| {
                let p = loss_probability(inherent, rate, observation.sent_rate);
                let packets = observation.lost + observation.received;
                weight
                    * (observation.lost * p.ln()
                        + observation.received * (1.0 - p).ln()
                        + higher * packets)
            })
            .sum()
    }
}

/// Of a packet, when `sent` bit/s go over a way of `rate` bit/s with its own loss.
fn loss_probability(inherent: f64, rate: f64, sent: f64) -> f64 {
    let excess = if sent > rate {
        (sent - rate) / sent
    } else {
        0.0
    };
    (inherent + (1.0 - inherent) * excess).clamp(1e-6, 1.0 - 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `rate_of(estimate)` for 20 s over a way of `capacity` bit/s with its own `loss`.
    fn settle(capacity: f64, loss: f64) -> f64 {
        let mut now = Instant::now();
        let mut estimator = LossEstimator::new();
        let delay_rate = 2e6;
        let mut owed = 0.0;
        let mut state = 1_u64;
        for _ in 0..800 {
            let rate = estimator.rate().unwrap_or(delay_rate);
            owed += rate / 8.0 * 0.025;
            let p = loss_probability(loss, capacity, rate);
            while owed > 1000.0 {
                owed -= 1000.0;
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let arrived = (state >> 33) as f64 / f64::from(1_u32 << 31) >= p;
                estimator.packet(now, 1000, arrived);
            }
            now += Duration::from_millis(25);
            estimator.update(delay_rate, Some(rate * (1.0 - p)), now);
        }
        estimator.rate().unwrap_or(delay_rate)
    }

    #[test]
    fn the_ways_own_loss_does_not_starve() {
        let rate = settle(1e9, 0.05);
        assert!(rate > 1.2e6, "{rate}");
        let rate = settle(1e9, 0.2);
        assert!(rate > 300e3, "{rate}");
    }

    #[test]
    fn a_way_that_drops_what_is_too_much_is_found() {
        let rate = settle(1e6, 0.0);
        assert!((0.7e6..1.25e6).contains(&rate), "{rate}");
    }

    #[test]
    fn without_loss_the_delay_decides() {
        assert!((settle(1e9, 0.0) - 2e6).abs() < 1.0);
    }
}
