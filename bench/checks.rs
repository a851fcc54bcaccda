//! Connectivity checks (RFC 8445 section 7) of an endpoint that has one address and nominates at once.

use std::net::SocketAddr;

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

pub const PASSWORD: &str = "benchbenchbenchbenchbench";

/// What a peer's STUN message is to us.
pub enum Heard {
    /// Its answer to a check of ours.
    Success,
    /// A check of its own, with the answer to send. A peer that isn't ICE-lite takes no nomination before it has one.
    Check(Vec<u8>),
}

/// A check from the user `own` to the user `peer`; in the controlling role it nominates.
pub fn check(peer: &str, password: &str, own: &str, is_controlling: bool) -> Vec<u8> {
    let user = format!("{peer}:{own}");
    let id = TransId::new();
    let message =
        StunMessage::binding_request(&user, id, is_controlling, 1, 1 << 24, is_controlling);
    bytes(message, password)
}

/// Reads what came from `source`.
pub fn hear(datagram: &[u8], source: SocketAddr) -> Option<Heard> {
    let message = StunMessage::parse(datagram).ok()?;
    if message.is_successful_binding_response() {
        return Some(Heard::Success);
    }
    message.is_binding_request().then(|| {
        let reply = StunMessage::binding_reply(message.trans_id(), source);
        Heard::Check(bytes(reply, PASSWORD))
    })
}

fn bytes(message: StunMessage<'_>, password: &str) -> Vec<u8> {
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let mut buffer = vec![0; 1024];
    let length = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .unwrap_or(0);
    buffer.truncate(length);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_check_is_answered_with_its_own_transaction() {
        let source = SocketAddr::from(([127, 0, 0, 1], 4000));
        let asked = check("bench0", PASSWORD, "peer", true);
        let Some(Heard::Check(reply)) = hear(&asked, source) else {
            panic!("a request was not heard");
        };
        let read = StunMessage::parse(&reply).unwrap();
        assert_eq!(read.mapped_address(), Some(source));
        assert_eq!(
            read.trans_id(),
            StunMessage::parse(&asked).unwrap().trans_id()
        );
        assert!(matches!(hear(&reply, source), Some(Heard::Success)));
        assert!(hear(&[0; 30], source).is_none());
    }
}
