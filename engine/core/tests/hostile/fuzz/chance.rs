//! Chance that can be replayed.

/// Chance (Marsaglia's xorshift, 2003).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1))
            .map(|_| self.next() as u8)
            .collect()
    }

    /// Flips bits, cuts and appends.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>, from: usize) {
        for _ in 0..self.below(6) {
            if bytes.len() > from {
                let at = from + self.below(bytes.len() - from);
                bytes[at] ^= 1 << self.below(8);
            }
        }
        if self.one_in(8) {
            bytes.truncate((from + self.below(40)).min(bytes.len()));
        }
        if self.one_in(8) {
            bytes.extend(self.bytes(30));
        }
    }
}
