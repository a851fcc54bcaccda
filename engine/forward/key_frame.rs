//! When to ask a publisher for a key frame (RFC 4585 section 6.3.1): at once when it can help, but not once per asker.

use std::time::{Duration, Instant};

/// Between two requests of a publication, whoever asks and for whichever encoding: a key frame costs all its subscribers.
const INTERVAL: Duration = Duration::from_secs(1);
/// Requests without a key frame in return; an encrypted payload may never show one.
const MAX_REQUESTS: u8 = 6;

/// When the peer that sends a publication may be asked again.
#[derive(Default)]
pub struct KeyFramePace {
    last: Option<Instant>,
}

impl KeyFramePace {
    /// The peer was asked, in one packet for all encodings that wanted it.
    pub fn asked(&mut self, now: Instant) {
        self.last = Some(now);
    }

    fn opens(&self) -> Option<Instant> {
        self.last.map(|last| last + INTERVAL)
    }
}

/// What is wanted of one encoding.
#[derive(Default)]
pub struct KeyFrameRequests {
    due: Option<Instant>,
    unanswered: u8,
}

impl KeyFrameRequests {
    /// A subscriber cannot decode, or waits for its first picture.
    pub fn want(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
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

    /// Whether to ask now; where that is too soon, it is due as soon as it may be.
    pub fn take_due(&mut self, now: Instant, pace: &KeyFramePace) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        if let Some(opens) = pace.opens().filter(|&opens| opens > now) {
            self.due = Some(opens);
            return false;
        }
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
        let (mut requests, mut pace) = (KeyFrameRequests::default(), KeyFramePace::default());
        let mut sent = 0;
        for ms in 0..2000 {
            let now = start + Duration::from_millis(ms);
            requests.want(now);
            if requests.take_due(now, &pace) {
                pace.asked(now);
                sent += 1;
            }
        }
        assert_eq!(sent, 2);
    }

    #[test]
    fn what_another_encoding_asked_for_just_now_delays_a_request() {
        let start = Instant::now();
        let (mut requests, mut pace) = (KeyFrameRequests::default(), KeyFramePace::default());
        pace.asked(start);
        let soon = start + Duration::from_millis(400);
        requests.want(soon);
        assert!(!requests.take_due(soon, &pace));
        let due = start + INTERVAL;
        assert_eq!(requests.next_due(), Some(due));
        assert!(requests.take_due(due, &pace));
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_then_given_up() {
        let mut now = Instant::now();
        let (mut requests, mut pace) = (KeyFrameRequests::default(), KeyFramePace::default());
        requests.want(now);
        let mut sent = 0;
        while let Some(due) = requests.next_due() {
            now = due;
            if requests.take_due(now, &pace) {
                pace.asked(now);
                sent += 1;
            }
        }
        assert_eq!(sent, MAX_REQUESTS);
    }
}
