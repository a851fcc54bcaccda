//! What usually comes. Others' bursts take room for a moment; only a queue that stands, or much less than before, shows
//! that there is less of it.

use std::time::Instant;

/// In seconds: how long a rate has to come until it is the usual one.
const STEADY: f64 = 1.0;
/// A way that carries less than this part of the usual rate has changed.
const MUCH_LESS: f64 = 0.6;

/// bit/s that came over a longer time.
#[derive(Default)]
pub struct UsualRate {
    last: Option<(Instant, f64)>,
}

impl UsualRate {
    /// Takes bit/s that come now; what the way carries by them, which is no more on a `crowded` one.
    pub fn carried(&mut self, acked: f64, crowded: bool, now: Instant) -> f64 {
        let (at, usual) = self.last.unwrap_or((now, acked));
        let weight = (now.saturating_duration_since(at).as_secs_f64() / STEADY).min(1.0);
        let usual = usual + weight * (acked - usual);
        self.last = Some((now, usual));
        if crowded || acked < MUCH_LESS * usual {
            acked
        } else {
            acked.max(usual)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_with_less_is_no_less_room_unless_the_way_is_crowded() {
        let start = Instant::now();
        let mut usual = UsualRate::default();
        let mut carried =
            |ms, acked, crowded| usual.carried(acked, crowded, start + Duration::from_millis(ms));
        assert!((carried(0, 1e6, false) - 1e6).abs() < 1.0);
        assert!(carried(50, 0.8e6, false) > 0.95e6, "a moment");
        assert!((carried(100, 0.8e6, true) - 0.8e6).abs() < 1.0);
        assert!(
            (carried(150, 0.5e6, false) - 0.5e6).abs() < 1.0,
            "much less"
        );
        assert!((carried(2000, 0.8e6, false) - 0.8e6).abs() < 1.0, "used to");
    }
}
