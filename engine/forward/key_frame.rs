//! When to ask a publisher for a key frame (RFC 4585 section 6.3.1): at once when it can help, but not once per asker.

use std::time::{Duration, Instant};

/// Between two requests, whoever asks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A subscriber that joins does not wait for the interval, unless one was asked for just now: libwebrtc passes over
/// a request within 300 ms of the last key frame, and the next one would only be due after the interval.
const JOIN_INTERVAL: Duration = Duration::from_millis(350);
/// Requests without a key frame in return; an encrypted payload may never show one.
const MAX_REQUESTS: u8 = 6;

/// The requests of one publication.
#[derive(Default)]
pub struct KeyFrameRequests {
    last: Option<Instant>,
    due: Option<Instant>,
    unanswered: u8,
}

impl KeyFrameRequests {
    /// A subscriber cannot decode.
    pub fn want(&mut self, now: Instant) {
        self.want_within(now, INTERVAL);
    }

    /// A subscriber joined.
    pub fn want_for_joined(&mut self, now: Instant) {
        self.want_within(now, JOIN_INTERVAL);
    }

    fn want_within(&mut self, now: Instant, interval: Duration) {
        let earliest = self.last.map_or(now, |last| (last + interval).max(now));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
        self.unanswered = 0;
    }

    /// A key frame came.
    pub fn arrived(&mut self) {
        self.due = None;
        self.unanswered = 0;
    }

    /// When to look again.
    pub fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to send a request now.
    pub fn take_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.last = Some(now);
        self.unanswered += 1;
        self.due = (self.unanswered < MAX_REQUESTS).then(|| now + INTERVAL);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_askers_make_one_request_an_interval() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::default();
        let mut sent = 0;
        for ms in 0..2000 {
            let now = start + Duration::from_millis(ms);
            requests.want(now);
            sent += usize::from(requests.take_due(now));
        }
        assert_eq!(sent, 2);
    }

    #[test]
    fn a_joining_subscriber_is_served_at_once() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::default();
        requests.want(start);
        assert!(requests.take_due(start));
        requests.arrived();
        let later = start + JOIN_INTERVAL;
        requests.want_for_joined(later);
        assert!(requests.take_due(later));
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_then_given_up() {
        let mut now = Instant::now();
        let mut requests = KeyFrameRequests::default();
        requests.want(now);
        let mut sent = 0;
        while let Some(due) = requests.next_due() {
            now = due;
            sent += u8::from(requests.take_due(now));
        }
        assert_eq!(sent, MAX_REQUESTS);
    }
}
