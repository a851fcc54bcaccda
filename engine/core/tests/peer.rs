//! A laboratory: one engine, peers that speak real STUN, DTLS and SRTP with it, and a clock that we turn.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::super::outbox::{Outbox, Recorder};
use super::super::{Engine, EngineConfig, Handover};
use crate::codec::Codec;
use crate::dtls::{Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use crate::ice::Protocol;
use crate::link::proto::{self, answer, event, request};
use crate::srtp;
use crate::transport::TCP;
use crate::wire::demux::{DatagramKind, classify};
use crate::wire::rtcp::{self, Packet};
use crate::wire::rtp::{Header, HeaderWriter};

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
    /// Addresses that peers had before: what still goes there is lost.
    left: Vec<SocketAddr>,
    events: Vec<proto::Event>,
}

pub fn apply(table: proto::ApplySession) -> request::Body {
    request::Body::ApplySession(table)
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
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
        self.handshake(index);
        index
    }

    /// The peer begins another DTLS association from another port, as a browser whose first m-line was stopped.
    pub fn begin_association(&mut self, index: usize, says_goodbye: bool) {
        let fingerprint = Fingerprint {
            algorithm: HashAlgorithm::Sha256,
            digest: self.engine.config.certificate.sha256(),
        };
        if says_goodbye {
            self.say_goodbye(index);
        }
        let now = self.now;
        let peer = &mut self.peers[index];
        self.left.push(peer.address);
        peer.address.set_port(peer.address.port() + 100);
        peer.dtls = Dtls::new(&peer.certificate, Role::Active, fingerprint, now);
        peer.keys = None;
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
        self.handshake(index);
    }

    /// The peer leaves its address for a connection from another one.
    pub fn connect_by_tcp(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        self.left.push(peer.address);
        peer.socket = TCP;
        peer.address.set_port(peer.address.port() + 300);
        self.check_again(index);
    }

    /// The peer's connection ends.
    pub fn disconnect(&mut self, index: usize) {
        let (socket, address) = (self.peers[index].socket, self.peers[index].address);
        self.engine
            .handle_disconnect(self.now, socket, address, &mut self.outbox);
        self.settle();
    }

    /// The peer checks another socket of the server from its own address.
    pub fn check_socket(&mut self, index: usize, socket: u16) {
        let check = self.check(index, PASSWORD);
        self.deliver_at(index, socket, &check);
    }

    /// The same as `deliver`, at another socket of the server.
    pub fn deliver_at(&mut self, index: usize, socket: u16, datagram: &[u8]) {
        let source = self.peers[index].address;
        let mut datagram = datagram.to_vec();
        self.engine
            .handle_datagram(self.now, socket, source, &mut datagram, &mut self.outbox);
        self.settle();
    }

    /// A datagram from an address that the peer has proved beside its own.
    pub fn deliver_from_another_port(&mut self, index: usize, datagram: &[u8]) {
        let own = self.peers[index].address;
        self.peers[index].address.set_port(own.port() + 200);
        self.left.push(self.peers[index].address);
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
        self.deliver(index, datagram);
        self.peers[index].address = own;
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
    }

    /// The peer checks from this port too.
    pub fn prove_another_port(&mut self, index: usize, port: u16) {
        let own = self.peers[index].address;
        self.peers[index].address.set_port(port);
        self.left.push(self.peers[index].address);
        self.check_again(index);
        self.peers[index].address = own;
    }

    /// The peer goes on from another port: ICE nominates it, and the association stays.
    pub fn change_path(&mut self, index: usize) {
        self.left.push(self.peers[index].address);
        let port = self.peers[index].address.port();
        self.peers[index].address.set_port(port + 300);
        // Only a pair of higher priority takes a nominated one's place.
        let check = self.check_of(index, PASSWORD, 200);
        self.deliver(index, &check);
    }

    /// The peer is gone without a word; its port is free for another one.
    pub fn vanish(&mut self, index: usize) {
        self.left.push(self.peers[index].address);
        self.peers[index].address.set_port(1);
    }

    /// A check of the peer's that says it came from another address; what the engine sends for it.
    pub fn check_with_forged_source(&mut self, index: usize, source: SocketAddr) -> Vec<Vec<u8>> {
        let check = self.check_of(index, PASSWORD, 200);
        self.hand_over(source, &check);
        self.lose()
    }

    /// The peer closes its association.
    pub fn say_goodbye(&mut self, index: usize) {
        let mut records = Vec::new();
        let dtls = &mut self.peers[index].dtls;
        dtls.close();
        dtls.poll(|record| records.push(record.to_vec()));
        for record in records {
            self.deliver(index, &record);
        }
    }

    /// The states of transports that were told, in order.
    pub fn transport_states(&self) -> Vec<i32> {
        let states = self.events.iter().filter_map(|event| match &event.body {
            Some(event::Body::TransportState(state)) => Some(*state),
            _ => None,
        });
        states.collect()
    }

    fn handshake(&mut self, index: usize) {
        for _ in 0..100 {
            if self.peers[index].keys.is_some() {
                return;
            }
            let now = self.now;
            let peer = &mut self.peers[index];
            let mut records = Vec::new();
            peer.dtls.handle_timeout(now);
            let event = peer.dtls.poll(|record| records.push(record.to_vec()));
            if let Some(DtlsEvent::Keys {
                profile,
                sender,
                receiver,
            }) = event
            {
                peer.keys = Some((
                    srtp::Sender::new(profile, &sender),
                    srtp::Receiver::new(profile, &receiver),
                ));
            }
            for record in records {
                self.deliver(index, &record);
            }
            self.advance(Duration::from_millis(10));
        }
        panic!("{} did not finish its handshake", self.peers[index].name);
    }

    fn check(&self, index: usize, password: &str) -> Vec<u8> {
        self.check_of(index, password, 100)
    }

    fn check_of(&self, index: usize, password: &str, priority: u32) -> Vec<u8> {
        let name = self.peers[index].name;
        let user = format!("server-{name}:peer-{name}");
        let message = StunMessage::binding_request(&user, TransId::new(), true, 1, priority, true);
        let mut buffer = vec![0; 512];
        let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
        let length = message
            .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
            .expect("it fits");
        buffer.truncate(length);
        buffer
    }

    /// It passes over what it had before: a link behind it drops packets, which it asks for again.
    pub fn take_repeats(&mut self, index: usize) {
        self.peers[index].datagrams = Some(HashMap::new());
    }

    /// A check as a peer makes it after an ICE restart.
    pub fn check_again(&mut self, index: usize) {
        let check = self.check(index, PASSWORD);
        self.deliver(index, &check);
    }

    pub fn check_with_wrong_password(&mut self, index: usize) -> Vec<Vec<u8>> {
        let check = self.check(index, "another-password-that-is-long");
        self.deliver_from_stranger(&check)
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
        for (to, datagram) in sent {
            let peer = self.peers.iter_mut().find(|peer| peer.address == to);
            match peer {
                Some(peer) => {
                    peer.traffic.got += datagram.len();
                    peer.take(self.now, datagram);
                }
                None => assert!(self.left.contains(&to), "only peers get datagrams: {to}"),
            }
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

    /// Application data as the peer sends it within DTLS.
    pub fn send_data(&mut self, index: usize, data: &[u8]) {
        let mut records = Vec::new();
        let peer = &mut self.peers[index];
        peer.dtls
            .send_data(data, |record| records.push(record.to_vec()));
        for record in records {
            self.deliver(index, &record);
        }
    }

    /// Application data that the peer got.
    pub fn data(&mut self, index: usize) -> Vec<bytes::Bytes> {
        let dtls = &mut self.peers[index].dtls;
        std::iter::from_fn(|| dtls.received()).collect()
    }

    /// What was told of a session's channel, in order: states and reasons of ends.
    pub fn channel_news(&self, session_id: &str, channel_id: u32) -> Vec<(i32, i32)> {
        let of_session = self.events.iter().filter(|e| e.session_id == session_id);
        let changes = of_session.filter_map(|event| match &event.body {
            Some(event::Body::DataChannelChanged(change)) => Some(change),
            _ => None,
        });
        changes
            .filter(|change| change.channel_id == channel_id)
            .map(|change| (change.state, change.end))
            .collect()
    }

    /// A packet of the publisher's stream by its place in it, beyond what a sequence number can say.
    pub fn protect_numbered(&mut self, index: usize, place: u64, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 256];
        let (number, time) = (place as u16, (place * 960) as u32);
        let writer = HeaderWriter::new(&mut packet, false, 96, number, time, PUBLISHER_SSRC);
        let header = writer.finish();
        let end = header + payload.len();
        packet[header..end].copy_from_slice(payload);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, place)
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    pub fn protect_media(
        &mut self,
        index: usize,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.protect_stream(index, PUBLISHER_SSRC, &[], sequence, timestamp, payload)
    }

    /// A packet of any SSRC, with header extensions.
    pub fn protect_stream(
        &mut self,
        index: usize,
        ssrc: u32,
        extensions: &[(u8, &[u8])],
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![0; 2048];
        let mut writer = HeaderWriter::new(&mut packet, false, 96, sequence, timestamp, ssrc);
        if extensions.iter().any(|(_, value)| value.len() > 16) {
            writer.two_byte();
        }
        for (id, value) in extensions {
            writer.extension(*id, value);
        }
        let header = writer.finish();
        let end = header + payload.len();
        packet[header..end].copy_from_slice(payload);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, u64::from(sequence))
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    /// A packet of any bytes behind a fixed header, as only the peer itself can make it.
    pub fn protect_any(&mut self, index: usize, mut packet: Vec<u8>) -> Vec<u8> {
        let header = Header::parse(&packet).map_or(12, |header| header.header_len);
        let place = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
        let end = packet.len();
        packet.resize(end + 64, 0);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, place)
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    pub fn send_media(&mut self, index: usize, sequence: u16, timestamp: u32, payload: &[u8]) {
        let datagram = self.protect_media(index, sequence, timestamp, payload);
        self.deliver(index, &datagram);
    }

    /// RTCP behind a receiver report, as browsers send it.
    pub fn send_rtcp(&mut self, index: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        rtcp::push_receiver_report(&mut packet, 1, &[]);
        write(&mut packet);
        let packet = self.protect_rtcp(index, packet);
        self.deliver(index, &packet);
    }

    pub fn protect_rtcp(&mut self, index: usize, mut packet: Vec<u8>) -> Vec<u8> {
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        sender.protect_rtcp(&mut packet).expect("it fits");
        packet
    }

    pub fn send_nack(&mut self, index: usize, ssrc: u32, lost: u16) {
        self.send_rtcp(index, |packet| rtcp::push_nack(packet, 1, ssrc, &[lost]));
    }

    pub fn received(&mut self, index: usize) -> Vec<ReceivedPacket> {
        std::mem::take(&mut self.peers[index].received)
    }

    pub fn feedback(&mut self, index: usize) -> FeedbackSeen {
        std::mem::take(&mut self.peers[index].feedback)
    }

    /// The NTP times of sender reports that a peer got.
    pub fn sender_reports(&self, index: usize) -> &[u64] {
        &self.peers[index].feedback.sender_reports
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
        match self.request(request::Body::Snapshot(proto::Snapshot {})) {
            Ok(answer::Body::Snapshot(snapshot)) => snapshot,
            _ => panic!("no snapshot"),
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

impl Peer {
    fn take(&mut self, now: Instant, mut datagram: Vec<u8>) {
        match classify(&datagram) {
            DatagramKind::Dtls => {
                self.dtls.handle_datagram(&self.certificate, now, &datagram);
                if self.keys.is_some() {
                    // Takes application data in; nothing is to be sent after the handshake.
                    self.dtls.poll(|_| {});
                }
            }
            DatagramKind::Rtp => {
                let size = datagram.len();
                let header = Header::parse(&datagram).expect("well formed");
                let number = (header.ssrc, header.sequence_number);
                let came = self.datagrams.is_some().then(|| datagram.clone());
                let (_, receiver) = self.keys.as_mut().expect("keys before media");
                let length = match (receiver.unprotect_rtp(&mut datagram, &header), &came) {
                    (Err(srtp::Rejected::Replayed), Some(came)) => {
                        // Under one nonce there is one packet; another one is only so late that it may be a repeat.
                        let known = self.datagrams.as_ref().and_then(|all| all.get(&number));
                        return assert!(known.is_none_or(|known| known == came), "{number:?}");
                    }
                    (result, _) => result.expect("authentic"),
                };
                if let (Some(all), Some(came)) = (&mut self.datagrams, came) {
                    all.insert(number, came);
                }
                let payload = header.payload(&datagram[..length]).expect("well formed");
                self.received.push(ReceivedPacket {
                    payload_type: header.payload_type,
                    sequence_number: header.sequence_number,
                    timestamp: header.timestamp,
                    ssrc: header.ssrc,
                    marker: header.marker,
                    size,
                    payload: payload.to_vec(),
                    packet: datagram[..length].to_vec(),
                    extensions: header
                        .extensions(&datagram[..length])
                        .map(|(id, value)| (id, value.to_vec()))
                        .collect(),
                    at: now,
                    transport_sequence: header
                        .extensions(&datagram[..length])
                        .find(|&(id, value)| id == TRANSPORT_WIDE && value.len() == 2)
                        .map(|(_, value)| u16::from_be_bytes([value[0], value[1]])),
                });
            }
            DatagramKind::Rtcp => {
                let (_, receiver) = self.keys.as_mut().expect("keys before media");
                let length = receiver.unprotect_rtcp(&mut datagram).expect("authentic");
                let about = transport_feedback_ssrc(&datagram[..length]);
                self.feedback.transport_feedback.extend(about);
                for packet in rtcp::parse(&datagram[..length]) {
                    match packet.expect("well formed") {
                        Packet::Pli { media_ssrc } => {
                            self.feedback.pli += 1;
                            self.feedback.pli_ssrcs.push(media_ssrc);
                        }
                        Packet::SenderReport { ntp, .. } => {
                            self.feedback.sender_reports.push(ntp);
                        }
                        Packet::Nack { entries, .. } => self.feedback.nacked.extend(entries),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The media SSRC of the transport-wide feedback in a compound packet: type 205, format 15.
fn transport_feedback_ssrc(mut compound: &[u8]) -> Option<u32> {
    while let [first, packet_type, high, low, ..] = *compound {
        if (first & 0x1f, packet_type) == (15, 205) {
            return Some(u32::from_be_bytes(compound[8..12].try_into().ok()?));
        }
        compound = &compound[4 * (usize::from(u16::from_be_bytes([high, low])) + 1)..];
    }
    None
}

fn transport(name: &str, certificate: &Certificate) -> proto::Transport {
    proto::Transport {
        local_ufrag: format!("server-{name}"),
        local_password: PASSWORD.into(),
        remote_ufrag: format!("peer-{name}"),
        remote_password: PASSWORD.into(),
        remote_fingerprint: Some(proto::Fingerprint {
            algorithm: proto::HashAlgorithm::Sha256.into(),
            digest: certificate.sha256(),
        }),
        dtls_role: proto::DtlsRole::Passive.into(),
        header_extensions: Vec::new(),
        ..Default::default()
    }
}

pub fn publication(codec: Codec) -> proto::Publication {
    let (kind, codec, clock_rate) = match codec {
        Codec::Opus => (proto::MediaKind::Audio, proto::Codec::Opus, 48_000),
        _ => (proto::MediaKind::Video, proto::Codec::Vp8, 90_000),
    };
    let video = kind == proto::MediaKind::Video;
    proto::Publication {
        publication_id: 1,
        kind: kind.into(),
        mid: "0".into(),
        ssrcs: vec![PUBLISHER_SSRC],
        rtx_ssrcs: Vec::new(),
        formats: vec![proto::PublicationFormat {
            payload_type: 96,
            codec: codec.into(),
            clock_rate,
            rtx_payload_type: None,
            feedback: Some(proto::Feedback {
                nack: video,
                nack_pli: video,
                ccm_fir: false,
                transport_cc: false,
            }),
        }],
        silent_after_ms: 5000,
        encodings: Vec::new(),
    }
}

pub fn subscription() -> proto::Subscription {
    proto::Subscription {
        subscription_id: 1,
        publisher_session_id: "publisher".into(),
        publisher_worker: 0,
        publication_id: 1,
        mid: "0".into(),
        ssrc: SUBSCRIBER_SSRC,
        rtx_ssrc: Some(SUBSCRIBER_SSRC + 1),
        formats: vec![proto::SubscriptionFormat {
            publication_payload_type: 96,
            payload_type: 109,
            rtx_payload_type: Some(121),
        }],
        encoding_choice: None,
    }
}
