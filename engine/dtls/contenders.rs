//! A server's handshakes before one of them is done. A ClientHello is in plain: whoever knows the peer's address can forge one, before
//! the peer's own or after it. So each begins a handshake of its own, and the one that the peer finishes is the connection.

use std::time::{Duration, Instant};

use super::assembly::Assembly;
use super::association::Association;
use super::client_hello::{self, ClientHello, ClientRandom, Version};
use super::records::{Message, Piece, pieces};
use super::server_gate::ServerGate;
use super::{Answers, Certificate, Fingerprint};

const CLIENT_HELLO: u8 = 1;
/// Handshakes at a time.
const MAX_HANDSHAKES: usize = 3;
/// How often a flight is repeated before anything comes back. A peer that misses it sends its own again, and is answered.
const MAX_REPEATS: u32 = 2;
/// Once there are so many, the oldest one gives way to another if it has had so long.
const LEAST_TIME: Duration = Duration::from_millis(250);

/// The handshakes.
#[derive(Default)]
pub struct Contenders {
    hellos: Assembly,
    /// The oldest first.
    handshakes: Vec<Handshake>,
    /// Whose ClientHello came last: only this one speaks, for the peer takes the first answer that it gets.
    speaker: Option<ClientRandom>,
}

struct Handshake {
    hello: Message,
    random: ClientRandom,
    begun: Instant,
    /// Of its flight, since something came of the peer.
    repeats: u32,
    gate: ServerGate,
    association: Association,
}

impl Contenders {
    /// Takes a datagram from the peer's address.
    pub fn take(
        &mut self,
        certificate: &Certificate,
        fingerprint: &Fingerprint,
        now: Instant,
        datagram: &[u8],
    ) {
        for piece in pieces(datagram) {
            if let Piece::Fragment(fragment) = piece
                && fragment.kind == CLIENT_HELLO
                && let Some(message) = self.hellos.add(&fragment)
                && let Some(hello) = client_hello::read(&message.body)
            {
                self.take_hello(certificate, now, hello, message);
            }
        }
        for handshake in &mut self.handshakes {
            let Handshake {
                gate,
                association,
                repeats,
                ..
            } = handshake;
            for admitted in gate.admit(association.is_13(), fingerprint, datagram) {
                association.take(now, &admitted);
                *repeats = 0;
            }
        }
    }

    fn take_hello(
        &mut self,
        certificate: &Certificate,
        now: Instant,
        hello: ClientHello,
        message: Message,
    ) {
        let random = hello.random;
        let known = self
            .handshakes
            .iter_mut()
            .find(|known| known.random == random);
        if let Some(known) = known {
            let is_repeat =
                message.number == known.hello.number && message.body == known.hello.body;
            // After a HelloRetryRequest (RFC 9147 section 5.1).
            let is_next = message.number == known.hello.number.wrapping_add(1);
            if is_repeat || is_next {
                known.repeats = 0;
                known.association.take(now, &message.datagram());
                self.speaker = Some(random);
            }
            if is_next {
                known.gate.advance(message.number);
                known.hello = message;
            }
            return;
        }
        if self.handshakes.len() == MAX_HANDSHAKES {
            if now < self.handshakes[0].begun + LEAST_TIME {
                return;
            }
            self.handshakes.remove(0);
        }
        let (config, own) = (certificate.config.clone(), certificate.inner.clone());
        let inner = match (hello.version, certificate.answers) {
            (Version::Dtls12, Answers::Cheapest) => dimpl::Dtls::new_12(config, own, now),
            _ => dimpl::Dtls::new_auto(config, own, now),
        };
        let mut association = Association::new(inner);
        association.take(now, &message.datagram());
        self.speaker = Some(random);
        self.handshakes.push(Handshake {
            gate: ServerGate::new(message.number),
            hello: message,
            random,
            begun: now,
            repeats: 0,
            association,
        });
    }

    /// Lets time pass. A handshake whose time is over is forgotten, and the peer may begin another one.
    pub fn handle_timeout(&mut self, now: Instant) {
        for handshake in &mut self.handshakes {
            let due = handshake.association.next_timeout();
            handshake.repeats += u32::from(due.is_some_and(|due| due <= now));
            handshake.association.handle_timeout(now);
        }
    }

    /// Lets each be drained by `drain`, which is told whether it may speak; gives the one for which that is true.
    pub fn drain(
        &mut self,
        mut drain: impl FnMut(&mut Association, bool) -> bool,
    ) -> Option<(Association, ClientRandom)> {
        let mut done = None;
        for (index, handshake) in self.handshakes.iter_mut().enumerate() {
            let may_speak =
                self.speaker == Some(handshake.random) && handshake.repeats <= MAX_REPEATS;
            if drain(&mut handshake.association, may_speak) {
                done = Some(index);
                break;
            }
        }
        if let Some(index) = done {
            let handshake = self.handshakes.swap_remove(index);
            return Some((handshake.association, handshake.random));
        }
        self.handshakes
            .retain(|known| !known.association.has_ended());
        None
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.handshakes.clear();
    }

    /// Whether a ClientHello with this random was taken.
    pub fn knows(&self, random: &ClientRandom) -> bool {
        self.handshakes.iter().any(|known| known.random == *random)
    }

    /// When `handle_timeout` is due, as of the last `drain`.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = self.handshakes.iter();
        due.filter_map(|known| known.association.next_timeout())
            .min()
    }
}
