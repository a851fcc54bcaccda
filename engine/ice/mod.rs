//! ICE (RFC 8445). Towards browsers in the lite role: this server has known addresses, answers checks and lets
//! the peer choose among the addresses that it has proved (`ways`). Towards a peer that is lite itself, in the full role: it
//! checks the peer's candidates.
//!
//! The only folder that knows the crate `is`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use is::Protocol;
use is::stun::{StunMessage, StunPacket};
use is::{IceAgent, IceAgentEvent, IceConnectionState, IceCreds};

mod addressee;
mod candidate;
mod message;
mod transmit;
mod ways;

pub use addressee::{Addressee, TransactionId, addressee, transaction_of_request};
pub use candidate::RemoteCandidate;
use candidate::local_candidate;
pub use transmit::IceTransmit;
use ways::{Way, Ways};

/// A username fragment and its password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

/// Our part (RFC 8445 section 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IceRole {
    /// Answers checks.
    Lite,
    /// Sends checks and nominates; gives way to a peer that is full and controlling too, if chance says so.
    Full,
}

/// What came of a check or of time passing.
#[derive(Debug, PartialEq, Eq)]
pub enum IceEvent {
    /// Media goes here from now on.
    PathNominated {
        /// UDP or TCP.
        protocol: Protocol,
        /// Our socket's address.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// No check came, or none was answered, for too long.
    PathLost,
}

/// Pairs that one peer may make a lite agent keep; a browser with many interfaces has fewer.
const MAX_PAIRS: usize = 64;
/// Pairs that a full agent checks, each nine times at most while nothing answers.
const MAX_CHECKED_PAIRS: usize = 32;
/// Candidates of a description that are used.
pub const MAX_REMOTE_CANDIDATES: usize = 16;
/// Addresses that the peer may make a full agent learn, candidates and what its checks and answers show together.
const MAX_KNOWN: usize = 32;
/// How long a path is used after a restart of ICE that brought no new one (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);
/// A path on which the peer has not checked for so long gives way to another one that it nominates. Browsers check more
/// often whatever they hold on to; the agent keeps a better pair than the nominated one three times as long.
const SILENCE: Duration = Duration::from_secs(5);

/// Without a check for so long a lite agent's pair is lost, as the crate has it.
const LITE_LOSS: Duration = Duration::from_secs(15);

/// The agent of one session.
pub struct Ice {
    agent: IceAgent,
    role: IceRole,
    local: Credentials,
    remote: Credentials,
    /// Lite role: which addresses are the peer's own.
    ways: Ways,
    /// Lite role: what is to be sent on ways that the agent does not know yet.
    outgoing: VecDeque<IceTransmit>,
    /// Full role: addresses learned from the peer since the last restart.
    known: Vec<SocketAddr>,
    /// Full role: those of them that the description names, and our own.
    named: Vec<SocketAddr>,
    /// Set by a restart: when the path of before is given up.
    consent_ends: Option<Instant>,
    /// When the peer's last check came on any path, since the last restart.
    last_check: Option<Instant>,
    path_lost: bool,
    /// Where media goes.
    path: Option<Way>,
    /// When the peer's last check came on it; none once its connection is over.
    heard: Option<Instant>,
    /// Lite role: the peer's choice, which the agent does not follow yet.
    chosen: Option<Way>,
}

impl Ice {
    /// An agent that receives at each of `sockets` over these protocols; a full one over UDP only.
    pub fn new(
        role: IceRole,
        local: &Credentials,
        remote: &Credentials,
        sockets: &[SocketAddr],
        protocols: &[Protocol],
    ) -> Ice {
        let mut agent = IceAgent::new(credentials(local));
        agent.set_ice_lite(role == IceRole::Lite);
        agent.set_controlling(role == IceRole::Full);
        agent.set_max_candidate_pairs(match role {
            IceRole::Lite => MAX_PAIRS,
            IceRole::Full => MAX_CHECKED_PAIRS,
        });
        // A peer that is lite waits for connections as we do (RFC 6544 section 4.1).
        let protocols = match role {
            IceRole::Lite => protocols,
            IceRole::Full => &[Protocol::Udp],
        };
        for &protocol in protocols {
            for &address in sockets {
                agent.add_local_candidate(local_candidate(address, protocol));
            }
        }
        agent.set_remote_credentials(credentials(remote));
        Ice {
            agent,
            role,
            local: local.clone(),
            remote: remote.clone(),
            ways: Ways::default(),
            outgoing: VecDeque::new(),
            known: sockets.to_vec(),
            named: sockets.to_vec(),
            consent_ends: None,
            last_check: None,
            path_lost: false,
            path: None,
            heard: None,
            chosen: None,
        }
    }

    /// Whether the peer's credentials are these already.
    pub fn has_remote(&self, remote: &Credentials) -> bool {
        self.remote == *remote
    }

    /// Checks these too from now on; the lite role has no use for them.
    pub fn add_remote_candidates(&mut self, candidates: &[RemoteCandidate]) {
        if self.role == IceRole::Lite {
            return;
        }
        for candidate in candidates {
            if !self.known.contains(&candidate.address) && self.known.len() < MAX_KNOWN {
                self.known.push(candidate.address);
                self.named.push(candidate.address);
                self.agent.add_remote_candidate(candidate.read());
            }
        }
    }

    /// Either side restarted (RFC 8445 section 9): other credentials count, and the candidates are asked for anew.
    /// The path stays until there is another one, or its consent ends.
    pub fn restart(
        &mut self,
        local: &Credentials,
        remote: &Credentials,
        sockets: &[SocketAddr],
        now: Instant,
    ) {
        self.agent.ice_restart(credentials(local), true);
        self.agent.set_remote_credentials(credentials(remote));
        self.local = local.clone();
        self.remote = remote.clone();
        self.ways.restart();
        self.known = sockets.to_vec();
        self.named = sockets.to_vec();
        self.consent_ends = Some(now + CONSENT);
        self.last_check = None;
    }

    /// Takes a STUN message; one with a wrong user name, transaction or password is ignored, and false. Else the peer
    /// proved that it receives at this address, or knows our password there.
    pub fn handle_stun(
        &mut self,
        now: Instant,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        if self.role == IceRole::Full && !self.admits(remote, &message) {
            return false;
        }
        let way = (protocol, local, remote);
        if self.role == IceRole::Lite && !message.is_binding_request() {
            return self.take_answer(now, way, &message);
        }
        if self.role == IceRole::Lite && !self.ways.is_proven(way, now) {
            return self.take_unproven(now, way, message, datagram);
        }
        let pays = self.role == IceRole::Full && !self.is_asked(remote);
        let accepted = self.take(now, way, message);
        if accepted && pays {
            self.ways.credit(way, datagram.len());
        }
        accepted
    }

    /// Gives the agent a message.
    fn take(&mut self, now: Instant, way: Way, message: StunMessage<'_>) -> bool {
        let is_request = message.is_binding_request();
        let is_nomination = is_request && message.use_candidate();
        let (proto, destination, source) = way;
        let accepted = self.agent.handle_packet(
            now,
            StunPacket {
                proto,
                source,
                destination,
                message,
            },
        );
        if accepted {
            self.agent.handle_timeout(now);
            if self.role == IceRole::Lite && is_request {
                self.last_check = Some(now);
                self.renew(way, now);
                self.checked(way, is_nomination, now);
            }
        }
        accepted
    }

    /// Answers a check from an address that may be anybody's, and checks that address. The agent, which would believe it,
    /// does not see it yet.
    fn take_unproven(
        &mut self,
        now: Instant,
        way: Way,
        request: StunMessage<'_>,
        datagram: &[u8],
    ) -> bool {
        if !self.agent.accepts_message(&request) {
            return false;
        }
        let Some(transaction) = message::transaction() else {
            return false;
        };
        if self.path == Some(way) {
            // Whoever has the address now does not answer our checks.
            self.connection_lost();
        }
        let nominates = request.use_candidate();
        self.ways
            .checked(way, datagram, nominates, transaction, now);
        // Our check goes first: the peer proves its address before it begins anything there.
        self.check_ways(now);
        let answer = message::answer(&self.local, request.trans_id(), way.2);
        self.push(way, answer);
        true
    }

    /// The peer receives at an address: what it has asked for there counts now.
    fn take_answer(&mut self, now: Instant, way: Way, answer: &StunMessage<'_>) -> bool {
        // A peer that takes itself for the controlled one too has received our check all the same (RFC 8445 section 7.2.5.1).
        let is_conflict = answer.error_code().is_some_and(|(code, _)| code == 487);
        let is_answer = answer.is_successful_binding_response()
            || answer.is_failed_binding_response() && is_conflict;
        let transaction = answer.trans_id();
        if !is_answer || !message::is_authentic(answer, &self.remote.password) {
            return false;
        }
        if self.ways.renew(way, transaction, now) {
            return true;
        }
        if !self.ways.awaits(way, transaction) {
            return false;
        }
        let request = self.ways.prove(way, now).unwrap_or_default();
        if let Ok(request) = StunMessage::parse(&request) {
            self.take(now, way, request);
        }
        true
    }

    /// Full role: whether the description names an address, or the peer has answered from there.
    fn is_asked(&self, remote: SocketAddr) -> bool {
        self.named.contains(&remote) || self.agent.has_viable_remote_candidate(remote)
    }

    /// The peer has checked on a proven way: it may have to prove it again.
    fn renew(&mut self, way: Way, now: Instant) {
        if !self.ways.used(way, now) {
            return;
        }
        let Some(transaction) = message::transaction() else {
            return;
        };
        if let Some(check) = message::check(&self.local, &self.remote, transaction) {
            self.ways.renewing(way, transaction, now);
            self.outgoing.push_back(IceTransmit::earned(way, check));
        }
    }

    fn check_ways(&mut self, now: Instant) {
        while let Some((way, transaction)) = self.ways.next_check(now) {
            let check = message::check(&self.local, &self.remote, transaction);
            if !self.push(way, check) {
                self.ways.hold(way);
            }
        }
    }

    /// Sends a message on an unproven way if that has earned it.
    fn push(&mut self, way: Way, message: Option<Vec<u8>>) -> bool {
        let Some(datagram) = message else {
            return false;
        };
        let is_paid = self.ways.pay(way, datagram.len());
        if is_paid {
            self.outgoing.push_back(IceTransmit::earned(way, datagram));
        }
        is_paid
    }

    /// Whether the peer certainly receives at its end of a way.
    pub fn is_proven(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) -> bool {
        match self.role {
            IceRole::Lite => self.ways.is_proven((protocol, local, remote), now),
            IceRole::Full => self.agent.has_viable_remote_candidate(remote),
        }
    }

    /// The agent goes by priorities and holds on to the best pair that was ever nominated: a peer that leaves UDP for TCP,
    /// or a connection for another one, would wait.
    fn checked(&mut self, way: Way, is_nomination: bool, now: Instant) {
        let Some(path) = self.path else {
            self.heard = Some(now);
            return;
        };
        let is_silent = self.heard.is_none_or(|heard| now - heard >= SILENCE);
        if way == path && self.heard.is_some() {
            self.heard = Some(now);
        } else if is_nomination && is_silent {
            self.heard = Some(now);
            self.chosen = Some(way);
        }
    }

    /// The agent keeps each new source of a check, and checks it, and each new address that an answer maps ours to:
    /// a peer may show only so many.
    fn admits(&mut self, source: SocketAddr, message: &StunMessage<'_>) -> bool {
        let shown = if message.is_binding_request() {
            Some(source)
        } else {
            message.mapped_address()
        };
        let Some(address) = shown.filter(|address| !self.known.contains(address)) else {
            return true;
        };
        let admitted = self.known.len() < MAX_KNOWN && self.agent.accepts_message(message);
        if admitted {
            self.known.push(address);
        }
        admitted
    }

    /// The connection by which media went is over, or its address is another one's. The agent may hold on to its pair for a while.
    pub fn connection_lost(&mut self) {
        self.path_lost = true;
        self.heard = None;
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.consent_ends.is_some_and(|at| at <= now) {
            self.consent_ends = None;
            self.path_lost = true;
        }
        self.check_ways(now);
        self.agent.handle_timeout(now);
    }

    /// When `handle_timeout` is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        // The crate wants to look every three seconds. A lite agent has nothing to see before its path is lost:
        // each check lets it look at the pairs anyway. Of thousands of idle sessions those looks are most of the work.
        let loss = (self.role == IceRole::Lite)
            .then_some(self.last_check)
            .flatten();
        let loss = loss.map(|checked| checked + LITE_LOSS);
        let agent = self.agent.poll_timeout().max(loss);
        let due = [agent, self.consent_ends, self.ways.next_timeout()];
        due.into_iter().flatten().min()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<IceTransmit> {
        if let Some(transmit) = self.outgoing.pop_front() {
            return Some(transmit);
        }
        let transmit = loop {
            let transmit = self.agent.poll_transmit()?;
            let way = (transmit.proto, transmit.source, transmit.destination);
            let may = self.role == IceRole::Lite || self.is_asked(way.2);
            if may || self.ways.pay(way, transmit.contents.len()) {
                break transmit;
            }
        };
        Some(IceTransmit {
            protocol: transmit.proto,
            local: transmit.source,
            remote: transmit.destination,
            datagram: transmit.contents.into(),
            earned: self.agent.has_viable_remote_candidate(transmit.destination),
        })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        if std::mem::take(&mut self.path_lost) {
            return Some(IceEvent::PathLost);
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceAgentEvent::NominatedSend {
                    proto,
                    source,
                    destination,
                } => return Some(self.nominated((proto, source, destination))),
                IceAgentEvent::IceConnectionStateChange(state) if self.is_loss(state) => {
                    return Some(IceEvent::PathLost);
                }
                _ => {}
            }
        }
        self.chosen.take().map(|way| self.nominated(way))
    }

    fn nominated(&mut self, way: Way) -> IceEvent {
        let (protocol, local, remote) = way;
        self.consent_ends = None;
        self.path = Some(way);
        IceEvent::PathNominated {
            protocol,
            local,
            remote,
        }
    }

    /// A full agent that goes back to checking has no answered pair left, unless it was told to restart.
    fn is_loss(&self, state: IceConnectionState) -> bool {
        match state {
            IceConnectionState::Disconnected => true,
            IceConnectionState::Checking => {
                self.role == IceRole::Full && self.consent_ends.is_none()
            }
            _ => false,
        }
    }
}

fn credentials(ours: &Credentials) -> IceCreds {
    IceCreds {
        ufrag: ours.ufrag.clone(),
        pass: ours.password.clone(),
    }
}

#[cfg(test)]
mod tests;
