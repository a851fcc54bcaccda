//! What of the peer's datagrams a server's handshake sees. In DTLS 1.3 all that follows the ClientHello is protected. In DTLS 1.2
//! the client's second flight begins in plain, where anybody may write; but its Certificate is the one that the description names
//! by its fingerprint, which nobody else has. So what belongs to that flight counts in the datagram that completes that message
//! and after it, and is given on when it is whole. All other records in plain are dropped (RFC 6347 section 4.1.2.7).

use super::Fingerprint;
use super::assembly::Assembly;
use super::records::{Fragment, Message, Piece, pieces};

const CERTIFICATE: u8 = 11;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Of one handshake.
pub struct ServerGate {
    assembly: Assembly,
    /// The number of the first message after the ClientHello.
    next: u16,
    stage: Stage,
}

enum Stage {
    /// The Certificate is awaited.
    Certificate,
    /// What follows it is.
    Exchange {
        certificate: Message,
        key: Option<Message>,
        verify: Option<Message>,
    },
    /// The flight was given on; ChangeCipherSpec is awaited.
    Given,
    /// The peer protects its records.
    Open,
}

impl ServerGate {
    /// After a ClientHello of that number.
    pub fn new(hello: u16) -> ServerGate {
        ServerGate {
            assembly: Assembly::default(),
            next: hello.wrapping_add(1),
            stage: Stage::Certificate,
        }
    }

    /// Another ClientHello of the same handshake was taken.
    pub fn advance(&mut self, hello: u16) {
        *self = ServerGate::new(hello);
    }

    /// The datagrams that the handshake sees of one.
    pub fn admit(
        &mut self,
        is_13: bool,
        fingerprint: &Fingerprint,
        datagram: &[u8],
    ) -> Vec<Vec<u8>> {
        if matches!(self.stage, Stage::Open) {
            // Records in plain make it send its last flight again, and no more.
            return vec![datagram.to_vec()];
        }
        let mut admitted = Vec::new();
        let mut protected = Vec::new();
        for piece in pieces(datagram) {
            match piece {
                Piece::Unified(records) if is_13 => protected.extend(records),
                Piece::Fragment(fragment) if !is_13 => {
                    admitted.extend(self.take(&fragment, fingerprint));
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

    /// Gives the flight once it is whole.
    fn take(&mut self, fragment: &Fragment<'_>, fingerprint: &Fingerprint) -> Option<Vec<u8>> {
        let place = fragment.number.wrapping_sub(self.next);
        let fits = match &self.stage {
            Stage::Certificate => (fragment.kind, place) == (CERTIFICATE, 0),
            Stage::Exchange { .. } => matches!(
                (fragment.kind, place),
                (CERTIFICATE, 0) | (CLIENT_KEY_EXCHANGE, 1) | (CERTIFICATE_VERIFY, 2)
            ),
            Stage::Given | Stage::Open => false,
        };
        if !fits {
            return None;
        }
        let message = self.assembly.add(fragment)?;
        match (&mut self.stage, message.kind) {
            // The flight was sent again where it was seen before: all of it counts anew.
            (_, CERTIFICATE) if fingerprint.is_of_first(&message.body) => {
                self.stage = Stage::Exchange {
                    certificate: message,
                    key: None,
                    verify: None,
                };
            }
            (Stage::Exchange { key, .. }, CLIENT_KEY_EXCHANGE) => *key = Some(message),
            (Stage::Exchange { verify, .. }, CERTIFICATE_VERIFY) => *verify = Some(message),
            _ => {}
        }
        let Stage::Exchange {
            certificate,
            key: Some(key),
            verify: Some(verify),
        } = &self.stage
        else {
            return None;
        };
        let mut flight = Vec::new();
        for message in [certificate, key, verify] {
            message.write(&mut flight);
        }
        self.stage = Stage::Given;
        Some(flight)
    }
}
