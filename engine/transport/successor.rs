//! A second DTLS association of the same peer, on its way to take the first one's place.
//!
//! Browsers begin a new one, with the same ICE credentials, when the m-line that their BUNDLE group began with is
//! stopped: the description says nothing of it. RFC 6347 section 4.2.8 has the server finish the new handshake
//! before it drops the old association.

use std::time::{Duration, Instant};

use super::{Path, TransportSettings};
use crate::dtls::{Certificate, ClientRandom, Dtls, DtlsEvent};

/// How long a handshake may take before its attempt is forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// The association to come.
pub struct Successor {
    /// Where its handshake comes from.
    pub path: Path,
    /// Of its first message.
    pub random: ClientRandom,
    /// Itself.
    pub dtls: Dtls,
    expires: Instant,
}

impl Successor {
    /// Begins at a ClientHello.
    pub fn new(
        certificate: &Certificate,
        settings: &TransportSettings,
        path: Path,
        random: ClientRandom,
        now: Instant,
    ) -> Successor {
        let fingerprint = settings.fingerprint.clone();
        Successor {
            path,
            random,
            dtls: Dtls::new(certificate, settings.role, fingerprint, now),
            expires: now + PATIENCE,
        }
    }

    /// Drains what is to be sent and tells what happened; `Closed` when it is to be forgotten.
    pub fn poll(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let event = self.dtls.poll(send);
        if event.is_none() && now >= self.expires {
            return Some(DtlsEvent::Closed);
        }
        event
    }

    /// When it is to be looked at.
    pub fn next_timeout(&self) -> Instant {
        let due = self.dtls.next_timeout();
        due.map_or(self.expires, |due| due.min(self.expires))
    }
}

/// Where the random is: behind a record's header (13 bytes), a message's (12) and the version (RFC 6347 section 4.2.2,
/// RFC 5246 section 7.4.1.2; DTLS 1.3 writes the same).
const RANDOM: usize = 27;

/// Reads it from a datagram that begins with the begin of a ClientHello: a handshake record of epoch 0.
pub fn client_random(datagram: &[u8]) -> Option<ClientRandom> {
    let [
        22,
        _,
        _,
        0,
        0,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        1,
        _,
        _,
        _,
        _,
        _,
        0,
        0,
        0,
        ..,
    ] = datagram
    else {
        return None;
    };
    datagram.get(RANDOM..)?.first_chunk().copied()
}
