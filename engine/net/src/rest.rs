//! Descriptors that are not waited for, because the kernel gave an error that it would give again at once.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::Poller;

/// How long the same trouble is no news.
const QUIET: Duration = Duration::from_secs(10);

/// Those that rest, and until when all of them do.
pub struct Rest {
    length: Duration,
    indices: Vec<usize>,
    until: Option<Instant>,
    told: Option<Instant>,
}

impl Rest {
    /// Of this length.
    pub fn new(length: Duration) -> Rest {
        Rest {
            length,
            indices: Vec::new(),
            until: None,
            told: None,
        }
    }

    /// This one does. True: it is worth a line in the log, since the last one is long ago.
    #[must_use]
    pub fn begin(
        &mut self,
        poller: &Poller,
        descriptor: &impl AsRawFd,
        index: usize,
        now: Instant,
    ) -> bool {
        // It is not there when it could not be added again.
        let _ = poller.remove(descriptor);
        if !self.indices.contains(&index) {
            self.indices.push(index);
        }
        self.until = Some(now + self.length);
        let is_news = self
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        if is_news {
            self.told = Some(now);
        }
        is_news
    }

    /// When `end` is due.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Those that have rested, to be added to their poller again.
    pub fn end(&mut self, now: Instant) -> Vec<usize> {
        if self.until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        self.until = None;
        std::mem::take(&mut self.indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    #[test]
    fn trouble_that_lasts_is_told_once_in_a_while() {
        let poller = Poller::new().unwrap();
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let start = Instant::now();
        let length = Duration::from_millis(100);
        let mut rest = Rest::new(length);
        let mut told = 0;
        for round in 0..1000 {
            let now = start + round * length;
            poller.add(&socket, 7).unwrap();
            told += u32::from(rest.begin(&poller, &socket, 7, now));
            assert!(rest.end(now).is_empty());
            assert_eq!(rest.end(now + length), [7]);
        }
        assert_eq!(told, 10);
    }
}
