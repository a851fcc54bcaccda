//! Listeners that are not waited for, because the kernel had no descriptors for their connections.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::Poller;

/// Descriptors come back only as others end, and until then the kernel would say so without end.
const REST: Duration = Duration::from_secs(1);

/// Those that rest, and until when all of them do.
#[derive(Default)]
pub struct Rest {
    listeners: Vec<usize>,
    until: Option<Instant>,
}

impl Rest {
    /// This one does.
    pub fn begin(&mut self, poller: &Poller, listener: &TcpListener, index: usize, now: Instant) {
        // It is not there when it could not be added again.
        let _ = poller.remove(listener);
        self.listeners.push(index);
        self.until = Some(now + REST);
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
        std::mem::take(&mut self.listeners)
    }
}
