//! The clock by which a peer tells arrivals (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

/// One unit of the reference time of feedback, in ms, and of an arrival within it.
const REFERENCE_MS: f64 = 64.0;
const TICK_MS: f64 = 0.25;

/// Its reference times, unwrapped from 24 bits.
#[derive(Default)]
pub struct PeerClock {
    /// As it came, and unwrapped.
    last: Option<(u32, i64)>,
}

impl PeerClock {
    /// Takes a feedback's reference time; its ms.
    pub fn reference_ms(&mut self, reference: u32) -> f64 {
        let unwrapped = match self.last {
            None => i64::from(reference),
            Some((last, unwrapped)) => {
                // Shifted up and back to extend the sign of 24 bits.
                let step = (reference.wrapping_sub(last) << 8).cast_signed() >> 8;
                unwrapped + i64::from(step)
            }
        };
        self.last = Some((reference, unwrapped));
        unwrapped as f64 * REFERENCE_MS
    }

    /// ms of an arrival after the reference.
    pub fn arrival_ms(ticks: i32) -> f64 {
        f64::from(ticks) * TICK_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wraps_and_may_go_back() {
        let mut clock = PeerClock::default();
        let first = clock.reference_ms(0xff_fffe);
        let step = |clock: &mut PeerClock, reference| clock.reference_ms(reference) - first;
        assert!((step(&mut clock, 0xff_ffff) - 64.0).abs() < 1e-6);
        assert!((step(&mut clock, 1) - 192.0).abs() < 1e-6);
        assert!((step(&mut clock, 0xff_fffe) - 0.0).abs() < 1e-6);
    }
}
