//! H.265, RFC 7798.

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

/// An IRAP picture or parameter set: alone (section 4.4.1), aggregated (4.4.2) or the start of a fragment (4.4.3).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    let [first, _, rest @ ..] = payload else {
        return false;
    };
    match unit_type(*first) {
        AGGREGATION => {
            super::aggregated(rest).any(|unit| unit.first().is_some_and(|b| is_key(unit_type(*b))))
        }
        FRAGMENTATION => rest
            .first()
            .is_some_and(|header| header & 0x80 != 0 && is_key(header & 0x3f)),
        unit_type => is_key(unit_type),
    }
}

fn unit_type(header: u8) -> u8 {
    (header >> 1) & 0x3f
}

/// IDR_W_RADL, IDR_N_LP and CRA_NUT, then VPS_NUT and SPS_NUT.
fn is_key(unit_type: u8) -> bool {
    matches!(unit_type, 19..=21 | 32 | 33)
}
