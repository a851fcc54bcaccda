//! Sequence numbers of a stream from which packets are left out: the subscriber sees no holes, and what it asks for
//! is found again.

/// Packets that can be asked for: as many as a cache keeps of a video.
const REMEMBERED: u64 = 1024;

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fate {
    /// It has not come: a number is kept for it.
    #[default]
    Missing,
    /// It was sent.
    Given,
    /// It has no number.
    LeftOut,
    /// It came late and was not wanted: its number went out with nothing in it.
    Empty,
}

/// One packet of the source.
#[derive(Clone, Copy, Default, Debug)]
pub struct Entry {
    /// What became of it.
    pub fate: Fate,
    /// It ends a picture for the subscriber, though not for the publisher.
    pub ends_picture: bool,
    /// What the subscriber got when the packet's turn was: an index of targets.
    pub target: u8,
    /// Pictures left out before it.
    pub pictures: u16,
    /// Packets left out before it.
    left_out: u32,
}

/// The packets of a source since the first one that differs from its original.
pub struct Numbering {
    ring: Box<[Entry]>,
    first: u64,
    newest: u64,
    left_out: u32,
    pictures: u16,
}

impl Numbering {
    /// All packets before `first` were given.
    pub fn new(first: u64) -> Numbering {
        Numbering {
            ring: vec![Entry::default(); REMEMBERED as usize].into_boxed_slice(),
            first,
            newest: first - 1,
            left_out: 0,
            pictures: 0,
        }
    }

    /// Notes a packet that is newer than all before; numbers are kept for those between.
    /// `target` is what the subscriber got before it.
    pub fn advance(&mut self, extended: u64, fate: Fate, ends_picture: bool, target: u8) -> Entry {
        let oldest = extended.saturating_sub(REMEMBERED - 1);
        for missing in (self.newest + 1).max(oldest)..extended {
            *self.slot(missing) = self.entry(Fate::Missing, false, target);
        }
        let entry = self.entry(fate, ends_picture, target);
        *self.slot(extended) = entry;
        self.newest = extended;
        if fate == Fate::LeftOut {
            self.left_out += 1;
        }
        entry
    }

    /// Pictures that are left out are passed over in their numbers, too.
    pub fn leave_out_picture(&mut self) {
        self.pictures = self.pictures.wrapping_add(1);
    }

    fn entry(&self, fate: Fate, ends_picture: bool, target: u8) -> Entry {
        Entry {
            fate,
            ends_picture,
            target,
            pictures: self.pictures,
            left_out: self.left_out,
        }
    }

    fn slot(&mut self, extended: u64) -> &mut Entry {
        &mut self.ring[(extended % REMEMBERED) as usize]
    }

    /// Whether the packet came before all that was changed.
    pub fn is_before(&self, extended: u64) -> bool {
        extended < self.first
    }

    /// What is known of a packet of the source that is not the newest.
    pub fn late(&mut self, extended: u64) -> Option<&mut Entry> {
        self.is_remembered(extended).then(|| self.slot(extended))
    }

    fn is_remembered(&self, extended: u64) -> bool {
        extended >= self.first && extended <= self.newest && extended + REMEMBERED > self.newest
    }

    /// The packet at a place, counted by the source's numbers as if nothing had been left out; none where it was not
    /// given or is forgotten.
    pub fn find(&self, place: u64) -> Option<(u64, Entry)> {
        if place < self.first {
            return Some((place, Entry::default()));
        }
        let entry = |extended: u64| self.ring[(extended % REMEMBERED) as usize];
        let place_of = |extended: u64| extended - u64::from(entry(extended).left_out);
        // Places never fall: the last packet at this one has the number, those before it at the same were left out.
        let (mut low, mut high) = (
            self.first.max((self.newest + 1).saturating_sub(REMEMBERED)),
            self.newest + 1,
        );
        while low < high {
            let middle = low + (high - low) / 2;
            if place_of(middle) <= place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let extended = low - 1;
        let found = self.is_remembered(extended) && place_of(extended) == place;
        let entry = Some(entry(extended)).filter(|entry| found && entry.fate == Fate::Given)?;
        Some((extended, entry))
    }
}

impl Entry {
    /// The packet's place, counted as `Numbering::find` does.
    pub fn place(&self, extended: u64) -> Option<u64> {
        extended.checked_sub(u64::from(self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_out_has_no_number_and_what_is_missing_keeps_one() {
        let mut numbering = Numbering::new(100);
        let mut place = |extended, fate| {
            let entry = numbering.advance(extended, fate, false, 0);
            entry.place(extended).unwrap()
        };
        assert_eq!(place(100, Fate::Given), 100);
        assert_eq!(place(101, Fate::LeftOut), 101);
        assert_eq!(place(102, Fate::Given), 101);
        assert_eq!(place(104, Fate::Given), 103);
        assert_eq!(numbering.find(101).map(|(extended, _)| extended), Some(102));
        assert_eq!(numbering.find(102).map(|(extended, _)| extended), None);
        assert_eq!(numbering.late(103).unwrap().place(103), Some(102));
        numbering.late(103).unwrap().fate = Fate::Given;
        assert_eq!(numbering.find(102).map(|(extended, _)| extended), Some(103));
        assert_eq!(numbering.find(99).map(|(extended, _)| extended), Some(99));
        assert!(numbering.find(104).is_none());
    }

    proptest! {
        #[test]
        fn given_packets_are_found_again_and_have_distinct_places(
            steps in prop::collection::vec((1_u64..4, any::<bool>()), 1..3000)) {
            let mut numbering = Numbering::new(70_000);
            let mut extended = 69_999;
            let mut given = Vec::new();
            for (step, is_given) in steps {
                extended += step;
                let fate = if is_given { Fate::Given } else { Fate::LeftOut };
                let entry = numbering.advance(extended, fate, false, 0);
                if is_given {
                    given.push((extended, entry.place(extended).unwrap()));
                }
            }
            for pair in given.windows(2) {
                prop_assert!(pair[0].1 < pair[1].1);
            }
            for (at, place) in given {
                let expected = (at + REMEMBERED > extended).then_some(at);
                prop_assert_eq!(numbering.find(place).map(|(found, _)| found), expected);
            }
        }

        #[test]
        fn jumps_do_no_harm(jumps in prop::collection::vec(0_u64..200_000, 1..50), asked: u64) {
            let mut numbering = Numbering::new(70_000);
            let mut extended = 69_999;
            for jump in jumps {
                extended += 1 + jump;
                numbering.advance(extended, Fate::LeftOut, false, 0);
                numbering.find(asked);
                numbering.late(asked);
            }
        }
    }
}
