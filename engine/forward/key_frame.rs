//! When to ask a publisher for a key frame (RFC 4585 section 6.3.1): at once when it can help, but not once per asker.

use std::time::{Duration, Instant};

/// Between two requests of a publication, whoever asks and for whichever encoding, but for those of `Urgency`: a key frame
/// costs all its subscribers.
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
}

/// What a request waits for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// Its publication's pace.
    #[default]
    Paced,
    /// Its own encoding's pace alone: a subscriber's link no longer carries what it gets, and this encoding is smaller. Each
    /// moment on the larger one fills the queue before it.
    InsteadOfLarger,
}

/// What is wanted of one encoding.
#[derive(Default)]
pub struct KeyFrameRequests {
    due: Option<Instant>,
    last: Option<Instant>,
    urgency: Urgency,
    unanswered: u8,
}

impl KeyFrameRequests {
    /// A subscriber cannot decode, or waits for its first picture, or for that of another encoding.
    pub fn want(&mut self, now: Instant, urgency: Urgency) {
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
        self.unanswered = 0;
        if urgency == Urgency::InsteadOfLarger {
            self.urgency = urgency;
        }
    }

    /// A key frame came.
    pub fn arrived(&mut self) {
        self.due = None;
        self.urgency = Urgency::Paced;
        self.unanswered = 0;
    }

    /// When to look again.
    pub fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to ask now, and how urgently; where that is too soon, it is due as soon as it may be.
    pub fn take_due(&mut self, now: Instant, pace: &KeyFramePace) -> Option<Urgency> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let last = match self.urgency {
            Urgency::Paced => pace.last,
            Urgency::InsteadOfLarger => self.last,
        };
        let opens = last.map(|last| last + INTERVAL);
        if let Some(opens) = opens.filter(|&opens| opens > now) {
            self.due = Some(opens);
            return None;
        }
        self.last = Some(now);
        self.unanswered += 1;
        self.due = (self.unanswered < MAX_REQUESTS).then(|| now + INTERVAL);
        Some(std::mem::take(&mut self.urgency))
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
            requests.want(now, Urgency::Paced);
            if requests.take_due(now, &pace).is_some() {
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
        requests.want(soon, Urgency::Paced);
        assert_eq!(requests.take_due(soon, &pace), None);
        let due = start + INTERVAL;
        assert_eq!(requests.next_due(), Some(due));
        assert!(requests.take_due(due, &pace).is_some());
    }

    #[test]
    fn a_smaller_encoding_is_asked_for_at_once_but_only_once_a_second() {
        let start = Instant::now();
        let (mut requests, mut pace) = (KeyFrameRequests::default(), KeyFramePace::default());
        pace.asked(start);
        let soon = start + Duration::from_millis(400);
        requests.want(soon, Urgency::Paced);
        assert_eq!(requests.take_due(soon, &pace), None);
        requests.want(soon, Urgency::InsteadOfLarger);
        assert!(requests.take_due(soon, &pace).is_some());
        pace.asked(soon);
        requests.arrived();
        let later = soon + Duration::from_millis(400);
        requests.want(later, Urgency::InsteadOfLarger);
        assert_eq!(requests.take_due(later, &pace), None);
        assert_eq!(requests.next_due(), Some(soon + INTERVAL));
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_then_given_up() {
        let mut now = Instant::now();
        let (mut requests, mut pace) = (KeyFrameRequests::default(), KeyFramePace::default());
        requests.want(now, Urgency::Paced);
        let mut sent = 0;
        while let Some(due) = requests.next_due() {
            now = due;
            if requests.take_due(now, &pace).is_some() {
                pace.asked(now);
                sent += 1;
            }
        }
        assert_eq!(sent, MAX_REQUESTS);
    }
}
