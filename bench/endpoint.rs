//! A peer with a socket of its own: checks, handshake, protected packets.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use switchyard_engine::dtls::{Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use switchyard_engine::srtp;
use switchyard_engine::wire::rtcp::transport_feedback::Arrivals;
use switchyard_engine::wire::rtcp::{self, ReportBlock};
use switchyard_engine::wire::rtp::Header;
use switchyard_net as net;

use crate::sdp::{Described, Own};

pub const PASSWORD: &str = "benchbenchbenchbenchbench";
/// Until an answer to the first check leads to a handshake.
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
    pub ufrag: String,
    server: Option<Server>,
    dtls: Option<Dtls>,
    next_check: Instant,
    /// Present once connected.
    pub sender: Option<srtp::Sender>,
    pub receiver: Option<srtp::Receiver>,
    /// RTP packets that came.
    pub packets: u64,
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
}

impl Endpoint {
    /// A peer that has not begun. `index` makes its user name.
    pub fn new(index: usize) -> io::Result<Endpoint> {
        Ok(Endpoint {
            socket: Rc::new(net::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?),
            ufrag: format!("bench{index}"),
            server: None,
            dtls: None,
            next_check: Instant::now(),
            sender: None,
            receiver: None,
            packets: 0,
            transport_extension: 0,
            arrivals: Arrivals::new(),
            highest: 0,
            media_ssrc: 0,
            feedbacks: index as u32,
        })
    }

    /// Our side of the descriptions.
    pub fn own<'a>(&'a self, fingerprint: &'a [u8]) -> Own<'a> {
        Own {
            ufrag: &self.ufrag,
            password: PASSWORD,
            fingerprint,
        }
    }

    /// Begins to connect to what the server described.
    pub fn connect(&mut self, certificate: &Certificate, described: &Described) {
        let fingerprint = Fingerprint {
            algorithm: HashAlgorithm::Sha256,
            digest: described.fingerprint.clone(),
        };
        let now = Instant::now();
        self.dtls = Some(Dtls::new(certificate, Role::Active, fingerprint, now));
        self.server = Some(Server {
            address: described.address,
            ufrag: described.ufrag.clone(),
            password: described.password.clone(),
        });
        self.next_check = now;
        self.transport_extension = described.transport_extension.unwrap_or(0);
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.sender.is_some()
    }

    /// Checks and handshakes as far as time has come, until it is connected.
    pub fn drive(&mut self, now: Instant) -> io::Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if now >= self.next_check {
            self.next_check = now + CHECK_INTERVAL;
            let check = check(server, &self.ufrag);
            self.socket.send_to(&check, server.address)?;
        }
        if let Some(dtls) = &mut self.dtls
            && self.sender.is_none()
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
                }
                Some(DtlsEvent::WithoutSrtp | DtlsEvent::Closed) => {
                    return Err(io::Error::other("handshake failed"));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Takes what is no media.
    pub fn take_dtls(&mut self, certificate: &Certificate, now: Instant, datagram: &[u8]) {
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_datagram(certificate, now, datagram);
        }
    }

    /// Notes that a packet came. Header extensions are not encrypted.
    pub fn arrived(&mut self, header: &Header, datagram: &[u8], at_us: u64) {
        self.packets += 1;
        self.highest = header.sequence_number;
        self.media_ssrc = header.ssrc;
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
            let check = check(server, &self.ufrag);
            self.socket.send_to(&check, server.address)?;
        }
        Ok(())
    }

    /// Sends a protected packet.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        match &self.server {
            Some(server) => self.socket.send_to(packet, server.address).map(drop),
            None => Ok(()),
        }
    }
}

fn check(server: &Server, own: &str) -> Vec<u8> {
    let user = format!("{}:{own}", server.ufrag);
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1 << 24, true);
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let mut buffer = vec![0; 1024];
    let length = message
        .to_bytes(Some(server.password.as_bytes()), &mut buffer, hmac)
        .unwrap_or(0);
    buffer.truncate(length);
    buffer
}
