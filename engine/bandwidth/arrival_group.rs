//! Packets that left together, and how much further apart two such groups came than they left
//! (draft-ietf-rmcat-gcc-02 sections 5.1 and 5.2).

use std::time::{Duration, Instant};

/// Packets that leave within this time are one group.
const BURST: Duration = Duration::from_millis(5);
/// Packets that come so close together were held up together, whenever they left.
const HELD_UP_MS: f64 = 5.0;
/// A group that was held up ends after this.
const LONGEST_HELD_UP_MS: f64 = 100.0;
/// A peer's clock that jumps by more starts over.
const LONGEST_JUMP_MS: f64 = 3000.0;

/// How far two groups were apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spacing {
    /// On leaving, in ms.
    pub sent_ms: f64,
    /// On coming, in ms of the peer's clock.
    pub arrived_ms: f64,
    /// When the later group came, in ms of the peer's clock.
    pub arrival_ms: f64,
}

#[derive(Clone, Copy)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrival_ms: f64,
    last_arrival_ms: f64,
}

impl Group {
    fn of(sent: Instant, arrival_ms: f64) -> Group {
        Group {
            first_sent: sent,
            last_sent: sent,
            first_arrival_ms: arrival_ms,
            last_arrival_ms: arrival_ms,
        }
    }

    fn belongs(&self, sent: Instant, arrival_ms: f64) -> bool {
        if sent.saturating_duration_since(self.first_sent) <= BURST {
            return true;
        }
        let sent_ms = milliseconds(self.last_sent, sent);
        let arrived_ms = arrival_ms - self.last_arrival_ms;
        arrived_ms - sent_ms < 0.0
            && arrived_ms <= HELD_UP_MS
            && arrival_ms - self.first_arrival_ms < LONGEST_HELD_UP_MS
    }
}

/// The last two groups.
#[derive(Default)]
pub struct ArrivalGroups {
    previous: Option<Group>,
    current: Option<Group>,
}

impl ArrivalGroups {
    /// Takes a packet. The spacing of the last two groups when the packet begins another one.
    pub fn add(&mut self, sent: Instant, arrival_ms: f64) -> Option<Spacing> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::of(sent, arrival_ms));
            return None;
        };
        if sent < current.first_sent {
            return None;
        }
        if (arrival_ms - current.last_arrival_ms).abs() > LONGEST_JUMP_MS {
            // The peer's clock jumped, or nothing came for long: what was before says nothing about now.
            self.previous = None;
            self.current = Some(Group::of(sent, arrival_ms));
            return None;
        }
        if current.belongs(sent, arrival_ms) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrival_ms = current.last_arrival_ms.max(arrival_ms);
            return None;
        }
        let complete = *current;
        self.current = Some(Group::of(sent, arrival_ms));
        let previous = self.previous.replace(complete)?;
        let arrived_ms = complete.last_arrival_ms - previous.last_arrival_ms;
        if arrived_ms < 0.0 {
            self.previous = None;
            return None;
        }
        Some(Spacing {
            sent_ms: milliseconds(previous.last_sent, complete.last_sent),
            arrived_ms,
            arrival_ms: complete.last_arrival_ms,
        })
    }
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    let forward = to.saturating_duration_since(from).as_secs_f64();
    let backward = from.saturating_duration_since(to).as_secs_f64();
    (forward - backward) * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn spacing_is_between_the_ends_of_groups() {
        let start = Instant::now();
        let mut groups = ArrivalGroups::default();
        assert_eq!(groups.add(start, 100.0), None);
        assert_eq!(groups.add(at(start, 2), 101.0), None);
        assert_eq!(groups.add(at(start, 20), 125.0), None);
        let spacing = groups.add(at(start, 40), 150.0).expect("two groups");
        assert!((spacing.sent_ms - 18.0).abs() < 1e-6);
        assert!((spacing.arrived_ms - 24.0).abs() < 1e-6);
    }

    #[test]
    fn packets_that_were_held_up_together_are_one_group() {
        let start = Instant::now();
        let mut groups = ArrivalGroups::default();
        groups.add(start, 0.0);
        groups.add(at(start, 20), 100.0);
        for ms in [40, 60, 80] {
            assert_eq!(groups.add(at(start, ms), 100.0 + ms as f64 / 40.0), None);
        }
        let spacing = groups.add(at(start, 100), 120.0).expect("two groups");
        assert!((spacing.sent_ms - 80.0).abs() < 1e-6);
    }

    #[test]
    fn a_clock_that_jumps_starts_over() {
        let start = Instant::now();
        let mut groups = ArrivalGroups::default();
        groups.add(start, 0.0);
        groups.add(at(start, 20), 20.0);
        assert_eq!(groups.add(at(start, 40), -1e9), None);
        assert_eq!(groups.add(at(start, 60), -1e9 + 20.0), None);
        assert!(groups.add(at(start, 80), -1e9 + 40.0).is_some());
    }
}
