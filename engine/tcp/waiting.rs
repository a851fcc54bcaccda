//! Frames that wait for a peer which does not read as fast as it is sent to.
//!
//! What waits is media for the most part, and media ages: when there is no more room, or when it has waited too long, the
//! oldest goes first. Refusing the newest instead would keep the queue full of what nobody wants to see any more. A frame
//! of which the peer has a part must go on, or the stream would make no sense.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

use super::frame::HEADER_LEN;

/// Bytes that may wait.
pub const WAITING_MAX: usize = 256 * 1024;
/// How long they may.
pub const AGE_MAX: Duration = Duration::from_secs(1);

/// The frames of one connection that have not left.
#[derive(Default)]
pub struct Waiting {
    bytes: VecDeque<u8>,
    frames: VecDeque<Frame>,
    /// The first frame has left in part.
    is_begun: bool,
}

struct Frame {
    /// What is left of it, with its header.
    length: usize,
    since: Instant,
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Datagrams that wait.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Adds a datagram; the peer has had so many bytes of its frame. Gives how many older ones were dropped for it.
    pub fn push(&mut self, datagram: &[u8], had: usize, now: Instant) -> u64 {
        let header = (datagram.len() as u16).to_be_bytes();
        let length = HEADER_LEN + datagram.len() - had;
        self.bytes.extend(&header[had.min(HEADER_LEN)..]);
        self.bytes
            .extend(&datagram[had.saturating_sub(HEADER_LEN)..]);
        self.is_begun |= had > 0;
        self.frames.push_back(Frame { length, since: now });
        self.drop_old(now)
    }

    fn drop_old(&mut self, now: Instant) -> u64 {
        let first = usize::from(self.is_begun);
        let mut dropped = 0;
        while let Some(oldest) = self.frames.get(first)
            && (self.bytes.len() > WAITING_MAX || now - oldest.since > AGE_MAX)
        {
            let before = if self.is_begun {
                self.frames[0].length
            } else {
                0
            };
            self.bytes.drain(before..before + oldest.length);
            self.frames.remove(first);
            dropped += 1;
        }
        dropped
    }

    /// Writes as much as the peer takes, and gives how much that was.
    ///
    /// # Errors
    /// The connection is over.
    pub fn write(&mut self, to: &mut impl Write) -> io::Result<usize> {
        let mut written = 0;
        while !self.bytes.is_empty() {
            let (first, second) = self.bytes.as_slices();
            match to.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.left(count);
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                Err(error) => return Err(error),
            }
        }
        // A peer that reads again needs no memory.
        *self = Waiting::default();
        Ok(written)
    }

    fn left(&mut self, mut count: usize) {
        self.bytes.drain(..count);
        while let Some(frame) = self.frames.front_mut() {
            if count < frame.length {
                frame.length -= count;
                self.is_begun |= count > 0;
                return;
            }
            count -= frame.length;
            self.frames.pop_front();
            self.is_begun = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tcp::frame::{Frames, PARTIAL_MAX};

    /// A peer that reads so much each time.
    struct Reader {
        room: usize,
        read: Vec<u8>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.read.extend_from_slice(&bytes[..count]);
            match count {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn datagrams(stream: &[u8]) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        let mut bytes = stream.to_vec();
        Frames::default().feed(&mut bytes, |datagram| got.push(datagram.to_vec()));
        got
    }

    #[test]
    fn a_peer_that_does_not_read_costs_so_much_and_loses_the_oldest() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        let mut dropped = 0;
        for number in 0..1000_u16 {
            let mut datagram = vec![0; 1200];
            datagram[..2].copy_from_slice(&number.to_be_bytes());
            dropped += waiting.push(&datagram, 0, now);
            assert!(waiting.bytes.len() <= WAITING_MAX);
        }
        let mut reader = Reader {
            room: usize::MAX,
            read: Vec::new(),
        };
        waiting.write(&mut reader).unwrap();
        let got = datagrams(&reader.read);
        assert_eq!(got.len() as u64 + dropped, 1000);
        assert_eq!(got[0][..2], (dropped as u16).to_be_bytes());
        assert_eq!(got[got.len() - 1][..2], 999_u16.to_be_bytes());
        assert!(waiting.is_empty());
        assert_eq!(waiting.bytes.capacity(), 0);
    }

    #[test]
    fn what_has_waited_too_long_is_not_sent() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        for number in 0..10 {
            waiting.push(&[number; 10], 0, start);
        }
        let mut reader = Reader {
            room: 15,
            read: Vec::new(),
        };
        waiting.write(&mut reader).unwrap();
        let late = start + AGE_MAX + Duration::from_millis(1);
        assert_eq!(waiting.push(&[10; 10], 0, late), 8);
        reader.room = usize::MAX;
        waiting.write(&mut reader).unwrap();
        // The first one was gone and the second one begun.
        assert_eq!(datagrams(&reader.read), [0, 1, 10].map(|n| vec![n; 10]));
    }

    proptest! {
        #[test]
        fn the_stream_stays_whole_whatever_is_dropped(
            steps in proptest::collection::vec((1_usize..2000, 0_usize..4000, 0_u64..400), 1..400),
            had in 0_usize..5,
        ) {
            let mut now = Instant::now();
            let mut waiting = Waiting::default();
            let mut reader = Reader { room: 0, read: Vec::new() };
            let (mut pushed, mut dropped) = (0_u64, 0);
            for (length, room, millis) in steps {
                now += Duration::from_millis(millis);
                let datagram = vec![pushed as u8; length];
                // What a direct write took before the rest had to wait.
                let had = if waiting.is_empty() { had.min(length + 1) } else { 0 };
                let frame = [&(length as u16).to_be_bytes()[..], &datagram].concat();
                reader.read.extend_from_slice(&frame[..had]);
                dropped += waiting.push(&datagram, had, now);
                pushed += 1;
                reader.room = room;
                waiting.write(&mut reader).unwrap();
            }
            reader.room = usize::MAX;
            waiting.write(&mut reader).unwrap();
            let got = datagrams(&reader.read);
            prop_assert_eq!(got.len() as u64 + dropped, pushed);
            let mut frames = Frames::default();
            let mut bytes = reader.read.clone();
            frames.feed(&mut bytes, |datagram| assert!(datagram.iter().all(|&byte| byte == datagram[0])));
            let mut buffer = vec![0; PARTIAL_MAX];
            prop_assert_eq!(frames.resume(&mut buffer), 0);
        }
    }
}
