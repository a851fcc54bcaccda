//! VP8, RFC 7741.

use super::picture_numbers::{Places, after_picture_id};

/// Start of the first partition (section 4.2) of a frame whose header has the inverse key frame bit clear (section 4.3).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    frame_header(payload).is_some_and(|first| first & 0x01 == 0)
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
