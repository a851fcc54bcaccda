//! Whether a step up was worth it: one that made the way crowded is not tried again soon, and after the next
//! later yet. Others on the way get their turn in the meantime.

use std::time::{Duration, Instant};

/// A sign of overuse within this after a step up is the step's doing.
const TRIAL: Duration = Duration::from_secs(4);
/// A step that holds for so long was right.
const HELD: Duration = Duration::from_secs(8);
/// After a step that failed, room is looked for again later, and later yet after the next.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The steps up of one session.
#[derive(Default)]
pub struct Trials {
    began: Option<Instant>,
    failed: Option<Instant>,
    wait: Duration,
}

impl Trials {
    /// More is sent from now on.
    pub fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Takes what the way says of it.
    pub fn note(&mut self, is_too_much: bool, now: Instant) {
        let Some(began) = self.began else {
            return;
        };
        let since = now.saturating_duration_since(began);
        if since >= HELD {
            self.began = None;
            self.wait = Duration::ZERO;
        } else if is_too_much && since < TRIAL {
            self.began = None;
            self.failed = Some(now);
            self.wait = (2 * self.wait).clamp(FIRST_WAIT, LONGEST_WAIT);
        }
    }

    /// Whether it is time to look for room again, for who has such a part of what would content it, 0 to 1.
    pub fn may_try(&self, content: f64, now: Instant) -> bool {
        self.failed.is_none_or(|failed| {
            now.saturating_duration_since(failed) >= self.wait.mul_f64(content)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step up whose queue grows after `holds`; how long until the next is looked for by who is content.
    fn wait_after(trials: &mut Trials, now: &mut Instant, holds: Duration) -> Duration {
        trials.begin(*now);
        trials.note(false, *now + holds / 2);
        *now += holds;
        trials.note(true, *now);
        let ended = *now;
        while !trials.may_try(1.0, *now) {
            *now += Duration::from_millis(100);
        }
        *now - ended
    }

    #[test]
    fn who_fails_again_waits_longer_until_a_step_holds() {
        let mut now = Instant::now();
        let mut trials = Trials::default();
        let second = Duration::from_secs(1);
        let waits: Vec<u64> = (0..5)
            .map(|_| wait_after(&mut trials, &mut now, second).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 10, 10, 10]);
        assert_eq!(wait_after(&mut trials, &mut now, HELD), Duration::ZERO);
        assert_eq!(wait_after(&mut trials, &mut now, second), FIRST_WAIT);
    }

    #[test]
    fn who_has_little_waits_less() {
        let now = Instant::now();
        let mut trials = Trials::default();
        trials.begin(now);
        trials.note(true, now);
        assert!(!trials.may_try(1.0, now + FIRST_WAIT / 2));
        assert!(trials.may_try(0.5, now + FIRST_WAIT / 2));
    }
}
