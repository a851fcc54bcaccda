//! What the peer got, in bit/s: samples over short windows, weighted by how much they can be trusted.

/// Until there is an estimate, over so long a window.
const FIRST_WINDOW_MS: f64 = 500.0;
const WINDOW_MS: f64 = 150.0;
/// How much the rate may change by itself between two samples, in (kbit/s)^2.
const DRIFT: f64 = 5.0;
/// The same when the sender has just changed its rate by much.
const JUMP: f64 = 200.0;
/// How uncertain a sample is at most. One below the estimate may only mean that less was sent.
const UNCERTAINTY: f64 = 10.0;

/// The acknowledged bitrate.
#[derive(Default)]
pub struct AckedBitrate {
    window_began_ms: Option<f64>,
    last_ms: f64,
    bytes: u64,
    /// kbit/s.
    estimate: Option<f64>,
    variance: f64,
}

impl AckedBitrate {
    /// Takes a packet that came at `arrival_ms` of the peer's clock.
    pub fn add(&mut self, arrival_ms: f64, size: u16) {
        let began = *self.window_began_ms.get_or_insert(arrival_ms);
        let window = if self.estimate.is_some() {
            WINDOW_MS
        } else {
            FIRST_WINDOW_MS
        };
        let elapsed = arrival_ms - began;
        if elapsed < 0.0 || arrival_ms - self.last_ms > 4.0 * FIRST_WINDOW_MS && self.bytes > 0 {
            // The peer's clock went back, or nothing came for long.
            self.restart(arrival_ms, size);
            return;
        }
        self.last_ms = arrival_ms;
        if elapsed >= window {
            self.sample(self.bytes as f64 * 8.0 / elapsed);
            self.restart(arrival_ms, size);
            return;
        }
        self.bytes += u64::from(size);
    }

    fn restart(&mut self, arrival_ms: f64, size: u16) {
        self.window_began_ms = Some(arrival_ms);
        self.last_ms = arrival_ms;
        self.bytes = u64::from(size);
    }

    fn sample(&mut self, kilobits: f64) {
        let Some(estimate) = self.estimate else {
            self.estimate = Some(kilobits);
            self.variance = 50.0;
            return;
        };
        let uncertainty =
            UNCERTAINTY * (estimate - kilobits).abs() / (estimate + kilobits).max(1.0);
        let of_sample = uncertainty * uncertainty;
        let predicted = self.variance + DRIFT;
        self.estimate =
            Some((of_sample * estimate + predicted * kilobits) / (of_sample + predicted));
        self.variance = of_sample * predicted / (of_sample + predicted);
    }

    /// More is sent from now on: the next samples count, not the past.
    pub fn expect_jump(&mut self) {
        self.variance += JUMP;
    }

    /// bit/s, once known.
    pub fn bits_per_second(&self) -> Option<f64> {
        self.estimate.map(|kilobits| kilobits * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(acked: &mut AckedBitrate, from_ms: u32, to_ms: u32, size: u16) -> f64 {
        for ms in (from_ms..to_ms).step_by(10) {
            acked.add(f64::from(ms), size);
        }
        acked.bits_per_second().expect("enough came")
    }

    #[test]
    fn it_follows_the_rate() {
        let mut acked = AckedBitrate::default();
        acked.add(0.0, 1250);
        assert_eq!(acked.bits_per_second(), None);
        let first = feed(&mut acked, 10, 2000, 1250);
        assert!((0.95e6..1.1e6).contains(&first), "{first}");
        let lower = feed(&mut acked, 2000, 4000, 250);
        assert!((0.19e6..0.25e6).contains(&lower), "{lower}");
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut acked = AckedBitrate::default();
        feed(&mut acked, 0, 2000, 1250);
        acked.add(-1e12, 1250);
        acked.add(1e12, 1250);
        let rate = feed(&mut acked, 0, 2000, 1250);
        assert!((0.5e6..2e6).contains(&rate), "{rate}");
    }
}
