//! Reading transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.

use super::super::{read_u16, read_u32};

/// Statuses that one feedback may have: two seconds of 40 Mbit/s. Its run lengths could claim 65,535 in a few bytes.
pub const MAX_STATUSES: u16 = 8192;

/// Feedback on packets that we sent. Its statuses are read as they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    /// Transport-wide number of the first status.
    pub base: u16,
    /// How many statuses follow.
    pub count: u16,
    /// The peer's clock in units of 64 ms, 24 bits.
    pub reference: u32,
    /// Counts feedback packets.
    pub feedback_count: u8,
    chunks: &'a [u8],
}

/// What became of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Transport-wide number.
    pub number: u16,
    /// When it came, in units of 250 us after the reference time; none: it did not.
    pub arrival: Option<i32>,
}

impl<'a> TransportFeedback<'a> {
    /// Reads what follows the common header. None when a length does not hold, or the count is a flood.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let count = read_u16(body, 10)?;
        if count > MAX_STATUSES {
            return None;
        }
        let word = read_u32(body, 12)?;
        Some(Self {
            base: read_u16(body, 8)?,
            count,
            reference: word >> 8,
            feedback_count: word as u8,
            chunks: body.get(16..)?,
        })
    }

    /// How many packets it claims to tell about.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The statuses in order of their numbers; ends early where the packet does.
    pub fn statuses(&self) -> Statuses<'a> {
        let chunks_len = chunks_len(self.chunks, self.count).unwrap_or(self.chunks.len());
        let (chunks, deltas) = self.chunks.split_at(chunks_len);
        Statuses {
            number: self.base,
            left: self.count,
            chunks: Symbols {
                chunks,
                current: 0,
                left: 0,
            },
            deltas,
            arrival: 0,
        }
    }
}

/// Length of the chunks that hold `count` statuses: the deltas begin behind them.
fn chunks_len(bytes: &[u8], count: u16) -> Option<usize> {
    let (mut covered, mut len) = (0_u32, 0);
    while covered < u32::from(count) {
        let chunk = read_u16(bytes, len)?;
        covered += u32::from(symbols_of(chunk));
        len += 2;
    }
    Some(len)
}

/// Statuses that a chunk holds (sections 3.1.3 and 3.1.4).
fn symbols_of(chunk: u16) -> u16 {
    match chunk >> 14 {
        0b10 => 14,
        0b11 => 7,
        _ => chunk & 0x1fff,
    }
}

/// Iterator over the symbols of packet status chunks.
#[derive(Clone, Debug)]
struct Symbols<'a> {
    chunks: &'a [u8],
    current: u16,
    left: u16,
}

impl Iterator for Symbols<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        // A run of length zero says nothing.
        while self.left == 0 {
            let (chunk, rest) = self.chunks.split_at_checked(2)?;
            self.chunks = rest;
            self.current = read_u16(chunk, 0)?;
            self.left = symbols_of(self.current);
        }
        self.left -= 1;
        Some(match self.current >> 14 {
            0b10 => self.current >> self.left & 1,
            0b11 => self.current >> (2 * self.left) & 3,
            _ => self.current >> 13 & 3,
        })
    }
}

/// Iterator of [`TransportFeedback::statuses`].
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    number: u16,
    left: u16,
    chunks: Symbols<'a>,
    deltas: &'a [u8],
    arrival: i32,
}

impl Iterator for Statuses<'_> {
    type Item = Status;

    fn next(&mut self) -> Option<Status> {
        self.left = self.left.checked_sub(1)?;
        let arrival = match self.chunks.next()? {
            0 => None,
            symbol => {
                let len = if symbol == 1 { 1 } else { 2 };
                let (delta, rest) = self.deltas.split_at_checked(len)?;
                self.deltas = rest;
                let delta = match *delta {
                    [small] => i32::from(small),
                    [high, low] => i32::from(i16::from_be_bytes([high, low])),
                    _ => return None,
                };
                // 8,192 deltas of 16 bits stay below 2^31.
                self.arrival += delta;
                Some(self.arrival)
            }
        };
        let number = self.number;
        self.number = number.wrapping_add(1);
        Some(Status { number, arrival })
    }
}
