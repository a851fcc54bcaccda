//! Credentials that carry their own proof.
//!
//! A username is `<expiry>.<key id>.<random>`: seconds since 1970, the TURN key that issued it, and what makes it
//! unlike others. Its password is HMAC-SHA-256 of the username under the shared secret, in hex. Control writes the
//! same in `control/turn/credentials.ts`; a test on each side holds the same example.

use aws_lc_rs::{digest, hmac};
use md5::{Digest, Md5};

/// The realm of everything here (RFC 8489 section 14.9). Short, because it goes into answers to strangers.
pub const REALM: &str = "turn";
/// Longer usernames are nobody's.
const USERNAME_MAX: usize = 128;

/// What a username says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Seconds since 1970 at which it ends.
    pub expires: u64,
    /// The TURN key that issued it.
    pub key_id: &'a str,
}

/// Reads a username; none where it is not one of ours. That it is genuine, only the password tells.
#[must_use]
pub fn claim(username: &str) -> Option<Claim<'_>> {
    if username.len() > USERNAME_MAX {
        return None;
    }
    let mut parts = username.split('.');
    let (expires, key_id, random) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let whole = parts.next().is_none() && is_word(key_id) && is_word(random);
    // A sign would be accepted by parse.
    let expires = expires
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| expires.parse().ok())??;
    whole.then_some(Claim { expires, key_id })
}

/// The password of a username, in lower-case hex.
#[must_use]
pub fn password(secret: &hmac::Key, username: &str) -> [u8; 64] {
    let mut hex = [0; 64];
    for (byte, digits) in hmac::sign(secret, username.as_bytes())
        .as_ref()
        .iter()
        .zip(hex.chunks_exact_mut(2))
    {
        digits[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        digits[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

/// How the key of a message's integrity is made of the password (RFC 8489 section 18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// RFC 8489 section 18.5.1.1: what all clients know.
    Md5,
    /// RFC 8489 section 18.5.1.2.
    Sha256,
}

/// The key of a long-term credential (RFC 8489 section 9.2.2): the first 16 bytes with MD5, all 32 with SHA-256.
#[must_use]
pub fn key(algorithm: PasswordAlgorithm, username: &str, password: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 5] = [username.as_bytes(), b":", REALM.as_bytes(), b":", password];
    match algorithm {
        PasswordAlgorithm::Md5 => {
            let mut hash = Md5::new();
            for part in parts {
                hash.update(part);
            }
            hash.finalize().to_vec()
        }
        PasswordAlgorithm::Sha256 => {
            let mut hash = digest::Context::new(&digest::SHA256);
            for part in parts {
                hash.update(part);
            }
            hash.finish().as_ref().to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_read_and_others_refused() {
        let good = claim("1764019200.0123abcd.r4nd0m").unwrap();
        assert_eq!((good.expires, good.key_id), (1_764_019_200, "0123abcd"));
        for bad in [
            "",
            "1",
            "1.a",
            "1.a.",
            "1..b",
            ".a.b",
            "1.a.b.c",
            "+1.a.b",
            "-1.a.b",
            "99999999999999999999999.a.b",
            "1.a/.b",
            "1.ä.b",
        ] {
            assert_eq!(claim(bad), None, "{bad}");
        }
        assert_eq!(claim(&format!("1.a.{}", "b".repeat(200))), None);
    }

    // The same example is in control/turn/credentials.test.ts.
    #[test]
    fn the_password_is_what_control_issues() {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, b"example secret of both halves");
        let text = password(&secret, "1764019200.0123abcd.r4nd0m");
        assert_eq!(std::str::from_utf8(&text).unwrap(), EXAMPLE);
    }

    const EXAMPLE: &str = "4d1ac84480f1b225d8acc4ddb75c1795af46c7c1ab72eb4ab7ae6ead51bdf321";

    // RFC 8489 section 14.7 and RFC 5769 section 2.4 use another realm, so the formula is checked by its parts.
    #[test]
    fn keys_have_the_length_of_their_hash() {
        assert_eq!(key(PasswordAlgorithm::Md5, "u", b"p").len(), 16);
        assert_eq!(key(PasswordAlgorithm::Sha256, "u", b"p").len(), 32);
        // printf %s u:turn:p | md5sum
        assert_eq!(key(PasswordAlgorithm::Md5, "u", b"p")[..2], MD5_START);
    }

    const MD5_START: [u8; 2] = [0x64, 0x34];
}
