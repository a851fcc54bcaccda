//! Where the numbers of an outgoing stream stand against those of an incoming one, and how what was asked for again is
//! found: in the encoding that a subscription gets now, or in the one that it has just left.

use std::time::{Duration, Instant};

use super::subscription::FormatMapping;
use super::thinning::Thinning;
use crate::codec::PictureOffsets;
use crate::core::EncodingKey;

/// Requests for packets of an encoding that was left come within so long; then the new one's key frame has been shown,
/// and nothing from before it is of use.
const LEFT_KEPT: Duration = Duration::from_secs(1);

/// The numbers of one encoding in a subscriber's stream.
#[derive(Clone, Copy)]
pub struct Mapping {
    pub(super) encoding: EncodingKey,
    pub(super) generation: u32,
    pub(super) first_incoming: u64,
    pub(super) first_outgoing: u64,
    pub(super) timestamp_offset: u32,
    pub(super) picture_offsets: PictureOffsets,
}

/// A packet that the peer asked for again.
#[derive(PartialEq, Eq, Debug)]
pub struct Asked {
    /// Where it is kept.
    pub encoding: EncodingKey,
    /// Of that encoding, when it was sent: another one's packets have other numbers.
    pub generation: u32,
    /// Its number in that encoding.
    pub extended: u64,
    /// Its number in the subscriber's stream.
    pub index: u64,
    /// What is added to its timestamp.
    pub timestamp_offset: u32,
    /// What is added to the numbers in the payload.
    pub picture_offsets: PictureOffsets,
    /// The last packet of a picture for this peer.
    pub ends_picture: bool,
    /// The subscription gets another encoding by now.
    pub is_left: bool,
}

impl Mapping {
    /// The outgoing number of a place in the incoming stream.
    pub fn index_of(&self, place: u64) -> Option<u64> {
        (self.first_outgoing + place).checked_sub(self.first_incoming)
    }

    /// The packet that went out under a number.
    pub fn find(&self, thinning: Option<&Thinning>, index: u64) -> Option<Asked> {
        let distance = index.checked_sub(self.first_outgoing)?;
        let place = self.first_incoming + distance;
        let (extended, pictures, ends_picture) = match thinning {
            Some(thinning) => thinning.find(place)?,
            None => (place, 0, false),
        };
        Some(Asked {
            encoding: self.encoding,
            generation: self.generation,
            extended,
            index,
            timestamp_offset: self.timestamp_offset,
            picture_offsets: self.picture_offsets.without(pictures),
            ends_picture,
            is_left: false,
        })
    }
}

/// What it takes to find the packets of an encoding that a subscription has left.
pub struct Left {
    pub(super) mapping: Mapping,
    pub(super) thinning: Option<Box<Thinning>>,
    pub(super) formats: Vec<FormatMapping>,
    /// The first number that is not its own.
    pub(super) end: u64,
    pub(super) at: Instant,
}

impl Left {
    /// Whether requests for its packets may still come.
    pub fn is_kept(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < LEFT_KEPT
    }

    /// The packet that went out under a number.
    pub fn find(&self, index: u64) -> Option<Asked> {
        if index >= self.end {
            return None;
        }
        let asked = self.mapping.find(self.thinning.as_deref(), index)?;
        Some(Asked {
            is_left: true,
            ..asked
        })
    }
}
