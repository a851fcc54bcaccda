//! DTLS 1.2 and 1.3 (RFC 6347, RFC 9147) as far as WebRTC needs it: a handshake that ends in keys for SRTP
//! (RFC 5764), and application data, which is SCTP's (RFC 8261).
//!
//! Before the keys are there anybody who knows the peer's address can write records: what a handshake sees of them is decided here
//! (`contenders`, `server_gate`, `client_gate`), and none of them ends it.
//!
//! The only folder that knows the crate `dimpl`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::srtp;

mod assembly;
mod association;
mod client_gate;
mod client_hello;
mod contenders;
mod records;
mod server_gate;
mod server_hello;
#[cfg(test)]
mod tests;

use association::{Association, Outcome};
use client_gate::ClientGate;
pub use client_hello::ClientRandom;
use contenders::Contenders;

/// Our certificate, made at start and used by all sessions of all workers.
#[derive(Clone)]
pub struct Certificate {
    inner: dimpl::DtlsCertificate,
    config: Arc<dimpl::Config>,
    answers: Answers,
}

/// With which version of DTLS a client is answered that speaks several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Answers {
    /// The newest; of the profiles of SRTP the first on the client's list counts.
    Newest,
    /// 1.2 where only that makes AES-GCM win, at a quarter of what AES-CM with HMAC-SHA1 costs (docs/design/srtp-profile).
    #[default]
    Cheapest,
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
            answers: Answers::default(),
        })
    }

    /// The same for a server that answers in another way.
    pub fn answering(self, answers: Answers) -> Certificate {
        Certificate { answers, ..self }
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
    /// Whether it is that of the first certificate in a Certificate message of DTLS 1.2 (RFC 5246 section 7.4.2).
    fn is_of_first(&self, body: &[u8]) -> bool {
        let Some((&[_, _, _, high, middle, low], rest)) = body.split_first_chunk::<6>() else {
            return false;
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        rest.get(..length).is_some_and(|first| self.matches(first))
    }

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
    /// Our handshake as client failed, the certificate is another one's, or the peer said goodbye.
    Closed,
}

/// One session's DTLS connection.
pub struct Dtls {
    state: State,
    role: Role,
    fingerprint: Fingerprint,
    /// Application data of the verified peer; bounded by dimpl's receive queue and taken after each datagram.
    received: VecDeque<Bytes>,
    timeout: Option<Instant>,
}

enum State {
    /// As server, before a handshake is done.
    Answering(Contenders),
    /// As client, before it is.
    Asking(Box<(Association, ClientGate)>),
    /// With the random of the client's first message, where we are the server.
    Running(Association, Option<ClientRandom>),
    Closed,
}

impl Dtls {
    /// A connection that has not begun.
    pub fn new(
        certificate: &Certificate,
        role: Role,
        fingerprint: Fingerprint,
        now: Instant,
    ) -> Dtls {
        let state = match role {
            Role::Passive => State::Answering(Contenders::default()),
            Role::Active => {
                let (config, own) = (certificate.config.clone(), certificate.inner.clone());
                let mut inner = dimpl::Dtls::new_auto(config, own, now);
                inner.set_active(true);
                State::Asking(Box::new((Association::new(inner), ClientGate::default())))
            }
        };
        Dtls {
            state,
            role,
            fingerprint,
            received: VecDeque::new(),
            timeout: (role == Role::Active).then_some(now),
        }
    }

    /// Takes a datagram of records from an address that ICE validated.
    pub fn handle_datagram(&mut self, certificate: &Certificate, now: Instant, datagram: &[u8]) {
        let fingerprint = &self.fingerprint;
        match &mut self.state {
            State::Answering(contenders) => {
                contenders.take(certificate, fingerprint, now, datagram);
            }
            State::Asking(asking) => {
                let (association, gate) = &mut **asking;
                if association.has_sent() {
                    for admitted in gate.admit(now, fingerprint, datagram) {
                        association.take(now, &admitted);
                    }
                }
            }
            State::Running(association, _) => association.take(now, datagram),
            State::Closed => {}
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Answering(contenders) => contenders.handle_timeout(now),
            State::Asking(asking) => {
                let (association, gate) = &mut **asking;
                match gate.admit_retry(now) {
                    Some(request) => association.take(now, &request),
                    None => association.handle_timeout(now),
                }
            }
            State::Running(association, _) => association.handle_timeout(now),
            State::Closed => {}
        }
    }

    /// When `handle_timeout` is due, as of the last `poll`.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Whether a handshake with this random has begun, or is done.
    pub fn knows(&self, random: &ClientRandom) -> bool {
        match &self.state {
            State::Answering(contenders) => contenders.knows(random),
            State::Running(_, known) => known.as_ref() == Some(random),
            State::Asking(_) | State::Closed => false,
        }
    }

    /// Says goodbye; `poll` gives the record to send.
    pub fn close(&mut self) {
        match &mut self.state {
            State::Answering(contenders) => contenders.close(),
            State::Asking(asking) => asking.0.close(),
            State::Running(association, _) => association.close(),
            State::Closed => {}
        }
    }

    /// Application data of the peer, a record each.
    pub fn received(&mut self) -> Option<Bytes> {
        self.received.pop_front()
    }

    /// Protects application data and gives the datagrams to `send`; nothing happens before the handshake is done.
    pub fn send_data(&mut self, data: &[u8], send: impl FnMut(&[u8])) {
        if let State::Running(association, _) = &mut self.state
            && association.protect(data)
        {
            association.drain(&self.fingerprint, &mut self.received, send);
            self.timeout = association.next_timeout();
        }
    }

    /// Drains what is to be sent into `send` and tells what happened.
    pub fn poll(&mut self, send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let outcome = self.drain(send);
        let (timeout, has_ended) = match &self.state {
            State::Answering(contenders) => (contenders.next_timeout(), false),
            State::Asking(asking) => {
                let due = [asking.0.next_timeout(), asking.1.next_timeout()];
                (due.into_iter().flatten().min(), asking.0.has_ended())
            }
            State::Running(association, _) => (association.next_timeout(), association.has_ended()),
            State::Closed => (None, true),
        };
        self.timeout = timeout;
        let event = match outcome {
            Some(Outcome::Done(Some((material, profile)))) => self.split(&material, profile),
            Some(Outcome::Done(None)) => Some(DtlsEvent::WithoutSrtp),
            Some(Outcome::Stranger) => None,
            None if has_ended => None,
            None => return None,
        };
        if event.is_none() {
            self.state = State::Closed;
            self.timeout = None;
        }
        Some(event.unwrap_or(DtlsEvent::Closed))
    }

    /// Tells what a handshake came to that is done now.
    fn drain(&mut self, mut send: impl FnMut(&[u8])) -> Option<Outcome> {
        let Dtls {
            state,
            fingerprint,
            received,
            ..
        } = self;
        let mut outcome = None;
        match state {
            State::Answering(contenders) => {
                let done = contenders.drain(|association, may_speak| {
                    association.drain(fingerprint, received, |record| {
                        if may_speak {
                            send(record);
                        }
                    });
                    outcome = association.outcome();
                    outcome.is_some()
                });
                if let Some((association, random)) = done {
                    *state = State::Running(association, Some(random));
                }
            }
            State::Asking(asking) => {
                asking.0.drain(fingerprint, received, send);
                outcome = asking.0.outcome();
                if outcome.is_some()
                    && let State::Asking(asking) = std::mem::replace(state, State::Closed)
                {
                    *state = State::Running(asking.0, None);
                }
            }
            State::Running(association, _) => association.drain(fingerprint, received, send),
            State::Closed => {}
        }
        outcome
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
