//! The engine itself: owns everything, calls the stages in order, decides nothing.
//!
//! Sans-IO: datagrams, requests and time come in; datagrams leave through the outbox, events through `poll_event`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use slotmap::{SlotMap, new_key_type};

use crate::dtls::Certificate;
use crate::forward::encoding::Encoding;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::{MirrorName, Publication};
use crate::forward::subscription::Subscription;
use crate::ice::{Addressee, Protocol, addressee};
use crate::link::proto;
use crate::transport::{Path, TCP, TransportEvent};
use crate::wire::demux::{DatagramKind, classify};

mod ahead;
mod apply;
mod bandwidth;
mod burst;
mod cache_memory;
mod channel_mirrors;
mod channel_table;
mod channels;
mod checks;
#[cfg(test)]
mod consistency;
mod counters;
mod due;
mod encodings;
mod extensions;
mod feedback_budget;
mod feedback_path;
mod handover;
mod incoming;
mod message_path;
mod mirrors;
pub mod outbox;
mod outlets;
mod pacing;
mod packet_path;
mod padding;
mod protection;
mod redundancy;
mod repairs;
mod reports;
mod requests;
mod sending;
mod session;
mod snapshot;
mod source;
mod table;
mod timers;
pub mod turn;
mod walls;

use burst::{Burst, Rotation};
use channel_mirrors::MessageRoom;
use channel_table::ChannelName;
use channels::Channel;
use checks::Checks;
use counters::Counters;
pub use counters::Discard;
pub use handover::Handover;
use handover::PacketPool;
use outbox::Outbox;
pub use outlets::OpenSockets;
use outlets::Outlets;
pub use session::ExtensionIds;
use session::{AddressMap, Session};
pub use snapshot::Snapshot;
use timers::{Timer, Timers};

new_key_type! {
    /// A session in the engine.
    pub struct SessionKey;
    /// A publication in the engine.
    pub struct PublicationKey;
    /// An encoding of a publication in the engine.
    pub struct EncodingKey;
    /// A subscription in the engine.
    pub struct SubscriptionKey;
    /// A data channel in the engine.
    pub struct ChannelKey;
}

/// What the engine must know of the machine.
pub struct EngineConfig {
    /// Which one this is of how many.
    pub worker: u16,
    /// How many there are.
    pub workers: u16,
    /// The addresses of the bound sockets; the index is the socket's.
    pub sockets: Vec<SocketAddr>,
    /// Opens more of them, for sessions with a peer with which another session speaks already.
    pub open_sockets: OpenSockets,
    /// Counts of what the kernel did not take or give at the sockets, with their names.
    pub kernel_counts: Box<dyn Fn() -> Vec<(&'static str, u64)>>,
    /// Where peers reach them.
    pub candidates: Vec<SocketAddr>,
    /// What is spoken at them: UDP, and TCP where there are listeners beside the sockets.
    pub protocols: &'static [Protocol],
    /// Our certificate.
    pub certificate: Certificate,
}

/// All sessions, and what connects them.
pub struct Engine {
    config: EngineConfig,
    started: Instant,
    sessions: SlotMap<SessionKey, Session>,
    publications: SlotMap<PublicationKey, Publication>,
    encodings: SlotMap<EncodingKey, Encoding>,
    subscriptions: SlotMap<SubscriptionKey, Subscription>,
    channels: SlotMap<ChannelKey, Channel>,
    /// Sessions with work on their data channels, whose turn comes.
    turns: VecDeque<SessionKey>,
    by_id: HashMap<String, SessionKey>,
    by_ufrag: HashMap<String, SessionKey>,
    by_address: AddressMap,
    checks: Checks,
    outlets: Outlets,
    timers: Timers,
    counters: Counters,
    events: VecDeque<proto::Event>,
    /// What other workers are to be told.
    handovers: VecDeque<(u16, Handover)>,
    /// Publications of other workers.
    mirrors: HashMap<MirrorName, PublicationKey>,
    /// Data channels of other workers.
    channel_mirrors: HashMap<ChannelName, ChannelKey>,
    message_room: MessageRoom,
    /// The memory of packets that other workers read.
    handed_over: PacketPool,
    /// Compound RTCP packets are built here.
    rtcp: Vec<u8>,
    /// Packets that are still to be sent on.
    burst: Burst,
    rotation: Rotation,
    /// Subscriptions that left an encoding while a packet was forwarded.
    switched: Vec<SubscriptionKey>,
    /// Sessions whose peers gave feedback since the last `handle_timeout`, each once.
    told: Vec<SessionKey>,
    /// `packets_protected` at that call.
    protected_before: u64,
    /// For whom work is done that a panic would end.
    at_work: Option<SessionKey>,
    leaving: bool,
}

impl Engine {
    /// An engine without sessions.
    pub fn new(config: EngineConfig, now: Instant) -> Engine {
        Engine {
            outlets: Outlets::new(config.sockets.len()),
            config,
            started: now,
            sessions: SlotMap::with_key(),
            publications: SlotMap::with_key(),
            encodings: SlotMap::with_key(),
            subscriptions: SlotMap::with_key(),
            channels: SlotMap::with_key(),
            turns: VecDeque::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: AddressMap::default(),
            checks: Checks::new(now),
            timers: Timers::new(now),
            counters: Counters::default(),
            events: VecDeque::new(),
            handovers: VecDeque::new(),
            mirrors: HashMap::new(),
            channel_mirrors: HashMap::new(),
            message_room: MessageRoom::default(),
            handed_over: PacketPool::default(),
            rtcp: Vec::with_capacity(outbox::SLOT_LEN),
            burst: Burst::default(),
            rotation: Rotation::default(),
            switched: Vec::new(),
            told: Vec::new(),
            protected_before: 0,
            at_work: None,
            leaving: false,
        }
    }

    /// Takes a datagram that came to a socket; its bytes are used as working memory.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        datagram: &mut [u8],
        outbox: &mut Outbox,
    ) {
        let handled = match classify(datagram) {
            DatagramKind::Rtp => self.handle_rtp(now, socket, source, datagram, outbox),
            DatagramKind::Rtcp => self
                .within_walls(|engine| engine.handle_rtcp(now, socket, source, datagram, outbox))
                .unwrap_or(Ok(())),
            DatagramKind::Stun => self
                .within_walls(|engine| engine.handle_stun(now, socket, source, datagram, outbox))
                .unwrap_or(Ok(())),
            DatagramKind::Dtls => self
                .within_walls(|engine| engine.handle_dtls(now, socket, source, datagram, outbox))
                .unwrap_or(Ok(())),
            DatagramKind::Unknown => Err(Discard::UnknownProtocol),
        };
        if let Err(reason) = handled {
            self.counters.discard(reason);
        }
    }

    /// Whether packets from this address are those of a session's peer.
    pub fn knows(&self, socket: u16, source: SocketAddr) -> bool {
        self.by_address.contains_key(&(socket, source))
    }

    /// A peer's TCP connection is over.
    pub fn handle_disconnect(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        outbox: &mut Outbox,
    ) {
        let Ok(key) = self.session_at(socket, source) else {
            return;
        };
        let session = &mut self.sessions[key];
        let address = (socket, source);
        session.addresses.drop(address, key, &mut self.by_address);
        if let Some(transport) = &mut session.transport {
            let path = Path {
                socket,
                remote: source,
            };
            transport.connection_lost(path);
        }
        self.within_walls(|engine| {
            engine.at_work = Some(key);
            engine.drive_transport(key, now, outbox);
        });
    }

    /// Counts datagrams that peers did not read from their TCP connections.
    pub fn discard_unread(&mut self, count: u64) {
        self.counters.discard_many(Discard::Unread, count);
    }

    /// The next event for control.
    pub fn poll_event(&mut self) -> Option<proto::Event> {
        self.events.pop_front()
    }

    /// Whether control told the engine to end.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        datagram: &[u8],
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let (key, answered) = match addressee(datagram).ok_or(Discard::UnknownUfrag)? {
            Addressee::Ufrag(ufrag) => {
                let key = self.by_ufrag.get(ufrag).ok_or(Discard::UnknownUfrag)?;
                (*key, None)
            }
            Addressee::Transaction(id) => {
                let key = self.checks.session_of(&id, socket, source);
                (key.ok_or(Discard::UnknownTransaction)?, Some(id))
            }
        };
        self.at_work = Some(key);
        let local = self.local_address(socket);
        let path = Path {
            socket,
            remote: source,
        };
        if self.is_held_by_another(path, key, now) {
            return Err(Discard::AddressHeld);
        }
        let transport = self.sessions[key]
            .transport
            .as_mut()
            .ok_or(Discard::UnknownUfrag)?;
        let certificate = &self.config.certificate;
        if !transport.handle_stun(certificate, now, local, path, datagram) {
            return Err(Discard::StunNotAuthentic);
        }
        if let Some(id) = answered {
            // Whoever repeats the answer from now on is not the peer.
            self.checks.forget([&id]);
        }
        // For each of our sockets by itself: from one port of its own a peer checks them all, and may use any.
        let addresses = &mut self.sessions[key].addresses;
        addresses.validate((socket, source), key, &mut self.by_address);
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Stun, &self.sessions[key].id);
        self.drive_transport(key, now, outbox);
        Ok(())
    }

    /// A check proves who made it, but not that it came from where it says: it takes no address from a peer that is there.
    fn is_held_by_another(&self, path: Path, key: SessionKey, now: Instant) -> bool {
        let owner = self.by_address.get(&(path.socket, path.remote));
        owner.filter(|&&owner| owner != key).is_some_and(|&owner| {
            let transport = self.sessions[owner].transport.as_ref();
            transport.is_some_and(|transport| transport.holds(path, now))
        })
    }

    fn handle_dtls(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        datagram: &[u8],
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let key = self.session_at(socket, source)?;
        self.at_work = Some(key);
        let local = self.local_address(socket);
        let transport = self.sessions[key]
            .transport
            .as_mut()
            .ok_or(Discard::UnknownAddress)?;
        let path = Path {
            socket,
            remote: source,
        };
        transport.handle_dtls(&self.config.certificate, now, local, path, datagram);
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Dtls, &self.sessions[key].id);
        self.drive_transport(key, now, outbox);
        Ok(())
    }

    /// Of that socket, or of the listener beside it.
    fn local_address(&self, socket: u16) -> SocketAddr {
        self.config.sockets[usize::from(socket & !TCP)]
    }

    /// Only addresses from which a peer has checked have a session.
    #[inline]
    fn session_at(&self, socket: u16, source: SocketAddr) -> Result<SessionKey, Discard> {
        self.by_address
            .get(&(socket, source))
            .copied()
            .ok_or(Discard::UnknownAddress)
    }

    fn transport_due(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        // An earlier one that was added later leaves it as it is.
        session.transport_timer = session.transport_timer.filter(|&at| at > now);
        if let Some(transport) = &mut session.transport {
            let put_off = transport.put_off(now);
            if put_off.is_some() {
                let timer = Timer::Transport(key);
                self.timers
                    .arm_loosely(&mut session.transport_timer, put_off, now, timer);
                return;
            }
            transport.handle_timeout(now);
        }
        self.drive_transport(key, now, outbox);
    }

    /// Carries out what the transport wants: datagrams, its next timer, the news of its state.
    fn drive_transport(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let session = &mut self.sessions[key];
        let Some(transport) = &mut session.transport else {
            return;
        };
        let mut state_changed = false;
        let mut rekeyed = false;
        let checks = &mut self.checks;
        let counters = &mut self.counters;
        let awaited = &mut session.awaited_checks;
        transport.poll(now, &self.config.sockets, |event| match event {
            TransportEvent::Send(path, datagram) => {
                outbox.push(path.socket, path.remote, &datagram);
            }
            TransportEvent::Check {
                path,
                datagram,
                transaction,
                earned,
            } => {
                if earned || checks.has_budget(now) {
                    checks.sent(key, awaited, transaction, path);
                    outbox.push(path.socket, path.remote, &datagram);
                } else {
                    counters.discard(Discard::CheckOverPace);
                }
            }
            TransportEvent::Rekeyed => rekeyed = true,
            TransportEvent::StateChanged => state_changed = true,
        });
        let due = transport.next_timeout();
        let timer = Timer::Transport(key);
        self.timers
            .arm_loosely(&mut session.transport_timer, due, now, timer);
        let path = transport.path;
        let (state, _) = transport.state();
        if rekeyed {
            self.begin_keys(key);
        }
        if state_changed {
            let id = &self.sessions[key].id;
            self.events.push_back(requests::transport_event(id, state));
            self.transport_changed(key, now);
            self.begin_association(key, now);
        }
        if let Some(path) = path {
            self.path_found(key, path, now);
        }
        self.receive_data(key, now);
    }

    /// Other keys protect all that goes to the peer from now on.
    fn begin_keys(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        session.used_ssrcs.clear();
        session.used_ssrcs.extend(session.outgoing.keys());
        for &subscription in &session.subscriptions {
            self.subscriptions[subscription].begin_keys();
        }
        // What waits was numbered for the old keys.
        let count = session.pacer.clear_held() as u64;
        self.counters.discard_many(Discard::HeldTooLong, count);
    }

    /// Another way carries what it carries, whatever the one before did.
    fn path_found(&mut self, key: SessionKey, path: Path, now: Instant) {
        let session = &mut self.sessions[key];
        let before = session.estimated_path.replace(path);
        if before.is_some_and(|before| before != path) {
            session.estimator.begin_path(now);
            self.begin_allocation(key, now);
        }
    }

    /// A subscriber that has just connected wants key frames at once.
    fn transport_changed(&mut self, key: SessionKey, now: Instant) {
        for index in 0..self.sessions[key].subscriptions.len() {
            let subscription = self.sessions[key].subscriptions[index];
            if let Some(encoding) = self.subscriptions[subscription].decoding() {
                self.want_key_frame_of(encoding, Urgency::Paced, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
