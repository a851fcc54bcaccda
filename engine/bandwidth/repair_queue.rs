//! The packets that a peer asked for again, in their order. Each request costs the same, however many wait.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

/// Repairs that wait; a peer that asks for more at once asks again.
const MAX_WAITING: usize = 256;
/// Of the last repairs, to answer a repeated request once within a round trip.
const RECENT: usize = 128;

#[derive(Default)]
struct Known {
    waits: bool,
    left: Option<Instant>,
}

/// Repairs of one session; `K` names one.
pub struct RepairQueue<K> {
    waiting: VecDeque<K>,
    recent: VecDeque<(Instant, K)>,
    /// Those of both lists.
    known: HashMap<K, Known, RandomState>,
}

impl<K> Default for RepairQueue<K> {
    fn default() -> RepairQueue<K> {
        RepairQueue {
            waiting: VecDeque::new(),
            recent: VecDeque::new(),
            known: HashMap::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> RepairQueue<K> {
    /// Queues a repair, unless it waits already, left within `rtt`, or too many wait.
    pub fn ask(&mut self, repair: K, rtt: Duration, now: Instant) {
        if self.waiting.len() == MAX_WAITING {
            return;
        }
        let known = self.known.entry(repair).or_default();
        let is_new = |left| now.saturating_duration_since(left) < rtt;
        if known.waits || known.left.is_some_and(is_new) {
            return;
        }
        known.waits = true;
        self.waiting.push_back(repair);
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first one leaves.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let repair = self.waiting.pop_front()?;
        if self.recent.len() == RECENT
            && let Some((left, oldest)) = self.recent.pop_front()
        {
            self.forget(oldest, |known| {
                known.left = known.left.filter(|&at| at != left);
            });
        }
        self.recent.push_back((now, repair));
        let known = self.known.entry(repair).or_default();
        (known.waits, known.left) = (false, Some(now));
        Some(repair)
    }

    /// None of those that wait is sent.
    pub fn clear(&mut self) {
        for repair in std::mem::take(&mut self.waiting) {
            self.forget(repair, |known| known.waits = false);
        }
    }

    fn forget(&mut self, repair: K, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.get_mut(&repair) {
            change(known);
            if !known.waits && known.left.is_none() {
                self.known.remove(&repair);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::hash::Hasher;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn a_repair_leaves_once_in_a_round_trip() {
        let now = Instant::now();
        let mut queue = RepairQueue::default();
        queue.ask(7, RTT, now);
        queue.ask(7, RTT, now);
        assert_eq!(queue.pop(now), Some(7));
        assert_eq!(queue.pop(now), None);
        queue.ask(7, RTT, now + RTT / 2);
        assert!(queue.is_empty());
        queue.ask(7, RTT, now + RTT);
        assert_eq!(queue.pop(now + RTT), Some(7));
    }

    #[test]
    fn what_is_known_is_what_waits_and_what_has_left_lately() {
        let mut now = Instant::now();
        let mut queue = RepairQueue::default();
        for number in 0..20_000_u32 {
            queue.ask(number % 700, RTT, now);
            if number % 3 == 0 {
                queue.pop(now);
                now += Duration::from_millis(2);
            }
            if number % 5000 == 4999 {
                queue.clear();
            }
            assert!(queue.waiting.len() <= MAX_WAITING && queue.recent.len() <= RECENT);
            let listed = queue.waiting.iter().copied();
            let listed: std::collections::HashSet<u32> =
                listed.chain(queue.recent.iter().map(|&(_, k)| k)).collect();
            assert!(queue.known.keys().all(|known| listed.contains(known)));
        }
    }

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Clone, Copy, Eq)]
    struct Counted(u32);

    impl PartialEq for Counted {
        fn eq(&self, other: &Counted) -> bool {
            COMPARED.with(|compared| compared.set(compared.get() + 1));
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    /// A linear search makes 384 comparisons for each request.
    #[test]
    fn a_request_is_compared_with_few_others_however_many_wait() {
        let now = Instant::now();
        let mut queue = RepairQueue::default();
        for number in 0..RECENT as u32 {
            queue.ask(Counted(number), RTT, now);
            queue.pop(now);
        }
        for number in 1000..1000 + MAX_WAITING as u32 - 1 {
            queue.ask(Counted(number), RTT, now);
        }
        COMPARED.with(|compared| compared.set(0));
        for number in 0..10_000_u32 {
            queue.ask(
                Counted([number % 128, 1000 + number % 255][number as usize % 2]),
                RTT,
                now,
            );
        }
        let compared = COMPARED.with(|compared| compared.get());
        assert!(
            compared <= 3 * 10_000,
            "{compared} comparisons for 10,000 requests"
        );
    }
}
