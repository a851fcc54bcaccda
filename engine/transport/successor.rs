//! A second DTLS association of the same peer, on its way to take the first one's place.
//!
//! Browsers begin a new one, with the same ICE credentials, when the m-line that their BUNDLE group began with is
//! stopped: the description says nothing of it. RFC 6347 section 4.2.8 has the server finish the new handshake
//! before it drops the old association.

use std::time::{Duration, Instant};

use super::{Path, TransportSettings};
use crate::dtls::{Certificate, Dtls, DtlsEvent};

/// How long a handshake may take before its attempt is forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// The association to come.
pub struct Successor {
    /// Where its handshake comes from.
    pub path: Path,
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
        now: Instant,
    ) -> Successor {
        let fingerprint = settings.fingerprint.clone();
        Successor {
            path,
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

/// Whether a datagram begins a handshake: a handshake record of epoch 0 with a ClientHello in it
/// (RFC 6347 section 4.1 and 4.2.2; DTLS 1.3 writes the same).
pub fn is_client_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [22, _, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}
