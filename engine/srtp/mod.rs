//! SRTP and SRTCP, RFC 3711 and RFC 7714, keyed by DTLS, RFC 5764.
//!
//! A context expands its keys once; protecting and unprotecting a packet allocates nothing.

mod derivation;
#[cfg(test)]
mod nonces;
mod receiver;
mod replay;
mod sender;
mod transform;

pub use receiver::{Receiver, Rejected};
pub use sender::Sender;

/// Most bytes that protection appends to an RTP packet.
pub const MAX_OVERHEAD: usize = 16;

const MAX_KEY_LEN: usize = 32;
const MAX_SALT_LEN: usize = 14;

/// A protection profile, RFC 5764 section 4.1.2 and RFC 7714 section 14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// Bytes of the master key.
    pub const fn master_key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    pub const fn master_salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }
}

/// The master key and salt of one direction.
#[derive(Clone)]
pub struct Master {
    key: [u8; MAX_KEY_LEN],
    /// Followed by zeros when the profile's salt is shorter, RFC 7714 section 11.
    salt: [u8; MAX_SALT_LEN],
}

impl Master {
    /// Takes a key and salt; `None` when their lengths are not those of the profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.master_key_len() || salt.len() != profile.master_salt_len() {
            return None;
        }
        let mut master = Self {
            key: [0; MAX_KEY_LEN],
            salt: [0; MAX_SALT_LEN],
        };
        master.key.get_mut(..key.len())?.copy_from_slice(key);
        master.salt.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(master)
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Master(..)")
    }
}

/// Splits exported DTLS keying material into what the client and what the server writes with, RFC 5764 section 4.2.
pub fn split_keying_material(profile: Profile, material: &[u8]) -> Option<[Master; 2]> {
    let (key_len, salt_len) = (profile.master_key_len(), profile.master_salt_len());
    if material.len() != 2 * (key_len + salt_len) {
        return None;
    }
    let (keys, salts) = material.split_at_checked(2 * key_len)?;
    let (client_key, server_key) = keys.split_at_checked(key_len)?;
    let (client_salt, server_salt) = salts.split_at_checked(salt_len)?;
    Some([
        Master::new(profile, client_key, client_salt)?,
        Master::new(profile, server_key, server_salt)?,
    ])
}

#[cfg(test)]
mod tests;
