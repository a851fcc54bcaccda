//! Nonces that need no memory: the time, and a MAC over it and the client's address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// RFC 8489 section 9.2: the nonce cookie, and the feature bit of password algorithms (bit 0 of 24).
const COOKIE: &str = "obMatJos2gAAA";
const TIME_LEN: usize = 3;
const MAC_LEN: usize = 8;
/// Letters of a nonce: an answer to a stranger must stay under twice the request.
pub const NONCE_LEN: usize = COOKIE.len() + 15;

/// Makes nonces and checks them.
pub struct Nonces {
    key: hmac::Key,
    lifetime: Duration,
}

impl Nonces {
    /// Nonces of one secret, good for `lifetime`.
    #[must_use]
    pub fn new(secret: &[u8], lifetime: Duration) -> Nonces {
        // A key of its own, so that no nonce is ever a credential.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"nonce");
        Nonces {
            key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            lifetime,
        }
    }

    /// A nonce for a client at this time, in seconds since 1970.
    #[must_use]
    pub fn issue(&self, client: SocketAddr, unix: u64) -> [u8; NONCE_LEN] {
        let [.., a, b, c] = unix.to_be_bytes();
        let mut raw = [0; TIME_LEN + MAC_LEN];
        raw[..TIME_LEN].copy_from_slice(&[a, b, c]);
        raw[TIME_LEN..].copy_from_slice(&self.mac(client, [a, b, c]));
        let mut nonce = [0; NONCE_LEN];
        nonce[..COOKIE.len()].copy_from_slice(COOKIE.as_bytes());
        // Eleven bytes are fifteen letters, always.
        let _ = URL_SAFE_NO_PAD.encode_slice(raw, &mut nonce[COOKIE.len()..]);
        nonce
    }

    /// Whether this nonce was made for this client, not too long ago.
    #[must_use]
    pub fn is_fresh(&self, nonce: &str, client: SocketAddr, unix: u64) -> bool {
        let Some(text) = nonce.strip_prefix(COOKIE) else {
            return false;
        };
        let mut raw = [0; TIME_LEN + MAC_LEN];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut raw) != Ok(raw.len()) {
            return false;
        }
        let time = [raw[0], raw[1], raw[2]];
        let issued = u64::from(u32::from_be_bytes([0, time[0], time[1], time[2]]));
        // The time wraps after half a year; a nonce from the future is old.
        let age = unix.wrapping_sub(issued) & 0x00ff_ffff;
        age <= self.lifetime.as_secs()
            && aws_lc_rs::constant_time::verify_slices_are_equal(
                &self.mac(client, time),
                &raw[TIME_LEN..],
            )
            .is_ok()
    }

    fn mac(&self, client: SocketAddr, time: [u8; TIME_LEN]) -> [u8; MAC_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&time);
        match client.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&client.port().to_be_bytes());
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&context.sign().as_ref()[..MAC_LEN]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_client_and_for_its_time() {
        let nonces = Nonces::new(b"secret", Duration::from_secs(600));
        let client = "192.0.2.1:5000".parse().unwrap();
        let other = "192.0.2.1:5001".parse().unwrap();
        // Around the moment at which 24 bits of seconds wrap.
        for unix in [1_764_019_200, 0x0fff_fffe] {
            let nonce = nonces.issue(client, unix);
            let nonce = std::str::from_utf8(&nonce).unwrap();
            assert!(nonces.is_fresh(nonce, client, unix));
            assert!(nonces.is_fresh(nonce, client, unix + 600));
            assert!(!nonces.is_fresh(nonce, client, unix + 601));
            assert!(!nonces.is_fresh(nonce, client, unix - 1));
            assert!(!nonces.is_fresh(nonce, other, unix));
            assert!(!nonces.is_fresh(&nonce[..nonce.len() - 1], client, unix));
            assert!(
                !Nonces::new(b"another", Duration::from_secs(600)).is_fresh(nonce, client, unix)
            );
        }
        for bad in [
            "",
            COOKIE,
            "obMatJos2gAAA\u{e4}\u{e4}\u{e4}",
            "obMatJos2gAAA~~~~~~~~~~~~~~~",
        ] {
            assert!(!nonces.is_fresh(bad, client, 1_764_019_200));
        }
    }
}
