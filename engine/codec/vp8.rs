//! VP8, RFC 7741.

use super::layer::{Layer, Placement, Targets};
use super::picture_numbers::{Places, after_picture_id};

/// Start of the first partition (section 4.2) of a frame whose header has the inverse key frame bit clear (section 4.3).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    frame_header(payload).is_some_and(|first| first & 0x01 == 0)
}

/// The temporal layer (TID) of a packet that tells one. After a frame with the layer sync bit (Y) no other frame
/// depends on one before it but on those of the lowest layer (section 4.2), so anybody can turn to its layer there.
pub(super) fn placement(payload: &[u8]) -> Option<Placement> {
    // Extension present, and in it a temporal layer.
    if *payload.first()? & 0x80 == 0 || *payload.get(1)? & 0x20 == 0 {
        return None;
    }
    let (_, end) = descriptor_fields(payload)?;
    let field = *payload.get(end - 1)?;
    let layer = Layer::new(0, field >> 6)?;
    let needed = Targets::of(|target| target.spatial == 0 && target.temporal >= layer.temporal);
    let can_turn = field & 0x20 != 0 || starts_key_frame(payload);
    Some(Placement {
        layer,
        offered: Targets::of(|target| target.spatial == 0),
        needed,
        switch: if can_turn { needed } else { Targets::default() },
        rate_switch: false,
        size_falls: false,
        references: 0,
        frame_number: None,
        ends_frame: false,
        counts_pictures: true,
    })
}

/// First byte of the frame header when the packet starts partition 0.
fn frame_header(payload: &[u8]) -> Option<u8> {
    let descriptor = *payload.first()?;
    if descriptor & 0x10 == 0 || descriptor & 0x07 != 0 {
        return None;
    }
    let (_, end) = descriptor_fields(payload)?;
    payload.get(end).copied()
}

pub(super) fn number_places(payload: &[u8]) -> Places {
    descriptor_fields(payload).map_or_else(Places::default, |(places, _)| places)
}

/// The payload descriptor (section 4.2): where its numbers are and where it ends.
fn descriptor_fields(payload: &[u8]) -> Option<(Places, usize)> {
    let mut places = Places::default();
    let mut at = 1;
    if *payload.first()? & 0x80 != 0 {
        let flags = *payload.get(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            places.picture_id = Some(at);
            at = after_picture_id(payload, at)?;
        }
        if flags & 0x40 != 0 {
            places.base_layer_index = Some(at);
            at += 1;
        }
        if flags & 0x30 != 0 {
            at += 1;
        }
    }
    Some((places, at))
}
