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

#[derive(Clone, Copy)]
struct Slot {
    packet: SentPacket,
    number: u16,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    InFlight,
    /// Reported as lost; it may still have been merely late.
    Lost,
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
    slots: Vec<Slot>,
}

impl SentPackets {
    /// An empty history.
    pub fn new() -> SentPackets {
        SentPackets { slots: Vec::new() }
    }

    /// Notes a packet.
    #[inline]
    pub fn insert(&mut self, number: u16, packet: SentPacket) {
        let at = self.slot_of(number);
        match self.slots.get(at) {
            Some(slot)
                if slot.state != State::InFlight
                    || packet.sent.saturating_duration_since(slot.packet.sent) > MEMORY => {}
            _ => return self.insert_grown(number, packet),
        }
        self.put(at, number, packet);
    }

    fn put(&mut self, at: usize, number: u16, packet: SentPacket) {
        self.slots[at] = Slot {
            packet,
            number,
            state: State::InFlight,
        };
    }

    /// Rare: the first packet, and when more are on their way than ever before.
    #[cold]
    fn insert_grown(&mut self, number: u16, packet: SentPacket) {
        let len = (self.slots.len() * 2).clamp(MIN_SLOTS, MAX_SLOTS);
        if len > self.slots.len() {
            let empty = Slot {
                packet: SentPacket {
                    size: 0,
                    probe: 0,
                    ..packet
                },
                number: 0,
                state: State::Empty,
            };
            let before = std::mem::replace(&mut self.slots, vec![empty; len]);
            for slot in before {
                let at = self.slot_of(slot.number);
                if slot.state != State::Empty {
                    self.slots[at] = slot;
                }
            }
        }
        let at = self.slot_of(number);
        self.put(at, number, packet);
    }

    /// Takes a status. None when the packet is not known: never sent, forgotten, or told before.
    pub fn take(&mut self, number: u16, arrived: bool) -> Option<Fate> {
        let at = self.slot_of(number);
        let slot = self
            .slots
            .get_mut(at)
            .filter(|slot| slot.number == number && slot.state != State::Empty)?;
        let late = slot.state == State::Lost;
        if arrived {
            slot.state = State::Empty;
            let packet = slot.packet;
            return Some(Fate::Arrived { packet, late });
        }
        slot.state = State::Lost;
        (!late).then_some(Fate::Lost(slot.packet))
    }

    fn slot_of(&self, number: u16) -> usize {
        // The length is a power of two, or zero.
        usize::from(number) & self.slots.len().wrapping_sub(1)
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
        let mut sent = SentPackets::new();
        assert_eq!(sent.take(5, true), None, "never sent");
        sent.insert(5, packet(now));
        sent.insert(6, packet(now));
        assert_eq!(sent.take(5, false), Some(Fate::Lost(packet(now))));
        assert_eq!(sent.take(5, false), None);
        let late = Fate::Arrived {
            packet: packet(now),
            late: true,
        };
        assert_eq!(sent.take(5, true), Some(late));
        assert_eq!(sent.take(5, true), None);
        assert_eq!(sent.take(6 + 256, true), None, "another number");
    }

    #[test]
    fn it_grows_with_what_is_on_its_way_up_to_its_bound() {
        let now = Instant::now();
        let mut sent = SentPackets::new();
        for number in 0..=u16::MAX {
            sent.insert(number, packet(now));
        }
        assert_eq!(sent.slots.len(), MAX_SLOTS);
        assert!(sent.take(0, true).is_none());
        assert!(sent.take(u16::MAX - 8000, true).is_some());
    }

    #[test]
    fn old_packets_make_room_without_growth() {
        let start = Instant::now();
        let mut sent = SentPackets::new();
        for number in 0..2000_u16 {
            sent.insert(
                number,
                packet(start + u32::from(number) * Duration::from_millis(20)),
            );
        }
        assert_eq!(sent.slots.len(), MIN_SLOTS);
    }
}
