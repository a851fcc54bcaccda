//! The numbers that VP8 and VP9 count pictures by inside the payload: they must go on where a subscriber's
//! stream changes its source, as sequence numbers do.

use super::{Codec, vp8, vp9};

/// What a packet says of its picture; absent where its descriptor lacks the field.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PictureNumbers {
    /// PictureID: 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// TL0PICIDX.
    pub base_layer_index: Option<u8>,
    /// The frame number of a dependency descriptor.
    pub frame_number: Option<u16>,
}

/// What is added to a source's numbers; zero until the first change of source.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PictureOffsets {
    /// To PictureID, modulo its width.
    pub picture_id: u16,
    /// To TL0PICIDX.
    pub base_layer_index: u8,
    /// To the frame number of a dependency descriptor.
    pub frame_number: u16,
}

impl PictureOffsets {
    /// The offsets after so many pictures that were left out.
    #[inline]
    pub fn without(self, pictures: u16) -> PictureOffsets {
        PictureOffsets {
            picture_id: self.picture_id.wrapping_sub(pictures),
            ..self
        }
    }
}

impl PictureNumbers {
    /// The numbers after the offsets were added, modulo the widest field.
    pub fn shifted(self, offsets: PictureOffsets) -> PictureNumbers {
        let id = |id: u16| id.wrapping_add(offsets.picture_id) & 0x7fff;
        let index = |index: u8| index.wrapping_add(offsets.base_layer_index);
        PictureNumbers {
            picture_id: self.picture_id.map(id),
            base_layer_index: self.base_layer_index.map(index),
            frame_number: self
                .frame_number
                .map(|number| number.wrapping_add(offsets.frame_number)),
        }
    }

    /// What makes these numbers follow `last`; nothing where either lacks the field.
    pub fn offsets_after(self, last: PictureNumbers) -> PictureOffsets {
        let id = |(last, first): (u16, u16)| last.wrapping_add(1).wrapping_sub(first);
        let index = |(last, first): (u8, u8)| last.wrapping_add(1).wrapping_sub(first);
        PictureOffsets {
            picture_id: last.picture_id.zip(self.picture_id).map_or(0, id),
            base_layer_index: last
                .base_layer_index
                .zip(self.base_layer_index)
                .map_or(0, index),
            frame_number: last.frame_number.zip(self.frame_number).map_or(0, id),
        }
    }
}

/// Where a payload descriptor has the numbers.
#[derive(Clone, Copy, Default)]
pub(super) struct Places {
    pub picture_id: Option<usize>,
    pub base_layer_index: Option<usize>,
}

fn places(codec: Codec, payload: &[u8]) -> Places {
    match codec {
        Codec::Vp8 => vp8::number_places(payload),
        Codec::Vp9 => vp9::number_places(payload),
        _ => Places::default(),
    }
}

/// Reads a packet's numbers.
#[inline]
pub fn picture_numbers(codec: Codec, payload: &[u8]) -> PictureNumbers {
    let places = places(codec, payload);
    PictureNumbers {
        picture_id: places.picture_id.and_then(|at| read(payload, at)),
        base_layer_index: places
            .base_layer_index
            .and_then(|at| payload.get(at).copied()),
        frame_number: None,
    }
}

/// Adds the offsets to a packet's numbers, in place; fields keep their widths.
pub fn renumber(codec: Codec, payload: &mut [u8], offsets: PictureOffsets) {
    let places = places(codec, payload);
    if let Some(at) = places.picture_id
        && let Some(id) = read(payload, at)
    {
        let id = id.wrapping_add(offsets.picture_id);
        if payload[at] & 0x80 == 0 {
            payload[at] = id as u8 & 0x7f;
        } else {
            payload[at..at + 2].copy_from_slice(&(id | 0x8000).to_be_bytes());
        }
    }
    if let Some(index) = places.base_layer_index.and_then(|at| payload.get_mut(at)) {
        *index = index.wrapping_add(offsets.base_layer_index);
    }
}

/// 15 bits by the first one, else 7 (RFC 7741 section 4.2, RFC 9628 section 4.2).
fn read(payload: &[u8], at: usize) -> Option<u16> {
    let first = *payload.get(at)?;
    if first & 0x80 == 0 {
        return Some(u16::from(first));
    }
    let second = *payload.get(at + 1)?;
    Some(u16::from_be_bytes([first & 0x7f, second]))
}

/// The place after a picture ID that begins at `at`.
pub(super) fn after_picture_id(payload: &[u8], at: usize) -> Option<usize> {
    Some(at + if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 })
}
