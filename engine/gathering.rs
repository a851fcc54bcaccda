//! When a batch leaves: at once while the worker has time, a little later while it is busy.
//!
//! Batches are for load, latency is for idle. The packets of a frame come one by one; what leaves after each of them
//! leaves alone, and sending alone is what costs. A worker that is over half busy gains more than it takes.

use std::time::{Duration, Instant};

/// What a datagram may wait for others of its destination.
const PATIENCE: Duration = Duration::from_millis(1);
/// Over how long the load is looked at.
const WINDOW: Duration = Duration::from_millis(10);

/// Knows how busy the worker is, and how long the batch has been gathering.
pub struct Gathering {
    waited: Duration,
    worked: Duration,
    is_busy: bool,
    since: Option<Instant>,
}

impl Default for Gathering {
    fn default() -> Self {
        Gathering {
            waited: Duration::ZERO,
            worked: Duration::ZERO,
            is_busy: false,
            since: None,
        }
    }
}

impl Gathering {
    /// Notes how long the worker has waited, and had worked before that.
    pub fn note(&mut self, worked: Duration, waited: Duration) {
        self.worked += worked;
        self.waited += waited;
        if self.worked + self.waited >= WINDOW {
            self.is_busy = self.worked > self.waited;
            (self.worked, self.waited) = (Duration::ZERO, Duration::ZERO);
        }
    }

    /// Whether a batch that holds something is to leave now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_due = !self.is_busy || now.duration_since(since) >= PATIENCE;
        if is_due {
            self.since = None;
        }
        is_due
    }

    /// When what is gathering has to leave.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_wait_while_the_worker_is_over_half_busy() {
        let start = Instant::now();
        let after = |micros| start + Duration::from_micros(micros);
        let mut gathering = Gathering::default();
        assert!(gathering.is_due(start), "nothing is known of any load");
        gathering.note(Duration::from_millis(6), Duration::from_millis(5));
        assert!(!gathering.is_due(after(100)));
        assert_eq!(gathering.deadline(), Some(after(1100)));
        assert!(!gathering.is_due(after(1000)));
        assert!(gathering.is_due(after(1100)));
        assert_eq!(gathering.deadline(), None);
        gathering.note(Duration::from_millis(5), Duration::from_millis(6));
        assert!(gathering.is_due(after(1200)));
    }
}
