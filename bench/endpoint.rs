//! A peer with a socket of its own: checks, handshake, protected packets.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use switchyard_engine::dtls::{Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use switchyard_engine::srtp;
use switchyard_engine::wire::rtcp::transport_feedback::Arrivals;
use switchyard_engine::wire::rtcp::{self, Packet, ReportBlock};
use switchyard_engine::wire::rtp::Header;
use switchyard_net as net;

use crate::association::Association;
use crate::checks::{self, Heard};
use crate::sdp::{Described, Own};

/// Until the first check is answered.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks at what is to be fed back, as often as libwebrtc does by default.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
const FEEDBACKS_PER_REPORT: u32 = 10;
/// Browsers check about as often (RFC 7675 section 5.1).
const FEEDBACKS_PER_CHECK: u32 = 20;

/// One peer.
pub struct Endpoint {
    /// Shared, so that a batch can be received while the endpoint changes.
    pub socket: Rc<UdpSocket>,
    pub address: SocketAddr,
    pub ufrag: String,
    server: Option<Server>,
    dtls: Option<Dtls>,
    next_check: Instant,
    /// A check of ours was answered.
    is_reachable: bool,
    is_secured: bool,
    /// SCTP, where the session has data channels.
    pub association: Option<Association>,
    /// Present once connected.
    pub sender: Option<srtp::Sender>,
    pub receiver: Option<srtp::Receiver>,
    /// Of the encodings of the track that it pulled, the one that it asked for.
    pub encoding: usize,
    /// Packets of media that came, and those that repeated some: a server fills probes with them.
    pub packets: u64,
    pub repeated: u64,
    repeats: Vec<u8>,
    /// The ID of transport-wide numbers, and when they came.
    transport_extension: u8,
    arrivals: Arrivals,
    highest: u16,
    media_ssrc: u32,
    feedbacks: u32,
}

struct Server {
    address: SocketAddr,
    ufrag: String,
    password: String,
    /// The peer controls otherwise (RFC 8445 section 6.1.1).
    is_controlling: bool,
}

impl Endpoint {
    /// A peer at `address` that has not begun. `index` makes its user name.
    pub fn new(address: IpAddr, index: usize) -> io::Result<Endpoint> {
        let socket = net::bind(SocketAddr::new(address, 0))?;
        Ok(Endpoint {
            address: socket.local_addr()?,
            socket: Rc::new(socket),
            ufrag: format!("bench{index}"),
            server: None,
            dtls: None,
            next_check: Instant::now(),
            is_reachable: false,
            is_secured: false,
            association: None,
            sender: None,
            receiver: None,
            encoding: 0,
            packets: 0,
            repeated: 0,
            repeats: Vec::new(),
            transport_extension: 0,
            arrivals: Arrivals::new(),
            highest: 0,
            media_ssrc: 0,
            feedbacks: index as u32,
        })
    }

    /// Our side of the descriptions.
    pub fn own<'a>(&'a self, fingerprint: &'a [u8]) -> Own<'a> {
        Own::new(&self.ufrag, fingerprint, self.address)
    }

    /// Begins to connect to what the server described; `offered` when the offer was ours.
    pub fn connect(&mut self, certificate: &Certificate, described: &Described, offered: bool) {
        let fingerprint = Fingerprint {
            algorithm: HashAlgorithm::Sha256,
            digest: described.fingerprint.clone(),
        };
        let now = Instant::now();
        let role = match described.is_dtls_client {
            true => Role::Passive,
            false => Role::Active,
        };
        self.dtls = Some(Dtls::new(certificate, role, fingerprint, now));
        self.server = Some(Server {
            address: described.address,
            ufrag: described.ufrag.clone(),
            password: described.password.clone(),
            is_controlling: offered || described.is_lite,
        });
        self.next_check = now;
        self.expect(described);
    }

    /// Takes what comes as the server describes it.
    pub fn expect(&mut self, described: &Described) {
        self.transport_extension = described.transport_extension.unwrap_or(0);
        self.repeats.clone_from(&described.repeats);
    }

    /// Whether media, or messages, can flow.
    pub fn is_connected(&self) -> bool {
        self.is_secured && (self.association.as_ref()).is_none_or(Association::is_connected)
    }

    /// Checks and handshakes as far as time has come, until it is connected.
    pub fn drive(&mut self, now: Instant) -> io::Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if !self.is_secured && now >= self.next_check {
            self.next_check = now + CHECK_INTERVAL;
            self.socket
                .send_to(&server.check(&self.ufrag), server.address)?;
        }
        // A peer drops what comes from an address that it has not checked, and waits long for the next try.
        if let Some(dtls) = &mut self.dtls
            && self.is_reachable
            && !self.is_secured
        {
            dtls.handle_timeout(now);
            let (socket, to) = (&self.socket, server.address);
            let event = dtls.poll(|record| {
                // A lost record is sent again.
                let _ = socket.send_to(record, to);
            });
            match event {
                Some(DtlsEvent::Keys {
                    profile,
                    sender,
                    receiver,
                }) => {
                    self.sender = Some(srtp::Sender::new(profile, &sender));
                    self.receiver = Some(srtp::Receiver::new(profile, &receiver));
                    self.is_secured = true;
                }
                // Without media the server has no use for SRTP.
                Some(DtlsEvent::WithoutSrtp) if self.association.is_some() => {
                    self.is_secured = true;
                }
                Some(DtlsEvent::WithoutSrtp | DtlsEvent::Closed) => {
                    return Err(io::Error::other("handshake failed"));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Takes a STUN message, and answers where it asks.
    pub fn take_stun(&mut self, datagram: &[u8], source: SocketAddr) {
        match checks::hear(datagram, source) {
            Some(Heard::Success) => self.is_reachable = true,
            Some(Heard::Check(reply)) => {
                // A peer that misses an answer asks again.
                let _ = self.socket.send_to(&reply, source);
            }
            None => {}
        }
    }

    /// Messages within DTLS, both ways: what came goes to the association, and its packets leave.
    pub fn exchange(&mut self, now: Instant) {
        let (Some(server), Some(dtls), Some(association), true) = (
            &self.server,
            &mut self.dtls,
            &mut self.association,
            self.is_secured,
        ) else {
            return;
        };
        while let Some(record) = dtls.received() {
            association.handle_packet(now, record);
        }
        association.handle_timeout(now);
        association.poll(now, |packet| {
            dtls.send_data(packet, |record| {
                // SCTP sends again what is lost.
                let _ = self.socket.send_to(record, server.address);
            });
        });
    }

    /// Takes what is no media.
    pub fn take_dtls(&mut self, certificate: &Certificate, now: Instant, datagram: &[u8]) {
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_datagram(certificate, now, datagram);
            if self.is_secured {
                // Takes the messages out of it; its own records it sends again when asked for.
                dtls.poll(|_| {});
            }
        }
    }

    /// Gives each SSRC of which RTCP asks for a key frame.
    pub fn key_frames_wanted(&mut self, datagram: &mut [u8], mut each: impl FnMut(u32)) {
        let receiver = self.receiver.as_mut();
        let length = receiver.and_then(|receiver| receiver.unprotect_rtcp(datagram).ok());
        for packet in rtcp::parse(&datagram[..length.unwrap_or(0)]) {
            match packet {
                Ok(Packet::Pli { media_ssrc }) => each(media_ssrc),
                Ok(Packet::Fir { entries }) => entries.for_each(|(ssrc, _)| each(ssrc)),
                _ => {}
            }
        }
    }

    /// Tells the server that we are still there.
    pub fn check(&self) -> io::Result<()> {
        match &self.server {
            Some(server) => {
                let check = server.check(&self.ufrag);
                self.socket.send_to(&check, server.address).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Notes that a packet came; whether it is media. Header extensions are not encrypted.
    pub fn arrived(&mut self, header: &Header, datagram: &[u8], at_us: u64) -> bool {
        self.note_number(header, datagram, at_us);
        let is_repeat = self.repeats.contains(&header.payload_type);
        // Padding is a probe as well.
        let is_media = !is_repeat && !header.has_padding;
        self.repeated += u64::from(is_repeat);
        if is_media {
            self.packets += 1;
            self.highest = header.sequence_number;
            self.media_ssrc = header.ssrc;
        }
        is_media
    }

    fn note_number(&mut self, header: &Header, datagram: &[u8], at_us: u64) {
        if self.transport_extension == 0 {
            return;
        }
        let mut extensions = header.extensions(datagram);
        if let Some((_, &[high, low])) = extensions.find(|&(id, _)| id == self.transport_extension)
        {
            self.arrivals.record(u16::from_be_bytes([high, low]), at_us);
        }
    }

    /// What a browser sends every `FEEDBACK_INTERVAL`: transport-wide feedback, at times a receiver report, at times a check.
    pub fn feed_back(&mut self, packet: &mut Vec<u8>) -> io::Result<()> {
        let (Some(server), Some(sender)) = (&self.server, &mut self.sender) else {
            return Ok(());
        };
        self.feedbacks += 1;
        packet.clear();
        if self.feedbacks.is_multiple_of(FEEDBACKS_PER_REPORT) {
            let report = ReportBlock {
                ssrc: self.media_ssrc,
                highest_sequence: u32::from(self.highest),
                ..ReportBlock::default()
            };
            rtcp::push_receiver_report(packet, 1, &[report]);
        }
        self.arrivals.push_feedback(packet, 1, self.media_ssrc);
        if !packet.is_empty() && sender.protect_rtcp(packet).is_some() {
            self.socket.send_to(packet, server.address)?;
        }
        if self.feedbacks.is_multiple_of(FEEDBACKS_PER_CHECK) {
            self.check()?;
        }
        Ok(())
    }

    /// The SSRC of the media that came last.
    pub fn media_ssrc(&self) -> u32 {
        self.media_ssrc
    }

    /// A check that the server takes.
    pub fn check_message(&self) -> Vec<u8> {
        let server = self.server.as_ref();
        server.map_or_else(Vec::new, |server| server.check(&self.ufrag))
    }

    /// Sends a protected packet.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        match &self.server {
            Some(server) => self.socket.send_to(packet, server.address).map(drop),
            None => Ok(()),
        }
    }
}

impl Server {
    fn check(&self, own: &str) -> Vec<u8> {
        checks::check(&self.ufrag, &self.password, own, self.is_controlling)
    }
}
