//! What the layers of an encoding carry: what each picture that can be had of it costs, and which sizes have stopped.

use std::time::{Duration, Instant};

use super::bitrate::Bitrate;
use crate::codec::layer::{Layer, MAX_SPATIAL, MAX_TARGETS, Placement, Targets};

/// A size of which nothing comes for so long, and for so many frames of other sizes, has been stopped by the peer.
const STOPPED_AFTER: Duration = Duration::from_secs(2);
const STOPPED_FRAMES: u8 = 8;

/// The rates of one encoding's targets.
pub struct LayerRates {
    offered: Targets,
    rates: [Bitrate; MAX_TARGETS],
    sizes: [Size; MAX_SPATIAL as usize],
    /// Targets of sizes that have not stopped.
    live: Targets,
}

#[derive(Clone, Copy)]
struct Size {
    last_packet: Instant,
    /// Frames of other sizes since.
    others: u8,
}

/// A picture that can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// What it consists of.
    pub layer: Layer,
    /// What that carries.
    pub bits_per_second: u64,
    /// Its frame rate is the lowest of several.
    pub is_slowest: bool,
}

impl LayerRates {
    /// Nothing was measured yet.
    pub fn new(now: Instant) -> LayerRates {
        LayerRates {
            offered: Targets::default(),
            rates: std::array::from_fn(|_| Bitrate::new(now)),
            sizes: [Size {
                last_packet: now,
                others: 0,
            }; MAX_SPATIAL as usize],
            live: Targets::all(),
        }
    }

    /// Counts a packet for all that consist of it, too. What of its encoding has stopped can be had no more: it is taken
    /// out of the placement.
    #[inline]
    pub fn add(&mut self, placement: &mut Placement, bytes: usize, now: Instant) {
        let size = &mut self.sizes[usize::from(placement.layer.spatial)];
        let is_back = !self.live.contains(placement.layer);
        *size = Size {
            last_packet: now,
            others: 0,
        };
        if placement.ends_frame || is_back {
            self.look_at_sizes(placement.layer, now);
        }
        placement.offered = placement.offered.and(self.live);
        placement.switch = placement.switch.and(self.live);
        self.offered = placement.offered;
        for layer in placement.needed.iter() {
            self.rates[layer.index()].add(bytes);
        }
    }

    fn look_at_sizes(&mut self, came: Layer, now: Instant) {
        let others = (0..).zip(&mut self.sizes);
        for (_, size) in others.filter(|&(spatial, _)| spatial != came.spatial) {
            size.others = size.others.saturating_add(1);
        }
        let sizes = &self.sizes;
        self.live = Targets::of(|layer| {
            let size = &sizes[usize::from(layer.spatial)];
            let silence = now.saturating_duration_since(size.last_packet);
            size.others < STOPPED_FRAMES || silence < STOPPED_AFTER
        });
    }

    /// Ends the window, where it was long enough.
    pub fn measure(&mut self, now: Instant) {
        for rate in &mut self.rates {
            rate.measure(now);
        }
    }

    /// What can be had, the cheapest first; what costs nothing more than a lower rate of the same size is none.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for layer in self.offered.iter() {
            let bits_per_second = self.rates[layer.index()].bits_per_second();
            let below = steps
                .last_mut()
                .filter(|step| step.layer.spatial == layer.spatial);
            let is_more = below
                .as_ref()
                .is_none_or(|step| bits_per_second > step.bits_per_second);
            if bits_per_second == 0 || !is_more {
                continue;
            }
            if let Some(below) = below {
                below.is_slowest = below.layer.temporal == 0;
            }
            steps.push(Step {
                layer,
                bits_per_second,
                is_slowest: false,
            });
        }
        steps.sort_by_key(|step| step.bits_per_second);
        // A larger size at the same price takes the smaller one's place.
        steps.dedup_by(|later, kept| {
            let is_same = later.bits_per_second == kept.bits_per_second;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_costs_what_it_consists_of() {
        let start = Instant::now();
        let mut rates = LayerRates::new(start);
        // As many layers are possible as are told apart, two frame rates of one size are there.
        for temporal in [0, 1, 0, 1] {
            let mut placement = Placement {
                layer: Layer::new(0, temporal).unwrap(),
                offered: Targets::of(|layer| layer.spatial == 0),
                needed: Targets::of(|layer| layer.spatial == 0 && layer.temporal >= temporal),
                switch: Targets::default(),
                rate_switch: false,
                size_falls: false,
                references: 0,
                frame_number: None,
                ends_frame: true,
                counts_pictures: true,
            };
            rates.add(&mut placement, 12_500, start);
        }
        rates.measure(start + Duration::from_secs(1));
        let step = |temporal, bits_per_second, is_slowest| Step {
            layer: Layer::new(0, temporal).unwrap(),
            bits_per_second,
            is_slowest,
        };
        assert_eq!(
            rates.steps(),
            [step(0, 200_000, true), step(1, 400_000, false)]
        );
    }
}
