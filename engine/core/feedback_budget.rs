//! What one peer's feedback may cost. It earns work with each packet that the peer was sent, so honest feedback of any
//! meeting is read whole, and a little with time. Work is counted, not timed: a unit takes about a tenth of a microsecond.

use std::time::{Duration, Instant};

/// For each packet sent: reordering has peers tell of a packet again.
const STATUSES_PER_PACKET: u32 = 4;
/// A packet that does not come is asked for several times, but few are lost.
const NACKED_PER_PACKET: u32 = 2;
/// Peers may ask for packets of each stream in datagrams of their own.
const WORK_PER_PACKET: u32 = 4;
/// Whatever was sent, for each millisecond: a publisher of many tracks reports on them and is sent nothing.
const WORK_PER_MS: u64 = 5;
/// What is saved up at most: feedback on seconds of a fast stream, which an outage on the way had held back.
const MAX_STATUSES: u32 = 16_384;
const MAX_NACKED: u32 = 4096;
const MAX_WORK: u32 = 10_000;

/// Kinds of work, in units.
pub const DATAGRAM: u32 = 4;
pub const PACKET: u32 = 1;
pub const REPORT_BLOCK: u32 = 1;
pub const KEY_FRAME_REQUEST: u32 = 8;
pub const ESTIMATE: u32 = 8;
/// Subscribers to whom a sender report goes for one unit: it is sent a few times a second at most.
pub const REPORTED_PER_UNIT: usize = 4;

/// What is left of one session's.
pub struct FeedbackBudget {
    /// Up to which transport-wide number packets have been counted.
    counted: u16,
    refilled: Instant,
    work: u32,
    statuses: u32,
    nacked: u32,
}

impl FeedbackBudget {
    /// That of a session that was sent nothing.
    pub fn new(now: Instant) -> FeedbackBudget {
        FeedbackBudget {
            counted: 0,
            refilled: now,
            work: MAX_WORK,
            statuses: 0,
            nacked: 0,
        }
    }

    /// Adds what has been earned; `next` is the transport-wide number of the next packet to the peer.
    pub fn refill(&mut self, next: u16, now: Instant) {
        let sent = u32::from(next.wrapping_sub(self.counted));
        self.counted = next;
        let elapsed = now.saturating_duration_since(self.refilled).as_millis() as u64;
        self.refilled += Duration::from_millis(elapsed);
        let by_time = (elapsed * WORK_PER_MS).min(MAX_WORK.into()) as u32;
        self.work = (self.work + sent * WORK_PER_PACKET + by_time).min(MAX_WORK);
        self.statuses = (self.statuses + sent * STATUSES_PER_PACKET).min(MAX_STATUSES);
        self.nacked = (self.nacked + sent * NACKED_PER_PACKET).min(MAX_NACKED);
    }

    /// Whether nothing more is read.
    pub fn is_spent(&self) -> bool {
        self.work == 0
    }

    /// Takes units from the budget. Work is done whole even where fewer units than it costs are left.
    pub fn spend(&mut self, units: u32) -> bool {
        let has_some = self.work > 0;
        self.work = self.work.saturating_sub(units);
        has_some
    }

    /// Takes the statuses of a transport-wide feedback, or none.
    pub fn spend_statuses(&mut self, count: u16) -> bool {
        let left = self.statuses.checked_sub(count.into());
        self.statuses = left.unwrap_or(self.statuses);
        left.is_some()
    }

    /// Takes one packet of a NACK.
    pub fn spend_nacked(&mut self) -> bool {
        let left = self.nacked.checked_sub(1);
        self.nacked = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_earns_by_what_it_is_sent_and_by_time_up_to_a_bound() {
        let start = Instant::now();
        let mut budget = FeedbackBudget::new(start);
        assert!(!budget.spend_statuses(1) && !budget.spend_nacked());
        while budget.spend(100) {}
        budget.refill(65_530, start);
        assert!(!budget.is_spent());
        while budget.spend(100) {}
        assert!(budget.spend_statuses(16_384) && !budget.spend_statuses(1));
        // Ten packets, over the wrap.
        budget.refill(4, start + Duration::from_micros(900));
        assert!(budget.spend_statuses(40) && !budget.spend_statuses(1));
        let nacked = std::iter::from_fn(|| budget.spend_nacked().then_some(()));
        assert_eq!(nacked.count(), 4096);
        let units = |budget: &mut FeedbackBudget| {
            std::iter::from_fn(|| budget.spend(1).then_some(())).count()
        };
        assert_eq!(units(&mut budget), 40);
        // Parts of a millisecond are not lost.
        for step in 1..=40 {
            budget.refill(4, start + Duration::from_micros(step * 250));
        }
        assert_eq!(units(&mut budget), 50);
        budget.refill(4, start + Duration::from_secs(3600));
        assert_eq!(units(&mut budget), 10_000);
    }
}
