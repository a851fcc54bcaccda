//! VP9, RFC 9628 section 4.2.

use super::layer::{Layer, Placement, Targets};
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

/// The layers of a packet that tells them. `sizes` is how many spatial ones there are: a scalability structure brings
/// it, which key pictures have.
pub(super) fn placement(payload: &[u8], sizes: &mut Option<u8>) -> Option<Placement> {
    let descriptor = *payload.first()?;
    let has = |bit: u8| descriptor & bit != 0;
    let (has_layers, is_flexible, is_predicted) = (has(0x20), has(0x10), has(0x40));
    if !has_layers {
        return None;
    }
    let (_, at) = picture_id_field(payload)?;
    let indices = *payload.get(at)?;
    let layer = Layer::new(indices >> 1 & 0x07, indices >> 5)?;
    if has(0x02) {
        *sizes = read_sizes(payload, at + 1, is_flexible, is_predicted);
    }
    let count = (*sizes)?;
    // Z: no picture of the same time is predicted from it.
    let is_for_above = !has(0x01);
    let offered = Targets::of(|target| target.spatial < count);
    let needed = Targets::of(|target| {
        target.temporal >= layer.temporal
            && (target.spatial == layer.spatial || is_for_above && target.spatial > layer.spatial)
    });
    let begins_anew = !is_predicted && layer.spatial == 0;
    Some(Placement {
        layer,
        offered,
        needed: needed.and(offered),
        switch: if begins_anew {
            offered
        } else {
            Targets::default()
        },
        rate_switch: indices & 0x10 != 0,
        size_falls: layer.spatial == 0,
        references: 0,
        frame_number: None,
        ends_frame: has(0x04),
        counts_pictures: false,
    })
}

/// N_S of the scalability structure, behind TL0PICIDX or up to three reference indices (P_DIFF with N).
fn read_sizes(payload: &[u8], mut at: usize, is_flexible: bool, is_predicted: bool) -> Option<u8> {
    if !is_flexible {
        at += 1;
    } else if is_predicted {
        for _ in 0..3 {
            at += 1;
            if *payload.get(at - 1)? & 0x01 == 0 {
                break;
            }
        }
    }
    Some((*payload.get(at)? >> 5) + 1)
}

/// Where the picture ID is, if there is one (I), and what comes after it.
fn picture_id_field(payload: &[u8]) -> Option<(Option<usize>, usize)> {
    if *payload.first()? & 0x80 == 0 {
        return Some((None, 1));
    }
    Some((Some(1), after_picture_id(payload, 1)?))
}
