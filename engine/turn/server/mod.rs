//! The server, sans-IO: what a client or a peer sent goes in, calls of `Wire` come out.

mod allocate;
mod allocation;
mod authenticate;
mod counters;
mod message;
mod nonce;
mod peers;
mod relay;
mod table;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use stun_types::message::{BINDING, Message, MessageClass};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

pub use counters::{Counters, Drop};

use crate::peer_policy::PeerPolicy;
use crate::revoked::Revocation;
use message::{Refusal, SigningKey, Success};
use nonce::Nonces;
use table::Table;

slotmap::new_key_type! {
    /// A relay's socket, as the owner of the sockets knows it.
    pub struct RelayKey;
}

/// Room for the longest message that we write: an indication with a whole datagram.
const SCRATCH_LEN: usize = 2048 + 128;

/// The client's end of a connection, with our end: with the protocol this is the 5-tuple of RFC 8656 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The socket or the connection that it came by; never used again for another connection.
    pub socket: u64,
    /// Where it came from.
    pub address: SocketAddr,
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what lasts.
    pub instant: Instant,
    /// Seconds since 1970, for what other machines wrote.
    pub unix: u64,
}

/// Which port a client wants (RFC 8656 section 18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, and the next one too.
    EvenAndNext,
}

/// Sockets of a relay.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// The relay and its address as peers see it.
    pub relay: (RelayKey, SocketAddr),
    /// The one of the next port, where it was wanted.
    pub next: Option<(RelayKey, SocketAddr)>,
}

/// Why there is no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The machine has no address of this family.
    NoFamily,
    /// All ports are taken.
    NoPort,
}

/// Everything that the server does to the world.
pub trait Wire {
    /// Sends a STUN message to a client.
    fn to_client(&mut self, client: Client, message: &[u8]);
    /// Sends channel data to a client, with a header, and with padding where the connection is a stream.
    fn channel_to_client(&mut self, client: Client, channel: u16, payload: &[u8]);
    /// Sends a datagram to a peer.
    fn to_peer(&mut self, relay: RelayKey, peer: SocketAddr, payload: &[u8]);
    /// Opens a relay for a client.
    ///
    /// # Errors
    /// Nothing was opened.
    fn open(&mut self, client: Client, ipv6: bool, parity: Parity) -> Result<Opened, OpenError>;
    /// Closes a relay.
    fn close(&mut self, relay: RelayKey);
    /// Closes the client's connection, if it is one.
    fn disconnect(&mut self, client: Client);
    /// Fills with chance.
    fn random(&mut self, bytes: &mut [u8]);
}

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The secret that issuers and checkers of credentials share.
    pub secret: Vec<u8>,
    /// Whom relays may speak to.
    pub policy: PeerPolicy,
    /// Allocations at once of one credential.
    pub allocations_per_credential: usize,
    /// Bytes a second of one allocation in each direction; 0 is no limit.
    pub bytes_per_second: u64,
    /// How long a nonce is good.
    pub nonce_lifetime: Duration,
}

/// The server.
pub struct Server {
    policy: PeerPolicy,
    allocations_per_credential: usize,
    bytes_per_second: u64,
    secret: hmac::Key,
    nonces: Nonces,
    table: Table,
    scratch: Box<[u8]>,
    counters: Counters,
}

/// A request that passed authentication.
struct Asker<'a> {
    client: Client,
    username: &'a str,
    /// Seconds since 1970 at which its credential ends.
    expires: u64,
}

impl Server {
    /// A server without allocations.
    #[must_use]
    pub fn new(settings: Settings) -> Server {
        Server {
            secret: hmac::Key::new(hmac::HMAC_SHA256, &settings.secret),
            nonces: Nonces::new(&settings.secret, settings.nonce_lifetime),
            policy: settings.policy,
            allocations_per_credential: settings.allocations_per_credential,
            bytes_per_second: settings.bytes_per_second,
            table: Table::default(),
            scratch: vec![0; SCRATCH_LEN].into_boxed_slice(),
            counters: Counters::default(),
        }
    }

    /// Takes what a client sent: a datagram, or a frame of a stream without its padding.
    pub fn handle_client(
        &mut self,
        now: Now,
        client: Client,
        datagram: &[u8],
        wire: &mut impl Wire,
    ) {
        match datagram.first() {
            // RFC 8656 section 12: the first two bits tell. RFC 5766 gave out 0x4000 to 0x7fff.
            Some(0x40..=0x7f) => self.channel_from_client(now, client, datagram, wire),
            Some(0..=3) => self.stun(now, client, datagram, wire),
            _ => self.counters.drop(Drop::NotOurs),
        }
    }

    fn stun(&mut self, now: Now, client: Client, datagram: &[u8], wire: &mut impl Wire) {
        let Some(message) = message::parse(datagram) else {
            return self.counters.drop(Drop::Malformed);
        };
        match message.class() {
            MessageClass::Indication => self.indication(now, client, &message, datagram, wire),
            MessageClass::Request => self.request(now, client, &message, wire),
            // We ask nothing, so nothing is an answer to us.
            MessageClass::Success | MessageClass::Error => self.counters.drop(Drop::NotOurs),
        }
    }

    fn request(&mut self, now: Now, client: Client, request: &Message<'_>, wire: &mut impl Wire) {
        let mut key = None;
        let answer = self.answer(now, client, request, &mut key, wire);
        let length = match answer {
            Ok(success) => {
                self.counters.granted += 1;
                message::write_success(request, &success, key.as_ref(), &mut self.scratch)
            }
            Err(refusal) => {
                self.counters.refused += 1;
                let nonce = self.nonces.issue(client.address, now.unix);
                let nonce = std::str::from_utf8(&nonce).unwrap_or_default();
                message::write_refusal(request, &refusal, nonce, key.as_ref(), &mut self.scratch)
            }
        };
        wire.to_client(client, &self.scratch[..length]);
    }

    /// `key` is set once the request is known to be genuine: from then on answers are signed.
    fn answer(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        key: &mut Option<SigningKey>,
        wire: &mut impl Wire,
    ) -> Result<Success, Refusal> {
        if request.method() == BINDING {
            return match message::unknown_attributes(request) {
                Some(unknown) => Err(Refusal::Unknown(unknown)),
                None => Ok(Success {
                    mapped: Some(client.address),
                    ..Success::default()
                }),
            };
        }
        let genuine = self.authenticate(now, client, request)?;
        let username = genuine.username;
        *key = Some(genuine.key);
        if let Some(unknown) = message::unknown_attributes(request) {
            return Err(Refusal::Unknown(unknown));
        }
        let asker = Asker {
            client,
            username: username.username(),
            expires: genuine.expires,
        };
        match request.method() {
            ALLOCATE => self.allocate(now, &asker, request, wire),
            REFRESH => self.refresh(now, &asker, request, wire),
            CREATE_PERMISSION => self.create_permission(now, &asker, request),
            CHANNEL_BIND => self.channel_bind(now, &asker, request),
            _ => Err(Refusal::Code(400)),
        }
    }

    /// Forgets a client whose connection is gone, with its relays.
    pub fn client_gone(&mut self, client: Client, wire: &mut impl Wire) {
        if let Some(key) = self.table.of_client(client) {
            self.table.remove(key, wire);
        }
    }

    /// Ends what is due.
    pub fn handle_timeout(&mut self, now: Now, wire: &mut impl Wire) {
        self.table.expire(now.instant, wire);
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.table.next_due()
    }

    /// Refuses usernames, or all of key IDs, until they would have ended by themselves, and ends their allocations now.
    pub fn revoke(&mut self, revocations: &[Revocation], now: Now, wire: &mut impl Wire) {
        self.table.revoke(revocations, now.unix, wire);
    }

    /// Where the engine receives media: relays may always reach it.
    pub fn set_media(&mut self, media: Vec<SocketAddr>) {
        self.policy.media = media;
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Clients with an allocation.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.table.len()
    }

    /// Whether this client has an allocation.
    #[must_use]
    pub fn serves(&self, client: Client) -> bool {
        self.table.of_client(client).is_some()
    }
}

#[cfg(test)]
mod tests;
