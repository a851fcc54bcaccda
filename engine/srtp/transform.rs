//! The cipher and authentication of one kind of packet in one direction.

use super::derivation::{Label, derive};
use super::{Master, Profile};
use crate::wire::read_u32;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// Length of the GCM tag, RFC 7714 section 13.2.
const GCM_TAG_LEN: usize = 16;
/// Length of the truncated HMAC-SHA1, RFC 3711 section 5.2.
const HMAC_TAG_LEN: usize = 10;
/// RTCP header and sender, which are not encrypted.
pub(super) const RTCP_CLEAR_LEN: usize = 8;
/// The E flag and SRTCP index.
const RTCP_INDEX_LEN: usize = 4;
/// The E flag, RFC 3711 section 3.4.
const RTCP_ENCRYPTED: u32 = 1 << 31;

/// Which packets a transform is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Rtp,
    Rtcp,
}

/// Expanded session keys.
#[derive(Debug)]
pub(super) enum Transform {
    /// RFC 7714.
    Gcm { key: LessSafeKey, salt: GcmSalt },
    /// RFC 3711 with counter mode and HMAC-SHA1.
    CounterMode {
        key: Box<EncryptingKey>,
        salt: [u8; 14],
        authentication: Box<hmac::Key>,
    },
}

impl Transform {
    pub(super) fn new(profile: Profile, master: &Master, kind: Kind) -> Self {
        let (encryption, authentication, salt) = match kind {
            Kind::Rtp => (
                Label::RtpEncryption,
                Label::RtpAuthentication,
                Label::RtpSalt,
            ),
            Kind::Rtcp => (
                Label::RtcpEncryption,
                Label::RtcpAuthentication,
                Label::RtcpSalt,
            ),
        };
        let gcm_key = match profile {
            Profile::AeadAes128Gcm => {
                UnboundKey::new(&AES_128_GCM, &derive::<16>(profile, master, encryption))
            }
            Profile::AeadAes256Gcm => {
                UnboundKey::new(&AES_256_GCM, &derive::<32>(profile, master, encryption))
            }
            Profile::Aes128CmHmacSha1_80 => {
                let key = derive::<16>(profile, master, encryption);
                return Self::CounterMode {
                    key: UnboundCipherKey::new(&AES_128, &key)
                        .and_then(EncryptingKey::ctr)
                        .map(Box::new)
                        .expect("a key of the algorithm's length expands"),
                    salt: derive(profile, master, salt),
                    authentication: Box::new(hmac::Key::new(
                        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                        &derive::<20>(profile, master, authentication),
                    )),
                };
            }
        };
        Self::Gcm {
            key: LessSafeKey::new(gcm_key.expect("a key of the algorithm's length expands")),
            salt: GcmSalt::new(derive(profile, master, salt)),
        }
    }

    /// Bytes that protecting an RTP packet appends.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG_LEN,
            Self::CounterMode { .. } => HMAC_TAG_LEN,
        }
    }

    /// Protects the RTP packet in `packet[..len]`; `None` when there is no room for the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        len: usize,
        header_len: usize,
        index: u64,
    ) -> Option<usize> {
        let ssrc = read_u32(packet, 8)?;
        if header_len > len {
            return None;
        }
        let sealed_len = len.checked_add(self.tag_len())?;
        let packet = packet.get_mut(..sealed_len)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, rest) = packet.split_at_mut_checked(header_len)?;
                let (payload, tag_space) = rest.split_at_mut_checked(len - header_len)?;
                let nonce = gcm_rtp_nonce(salt, ssrc, index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
                    .ok()?;
                tag_space.copy_from_slice(tag.as_ref());
            }
            Self::CounterMode {
                key,
                salt,
                authentication,
            } => {
                apply_keystream(key, salt, ssrc, index, packet.get_mut(header_len..len)?)?;
                let tag = rtp_tag(authentication, packet, len, index)?;
                packet.get_mut(len..)?.copy_from_slice(&tag);
            }
        }
        Some(sealed_len)
    }

    /// Writes `payload`, encrypted, behind the header in `packet`, and authenticates both: as `seal_rtp` without a copy of
    /// the payload before. `None` when there is no room.
    pub(super) fn seal_rtp_from(
        &self,
        packet: &mut [u8],
        header_len: usize,
        payload: &[u8],
        index: u64,
    ) -> Option<usize> {
        let len = header_len.checked_add(payload.len())?;
        let Self::Gcm { key, salt } = self else {
            packet.get_mut(header_len..len)?.copy_from_slice(payload);
            return self.seal_rtp(packet, len, header_len, index);
        };
        let ssrc = read_u32(packet, 8)?;
        let packet = packet.get_mut(..len + GCM_TAG_LEN)?;
        let (header, rest) = packet.split_at_mut_checked(header_len)?;
        let (sealed, tag) = rest.split_at_mut_checked(payload.len())?;
        let nonce = gcm_rtp_nonce(salt, ssrc, index);
        key.seal_out_of_place_scatter(nonce, Aad::from(&*header), payload, sealed, &[], tag)
            .ok()?;
        Some(len + GCM_TAG_LEN)
    }

    /// Authenticates and decrypts an RTP packet; returns its plaintext length, or `None` when it is not authentic.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Option<usize> {
        let ssrc = read_u32(packet, 8)?;
        let len = packet.len().checked_sub(self.tag_len())?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut_checked(header_len)?;
                let nonce = gcm_rtp_nonce(salt, ssrc, index);
                key.open_in_place(nonce, Aad::from(&*header), sealed).ok()?;
            }
            Self::CounterMode {
                key,
                salt,
                authentication,
            } => {
                let mut received = [0; HMAC_TAG_LEN];
                received.copy_from_slice(packet.get(len..)?);
                let tag = rtp_tag(authentication, packet, len, index)?;
                // The index was authenticated in the place of the tag.
                packet.get_mut(len..)?.copy_from_slice(&received);
                verify_slices_are_equal(&tag, &received).ok()?;
                apply_keystream(key, salt, ssrc, index, packet.get_mut(header_len..len)?)?;
            }
        }
        Some(len)
    }

    /// Protects a compound RTCP packet under an index of 31 bits.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, index: u32) -> Option<()> {
        let ssrc = read_u32(packet, 4)?;
        let index_word = (RTCP_ENCRYPTED | index).to_be_bytes();
        let (clear, payload) = packet.split_at_mut_checked(RTCP_CLEAR_LEN)?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_rtcp_nonce(salt, ssrc, index);
                let aad = Aad::from(rtcp_aad(clear, index_word)?);
                let tag = key.seal_in_place_separate_tag(nonce, aad, payload).ok()?;
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&index_word);
            }
            Self::CounterMode {
                key,
                salt,
                authentication,
            } => {
                apply_keystream(key, salt, ssrc, u64::from(index), payload)?;
                packet.extend_from_slice(&index_word);
                let tag = hmac::sign(authentication, packet);
                packet.extend_from_slice(tag.as_ref().get(..HMAC_TAG_LEN)?);
            }
        }
        Some(())
    }

    /// The index a protected RTCP packet claims; `None` when it is too short or not encrypted.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let trailer = self.tag_len() + RTCP_INDEX_LEN;
        let plain_len = packet.len().checked_sub(trailer)?;
        if plain_len < RTCP_CLEAR_LEN {
            return None;
        }
        let at = match self {
            Self::Gcm { .. } => packet.len() - RTCP_INDEX_LEN,
            Self::CounterMode { .. } => plain_len,
        };
        let word = read_u32(packet, at)?;
        (word & RTCP_ENCRYPTED != 0).then_some(word & !RTCP_ENCRYPTED)
    }

    /// Authenticates and decrypts a compound RTCP packet under its claimed index.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], index: u32) -> Option<usize> {
        let ssrc = read_u32(packet, 4)?;
        let len = packet.len().checked_sub(self.tag_len() + RTCP_INDEX_LEN)?;
        match self {
            Self::Gcm { key, salt } => {
                let sealed_end = len + GCM_TAG_LEN;
                let (clear, sealed) = packet
                    .get_mut(..sealed_end)?
                    .split_at_mut_checked(RTCP_CLEAR_LEN)?;
                let nonce = gcm_rtcp_nonce(salt, ssrc, index);
                let aad = rtcp_aad(clear, (RTCP_ENCRYPTED | index).to_be_bytes())?;
                key.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
            }
            Self::CounterMode {
                key,
                salt,
                authentication,
            } => {
                let (signed, received) = packet.split_at_checked(len + RTCP_INDEX_LEN)?;
                let tag = hmac::sign(authentication, signed);
                verify_slices_are_equal(tag.as_ref().get(..HMAC_TAG_LEN)?, received).ok()?;
                let payload = packet.get_mut(RTCP_CLEAR_LEN..len)?;
                apply_keystream(key, salt, ssrc, u64::from(index), payload)?;
            }
        }
        Some(len)
    }
}

/// A salt of 96 bits as one number, so that a nonce is made by a few instructions.
#[derive(Debug)]
pub(super) struct GcmSalt(u128);

impl GcmSalt {
    pub(super) fn new(salt: [u8; 12]) -> Self {
        let mut bytes = [0; 16];
        bytes[4..].copy_from_slice(&salt);
        Self(u128::from_be_bytes(bytes))
    }

    fn nonce(&self, iv: u128) -> Nonce {
        let [_, _, _, _, nonce @ ..] = (iv ^ self.0).to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }
}

/// RFC 7714 section 8.1: 16 bits of zero, the SSRC, the index of 48 bits.
#[inline]
fn gcm_rtp_nonce(salt: &GcmSalt, ssrc: u32, index: u64) -> Nonce {
    salt.nonce(u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff))
}

/// RFC 7714 section 9.1: 16 bits of zero, the SSRC, 16 bits of zero, the index of 31 bits.
fn gcm_rtcp_nonce(salt: &GcmSalt, ssrc: u32, index: u32) -> Nonce {
    salt.nonce(u128::from(ssrc) << 48 | u128::from(index))
}

/// The associated data of an encrypted RTCP packet, RFC 7714 section 9.2.
fn rtcp_aad(clear: &[u8], index_word: [u8; 4]) -> Option<[u8; 12]> {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(clear.get(..RTCP_CLEAR_LEN)?);
    aad[8..].copy_from_slice(&index_word);
    Some(aad)
}

/// Encrypts or decrypts in counter mode, RFC 3711 section 4.1.1.
fn apply_keystream(
    key: &EncryptingKey,
    salt: &[u8; 14],
    ssrc: u32,
    index: u64,
    payload: &mut [u8],
) -> Option<()> {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    let iv = u128::from_be_bytes(iv) ^ (u128::from(ssrc) << 64) ^ (u128::from(index) << 16);
    let context = EncryptionContext::Iv128(iv.to_be_bytes().into());
    key.less_safe_encrypt(payload, context).ok()?;
    Some(())
}

/// The tag of `packet[..len]` and the rollover counter (RFC 3711 section 4.2), which is written behind it to be signed.
fn rtp_tag(
    key: &hmac::Key,
    packet: &mut [u8],
    len: usize,
    index: u64,
) -> Option<[u8; HMAC_TAG_LEN]> {
    let rollover = ((index >> 16) as u32).to_be_bytes();
    packet.get_mut(len..len + 4)?.copy_from_slice(&rollover);
    let tag = hmac::sign(key, packet.get(..len + 4)?);
    tag.as_ref().get(..HMAC_TAG_LEN)?.try_into().ok()
}
