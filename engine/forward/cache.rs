//! The packets of one publication that may be asked for again: one cache, whatever the number of subscriptions.

/// Packets kept of a video publication: a second of 2.5 Mbit/s in packets of 1,200 bytes, twice.
pub const VIDEO_PACKETS: usize = 512;
/// Packets kept of an audio publication: over a second of 20 ms frames.
pub const AUDIO_PACKETS: usize = 64;

/// A ring of decrypted packets, found by their extended sequence numbers.
pub struct PacketCache {
    /// A slot's memory is used again, so a running publication allocates nothing.
    slots: Box<[Slot]>,
}

#[derive(Default, Clone)]
struct Slot {
    /// Zero: empty. Extended numbers begin above zero.
    extended: u64,
    packet: Vec<u8>,
}

impl PacketCache {
    /// A cache of so many packets.
    pub fn new(packets: usize) -> PacketCache {
        PacketCache {
            slots: vec![Slot::default(); packets.max(1)].into_boxed_slice(),
        }
    }

    /// Keeps a packet, header and payload as the publisher sent them.
    pub fn insert(&mut self, extended: u64, packet: &[u8]) {
        let index = self.index(extended);
        let slot = &mut self.slots[index];
        slot.extended = extended;
        slot.packet.clear();
        slot.packet.extend_from_slice(packet);
    }

    /// The packet of that number, where it is still there.
    pub fn get(&self, extended: u64) -> Option<&[u8]> {
        let slot = &self.slots[self.index(extended)];
        (slot.extended == extended && extended != 0).then_some(&slot.packet)
    }

    /// Whether the packet of that number is there.
    pub fn contains(&self, extended: u64) -> bool {
        self.get(extended).is_some()
    }

    /// Forgets all: the next packets are another stream's.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.extended = 0;
        }
    }

    fn index(&self, extended: u64) -> usize {
        (extended % self.slots.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_kept_until_the_ring_comes_round() {
        let mut cache = PacketCache::new(4);
        for extended in 1..=6_u64 {
            cache.insert(extended, &[extended as u8]);
        }
        assert_eq!(cache.get(2), None);
        assert_eq!(cache.get(3), Some(&[3][..]));
        assert_eq!(cache.get(6), Some(&[6][..]));
        assert_eq!(cache.get(0), None);
    }
}
