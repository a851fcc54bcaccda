//! How much a publisher's protection (RFC 5109) may cost: as much as its media allows. Each subscriber's is made anew from
//! the packets that it names, so packets of FEC and what they name are both bounded by the media that came.

/// Packets that may be named for each packet of media: senders name a packet a few times at most.
const NAMED_PER_PACKET: u32 = 6;
/// What is saved up at most: the largest masks name 48 packets, and protection comes behind its frame.
const MAX_PACKETS: u32 = 96;
const MAX_NAMED: u32 = NAMED_PER_PACKET * MAX_PACKETS;

/// What is left for one stream's protection.
#[derive(Default)]
pub struct ProtectionBudget {
    /// Packets of protection so far.
    protecting: u64,
    /// Packets of media that have been counted.
    media: u64,
    packets: u32,
    named: u32,
}

impl ProtectionBudget {
    /// Takes a packet that protects `named` others, or none; `received` packets of the stream came, this one among them.
    pub fn take(&mut self, named: u32, received: u64) -> bool {
        self.protecting += 1;
        let media = received.saturating_sub(self.protecting).max(self.media);
        let earned = (media - self.media).min(MAX_PACKETS.into()) as u32;
        self.media = media;
        self.packets = (self.packets + earned).min(MAX_PACKETS);
        self.named = (self.named + earned * NAMED_PER_PACKET).min(MAX_NAMED);
        let is_within = self.packets > 0 && self.named >= named;
        if is_within {
            self.packets -= 1;
            self.named -= named;
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_is_no_more_than_media_and_names_each_packet_a_few_times() {
        let mut budget = ProtectionBudget::default();
        let (mut received, mut taken) = (0, 0);
        for _ in 0..1000 {
            received += 2;
            taken += u32::from(budget.take(6, received));
        }
        assert_eq!(taken, 1000, "a packet for each of media");
        let mut named = 0;
        for _ in 0..1000 {
            received += 2;
            named += 48 * u32::from(budget.take(48, received));
        }
        assert!((5900..=6000).contains(&named), "{named} of 1,000");
    }

    #[test]
    fn protection_alone_earns_nothing() {
        let mut budget = ProtectionBudget::default();
        let taken = (0..5000).filter(|at| budget.take(1, 1000 + at + 1));
        assert_eq!(taken.count(), MAX_PACKETS as usize);
    }

    #[test]
    fn half_as_much_protection_as_media_is_taken_whole() {
        let mut budget = ProtectionBudget::default();
        let mut received = 0;
        for _ in 0..100 {
            received += 12;
            for _ in 0..6 {
                received += 1;
                assert!(budget.take(6, received));
            }
        }
    }
}
