//! VP9, RFC 9628 section 4.2.

use super::picture_numbers::{Places, after_picture_id};

/// Begin (B) of a frame that is not inter-picture predicted (P), on the lowest spatial layer when layers are told (L).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    spatial_layer_of_intra_start(payload) == Some(0)
}

fn spatial_layer_of_intra_start(payload: &[u8]) -> Option<u8> {
    let descriptor = *payload.first()?;
    let is_predicted = descriptor & 0x40 != 0;
    let has_layers = descriptor & 0x20 != 0;
    let begins_frame = descriptor & 0x08 != 0;
    if is_predicted || !begins_frame {
        return None;
    }
    let (_, at) = picture_id_field(payload)?;
    if !has_layers {
        return Some(0);
    }
    Some((*payload.get(at)? >> 1) & 0x07)
}

/// TL0PICIDX stands behind the layer indices (L), where dependencies are not told by reference (F).
pub(super) fn number_places(payload: &[u8]) -> Places {
    let Some((picture_id, at)) = picture_id_field(payload) else {
        return Places::default();
    };
    let has_index = payload[0] & 0x20 != 0 && payload[0] & 0x10 == 0;
    Places {
        picture_id,
        base_layer_index: has_index.then_some(at + 1),
    }
}

/// Where the picture ID is, if there is one (I), and what comes after it.
fn picture_id_field(payload: &[u8]) -> Option<(Option<usize>, usize)> {
    if *payload.first()? & 0x80 == 0 {
        return Some((None, 1));
    }
    Some((Some(1), after_picture_id(payload, 1)?))
}
