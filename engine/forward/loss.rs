//! Which packets of a stream are missing, and when to ask for them again (RFC 4585 section 6.2.1).

use std::time::{Duration, Instant};

/// Missing packets that are kept; a larger gap is mended by a key frame, not by retransmissions.
const MAX_MISSING: usize = 256;
/// How long a packet may be late before it is asked for: reordering is more common than loss.
const REORDERING: Duration = Duration::from_millis(5);
/// Between two requests for one packet, before a round trip is known.
const FIRST_RTT: Duration = Duration::from_millis(60);
const RTT_BOUNDS: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(400));
/// On top of the round trip, for the peer's pacing.
const SLACK: Duration = Duration::from_millis(10);
const MAX_REQUESTS: u8 = 8;
/// Between two looks at all gaps: what falls due meanwhile is asked for together.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// A sample's weight (RFC 6298 section 2).
const RTT_WEIGHT: u32 = 8;

struct Missing {
    extended: u64,
    due: Instant,
    requests: u8,
    first_asked: Option<Instant>,
}

/// The gaps of one stream.
pub struct Losses {
    missing: Vec<Missing>,
    /// No request is due before that; one may be due later, where a packet came meanwhile.
    due: Option<Instant>,
    /// No look at all gaps before that.
    next_look: Option<Instant>,
    /// From a request to the packet, smoothed: a peer that only sends does not tell it otherwise.
    rtt: Duration,
}

impl Default for Losses {
    fn default() -> Self {
        Losses {
            missing: Vec::new(),
            due: None,
            next_look: None,
            rtt: FIRST_RTT,
        }
    }
}

impl Losses {
    /// Notes the gap between `highest` and a newer packet. False when it is too large to mend.
    pub fn gap(&mut self, highest: u64, newer: u64, now: Instant) -> bool {
        let gap = newer.saturating_sub(highest + 1);
        if gap > (MAX_MISSING - self.missing.len()) as u64 {
            self.missing.clear();
            self.due = None;
            return false;
        }
        if gap > 0 {
            let due = now + REORDERING;
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        self.missing
            .extend((highest + 1..newer).map(|extended| Missing {
                extended,
                due: now + REORDERING,
                requests: 0,
                first_asked: None,
            }));
        true
    }

    /// A packet came, late or again.
    pub fn arrived(&mut self, extended: u64, now: Instant) {
        if let Ok(index) = self
            .missing
            .binary_search_by_key(&extended, |missing| missing.extended)
        {
            let missing = self.missing.remove(index);
            if self.missing.is_empty() {
                self.due = None;
            }
            if let Some(asked) = missing.first_asked {
                self.measure(now.saturating_duration_since(asked), missing.requests);
            }
        }
    }

    /// After several requests nobody knows which one was answered: such a sample may only say that the way is longer.
    fn measure(&mut self, sample: Duration, requests: u8) {
        if requests == 1 || sample > self.rtt {
            let smoothed = (self.rtt * (RTT_WEIGHT - 1) + sample) / RTT_WEIGHT;
            self.rtt = smoothed.clamp(RTT_BOUNDS.0, RTT_BOUNDS.1);
        }
    }

    /// Between two requests for one packet.
    fn retry(&self) -> Duration {
        self.rtt + self.rtt / 4 + SLACK
    }

    /// When `collect_due` is to look for what is due. It is asked after each packet, so no gap is looked at here.
    #[inline]
    pub fn next_due(&self) -> Option<Instant> {
        let due = self.due?;
        Some(self.next_look.map_or(due, |look| look.max(due)))
    }

    /// Collects what is to be asked for now. True when a packet was given up: only a key frame helps.
    pub fn collect_due(&mut self, now: Instant, lost: &mut Vec<u16>) -> bool {
        if self.next_due().is_none_or(|due| due > now) {
            return false;
        }
        #[cfg(test)]
        LOOKS.with(|looks| looks.set(looks.get() + self.missing.len()));
        self.next_look = Some(now + LOOK_INTERVAL);
        let before = self.missing.len();
        self.missing
            .retain(|missing| missing.requests < MAX_REQUESTS || missing.due > now);
        let retry = self.retry();
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            missing.requests += 1;
            missing.first_asked.get_or_insert(now);
            missing.due = now + retry;
            lost.push(missing.extended as u16);
        }
        self.due = self.missing.iter().map(|missing| missing.due).min();
        self.missing.len() < before
    }
}

#[cfg(test)]
thread_local! {
    /// Gaps that were looked at.
    static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_packet_is_asked_for_until_it_comes() {
        let start = Instant::now();
        let mut losses = Losses::default();
        assert!(losses.gap(10, 13, start));
        let mut lost = Vec::new();
        losses.collect_due(start, &mut lost);
        assert!(lost.is_empty(), "it may be merely late");
        losses.collect_due(start + REORDERING, &mut lost);
        assert_eq!(lost, [11, 12]);
        losses.arrived(11, start + REORDERING + FIRST_RTT);
        lost.clear();
        losses.collect_due(start + REORDERING + losses.retry(), &mut lost);
        assert_eq!(lost, [12]);
    }

    #[test]
    fn requests_are_as_far_apart_as_the_answers_take() {
        for rtt in [20, 200].map(Duration::from_millis) {
            let mut now = Instant::now();
            let mut losses = Losses::default();
            let mut requests = 0;
            for number in (1..400_u64).step_by(2) {
                losses.gap(number, number + 2, now);
                now += REORDERING;
                let answered = now + rtt;
                requests = 0;
                while let Some(due) = losses.next_due().filter(|due| *due < answered) {
                    now = due;
                    let mut lost = Vec::new();
                    losses.collect_due(now, &mut lost);
                    requests += lost.len();
                }
                now = answered;
                losses.arrived(number + 1, now);
            }
            assert_eq!(requests, 1);
            assert!(losses.retry() < rtt * 2, "{:?}", losses.retry());
        }
    }

    #[test]
    fn a_packet_that_never_comes_is_given_up() {
        let mut now = Instant::now();
        let mut losses = Losses::default();
        losses.gap(1, 3, now);
        let mut lost = Vec::new();
        let mut given_up = false;
        while let Some(due) = losses.next_due() {
            now = due;
            given_up |= losses.collect_due(now, &mut lost);
        }
        assert!(given_up);
        assert_eq!(lost.len(), usize::from(MAX_REQUESTS));
    }

    /// Every second packet of 20,000 a second is lost, and the others are asked after each.
    #[test]
    fn gaps_are_looked_at_once_in_a_while_however_many_packets_come() {
        let mut now = Instant::now();
        let mut losses = Losses::default();
        let mut lost = Vec::new();
        LOOKS.with(|looks| looks.set(0));
        for number in (1..20_000_u64).step_by(2) {
            losses.gap(number, number + 2, now);
            now += Duration::from_micros(100);
            if losses.next_due().is_some_and(|due| due <= now) {
                losses.collect_due(now, &mut lost);
            }
            if number % 10 == 1 {
                losses.arrived(number + 1, now);
            }
        }
        let looks = LOOKS.with(|looks| looks.get());
        assert!(lost.len() > 5_000, "{} requests", lost.len());
        assert!(looks <= 1000 * MAX_MISSING, "{looks} looks in a second");
    }

    #[test]
    fn a_jump_is_not_a_loss() {
        let now = Instant::now();
        let mut losses = Losses::default();
        assert!(!losses.gap(1, 30_000, now));
        assert_eq!(losses.next_due(), None);
    }
}
