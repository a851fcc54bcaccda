//! AV1, RTP Payload Format For AV1 section 4.4.

/// The N bit of the aggregation header: the first packet of a coded video sequence.
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    payload.len() > 1 && payload.first().is_some_and(|header| header & 0x08 != 0)
}
