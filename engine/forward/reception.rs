//! What arrived of one RTP stream: extended sequence numbers and the figures of a report block
//! (RFC 3550 section 6.4.1 and appendix A).

use std::time::Instant;

use crate::wire::rtcp::ReportBlock;

/// Reception of one SSRC.
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    /// Extended number of the first and of the highest packet.
    first: u64,
    highest: u64,
    received: u64,
    /// At the last report.
    reported_expected: u64,
    reported_received: u64,
    /// In timestamp units, times 16 (RFC 3550 appendix A.8).
    jitter: u64,
    last_transit: Option<u32>,
    origin: Instant,
    sender_report: Option<(u32, Instant)>,
}

/// Sequence numbers start here, so that packets older than the first one have a number too.
const FIRST_CYCLE: u64 = 1 << 16;

impl Reception {
    /// Begins with the first packet.
    pub fn new(ssrc: u32, clock_rate: u32, sequence_number: u16, now: Instant) -> Reception {
        let first = FIRST_CYCLE + u64::from(sequence_number);
        Reception {
            ssrc,
            clock_rate,
            first,
            highest: first,
            received: 0,
            reported_expected: 0,
            reported_received: 0,
            jitter: 0,
            last_transit: None,
            origin: now,
            sender_report: None,
        }
    }

    /// The extended number nearest to the highest one.
    pub fn extend(&self, sequence_number: u16) -> u64 {
        let distance = sequence_number
            .wrapping_sub(self.highest as u16)
            .cast_signed();
        self.highest.wrapping_add_signed(i64::from(distance))
    }

    /// The highest extended number so far.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// How many packets came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Counts a packet that is not a duplicate.
    pub fn count(&mut self, extended: u64, timestamp: u32, now: Instant) {
        self.received += 1;
        self.first = self.first.min(extended);
        if extended < self.highest {
            return;
        }
        self.highest = extended;
        let elapsed = now.duration_since(self.origin).as_micros() as u64;
        let arrival = (elapsed * u64::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.last_transit {
            let difference = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
        }
        self.last_transit = Some(transit);
    }

    /// The packet that was counted just now came by a retransmission: it is reported as lost all the same.
    pub fn uncount(&mut self) {
        self.received -= 1;
    }

    /// Remembers when the peer's sender report came, for the round trip (RFC 3550 section 6.4.1, LSR and DLSR).
    pub fn sender_report(&mut self, ntp: u64, now: Instant) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// The report block since the last one.
    pub fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.highest - self.first + 1;
        let expected_since = expected - self.reported_expected.min(expected);
        let received_since = self.received - self.reported_received;
        self.reported_expected = expected;
        self.reported_received = self.received;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction_lost = (lost_since * 256).checked_div(expected_since).unwrap_or(0);
        let lost = i64::try_from(expected).unwrap_or(0) - i64::try_from(self.received).unwrap_or(0);
        let (last_sr, delay_since_last_sr) = match self.sender_report {
            Some((middle, at)) => {
                let delay = now.duration_since(at).as_micros() as u64 * 65_536 / 1_000_000;
                (middle, delay as u32)
            }
            None => (0, 0),
        };
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction_lost.min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: (self.highest - FIRST_CYCLE) as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sr,
            delay_since_last_sr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_report_counts_what_is_missing_since_the_last_one() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 90_000, 65_530, start);
        for sequence in [65_530_u16, 65_531, 65_533, 2] {
            let extended = reception.extend(sequence);
            reception.count(extended, 0, start);
        }
        let report = reception.report(start);
        // 65530 to 2 over the wrap are nine numbers, four of which came.
        assert_eq!(report.cumulative_lost, 5);
        assert_eq!(report.fraction_lost, (5 * 256 / 9) as u8);
        assert_eq!(report.highest_sequence, (1 << 16) + 2);
        let extended = reception.extend(3);
        reception.count(extended, 0, start);
        assert_eq!(reception.report(start).fraction_lost, 0);
    }

    #[test]
    fn what_came_again_is_reported_as_lost_where_it_is_uncounted() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 90_000, 1, start);
        for sequence in [1_u16, 2, 4, 3] {
            let extended = reception.extend(sequence);
            reception.count(extended, 0, start);
        }
        reception.uncount();
        let report = reception.report(start);
        assert_eq!((report.cumulative_lost, report.fraction_lost), (1, 64));
        let report = reception.report(start);
        assert_eq!((report.cumulative_lost, report.fraction_lost), (1, 0));
    }

    #[test]
    fn even_spacing_has_no_jitter_and_delay_is_in_65536ths() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 90_000, 0, start);
        for i in 0..50_u16 {
            let now = start + Duration::from_millis(u64::from(i) * 20);
            let extended = reception.extend(i);
            reception.count(extended, u32::from(i) * 1800, now);
        }
        reception.sender_report(0x1234_5678_9abc_def0, start);
        let report = reception.report(start + Duration::from_millis(500));
        assert_eq!(report.jitter, 0);
        assert_eq!(report.last_sr, 0x5678_9abc);
        assert_eq!(report.delay_since_last_sr, 32_768);
    }
}
