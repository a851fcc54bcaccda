//! Redundant data, RFC 2198.

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

/// The primary block (section 3), which comes last: its payload type and what is in it. None where a header ends early
/// or the blocks before it are longer than the payload.
pub fn primary(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (mut at, mut redundant) = (0, 0);
    loop {
        let header = *payload.get(at)?;
        if header & 0x80 == 0 {
            let block = payload.get(at + 1 + redundant..)?;
            return Some((header & 0x7f, block));
        }
        let length = payload.get(at + 2..at + 4)?;
        redundant += usize::from(u16::from_be_bytes([length[0], length[1]]) & 0x03ff);
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_primary_block_is_behind_all_headers_and_all_older_blocks() {
        assert_eq!(primary(&[96, 1, 2, 3]), Some((96, &[1, 2, 3][..])));
        assert_eq!(primary(&[96]), Some((96, &[][..])));
        // An older block of three bytes, 5 ticks ago.
        let two = [0x80 | 97, 0, 5 << 2, 3, 96, 9, 9, 9, 1, 2];
        assert_eq!(primary(&two), Some((96, &[1, 2][..])));
        let long = [0x80 | 97, 0xff, 0xff, 0xff, 96, 1];
        for broken in [&[][..], &[0x80 | 97], &two[..4], &two[..7], &long] {
            assert_eq!(primary(broken), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_block_at_their_end_or_none(payload: Vec<u8>) {
            if let Some((payload_type, block)) = primary(&payload) {
                prop_assert!(payload_type < 128);
                prop_assert!(block.len() < payload.len() && payload.ends_with(block));
            }
        }

        #[test]
        fn the_primary_block_of_any_redundancy_is_found(
            older in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1024), 0..6),
            block: Vec<u8>) {
            let mut payload = Vec::new();
            for (back, data) in older.iter().enumerate() {
                let offset = (back as u16) << 2 | (data.len() >> 8) as u16;
                payload.push(0x80 | 96);
                payload.extend(offset.to_be_bytes());
                payload.push(data.len() as u8);
            }
            payload.push(97);
            payload.extend(older.concat());
            payload.extend(&block);
            prop_assert_eq!(primary(&payload), Some((97, &block[..])));
        }
    }
}
