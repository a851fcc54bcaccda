//! One session's way to its peer: ICE finds the path, DTLS makes the keys, SRTP uses them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::dtls::{Certificate, ClientRandom, Dtls, DtlsEvent, Fingerprint, Role};
use crate::ice::{
    Credentials, Ice, IceEvent, IceRole, Protocol, RemoteCandidate, TransactionId,
    transaction_of_request,
};
use crate::srtp;

mod early;
mod path;
mod successor;

use early::Early;
pub use path::{Path, TCP, protocol_of};
use successor::{Successor, client_random};

/// A peer that said goodbye may begin another association at once; else it is gone.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a peer may be silent and keeps its address: it checks each 6 s at least (RFC 7675 section 5.1), and a page that
/// begins anew at the port of the last one goes on checking for longer.
const HOLD: Duration = Duration::from_secs(7);

/// Everything that the descriptions say of the transport.
#[derive(Clone, PartialEq, Eq)]
pub struct TransportSettings {
    /// Our ICE credentials.
    pub local: Credentials,
    /// The peer's.
    pub remote: Credentials,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// Our DTLS role.
    pub role: Role,
    /// Our part in ICE.
    pub ice_role: IceRole,
    /// Where a full agent finds the peer.
    pub remote_candidates: Vec<RemoteCandidate>,
}

impl TransportSettings {
    /// Where the peer says that it is; nowhere for one that comes to us.
    pub fn peer_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.remote_candidates
            .iter()
            .map(|candidate| candidate.address)
    }
}

/// How far a transport has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransportState {
    /// No path or no keys yet.
    Connecting,
    /// Media flows.
    Connected,
    /// The path was lost and may come back.
    Disconnected,
    /// Nothing flows any more, ever.
    Closed,
}

/// The two directions of SRTP.
pub struct Keys {
    /// Protects what we send.
    pub sender: srtp::Sender,
    /// Opens what the peer sends.
    pub receiver: srtp::Receiver,
}

/// ICE, DTLS and SRTP of one session.
pub struct Transport {
    settings: TransportSettings,
    ice: Ice,
    dtls: Dtls,
    /// Present once the handshake is done, if the peer speaks SRTP.
    pub keys: Option<Keys>,
    /// Present once one was nominated.
    pub path: Option<Path>,
    secured: bool,
    /// Of the handshake that made the association: from where the peer began it, and how.
    handshake: Option<(Path, ClientRandom)>,
    successor: Option<Successor>,
    early: Early,
    /// Set while a peer that said goodbye may come back.
    farewell_until: Option<Instant>,
    /// When the peer's last packet came that is certainly its own.
    heard: Instant,
    state: TransportState,
    since: Instant,
}

/// What the engine must do after the transport was driven.
pub enum TransportEvent {
    /// Send a datagram.
    Send(Path, Vec<u8>),
    /// Send a check of our own.
    Check {
        /// From where to where.
        path: Path,
        /// The STUN request.
        datagram: Vec<u8>,
        /// Which answer to expect.
        transaction: TransactionId,
        /// Whether the peer answered from there before, or sent enough from there.
        earned: bool,
    },
    /// Another association has taken the place of the first: its keys count packets anew.
    Rekeyed,
    /// The state is another one.
    StateChanged,
}

impl Transport {
    /// A transport that waits for the peer's first check, or sends the first one.
    pub fn new(
        settings: TransportSettings,
        certificate: &Certificate,
        sockets: &[SocketAddr],
        protocols: &[Protocol],
        now: Instant,
    ) -> Transport {
        let mut ice = Ice::new(
            settings.ice_role,
            &settings.local,
            &settings.remote,
            sockets,
            protocols,
        );
        ice.add_remote_candidates(&settings.remote_candidates);
        ice.handle_timeout(now);
        let dtls = Dtls::new(
            certificate,
            settings.role,
            settings.fingerprint.clone(),
            now,
        );
        Transport {
            settings,
            ice,
            dtls,
            keys: None,
            path: None,
            secured: false,
            handshake: None,
            successor: None,
            early: Early::default(),
            farewell_until: None,
            heard: now,
            state: TransportState::Connecting,
            since: now,
        }
    }

    /// The settings as last applied.
    pub fn settings(&self) -> &TransportSettings {
        &self.settings
    }

    /// Whether `settings` can be applied: a running DTLS connection keeps its peer, and roles stay.
    pub fn accepts(&self, settings: &TransportSettings) -> bool {
        self.settings.role == settings.role
            && self.settings.ice_role == settings.ice_role
            && self.settings.fingerprint == settings.fingerprint
    }

    /// Takes new ICE credentials and candidates.
    pub fn update_ice(
        &mut self,
        settings: TransportSettings,
        sockets: &[SocketAddr],
        now: Instant,
    ) {
        let restarts =
            self.settings.local != settings.local || !self.ice.has_remote(&settings.remote);
        if restarts {
            self.ice
                .restart(&settings.local, &settings.remote, sockets, now);
        }
        self.ice.add_remote_candidates(&settings.remote_candidates);
        if restarts {
            self.ice.handle_timeout(now);
        }
        self.settings = settings;
    }

    /// How far it has come, and since when.
    pub fn state(&self) -> (TransportState, Instant) {
        (self.state, self.since)
    }

    /// Where and with what to send media; none while not connected.
    #[inline]
    pub fn outgoing(&mut self) -> Option<(Path, &mut srtp::Sender)> {
        Some((self.path?, &mut self.keys.as_mut()?.sender))
    }

    /// Has fetched what `outgoing` gives.
    #[inline]
    pub fn fetch_sending(&self) {
        switchyard_net::prefetch(&self.path);
        if let Some(keys) = &self.keys {
            keys.sender.fetch();
        }
    }

    /// Takes a STUN message that came to our address `local`. False when it was not the peer's; else its media is welcome.
    pub fn handle_stun(
        &mut self,
        certificate: &Certificate,
        now: Instant,
        local: SocketAddr,
        path: Path,
        datagram: &[u8],
    ) -> bool {
        let protocol = protocol_of(path.socket);
        let is_peers = self
            .ice
            .handle_stun(now, protocol, local, path.remote, datagram);
        if is_peers {
            self.heard(now);
            if self.is_proven(local, path, now) {
                for records in self.early.take(path) {
                    self.handle_dtls(certificate, now, local, path, &records);
                }
            }
        }
        is_peers
    }

    fn is_proven(&self, local: SocketAddr, path: Path, now: Instant) -> bool {
        let protocol = protocol_of(path.socket);
        self.path == Some(path) || self.ice.is_proven(protocol, local, path.remote, now)
    }

    /// A packet came that is the peer's beyond doubt.
    #[inline]
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whether the peer's address is certainly its own still: media goes there, and the peer is heard.
    pub fn holds(&self, path: Path, now: Instant) -> bool {
        self.state == TransportState::Connected
            && self.path == Some(path)
            && now.saturating_duration_since(self.heard) < HOLD
    }

    /// The connection of this path is over. The peer may come back by another one.
    pub fn connection_lost(&mut self, path: Path) {
        if self
            .successor
            .as_ref()
            .is_some_and(|next| next.path == path)
        {
            self.successor = None;
        }
        if self.path == Some(path) {
            self.ice.connection_lost();
        }
    }

    /// Takes DTLS records that came to our address `local` from one that the peer has checked from.
    pub fn handle_dtls(
        &mut self,
        certificate: &Certificate,
        now: Instant,
        local: SocketAddr,
        path: Path,
        datagram: &[u8],
    ) {
        if !self.is_proven(local, path, now) {
            return self.early.keep(path, datagram);
        }
        if let Some(successor) = self.successor.as_mut().filter(|next| next.path == path) {
            successor.dtls.handle_datagram(certificate, now, datagram);
            return;
        }
        if self.settings.role == Role::Passive
            && let Some(random) = client_random(datagram)
        {
            let (from, first) = *self.handshake.get_or_insert((path, random));
            let is_new = first != random && !self.dtls.knows(&random);
            // From the same address it would take the running association's records: only after a goodbye.
            let may_begin = from != path || self.farewell_until.is_some();
            if is_new && may_begin && self.successor.is_none() {
                let mut next = Successor::new(certificate, &self.settings, path, random, now);
                next.dtls.handle_datagram(certificate, now, datagram);
                self.successor = Some(next);
                return;
            }
        }
        self.dtls.handle_datagram(certificate, now, datagram);
    }

    /// The next record of application data that the peer sent.
    pub fn received(&mut self) -> Option<Bytes> {
        self.dtls.received()
    }

    /// Sends application data; without a path it is lost, as on any network.
    pub fn send_data(&mut self, data: &[u8], mut each: impl FnMut(Path, &[u8])) {
        if let Some(path) = self.path {
            self.dtls.send_data(data, |record| each(path, record));
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ice.next_timeout().is_some_and(|at| at <= now) {
            self.ice.handle_timeout(now);
        }
        if self.dtls.next_timeout().is_some_and(|at| at <= now) {
            self.dtls.handle_timeout(now);
        }
        if let Some(successor) = &mut self.successor {
            successor.dtls.handle_timeout(now);
        }
    }

    /// When `handle_timeout` is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        if self.state == TransportState::Closed {
            return None;
        }
        let due = [
            self.ice.next_timeout(),
            self.path.and(self.dtls.next_timeout()),
            self.successor.as_ref().map(Successor::next_timeout),
            self.farewell_until,
        ];
        due.into_iter().flatten().min()
    }

    /// When something is due, where checks have come since the timer was set and nothing is yet. A full agent may have
    /// checks to send in any case.
    pub fn put_off(&mut self, now: Instant) -> Option<Instant> {
        if self.settings.ice_role == IceRole::Full {
            return None;
        }
        self.next_timeout().filter(|due| *due > now)
    }

    /// Says goodbye to the peer.
    pub fn close(&mut self) {
        self.dtls.close();
    }

    /// Gives each thing to do to `each`, until there is no more.
    pub fn poll(
        &mut self,
        now: Instant,
        sockets: &[SocketAddr],
        mut each: impl FnMut(TransportEvent),
    ) {
        let socket_of = |protocol: Protocol, local: SocketAddr| {
            let index = sockets.iter().position(|&socket| socket == local)?;
            let index = u16::try_from(index).ok()?;
            Some(if protocol == Protocol::Tcp {
                index | TCP
            } else {
                index
            })
        };
        let before = self.state;
        while let Some(transmit) = self.ice.poll_transmit() {
            if let Some(socket) = socket_of(transmit.protocol, transmit.local) {
                let path = Path {
                    socket,
                    remote: transmit.remote,
                };
                each(match transaction_of_request(&transmit.datagram) {
                    None => TransportEvent::Send(path, transmit.datagram),
                    Some(transaction) => TransportEvent::Check {
                        path,
                        datagram: transmit.datagram,
                        transaction,
                        earned: transmit.earned,
                    },
                });
            }
        }
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::PathNominated {
                    protocol,
                    local,
                    remote,
                } => {
                    self.path = socket_of(protocol, local).map(|socket| Path { socket, remote });
                    self.settle(now);
                }
                IceEvent::PathLost => {
                    self.path = None;
                    if self.state == TransportState::Connected {
                        self.enter(TransportState::Disconnected, now);
                    }
                }
            }
        }
        // Records wait until there is a path: the first flight of an active role would be lost.
        if let Some(path) = self.path {
            let event = self
                .dtls
                .poll(|record| each(TransportEvent::Send(path, record.to_vec())));
            self.take_event(event, now);
        }
        if let Some(successor) = &mut self.successor {
            let path = successor.path;
            let event = successor.poll(now, |record| {
                each(TransportEvent::Send(path, record.to_vec()));
            });
            self.succeed(event, now, &mut each);
        }
        if self.farewell_until.is_some_and(|until| until <= now) {
            self.farewell_until = None;
            self.enter(TransportState::Closed, now);
        }
        if before != self.state {
            each(TransportEvent::StateChanged);
        }
    }

    fn take_event(&mut self, event: Option<DtlsEvent>, now: Instant) {
        match event {
            Some(DtlsEvent::Keys {
                profile,
                sender,
                receiver,
            }) => {
                self.keys = Some(Keys {
                    sender: srtp::Sender::new(profile, &sender),
                    receiver: srtp::Receiver::new(profile, &receiver),
                });
                self.secured = true;
                self.settle(now);
            }
            Some(DtlsEvent::WithoutSrtp) => {
                self.secured = true;
                self.settle(now);
            }
            Some(DtlsEvent::Closed) => self.part(now),
            None => {}
        }
    }

    /// The association ended. One that had been there may be followed by another, as this peer's server.
    fn part(&mut self, now: Instant) {
        let may_return = self.settings.role == Role::Passive && self.secured;
        self.keys = None;
        self.secured = false;
        if may_return {
            self.farewell_until = Some(now + FAREWELL);
            self.enter(TransportState::Disconnected, now);
        } else if self.farewell_until.is_none() {
            self.enter(TransportState::Closed, now);
        }
    }

    fn succeed(
        &mut self,
        event: Option<DtlsEvent>,
        now: Instant,
        each: &mut impl FnMut(TransportEvent),
    ) {
        match event {
            None => {}
            Some(DtlsEvent::Closed) => self.successor = None,
            keys => {
                if let Some(next) = self.successor.take() {
                    self.dtls = next.dtls;
                    self.handshake = Some((next.path, next.random));
                    // ICE may hold on to the pair of the socket that the peer has closed until its checks fail.
                    self.path = Some(next.path);
                }
                self.farewell_until = None;
                self.take_event(keys, now);
                each(TransportEvent::Rekeyed);
            }
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.path.is_some() && self.secured {
            self.enter(TransportState::Connected, now);
        }
    }

    fn enter(&mut self, state: TransportState, now: Instant) {
        if self.state != state && self.state != TransportState::Closed {
            self.state = state;
            self.since = now;
        }
    }
}
