//! VP8, RFC 7741.

/// Start of the first partition (section 4.2) of a frame whose header has the inverse key frame bit clear (section 4.3).
pub(super) fn starts_key_frame(payload: &[u8]) -> bool {
    frame_header(payload).is_some_and(|first| first & 0x01 == 0)
}

/// First byte of the frame header when the packet starts partition 0.
fn frame_header(payload: &[u8]) -> Option<u8> {
    let descriptor = *payload.first()?;
    let (extended, starts_partition) = (descriptor & 0x80 != 0, descriptor & 0x10 != 0);
    if !starts_partition || descriptor & 0x07 != 0 {
        return None;
    }
    let mut at = 1;
    if extended {
        let flags = *payload.get(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            // A picture identifier has 7 bits, or 15 by its first.
            at += if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        if flags & 0x40 != 0 {
            at += 1;
        }
        if flags & 0x30 != 0 {
            at += 1;
        }
    }
    payload.get(at).copied()
}
