//! What a flow sends under its estimate, as sessions choose it (`core/bandwidth`).

use std::time::{Duration, Instant};

use super::network::Source;
use crate::bandwidth::allocation::{Demand, MAX_STEPS, share};
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
    /// Chooses where it is time to, by the estimate in bit/s.
    pub fn choose(
        &mut self,
        source: &Source,
        estimator: &mut Estimator,
        estimate: f64,
        now: Instant,
    ) {
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
        let mut audio = demand(&[source.audio]);
        audio.is_audio = true;
        audio
    }

    fn video(&self, source: &Source, estimator: &Estimator, now: Instant) -> Demand {
        let mut video = demand(&source.ladder);
        video.current = (self.rate > 0.0).then_some(self.rate as u64);
        video.is_paused = self.is_paused;
        video.may_rise = estimator.is_settled(now);
        video
    }
}

fn demand(list: &[f64]) -> Demand {
    let mut rates = [0; MAX_STEPS];
    for (slot, rate) in rates.iter_mut().zip(list) {
        *slot = *rate as u64;
    }
    Demand {
        is_audio: false,
        priority: 0,
        rates,
        current: None,
        is_paused: false,
        may_rise: true,
        budget: 0,
        fits: true,
    }
}
