//! Transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.

use super::build::{begin, end};
use std::collections::VecDeque;

/// Sequence numbers covered at most between two feedbacks.
const MAX_ENTRIES: usize = 1000;
/// Unit of receive deltas.
const TICK_US: u64 = 250;
/// Receive delta units in one unit of the reference time (64 ms).
const TICKS_PER_REFERENCE: u64 = 256;

/// Symbols of packet status chunks, section 3.1.1.
const NOT_RECEIVED: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

/// Arrival times of one peer's transport-wide sequence numbers since the last feedback.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Sequence number of the first entry of `times`, or the next expected one when that is empty.
    base: Option<u16>,
    /// Arrival in ticks by sequence number; `None` did not arrive.
    times: VecDeque<Option<u64>>,
    feedback_count: u8,
}

impl Arrivals {
    /// No arrivals yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to feed back.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Records an arrival. A jump beyond 1,000 sequence numbers starts over; the first of two duplicates counts.
    pub fn record(&mut self, transport_sequence: u16, arrival_us: u64) {
        let ticks = arrival_us / TICK_US;
        let base = *self.base.get_or_insert(transport_sequence);
        let offset = transport_sequence.wrapping_sub(base) as i16;
        let ahead = usize::try_from(offset).ok();
        match ahead {
            Some(at) if at < MAX_ENTRIES => {
                if at >= self.times.len() {
                    self.times.resize(at + 1, None);
                }
                if let Some(slot) = self.times.get_mut(at) {
                    slot.get_or_insert(ticks);
                }
            }
            None if !self.times.is_empty() => {
                // Reordered before everything pending: prepend, as far as the bound allows.
                let missing = usize::from(offset.unsigned_abs());
                if self.times.len() + missing > MAX_ENTRIES {
                    return;
                }
                for _ in 1..missing {
                    self.times.push_front(None);
                }
                self.times.push_front(Some(ticks));
                self.base = Some(transport_sequence);
            }
            _ => {
                self.times.clear();
                self.times.push_back(Some(ticks));
                self.base = Some(transport_sequence);
            }
        }
    }

    /// Appends feedback for everything recorded since the last call and forgets it; nothing for nothing.
    ///
    /// More than one packet results only when arrivals lie further apart than a delta can say (8 s).
    pub fn push_feedback(&mut self, buf: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
        while !self.times.is_empty() {
            self.push_one(buf, sender_ssrc, media_ssrc);
        }
    }

    fn push_one(&mut self, buf: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
        let base = self.base.unwrap_or_default();
        let first = self.times.iter().copied().flatten().next().unwrap_or(0);
        let reference = first / TICKS_PER_REFERENCE;
        let mut previous = reference * TICKS_PER_REFERENCE;
        let mut symbols = Vec::with_capacity(self.times.len());
        let mut deltas = Vec::with_capacity(self.times.len() * 2);
        for time in &self.times {
            let Some(ticks) = *time else {
                symbols.push(NOT_RECEIVED);
                continue;
            };
            let delta = ticks.wrapping_sub(previous) as i64;
            if let Ok(small) = u8::try_from(delta) {
                symbols.push(SMALL_DELTA);
                deltas.push(small);
            } else if let Ok(large) = i16::try_from(delta) {
                symbols.push(LARGE_DELTA);
                deltas.extend_from_slice(&large.to_be_bytes());
            } else {
                break;
            }
            previous = ticks;
        }
        let start = begin(
            buf,
            super::FORMAT_TRANSPORT_WIDE,
            super::TRANSPORT_LAYER_FEEDBACK,
            sender_ssrc,
        );
        buf.extend_from_slice(&media_ssrc.to_be_bytes());
        buf.extend_from_slice(&base.to_be_bytes());
        buf.extend_from_slice(&(symbols.len() as u16).to_be_bytes());
        let word = (((reference & 0xff_ffff) as u32) << 8) | u32::from(self.feedback_count);
        buf.extend_from_slice(&word.to_be_bytes());
        push_chunks(buf, &symbols);
        buf.extend_from_slice(&deltas);
        end(buf, start);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.times.drain(..symbols.len());
        self.base = Some(base.wrapping_add(symbols.len() as u16));
    }
}

/// Appends packet status chunks, sections 3.1.2 to 3.1.4.
fn push_chunks(buf: &mut Vec<u8>, mut symbols: &[u8]) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take_while(|s| **s == first).count();
        let next = &symbols[..symbols.len().min(14)];
        let fits_one_bit = !next.contains(&LARGE_DELTA);
        let vector_len = if fits_one_bit { 14 } else { 7 };
        let (chunk, used) = if run >= vector_len.min(symbols.len()) {
            let run = run.min(0x1fff);
            ((u16::from(first) << 13) | run as u16, run)
        } else if fits_one_bit {
            let bits = (0..14).zip(next);
            let bits = bits.fold(0u16, |bits, (at, s)| bits | (u16::from(*s) << (13 - at)));
            (0x8000 | bits, next.len())
        } else {
            let pairs = (0..7).zip(next);
            let pairs = pairs.fold(0u16, |bits, (at, s)| {
                bits | (u16::from(*s) << (12 - 2 * at))
            });
            (0xc000 | pairs, next.len().min(7))
        };
        buf.extend_from_slice(&chunk.to_be_bytes());
        symbols = &symbols[used..];
    }
}
