//! How long packets wait on the way: one-way delay above the least of the last seconds. Clocks differ,
//! so only differences count.

use std::time::{Duration, Instant};

/// The least delay is of the last one to two of these.
const WINDOW: Duration = Duration::from_secs(15);

/// The queueing delay.
pub struct QueueDelay {
    origin: Instant,
    window_began: Instant,
    least_ms: f64,
    least_before_ms: f64,
}

impl QueueDelay {
    /// Knows nothing.
    pub fn new(now: Instant) -> QueueDelay {
        QueueDelay {
            origin: now,
            window_began: now,
            least_ms: f64::INFINITY,
            least_before_ms: f64::INFINITY,
        }
    }

    /// Takes a packet; ms that it waited. While it `keeps_least`, the least delay is not forgotten: no packet of the time may
    /// have found an empty queue.
    pub fn add(&mut self, sent: Instant, arrival_ms: f64, keeps_least: bool) -> f64 {
        if keeps_least {
            self.window_began = sent;
        } else if sent.saturating_duration_since(self.window_began) >= WINDOW {
            self.window_began = sent;
            self.least_before_ms = self.least_ms;
            self.least_ms = f64::INFINITY;
        }
        let delay = arrival_ms - sent.saturating_duration_since(self.origin).as_secs_f64() * 1e3;
        self.least_ms = self.least_ms.min(delay);
        delay - self.least_ms.min(self.least_before_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_last_seconds_is_no_queue() {
        let start = Instant::now();
        let mut delay = QueueDelay::new(start);
        let mut at = |seconds: u64, arrival_ms: f64| {
            let sent = start + Duration::from_secs(seconds);
            delay.add(sent, seconds as f64 * 1e3 + arrival_ms, false)
        };
        assert!(at(0, 500.0).abs() < 1e-6);
        assert!((at(1, 540.0) - 40.0).abs() < 1e-6);
        // Another way, 30 ms longer: a queue at first, the way itself after a while.
        assert!((at(16, 530.0) - 30.0).abs() < 1e-6);
        assert!(at(40, 530.0).abs() < 1e-6);
    }

    #[test]
    fn the_least_is_kept_while_no_queue_is_empty() {
        let start = Instant::now();
        let mut delay = QueueDelay::new(start);
        let mut at = |seconds: u64, arrival_ms: f64| {
            let sent = start + Duration::from_secs(seconds);
            delay.add(sent, seconds as f64 * 1e3 + arrival_ms, true)
        };
        assert!(at(0, 500.0).abs() < 1e-6);
        for seconds in 1..100 {
            assert!((at(seconds, 600.0) - 100.0).abs() < 1e-6);
        }
        assert!(at(100, 490.0).abs() < 1e-6, "a lower one counts");
    }
}
