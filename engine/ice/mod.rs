//! ICE (RFC 8445) in the lite role: this server has known addresses, answers checks and lets the peer choose.
//!
//! The only file that knows the crate `is`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol};

/// A username fragment and its password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

/// What came of a check or of time passing.
#[derive(Debug, PartialEq, Eq)]
pub enum IceEvent {
    /// The peer proved with our password that it receives at this address: its other packets are welcome.
    AddressValidated(SocketAddr),
    /// Media goes here from now on.
    PathNominated {
        /// Our socket's address.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// No check came for too long.
    PathLost,
}

/// A datagram that ICE wants sent.
pub struct IceTransmit {
    /// Our socket's address.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
    /// A STUN message.
    pub datagram: Vec<u8>,
}

/// Pairs that one peer may make us keep; a browser with many interfaces has fewer.
const MAX_PAIRS: usize = 64;

/// The lite agent of one session.
pub struct Ice {
    agent: IceAgent,
    remote: Credentials,
}

impl Ice {
    /// An agent that answers at each of `sockets`.
    pub fn new(local: &Credentials, remote: &Credentials, sockets: &[SocketAddr]) -> Ice {
        let mut agent = IceAgent::new(credentials(local));
        agent.set_ice_lite(true);
        agent.set_controlling(false);
        agent.set_max_candidate_pairs(MAX_PAIRS);
        for &address in sockets {
            if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
                agent.add_local_candidate(candidate);
            }
        }
        agent.set_remote_credentials(credentials(remote));
        Ice {
            agent,
            remote: remote.clone(),
        }
    }

    /// Whether the peer's credentials are these already.
    pub fn has_remote(&self, remote: &Credentials) -> bool {
        self.remote == *remote
    }

    /// The peer restarted (RFC 8445 section 9): it checks with new credentials from now on.
    pub fn restart(&mut self, local: &Credentials, remote: &Credentials) {
        self.agent.ice_restart(credentials(local), true);
        self.agent.set_remote_credentials(credentials(remote));
        self.remote = remote.clone();
    }

    /// Takes a STUN message; one with a wrong user name or password is ignored, and false.
    pub fn handle_stun(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        let accepted = self.agent.handle_packet(
            now,
            StunPacket {
                proto: Protocol::Udp,
                source: remote,
                destination: local,
                message,
            },
        );
        if accepted {
            self.agent.handle_timeout(now);
        }
        accepted
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
    }

    /// When `handle_timeout` is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<IceTransmit> {
        self.agent.poll_transmit().map(|transmit| IceTransmit {
            local: transmit.source,
            remote: transmit.destination,
            datagram: transmit.contents.into(),
        })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        loop {
            return Some(match self.agent.poll_event()? {
                IceAgentEvent::DiscoveredRecv { source, .. } => IceEvent::AddressValidated(source),
                IceAgentEvent::NominatedSend {
                    source,
                    destination,
                    ..
                } => IceEvent::PathNominated {
                    local: source,
                    remote: destination,
                },
                IceAgentEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                    IceEvent::PathLost
                }
                _ => continue,
            });
        }
    }
}

/// Finds the session that a STUN request is for, by the first half of its user name (RFC 8445 section 7.2.2).
pub fn session_of_request<K: Copy>(datagram: &[u8], by_ufrag: &HashMap<String, K>) -> Option<K> {
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    let (local, _) = message.split_username()?;
    by_ufrag.get(local).copied()
}

fn credentials(ours: &Credentials) -> IceCreds {
    IceCreds {
        ufrag: ours.ufrag.clone(),
        pass: ours.password.clone(),
    }
}
