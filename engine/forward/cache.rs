//! The packets of one encoding that may be asked for again: one cache, whatever the number of subscriptions.
//! Bounded in packets, in bytes and in time. It has no memory before the first packet, grows with what comes within the
//! time, and gives all of it back where nothing comes any more.

use std::time::{Duration, Instant};

use super::publication::MediaKind;

/// Packets kept of a video: a second of 10 Mbit/s in packets of 1,200 bytes.
const VIDEO_PACKETS: usize = 1024;
/// Packets kept of an audio: over a second of 20 ms frames.
const AUDIO_PACKETS: usize = 64;
/// Slots of the first packets.
const FIRST_SLOTS: usize = 16;
/// Bytes kept of one encoding.
pub const MAX_BYTES: usize = 1 << 20;
/// A packet that is older comes too late for anybody.
pub const MAX_AGE: Duration = Duration::from_secs(2);
/// Buffers without a packet that are kept for the next ones: a running publication allocates nothing.
const MAX_SPARE: usize = 8;
/// Buffers have a multiple of this length, or each packet that is a little longer would allocate.
const BUFFER_STEP: usize = 128;

/// A ring of decrypted packets, found by their extended sequence numbers.
#[derive(Default)]
pub struct PacketCache {
    /// As many as a power of two, or none. Each number has one place.
    slots: Vec<Slot>,
    packets: usize,
    spare: Vec<Vec<u8>>,
    /// Of all buffers.
    bytes: usize,
    /// Every kept packet has this number or a higher one.
    oldest: u64,
    /// No packet has this number or a higher one.
    next: u64,
    max_packets: usize,
    max_bytes: usize,
}

struct Slot {
    /// Zero: empty. Extended numbers begin above zero.
    extended: u64,
    at: Instant,
    packet: Vec<u8>,
}

impl PacketCache {
    /// An empty cache for an encoding of that kind.
    pub fn new(kind: MediaKind) -> PacketCache {
        let packets = match kind {
            MediaKind::Audio => AUDIO_PACKETS,
            MediaKind::Video => VIDEO_PACKETS,
        };
        PacketCache::bounded(packets, MAX_BYTES)
    }

    fn bounded(max_packets: usize, max_bytes: usize) -> PacketCache {
        PacketCache {
            max_packets,
            max_bytes,
            ..PacketCache::default()
        }
    }

    /// Keeps at most so many bytes from the next packet on.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(MAX_BYTES);
    }

    /// Keeps a packet, header and payload as the publisher sent them.
    pub fn insert(&mut self, extended: u64, packet: &[u8], now: Instant) {
        let window = self.max_packets as u64;
        if extended >= self.oldest + 2 * window {
            // A jump: nothing from before it has a place beside it.
            self.clear();
            self.oldest = extended.saturating_sub(window - 1);
        }
        while self.oldest + window <= extended {
            self.forget_oldest();
        }
        if extended < self.oldest || !self.make_place(extended, now) {
            return;
        }
        let Some(mut buffer) = self.take_buffer(packet.len(), extended) else {
            return;
        };
        buffer.extend_from_slice(packet);
        let index = self.index(extended);
        self.slots[index] = Slot {
            extended,
            at: now,
            packet: buffer,
        };
        self.packets += 1;
        self.next = self.next.max(extended + 1);
    }

    /// Whether the place of that number is free by now. Packets that are too old give way, others make the ring grow.
    fn make_place(&mut self, extended: u64, now: Instant) -> bool {
        loop {
            let index = self.index(extended);
            match self.slots.get(index) {
                Some(slot) if slot.extended == 0 => return true,
                Some(slot) if slot.extended == extended => {
                    self.empty(index);
                    return true;
                }
                Some(slot) if self.slots.len() == self.max_packets || slot.is_old(now) => {
                    if slot.extended > extended {
                        return false;
                    }
                    let newest_old = slot.extended;
                    while self.oldest <= newest_old {
                        self.forget_oldest();
                    }
                }
                _ => self.grow(now),
            }
        }
    }

    #[cold]
    fn grow(&mut self, now: Instant) {
        let len = (self.slots.len() * 2).clamp(FIRST_SLOTS.min(self.max_packets), self.max_packets);
        let empty = || Slot {
            extended: 0,
            at: now,
            packet: Vec::new(),
        };
        let slots = std::iter::repeat_with(empty).take(len).collect();
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot.extended != 0 {
                let index = self.index(slot.extended);
                self.slots[index] = slot;
            }
        }
    }

    /// An empty buffer for a packet of that length and number. Older packets give way to it; none where they do not suffice.
    fn take_buffer(&mut self, len: usize, extended: u64) -> Option<Vec<u8>> {
        while self.bytes + self.lacking(len) > self.max_bytes && self.oldest < extended {
            self.forget_oldest();
        }
        if self.bytes + self.lacking(len) > self.max_bytes {
            self.bytes -= self.spare.drain(..).map(|b| b.capacity()).sum::<usize>();
        }
        let lacking = self.lacking(len);
        if self.bytes + lacking > self.max_bytes {
            return None;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        if lacking > 0 {
            self.bytes -= buffer.capacity();
            buffer.reserve_exact(len.next_multiple_of(BUFFER_STEP));
            self.bytes += buffer.capacity();
        }
        Some(buffer)
    }

    /// Bytes to be allocated for a packet of that length.
    fn lacking(&self, len: usize) -> usize {
        match self.spare.last() {
            Some(buffer) if buffer.capacity() >= len => 0,
            _ => len.next_multiple_of(BUFFER_STEP),
        }
    }

    fn forget_oldest(&mut self) {
        let index = self.index(self.oldest);
        let slot = self.slots.get(index);
        if slot.is_some_and(|slot| slot.extended == self.oldest) {
            self.empty(index);
        }
        self.oldest += 1;
    }

    fn empty(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.extended = 0;
        self.packets -= 1;
        let mut buffer = std::mem::take(&mut slot.packet);
        if self.spare.len() < MAX_SPARE {
            buffer.clear();
            self.spare.push(buffer);
        } else {
            self.bytes -= buffer.capacity();
        }
    }

    /// The packet of that number, where it is still there and not too old.
    pub fn get(&self, extended: u64, now: Instant) -> Option<&[u8]> {
        let slot = self.slots.get(self.index(extended))?;
        (slot.extended == extended && extended != 0 && !slot.is_old(now)).then_some(&slot.packet)
    }

    /// Whether a packet of that number came too late to be kept: nothing tells whether it had come before.
    pub fn is_past(&self, extended: u64) -> bool {
        extended < self.oldest
    }

    /// Whether the packet of that number is there, however old.
    pub fn contains(&self, extended: u64) -> bool {
        let slot = self.slots.get(self.index(extended));
        extended != 0 && slot.is_some_and(|slot| slot.extended == extended)
    }

    /// Forgets all: the next packets are another stream's.
    pub fn clear(&mut self) {
        // From the newest on: a stream of one packet costs one step.
        while self.packets > 0 {
            self.next -= 1;
            if self.contains(self.next) {
                self.empty(self.index(self.next));
            }
        }
        self.oldest = 0;
        self.next = 0;
    }

    /// Gives all memory back. What came before is past.
    pub fn release(&mut self) {
        self.slots = Vec::new();
        self.spare = Vec::new();
        self.packets = 0;
        self.bytes = 0;
        self.oldest = self.oldest.max(self.next);
    }

    /// Whether it has no memory.
    pub fn is_released(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the packets' buffers.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Beyond the slots where there are none.
    fn index(&self, extended: u64) -> usize {
        extended as usize & self.slots.len().wrapping_sub(1)
    }
}

impl Slot {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > MAX_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_kept_until_the_ring_comes_round() {
        let now = Instant::now();
        let mut cache = PacketCache::bounded(4, 1000);
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
        let mut cache = PacketCache::new(MediaKind::Audio);
        cache.insert(5, &[5], now);
        assert!(cache.get(5, now + MAX_AGE).is_some());
        let later = now + MAX_AGE + Duration::from_millis(1);
        assert_eq!(cache.get(5, later), None);
        assert!(cache.contains(5), "it is still a duplicate");
    }

    /// Memory that is really held, counted by hand.
    fn assert_counted(cache: &PacketCache) {
        let kept = cache.slots.iter().filter(|slot| slot.extended != 0);
        assert_eq!(kept.count(), cache.packets);
        let held: usize = (cache.slots.iter().map(|slot| &slot.packet))
            .chain(&cache.spare)
            .map(Vec::capacity)
            .sum();
        assert_eq!(held, cache.bytes);
        assert!(held <= cache.max_bytes);
    }

    #[test]
    fn bytes_are_bounded_also_over_jumps_and_packets_that_come_late() {
        let now = Instant::now();
        let mut cache = PacketCache::bounded(64, 10_000);
        let mut extended = 70_000_u64;
        for step in 0..5000_u64 {
            extended += [1, 1, 3, 40, 64, 65, 130, 30_000][(step % 8) as usize];
            let late = step % 11 * u64::from(step % 3 == 0);
            let length = [1000, 40, 1200, 300][(step % 4) as usize];
            cache.insert(extended, &vec![0; length], now);
            assert!(cache.contains(extended));
            cache.insert(extended - late, &vec![0; length], now);
            assert_counted(&cache);
        }
        cache.set_max_bytes(3000);
        cache.insert(extended + 1, &[0; 1000], now);
        assert_counted(&cache);
        assert!(cache.contains(extended + 1));
    }

    #[test]
    fn slots_are_as_many_as_the_packets_of_the_time_that_they_are_kept() {
        for (interval, slots) in [(200, 16), (33, 64), (5, 512), (1, 1024)] {
            let mut now = Instant::now();
            let mut cache = PacketCache::new(MediaKind::Video);
            assert!(cache.is_released());
            for extended in 70_000..76_000_u64 {
                now += Duration::from_millis(interval);
                cache.insert(extended, &[0; 100], now);
                assert!(cache.get(extended - 8, now).is_some() || extended < 70_008);
            }
            assert_eq!(cache.slots.len(), slots, "a packet in {interval} ms");
            assert_counted(&cache);
        }
    }

    #[test]
    fn a_running_stream_allocates_nothing_and_one_that_ended_holds_nothing() {
        let mut now = Instant::now();
        let mut cache = PacketCache::new(MediaKind::Video);
        let mut run = |cache: &mut PacketCache, from: u64, length: usize| {
            for extended in from..from + 3000 {
                now += Duration::from_millis(1);
                cache.insert(extended, &vec![0; 1200][..length], now);
            }
        };
        // The bytes are what bounds the first, the slots the second.
        for (from, length) in [(70_000, 1200), (80_000, 500)] {
            run(&mut cache, from, length);
            let before = cache.bytes();
            let counted = allocation_counter::measure(|| run(&mut cache, from + 3000, length));
            assert_eq!(counted.count_total, 3000, "those of the test");
            assert_eq!(cache.bytes(), before);
        }
        cache.release();
        assert_eq!((cache.bytes(), cache.slots.capacity()), (0, 0));
        assert!(cache.is_past(85_999), "it had come before");
        assert!(!cache.is_past(86_000));
    }

    #[test]
    fn a_stream_that_begins_anew_empties_it_in_steps_of_its_own_packets() {
        let now = Instant::now();
        let mut cache = PacketCache::new(MediaKind::Video);
        for extended in [70_000, 70_300, 70_900] {
            cache.insert(extended, &[1], now);
        }
        cache.clear();
        assert_eq!(cache.packets, 0);
        assert!(!cache.contains(70_300) && !cache.is_past(1));
        cache.insert(65_536, &[1], now);
        assert!(cache.contains(65_536));
    }
}
