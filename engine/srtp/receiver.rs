//! Authenticating and decrypting packets.

use super::replay::Window;
use super::transform::{Kind, RTCP_CLEAR_LEN, Transform};
use super::{Master, Profile};
use crate::wire::{read_u32, rtp::Header};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Sources per context, each for RTP and RTCP.
const MAX_STREAMS: usize = 256;
/// Indices have 48 bits.
const MAX_INDEX: u64 = (1 << 48) - 1;

/// Replay window of 512 packets.
type RtpWindow = Window<8>;
/// Replay window of 128 packets.
type RtcpWindow = Window<2>;

/// Why a packet was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It cannot hold a header and a tag.
    TooShort,
    /// It was accepted before or is too old to tell, RFC 3711 section 3.3.2.
    Replayed,
    /// Its tag is wrong, or it is RTCP that is not encrypted.
    NotAuthentic,
    /// It would add a source beyond the bound.
    TooManyStreams,
}

/// Accepts what the other side sends.
///
/// State of a source is created and advanced only by packets that are authentic.
#[derive(Debug)]
pub struct Receiver {
    rtp: Transform,
    rtcp: Transform,
    rtp_streams: HashMap<u32, RtpWindow, RandomState>,
    rtcp_streams: HashMap<u32, RtcpWindow, RandomState>,
}

impl Receiver {
    /// Expands the keys of the receiving direction.
    pub fn new(profile: Profile, master: &Master) -> Self {
        Self {
            rtp: Transform::new(profile, master, Kind::Rtp),
            rtcp: Transform::new(profile, master, Kind::Rtcp),
            rtp_streams: HashMap::default(),
            rtcp_streams: HashMap::default(),
        }
    }

    /// Authenticates and decrypts in place a packet whose header is `header`; returns its plaintext length.
    ///
    /// The content of a rejected packet is unspecified.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<usize, Rejected> {
        if packet.len() < header.header_len.saturating_add(self.rtp.tag_len()) {
            return Err(Rejected::TooShort);
        }
        let stream_count = self.rtp_streams.len();
        let stream = self.rtp_streams.get_mut(&header.ssrc);
        let index = match &stream {
            Some(window) => {
                let index = estimate_index(window.highest(), header.sequence_number);
                index
                    .filter(|index| window.is_fresh(*index))
                    .ok_or(Rejected::Replayed)?
            }
            None if stream_count >= MAX_STREAMS => return Err(Rejected::TooManyStreams),
            None => u64::from(header.sequence_number),
        };
        let len = self
            .rtp
            .open_rtp(packet, header.header_len, index)
            .ok_or(Rejected::NotAuthentic)?;
        match stream {
            Some(window) => window.accept(index),
            None => {
                let window = RtpWindow::starting_at(index);
                self.rtp_streams.insert(header.ssrc, window);
            }
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
        let stream_count = self.rtcp_streams.len();
        let stream = self.rtcp_streams.get_mut(&ssrc);
        match &stream {
            Some(window) if !window.is_fresh(u64::from(index)) => return Err(Rejected::Replayed),
            None if stream_count >= MAX_STREAMS => return Err(Rejected::TooManyStreams),
            _ => {}
        }
        let len = self
            .rtcp
            .open_rtcp(packet, index)
            .ok_or(Rejected::NotAuthentic)?;
        match stream {
            Some(window) => window.accept(u64::from(index)),
            None => {
                let window = RtcpWindow::starting_at(u64::from(index));
                self.rtcp_streams.insert(ssrc, window);
            }
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
