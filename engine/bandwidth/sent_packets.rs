//! What was sent to one peer, by transport-wide number, until its feedback tells what became of it.

use std::time::{Duration, Instant};

/// Slots at first; most sessions need no more.
const MIN_SLOTS: usize = 256;
/// More are not kept: two seconds of 40 Mbit/s. Feedback on older packets is ignored.
const MAX_SLOTS: usize = 8192;
/// A packet whose fate is open for longer may be forgotten.
const MEMORY: Duration = Duration::from_secs(2);

/// A packet that feedback is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentPacket {
    /// When it left.
    pub sent: Instant,
    /// Bytes of the datagram.
    pub size: u16,
    /// The probe that it was part of; zero: none.
    pub probe: u8,
}

/// Eight bytes: a packet of each of thousands of sessions is noted here, and none of them finds its slot in a cache.
#[derive(Clone, Copy)]
struct Slot {
    /// In microseconds since the ring was made, as a number that comes round each hour: what has been open for half of
    /// that is taken for newer or older than it is, which nothing rests upon.
    sent: u32,
    /// `State` in the upper two bits, bytes in the others.
    state_and_size: u16,
    /// The upper byte of the number; the slot's place tells the rest.
    turn: u8,
    probe: u8,
}

const SIZE_BITS: u32 = 14;
const MAX_SIZE: u16 = (1 << SIZE_BITS) - 1;

const EMPTY: Slot = Slot {
    sent: 0,
    state_and_size: (State::Empty as u16) << SIZE_BITS,
    turn: 0,
    probe: 0,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    InFlight,
    /// Reported as lost; it may still have been merely late.
    Lost,
}

impl Slot {
    fn state(self) -> State {
        match self.state_and_size >> SIZE_BITS {
            0 => State::Empty,
            1 => State::InFlight,
            _ => State::Lost,
        }
    }

    fn set_state(&mut self, state: State) {
        self.state_and_size = (state as u16) << SIZE_BITS | self.state_and_size & MAX_SIZE;
    }
}

/// What a status says of a packet that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It came; `late` when it was told lost before.
    Arrived {
        /// What was sent.
        packet: SentPacket,
        /// Told lost before.
        late: bool,
    },
    /// It did not come; told for the first time.
    Lost(SentPacket),
}

/// A ring by transport-wide number. It grows while packets would be forgotten too early, up to a bound.
pub struct SentPackets {
    started: Instant,
    slots: Vec<Slot>,
}

impl SentPackets {
    /// An empty history.
    pub fn new(now: Instant) -> SentPackets {
        SentPackets {
            started: now,
            slots: Vec::new(),
        }
    }

    /// Notes a packet.
    #[inline]
    pub fn insert(&mut self, number: u16, packet: SentPacket) {
        let sent = self.micros(packet.sent) as u32;
        let slot = Slot {
            sent,
            state_and_size: (State::InFlight as u16) << SIZE_BITS | packet.size.min(MAX_SIZE),
            turn: (number >> 8) as u8,
            probe: packet.probe,
        };
        let at = self.slot_of(number);
        match self.slots.get_mut(at) {
            Some(before)
                if before.state() != State::InFlight
                    || sent.wrapping_sub(before.sent) > MEMORY.as_micros() as u32 =>
            {
                *before = slot;
            }
            _ => self.insert_grown(number, slot),
        }
    }

    /// Rare: the first packet, and when more are on their way than ever before.
    #[cold]
    fn insert_grown(&mut self, number: u16, slot: Slot) {
        let len = (self.slots.len() * 2).clamp(MIN_SLOTS, MAX_SLOTS);
        if len > self.slots.len() {
            let before = std::mem::replace(&mut self.slots, vec![EMPTY; len]);
            for (at, slot) in before.into_iter().enumerate() {
                // No ring is shorter than what the lower byte can say.
                let to = self.slot_of(u16::from(slot.turn) << 8 | at as u16 & 0xff);
                if slot.state() != State::Empty {
                    self.slots[to] = slot;
                }
            }
        }
        let at = self.slot_of(number);
        self.slots[at] = slot;
    }

    /// Takes a status. None when the packet is not known: never sent, forgotten, or told before.
    #[inline]
    pub fn take(&mut self, number: u16, arrived: bool, now: Instant) -> Option<Fate> {
        let now = self.micros(now);
        let at = self.slot_of(number);
        let slot = self.slots.get_mut(at)?;
        let state = slot.state();
        if slot.turn != (number >> 8) as u8 || state == State::Empty {
            return None;
        }
        let age = (now as u32).wrapping_sub(slot.sent).cast_signed();
        let sent = now.saturating_add_signed(-i64::from(age));
        let packet = SentPacket {
            sent: self.started + Duration::from_micros(sent),
            size: slot.state_and_size & MAX_SIZE,
            probe: slot.probe,
        };
        let late = state == State::Lost;
        if arrived {
            slot.set_state(State::Empty);
            return Some(Fate::Arrived { packet, late });
        }
        slot.set_state(State::Lost);
        (!late).then_some(Fate::Lost(packet))
    }

    /// Has the slot of a packet fetched that will soon be noted.
    #[inline]
    pub fn fetch(&self, number: u16) {
        if let Some(slot) = self.slots.get(self.slot_of(number)) {
            switchyard_net::prefetch(slot);
        }
    }

    fn slot_of(&self, number: u16) -> usize {
        // The length is a power of two, or zero.
        usize::from(number) & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        since.as_secs() * 1_000_000 + u64::from(since.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sent: Instant) -> SentPacket {
        SentPacket {
            sent,
            size: 1000,
            probe: 0,
        }
    }

    #[test]
    fn each_packet_has_one_fate() {
        let now = Instant::now();
        let mut sent = SentPackets::new(now);
        assert_eq!(sent.take(5, true, now), None, "never sent");
        sent.insert(5, packet(now));
        sent.insert(6, packet(now));
        assert_eq!(sent.take(5, false, now), Some(Fate::Lost(packet(now))));
        assert_eq!(sent.take(5, false, now), None);
        let late = Fate::Arrived {
            packet: packet(now),
            late: true,
        };
        assert_eq!(sent.take(5, true, now), Some(late));
        assert_eq!(sent.take(5, true, now), None);
        assert_eq!(sent.take(6 + 256, true, now), None, "another number");
    }

    #[test]
    fn it_grows_with_what_is_on_its_way_up_to_its_bound() {
        let now = Instant::now();
        let mut sent = SentPackets::new(now);
        for number in 0..=u16::MAX {
            sent.insert(number, packet(now));
        }
        assert_eq!(sent.slots.len(), MAX_SLOTS);
        assert!(sent.take(0, true, now).is_none());
        assert!(sent.take(u16::MAX - 8000, true, now).is_some());
    }

    #[test]
    fn times_are_right_however_long_the_session_lasts() {
        let start = Instant::now();
        let mut sent = SentPackets::new(start);
        for minutes in [0_u32, 35, 71, 72, 1000, 100_000] {
            let at = start + minutes * Duration::from_secs(60);
            let number = minutes as u16;
            sent.insert(number, packet(at));
            let now = at + Duration::from_millis(80);
            let (packet, late) = (packet(at), false);
            let arrived = Some(Fate::Arrived { packet, late });
            assert_eq!(sent.take(number, true, now), arrived);
        }
    }

    #[test]
    fn old_packets_make_room_without_growth() {
        let start = Instant::now();
        let mut sent = SentPackets::new(start);
        for number in 0..2000_u16 {
            sent.insert(
                number,
                packet(start + u32::from(number) * Duration::from_millis(20)),
            );
        }
        assert_eq!(sent.slots.len(), MIN_SLOTS);
    }
}
