//! Layers of a scalable encoding: which frames a picture of some size and frame rate consists of, and where a
//! receiver can turn from one to another.

/// Temporal layers that are told apart, and spatial ones; an encoding with more of them is forwarded whole.
const MAX_TEMPORAL: u8 = 4;
/// The latter.
pub const MAX_SPATIAL: u8 = 4;
/// Of `Targets`.
pub const MAX_TARGETS: usize = (MAX_SPATIAL * MAX_TEMPORAL) as usize;

/// A frame's place, and what a subscriber gets: all that this layer's picture depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Layer {
    /// Size: 0 is the smallest.
    pub spatial: u8,
    /// Frame rate: 0 is the lowest.
    pub temporal: u8,
}

impl Layer {
    /// None where there are more layers than are told apart.
    pub fn new(spatial: u8, temporal: u8) -> Option<Layer> {
        (spatial < MAX_SPATIAL && temporal < MAX_TEMPORAL).then_some(Layer { spatial, temporal })
    }

    /// Its place in a list of all targets.
    pub fn index(self) -> usize {
        usize::from(self.spatial * MAX_TEMPORAL + self.temporal)
    }

    /// The one at that place.
    pub fn at(index: usize) -> Layer {
        Layer {
            spatial: index as u8 / MAX_TEMPORAL,
            temporal: index as u8 % MAX_TEMPORAL,
        }
    }
}

/// A set of layers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Targets(u16);

impl Targets {
    /// All that are told apart.
    pub fn all() -> Targets {
        Targets(u16::MAX)
    }

    /// Those for which `is_in` is true.
    pub fn of(is_in: impl Fn(Layer) -> bool) -> Targets {
        let bits = (0..MAX_TARGETS).filter(|&index| is_in(Layer::at(index)));
        Targets(bits.fold(0, |set, index| set | 1 << index))
    }

    /// Whether the layer is in it.
    #[inline]
    pub fn contains(self, layer: Layer) -> bool {
        self.0 & 1 << layer.index() != 0
    }

    /// Adds a layer.
    pub fn insert(&mut self, layer: Layer) {
        self.0 |= 1 << layer.index();
    }

    /// What is in both.
    pub fn and(self, other: Targets) -> Targets {
        Targets(self.0 & other.0)
    }

    /// Its layers, by size and then by frame rate.
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = (rest != 0).then_some(rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(Layer::at(index as usize))
        })
    }

    /// The best one that exceeds `wanted` in nothing, else the least there is; without a wish the best.
    pub fn nearest(self, wanted: Option<Layer>) -> Option<Layer> {
        let Some(wanted) = wanted else {
            return self.iter().last();
        };
        if self.contains(wanted) {
            return Some(wanted);
        }
        let fits =
            |layer: &Layer| layer.spatial <= wanted.spatial && layer.temporal <= wanted.temporal;
        self.iter().filter(fits).last().or(self.iter().next())
    }
}

/// What a packet's frame is to those who get some of the layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Where the frame stands.
    pub layer: Layer,
    /// What can be had of the encoding at all.
    pub offered: Targets,
    /// Whose picture depends on the frame.
    pub needed: Targets,
    /// To what anybody can turn here who can decode this frame.
    pub switch: Targets,
    /// Who needs this frame can turn to any frame rate here (VP9's switching-up point).
    pub rate_switch: bool,
    /// Who needs this frame has the smaller pictures below it, too, and can turn to them.
    pub size_falls: bool,
    /// Bit n: the frame is predicted from the one n + 1 before it, by the numbers of the dependency descriptor.
    pub references: u64,
    /// In those numbers.
    pub frame_number: Option<u16>,
    /// The frame's last packet.
    pub ends_frame: bool,
    /// Picture IDs must have no holes (VP8: a hole would be waited for).
    pub counts_pictures: bool,
}

impl Placement {
    /// Whether one who has what `from` consists of can go on with what `to` consists of, beginning with this frame.
    pub fn permits(&self, from: Layer, to: Layer) -> bool {
        if self.switch.contains(to) {
            return true;
        }
        self.needed.contains(from)
            && (to.temporal <= from.temporal || self.rate_switch)
            && (to.spatial == from.spatial || to.spatial < from.spatial && self.size_falls)
            && (self.rate_switch || self.size_falls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer::new(spatial, temporal).unwrap()
    }

    #[test]
    fn the_nearest_target_exceeds_the_wish_in_nothing_where_that_can_be() {
        let targets = Targets::of(|layer| layer.spatial < 2 && layer.temporal < 3);
        assert_eq!(targets.nearest(None), Some(layer(1, 2)));
        assert_eq!(targets.nearest(Some(layer(3, 1))), Some(layer(1, 1)));
        assert_eq!(targets.nearest(Some(layer(0, 3))), Some(layer(0, 2)));
        let small = Targets::of(|at| at == layer(1, 1));
        assert_eq!(small.nearest(Some(layer(0, 0))), Some(layer(1, 1)));
        assert_eq!(Targets::default().nearest(None), None);
    }

    #[test]
    fn more_layers_than_are_told_apart_are_none() {
        assert_eq!((Layer::new(4, 0), Layer::new(0, 4)), (None, None));
        assert!(
            Targets::of(|_| true)
                .iter()
                .all(|at| Layer::at(at.index()) == at)
        );
        assert_eq!(Targets::of(|_| true).iter().count(), MAX_TARGETS);
    }
}
