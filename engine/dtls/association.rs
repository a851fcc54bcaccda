//! One run of the DTLS state machine, and what it has given.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::Fingerprint;

/// A handshake, and the connection that it makes.
pub struct Association {
    inner: Box<dimpl::Dtls>,
    peer_verified: bool,
    keys: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    connected: bool,
    said_goodbye: bool,
    failed: bool,
    timeout: Option<Instant>,
    sent: bool,
}

/// What a handshake came to.
pub enum Outcome {
    /// The peer's certificate is another one than the description names: its keys are worth nothing (RFC 5763 section 5).
    Stranger,
    /// Done, with keys for SRTP where the peer speaks it.
    Done(Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>),
}

/// Records of WebRTC peers fit into a datagram; a larger one gets a buffer of its own.
const RECORD_BUFFER: usize = 2048;

impl Association {
    pub fn new(inner: dimpl::Dtls) -> Association {
        Association {
            inner: Box::new(inner),
            peer_verified: false,
            keys: None,
            connected: false,
            said_goodbye: false,
            failed: false,
            timeout: None,
            sent: false,
        }
    }

    /// Takes a datagram of records.
    pub fn take(&mut self, now: Instant, datagram: &[u8]) {
        self.handle_timeout(now);
        let handled = self.inner.handle_packet(datagram);
        self.note(handled);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let handled = self.inner.handle_timeout(now);
        self.note(handled);
    }

    /// Most errors speak of a record that anybody may have written: it is dropped (RFC 6347 section 4.1.2.7). An alert counts, for
    /// one in plain never comes so far. Where a handshake cannot go on, its timer ends it.
    fn note<T>(&mut self, handled: Result<T, dimpl::Error>) {
        self.failed |= matches!(
            handled,
            Err(dimpl::Error::Timeout(_)
                | dimpl::Error::ConnectionClosed
                | dimpl::Error::SecurityError(dimpl::SecurityError::FatalAlert { .. }))
        );
    }

    /// Says goodbye. A connection that cannot be closed any more is closed.
    pub fn close(&mut self) {
        let _ = self.inner.close();
    }

    /// Protects application data for the verified peer; whether it did.
    pub fn protect(&mut self, data: &[u8]) -> bool {
        self.peer_verified && self.inner.send_application_data(data).is_ok()
    }

    /// Gives what is to be sent to `send`, and application data of the verified peer to `received`.
    pub fn drain(
        &mut self,
        fingerprint: &Fingerprint,
        received: &mut VecDeque<Bytes>,
        mut send: impl FnMut(&[u8]),
    ) {
        let mut usual = [0; RECORD_BUFFER];
        let mut large = Vec::new();
        loop {
            let buffer = if large.is_empty() {
                &mut usual[..]
            } else {
                &mut large[..]
            };
            match self.inner.poll_output(buffer) {
                dimpl::Output::Packet(record) => {
                    self.sent = true;
                    send(record);
                }
                dimpl::Output::BufferTooSmall { needed } => large = vec![0; needed],
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                dimpl::Output::Connected => self.connected = true,
                dimpl::Output::PeerCert(der) => self.peer_verified = fingerprint.matches(der),
                dimpl::Output::KeyingMaterial(material, profile) => {
                    self.keys = Some((material, profile));
                }
                dimpl::Output::ApplicationData(data) if self.peer_verified => {
                    received.push_back(Bytes::copy_from_slice(data));
                }
                dimpl::Output::CloseNotify => self.said_goodbye = true,
                _ => {}
            }
        }
    }

    /// What the handshake came to, once.
    pub fn outcome(&mut self) -> Option<Outcome> {
        let is_done = std::mem::take(&mut self.connected) || self.keys.is_some();
        is_done.then(|| match self.peer_verified {
            true => Outcome::Done(self.keys.take()),
            false => Outcome::Stranger,
        })
    }

    /// Whether the peer said goodbye, or the handshake failed.
    pub fn has_ended(&self) -> bool {
        self.said_goodbye || self.failed
    }

    /// Whether anything was sent: before that no answer can be the peer's.
    pub fn has_sent(&self) -> bool {
        self.sent
    }

    /// Whether it is of DTLS 1.3.
    pub fn is_13(&self) -> bool {
        self.inner.protocol_version() == Some(dimpl::ProtocolVersion::DTLS1_3)
    }

    /// When `handle_timeout` is due, as of the last `drain`.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }
}
