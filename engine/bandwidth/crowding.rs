//! Whether more is sent than the way carries, whoever sends it: its queue stands, or overflows.

use std::time::{Duration, Instant};

/// A queue in which each packet waits so long, for so long, stands.
const STANDING_QUEUE_MS: f64 = 50.0;
const STANDING: Duration = Duration::from_millis(300);
/// One that is shorter than this part of what it was empties by itself: a key frame's.
const EMPTIES: f64 = 0.75;
/// The way is taken for crowded so long after a sign of it.
const CROWDED: Duration = Duration::from_secs(1);

/// What the queue says.
#[derive(Default)]
pub struct Crowding {
    /// Since when each packet waits, and the longest time that all of a feedback waited, in ms.
    standing: Option<(Instant, f64)>,
    until: Option<Instant>,
}

impl Crowding {
    /// Takes how long the packet of a feedback that waited least did, and whether others were dropped by the queue.
    pub fn note(&mut self, least_ms: f64, overflows: bool, now: Instant) {
        self.standing = if (STANDING_QUEUE_MS..f64::INFINITY).contains(&least_ms) {
            let (since, longest_ms) = self.standing.unwrap_or((now, least_ms));
            Some((since, longest_ms.max(least_ms)))
        } else {
            None
        };
        let stands = self.standing.is_some_and(|(since, longest_ms)| {
            now.saturating_duration_since(since) >= STANDING && least_ms > EMPTIES * longest_ms
        });
        if stands || overflows {
            self.until = Some(now + CROWDED);
        }
    }

    /// Whether that was so lately.
    pub fn is_crowded(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the way is crowded after feedback each 50 ms with such queues, in ms.
    fn is_crowded(queues_ms: impl IntoIterator<Item = f64>) -> bool {
        let mut now = Instant::now();
        let mut crowding = Crowding::default();
        for queue_ms in queues_ms {
            now += Duration::from_millis(50);
            crowding.note(queue_ms, false, now);
        }
        crowding.is_crowded(now)
    }

    #[test]
    fn a_queue_that_stands_is_too_much_and_one_that_empties_is_a_key_frames() {
        assert!(is_crowded([80.0; 10]));
        assert!(!is_crowded([80.0; 5]), "not yet");
        assert!(!is_crowded([40.0; 10]), "short");
        assert!(!is_crowded((0..10).map(|at| 110.0 - 6.0 * f64::from(at))));
        assert!(is_crowded((0..10).map(|at| 60.0 + 6.0 * f64::from(at))));
    }
}
