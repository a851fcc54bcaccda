//! What of the peer's datagrams a client's handshake sees. A server's flight of DTLS 1.2 is in plain, where anybody may write; it is
//! given on when it is whole and has the Certificate that the description names by its fingerprint, which nobody else has. What
//! belongs to it counts in the datagram that completes that message and after it. Of DTLS 1.3 only the ServerHello is in plain.
//! All other records in plain are dropped (RFC 6347 section 4.1.2.7, RFC 9147 section 4.5.2).

use std::time::{Duration, Instant};

use super::Fingerprint;
use super::assembly::Assembly;
use super::records::{Fragment, Message, Piece, pieces};
use super::server_hello::{self, ServerHello};

const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;

/// How long a HelloVerifyRequest waits for a ServerHello that shows it to be forged: it would choose DTLS 1.2 and begin the
/// handshake anew, of which a server that has answered already knows nothing.
const RETRY_WAITS: Duration = Duration::from_millis(100);

/// Of one handshake.
#[derive(Default)]
pub struct ClientGate {
    assembly: Assembly,
    /// The number of the awaited ServerHello.
    next: u16,
    stage: Stage,
    /// The newest HelloVerifyRequest, until it counts.
    retry: Option<(Instant, Message)>,
}

#[derive(Default)]
enum Stage {
    /// A ServerHello is awaited; the newest of DTLS 1.2 is kept until its Certificate comes.
    #[default]
    Begun,
    Offered(Message),
    /// What follows the Certificate is awaited.
    Exchange(Vec<Message>),
    /// The flight of DTLS 1.2 was given on; ChangeCipherSpec is awaited.
    Given,
    /// The peer protects its records, in the way of DTLS 1.2.
    Open,
    /// In that of DTLS 1.3.
    Open13,
}

impl ClientGate {
    /// The datagrams that the handshake sees of one.
    pub fn admit(
        &mut self,
        now: Instant,
        fingerprint: &Fingerprint,
        datagram: &[u8],
    ) -> Vec<Vec<u8>> {
        if matches!(self.stage, Stage::Open) {
            return vec![datagram.to_vec()];
        }
        let mut admitted = Vec::new();
        let mut protected = Vec::new();
        for piece in pieces(datagram) {
            match piece {
                Piece::Fragment(fragment) => {
                    let taken = self.take(now, &fragment, fingerprint);
                    match self.stage {
                        // What follows a ServerHello in its datagram is protected by what that says.
                        Stage::Open13 => protected.extend(taken.unwrap_or_default()),
                        _ => admitted.extend(taken),
                    }
                }
                Piece::Unified(records) if matches!(self.stage, Stage::Open13) => {
                    protected.extend(records);
                }
                Piece::ChangeCipherSpec(record) if matches!(self.stage, Stage::Given) => {
                    self.stage = Stage::Open;
                    protected.extend(record);
                }
                Piece::Protected(record) if matches!(self.stage, Stage::Open) => {
                    protected.extend(record);
                }
                _ => {}
            }
        }
        if !protected.is_empty() {
            admitted.push(protected);
        }
        admitted
    }

    /// When `admit_retry` is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.retry.as_ref().map(|(due, _)| *due)
    }

    /// A HelloVerifyRequest to which nothing spoke against.
    pub fn admit_retry(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (_, request) = self.retry.take_if(|(due, _)| *due <= now)?;
        match self.stage {
            Stage::Begun | Stage::Offered(_) => {
                self.stage = Stage::Begun;
                self.next = 1;
                Some(request.datagram())
            }
            _ => None,
        }
    }

    fn take(
        &mut self,
        now: Instant,
        fragment: &Fragment<'_>,
        fingerprint: &Fingerprint,
    ) -> Option<Vec<u8>> {
        if !self.fits(fragment.kind, fragment.number) {
            return None;
        }
        let message = self.assembly.add(fragment)?;
        match message.kind {
            HELLO_VERIFY_REQUEST => {
                if is_verify_request(&message.body) {
                    let due = self.retry.take().map(|(due, _)| due);
                    self.retry = Some((due.unwrap_or(now + RETRY_WAITS), message));
                }
                None
            }
            SERVER_HELLO => self.take_hello(message),
            CERTIFICATE => {
                self.take_certificate(message, fingerprint);
                None
            }
            _ => self.take_exchange(message),
        }
    }

    fn fits(&self, kind: u8, number: u16) -> bool {
        let place = number.wrapping_sub(self.next);
        match &self.stage {
            Stage::Begun | Stage::Offered(_) => match kind {
                SERVER_HELLO => place == 0,
                CERTIFICATE => place == 1 && matches!(self.stage, Stage::Offered(_)),
                HELLO_VERIFY_REQUEST => number == 0 && self.next == 0,
                _ => false,
            },
            Stage::Exchange(known) => match kind {
                CERTIFICATE => place == 1,
                SERVER_KEY_EXCHANGE => place == 2 && known.len() == 2,
                CERTIFICATE_REQUEST => place == 3 && known.len() == 3,
                // A peer of WebRTC always asks for our certificate (RFC 8827 section 6.5).
                SERVER_HELLO_DONE => place == 4 && known.len() == 4,
                _ => false,
            },
            Stage::Given | Stage::Open | Stage::Open13 => false,
        }
    }

    fn take_hello(&mut self, message: Message) -> Option<Vec<u8>> {
        match server_hello::read(&message.body)? {
            ServerHello::Dtls12 => {
                self.stage = Stage::Offered(message);
                None
            }
            ServerHello::Dtls13 => {
                self.stage = Stage::Open13;
                Some(message.datagram())
            }
            // A second one is none (RFC 8446 section 4.1.4).
            ServerHello::Retry if self.next > 0 => None,
            ServerHello::Retry => {
                self.next = 1;
                self.stage = Stage::Begun;
                Some(message.datagram())
            }
        }
    }

    fn take_certificate(&mut self, message: Message, fingerprint: &Fingerprint) {
        if !fingerprint.is_of_first(&message.body) {
            return;
        }
        match std::mem::take(&mut self.stage) {
            Stage::Offered(hello) => self.stage = Stage::Exchange(vec![hello, message]),
            // The flight was sent again: what follows the Certificate counts anew.
            Stage::Exchange(mut known) => {
                known.truncate(1);
                known.push(message);
                self.stage = Stage::Exchange(known);
            }
            other => self.stage = other,
        }
    }

    /// Gives the flight once it is whole.
    fn take_exchange(&mut self, message: Message) -> Option<Vec<u8>> {
        let Stage::Exchange(known) = &mut self.stage else {
            return None;
        };
        let is_last = message.kind == SERVER_HELLO_DONE;
        if is_last && !message.body.is_empty() {
            return None;
        }
        known.push(message);
        if !is_last {
            return None;
        }
        let mut flight = Vec::new();
        for message in known {
            message.write(&mut flight);
        }
        self.stage = Stage::Given;
        Some(flight)
    }
}

/// RFC 6347 section 4.2.1.
fn is_verify_request(body: &[u8]) -> bool {
    matches!(body, [0xfe, 0xff | 0xfd, length, cookie @ ..] if cookie.len() == usize::from(*length))
}
