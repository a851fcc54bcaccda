//! VP9, RFC 9628 section 4.2.

/// Begin (B) of a frame that is not inter-picture predicted (P), on the lowest spatial layer when layers are told (L).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    spatial_layer_of_intra_start(payload) == Some(0)
}

fn spatial_layer_of_intra_start(payload: &[u8]) -> Option<u8> {
    let descriptor = *payload.first()?;
    let has_picture_id = descriptor & 0x80 != 0;
    let is_predicted = descriptor & 0x40 != 0;
    let has_layers = descriptor & 0x20 != 0;
    let begins_frame = descriptor & 0x08 != 0;
    if is_predicted || !begins_frame {
        return None;
    }
    let mut at = 1;
    if has_picture_id {
        at += if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    if !has_layers {
        return Some(0);
    }
    Some((*payload.get(at)? >> 1) & 0x07)
}
