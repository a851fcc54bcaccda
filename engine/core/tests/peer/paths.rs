//! Where a peer is: its addresses, checks, connections and associations.

use std::net::SocketAddr;
use std::time::Duration;

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::{Laboratory, PASSWORD};
use crate::dtls::{Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use crate::link::proto::event;
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

    pub(super) fn handshake(&mut self, index: usize) {
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
        let mut buffer = vec![0; 512];
        let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
        let length = message
            .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
            .expect("it fits");
        buffer.truncate(length);
        buffer
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
