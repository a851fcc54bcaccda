//! Replay protection, RFC 3711 section 3.3.2.

/// The highest index that was accepted and which of the `WORDS * 64` up to it were.
#[derive(Debug)]
pub(super) struct Window<const WORDS: usize> {
    highest: u64,
    /// Bit `index % (WORDS * 64)`.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    const LEN: u64 = WORDS as u64 * 64;

    /// A window in which only `index` was accepted.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self {
            highest: index,
            seen: [0; WORDS],
        };
        window.set(index, true);
        window
    }

    /// A window in which all up to `highest` may have been accepted.
    pub(super) fn after(highest: u64) -> Self {
        Self {
            highest,
            seen: [u64::MAX; WORDS],
        }
    }

    /// The highest accepted index.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `index` was neither accepted before nor is too old to tell.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let (word, bit) = Self::place(index);
        self.highest - index < Self::LEN && self.seen[word] & bit == 0
    }

    /// Marks a fresh index as accepted.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            let skipped = (index - self.highest).min(Self::LEN);
            for clear in 0..skipped {
                self.set(index - clear, false);
            }
            self.highest = index;
        }
        self.set(index, true);
    }

    fn place(index: u64) -> (usize, u64) {
        let at = index % Self::LEN;
        ((at / 64) as usize, 1 << (at % 64))
    }

    fn set(&mut self, index: u64, seen: bool) {
        let (word, bit) = Self::place(index);
        if seen {
            self.seen[word] |= bit;
        } else {
            self.seen[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_each_index_once_within_the_window() {
        let mut window = Window::<2>::starting_at(1000);
        assert!(!window.is_fresh(1000));
        assert!(window.is_fresh(873));
        assert!(!window.is_fresh(872));
        window.accept(873);
        assert!(!window.is_fresh(873));
        window.accept(1001);
        assert!(!window.is_fresh(1001));
        assert!(!window.is_fresh(1000));
        assert!(window.is_fresh(999));
        window.accept(50_000);
        assert!(window.is_fresh(49_999));
        assert!(!window.is_fresh(50_000));
        assert!(!window.is_fresh(1001));
        assert_eq!(window.highest(), 50_000);
    }
}
