//! Datagrams in a stream (RFC 4571 section 2): each behind its length, 16 bits.

/// Bytes before a datagram.
pub const HEADER_LEN: usize = 2;
/// The longest datagram that is taken, as over UDP; longer ones are passed over.
pub const DATAGRAM_MAX: usize = 2048;
/// What may be kept of a frame whose rest has not come.
pub const PARTIAL_MAX: usize = HEADER_LEN + DATAGRAM_MAX;

/// Finds the datagrams of one stream. It keeps bytes that have come, never room for those that were announced.
#[derive(Default)]
pub struct Frames {
    partial: Vec<u8>,
    /// What is left of a datagram that is too long.
    passing: usize,
}

impl Frames {
    /// Copies what was kept to the start of a buffer, behind which the stream is to be read on. Gives how much it is,
    /// at most `PARTIAL_MAX`.
    pub fn resume(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.partial.len()].copy_from_slice(&self.partial);
        self.partial.len()
    }

    /// Gives each whole datagram of what `resume` copied and the stream has brought since.
    pub fn feed(&mut self, bytes: &mut [u8], mut each: impl FnMut(&mut [u8])) {
        let mut start = 0;
        loop {
            let passed = self.passing.min(bytes.len() - start);
            self.passing -= passed;
            start += passed;
            let Some(&header) = bytes[start..].first_chunk::<HEADER_LEN>() else {
                break;
            };
            let length = usize::from(u16::from_be_bytes(header));
            let begin = start + HEADER_LEN;
            if length > DATAGRAM_MAX {
                self.passing = length;
                start = begin;
                continue;
            }
            let Some(datagram) = bytes.get_mut(begin..begin + length) else {
                break;
            };
            each(datagram);
            start = begin + length;
        }
        self.partial.clear();
        let rest = &bytes[start..];
        if rest.is_empty() {
            // Connections that wait cost nothing.
            self.partial.shrink_to_fit();
        }
        self.partial.extend_from_slice(rest);
    }

    /// Whether a datagram that is too long is just passing.
    pub fn is_passing(&self) -> bool {
        self.passing > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds a stream in parts of these lengths, the last one being all that is left.
    fn fed(stream: &[u8], parts: &[usize]) -> (Vec<Vec<u8>>, Frames) {
        let mut frames = Frames::default();
        let mut buffer = vec![0; PARTIAL_MAX + stream.len()];
        let mut got = Vec::new();
        let mut rest = stream;
        for length in parts.iter().copied().chain([stream.len()]) {
            let part: &[u8];
            (part, rest) = rest.split_at(length.min(rest.len()));
            let kept = frames.resume(&mut buffer);
            buffer[kept..kept + part.len()].copy_from_slice(part);
            frames.feed(&mut buffer[..kept + part.len()], |datagram| {
                got.push(datagram.to_vec());
            });
            assert!(frames.partial.len() <= PARTIAL_MAX);
        }
        (got, frames)
    }

    fn framed(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let frame = |datagram: &Vec<u8>| {
            let header = (datagram.len() as u16).to_be_bytes();
            [&header[..], datagram].concat()
        };
        datagrams.iter().flat_map(frame).collect()
    }

    #[test]
    fn a_length_alone_makes_nobody_wait_with_memory() {
        let (got, frames) = fed(&[0xff, 0xff, 1, 2, 3], &[2]);
        assert!(got.is_empty() && frames.is_passing());
        assert_eq!(frames.partial.capacity(), 0);
        let (got, frames) = fed(&[0x08, 0x00], &[1]);
        assert!(got.is_empty() && !frames.is_passing());
        assert!(frames.partial.capacity() < 64);
    }

    proptest! {
        #[test]
        fn a_stream_gives_the_same_datagrams_however_it_is_split(
            lengths in proptest::collection::vec(prop_oneof![0_usize..40, 2040_usize..2060, Just(65_535)], 0..8),
            parts in proptest::collection::vec(0_usize..3000, 0..64),
        ) {
            let datagrams: Vec<Vec<u8>> = (1..)
                .zip(lengths)
                .map(|(number, length)| vec![number; length])
                .collect();
            let (got, frames) = fed(&framed(&datagrams), &parts);
            let taken: Vec<_> = datagrams.into_iter().filter(|one| one.len() <= DATAGRAM_MAX).collect();
            prop_assert_eq!(got, taken);
            prop_assert!(frames.partial.is_empty() && !frames.is_passing());
        }

        #[test]
        fn garbage_gives_the_same_garbage_however_it_is_split(
            stream in proptest::collection::vec(any::<u8>(), 0..5000),
            parts in proptest::collection::vec(0_usize..700, 0..64),
        ) {
            prop_assert_eq!(fed(&stream, &parts).0, fed(&stream, &[]).0);
        }
    }
}
