//! Protecting packets.

use super::transform::{Kind, Transform};
use super::{Master, Profile};

/// SRTCP indices have 31 bits and must not repeat under one key, RFC 3711 section 9.2.
const MAX_RTCP_INDEX: u32 = 0x7fff_ffff;

/// Protects what one side sends.
#[derive(Debug)]
pub struct Sender {
    rtp: Transform,
    rtcp: Transform,
    rtcp_index: u32,
    #[cfg(test)]
    sent: Option<super::nonces::Sent>,
}

impl Sender {
    /// Expands the keys of the sending direction.
    pub fn new(profile: Profile, master: &Master) -> Self {
        Self {
            rtp: Transform::new(profile, master, Kind::Rtp),
            rtcp: Transform::new(profile, master, Kind::Rtcp),
            rtcp_index: 0,
            #[cfg(test)]
            sent: None,
        }
    }

    /// Protects the plaintext packet in `packet[..len]` in place and returns its new length.
    ///
    /// `index` is `rollover counter << 16 | sequence number` (RFC 3711 section 3.3.1) and must never repeat for one
    /// SSRC with another content. `None` when `packet` has no room for [`super::MAX_OVERHEAD`] more bytes.
    pub fn protect_rtp(
        &self,
        packet: &mut [u8],
        len: usize,
        header_len: usize,
        index: u64,
    ) -> Option<usize> {
        self.rtp.seal_rtp(packet, len, header_len, index)
    }

    /// The same for a header in `packet[..header_len]` and a payload elsewhere, which stays as it is.
    pub fn protect_rtp_from(
        &self,
        packet: &mut [u8],
        header_len: usize,
        payload: &[u8],
        index: u64,
    ) -> Option<usize> {
        self.rtp.seal_rtp_from(packet, header_len, payload, index)
    }

    /// From now on two different packets under one nonce are a panic.
    #[cfg(test)]
    pub fn watch_nonces(&mut self) {
        self.sent = Some(super::nonces::Sent::default());
    }

    /// A packet that it has protected leaves.
    #[cfg(test)]
    pub fn note_sent(&self, packet: &[u8], index: u64) {
        if let Some(sent) = &self.sent {
            sent.note(packet, index);
        }
    }

    /// Has what protecting the next packet needs fetched.
    #[inline]
    pub fn fetch(&self) {
        switchyard_net::prefetch(&self.rtp);
    }

    /// Protects a compound RTCP packet under the next SRTCP index, RFC 3711 section 3.4.
    ///
    /// `None` when it is shorter than a header or the indices are used up.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        if self.rtcp_index >= MAX_RTCP_INDEX {
            return None;
        }
        self.rtcp_index += 1;
        self.rtcp.seal_rtcp(packet, self.rtcp_index)
    }
}
