//! How the estimate is shared over a session's subscriptions: audio whole, then video by priority, each
//! its lowest encoding first, then upwards one encoding at a time. Pure.

/// An encoding above the current one must fit with this to spare: no switching to and fro.
const UPGRADE_MARGIN: f64 = 1.05;
/// On overuse the estimate goes to 85 % of what came and a little less (`rate_controller`), though all of it was
/// carried: what is held may stay within what this was a part of, and rates vary.
const BACK_OFF: f64 = 0.8;
/// Encodings and parts of their layers that are looked at.
pub const MAX_STEPS: usize = 24;

/// What a subscription could use.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Audio has no choice: it gets its only rate.
    pub is_audio: bool,
    /// Lower numbers come first.
    pub priority: u32,
    /// bit/s of the encodings and of parts of their layers, ascending; zero: no more.
    pub rates: [u64; MAX_STEPS],
    /// The budget that it has, for stability; none at first.
    pub current: Option<u64>,
    /// It gets nothing for now.
    pub is_paused: bool,
    /// It may get more than it has.
    pub may_rise: bool,
    /// Result: bit/s that it may use. Zero: nothing fits.
    pub budget: u64,
    /// Result: there is room for its lowest encoding.
    pub fits: bool,
}

impl Demand {
    /// One that has nothing yet and may rise; its rates are still to be set.
    pub fn new(is_audio: bool, priority: u32) -> Demand {
        Demand {
            is_audio,
            priority,
            rates: [0; MAX_STEPS],
            current: None,
            is_paused: false,
            may_rise: true,
            budget: 0,
            fits: true,
        }
    }

    /// Sets what it could use, in bit/s, ascending; what is more than `MAX_STEPS` is left out.
    pub fn set_rates(&mut self, rates: impl IntoIterator<Item = u64>) {
        for (slot, rate) in self.rates.iter_mut().zip(rates) {
            *slot = rate;
        }
    }

    /// What it would use at most, in bit/s.
    pub fn most(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }

    /// The estimate that lets it use its best encoding, in bit/s.
    pub fn wish(&self) -> u64 {
        if self.is_audio {
            self.most()
        } else {
            (self.most() as f64 * UPGRADE_MARGIN) as u64 + 1
        }
    }

    fn encodings(&self) -> impl Iterator<Item = u64> {
        self.rates.into_iter().take_while(|&rate| rate > 0)
    }
}

/// Shares `estimate` bit/s; writes each demand's budget.
///
/// The first video keeps its lowest encoding even where it does not fit: a picture that stutters is better
/// than none. So it is until it is paused for the sake of audio; then it comes again when it fits. On a `crowded` way,
/// or one that nothing is known of, nothing is held that the estimate does not carry.
pub fn share(estimate: u64, demands: &mut [Demand], crowded: bool) {
    let mut free = estimate as f64;
    let came = free / BACK_OFF - free;
    let slack = if crowded { 0.0 } else { came };
    for demand in demands.iter_mut() {
        demand.budget = if demand.is_audio { demand.most() } else { 0 };
        demand.fits = demand.is_audio || demand.most() == 0;
        free -= demand.budget as f64;
    }
    let has_audio = demands
        .iter()
        .any(|demand| demand.is_audio && demand.budget > 0);
    // Indices in order of priority; sessions have tens of subscriptions, not thousands.
    let mut order: Vec<usize> = (0..demands.len())
        .filter(|&index| !demands[index].is_audio)
        .collect();
    order.sort_by_key(|&index| demands[index].priority);
    for step in 0..MAX_STEPS {
        for (rank, &index) in order.iter().enumerate() {
            let demand = &mut demands[index];
            let below = match step {
                0 => 0,
                _ => demand.rates[step - 1],
            };
            let Some(rate) = demand
                .encodings()
                .nth(step)
                .filter(|_| demand.budget == below)
            else {
                continue;
            };
            let held = demand.current.is_some_and(|current| current >= rate);
            let (needed, free_for_it) = if held {
                (rate as f64, free + slack)
            } else {
                (rate as f64 * UPGRADE_MARGIN, free)
            };
            if !demand.may_rise && demand.current.is_some_and(|current| rate > current) {
                continue;
            }
            let must = rank == 0 && step == 0 && !(demand.is_paused && has_audio);
            let fits = needed - below as f64 <= free_for_it;
            if must || fits {
                demand.budget = rate;
                demand.fits |= fits || held && rate as f64 <= free + came;
                free -= (rate - below.min(rate)) as f64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio() -> Demand {
        demand(true, 0, &[40_000])
    }

    fn demand(is_audio: bool, priority: u32, list: &[u64]) -> Demand {
        let mut demand = Demand::new(is_audio, priority);
        demand.set_rates(list.iter().copied());
        demand
    }

    const LADDER: [u64; 3] = [150_000, 500_000, 1_500_000];

    fn budgets(estimate: u64, demands: &mut [Demand]) -> Vec<u64> {
        share(estimate, demands, true);
        demands.iter().map(|demand| demand.budget).collect()
    }

    #[test]
    fn audio_first_then_the_first_video_then_upwards_in_turn() {
        let mut demands = [
            demand(false, 2, &LADDER),
            audio(),
            demand(false, 1, &LADDER),
        ];
        assert_eq!(budgets(100_000, &mut demands), [0, 40_000, 150_000]);
        assert_eq!(budgets(450_000, &mut demands), [150_000, 40_000, 150_000]);
        assert_eq!(budgets(800_000, &mut demands), [150_000, 40_000, 500_000]);
        assert_eq!(
            budgets(5_000_000, &mut demands),
            [1_500_000, 40_000, 1_500_000]
        );
    }

    #[test]
    fn twenty_five_publishers_on_four_megabits() {
        let mut demands: Vec<_> = (0..25)
            .flat_map(|priority| [audio(), demand(false, priority, &LADDER)])
            .collect();
        let budgets = budgets(4_000_000, &mut demands);
        assert!(budgets.iter().sum::<u64>() <= 4_000_000);
        assert!(budgets.iter().step_by(2).all(|&budget| budget == 40_000));
        let watched = budgets.iter().skip(1).step_by(2).filter(|&&b| b > 0);
        assert!(watched.count() >= 17);
    }

    #[test]
    fn what_is_held_is_not_given_up_for_the_margin() {
        let mut demands = [demand(false, 0, &LADDER)];
        assert_eq!(budgets(510_000, &mut demands), [150_000]);
        demands[0].current = Some(500_000);
        assert_eq!(budgets(510_000, &mut demands), [500_000]);
    }

    #[test]
    fn what_was_carried_is_held_through_a_back_off_unless_a_queue_stands() {
        let mut demands = [audio(), demand(false, 0, &LADDER)];
        demands[1].current = Some(500_000);
        let backed_off = 470_000;
        share(backed_off, &mut demands, false);
        assert_eq!(demands[1].budget, 500_000);
        share(backed_off, &mut demands, true);
        assert_eq!(demands[1].budget, 150_000);
        share(400_000, &mut demands, false);
        assert_eq!(demands[1].budget, 150_000, "that was not carried");
    }

    #[test]
    fn nothing_rises_right_after_the_estimate_fell() {
        let mut demands = [demand(false, 0, &LADDER)];
        demands[0].current = Some(150_000);
        demands[0].may_rise = false;
        assert_eq!(budgets(2_000_000, &mut demands), [150_000]);
        demands[0].may_rise = true;
        assert_eq!(budgets(2_000_000, &mut demands), [1_500_000]);
    }

    #[test]
    fn a_first_video_that_was_paused_comes_again_when_it_fits_beside_the_audio() {
        let mut demands = [audio(), demand(false, 0, &LADDER)];
        share(120_000, &mut demands, true);
        assert_eq!((demands[1].budget, demands[1].fits), (150_000, false));
        demands[1].is_paused = true;
        share(120_000, &mut demands, true);
        assert_eq!((demands[1].budget, demands[1].fits), (0, false));
        share(210_000, &mut demands, false);
        assert_eq!((demands[1].budget, demands[1].fits), (150_000, true));
        share(120_000, &mut demands[1..], false);
        assert_eq!(demands[1].budget, 150_000, "there is no audio to be hurt");
    }
}
