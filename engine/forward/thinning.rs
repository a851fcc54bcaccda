//! Which frames of an encoding with layers a subscription gets.

use super::numbering::{Entry, Fate, Numbering};
use crate::codec::layer::{Layer, Placement};

/// One subscription's part of an encoding with layers.
#[derive(Default)]
pub struct Thinning {
    /// What it gets; none before the first frame.
    current: Option<Layer>,
    /// Timestamp and spatial layer of the frame that was decided on last, and whether it is given.
    frame: Option<(u32, u8)>,
    is_given: bool,
    denied: Denied,
    /// Absent while nothing was changed.
    numbering: Option<Numbering>,
    wants_key_frame: bool,
}

/// How a packet leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passage {
    /// As `Numbering::find` counts.
    pub place: u64,
    /// Pictures left out before it.
    pub pictures: u16,
    /// It is the last one of a picture for this subscriber.
    pub ends_picture: bool,
    /// It goes out with nothing in it: the subscriber waits for its number.
    pub is_empty: bool,
}

impl Passage {
    /// Of a packet that leaves as it came.
    pub fn plain(extended: u64) -> Passage {
        Passage {
            place: extended,
            pictures: 0,
            ends_picture: false,
            is_empty: false,
        }
    }

    fn at(extended: u64, entry: &Entry) -> Option<Passage> {
        Some(Passage {
            place: entry.place(extended)?,
            pictures: entry.pictures,
            ends_picture: entry.ends_picture,
            is_empty: entry.fate == Fate::Empty,
        })
    }
}

impl Thinning {
    /// What the subscription gets.
    pub fn current(&self) -> Option<Layer> {
        self.current
    }

    /// True once when only a key frame brings the layer that is wanted.
    pub fn take_key_frame_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_key_frame)
    }

    /// Takes a packet that is newer than `newest`, or fills a hole; none: it is left out.
    pub fn pass(
        &mut self,
        extended: u64,
        newest: u64,
        timestamp: u32,
        placement: Option<&Placement>,
        wanted: Option<Layer>,
    ) -> Option<Passage> {
        if extended <= newest {
            return self.pass_late(extended, placement);
        }
        let before = self.current;
        let Some(placement) = placement else {
            return self.note(extended, true, false, before);
        };
        let frame = (timestamp, placement.layer.spatial);
        let begins_frame = self.frame != Some(frame);
        if begins_frame {
            let begins_picture = self.frame.is_none_or(|(last, _)| last != timestamp);
            self.frame = Some(frame);
            self.turn(placement, wanted, begins_picture);
            self.decide(placement);
        }
        let size = self.current.map(|layer| layer.spatial);
        let ends_picture = placement.ends_frame && size == Some(placement.layer.spatial);
        let passage = self.note(extended, self.is_given, ends_picture, before);
        if let Some(numbering) = &mut self.numbering
            && placement.counts_pictures
            && begins_frame
            && !self.is_given
        {
            numbering.leave_out_picture();
        }
        passage
    }

    /// Takes a packet that only protects others: it has no place among the layers. None: it is left out.
    pub fn pass_protection(
        &mut self,
        extended: u64,
        newest: u64,
        is_given: bool,
    ) -> Option<Passage> {
        if extended > newest {
            return self.note(extended, is_given, false, self.current);
        }
        let filler = Passage {
            is_empty: !is_given,
            ..Passage::plain(extended)
        };
        let Some(numbering) = &mut self.numbering else {
            return Some(filler);
        };
        if numbering.is_before(extended) {
            return Some(filler);
        }
        let entry = numbering.late(extended)?;
        if entry.fate != Fate::Missing {
            return None;
        }
        entry.fate = if is_given { Fate::Given } else { Fate::Empty };
        Passage::at(extended, entry)
    }

    /// How a packet left, where it was given.
    pub fn given(&mut self, extended: u64) -> Option<Passage> {
        let Some(numbering) = &mut self.numbering else {
            return Some(Passage::plain(extended));
        };
        if numbering.is_before(extended) {
            return Some(Passage::plain(extended));
        }
        let entry = numbering.late(extended)?;
        (entry.fate == Fate::Given)
            .then(|| Passage::at(extended, entry))
            .flatten()
    }

    /// Turns to what is wanted, or as near as this frame lets.
    fn turn(&mut self, placement: &Placement, wanted: Option<Layer>, begins_picture: bool) {
        let Some(wanted) = placement.offered.nearest(wanted) else {
            return;
        };
        let Some(current) = self.current else {
            self.current = Some(wanted);
            return;
        };
        if current == wanted {
            return;
        }
        // Nothing depends on pictures of a higher rate: it can fall with any picture.
        let rate = Layer {
            spatial: current.spatial,
            temporal: wanted.temporal,
        };
        if self.can_turn(placement, current, wanted) {
            self.current = Some(wanted);
        } else if begins_picture && rate.temporal < current.temporal
            || self.can_turn(placement, current, rate)
        {
            self.current = Some(rate);
        }
        let has = self.current.map(|layer| layer.spatial);
        let could = placement.layer.temporal == 0 && placement.layer.spatial == 0;
        self.wants_key_frame |= could && has != Some(wanted.spatial);
    }

    fn can_turn(&self, placement: &Placement, from: Layer, to: Layer) -> bool {
        placement.permits(from, to) && !self.denied.any_of(placement)
    }

    fn decide(&mut self, placement: &Placement) {
        if placement.references == 0 && placement.switch == placement.offered {
            self.denied = Denied::default();
        }
        let is_needed = self
            .current
            .is_none_or(|current| placement.needed.contains(current));
        self.is_given = is_needed && !self.denied.any_of(placement);
        if !self.is_given {
            self.denied.insert(placement.frame_number);
        }
    }

    fn note(
        &mut self,
        extended: u64,
        is_given: bool,
        ends_picture: bool,
        before: Option<Layer>,
    ) -> Option<Passage> {
        let target = before.map_or(0, |layer| layer.index() as u8);
        if self.numbering.is_none() && (!is_given || ends_picture) {
            self.numbering = Some(Numbering::new(extended));
        }
        let Some(numbering) = &mut self.numbering else {
            return Some(Passage::plain(extended));
        };
        let fate = if is_given { Fate::Given } else { Fate::LeftOut };
        let entry = numbering.advance(extended, fate, ends_picture, target);
        is_given.then(|| Passage::at(extended, &entry)).flatten()
    }

    /// A packet for which a number was kept: what was got at that time decides.
    fn pass_late(&mut self, extended: u64, placement: Option<&Placement>) -> Option<Passage> {
        let Some(numbering) = &mut self.numbering else {
            return Some(Passage::plain(extended));
        };
        if numbering.is_before(extended) {
            return Some(Passage::plain(extended));
        }
        let entry = numbering.late(extended)?;
        if entry.fate != Fate::Missing {
            return None;
        }
        let is_wanted = placement.is_none_or(|placement| {
            let had = Layer::at(usize::from(entry.target));
            placement.needed.contains(had) && !self.denied.contains(placement.frame_number)
        });
        entry.fate = if is_wanted { Fate::Given } else { Fate::Empty };
        entry.ends_picture = placement.is_some_and(|placement| {
            let had = Layer::at(usize::from(entry.target));
            placement.ends_frame && placement.layer.spatial == had.spatial
        });
        Passage::at(extended, entry)
    }

    /// The packet of the source at a place; none where it was not given.
    pub fn find(&self, place: u64) -> Option<(u64, u16, bool)> {
        let Some(numbering) = &self.numbering else {
            return Some((place, 0, false));
        };
        let (extended, entry) = numbering.find(place)?;
        Some((extended, entry.pictures, entry.ends_picture))
    }
}

/// Frames that were not given, among the last ones by the numbers of their descriptors: nothing that is predicted from
/// one of them is of use.
#[derive(Default)]
struct Denied {
    newest: u16,
    /// Bit n: the frame n before the newest.
    frames: u128,
}

impl Denied {
    fn insert(&mut self, number: Option<u16>) {
        let Some(number) = number else {
            return;
        };
        let ahead = number.wrapping_sub(self.newest).cast_signed();
        if self.frames == 0 {
            (self.newest, self.frames) = (number, 1);
        } else if ahead > 0 {
            let shift = u32::from(ahead.unsigned_abs());
            self.frames = self.frames.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = number;
        } else {
            // One that is too far back is another sequence's: it is forgotten with its key frame.
            let bit = 1_u128.checked_shl(u32::from(ahead.unsigned_abs()));
            self.frames |= bit.unwrap_or(0);
        }
    }

    fn contains(&self, number: Option<u16>) -> bool {
        number.is_some_and(|number| self.since(number) & 1 != 0)
    }

    /// Whether the frame is predicted from one of them.
    fn any_of(&self, placement: &Placement) -> bool {
        let Some(number) = placement.frame_number else {
            return false;
        };
        self.since(number.wrapping_sub(1)) & u128::from(placement.references) != 0
    }

    /// Bit n: the frame n before this one was denied.
    fn since(&self, number: u16) -> u128 {
        if self.frames == 0 {
            return 0;
        }
        let behind = self.newest.wrapping_sub(number).cast_signed();
        let distance = u32::from(behind.unsigned_abs());
        if behind >= 0 {
            self.frames.checked_shr(distance).unwrap_or(0)
        } else {
            self.frames.checked_shl(distance).unwrap_or(0)
        }
    }
}
