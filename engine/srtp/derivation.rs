//! Session keys from master keys, RFC 3711 section 4.3 and RFC 6188 section 3 for 256 bits.

use super::{Master, Profile};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

/// What a session key is for, RFC 3711 section 4.3.2.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives `N` bytes with the pseudo-random function of the profile; the key derivation rate is zero.
pub(super) fn derive<const N: usize>(profile: Profile, master: &Master, label: Label) -> [u8; N] {
    let key_len = profile.master_key_len();
    let algorithm = if key_len == 32 { &AES_256 } else { &AES_128 };
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(&master.salt);
    iv[7] ^= label as u8;
    let mut output = [0; N];
    UnboundCipherKey::new(algorithm, &master.key[..key_len])
        .and_then(EncryptingKey::ctr)
        .and_then(|key| key.less_safe_encrypt(&mut output, EncryptionContext::Iv128(iv.into())))
        .expect("a key of the algorithm's length expands");
    output
}
