//! DTLS 1.2 and 1.3 (RFC 6347, RFC 9147) as far as WebRTC needs it: a handshake that ends in keys for SRTP
//! (RFC 5764), and application data, which is SCTP's (RFC 8261).
//!
//! The only folder that knows the crate `dimpl`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::srtp;

mod profile_preference;

/// Our certificate, made at start and used by all sessions of all workers.
#[derive(Clone)]
pub struct Certificate {
    inner: dimpl::DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Certificate {
    /// Makes a self-signed ECDSA P-256 certificate.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn generate() -> Result<Certificate, String> {
        let inner = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| error.to_string())?;
        let config = dimpl::Config::builder()
            // ICE has proved the peer's address before its first record is looked at, so a cookie
            // would only cost a round trip.
            .use_server_cookie(false)
            .flight_start_rto(Duration::from_millis(200))
            .flight_retries(6)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Certificate {
            inner,
            config: Arc::new(config),
        })
    }

    /// SHA-256 over the certificate's DER (RFC 8122 section 5).
    pub fn sha256(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.inner.certificate)
            .as_ref()
            .to_vec()
    }
}

/// Our side of the handshake (RFC 5763 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Server.
    Passive,
    /// Client.
    Active,
}

/// What the peer's certificate must hash to.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function.
    pub algorithm: HashAlgorithm,
    /// The hash of the certificate's DER.
    pub digest: Vec<u8>,
}

/// Hash functions of `a=fingerprint` that are strong enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Fingerprint {
    fn matches(&self, certificate: &[u8]) -> bool {
        let algorithm = match self.algorithm {
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha384 => &digest::SHA384,
            HashAlgorithm::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, certificate).as_ref() == self.digest
    }
}

/// What came of a record or of time passing.
pub enum DtlsEvent {
    /// The handshake is done and the peer is who the description says.
    Keys {
        /// The SRTP profile that was agreed.
        profile: srtp::Profile,
        /// Protects what we send.
        sender: srtp::Master,
        /// Opens what the peer sends.
        receiver: srtp::Master,
    },
    /// The handshake is done with a peer that has no use for SRTP: application data is all that it sends.
    WithoutSrtp,
    /// The handshake failed, the certificate is another one's, or the peer said goodbye.
    Closed,
}

/// One session's DTLS connection.
pub struct Dtls {
    state: State,
    role: Role,
    fingerprint: Fingerprint,
    peer_verified: bool,
    keys: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    /// Set for one `poll` when the handshake is done.
    connected: bool,
    said_goodbye: bool,
    /// Application data of the verified peer; bounded by dimpl's receive queue and taken after each datagram.
    received: VecDeque<Bytes>,
    timeout: Option<Instant>,
}

enum State {
    /// As server before the peer's ClientHello is whole: the version is not chosen yet.
    Listening(profile_preference::FirstFlight),
    Running(Box<dimpl::Dtls>),
    Closed,
}

/// Records of WebRTC peers fit into a datagram; a larger one gets a buffer of its own.
const RECORD_BUFFER: usize = 2048;

impl Dtls {
    /// A connection that has not begun.
    pub fn new(
        certificate: &Certificate,
        role: Role,
        fingerprint: Fingerprint,
        now: Instant,
    ) -> Dtls {
        let state = match role {
            Role::Passive => State::Listening(profile_preference::FirstFlight::default()),
            Role::Active => {
                let mut inner = dimpl::Dtls::new_auto(
                    certificate.config.clone(),
                    certificate.inner.clone(),
                    now,
                );
                inner.set_active(true);
                State::Running(Box::new(inner))
            }
        };
        Dtls {
            state,
            role,
            fingerprint,
            peer_verified: false,
            keys: None,
            connected: false,
            said_goodbye: false,
            received: VecDeque::new(),
            timeout: (role == Role::Active).then_some(now),
        }
    }

    /// Takes a datagram of records from an address that ICE validated.
    pub fn handle_datagram(&mut self, certificate: &Certificate, now: Instant, datagram: &[u8]) {
        if let State::Listening(flight) = &mut self.state {
            let Some(version) = flight.add(datagram) else {
                return;
            };
            let config = certificate.config.clone();
            let own = certificate.inner.clone();
            let mut inner = match version {
                profile_preference::Version::Any => dimpl::Dtls::new_auto(config, own, now),
                profile_preference::Version::Dtls12 => dimpl::Dtls::new_12(config, own, now),
            };
            let records = flight.take();
            let begun = inner.handle_timeout(now).is_ok()
                && records
                    .iter()
                    .all(|record| inner.handle_packet(record).is_ok());
            self.state = if begun {
                State::Running(Box::new(inner))
            } else {
                State::Closed
            };
            return;
        }
        if let State::Running(inner) = &mut self.state {
            let handled = inner
                .handle_timeout(now)
                .and_then(|()| inner.handle_packet(datagram));
            if handled.is_err() {
                self.state = State::Closed;
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Running(inner) = &mut self.state
            && inner.handle_timeout(now).is_err()
        {
            self.state = State::Closed;
        }
    }

    /// When `handle_timeout` is due, as of the last `poll`.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Says goodbye; `poll` gives the record to send.
    pub fn close(&mut self) {
        if let State::Running(inner) = &mut self.state {
            // A connection that cannot be closed any more is closed.
            let _ = inner.close();
        }
    }

    /// Application data of the peer, a record each.
    pub fn received(&mut self) -> Option<Bytes> {
        self.received.pop_front()
    }

    /// Protects application data and gives the datagrams to `send`; nothing happens before the handshake is done.
    pub fn send_data(&mut self, data: &[u8], send: impl FnMut(&[u8])) {
        if let State::Running(inner) = &mut self.state
            && self.peer_verified
            && inner.send_application_data(data).is_ok()
        {
            self.drain(send);
        }
    }

    /// Drains what is to be sent into `send` and tells what happened.
    pub fn poll(&mut self, send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        self.drain(send);
        match self.state {
            State::Listening(_) => return None,
            State::Running(_) => {}
            State::Closed => {
                self.timeout = None;
                return Some(DtlsEvent::Closed);
            }
        }
        let mut closed = self.said_goodbye;
        if let Some((material, profile)) = self.keys.take() {
            // Keys of a peer that is not the described one are worth nothing (RFC 5763 section 5).
            self.connected = false;
            match self.peer_verified.then(|| self.split(&material, profile)) {
                Some(Some(keys)) => return Some(keys),
                _ => closed = true,
            }
        } else if std::mem::take(&mut self.connected) {
            match self.peer_verified {
                true => return Some(DtlsEvent::WithoutSrtp),
                false => closed = true,
            }
        }
        if closed {
            self.state = State::Closed;
            self.timeout = None;
            return Some(DtlsEvent::Closed);
        }
        None
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) {
        let State::Running(inner) = &mut self.state else {
            return;
        };
        let mut usual = [0; RECORD_BUFFER];
        let mut large = Vec::new();
        loop {
            let buffer = if large.is_empty() {
                &mut usual[..]
            } else {
                &mut large[..]
            };
            match inner.poll_output(buffer) {
                dimpl::Output::Packet(record) => send(record),
                dimpl::Output::BufferTooSmall { needed } => large = vec![0; needed],
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                dimpl::Output::Connected => self.connected = true,
                dimpl::Output::PeerCert(der) => self.peer_verified = self.fingerprint.matches(der),
                dimpl::Output::KeyingMaterial(material, profile) => {
                    self.keys = Some((material, profile));
                }
                dimpl::Output::ApplicationData(data) if self.peer_verified => {
                    self.received.push_back(Bytes::copy_from_slice(data));
                }
                dimpl::Output::CloseNotify => self.said_goodbye = true,
                _ => {}
            }
        }
    }

    fn split(&self, material: &[u8], profile: dimpl::SrtpProfile) -> Option<DtlsEvent> {
        let profile = match profile {
            dimpl::SrtpProfile::AEAD_AES_128_GCM => srtp::Profile::AeadAes128Gcm,
            dimpl::SrtpProfile::AEAD_AES_256_GCM => srtp::Profile::AeadAes256Gcm,
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => srtp::Profile::Aes128CmHmacSha1_80,
            _ => return None,
        };
        let [client, server] = srtp::split_keying_material(profile, material)?;
        let (sender, receiver) = match self.role {
            Role::Active => (client, server),
            Role::Passive => (server, client),
        };
        Some(DtlsEvent::Keys {
            profile,
            sender,
            receiver,
        })
    }
}
