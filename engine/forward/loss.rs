//! Which packets of a stream are missing, and when to ask for them again (RFC 4585 section 6.2.1).

use std::time::{Duration, Instant};

/// Missing packets that are kept; a larger gap is mended by a key frame, not by retransmissions.
const MAX_MISSING: usize = 256;
/// How long a packet may be late before it is asked for: reordering is more common than loss.
const REORDERING: Duration = Duration::from_millis(5);
/// Between two requests for one packet.
const RETRY: Duration = Duration::from_millis(60);
const MAX_REQUESTS: u8 = 8;

struct Missing {
    extended: u64,
    due: Instant,
    requests: u8,
}

/// The gaps of one stream.
#[derive(Default)]
pub struct Losses {
    missing: Vec<Missing>,
}

impl Losses {
    /// Notes the gap between `highest` and a newer packet. False when it is too large to mend.
    pub fn gap(&mut self, highest: u64, newer: u64, now: Instant) -> bool {
        let gap = newer.saturating_sub(highest + 1);
        if gap > (MAX_MISSING - self.missing.len()) as u64 {
            self.missing.clear();
            return false;
        }
        self.missing
            .extend((highest + 1..newer).map(|extended| Missing {
                extended,
                due: now + REORDERING,
                requests: 0,
            }));
        true
    }

    /// A packet came, late or again.
    pub fn arrived(&mut self, extended: u64) {
        if let Ok(index) = self
            .missing
            .binary_search_by_key(&extended, |missing| missing.extended)
        {
            self.missing.remove(index);
        }
    }

    /// When the next request is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.due).min()
    }

    /// Collects what is to be asked for now. True when a packet was given up: only a key frame helps.
    pub fn collect_due(&mut self, now: Instant, lost: &mut Vec<u16>) -> bool {
        let before = self.missing.len();
        self.missing
            .retain(|missing| missing.requests < MAX_REQUESTS || missing.due > now);
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            missing.requests += 1;
            missing.due = now + RETRY;
            lost.push(missing.extended as u16);
        }
        self.missing.len() < before
    }
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
        losses.arrived(11);
        lost.clear();
        losses.collect_due(start + REORDERING + RETRY, &mut lost);
        assert_eq!(lost, [12]);
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

    #[test]
    fn a_jump_is_not_a_loss() {
        let now = Instant::now();
        let mut losses = Losses::default();
        assert!(!losses.gap(1, 30_000, now));
        assert_eq!(losses.next_due(), None);
    }
}
