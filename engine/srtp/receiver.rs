//! Authenticating and decrypting packets.

use super::replay::Window;
use super::transform::{Kind, RTCP_CLEAR_LEN, Transform};
use super::{Master, Profile};
use crate::wire::{read_u32, rtp::Header};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Sources with a window per context, each for RTP and RTCP.
const MAX_STREAMS: usize = 256;
/// Sources of which nothing but the highest index is remembered. A peer that uses more under the same keys is not heard on
/// further ones: what somebody repeats of a source that is forgotten could not be told from what is new.
const MAX_SILENT: usize = 16_384;
/// Indices have 48 bits.
const MAX_INDEX: u64 = (1 << 48) - 1;

/// Why a packet was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It cannot hold a header and a tag.
    TooShort,
    /// It was accepted before or nobody can tell, RFC 3711 section 3.3.2.
    Replayed,
    /// Its tag is wrong, or it is RTCP that is not encrypted.
    NotAuthentic,
}

/// Accepts what the other side sends.
///
/// State of a source is created and advanced only by packets that are authentic.
#[derive(Debug)]
pub struct Receiver {
    rtp: Transform,
    rtcp: Transform,
    /// With replay windows of 512 packets.
    rtp_streams: Streams<8>,
    /// Of 128.
    rtcp_streams: Streams<2>,
}

/// The replay windows of sources. Whoever adds and closes tracks uses more sources than have windows: then the one that is
/// longest silent loses its window.
#[derive(Debug, Default)]
struct Streams<const WORDS: usize> {
    windows: HashMap<u32, Stream<WORDS>, RandomState>,
    /// The highest indices of sources without a window: what they send next is newer.
    silent: Silent,
    turns: u64,
}

#[derive(Debug, Default)]
struct Silent(HashMap<u32, u64, RandomState>);

#[derive(Debug)]
struct Stream<const WORDS: usize> {
    window: Window<WORDS>,
    /// The turn of its newest packet among all.
    newest: u64,
}

impl Silent {
    /// The highest index of a source without a window; none where the source is new.
    ///
    /// # Errors
    /// No further source can be remembered.
    fn highest(&self, ssrc: u32) -> Result<Option<u64>, Rejected> {
        let highest = self.0.get(&ssrc).copied();
        if highest.is_none() && self.0.len() >= MAX_SILENT {
            return Err(Rejected::Replayed);
        }
        Ok(highest)
    }
}

impl<const WORDS: usize> Streams<WORDS> {
    /// That of the next packet among all.
    #[inline]
    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Begins a source's window at an authentic packet.
    fn begin(&mut self, ssrc: u32, index: u64, newest: u64) {
        if self.windows.len() == MAX_STREAMS {
            let silent = self.windows.iter().min_by_key(|(_, stream)| stream.newest);
            if let Some((&silent, stream)) = silent {
                self.silent.0.insert(silent, stream.window.highest());
                self.windows.remove(&silent);
            }
        }
        let window = match self.silent.0.remove(&ssrc) {
            Some(highest) => {
                let mut window = Window::after(highest);
                window.accept(index);
                window
            }
            None => Window::starting_at(index),
        };
        self.windows.insert(ssrc, Stream { window, newest });
    }
}

impl<const WORDS: usize> Stream<WORDS> {
    /// Marks a fresh index of an authentic packet as accepted.
    #[inline]
    fn accept(&mut self, index: u64, turn: u64) {
        self.window.accept(index);
        self.newest = turn;
    }
}

impl Receiver {
    /// Expands the keys of the receiving direction.
    pub fn new(profile: Profile, master: &Master) -> Self {
        Self {
            rtp: Transform::new(profile, master, Kind::Rtp),
            rtcp: Transform::new(profile, master, Kind::Rtcp),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        }
    }

    /// Sources that are remembered, the more of RTP's and RTCP's.
    #[cfg(test)]
    pub fn streams(&self) -> usize {
        (self.rtp_streams.windows.len()).max(self.rtcp_streams.windows.len())
    }

    /// Authenticates and decrypts in place a packet whose header is `header`; returns its plaintext length.
    ///
    /// The content of a rejected packet is unspecified.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<usize, Rejected> {
        if packet.len() < header.header_len.saturating_add(self.rtp.tag_len()) {
            return Err(Rejected::TooShort);
        }
        let turn = self.rtp_streams.turn();
        let known = self.rtp_streams.windows.get_mut(&header.ssrc);
        let index = match &known {
            Some(Stream { window, .. }) => {
                let index = estimate_index(window.highest(), header.sequence_number);
                index
                    .filter(|index| window.is_fresh(*index))
                    .ok_or(Rejected::Replayed)?
            }
            None => match self.rtp_streams.silent.highest(header.ssrc)? {
                Some(highest) => estimate_index(highest, header.sequence_number)
                    .filter(|&index| index > highest)
                    .ok_or(Rejected::Replayed)?,
                None => u64::from(header.sequence_number),
            },
        };
        let len = self
            .rtp
            .open_rtp(packet, header.header_len, index)
            .ok_or(Rejected::NotAuthentic)?;
        match known {
            Some(stream) => stream.accept(index, turn),
            None => self.rtp_streams.begin(header.ssrc, index, turn),
        }
        Ok(len)
    }

    /// Authenticates and decrypts in place a compound RTCP packet; returns its plaintext length.
    ///
    /// The content of a rejected packet is unspecified.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        let overhead = self.rtcp.tag_len() + 4;
        let ssrc = read_u32(packet, 4).ok_or(Rejected::TooShort)?;
        if packet.len() < RTCP_CLEAR_LEN + overhead {
            return Err(Rejected::TooShort);
        }
        let index = self.rtcp.rtcp_index(packet).ok_or(Rejected::NotAuthentic)?;
        let turn = self.rtcp_streams.turn();
        let known = self.rtcp_streams.windows.get_mut(&ssrc);
        let is_fresh = match &known {
            Some(Stream { window, .. }) => window.is_fresh(u64::from(index)),
            None => (self.rtcp_streams.silent.highest(ssrc)?)
                .is_none_or(|highest| u64::from(index) > highest),
        };
        if !is_fresh {
            return Err(Rejected::Replayed);
        }
        let len = self
            .rtcp
            .open_rtcp(packet, index)
            .ok_or(Rejected::NotAuthentic)?;
        match known {
            Some(stream) => stream.accept(u64::from(index), turn),
            None => self.rtcp_streams.begin(ssrc, u64::from(index), turn),
        }
        Ok(len)
    }
}

/// The index of a sequence number closest to the highest one, RFC 3711 appendix A; `None` outside of 48 bits.
fn estimate_index(highest: u64, sequence_number: u16) -> Option<u64> {
    let highest_sequence = i32::from(highest as u16);
    let sequence = i32::from(sequence_number);
    let rollover = highest >> 16;
    let rollover = if highest_sequence < 0x8000 {
        if sequence - highest_sequence > 0x8000 {
            rollover.checked_sub(1)?
        } else {
            rollover
        }
    } else if highest_sequence - 0x8000 > sequence {
        rollover + 1
    } else {
        rollover
    };
    let index = (rollover << 16) | u64::from(sequence_number);
    (index <= MAX_INDEX).then_some(index)
}
