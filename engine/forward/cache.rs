//! The packets of one encoding that may be asked for again: one cache, whatever the number of subscriptions.
//! Bounded in packets, in bytes and in time.

use std::time::{Duration, Instant};

use super::publication::MediaKind;

/// Packets kept of a video: a second of 10 Mbit/s in packets of 1,200 bytes.
const VIDEO_PACKETS: usize = 1024;
/// Packets kept of an audio: over a second of 20 ms frames.
const AUDIO_PACKETS: usize = 64;
/// Bytes kept of one encoding.
const MAX_BYTES: usize = 1 << 20;
/// A packet that is older comes too late for anybody.
const MAX_AGE: Duration = Duration::from_secs(2);

/// A ring of decrypted packets, found by their extended sequence numbers.
pub struct PacketCache {
    /// A slot's memory is used again, so a running publication allocates nothing.
    slots: Box<[Slot]>,
    bytes: usize,
    /// Every kept packet has this number or a higher one.
    oldest: u64,
    max_bytes: usize,
}

#[derive(Clone)]
struct Slot {
    /// Zero: empty. Extended numbers begin above zero.
    extended: u64,
    at: Instant,
    packet: Vec<u8>,
}

impl PacketCache {
    /// An empty cache for an encoding of that kind.
    pub fn new(kind: MediaKind, now: Instant) -> PacketCache {
        let packets = match kind {
            MediaKind::Audio => AUDIO_PACKETS,
            MediaKind::Video => VIDEO_PACKETS,
        };
        PacketCache::bounded(packets, MAX_BYTES, now)
    }

    fn bounded(packets: usize, max_bytes: usize, now: Instant) -> PacketCache {
        let empty = Slot {
            extended: 0,
            at: now,
            packet: Vec::new(),
        };
        PacketCache {
            slots: vec![empty; packets].into_boxed_slice(),
            bytes: 0,
            oldest: 0,
            max_bytes,
        }
    }

    /// Keeps a packet, header and payload as the publisher sent them.
    pub fn insert(&mut self, extended: u64, packet: &[u8], now: Instant) {
        let len = self.slots.len() as u64;
        if extended >= self.oldest + 2 * len {
            // A jump: nothing from before it has a place beside it.
            self.clear();
            self.oldest = extended.saturating_sub(len - 1);
        }
        while self.oldest + len <= extended {
            self.forget_oldest();
        }
        if extended < self.oldest {
            return;
        }
        self.bytes += packet.len();
        while self.bytes > self.max_bytes && self.oldest < extended {
            self.forget_oldest();
        }
        let index = self.index(extended);
        let slot = &mut self.slots[index];
        slot.extended = extended;
        slot.at = now;
        slot.packet.clear();
        slot.packet.extend_from_slice(packet);
    }

    fn forget_oldest(&mut self) {
        let index = self.index(self.oldest);
        let slot = &mut self.slots[index];
        if slot.extended == self.oldest && slot.extended != 0 {
            self.bytes -= slot.packet.len();
            slot.extended = 0;
        }
        self.oldest += 1;
    }

    /// The packet of that number, where it is still there and not too old.
    pub fn get(&self, extended: u64, now: Instant) -> Option<&[u8]> {
        let slot = &self.slots[self.index(extended)];
        let is_fresh = now.saturating_duration_since(slot.at) <= MAX_AGE;
        (slot.extended == extended && extended != 0 && is_fresh).then_some(&slot.packet)
    }

    /// Whether a packet of that number came too late to be kept: nothing tells whether it had come before.
    pub fn is_past(&self, extended: u64) -> bool {
        extended < self.oldest
    }

    /// Whether the packet of that number is there, however old.
    pub fn contains(&self, extended: u64) -> bool {
        extended != 0 && self.slots[self.index(extended)].extended == extended
    }

    /// Forgets all: the next packets are another stream's.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.extended = 0;
        }
        self.bytes = 0;
        self.oldest = 0;
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
        let now = Instant::now();
        let mut cache = PacketCache::bounded(4, 1000, now);
        for extended in 1..=6_u64 {
            cache.insert(extended, &[extended as u8], now);
        }
        assert_eq!(cache.get(2, now), None);
        assert_eq!(cache.get(3, now), Some(&[3][..]));
        assert_eq!(cache.get(6, now), Some(&[6][..]));
        assert_eq!(cache.get(0, now), None);
        cache.insert(2, &[2], now);
        assert!(
            cache.contains(6),
            "a late packet takes no newer one's place"
        );
    }

    #[test]
    fn a_packet_is_kept_for_a_while_only() {
        let now = Instant::now();
        let mut cache = PacketCache::new(MediaKind::Audio, now);
        cache.insert(5, &[5], now);
        assert!(cache.get(5, now + MAX_AGE).is_some());
        let later = now + MAX_AGE + Duration::from_millis(1);
        assert_eq!(cache.get(5, later), None);
        assert!(cache.contains(5), "it is still a duplicate");
    }

    #[test]
    fn bytes_are_bounded_also_over_jumps() {
        let now = Instant::now();
        let mut cache = PacketCache::bounded(64, 10_000, now);
        let mut extended = 70_000_u64;
        for step in 0..5000_u64 {
            extended += [1, 1, 3, 40, 64, 65, 130, 30_000][(step % 8) as usize];
            cache.insert(extended, &[0; 1000], now);
            let kept: usize = cache
                .slots
                .iter()
                .map(|slot| {
                    if slot.extended == 0 {
                        0
                    } else {
                        slot.packet.len()
                    }
                })
                .sum();
            assert_eq!(kept, cache.bytes);
            assert!(kept <= 10_000);
            assert!(cache.contains(extended));
        }
    }
}
