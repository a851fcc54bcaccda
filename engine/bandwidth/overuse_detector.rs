//! Whether the queue on the way grows, with a threshold that adapts (draft-ietf-rmcat-gcc-02 section 5.4):
//! a fixed one would be starved by flows that fill the queue.

use std::time::{Duration, Instant};

/// What the delay says of the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Usage {
    /// The queue is as long as before.
    #[default]
    Normal,
    /// It grows.
    Over,
    /// It empties.
    Under,
}

/// Slopes are multiplied by this and by the number of groups, to compare with ms.
const GAIN: f64 = 4.0;
const MAX_GROUPS: u32 = 60;
/// Per ms.
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
const THRESHOLD_BOUNDS: (f64, f64) = (6.0, 600.0);
/// A spike does not move the threshold.
const SPIKE: f64 = 15.0;
/// The queue must grow for so long.
const PATIENCE_MS: f64 = 10.0;
const LONGEST_STEP: Duration = Duration::from_millis(100);

/// The detector's state.
pub struct OveruseDetector {
    threshold: f64,
    last_update: Option<Instant>,
    over_ms: f64,
    over_count: u32,
    previous_slope: f64,
    usage: Usage,
}

impl Default for OveruseDetector {
    fn default() -> Self {
        OveruseDetector {
            threshold: 12.5,
            last_update: None,
            over_ms: 0.0,
            over_count: 0,
            previous_slope: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl OveruseDetector {
    /// The last result.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes a slope after `groups` groups, the last two of which left `sent_ms` apart.
    pub fn update(&mut self, slope: f64, groups: u32, sent_ms: f64, now: Instant) -> Usage {
        if groups < 2 {
            return self.usage;
        }
        let scaled = f64::from(groups.min(MAX_GROUPS)) * slope * GAIN;
        if scaled > self.threshold {
            // Half of the time before the first sign of it was overuse already.
            self.over_ms += if self.over_count == 0 {
                sent_ms / 2.0
            } else {
                sent_ms
            };
            self.over_count += 1;
            if self.over_ms > PATIENCE_MS && self.over_count > 1 && slope >= self.previous_slope {
                self.over_ms = 0.0;
                self.over_count = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_ms = 0.0;
            self.over_count = 0;
            self.usage = if scaled < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.previous_slope = slope;
        self.adapt(scaled.abs(), now);
        self.usage
    }

    fn adapt(&mut self, scaled: f64, now: Instant) {
        let last = self.last_update.replace(now).unwrap_or(now);
        if scaled > self.threshold + SPIKE {
            return;
        }
        let gain = if scaled < self.threshold {
            THRESHOLD_DOWN
        } else {
            THRESHOLD_UP
        };
        let elapsed = now.saturating_duration_since(last).min(LONGEST_STEP);
        self.threshold += gain * (scaled - self.threshold) * elapsed.as_secs_f64() * 1e3;
        self.threshold = self.threshold.clamp(THRESHOLD_BOUNDS.0, THRESHOLD_BOUNDS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(slopes: &[(f64, u32)]) -> Vec<Usage> {
        let mut now = Instant::now();
        let mut detector = OveruseDetector::default();
        let mut groups = 0;
        let mut seen = Vec::new();
        for &(slope, count) in slopes {
            for _ in 0..count {
                groups += 1;
                now += Duration::from_millis(20);
                detector.update(slope, groups, 20.0, now);
            }
            seen.push(detector.usage());
        }
        seen
    }

    #[test]
    fn a_growing_queue_is_overuse_and_an_emptying_one_underuse() {
        let seen = run(&[(0.0, 60), (0.1, 3), (0.0, 1), (-0.1, 1)]);
        assert_eq!(
            seen,
            [Usage::Normal, Usage::Over, Usage::Normal, Usage::Under]
        );
    }

    #[test]
    fn one_late_group_is_no_overuse() {
        assert_eq!(run(&[(0.0, 60), (0.2, 1)])[1], Usage::Normal);
    }

    #[test]
    fn the_threshold_follows_a_queue_that_others_move() {
        let seen = run(&[(0.0, 60), (0.06, 400)]);
        let calm = run(&[(0.0, 60), (0.06, 400), (0.055, 10)]);
        assert_eq!(seen[0], Usage::Normal);
        assert_eq!(calm[2], Usage::Normal, "used to it by now");
    }
}
