//! The server as clients see it, on clocks of the tests' own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use proptest::prelude::*;
use slotmap::SlotMap;
use stun_types::AddressFamily;
use stun_types::attribute::{
    ErrorCode, Nonce, PasswordAlgorithm as Chosen, PasswordAlgorithmValue, PasswordAlgorithms,
    RawAttribute, Realm, UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::{BINDING, Message, MessageClass, MessageType, MessageWriteVec, Method};
use stun_types::prelude::*;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, Data, DontFragment, EvenPort,
    Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
    XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND};

use super::message::{IntegrityKind, SigningKey};
use super::{Client, Now, OpenError, Opened, Parity, RelayKey, Server, Settings, Wire};
use crate::credentials::{self, PasswordAlgorithm, REALM};
use crate::peer_policy::PeerPolicy;
use crate::revoked::Revocation;

const SECRET: &[u8] = b"secret";
const UNIX: u64 = 1_764_019_200;
const PEER: &str = "8.8.8.8:9000";
const MEDIA: &str = "127.0.0.1:7882";

#[derive(Default)]
struct FakeWire {
    answers: Vec<Vec<u8>>,
    channels: Vec<(u16, Vec<u8>)>,
    to_peers: Vec<(SocketAddr, Vec<u8>)>,
    relays: SlotMap<RelayKey, u16>,
    disconnected: Vec<Client>,
    full: bool,
    no_ipv6: bool,
    chance: u8,
}

impl Wire for FakeWire {
    fn to_client(&mut self, _client: Client, message: &[u8]) {
        self.answers.push(message.to_vec());
    }
    fn channel_to_client(&mut self, _client: Client, channel: u16, payload: &[u8]) {
        self.channels.push((channel, payload.to_vec()));
    }
    fn to_peer(&mut self, relay: RelayKey, peer: SocketAddr, payload: &[u8]) {
        assert!(self.relays.contains_key(relay));
        self.to_peers.push((peer, payload.to_vec()));
    }
    fn open(&mut self, _client: Client, ipv6: bool, parity: Parity) -> Result<Opened, OpenError> {
        if ipv6 && self.no_ipv6 {
            return Err(OpenError::NoFamily);
        }
        if self.full {
            return Err(OpenError::NoPort);
        }
        let mut open = |port: u16| {
            let ip: IpAddr = if ipv6 { "2a00::1" } else { "5.6.7.8" }.parse().unwrap();
            (self.relays.insert(port), SocketAddr::new(ip, port))
        };
        let relay = open(50_000);
        let next = (parity == Parity::EvenAndNext).then(|| open(50_001));
        Ok(Opened { relay, next })
    }
    fn close(&mut self, relay: RelayKey) {
        assert!(self.relays.remove(relay).is_some(), "closed twice");
    }
    fn disconnect(&mut self, client: Client) {
        self.disconnected.push(client);
    }
    fn random(&mut self, bytes: &mut [u8]) {
        self.chance += 1;
        bytes.fill(self.chance);
    }
}

struct World {
    server: Server,
    wire: FakeWire,
    now: Now,
    client: Client,
    username: String,
    password: Vec<u8>,
    nonce: String,
    algorithm: PasswordAlgorithm,
    integrity: IntegrityKind,
    transaction: u128,
}

impl World {
    fn new() -> World {
        let policy = PeerPolicy {
            media: vec![MEDIA.parse().unwrap()],
            ..PeerPolicy::default()
        };
        let server = Server::new(Settings {
            secret: SECRET.to_vec(),
            policy,
            allocations_per_credential: 3,
            bytes_per_second: 0,
            nonce_lifetime: Duration::from_secs(600),
        });
        let now = Now {
            instant: Instant::now(),
            unix: UNIX,
        };
        let client = client(1);
        let mut world = World {
            nonce: String::new(),
            wire: FakeWire::default(),
            username: String::new(),
            password: Vec::new(),
            algorithm: PasswordAlgorithm::Md5,
            integrity: IntegrityKind::Sha1,
            transaction: 1,
            server,
            now,
            client,
        };
        world.log_in(&format!("{}.key.a", UNIX + 86_400));
        world.fresh_nonce();
        world
    }

    fn log_in(&mut self, username: &str) {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        self.username = username.to_owned();
        self.password = credentials::password(&secret, username).to_vec();
    }

    fn fresh_nonce(&mut self) {
        let answer = self.send(&unsigned(ALLOCATE, 7, &[&RequestedTransport::new(17)]));
        let answer = Message::from_bytes(&answer).unwrap();
        self.nonce = answer.attribute::<Nonce>().unwrap().nonce().to_owned();
    }

    /// Sends and gives the answer, empty where there is none.
    fn send(&mut self, datagram: &[u8]) -> Vec<u8> {
        self.wire.answers.clear();
        let (now, client) = (self.now, self.client);
        self.server
            .handle_client(now, client, datagram, &mut self.wire);
        self.wire.answers.pop().unwrap_or_default()
    }

    fn signed(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        self.transaction += 1;
        let username = Username::new(&self.username).unwrap();
        let realm = Realm::new(REALM).unwrap();
        let nonce = Nonce::new(&self.nonce).unwrap();
        let mut all: Vec<&dyn AttributeWrite> = attributes.to_vec();
        all.extend([&username as &dyn AttributeWrite, &realm, &nonce]);
        let offer =
            PasswordAlgorithms::new(&[PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5]);
        let chosen = Chosen::new(PasswordAlgorithmValue::SHA256);
        if self.algorithm == PasswordAlgorithm::Sha256 {
            all.extend([&offer as &dyn AttributeWrite, &chosen]);
        }
        let mut message = unsigned(method, self.transaction, &all);
        self.sign(&mut message);
        message
    }

    fn sign(&self, message: &mut Vec<u8>) {
        let key = credentials::key(self.algorithm, &self.username, &self.password);
        let length = message.len();
        message.resize(length + 64, 0);
        let key = SigningKey::new(self.integrity, &key);
        let end = super::message::sign(message, length, Some(&key));
        message.truncate(end);
    }

    /// The error code of the answer to a genuine request; 0 is success.
    fn ask(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> u16 {
        let request = self.signed(method, attributes);
        code(&self.send(&request))
    }

    fn allocate(&mut self) -> u16 {
        self.ask(ALLOCATE, &[&RequestedTransport::new(17)])
    }

    fn peer(&self, text: &str) -> XorPeerAddress {
        XorPeerAddress::new(text.parse().unwrap(), (self.transaction + 1).into())
    }

    fn permit(&mut self, peer: &str) -> u16 {
        let peer = self.peer(peer);
        self.ask(CREATE_PERMISSION, &[&peer])
    }

    fn bind(&mut self, channel: u16, peer: &str) -> u16 {
        let peer = self.peer(peer);
        self.ask(CHANNEL_BIND, &[&ChannelNumber::new(channel), &peer])
    }

    fn send_to(&mut self, peer: &str, payload: &[u8]) -> usize {
        let before = self.wire.to_peers.len();
        let peer = XorPeerAddress::new(peer.parse().unwrap(), 9.into());
        let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
        let datagram = write(kind, 9, &[&peer, &Data::new(payload)]);
        assert!(self.send(&datagram).is_empty());
        self.wire.to_peers.len() - before
    }

    fn arrive(&mut self, peer: &str, payload: &[u8]) {
        self.wire.answers.clear();
        let relay = self.wire.relays.keys().next().unwrap();
        let (now, peer) = (self.now, peer.parse().unwrap());
        self.server
            .handle_peer(now, relay, peer, payload, &mut self.wire);
    }

    fn pass(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.unix += seconds;
        self.server.handle_timeout(self.now, &mut self.wire);
    }
}

fn client(port: u16) -> Client {
    Client {
        socket: 0,
        address: SocketAddr::from(([9, 9, 9, 9], port)),
    }
}

fn write(kind: MessageType, transaction: u128, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
    let mut writer = Message::builder(kind, transaction.into(), MessageWriteVec::new());
    for attribute in attributes {
        writer.push_attribute_unchecked(*attribute);
    }
    writer.finish()
}

fn unsigned(method: Method, transaction: u128, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    write(kind, transaction, attributes)
}

fn code(answer: &[u8]) -> u16 {
    let answer = Message::from_bytes(answer).expect("an answer");
    answer
        .attribute::<ErrorCode>()
        .map_or(0, |error| error.code())
}

#[test]
fn a_binding_request_is_told_its_address_and_little_more() {
    for (address, length) in [("9.9.9.9:1", 32), ("[2a00::9]:1", 44)] {
        let mut world = World::new();
        world.client.address = address.parse().unwrap();
        let answer = world.send(&unsigned(BINDING, 5, &[]));
        assert_eq!(answer.len(), length);
        let answer = Message::from_bytes(&answer).unwrap();
        let mapped = answer.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(5.into()), world.client.address);
    }
}

/// Bytes of an IP packet with a UDP datagram.
fn on_the_wire(length: usize) -> usize {
    20 + 8 + length
}

#[test]
fn no_answer_to_a_stranger_is_twice_its_request() {
    let mut world = World::new();
    for method in (0..0xfff).map(Method::new) {
        for attributes in [
            &[] as &[&dyn AttributeWrite],
            &[&RequestedTransport::new(17)],
            &[&RawAttribute::new(0x7001.into(), &[])],
        ] {
            let request = unsigned(method, 5, attributes);
            let answer = world.send(&request);
            assert!(
                on_the_wire(answer.len()) < 2 * on_the_wire(request.len()),
                "{method:?} {} -> {}",
                request.len(),
                answer.len()
            );
        }
    }
}

#[test]
fn an_allocation_needs_a_genuine_credential() {
    let mut world = World::new();
    assert_eq!(world.allocate(), 0);
    assert_eq!(world.server.allocations(), 1);

    let mut wrong = World::new();
    wrong.password = b"guess".to_vec();
    let request = wrong.signed(ALLOCATE, &[&RequestedTransport::new(17)]);
    let answer = wrong.send(&request);
    assert_eq!(code(&answer), 401);
    let answer = Message::from_bytes(&answer).unwrap();
    assert!(!answer.attribute::<Nonce>().unwrap().nonce().is_empty());
    assert_eq!(answer.attribute::<Realm>().unwrap().realm(), REALM);

    for username in [
        format!("{UNIX}.key.a"),
        format!("{}.key.a", UNIX - 1),
        "nobody".to_owned(),
        "1.2.3.4".to_owned(),
    ] {
        let mut world = World::new();
        world.log_in(&username);
        assert_eq!(world.allocate(), 401, "{username}");
        assert_eq!(world.server.allocations(), 0);
    }
}

#[test]
fn both_password_algorithms_and_both_integrities_are_taken() {
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        for integrity in [IntegrityKind::Sha1, IntegrityKind::Sha256] {
            let mut world = World::new();
            (world.algorithm, world.integrity) = (algorithm, integrity);
            let request = world.signed(ALLOCATE, &[&RequestedTransport::new(17)]);
            let mut answer = world.send(&request);
            assert_eq!(code(&answer), 0);
            // The answer is signed as the request was: signing its beginning again gives the same.
            let cut = answer.len()
                - if integrity == IntegrityKind::Sha1 {
                    24
                } else {
                    36
                };
            let whole = answer.clone();
            answer.truncate(cut);
            world.sign(&mut answer);
            assert_eq!(answer, whole);
        }
    }
}

#[test]
fn a_changed_offer_of_algorithms_is_an_attack() {
    let mut world = World::new();
    let md5_only = PasswordAlgorithms::new(&[PasswordAlgorithmValue::MD5]);
    let chosen = Chosen::new(PasswordAlgorithmValue::MD5);
    let transport = RequestedTransport::new(17);
    assert_eq!(world.ask(ALLOCATE, &[&transport, &md5_only, &chosen]), 400);
    assert_eq!(world.ask(ALLOCATE, &[&transport, &chosen]), 400);
}

#[test]
fn nonces_end_and_are_of_one_client() {
    let mut world = World::new();
    world.pass(601);
    assert_eq!(world.allocate(), 438);
    world.fresh_nonce();
    assert_eq!(world.allocate(), 0);
    world.client = client(2);
    assert_eq!(world.allocate(), 438);
}

#[test]
fn requests_without_all_of_the_credential_are_bad() {
    for missing in 0..3 {
        let mut world = World::new();
        let username = Username::new(&world.username).unwrap();
        let realm = Realm::new(REALM).unwrap();
        let nonce = Nonce::new(&world.nonce).unwrap();
        let mut all: Vec<&dyn AttributeWrite> = vec![&username, &realm, &nonce];
        all.remove(missing);
        let mut request = unsigned(ALLOCATE, 3, &all);
        world.sign(&mut request);
        assert_eq!(code(&world.send(&request)), 400);
    }
}

#[test]
fn the_combinations_of_allocate_are_checked() {
    let udp = RequestedTransport::new(17);
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let token = ReservationToken::new(5);
    let even = EvenPort::new(true);
    let cases: [(&[&dyn AttributeWrite], u16); 10] = [
        (&[], 400),
        (&[&RequestedTransport::new(6)], 442),
        (&[&udp, &DontFragment::new()], 420),
        (&[&udp, &token], 508),
        (&[&udp, &token, &even], 400),
        (&[&udp, &token, &ipv6], 400),
        (&[&udp, &ipv6, &both], 400),
        (&[&udp, &both, &even], 400),
        (
            &[&udp, &RawAttribute::new(0x8000.into(), &[1, 0, 0, 0])],
            400,
        ),
        (
            &[&udp, &RawAttribute::new(0x0017.into(), &[9, 0, 0, 0])],
            400,
        ),
    ];
    for (attributes, expected) in cases {
        let mut world = World::new();
        assert_eq!(world.ask(ALLOCATE, attributes), expected);
        assert_eq!(world.server.allocations(), 0);
        assert!(world.wire.relays.is_empty());
    }
}

#[test]
fn unknown_attributes_are_named() {
    let mut world = World::new();
    let unknown = RawAttribute::new(0x7fff.into(), &[1]);
    let request = world.signed(ALLOCATE, &[&RequestedTransport::new(17), &unknown]);
    let answer = world.send(&request);
    assert_eq!(code(&answer), 420);
    let answer = Message::from_bytes(&answer).unwrap();
    let list = answer.attribute::<UnknownAttributes>().unwrap();
    assert!(list.has_attribute(0x7fff.into()));
}

#[test]
fn a_repeated_allocate_gets_the_same_answer_and_another_one_a_mismatch() {
    let mut world = World::new();
    let request = world.signed(ALLOCATE, &[&RequestedTransport::new(17)]);
    let first = world.send(&request);
    assert_eq!(world.send(&request), first);
    assert_eq!(world.allocate(), 437);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn one_credential_has_so_many_allocations_and_ports_can_run_out() {
    let mut world = World::new();
    for (port, expected) in [(1, 0), (2, 0), (3, 0), (4, 486)] {
        world.client = client(port);
        world.fresh_nonce();
        assert_eq!(world.allocate(), expected);
    }
    world.log_in(&format!("{}.key.b", UNIX + 86_400));
    world.wire.full = true;
    assert_eq!(world.allocate(), 508);
    world.wire.full = false;
    assert_eq!(world.allocate(), 0);
}

#[test]
fn both_families_can_be_asked_for_and_one_may_fail() {
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let udp = RequestedTransport::new(17);
    let mut world = World::new();
    let request = world.signed(ALLOCATE, &[&udp, &both]);
    let answer = world.send(&request);
    let answer = Message::from_bytes(&answer).unwrap();
    let second = answer.nth_attribute::<XorRelayedAddress>(1).unwrap();
    assert!(second.addr(answer.transaction_id()).is_ipv6());
    assert_eq!(world.bind(0x4000, "[2a00:1450::1]:5"), 0);
    assert_eq!(world.bind(0x4001, PEER), 0);
    // Refreshing one family to nothing leaves the other one.
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(0), &ipv6]), 0);
    assert_eq!(
        (world.server.allocations(), world.wire.relays.len()),
        (1, 1)
    );
    assert_eq!(world.ask(REFRESH, &[&ipv6]), 443);
    assert_eq!(world.permit("[2a00:1450::1]:5"), 443);

    let mut world = World::new();
    world.wire.no_ipv6 = true;
    let request = world.signed(ALLOCATE, &[&udp, &both]);
    let answer = world.send(&request);
    let answer = Message::from_bytes(&answer).unwrap();
    assert_eq!(
        answer
            .attribute::<AddressErrorCode>()
            .unwrap()
            .error()
            .code(),
        440
    );
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    world.client = client(2);
    world.fresh_nonce();
    assert_eq!(world.ask(ALLOCATE, &[&udp, &ipv6]), 440);
}

#[test]
fn a_kept_port_is_its_owners_for_a_while() {
    let mut world = World::new();
    let udp = RequestedTransport::new(17);
    let request = world.signed(ALLOCATE, &[&udp, &EvenPort::new(true)]);
    let answer = world.send(&request);
    let answer = Message::from_bytes(&answer).unwrap();
    let token = ReservationToken::new(answer.attribute::<ReservationToken>().unwrap().token());
    assert_eq!(world.wire.relays.len(), 2);
    world.client = client(2);
    world.fresh_nonce();
    let owner = world.username.clone();
    world.log_in(&format!("{}.key.other", UNIX + 86_400));
    assert_eq!(world.ask(ALLOCATE, &[&udp, &token]), 508);
    world.log_in(&owner);
    assert_eq!(world.ask(ALLOCATE, &[&udp, &token]), 0);
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(0)]), 0);

    world.fresh_nonce();
    world.client = client(3);
    world.fresh_nonce();
    assert_eq!(world.ask(ALLOCATE, &[&udp, &EvenPort::new(true)]), 0);
    let open = world.wire.relays.len();
    world.pass(31);
    assert_eq!(world.wire.relays.len(), open - 1);
}

#[test]
fn allocations_end_when_they_are_not_refreshed() {
    let mut world = World::new();
    world.allocate();
    world.pass(500);
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(1200)]), 0);
    world.fresh_nonce();
    world.pass(1100);
    assert_eq!(world.server.allocations(), 1);
    world.fresh_nonce();
    // A shorter lifetime counts from now.
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(600)]), 0);
    world.pass(599);
    assert_eq!(world.server.allocations(), 1);
    world.pass(1);
    assert_eq!(world.server.allocations(), 0);
    assert!(world.wire.relays.is_empty());
    assert_eq!(world.server.next_timeout(), None);
    world.fresh_nonce();
    assert_eq!(world.ask(REFRESH, &[]), 437);
}

#[test]
fn no_relay_outlives_its_credential() {
    let mut world = World::new();
    world.log_in(&format!("{}.key.a", UNIX + 100));
    world.allocate();
    world.pass(99);
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(3600)]), 0);
    world.pass(1);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn an_allocation_is_its_users_only() {
    let mut world = World::new();
    world.allocate();
    world.log_in(&format!("{}.key.b", UNIX + 86_400));
    assert_eq!(world.ask(REFRESH, &[&Lifetime::new(0)]), 441);
    assert_eq!(world.permit(PEER), 441);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn payload_goes_both_ways_as_indications_and_as_channel_data() {
    let mut world = World::new();
    world.allocate();
    assert_eq!(world.send_to(PEER, b"early"), 0);
    assert_eq!(world.permit(PEER), 0);
    assert_eq!(world.send_to(PEER, b"hello"), 1);
    assert_eq!(
        world.wire.to_peers.last().unwrap(),
        &(PEER.parse().unwrap(), b"hello".to_vec())
    );
    world.arrive(PEER, b"reply");
    let answer = world.wire.answers.pop().unwrap();
    let answer = Message::from_bytes(&answer).unwrap();
    assert_eq!(answer.method(), DATA);
    assert_eq!(answer.attribute::<Data>().unwrap().data(), b"reply");
    let peer = answer.attribute::<XorPeerAddress>().unwrap();
    assert_eq!(peer.addr(answer.transaction_id()), PEER.parse().unwrap());

    assert_eq!(world.bind(0x4000, PEER), 0);
    world.arrive(PEER, b"more");
    assert_eq!(world.wire.channels, [(0x4000, b"more".to_vec())]);
    world.send(&[0x40, 0, 0, 2, b'o', b'k', 0, 0]);
    assert_eq!(world.wire.to_peers.last().unwrap().1, b"ok");
    // Nobody else gets through, and nothing after the permission's end.
    world.arrive("8.8.4.4:9000", b"who");
    assert!(world.wire.answers.is_empty());
    world.pass(300);
    let before = world.wire.to_peers.len();
    world.send(&[0x40, 0, 0, 2, b'o', b'k']);
    world.arrive(PEER, b"late");
    assert_eq!(
        (world.wire.to_peers.len(), world.wire.channels.len()),
        (before, 1)
    );
}

#[test]
fn bad_channels_are_refused_and_change_nothing() {
    let mut world = World::new();
    world.allocate();
    assert_eq!(world.bind(0x3fff, PEER), 400);
    assert_eq!(world.bind(0x7fff, PEER), 400);
    assert_eq!(world.bind(0x4000, PEER), 0);
    assert_eq!(world.bind(0x4000, "8.8.8.8:9001"), 400);
    assert_eq!(world.bind(0x4001, PEER), 400);
    assert_eq!(world.ask(CHANNEL_BIND, &[&ChannelNumber::new(0x4002)]), 400);
    let peer = world.peer(PEER);
    assert_eq!(world.ask(CHANNEL_BIND, &[&peer]), 400);
    assert_eq!(world.ask(CREATE_PERMISSION, &[]), 400);
    for short in [
        &[0x40][..],
        &[0x40, 0, 0],
        &[0x40, 0, 0, 9, 1],
        &[0x41, 0, 0, 0],
    ] {
        assert!(world.send(short).is_empty());
    }
    assert!(world.wire.to_peers.is_empty());
}

/// Each forbidden range, as the address of a permission, of a channel and of an indication.
#[test]
fn forbidden_peers_are_refused_in_every_message() {
    for ip in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "168.63.129.16",
    ] {
        let mut world = World::new();
        world.allocate();
        let peer = format!("{ip}:80");
        assert_eq!(world.bind(0x4000, &peer), 403, "{ip}");
        // A permission is for an address, and this one has our media port.
        let expected = if ip == "127.0.0.1" { 0 } else { 403 };
        assert_eq!(world.permit(&peer), expected, "{ip}");
        assert_eq!(world.send_to(&peer, b"x"), 0, "{ip}");
    }
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    for ip in [
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::",
    ] {
        let mut world = World::new();
        assert_eq!(
            world.ask(ALLOCATE, &[&RequestedTransport::new(17), &ipv6]),
            0
        );
        let peer = format!("[{ip}]:80");
        assert_eq!(world.bind(0x4000, &peer), 403, "{ip}");
        assert_eq!(world.permit(&peer), 403, "{ip}");
        assert_eq!(world.send_to(&peer, b"x"), 0, "{ip}");
    }
}

#[test]
fn our_media_port_is_reached_and_the_ports_beside_it_are_not() {
    let mut world = World::new();
    world.allocate();
    assert_eq!(world.bind(0x4000, MEDIA), 0);
    assert_eq!(world.permit("127.0.0.1:22"), 0);
    assert_eq!(world.send_to("127.0.0.1:22", b"x"), 0);
    assert_eq!(world.send_to(MEDIA, b"x"), 1);
    world.arrive("127.0.0.1:22", b"x");
    assert!(world.wire.answers.is_empty() && world.wire.channels.is_empty());
    world.arrive(MEDIA, b"x");
    assert_eq!(world.wire.channels.len(), 1);
    // One refused peer of several: none is permitted.
    let transaction = (world.transaction + 1).into();
    let good = XorPeerAddress::new(PEER.parse().unwrap(), transaction);
    let bad = XorPeerAddress::new("10.0.0.1:1".parse().unwrap(), transaction);
    assert_eq!(world.ask(CREATE_PERMISSION, &[&good, &bad]), 403);
    assert_eq!(world.send_to(PEER, b"x"), 0);
}

#[test]
fn a_revoked_credential_and_a_revoked_key_end_their_relays() {
    for revoke_key in [false, true] {
        let mut world = World::new();
        world.allocate();
        let name = if revoke_key {
            "key".to_owned()
        } else {
            world.username.clone()
        };
        let other = format!("{}.another.a", UNIX + 86_400);
        let now = world.now;
        let revocation = Revocation {
            name: name.into(),
            until: UNIX + 100,
        };
        (world.server).revoke(&[revocation], now, &mut world.wire);
        assert_eq!(world.server.allocations(), 0);
        assert_eq!(world.wire.disconnected, [world.client]);
        assert!(world.wire.relays.is_empty());
        assert_eq!(world.allocate(), 401);
        world.log_in(&other);
        assert_eq!(world.allocate(), 0);
    }
}

#[test]
fn a_connection_that_is_gone_takes_its_relay_with_it() {
    let mut world = World::new();
    world.allocate();
    let client = world.client;
    world.server.client_gone(client, &mut world.wire);
    assert!(world.wire.relays.is_empty());
    assert!(!world.server.serves(client));
}

#[test]
fn bandwidth_is_limited_in_each_direction() {
    let mut world = World::new();
    world.server.bytes_per_second = 1_000;
    world.allocate();
    world.bind(0x4000, PEER);
    let mut packet = vec![0x40, 0, 4, 0];
    packet.resize(4 + 1024, 7);
    for _ in 0..1000 {
        world.send(&packet);
        world.arrive(PEER, &packet[4..]);
    }
    let burst = 128;
    assert_eq!(
        (world.wire.to_peers.len(), world.wire.channels.len()),
        (burst, burst)
    );
}

#[test]
fn floods_of_strangers_leave_nothing_behind() {
    let mut world = World::new();
    // The nonce is of the client with port 1.
    for port in 2..20_000 {
        world.client = client(port);
        let request = unsigned(ALLOCATE, u128::from(port), &[&RequestedTransport::new(17)]);
        assert_eq!(code(&world.send(&request)), 401);
        let request = world.signed(REFRESH, &[]);
        assert_eq!(code(&world.send(&request)), 438);
    }
    assert_eq!(world.server.table.size_of_everything(), 0);
}

fn any_attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let known = prop_oneof![
        Just(0x0006),
        Just(0x0008),
        Just(0x000c),
        Just(0x000d),
        Just(0x0012),
        Just(0x0013),
        Just(0x0014),
        Just(0x0015),
        Just(0x0017),
        Just(0x0018),
        Just(0x0019),
        Just(0x001a),
        Just(0x001c),
        Just(0x001d),
        Just(0x001e),
        Just(0x0020),
        Just(0x0022),
        Just(0x8000),
        Just(0x8002),
        Just(0x8022),
        Just(0x8028),
        any::<u16>()
    ];
    (known, proptest::collection::vec(any::<u8>(), 0..40))
}

fn any_kind() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(0x0001),
        Just(0x0003),
        Just(0x0004),
        Just(0x0008),
        Just(0x0009),
        Just(0x0016),
        Just(0x0017),
        Just(0x0103),
        Just(0x0113),
        0..0x4000_u16
    ]
}

fn raw(kind: u16, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(kind, value)| RawAttribute::new((*kind).into(), value))
        .collect();
    let all: Vec<&dyn AttributeWrite> = attributes.iter().map(|it| it as _).collect();
    let mut bytes = unsigned(BINDING, 77, &all);
    bytes[..2].copy_from_slice(&kind.to_be_bytes());
    bytes
}

proptest! {
    /// Any attributes, repeated, contradictory, of wrong lengths; genuine or not; whole or cut.
    #[test]
    fn no_message_brings_the_server_down(
        kind in any_kind(),
        attributes in proptest::collection::vec(any_attribute(), 0..8),
        is_signed in any::<bool>(),
        has_allocation in any::<bool>(),
        cut in 0..400_usize,
        flip in any::<Option<(u16, u8)>>(),
    ) {
        let mut world = World::new();
        if has_allocation {
            world.allocate();
            world.bind(0x4000, PEER);
        }
        let mut bytes = raw(kind, &attributes);
        if is_signed {
            let rest = bytes.split_off(20);
            let mut genuine = world.signed(Method::new(1), &[]);
            genuine.truncate(genuine.len() - 24);
            genuine.extend(rest);
            let length = (genuine.len() - 20) as u16;
            genuine[..2].copy_from_slice(&kind.to_be_bytes());
            genuine[2..4].copy_from_slice(&length.to_be_bytes());
            world.sign(&mut genuine);
            bytes = genuine;
        }
        if let Some((at, value)) = flip {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 200));
        let answer = world.send(&bytes);
        if !is_signed {
            prop_assert!(answer.is_empty() || on_the_wire(answer.len()) < 2 * on_the_wire(bytes.len()));
            prop_assert_eq!(world.server.allocations(), usize::from(has_allocation));
        }
    }

    #[test]
    fn no_bytes_bring_the_server_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut world = World::new();
        world.allocate();
        world.send(&bytes);
        world.arrive(PEER, &bytes);
    }
}
