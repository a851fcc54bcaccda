//! H.264, RFC 6184.

const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// An IDR slice or sequence parameter set: alone (section 5.6), aggregated (5.7.1) or the start of a fragment (5.8).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    let Some((first, rest)) = payload.split_first() else {
        return false;
    };
    match first & 0x1f {
        STAP_A => super::aggregated(rest).any(|unit| unit.first().is_some_and(|b| is_key(*b))),
        FU_A => rest
            .first()
            .is_some_and(|header| header & 0x80 != 0 && is_key(*header)),
        _ => is_key(*first),
    }
}

fn is_key(header: u8) -> bool {
    matches!(header & 0x1f, IDR_SLICE | SEQUENCE_PARAMETERS)
}
