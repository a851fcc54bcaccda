//! A peer with a socket of its own: checks, handshake, protected packets.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use switchyard_engine::dtls::{Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use switchyard_engine::srtp;
use switchyard_engine::wire::demux::{DatagramKind, classify};
use switchyard_net as net;

use crate::sdp::{Described, Own};

pub const PASSWORD: &str = "benchbenchbenchbenchbench";
/// Browsers check about as often (RFC 7675 section 5.1).
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// One peer.
pub struct Endpoint {
    pub socket: UdpSocket,
    pub ufrag: String,
    server: Option<Server>,
    dtls: Option<Dtls>,
    next_check: Instant,
    /// Present once connected.
    pub sender: Option<srtp::Sender>,
    pub receiver: Option<srtp::Receiver>,
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
            socket: net::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?,
            ufrag: format!("bench{index}"),
            server: None,
            dtls: None,
            next_check: Instant::now(),
            sender: None,
            receiver: None,
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
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.sender.is_some()
    }

    /// Checks and handshakes as far as time has come.
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

    /// Takes a datagram; gives it back when it is RTP or RTCP.
    pub fn take(
        &mut self,
        certificate: &Certificate,
        now: Instant,
        datagram: &[u8],
    ) -> DatagramKind {
        let kind = classify(datagram);
        if let (DatagramKind::Dtls, Some(dtls)) = (&kind, &mut self.dtls) {
            dtls.handle_datagram(certificate, now, datagram);
        }
        kind
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
