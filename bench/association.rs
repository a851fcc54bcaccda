//! SCTP of an endpoint (RFC 8831): it begins the association, as WebRTC clients do, on pre-negotiated streams.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association as Inner, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig,
    Event, Payload, PayloadProtocolIdentifier as Ppid, ReliabilityType, StreamEvent,
    TransportConfig,
};
use switchyard_engine::channel::{SCTP_PORT, STREAMS};

/// Of one DATA chunk, as the engine cuts them.
const MAX_PAYLOAD: u32 = 1132;
/// DTLS knows where the peer is; the crate wants an address all the same.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), SCTP_PORT);

/// One association.
pub struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    inner: Inner,
    is_connected: bool,
    /// Streams with messages that nobody read yet.
    readable: Vec<u16>,
}

impl Association {
    /// Begins one; `window` is what the server may send ahead of us, in bytes.
    pub fn new(window: u32) -> Result<Association, String> {
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(window)
            .with_max_num_inbound_streams(STREAMS)
            .with_max_num_outbound_streams(STREAMS)
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None);
        let mut client = ClientConfig::new();
        client.transport = Arc::new(transport);
        let mut config = EndpointConfig::new();
        config.max_payload_size(MAX_PAYLOAD);
        let mut endpoint = Endpoint::new(Arc::new(config), None);
        let begun = endpoint.connect(client, PEER);
        let (handle, inner) = begun.map_err(|error| error.to_string())?;
        Ok(Association {
            endpoint,
            handle,
            inner,
            is_connected: false,
            readable: Vec::new(),
        })
    }

    /// Whether messages can be sent.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Takes a packet of the server.
    pub fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        if let Some((_, DatagramEvent::AssociationEvent(event))) =
            self.endpoint.handle(now, PEER, None, None, packet)
        {
            self.inner.handle_event(event);
        }
        self.take_events();
    }

    /// Lets time pass, if something is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.inner.poll_timeout().is_some_and(|due| due <= now) {
            self.inner.handle_timeout(now);
            self.take_events();
        }
    }

    /// Gives each packet for the server to `send`.
    pub fn poll(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        while let Some(transmit) = self.inner.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.payload {
                packets.iter().for_each(|packet| send(packet));
            }
        }
    }

    /// Opens a stream; one with `retransmits` is unordered and tried again so often.
    pub fn open(&mut self, stream: u16, retransmits: Option<u32>) -> Result<(), String> {
        let (kind, value) = match retransmits {
            None => (ReliabilityType::Reliable, 0),
            Some(count) => (ReliabilityType::Rexmit, count),
        };
        // The server's first message may have opened it already.
        let _ = self.inner.open_stream(stream, Ppid::Binary);
        self.inner
            .stream(stream)
            .and_then(|mut open| open.set_reliability_params(retransmits.is_some(), kind, value))
            .map_err(|error| error.to_string())
    }

    /// Sends a message.
    pub fn send(&mut self, stream: u16, message: &[u8]) -> Result<(), String> {
        self.inner
            .stream(stream)
            .and_then(|mut open| open.write_with_ppi(message, Ppid::Binary))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Gives each message that came to `each`. What is not read keeps the server from sending more.
    pub fn read(&mut self, mut each: impl FnMut(u16, &[u8])) {
        let mut buffer = [0; 2048];
        for id in self.readable.drain(..) {
            let Ok(mut stream) = self.inner.stream(id) else {
                continue;
            };
            while let Ok(Some(chunks)) = stream.read_sctp() {
                if let Ok(length) = chunks.read(&mut buffer) {
                    each(id, &buffer[..length]);
                }
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.inner.poll() {
            match event {
                Event::Connected => self.is_connected = true,
                Event::Stream(StreamEvent::Readable { id }) if !self.readable.contains(&id) => {
                    self.readable.push(id);
                }
                _ => {}
            }
        }
        while let Some(event) = self.inner.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.inner.handle_event(event);
            }
        }
    }
}
