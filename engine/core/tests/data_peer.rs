//! A peer that speaks SCTP over the laboratory's DTLS, on a link that loses packets.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Ppid, ReliabilityType, StreamEvent, TransportConfig,
};

use super::peer::Laboratory;
use crate::link::proto::{self, data_channel};

/// One peer's SCTP.
pub struct DataPeer {
    pub index: usize,
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: Association,
    /// Lost, of a thousand packets in each direction.
    pub loss: u32,
    chance: u32,
    /// Packets do not come through at all.
    pub deaf: bool,
    pub received: HashMap<u16, VecDeque<(Ppid, Vec<u8>)>>,
    pub closed: Vec<u16>,
    pub lost_association: bool,
    next_check: Instant,
}

/// A channel on stream `id` with the default queue.
pub fn channel(id: u32, role: data_channel::Role) -> proto::DataChannel {
    proto::DataChannel {
        channel_id: id,
        stream_id: id,
        role: Some(role),
        queue_messages: 64,
        queue_bytes: 1 << 20,
        ..Default::default()
    }
}

pub fn publication() -> data_channel::Role {
    data_channel::Role::Publication(proto::ChannelPublication { replier: None })
}

pub fn name(session_id: &str, channel_id: u32) -> proto::ChannelName {
    proto::ChannelName {
        session_id: session_id.into(),
        channel_id,
        worker: 0,
    }
}

pub fn subscription(channel_id: u32) -> data_channel::Role {
    data_channel::Role::Subscription(proto::ChannelSubscription {
        publication: Some(name("publisher", channel_id)),
        wait_for_ack_ms: None,
    })
}

impl DataPeer {
    /// A session with these channels, its association established.
    pub fn join(
        lab: &mut Laboratory,
        name: &'static str,
        channels: &[proto::DataChannel],
    ) -> DataPeer {
        let index = lab.join(name, |table| {
            table.data_transport = Some(proto::DataTransport {
                remote_sctp_port: 5000,
                remote_max_message_size: 262_144,
            });
            table.data_channels = channels.to_vec();
        });
        DataPeer::connect(lab, index)
    }

    /// Begins an association for a peer whose table has a data transport.
    pub fn connect(lab: &mut Laboratory, index: usize) -> DataPeer {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
        let transport = TransportConfig::default()
            .with_max_send_message_size(1 << 20)
            .with_max_receive_message_size(1 << 20)
            .with_max_receive_buffer_size(2 << 20)
            .with_rto_min_ms(200)
            .with_rto_initial_ms(200);
        let mut config = ClientConfig::new();
        config.transport = Arc::new(transport);
        let address = "127.0.0.1:5000".parse().expect("an address");
        let (handle, association) = endpoint.connect(config, address).expect("a good config");
        let mut peer = DataPeer {
            index,
            endpoint,
            handle,
            association,
            loss: 0,
            chance: index as u32 + 1,
            deaf: false,
            received: HashMap::new(),
            closed: Vec::new(),
            lost_association: false,
            next_check: lab.now(),
        };
        for _ in 0..20 {
            peer.exchange(lab);
        }
        assert!(!peer.association.is_handshaking(), "associated");
        peer
    }

    fn is_lost(&mut self) -> bool {
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.deaf || (self.chance >> 8) % 1000 < self.loss
    }

    /// Takes what came and sends what is to be sent, once.
    pub fn exchange(&mut self, lab: &mut Laboratory) {
        let now = lab.now();
        let address = "127.0.0.1:5000".parse().expect("an address");
        for packet in lab.data(self.index) {
            if self.is_lost() {
                continue;
            }
            match self.endpoint.handle(now, address, None, None, packet) {
                Some((_, DatagramEvent::AssociationEvent(event))) => {
                    self.association.handle_event(event);
                }
                _ => panic!("the engine sent what belongs to no association"),
            }
        }
        self.association.handle_timeout(now);
        while let Some(event) = self.association.poll_endpoint_event() {
            self.endpoint.handle_event(self.handle, event);
        }
        while let Some(event) = self.association.poll() {
            match event {
                Event::Stream(StreamEvent::Readable { id }) => self.read(id),
                Event::Stream(StreamEvent::Finished { id }) => self.closed.push(id),
                Event::AssociationLost { .. } => self.lost_association = true,
                _ => {}
            }
        }
        while let Some(transmit) = self.association.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.payload else {
                continue;
            };
            for packet in packets {
                if !self.is_lost() {
                    lab.send_data(self.index, &packet);
                }
            }
        }
    }

    fn read(&mut self, id: u16) {
        while let Some(chunks) = (self.association.stream(id).ok())
            .and_then(|mut stream| stream.read_sctp().ok().flatten())
        {
            let mut bytes = vec![0; chunks.len()];
            chunks.read(&mut bytes).expect("it fits");
            let messages = self.received.entry(id).or_default();
            messages.push_back((chunks.ppi, bytes));
        }
    }

    /// Sends on a stream, ordered and reliable.
    pub fn send(&mut self, id: u16, ppid: Ppid, bytes: &[u8]) {
        let _ = self.association.open_stream(id, Ppid::Binary);
        let mut stream = self.association.stream(id).expect("open");
        stream
            .set_reliability_params(false, ReliabilityType::Reliable, 0)
            .expect("open");
        stream.write_with_ppi(bytes, ppid).expect("room");
    }

    pub fn text(&mut self, id: u16, text: &str) {
        self.send(id, Ppid::String, text.as_bytes());
    }

    pub fn close(&mut self, id: u16) {
        let mut stream = self.association.stream(id).expect("open");
        stream.close().expect("established");
    }

    /// Texts that came on a stream since the last time.
    pub fn texts(&mut self, id: u16) -> Vec<String> {
        let messages = self.received.remove(&id).unwrap_or_default();
        let texts = messages.into_iter().map(|(_, bytes)| bytes);
        texts
            .map(|bytes| String::from_utf8(bytes).expect("text"))
            .collect()
    }

    /// Any bytes as a packet of this association's DTLS.
    pub fn raw(&mut self, lab: &mut Laboratory, packet: &Bytes) {
        lab.send_data(self.index, packet);
    }
}

/// Lets time pass for all peers.
pub fn run(lab: &mut Laboratory, peers: &mut [&mut DataPeer], time: Duration) {
    let step = Duration::from_millis(5);
    let end = lab.now() + time;
    while lab.now() < end {
        for peer in peers.iter_mut() {
            // Consent to send ends when checks do (RFC 7675 section 5.1).
            if lab.now() >= peer.next_check {
                lab.check_again(peer.index);
                peer.next_check = lab.now() + Duration::from_secs(2);
            }
            peer.exchange(lab);
        }
        lab.advance(step);
    }
}
