//! A laboratory: one engine, peers that speak real STUN, DTLS and SRTP with it, and a clock that we turn.

mod media;
mod paths;
mod tables;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::outbox::{Outbox, Recorder};
use super::super::{Engine, EngineConfig, Handover};
use crate::codec::Codec;
use crate::dtls::{Certificate, Dtls, Fingerprint, HashAlgorithm, Role};
use crate::ice::Protocol;
use crate::link::proto::{self, answer, event, request};
use crate::srtp;

use tables::transport;
pub use tables::{apply, publication, subscription};

pub const PUBLISHER_SSRC: u32 = 1111;
pub const SUBSCRIBER_SSRC: u32 = 2222;
const SERVER: &str = "127.0.0.1:7000";
const PASSWORD: &str = "a-password-that-is-long-enough";

type Sent = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

/// A decrypted packet that a peer got.
pub struct ReceivedPacket {
    pub payload_type: u8,
    pub sequence_number: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub marker: bool,
    pub payload: Vec<u8>,
    /// Of the datagram, in bytes.
    pub size: usize,
    /// All of it.
    pub packet: Vec<u8>,
    /// Header extensions by ID.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// When it came.
    pub at: Instant,
    /// Of the extension with that ID, if it has one.
    pub transport_sequence: Option<u16>,
}

/// The ID of the transport-wide sequence number where it is agreed.
pub const TRANSPORT_WIDE: u8 = 5;

/// What a peer was asked for.
#[derive(Default)]
pub struct FeedbackSeen {
    pub pli: usize,
    /// The SSRC of each PLI.
    pub pli_ssrcs: Vec<u32>,
    pub nacked: Vec<u16>,
    pub sender_reports: Vec<u64>,
    /// The media SSRC of each transport-wide feedback.
    pub transport_feedback: Vec<u32>,
}

struct Peer {
    name: &'static str,
    socket: u16,
    address: SocketAddr,
    certificate: Certificate,
    dtls: Dtls,
    keys: Option<(srtp::Sender, srtp::Receiver)>,
    received: Vec<ReceivedPacket>,
    feedback: FeedbackSeen,
    table: proto::ApplySession,
    traffic: Traffic,
    /// What came under each number of each SSRC, where that is remembered.
    datagrams: Option<HashMap<(u32, u16), Vec<u8>>>,
}

/// Bytes of all datagrams of a peer.
#[derive(Clone, Copy, Default, Debug)]
pub struct Traffic {
    /// What it gave the engine.
    pub given: usize,
    /// What the engine sent it.
    pub got: usize,
}

pub struct Laboratory {
    pub engine: Engine,
    outbox: Outbox,
    sent: Sent,
    now: Instant,
    peers: Vec<Peer>,
    /// Addresses that peers had before, or that others have: what goes there is lost.
    left: Vec<SocketAddr>,
    /// How many bytes that was for each.
    lost: HashMap<SocketAddr, usize>,
    events: Vec<proto::Event>,
}

impl Laboratory {
    pub fn new() -> Laboratory {
        Laboratory::of_worker(0, 1)
    }

    /// One of several workers; what it hands over is the test's to carry.
    pub fn of_worker(worker: u16, workers: u16) -> Laboratory {
        let now = Instant::now();
        let certificate = Certificate::generate().expect("a certificate");
        let socket: SocketAddr = SERVER.parse().expect("an address");
        let second = SocketAddr::new(socket.ip(), socket.port() + 1);
        let config = EngineConfig {
            worker,
            workers,
            sockets: vec![socket, second],
            open_sockets: Box::new(|| Err("one socket is enough here".into())),
            kernel_counts: Box::new(Vec::new),
            candidates: vec![socket],
            protocols: &[Protocol::Udp, Protocol::Tcp],
            certificate,
        };
        let (recorder, sent) = Recorder::new();
        Laboratory {
            engine: Engine::new(config, now),
            outbox: Outbox::new(Box::new(recorder)),
            sent,
            now,
            peers: Vec::new(),
            left: Vec::new(),
            lost: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// What another worker told; a worker takes all that is there before it goes on.
    pub fn hand(&mut self, from: u16, handovers: Vec<Handover>) {
        for handover in handovers {
            self.engine
                .handle_handover(self.now, from, handover, &mut self.outbox);
        }
        self.engine.handle_timeout(self.now, &mut self.outbox);
        self.settle();
    }

    /// What is due now, for as long as the turns are by that clock.
    pub fn due_in_turns(&mut self, clock: &dyn Fn() -> Instant) {
        (self.engine).handle_timeout_in_turns(self.now, clock, &mut self.outbox);
    }

    /// What follows from the table waits.
    pub fn apply_without_settling(&mut self, table: proto::ApplySession) {
        let request = proto::Request {
            id: 1,
            body: Some(apply(table)),
            worker: 0,
        };
        let answer = (self.engine).handle_request(self.now, request, &mut self.outbox);
        assert!(matches!(answer.body, Some(answer::Body::Done(_))));
    }

    /// After a panic of the whole worker.
    pub fn begin_anew(&mut self) {
        let aside = Laboratory::new().engine;
        let broken = std::mem::replace(&mut self.engine, aside);
        self.engine = broken.begin_anew(self.now);
        self.settle();
    }

    /// Sessions that were told to have ended, and why.
    pub fn ended(&self) -> Vec<(String, i32)> {
        let ended = self.events.iter().filter_map(|event| match event.body {
            Some(event::Body::SessionEnded(reason)) => Some((event.session_id.clone(), reason)),
            _ => None,
        });
        ended.collect()
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// All that went between a peer and the engine so far.
    pub fn traffic(&self, index: usize) -> Traffic {
        self.peers[index].traffic
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.peers[index].address
    }

    /// A publisher and a subscriber of its only publication, both connected.
    pub fn call(&mut self, codec: Codec) -> (usize, usize) {
        let publisher = self.join("publisher", |table| {
            table.publications.push(publication(codec));
        });
        let subscriber = self.join("subscriber", |table| {
            table.subscriptions.push(subscription());
        });
        (publisher, subscriber)
    }

    /// A peer with a session of its own, connected.
    pub fn join(&mut self, name: &'static str, fill: impl Fn(&mut proto::ApplySession)) -> usize {
        let port = 9000 + self.peers.len() as u16;
        self.join_from(port, name, fill)
    }

    /// The same from a port of its choice.
    pub fn join_from(
        &mut self,
        port: u16,
        name: &'static str,
        fill: impl Fn(&mut proto::ApplySession),
    ) -> usize {
        let index = self.introduce(port, name, fill);
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
        self.handshake(index);
        index
    }

    /// A peer with a session of its own, of which nothing came yet.
    pub fn introduce(
        &mut self,
        port: u16,
        name: &'static str,
        fill: impl Fn(&mut proto::ApplySession),
    ) -> usize {
        let certificate = Certificate::generate().expect("a certificate");
        let mut table = proto::ApplySession {
            session_id: name.into(),
            control_state: b"state".to_vec(),
            transport: Some(transport(name, &certificate)),
            ..Default::default()
        };
        fill(&mut table);
        let fingerprint = Fingerprint {
            algorithm: HashAlgorithm::Sha256,
            digest: self.engine.config.certificate.sha256(),
        };
        let dtls = Dtls::new(&certificate, Role::Active, fingerprint, self.now);
        self.peers.push(Peer {
            name,
            socket: 0,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            certificate,
            dtls,
            keys: None,
            received: Vec::new(),
            feedback: FeedbackSeen::default(),
            table: table.clone(),
            traffic: Traffic::default(),
            datagrams: None,
        });
        let index = self.peers.len() - 1;
        self.request(apply(table)).expect("the table is right");
        index
    }

    /// It passes over what it had before: a link behind it drops packets, which it asks for again.
    pub fn take_repeats(&mut self, index: usize) {
        self.peers[index].datagrams = Some(HashMap::new());
    }

    /// The engine's keys towards the peer protect no two different packets under one nonce from now on, or the test fails.
    pub fn watch_nonces(&mut self, index: usize) {
        let session = self.engine.by_id[self.peers[index].name];
        let transport = self.engine.sessions[session].transport.as_mut();
        let keys = transport.and_then(|transport| transport.keys.as_mut());
        keys.expect("connected").sender.watch_nonces();
    }

    /// Gives a datagram to the engine as if the peer had sent it.
    pub fn deliver(&mut self, index: usize, datagram: &[u8]) {
        let source = self.peers[index].address;
        self.hand_over(source, datagram);
        self.settle();
    }

    /// The same; how long the engine took, without what sending takes.
    pub fn deliver_timed(&mut self, index: usize, datagram: &[u8]) -> Duration {
        let source = self.peers[index].address;
        let mut datagram = datagram.to_vec();
        let before = Instant::now();
        self.engine
            .handle_datagram(self.now, 0, source, &mut datagram, &mut self.outbox);
        let spent = before.elapsed();
        self.settle();
        spent
    }

    /// The same; what the engine sends at once is lost on its way.
    pub fn deliver_and_lose(&mut self, index: usize, datagram: &[u8]) -> Vec<Vec<u8>> {
        let source = self.peers[index].address;
        self.hand_over(source, datagram);
        self.lose()
    }

    /// From an address that nobody proved; what it gets back.
    pub fn deliver_from_stranger(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.hand_over(SocketAddr::from(([127, 0, 0, 2], 6666)), datagram);
        self.lose()
    }

    fn lose(&mut self) -> Vec<Vec<u8>> {
        self.engine.handle_timeout(self.now, &mut self.outbox);
        self.outbox.flush();
        let mut sent = self.sent.lock().expect("not poisoned");
        sent.drain(..).map(|(_, datagram)| datagram).collect()
    }

    /// Gives the engine a datagram, as one of a receive batch that goes on.
    pub fn hand_over(&mut self, source: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let peer = self.peers.iter_mut().find(|peer| peer.address == source);
        let socket = peer.map_or(0, |peer| {
            peer.traffic.given += datagram.len();
            peer.socket
        });
        self.engine
            .handle_datagram(self.now, socket, source, &mut datagram, &mut self.outbox);
    }

    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.engine.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now, &mut self.outbox);
            self.settle();
        }
        self.now = until;
    }

    /// Ends a receive batch, and lets the peers take what the engine sent.
    pub fn settle(&mut self) {
        self.engine.handle_timeout(self.now, &mut self.outbox);
        self.outbox.flush();
        self.events
            .extend(std::iter::from_fn(|| self.engine.poll_event()));
        let sent: Vec<_> = self.sent.lock().expect("not poisoned").drain(..).collect();
        let mut answers = Vec::new();
        for (to, datagram) in sent {
            let index = self.peers.iter().position(|peer| peer.address == to);
            match index {
                Some(index) => {
                    let peer = &mut self.peers[index];
                    peer.traffic.got += datagram.len();
                    match peer.answer(&datagram) {
                        Some(answer) => answers.push((index, answer)),
                        None => peer.take(self.now, datagram),
                    }
                }
                None => {
                    assert!(self.left.contains(&to), "only peers get datagrams: {to}");
                    *self.lost.entry(to).or_default() += datagram.len();
                }
            }
        }
        for (index, answer) in answers {
            self.deliver(index, &answer);
        }
    }

    pub fn request(&mut self, body: request::Body) -> Result<answer::Body, String> {
        let request = proto::Request {
            id: 1,
            body: Some(body),
            worker: 0,
        };
        let answer = self
            .engine
            .handle_request(self.now, request, &mut self.outbox);
        self.settle();
        match answer.body {
            Some(answer::Body::Error(error)) => Err(error.description),
            Some(body) => Ok(body),
            None => Err("no body".into()),
        }
    }

    pub fn table(&self, index: usize) -> proto::ApplySession {
        self.peers[index].table.clone()
    }

    pub fn counter(&mut self, name: &str) -> u64 {
        let body = self.request(request::Body::ReadCounters(proto::ReadCounters {}));
        let Ok(answer::Body::Counters(counters)) = body else {
            panic!("no counters");
        };
        let found = counters
            .counters
            .iter()
            .find(|counter| counter.name == name);
        found.expect("a counter of that name").value
    }

    pub fn snapshot(&mut self) -> proto::SnapshotAnswer {
        let mut whole = proto::SnapshotAnswer::default();
        let mut snapshot = self.engine.begin_snapshot();
        loop {
            let piece = self.engine.next_piece(&mut snapshot, self.now);
            whole.sessions.extend(piece.sessions);
            if !piece.more {
                return whole;
            }
        }
    }

    pub fn close_all(&mut self) {
        for index in 0..self.peers.len() {
            let session_id = self.peers[index].name.to_owned();
            let close = proto::CloseSession { session_id };
            self.request(request::Body::CloseSession(close))
                .expect("closed");
        }
    }

    /// The states of publications that were told, in order.
    pub fn publication_states(&self) -> Vec<i32> {
        let states = self.events.iter().filter_map(|event| match &event.body {
            Some(event::Body::PublicationChanged(changed)) => Some(changed.state),
            _ => None,
        });
        states.collect()
    }
}
