//! What the log says of a panic: where it was, and nothing of what it was about. A panic's own text may quote a packet, a
//! description or a key.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lines that the log gets in an interval: a panic that a peer can bring about must not fill the disk.
const LINES: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(60);

/// How much was written, and not.
struct Budget {
    begun: Option<Instant>,
    written: u32,
    kept_back: u64,
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget::new());

impl Budget {
    const fn new() -> Budget {
        Budget {
            begun: None,
            written: 0,
            kept_back: 0,
        }
    }

    /// How many lines were kept back before this one; none: it is kept back too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self
            .begun
            .is_none_or(|begun| now.duration_since(begun) >= INTERVAL)
        {
            self.begun = Some(now);
            self.written = 0;
        }
        if self.written == LINES {
            self.kept_back += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.kept_back))
    }
}

/// Has panics logged so.
pub fn log_places() {
    set_hook(Box::new(|info| {
        // Another thread's panic has the lock: one line of two is enough.
        let kept_back = BUDGET
            .try_lock()
            .ok()
            .and_then(|mut budget| budget.take(Instant::now()));
        if let Some(kept_back) = kept_back {
            tracing::error!(at = place(info), kept_back, "panic");
        }
    }));
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(String::new, |at| {
        format!("{}:{}:{}", at.file(), at.line(), at.column())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_are_written_in_an_interval_and_the_next_one_counts_the_others() {
        let mut now = Instant::now();
        let mut budget = Budget::new();
        let written = (0..1000).filter(|_| budget.take(now).is_some()).count();
        assert_eq!(written as u32, LINES);
        now += INTERVAL;
        assert_eq!(budget.take(now), Some(990));
        assert_eq!(budget.take(now), Some(0));
    }
}
