//! How fast the queue on the way grows: the slope of the smoothed one-way delay over the last groups.
//! libwebrtc's trendline in place of the draft's Kalman filter (draft-ietf-rmcat-gcc-02 section 5.3).

use std::collections::VecDeque;

use super::arrival_group::Spacing;

/// Groups that the line is drawn through.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// A single spacing cannot say more than this; a peer that lies says no more either.
const LONGEST_DELAY_MS: f64 = 1000.0;

/// Slope of the queueing delay.
#[derive(Default)]
pub struct SlopeEstimator {
    accumulated_ms: f64,
    smoothed_ms: f64,
    first_arrival_ms: Option<f64>,
    /// (arrival, smoothed delay), in ms.
    points: VecDeque<(f64, f64)>,
    groups: u32,
}

impl SlopeEstimator {
    /// Takes a spacing; ms of delay that are added in each ms, and how many groups were seen so far.
    pub fn update(&mut self, spacing: &Spacing) -> (f64, u32) {
        let first = *self.first_arrival_ms.get_or_insert(spacing.arrival_ms);
        self.groups = self.groups.saturating_add(1);
        let grown =
            (spacing.arrived_ms - spacing.sent_ms).clamp(-LONGEST_DELAY_MS, LONGEST_DELAY_MS);
        self.accumulated_ms += grown;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        if self.points.len() == WINDOW {
            self.points.pop_front();
        }
        self.points
            .push_back((spacing.arrival_ms - first, self.smoothed_ms));
        let slope = if self.points.len() == WINDOW {
            self.fit()
        } else {
            0.0
        };
        (slope, self.groups)
    }

    /// Least squares.
    fn fit(&self) -> f64 {
        let count = self.points.len() as f64;
        let (sum_x, sum_y) = self
            .points
            .iter()
            .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (numerator, denominator) =
            self.points
                .iter()
                .fold((0.0, 0.0), |(numerator, denominator), (x, y)| {
                    let dx = x - mean_x;
                    (numerator + dx * (y - mean_y), denominator + dx * dx)
                });
        if denominator > 0.0 {
            numerator / denominator
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope_of(grown_ms: f64) -> f64 {
        let mut estimator = SlopeEstimator::default();
        let mut slope = 0.0;
        for group in 0..100 {
            let arrived_ms = 20.0 + grown_ms;
            let spacing = Spacing {
                sent_ms: 20.0,
                arrived_ms,
                arrival_ms: f64::from(group) * arrived_ms,
            };
            (slope, _) = estimator.update(&spacing);
        }
        slope
    }

    #[test]
    fn the_slope_is_the_delay_added_per_time() {
        assert!(slope_of(0.0).abs() < 1e-9);
        assert!((slope_of(2.0) - 2.0 / 22.0).abs() < 1e-3);
        assert!((slope_of(-1.0) + 1.0 / 19.0).abs() < 1e-3);
    }
}
