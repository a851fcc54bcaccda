//! Where a peer is: its addresses, checks, connections and associations.

use std::net::SocketAddr;
use std::time::Duration;

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::{Laboratory, PASSWORD, Peer, apply};
use crate::dtls::{Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use crate::link::proto::{self, event};
use crate::srtp;
use crate::transport::TCP;

impl Laboratory {
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

    /// The session's transport ends, and another one takes its place.
    pub fn begin_transport(&mut self, index: usize) {
        let table = self.table(index);
        let without = proto::ApplySession {
            transport: None,
            ..table.clone()
        };
        self.request(apply(without)).expect("the table is right");
        self.request(apply(table)).expect("the table is right");
        self.begin_association(index, false);
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

    /// The same, where so many of the engine's messages to the new port are lost.
    pub fn move_and_lose(&mut self, index: usize, losses: usize) {
        self.left.push(self.peers[index].address);
        let port = self.peers[index].address.port();
        self.peers[index].address.set_port(port + 300);
        let check = self.check(index, PASSWORD);
        if losses == 0 {
            return self.deliver(index, &check);
        }
        let mut lost = self.deliver_and_lose(index, &check).len();
        while lost < losses {
            self.now = self.engine.next_timeout().expect("a repeat");
            lost += self.lose().len();
        }
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

    /// The peer goes through its DTLS handshake.
    pub fn handshake(&mut self, index: usize) {
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

    pub(super) fn check(&self, index: usize, password: &str) -> Vec<u8> {
        self.check_of(index, password, 100)
    }

    pub(super) fn check_of(&self, index: usize, password: &str, priority: u32) -> Vec<u8> {
        let name = self.peers[index].name;
        let user = format!("server-{name}:peer-{name}");
        let message = StunMessage::binding_request(&user, TransId::new(), true, 1, priority, true);
        signed(message, password)
    }

    /// Gives the engine what the peer forged to come from somebody else; how many bytes that is.
    pub fn forge(&mut self, source: SocketAddr, datagram: &[u8]) -> usize {
        if !self.left.contains(&source) {
            self.left.push(source);
        }
        self.hand_over(source, datagram);
        self.settle();
        datagram.len()
    }

    /// The same with a check of a high priority that nominates.
    pub fn forge_check(&mut self, index: usize, source: SocketAddr) -> usize {
        let check = self.check_of(index, PASSWORD, 200);
        self.forge(source, &check)
    }

    /// How many bytes went to an address that is no peer's.
    pub fn bytes_to(&self, address: SocketAddr) -> usize {
        self.lost.get(&address).copied().unwrap_or(0)
    }

    /// The first flight of another association of the peer's.
    pub fn client_hello(&mut self, index: usize) -> Vec<Vec<u8>> {
        let fingerprint = Fingerprint {
            algorithm: HashAlgorithm::Sha256,
            digest: self.engine.config.certificate.sha256(),
        };
        let certificate = &self.peers[index].certificate;
        let mut dtls = Dtls::new(certificate, Role::Active, fingerprint, self.now);
        let mut records = Vec::new();
        dtls.handle_timeout(self.now);
        dtls.poll(|record| records.push(record.to_vec()));
        records
    }

    /// The peer makes a check; the engine's answers to it are lost.
    pub fn check_and_lose(&mut self, index: usize) -> Vec<Vec<u8>> {
        let check = self.check(index, PASSWORD);
        self.deliver_and_lose(index, &check)
    }

    /// An answer to a check of the engine's, with this password.
    pub fn answer(check: &[u8], password: &str) -> Vec<u8> {
        let message = StunMessage::parse(check).expect("a check");
        let mapped = SocketAddr::from(([127, 0, 0, 1], 7000));
        signed(
            StunMessage::binding_reply(message.trans_id(), mapped),
            password,
        )
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
}

impl Peer {
    /// What it answers to a check of the engine's.
    pub(super) fn answer(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = StunMessage::parse(datagram).ok()?;
        if !message.is_binding_request() {
            return None;
        }
        let user = format!("peer-{0}:server-{0}", self.name);
        assert_eq!(message.username(), Some(&user[..]));
        assert!(message.ice_controlled().is_some() && !message.use_candidate());
        let reply = StunMessage::binding_reply(message.trans_id(), self.address);
        Some(signed(reply, PASSWORD))
    }
}

fn signed(message: StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let length = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .expect("it fits");
    buffer.truncate(length);
    buffer
}
