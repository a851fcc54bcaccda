//! Redundant audio, RFC 2198.

/// Replaces in place the payload types of all block headers (section 3) for which `map` gives another.
pub fn rewrite_block_payload_types(payload: &mut [u8], map: impl Fn(u8) -> Option<u8>) {
    let mut at = 0;
    while let Some(header) = payload.get_mut(at) {
        let follows = *header & 0x80;
        if let Some(payload_type) = map(*header & 0x7f) {
            *header = follows | (payload_type & 0x7f);
        }
        if follows == 0 {
            return;
        }
        at += 4;
    }
}
