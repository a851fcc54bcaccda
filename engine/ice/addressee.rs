//! Whom a STUN message is for, read before anything in it is believed.

use is::stun::StunMessage;

/// The transaction ID of a STUN message (RFC 8489 section 5).
pub type TransactionId = [u8; 12];

/// How a STUN message names the session that it is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// A check: our username fragment, the first half of its user name (RFC 8445 section 7.2.2).
    Ufrag(&'a str),
    /// An answer, which has no user name: the transaction of our check.
    Transaction(TransactionId),
}

/// Reads for which session a datagram is; none for what is neither a check nor an answer to one.
pub fn addressee(datagram: &[u8]) -> Option<Addressee<'_>> {
    let message = StunMessage::parse(datagram).ok()?;
    if message.is_binding_request() {
        let (ufrag, _) = message.username()?.split_once(':')?;
        return Some(Addressee::Ufrag(ufrag));
    }
    if message.is_successful_binding_response() || message.is_failed_binding_response() {
        return transaction(datagram).map(Addressee::Transaction);
    }
    None
}

/// The transaction of a binding request of our own, none for our answers.
pub fn transaction_of_request(datagram: &[u8]) -> Option<TransactionId> {
    const BINDING_REQUEST: &[u8] = &[0, 1];
    if !datagram.starts_with(BINDING_REQUEST) {
        return None;
    }
    transaction(datagram)
}

fn transaction(datagram: &[u8]) -> Option<TransactionId> {
    datagram.get(8..20)?.try_into().ok()
}
