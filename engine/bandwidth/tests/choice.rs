//! What a flow sends under its estimate: a model of how sessions choose it (`core/bandwidth`), without their pacer, their
//! wait for a key frame and their trials of a video that is paused.

use std::time::{Duration, Instant};

use super::network::Source;
use crate::bandwidth::allocation::{Demand, share};
use crate::bandwidth::estimator::Estimator;

const INTERVAL: Duration = Duration::from_millis(200);
/// A video for which there is no room goes on for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The encoding that is sent.
#[derive(Default)]
pub struct Choice {
    /// bit/s of video.
    pub rate: f64,
    is_paused: bool,
    starved_since: Option<Instant>,
    chosen: Option<Instant>,
    estimate: f64,
}

impl Choice {
    /// Chooses where it is time to.
    pub fn choose(&mut self, source: &Source, estimator: &mut Estimator, now: Instant) {
        if source.constant {
            self.rate = source.most;
            return;
        }
        let estimate = estimator.bits_per_second(now).unwrap_or(1_000_000) as f64;
        if source.ladder.is_empty() {
            self.rate = estimate.min(source.most);
            return;
        }
        let is_due = self
            .chosen
            .is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL);
        if !is_due && estimate >= 0.95 * self.estimate {
            return;
        }
        (self.chosen, self.estimate) = (Some(now), estimate);
        let crowded = estimator.is_crowded(now);
        let mut demands = [Self::audio(source), self.video(source, estimator, now)];
        share(
            estimate as u64,
            &mut demands,
            crowded || estimator.is_guess(),
        );
        let [audio, video] = &demands;
        let hurts = crowded && audio.most() > 0;
        self.is_paused = !video.fits && self.gives_up(video, hurts, now);
        if video.fits {
            self.starved_since = None;
        }
        let had = self.rate;
        self.rate = if self.is_paused {
            0.0
        } else {
            video.budget as f64
        };
        if self.rate > had {
            estimator.expect_jump(now);
        }
        estimator.set_without_picture(self.is_paused);
    }

    fn gives_up(&mut self, video: &Demand, hurts: bool, now: Instant) -> bool {
        if self.is_paused && video.budget == 0 {
            return true;
        }
        if !hurts {
            self.starved_since = None;
            return false;
        }
        let since = *self.starved_since.get_or_insert(now);
        now.saturating_duration_since(since) >= PATIENCE
    }

    fn audio(source: &Source) -> Demand {
        let mut audio = Demand::new(true, 0);
        audio.set_rates([source.audio as u64]);
        audio
    }

    fn video(&self, source: &Source, estimator: &Estimator, now: Instant) -> Demand {
        let mut video = Demand {
            current: (self.rate > 0.0).then_some(self.rate as u64),
            is_paused: self.is_paused,
            may_rise: estimator.is_settled(now),
            ..Demand::new(false, 0)
        };
        video.set_rates(source.ladder.iter().map(|&rate| rate as u64));
        video
    }
}
