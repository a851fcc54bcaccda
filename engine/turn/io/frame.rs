//! Messages in a stream: STUN says its length, channel data is padded to four bytes (RFC 8656 section 12.5).

/// The longest frame that a client may send: a datagram of ours with its header.
pub const FRAME_MAX: usize = 4096;
const STUN_HEADER_LEN: usize = 20;
const CHANNEL_HEADER_LEN: usize = 4;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// What the start of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not all of it is there.
    Partial,
    /// A message of `length` bytes, the next one after `stride`.
    Whole {
        /// Without padding.
        length: usize,
        /// With padding.
        stride: usize,
    },
    /// Nothing that TURN speaks: there is no way to find the next message.
    Garbage,
}

/// Looks at the first frame of what a stream has brought.
pub fn first(bytes: &[u8]) -> Frame {
    let Some(header) = bytes.first_chunk::<4>() else {
        let known = bytes
            .first()
            .is_none_or(|&first| is_stun(first) || is_channel(first));
        return if known {
            Frame::Partial
        } else {
            Frame::Garbage
        };
    };
    let told = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let (length, stride) = if is_stun(header[0]) {
        let cookie = bytes.get(4..8);
        let foreign = cookie.is_some_and(|cookie| cookie != MAGIC_COOKIE);
        if foreign || !told.is_multiple_of(4) {
            return Frame::Garbage;
        }
        (STUN_HEADER_LEN + told, STUN_HEADER_LEN + told)
    } else if is_channel(header[0]) {
        let length = CHANNEL_HEADER_LEN + told;
        (length, length.next_multiple_of(4))
    } else {
        return Frame::Garbage;
    };
    if stride > FRAME_MAX {
        Frame::Garbage
    } else if stride > bytes.len() {
        Frame::Partial
    } else {
        Frame::Whole { length, stride }
    }
}

fn is_stun(first: u8) -> bool {
    first <= 3
}

fn is_channel(first: u8) -> bool {
    (0x40..=0x7f).contains(&first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_end_where_they_say() {
        let mut stun = vec![0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42];
        stun.resize(24, 0);
        for cut in 0..24 {
            assert_eq!(first(&stun[..cut]), Frame::Partial, "{cut}");
        }
        let whole = Frame::Whole {
            length: 24,
            stride: 24,
        };
        assert_eq!(first(&stun), whole);
        let channel = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 9];
        assert_eq!(first(&channel[..11]), Frame::Partial);
        let whole = Frame::Whole {
            length: 9,
            stride: 12,
        };
        assert_eq!(first(&channel), whole);
    }

    #[test]
    fn what_is_not_turn_is_garbage() {
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[0x16, 3, 1, 2, 0],
            &[0, 1, 0xff, 0xfc],
            &[0, 1, 0, 3],
            &[0, 1, 0, 0, 1, 2, 3, 4],
            &[0x40, 0, 0xff, 0xff],
            &[0x80],
        ] {
            assert_eq!(first(garbage), Frame::Garbage, "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn no_stream_makes_a_frame_that_is_not_there(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Frame::Whole { length, stride } = first(&bytes) {
                prop_assert!(length >= CHANNEL_HEADER_LEN && length <= stride && stride <= bytes.len());
            }
        }
    }
}
