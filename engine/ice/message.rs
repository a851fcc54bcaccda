//! The STUN messages that a lite agent writes by itself.

use std::net::SocketAddr;

use aws_lc_rs::rand;
use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::Credentials;

/// Of a peer-reflexive candidate (RFC 8445 sections 5.1.2.1 and 7.1.1).
const PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;
/// Room for a header, a user name of 513 bytes (RFC 8489 section 14.3) and all other attributes.
const MAX_MESSAGE: usize = 1024;

/// A transaction that nobody guesses: whoever knows it, receives at the address that it was sent to.
pub fn transaction() -> Option<TransId> {
    // An indication without attributes; only its transaction counts.
    let mut message = [0; 20];
    message[..8].copy_from_slice(&[0, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    rand::fill(&mut message[8..]).ok()?;
    StunMessage::parse(&message).ok().map(|m| m.trans_id())
}

/// A check of ours in the controlled role, which nominates nothing.
pub fn check(local: &Credentials, remote: &Credentials, transaction: TransId) -> Option<Vec<u8>> {
    let user = format!("{}:{}", remote.ufrag, local.ufrag);
    let message = StunMessage::binding_request(&user, transaction, false, 0, PRIORITY, false);
    bytes(message, &remote.password)
}

/// The answer to a check that came from `source`.
pub fn answer(local: &Credentials, transaction: TransId, source: SocketAddr) -> Option<Vec<u8>> {
    bytes(
        StunMessage::binding_reply(transaction, source),
        &local.password,
    )
}

/// Whether a message was made with this password.
pub fn is_authentic(message: &StunMessage<'_>, password: &str) -> bool {
    message.verify(password.as_bytes(), hmac)
}

fn bytes(message: StunMessage<'_>, password: &str) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_MESSAGE];
    let length = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .ok()?;
    Some(buffer[..length].to_vec())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, parts)
}
