//! Handshakes with peers of the crate `dimpl`, on a clock of our own, while somebody forges records from the peer's address.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::records::Message;
use super::{Answers, Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role, State};

/// How the peer speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Dtls12,
    /// As a server it sends a HelloVerifyRequest first.
    Dtls12WithCookie,
    Dtls13,
    Auto,
}

const VERSIONS: [Version; 4] = [
    Version::Dtls12,
    Version::Dtls12WithCookie,
    Version::Dtls13,
    Version::Auto,
];

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

struct Laboratory {
    now: Instant,
    certificate: Certificate,
    ours: Dtls,
    peer: dimpl::Dtls,
    /// On their way to us and to the peer.
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    connected: [bool; 2],
    closed: bool,
    sent: usize,
    /// Loses, doubles and swaps datagrams by chance.
    weather: Option<Chance>,
}

/// xorshift64 (Marsaglia).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn disturb(&mut self, datagrams: &mut VecDeque<Vec<u8>>) {
        for datagram in std::mem::take(datagrams) {
            match self.below(10) {
                0..2 => {}
                2 | 3 => datagrams.extend([datagram.clone(), datagram]),
                4 => datagrams.push_front(datagram),
                _ => datagrams.push_back(datagram),
            }
        }
    }
}

fn peer_of(version: Version, role: Role, certificate: &Certificate, now: Instant) -> dimpl::Dtls {
    let config = dimpl::Config::builder()
        .use_server_cookie(version == Version::Dtls12WithCookie)
        .flight_retries(20)
        .build()
        .expect("a configuration");
    let (config, own) = (Arc::new(config), certificate.inner.clone());
    let mut peer = match version {
        Version::Dtls12 | Version::Dtls12WithCookie => dimpl::Dtls::new_12(config, own, now),
        Version::Dtls13 => dimpl::Dtls::new_13(config, own, now),
        Version::Auto => dimpl::Dtls::new_auto(config, own, now),
    };
    peer.set_active(role == Role::Passive);
    peer
}

fn fingerprint_of(certificate: &Certificate) -> Fingerprint {
    Fingerprint {
        algorithm: HashAlgorithm::Sha256,
        digest: certificate.sha256(),
    }
}

thread_local! {
    /// Of us and of the peer: making them takes long.
    static CERTIFICATES: [Certificate; 3] =
        std::array::from_fn(|_| Certificate::generate().expect("a certificate"));
}

impl Laboratory {
    fn new(version: Version, role: Role) -> Laboratory {
        let now = Instant::now();
        let [certificate, other, _] = CERTIFICATES.with(Clone::clone);
        Laboratory {
            now,
            ours: Dtls::new(&certificate, role, fingerprint_of(&other), now),
            peer: peer_of(version, role, &other, now),
            certificate,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            connected: [false; 2],
            closed: false,
            sent: 0,
            weather: None,
        }
    }

    fn poll(&mut self) {
        let (outgoing, sent) = (&mut self.outgoing, &mut self.sent);
        let event = self.ours.poll(|record| {
            *sent += record.len();
            outgoing.push_back(record.to_vec());
        });
        match event {
            Some(DtlsEvent::Keys { .. }) => self.connected[0] = true,
            Some(_) => self.closed = true,
            None => {}
        }
        let mut buffer = [0; 4096];
        loop {
            match self.peer.poll_output(&mut buffer) {
                dimpl::Output::Packet(record) => self.incoming.push_back(record.to_vec()),
                dimpl::Output::Connected => self.connected[1] = true,
                dimpl::Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn forge(&mut self, datagram: &[u8]) {
        self.ours
            .handle_datagram(&self.certificate, self.now, datagram);
        self.poll();
    }

    /// Goes on until both are connected; `forge` gives what comes to us before each datagram of the peer's.
    fn run(&mut self, mut forge: impl FnMut(usize) -> Vec<Vec<u8>>) -> bool {
        for step in 0..6000 {
            self.ours.handle_timeout(self.now);
            let handled = self.peer.handle_timeout(self.now);
            assert_eq!(handled, Ok(()), "the peer's patience is at an end");
            self.poll();
            if self.connected == [true; 2] {
                return true;
            }
            if self.closed {
                return false;
            }
            if let Some(chance) = &mut self.weather {
                chance.disturb(&mut self.incoming);
                chance.disturb(&mut self.outgoing);
            }
            while let Some(datagram) = self.incoming.pop_front() {
                for forged in forge(step) {
                    self.forge(&forged);
                }
                self.forge(&datagram);
            }
            while let Some(datagram) = self.outgoing.pop_front() {
                // What answers to somebody else confuses the peer, if it cares.
                let _ = self.peer.handle_packet(&datagram);
                self.poll();
            }
            self.now += Duration::from_millis(5);
        }
        false
    }
}

fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

fn message(kind: u8, number: u16, total: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let number_of = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let mut body = vec![kind];
    body.extend(number_of(total));
    body.extend(number.to_be_bytes());
    body.extend(number_of(offset));
    body.extend(number_of(bytes.len()));
    body.extend(bytes);
    record(22, 0, &body)
}

/// Handshake messages that anybody can take out of a handshake of his own.
fn messages_of_others(version: Version) -> Vec<Message> {
    let now = Instant::now();
    let [_, _, stranger] = CERTIFICATES.with(Clone::clone);
    let mut client = peer_of(version, Role::Passive, &stranger, now);
    let mut server = peer_of(version, Role::Active, &stranger, now);
    let mut assembly = super::assembly::Assembly::default();
    let mut messages = Vec::new();
    let mut buffer = [0; 4096];
    for turn in 0..8 {
        let (from, to) = match turn % 2 {
            0 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        let _ = from.handle_timeout(now);
        let mut datagrams = Vec::new();
        loop {
            match from.poll_output(&mut buffer) {
                dimpl::Output::Packet(record) => datagrams.push(record.to_vec()),
                dimpl::Output::Timeout(_) => break,
                _ => {}
            }
        }
        for datagram in datagrams {
            for piece in super::records::pieces(&datagram) {
                if let super::records::Piece::Fragment(fragment) = piece {
                    messages.extend(assembly.add(&fragment));
                }
            }
            let _ = to.handle_timeout(now);
            let _ = to.handle_packet(&datagram);
        }
    }
    messages
}

/// Datagrams of each kind: record types, message types, message numbers, and lengths that are claimed.
fn kinds() -> Vec<(String, Vec<u8>)> {
    let mut kinds = Vec::new();
    for kind in 20..64_u8 {
        for body in [&[][..], &[1], &[2, 40], &[2, 0], &[1, 0], &[0; 100]] {
            let name = |epoch| format!("record {kind} of epoch {epoch}, {body:?}");
            kinds.push((name(0), record(kind, 0, body)));
            kinds.push((name(1), record(kind, 1, body)));
        }
        kinds.push((format!("{kind} and nothing"), vec![kind; 40]));
    }
    let body = [7; 90];
    for kind in (0..=26).chain([67, 254, 255]) {
        for number in 0..6 {
            let name = |what| format!("message {kind}, number {number}, {what}");
            for (what, total, offset, bytes) in [
                ("empty", 0, 0, &[][..]),
                ("whole", 90, 0, &body[..]),
                ("16 MB", 0xff_ffff, 0, &body[..]),
                ("the end of 16 MB", 0xff_ffff, 0xff_ffff - 90, &body[..]),
                ("a part", 300, 0, &body[..]),
                ("an end", 300, 210, &body[..]),
                ("beyond its end", 90, 50, &body[..]),
            ] {
                kinds.push((name(what), message(kind, number, total, offset, bytes)));
            }
        }
    }
    kinds
}

/// A ServerHello of DTLS 1.3 that is right in itself is one, for all that a client can know: who forges it within the round trip ends
/// the handshake, as with any client.
fn is_undecidable(message: &Message, role: Role) -> bool {
    role == Role::Active
        && message.kind == SERVER_HELLO
        && super::server_hello::read(&message.body)
            .is_some_and(|hello| hello != super::server_hello::ServerHello::Dtls12)
}

#[test]
fn handshakes_of_all_versions_are_done_in_both_roles() {
    for version in VERSIONS {
        for role in [Role::Passive, Role::Active] {
            let mut lab = Laboratory::new(version, role);
            assert!(lab.run(|_| Vec::new()), "{version:?} {role:?}");
        }
    }
}

/// As Chromium's: AES-CM before AES-GCM, and both versions.
#[test]
fn the_operator_says_which_version_a_client_gets_that_prefers_aes_cm() {
    let mut hello = messages_of_others(Version::Auto).remove(0);
    let use_srtp = [0, 14, 0, 9, 0, 6];
    let at = hello.body.windows(6).position(|six| six == use_srtp);
    let profiles = at.expect("three profiles") + 6;
    hello.body[profiles..profiles + 6].copy_from_slice(&[0, 1, 0, 8, 0, 7]);
    for (answers, is_13) in [(Answers::Newest, true), (Answers::Cheapest, false)] {
        let [certificate, other, _] = CERTIFICATES.with(Clone::clone);
        let certificate = certificate.answering(answers);
        let now = Instant::now();
        let mut ours = Dtls::new(&certificate, Role::Passive, fingerprint_of(&other), now);
        ours.handle_datagram(&certificate, now, &hello.datagram());
        let State::Answering(contenders) = &mut ours.state else {
            panic!("no handshake has begun");
        };
        let mut versions = Vec::new();
        contenders.drain(|association, _| {
            versions.push(association.is_13());
            false
        });
        assert_eq!(versions, [is_13], "{answers:?}");
    }
}

#[test]
fn handshakes_are_done_where_datagrams_are_lost_doubled_and_swapped() {
    for seed in 1..25 {
        for version in VERSIONS {
            for role in [Role::Passive, Role::Active] {
                let mut lab = Laboratory::new(version, role);
                lab.weather = Some(Chance(seed));
                assert!(lab.run(|_| Vec::new()), "{seed} {version:?} {role:?}");
            }
        }
    }
}

#[test]
fn a_flight_is_repeated_twice_and_again_when_the_peer_repeats_its_own() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let mut lab = Laboratory::new(version, Role::Passive);
        let flights = |lab: &mut Laboratory, seconds| {
            let mut flights = Vec::new();
            let until = lab.now + Duration::from_secs(seconds);
            while lab.now < until {
                lab.ours.handle_timeout(lab.now);
                lab.poll();
                if !lab.outgoing.is_empty() {
                    flights.push(lab.outgoing.drain(..).map(|sent| sent.len()).sum::<usize>());
                }
                lab.now += Duration::from_millis(10);
            }
            flights
        };
        lab.poll();
        let _ = lab.peer.handle_timeout(lab.now);
        lab.poll();
        let hellos: Vec<_> = lab.incoming.drain(..).collect();
        for hello in &hellos {
            lab.forge(hello);
        }
        let first = flights(&mut lab, 3);
        assert_eq!(first.len(), 3, "{version:?} {first:?}");
        for hello in &hellos {
            lab.forge(hello);
        }
        let again = flights(&mut lab, 4);
        assert!((1..=3).contains(&again.len()), "{version:?} {again:?}");
        assert!(lab.run(|_| Vec::new()), "{version:?}");
    }
}

#[test]
fn no_record_in_plain_ends_a_connection() {
    for version in VERSIONS {
        for role in [Role::Passive, Role::Active] {
            let mut lab = Laboratory::new(version, role);
            assert!(lab.run(|_| Vec::new()));
            for (name, datagram) in kinds() {
                lab.forge(&datagram);
                assert!(!lab.closed, "{name}, {version:?} {role:?}");
            }
            lab.peer.send_application_data(b"data").expect("connected");
            lab.poll();
            while let Some(datagram) = lab.incoming.pop_front() {
                lab.forge(&datagram);
            }
            assert_eq!(lab.ours.received().as_deref(), Some(&b"data"[..]));
        }
    }
}

#[test]
fn no_record_in_plain_ends_a_handshake_before_it_begins() {
    for version in [Version::Dtls12, Version::Dtls13] {
        for role in [Role::Passive, Role::Active] {
            let kinds = kinds();
            for (name, datagram) in &kinds {
                let mut lab = Laboratory::new(version, role);
                lab.forge(datagram);
                let is_silent = lab.sent == 0 || role == Role::Active;
                assert!(!lab.closed && is_silent, "{name}, {version:?} {role:?}");
            }
            let mut lab = Laboratory::new(version, role);
            for (_, datagram) in &kinds {
                lab.forge(datagram);
            }
            assert!(lab.run(|_| Vec::new()), "{version:?} {role:?}");
        }
    }
}

#[test]
fn no_record_in_plain_ends_a_handshake_within() {
    let kinds = kinds();
    for version in VERSIONS {
        for role in [Role::Passive, Role::Active] {
            for some in kinds.chunks(150) {
                let mut lab = Laboratory::new(version, role);
                let forged: Vec<_> = some.iter().map(|(_, datagram)| datagram.clone()).collect();
                let first = &some[0].0;
                assert!(lab.run(|_| forged.clone()), "{first}, {version:?} {role:?}");
            }
        }
    }
}

#[test]
fn messages_of_other_handshakes_end_none() {
    let others: Vec<_> = VERSIONS.into_iter().flat_map(messages_of_others).collect();
    assert!(others.len() > 20, "{}", others.len());
    for version in VERSIONS {
        for role in [Role::Passive, Role::Active] {
            for other in others.iter().filter(|other| !is_undecidable(other, role)) {
                for number in [other.number, 0, 1, 2, 3] {
                    let forged = Message {
                        number,
                        ..other.clone()
                    };
                    // A whole ClientHello is answered: not between the peer's own and the answer to that, which it would take.
                    let is_hello = other.kind == CLIENT_HELLO;
                    let mut lab = Laboratory::new(version, role);
                    lab.forge(&forged.datagram());
                    lab.outgoing.clear();
                    let connected = lab.run(|step| match is_hello && step != 1 {
                        true => Vec::new(),
                        false => vec![forged.datagram()],
                    });
                    let kind = other.kind;
                    assert!(connected, "{kind} as {number}, {version:?} {role:?}");
                }
            }
        }
    }
}

#[test]
fn the_peers_own_records_with_flipped_bits_end_no_handshake() {
    let mut chance = Chance(1);
    for round in 0..120 {
        let version = VERSIONS[round % 4];
        // What a client is told of DTLS 1.3 is not told from a lie.
        let is_undecidable = matches!(version, Version::Dtls13 | Version::Auto);
        let role = match (round / 4 % 2, is_undecidable) {
            (0, _) | (_, true) => Role::Passive,
            _ => Role::Active,
        };
        let others = messages_of_others(version);
        let mut lab = Laboratory::new(version, role);
        let connected = lab.run(|step| {
            if step > 20 {
                return Vec::new();
            }
            let mut forged = others[chance.below(others.len())].datagram();
            for _ in 0..=chance.below(4) {
                let at = chance.below(forged.len());
                forged[at] ^= 1 << chance.below(8);
            }
            if forged[13] == CLIENT_HELLO && role == Role::Passive {
                return Vec::new();
            }
            vec![forged]
        });
        assert!(connected, "round {round}, {version:?} {role:?}");
    }
}
