//! An association by the crate `sctp-proto`; nothing else knows it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use super::gate::{COMMON_HEADER, Gate};
use super::{
    Association, AssociationEvent, Incoming, MAX_MESSAGE, Message, MessageKind, Rejected,
    Reliability, SCTP_PORT, STREAMS, StreamSettings,
};

/// Of one DATA chunk: with SCTP's and DTLS's own bytes a datagram stays below 1250, which every path carries.
const MAX_PAYLOAD: u32 = 1132;
/// What a peer may send ahead of us.
const WINDOW: u32 = 1024 * 1024;
/// Messages between the limit and this are dropped; longer ones end the association.
const MAX_REASSEMBLED: u32 = 2 * MAX_MESSAGE as u32;
/// RFC 9260's second is for the open internet of 1980's round trips; libwebrtc too comes back sooner.
const RTO_MIN_MS: u64 = 200;
const RTO_INITIAL_MS: u64 = 500;
const RTO_MAX_MS: u64 = 10_000;
/// How long the peer may take to begin. Then we do: two that begin at once would have to agree on one association.
const PATIENCE: Duration = Duration::from_secs(1);
const INIT_ACK: u8 = 2;
/// DTLS knows where the peer is; the crate wants an address all the same.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), SCTP_PORT);

/// One association.
pub struct SctpAssociation {
    endpoint: Endpoint,
    inner: Option<(AssociationHandle, sctp_proto::Association)>,
    transport: Arc<TransportConfig>,
    /// When we begin, if the peer has not.
    begins: Option<Instant>,
    /// The peer's packets of the association that we began are taken: what it begins itself gives way.
    answered: bool,
    gate: Gate,
    max_send: u32,
    established: bool,
    ended: bool,
    readable: VecDeque<u16>,
    packets: VecDeque<Bytes>,
    events: VecDeque<AssociationEvent>,
    /// Streams that shall be open and are not yet.
    opening: HashMap<u16, StreamSettings>,
    /// Streams that we closed, until the peer has done so too.
    closing: HashSet<u16>,
}

impl SctpAssociation {
    /// Nothing yet. `max_message` is what the peer takes, in bytes; 0: anything.
    pub fn new(remote_port: u16, max_message: u32) -> SctpAssociation {
        let transport = TransportConfig::default()
            .with_local_port(SCTP_PORT)
            .with_remote_port(remote_port)
            .with_max_receive_buffer_size(WINDOW)
            .with_max_receive_message_size(MAX_REASSEMBLED)
            .with_max_num_inbound_streams(STREAMS)
            .with_max_num_outbound_streams(STREAMS)
            // ICE decides when a peer is gone.
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(RTO_INITIAL_MS)
            .with_rto_min_ms(RTO_MIN_MS)
            .with_rto_max_ms(RTO_MAX_MS);
        let transport = Arc::new(transport);
        let mut server = ServerConfig::new();
        server.transport = transport.clone();
        let mut config = EndpointConfig::new();
        config.max_payload_size(MAX_PAYLOAD);
        SctpAssociation {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))),
            inner: None,
            transport,
            begins: None,
            answered: false,
            gate: Gate::new(remote_port, SCTP_PORT, WINDOW),
            max_send: if max_message == 0 {
                u32::MAX
            } else {
                max_message
            },
            established: false,
            ended: false,
            readable: VecDeque::new(),
            packets: VecDeque::new(),
            events: VecDeque::new(),
            opening: HashMap::new(),
            closing: HashSet::new(),
        }
    }

    /// Sends the first packet of an association of ours.
    fn dial(&mut self) {
        let mut config = ClientConfig::new();
        config.transport = self.transport.clone();
        if let Ok((handle, mut inner)) = self.endpoint.connect(config, PEER) {
            inner.set_max_send_message_size(self.max_send);
            self.inner = Some((handle, inner));
        }
    }

    fn take_events(&mut self) {
        let Some((handle, inner)) = &mut self.inner else {
            return;
        };
        while let Some(event) = inner.poll() {
            match event {
                Event::Connected => {
                    self.established = true;
                    self.events.push_back(AssociationEvent::Connected);
                }
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => {
                    self.established = false;
                    self.ended = true;
                    self.readable.clear();
                    self.events.push_back(AssociationEvent::Closed);
                }
                Event::Stream(StreamEvent::Readable { id }) if !self.readable.contains(&id) => {
                    self.readable.push_back(id);
                }
                Event::Stream(StreamEvent::Finished { id }) if !self.closing.contains(&id) => {
                    self.events.push_back(AssociationEvent::StreamClosed(id));
                }
                Event::Stream(
                    StreamEvent::ResetComplete { id } | StreamEvent::ResetFailed { id, .. },
                ) => {
                    self.closing.remove(&id);
                }
                _ => {}
            }
        }
        while let Some(event) = inner.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                inner.handle_event(event);
            }
        }
        self.open_waiting();
    }

    fn open_waiting(&mut self) {
        let Some((_, inner)) = &mut self.inner else {
            return;
        };
        if !self.established {
            return;
        }
        self.opening.retain(|&id, settings| {
            if self.closing.contains(&id) {
                return true;
            }
            // The peer's first message may have opened it already.
            let _ = inner.open_stream(id, Ppid::Binary);
            match inner.stream(id) {
                Ok(mut stream) => {
                    let (kind, value) = match settings.reliability {
                        Reliability::Reliable => (ReliabilityType::Reliable, 0),
                        Reliability::MaxRetransmits(count) => (ReliabilityType::Rexmit, count),
                        Reliability::MaxLifetime(ms) => (ReliabilityType::Timed, ms),
                    };
                    stream
                        .set_reliability_params(!settings.ordered, kind, value)
                        .is_err()
                }
                Err(_) => true,
            }
        });
    }
}

impl Association for SctpAssociation {
    fn begin(&mut self, now: Instant) {
        if self.inner.is_none() && self.begins.is_none() && !self.ended {
            self.begins = Some(now + PATIENCE);
        }
    }

    fn handle_packet(&mut self, now: Instant, packet: Bytes) -> Result<(), Rejected> {
        // The crate would begin again with a closed association; a WebRTC peer never does.
        if self.ended {
            return Err(Rejected);
        }
        self.gate.check(&packet)?;
        if packet.get(COMMON_HEADER) == Some(&INIT_ACK) && !self.answered {
            self.answered = true;
            self.endpoint.reject_new_associations();
        }
        match self.endpoint.handle(now, PEER, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(mut inner))) => {
                inner.set_max_send_message_size(self.max_send);
                // A DTLS connection carries one association, and the endpoint would keep a note of each other one.
                self.endpoint.reject_new_associations();
                // One that we began and that nobody answered gives way: this peer would not.
                self.inner = Some((handle, inner));
                self.packets.clear();
                self.begins = None;
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => match &mut self.inner {
                Some((current, inner)) if *current == handle => inner.handle_event(event),
                _ => return Err(Rejected),
            },
            None => return Err(Rejected),
        }
        self.take_events();
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, inner)) = &mut self.inner {
            inner.handle_timeout(now);
        }
        if self.begins.is_some_and(|at| at <= now) {
            self.begins = None;
            self.dial();
        }
        self.take_events();
    }

    fn next_timeout(&self) -> Option<Instant> {
        let inner = self.inner.as_ref();
        inner
            .and_then(|(_, inner)| inner.poll_timeout())
            .or(self.begins)
    }

    fn poll_event(&mut self) -> Option<AssociationEvent> {
        self.events.pop_front()
    }

    fn poll_packet(&mut self, now: Instant) -> Option<Bytes> {
        if self.packets.is_empty() {
            let transmit = match self.endpoint.poll_transmit() {
                Some(transmit) => transmit,
                None => self.inner.as_mut()?.1.poll_transmit(now)?,
            };
            if let Payload::RawEncode(packets) = transmit.payload {
                self.packets.extend(packets);
            }
        }
        let packet = self.packets.pop_front()?;
        self.gate.sent(&packet);
        Some(packet)
    }

    fn open(&mut self, stream: u16, settings: StreamSettings) {
        self.opening.insert(stream, settings);
        self.open_waiting();
    }

    fn close(&mut self, stream: u16) {
        if self.opening.remove(&stream).is_some() {
            return;
        }
        if let Some((_, inner)) = &mut self.inner
            && let Ok(mut open) = inner.stream(stream)
            && open.close().is_ok()
        {
            self.closing.insert(stream);
        }
        self.readable.retain(|&id| id != stream);
    }

    fn read(&mut self) -> Option<(u16, Incoming)> {
        let (_, inner) = self.inner.as_mut()?;
        loop {
            let &id = self.readable.front()?;
            let chunks = inner
                .stream(id)
                .ok()
                .and_then(|mut stream| stream.read_sctp().ok().flatten());
            let Some(chunks) = chunks else {
                self.readable.pop_front();
                continue;
            };
            self.gate.read(chunks.chunks.len());
            // The next one is another stream's.
            self.readable.rotate_left(1);
            let kind = match chunks.ppi {
                Ppid::String | Ppid::StringEmpty => MessageKind::Text,
                Ppid::Binary | Ppid::BinaryEmpty => MessageKind::Binary,
                _ => return Some((id, Incoming::Unusable)),
            };
            let mut bytes = Vec::new();
            // An empty message has one byte that means nothing (RFC 8831 section 6.6).
            if matches!(chunks.ppi, Ppid::String | Ppid::Binary) {
                if chunks.len() > MAX_MESSAGE {
                    return Some((id, Incoming::Unusable));
                }
                bytes.resize(chunks.len(), 0);
                if chunks.read(&mut bytes).is_err() {
                    return Some((id, Incoming::Unusable));
                }
            }
            let bytes = bytes.into();
            return Some((id, Incoming::Message(Message { kind, bytes })));
        }
    }

    fn write(&mut self, stream: u16, message: &Message) -> bool {
        if !self.established || self.opening.contains_key(&stream) {
            return false;
        }
        let Some(mut open) = (self.inner.as_mut()).and_then(|(_, inner)| inner.stream(stream).ok())
        else {
            return false;
        };
        let empty = message.bytes.is_empty();
        let ppid = match (message.kind, empty) {
            (MessageKind::Text, false) => Ppid::String,
            (MessageKind::Text, true) => Ppid::StringEmpty,
            (MessageKind::Binary, false) => Ppid::Binary,
            (MessageKind::Binary, true) => Ppid::BinaryEmpty,
        };
        let bytes = if empty {
            Bytes::from_static(&[0])
        } else {
            message.bytes.clone()
        };
        // By way of the default identifier, because only this call shares the bytes instead of copying them.
        open.set_default_payload_type(ppid).is_ok() && open.write_chunks(&mut [bytes]).is_ok()
    }

    fn buffered(&mut self, stream: u16) -> Option<usize> {
        if !self.established || self.opening.contains_key(&stream) {
            return None;
        }
        let open = self.inner.as_mut()?.1.stream(stream).ok()?;
        open.buffered_amount().ok()
    }
}
