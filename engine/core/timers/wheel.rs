//! A wheel of timers (Varghese and Lauck, 1987) that is exact: what falls due within a turn of one slot waits in a
//! small heap, and everything later in the slot of its time, where adding costs the same whatever the number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// A slot has 2^25 ns, about 34 ms: sessions' own periods are longer, and few packets' repairs are.
const SLOT_BITS: u32 = 25;
/// In all some 34 s; what is later goes round again.
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;

/// A timer in a slot. Nodes live in one array, so that a slot which fills for the first time allocates nothing.
struct Node<T> {
    at: Instant,
    timer: T,
    /// In its slot, or among free ones.
    next: u32,
}

#[derive(Clone, Copy)]
struct Slot {
    first: u32,
    /// When it must be looked at; of no meaning while it is empty.
    due: Instant,
}

/// Timers of any kind.
pub struct Wheel<T> {
    started: Instant,
    /// All before the horizon, a number of slots since the start.
    near: BinaryHeap<Reverse<(Instant, T)>>,
    horizon: u64,
    slots: Box<[Slot]>,
    /// A bit for each slot that is not empty.
    occupied: [u64; WORDS],
    nodes: Vec<Node<T>>,
    free: u32,
}

impl<T: Copy + Ord> Wheel<T> {
    /// Without timers.
    pub fn new(now: Instant) -> Wheel<T> {
        let empty = Slot {
            first: NONE,
            due: now,
        };
        Wheel {
            started: now,
            near: BinaryHeap::new(),
            horizon: 1,
            slots: vec![empty; SLOTS].into_boxed_slice(),
            occupied: [0; WORDS],
            nodes: Vec::new(),
            free: NONE,
        }
    }

    /// When it was made.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        let next = |free: &u32| self.nodes.get(*free as usize).map(|node| node.next);
        let free = std::iter::successors(Some(self.free).filter(|&free| free != NONE), |free| {
            next(free).filter(|&next| next != NONE)
        });
        self.near.len() + self.nodes.len() - free.count()
    }

    /// Adds a timer.
    pub fn add(&mut self, at: Instant, timer: T) {
        if self.turn_of(at) < self.horizon {
            self.near.push(Reverse((at, timer)));
            return;
        }
        let node = Node {
            at,
            timer,
            next: NONE,
        };
        let index = match self.nodes.get(self.free as usize) {
            Some(free) => {
                let index = self.free;
                self.free = free.next;
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        self.put(index);
    }

    /// The earliest timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        while self.near.is_empty() {
            let (turn, slot) = self.first_slot()?;
            if self.slots[slot].due > now {
                return None;
            }
            self.horizon = turn + 1;
            self.empty(slot);
        }
        let Reverse((at, _)) = self.near.peek()?;
        if *at > now {
            return None;
        }
        self.near.pop().map(|Reverse((_, timer))| timer)
    }

    /// When to call `pop_due` next.
    pub fn next(&self) -> Option<Instant> {
        match self.near.peek() {
            Some(Reverse((at, _))) => Some(*at),
            None => self.first_slot().map(|(_, slot)| self.slots[slot].due),
        }
    }

    fn turn_of(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.started).as_nanos() >> SLOT_BITS) as u64
    }

    /// Puts a node that is not before the horizon into its slot, or into the last one before the wheel is round.
    fn put(&mut self, index: u32) {
        let at = self.nodes[index as usize].at;
        let last = self.horizon + SLOTS as u64 - 1;
        let turn = self.turn_of(at).min(last);
        // One that goes round again is looked at when its slot ends.
        let due = at.min(self.started + std::time::Duration::from_nanos((turn + 1) << SLOT_BITS));
        let place = turn as usize % SLOTS;
        let slot = &mut self.slots[place];
        if slot.first == NONE {
            slot.due = due;
            self.occupied[place / 64] |= 1 << (place % 64);
        } else {
            slot.due = slot.due.min(due);
        }
        self.nodes[index as usize].next = slot.first;
        slot.first = index;
    }

    /// The first slot from the horizon on that is not empty, and its turn.
    fn first_slot(&self) -> Option<(u64, usize)> {
        let begin = self.horizon as usize % SLOTS;
        for word in 0..=WORDS {
            let at = (begin / 64 + word) % WORDS;
            let mut bits = self.occupied[at];
            if word == 0 {
                bits &= !0 << (begin % 64);
            } else if word == WORDS {
                bits &= !(!0 << (begin % 64));
            }
            if bits != 0 {
                let slot = at * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + SLOTS - begin) % SLOTS;
                return Some((self.horizon + ahead as u64, slot));
            }
        }
        None
    }

    /// Moves what falls due in a slot to the heap, and what is later to where it belongs.
    fn empty(&mut self, slot: usize) {
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        let mut index = std::mem::replace(&mut self.slots[slot].first, NONE);
        while let Some(node) = self.nodes.get_mut(index as usize) {
            let (at, timer) = (node.at, node.timer);
            let next = node.next;
            if self.turn_of(at) < self.horizon {
                self.near.push(Reverse((at, timer)));
                self.nodes[index as usize].next = self.free;
                self.free = index;
            } else {
                self.put(index);
            }
            index = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Against a plain heap: the same timers at the same times, whatever the distances.
    #[test]
    fn timers_come_when_they_are_due_and_in_order() {
        let start = Instant::now();
        let mut chance = 1_u64;
        let mut random = move |below: u64| {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % below
        };
        let mut wheel = Wheel::new(start);
        let mut plain = BinaryHeap::new();
        let mut now = start;
        for timer in 0..40_000_u64 {
            // From the past and the next microseconds up to several turns of the wheel.
            let range = [1, 1_000, 100_000, 60_000_000, 200_000_000][random(5) as usize];
            let pace = [100, 3_000, 200_000][random(3) as usize];
            let at = now + Duration::from_micros(random(range));
            let at = at - Duration::from_micros(random(50).min((at - start).as_micros() as u64));
            wheel.add(at, timer);
            plain.push(Reverse((at, timer)));
            let mut step = random(pace);
            if timer % 10_000 == 9_999 {
                step = 120_000_000;
            }
            now += Duration::from_micros(step);
            let due = plain.peek().map(|Reverse((at, _))| *at);
            assert!(wheel.next() <= due, "a timer would be late");
            while let Some(found) = wheel.pop_due(now) {
                let expected = plain.pop().map(|Reverse((_, timer))| timer);
                assert_eq!(Some(found), expected);
            }
            assert!(plain.peek().is_none_or(|Reverse((at, _))| *at > now));
        }
        assert!(wheel.nodes.len() < 40_000, "places are used again");
    }

    /// Nothing wakes the worker in vain: the next time is that of the timer itself.
    #[test]
    fn the_next_time_is_exact_within_a_turn() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for milliseconds in [20_000, 3, 700, 20_001] {
            wheel.add(start + Duration::from_millis(milliseconds), milliseconds);
        }
        for milliseconds in [3, 700, 20_000, 20_001] {
            let at = start + Duration::from_millis(milliseconds);
            assert_eq!(wheel.next(), Some(at));
            assert_eq!(wheel.pop_due(at - Duration::from_nanos(1)), None);
            assert_eq!(wheel.pop_due(at), Some(milliseconds));
        }
        assert_eq!(wheel.next(), None);
    }
}
