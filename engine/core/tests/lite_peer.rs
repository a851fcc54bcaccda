//! Sessions whose peer is ICE-lite: the engine is the full agent, on a clock of our own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::super::outbox::{Outbox, Recorder};
use super::super::{Engine, EngineConfig};
use crate::dtls::{Certificate, Dtls, DtlsEvent, Fingerprint, HashAlgorithm, Role};
use crate::ice::Protocol;
use crate::link::proto::{self, TransportState, answer, event, request};
use crate::wire::demux::{DatagramKind, classify};

const OURS: &str = "our-password-that-is-long-enough";
const THEIRS: &str = "their-password-that-is-long-enough";
const PEER: SocketAddr = address(9000);
const SILENT: SocketAddr = address(9001);

const fn address(port: u16) -> SocketAddr {
    let ip = std::net::Ipv4Addr::LOCALHOST;
    SocketAddr::V4(std::net::SocketAddrV4::new(ip, port))
}

type Sent = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

struct Laboratory {
    engine: Engine,
    outbox: Outbox,
    sent: Sent,
    now: Instant,
    events: Vec<i32>,
    certificate: Arc<Certificate>,
}

impl Laboratory {
    fn new() -> Laboratory {
        let now = Instant::now();
        let (recorder, sent) = Recorder::new();
        let mut port = 7000;
        let config = EngineConfig {
            worker: 0,
            workers: 1,
            sockets: vec![address(7000)],
            open_sockets: Box::new(move || {
                port += 1;
                Ok(vec![address(port)])
            }),
            kernel_counts: Box::new(Vec::new),
            candidates: vec![address(7000)],
            protocols: &[Protocol::Udp, Protocol::Tcp],
            certificate: Certificate::generate().expect("a certificate"),
        };
        Laboratory {
            engine: Engine::new(config, now),
            outbox: Outbox::new(Box::new(recorder)),
            sent,
            now,
            events: Vec::new(),
            certificate: Arc::new(Certificate::generate().expect("a certificate")),
        }
    }

    fn table(&self, name: &str, candidates: &[SocketAddr]) -> proto::ApplySession {
        let candidates =
            candidates
                .iter()
                .enumerate()
                .map(|(index, candidate)| proto::RemoteCandidate {
                    ip: candidate.ip().to_string(),
                    port: candidate.port().into(),
                    priority: 1_000_000 - index as u32,
                });
        proto::ApplySession {
            session_id: name.into(),
            transport: Some(proto::Transport {
                local_ufrag: format!("our-{name}"),
                local_password: OURS.into(),
                remote_ufrag: format!("their-{name}"),
                remote_password: THEIRS.into(),
                remote_fingerprint: Some(proto::Fingerprint {
                    algorithm: proto::HashAlgorithm::Sha256.into(),
                    digest: self.certificate.sha256(),
                }),
                dtls_role: proto::DtlsRole::Active.into(),
                ice_role: proto::IceRole::Full.into(),
                remote_candidates: candidates.collect(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn apply(&mut self, table: proto::ApplySession) -> Result<(), String> {
        match self.request(request::Body::ApplySession(table)) {
            answer::Body::Error(error) => Err(error.description),
            _ => Ok(()),
        }
    }

    fn request(&mut self, body: request::Body) -> answer::Body {
        let request = proto::Request {
            id: 1,
            body: Some(body),
            worker: 0,
        };
        let answer = self
            .engine
            .handle_request(self.now, request, &mut self.outbox);
        answer.body.expect("a body")
    }

    fn counter(&mut self, name: &str) -> u64 {
        let read = request::Body::ReadCounters(proto::ReadCounters {});
        let answer::Body::Counters(counters) = self.request(read) else {
            panic!("no counters");
        };
        let found = counters
            .counters
            .iter()
            .find(|counter| counter.name == name);
        found.expect("a counter of that name").value
    }

    fn deliver(&mut self, source: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        self.engine
            .handle_datagram(self.now, 0, source, &mut datagram, &mut self.outbox);
        self.engine.handle_timeout(self.now, &mut self.outbox);
    }

    fn sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.outbox.flush();
        self.sent.lock().expect("not poisoned").drain(..).collect()
    }

    /// Turns the clock; `peer` takes each datagram when it leaves, and gives what it answers.
    fn advance(
        &mut self,
        by: Duration,
        mut peer: impl FnMut(Instant, SocketAddr, &[u8]) -> Vec<Vec<u8>>,
    ) {
        let until = self.now + by;
        loop {
            for (to, datagram) in self.sent() {
                for answer in peer(self.now, to, &datagram) {
                    self.deliver(to, &answer);
                }
            }
            while let Some(event) = self.engine.poll_event() {
                if let Some(event::Body::TransportState(state)) = event.body {
                    self.events.push(state);
                }
            }
            if self.sent.lock().expect("not poisoned").is_empty() {
                match self.engine.next_timeout().filter(|due| *due <= until) {
                    Some(due) => self.now = self.now.max(due),
                    None => break,
                }
                self.engine.handle_timeout(self.now, &mut self.outbox);
            }
        }
        self.now = until;
    }

    /// A session whose peer answers at `PEER` and finishes the handshake as DTLS server.
    fn connect(&mut self, table: proto::ApplySession) {
        let mut dtls = Dtls::new(
            &self.certificate,
            Role::Passive,
            Fingerprint {
                algorithm: HashAlgorithm::Sha256,
                digest: self.engine.config.certificate.sha256(),
            },
            self.now,
        );
        let certificate = self.certificate.clone();
        self.apply(table).expect("the table is right");
        let mut done = false;
        self.advance(Duration::from_secs(3), |now, to, datagram| {
            if to != PEER || classify(datagram) == DatagramKind::Stun {
                return answers(to, datagram);
            }
            let mut records = Vec::new();
            dtls.handle_datagram(&certificate, now, datagram);
            let event = dtls.poll(|record| records.push(record.to_vec()));
            done |= matches!(event, Some(DtlsEvent::Keys { .. }));
            records
        });
        assert!(done, "the handshake is finished");
        assert_eq!(self.events, [TransportState::Connected as i32]);
    }
}

fn answers(to: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
    if to == PEER && is_check(datagram) {
        vec![reply(datagram, THEIRS)]
    } else {
        Vec::new()
    }
}

fn silence(_: Instant, _: SocketAddr, _: &[u8]) -> Vec<Vec<u8>> {
    Vec::new()
}

fn is_check(datagram: &[u8]) -> bool {
    StunMessage::parse(datagram).is_ok_and(|message| message.is_binding_request())
}

fn reply(check: &[u8], password: &str) -> Vec<u8> {
    let message = StunMessage::parse(check).expect("STUN");
    written(
        &StunMessage::binding_reply(message.trans_id(), address(7000)),
        password,
    )
}

fn check(name: &str, controlling: bool, tie_breaker: u64) -> Vec<u8> {
    let user = format!("our-{name}:their-{name}");
    let id = TransId::new();
    written(
        &StunMessage::binding_request(&user, id, controlling, tie_breaker, 100, false),
        OURS,
    )
}

fn written(message: &StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let length = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .expect("it fits");
    buffer.truncate(length);
    buffer
}

#[test]
fn the_engine_checks_nominates_and_connects_by_itself() {
    let mut lab = Laboratory::new();
    lab.connect(lab.table("a", &[SILENT, PEER]));
    let mut nominated = false;
    lab.advance(Duration::from_secs(4), |_, to, datagram| {
        if is_check(datagram) {
            let message = StunMessage::parse(datagram).expect("STUN");
            assert_eq!(message.username(), Some("their-a:our-a"));
            assert!(message.ice_controlling().is_some());
            nominated |= to == PEER && message.use_candidate();
        }
        answers(to, datagram)
    });
    assert!(nominated);
}

#[test]
fn answers_that_are_not_the_peers_are_dropped() {
    let mut lab = Laboratory::new();
    lab.apply(lab.table("a", &[PEER])).expect("a table");
    lab.engine.handle_timeout(lab.now, &mut lab.outbox);
    let sent = lab.sent();
    let (_, ours) = sent.first().expect("a check");
    lab.deliver(PEER, &reply(ours, "another-password-that-is-long"));
    assert_eq!(lab.counter("discarded_stun_not_authentic"), 1);
    lab.deliver(SILENT, &reply(ours, THEIRS));
    let mut another = reply(ours, THEIRS);
    another[19] ^= 1;
    lab.deliver(PEER, &another);
    assert_eq!(lab.counter("discarded_unknown_transaction"), 2);
    let conflict = StunMessage::binding_role_conflict_reply(
        StunMessage::parse(ours).expect("STUN").trans_id(),
    );
    lab.deliver(PEER, &written(&conflict, OURS));
    assert_eq!(lab.counter("discarded_stun_not_authentic"), 2);
    assert!(lab.engine.by_address.is_empty());
    assert!(lab.sent().is_empty(), "nobody gets an answer");

    lab.deliver(PEER, &reply(ours, THEIRS));
    assert_eq!(lab.engine.by_address.len(), 1);
    lab.deliver(PEER, &reply(ours, THEIRS));
    assert_eq!(lab.counter("discarded_unknown_transaction"), 3);
}

#[test]
fn candidates_that_never_answer_are_given_up() {
    let mut lab = Laboratory::new();
    let candidates: Vec<_> = (0..16).map(|n| address(9000 + n)).collect();
    lab.apply(lab.table("a", &candidates)).expect("a table");
    let mut times = Vec::new();
    lab.advance(Duration::from_secs(60), |now, to, datagram| {
        assert!(is_check(datagram) && candidates.contains(&to));
        times.push(now);
        Vec::new()
    });
    assert_eq!(times.len(), 16 * 9);
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.min() >= Some(Duration::from_millis(50)));
    let last = *times.last().expect("one");
    assert!(lab.now - last > Duration::from_secs(25), "and then silence");
    assert_eq!(lab.events, []);
}

#[test]
fn many_sessions_together_keep_to_the_pace_of_one_server() {
    let mut lab = Laboratory::new();
    let candidates: Vec<_> = (0..16).map(|n| address(9000 + n)).collect();
    for number in 0..100 {
        let table = lab.table(&format!("s{number}"), &candidates);
        lab.apply(table).expect("a table");
    }
    let mut count = 0;
    lab.advance(Duration::from_secs(5), |_, _, _| {
        count += 1;
        Vec::new()
    });
    assert!((500..=1040).contains(&count), "{count} in 5 s");
    assert!(lab.counter("discarded_check_over_pace") > 1000);
}

#[test]
fn a_peer_that_stops_answering_loses_consent_and_a_restart_finds_it_again() {
    let mut lab = Laboratory::new();
    lab.connect(lab.table("a", &[PEER]));
    lab.advance(Duration::from_secs(30), silence);
    let disconnected = TransportState::Disconnected as i32;
    assert_eq!(lab.events.last(), Some(&disconnected));
    let mut count = 0;
    lab.advance(Duration::from_secs(30), |_, _, _| {
        count += 1;
        Vec::new()
    });
    assert_eq!(count, 0, "without consent nothing is sent");

    let mut table = lab.table("a", &[PEER]);
    let transport = table.transport.as_mut().expect("a transport");
    transport.remote_ufrag = "their-new".into();
    lab.apply(table).expect("a table");
    lab.advance(Duration::from_secs(3), |_, to, datagram| {
        answers(to, datagram)
    });
    assert_eq!(lab.events.last(), Some(&(TransportState::Connected as i32)));
}

#[test]
fn a_restart_that_finds_nobody_ends_the_old_path() {
    let mut lab = Laboratory::new();
    lab.connect(lab.table("a", &[PEER]));
    let mut table = lab.table("a", &[]);
    let transport = table.transport.as_mut().expect("a transport");
    transport.remote_ufrag = "their-new".into();
    lab.apply(table).expect("a table");
    lab.advance(Duration::from_secs(29), silence);
    assert_eq!(lab.events, [TransportState::Connected as i32]);
    lab.advance(Duration::from_secs(2), silence);
    let disconnected = TransportState::Disconnected as i32;
    assert_eq!(lab.events.last(), Some(&disconnected));
}

#[test]
fn of_two_controlling_agents_the_one_with_the_smaller_number_gives_way() {
    for (tie_breaker, gives_way) in [(0, false), (u64::MAX, true)] {
        let mut lab = Laboratory::new();
        lab.apply(lab.table("a", &[PEER])).expect("a table");
        lab.advance(Duration::from_millis(10), silence);
        lab.deliver(PEER, &check("a", true, tie_breaker));
        let (mut conflict, mut controlled) = (false, false);
        lab.advance(Duration::from_secs(1), |_, to, datagram| {
            let Ok(message) = StunMessage::parse(datagram) else {
                return Vec::new();
            };
            conflict |= message.error_code().is_some_and(|(code, _)| code == 487);
            controlled |= message.ice_controlled().is_some();
            answers(to, datagram)
        });
        assert_eq!((conflict, controlled), (!gives_way, gives_way));
    }
}

#[test]
fn a_peer_can_show_only_so_many_addresses() {
    let mut lab = Laboratory::new();
    lab.apply(lab.table("a", &[PEER])).expect("a table");
    for port in 10_000..10_200 {
        lab.deliver(address(port), &check("a", false, 0));
    }
    let mut checked = HashSet::new();
    lab.advance(Duration::from_secs(60), |_, to, datagram| {
        if is_check(datagram) {
            checked.insert(to);
        }
        Vec::new()
    });
    assert!(checked.len() <= 32, "{}", checked.len());
    assert!(lab.counter("discarded_stun_not_authentic") > 150);
}

#[test]
fn candidates_that_are_no_destination_are_refused() {
    let mut lab = Laboratory::new();
    let good = lab.table("a", &[PEER]);
    let damages: [fn(&mut proto::RemoteCandidate); 8] = [
        |candidate| candidate.ip = "peer.local".into(),
        |candidate| candidate.ip = "0.0.0.0".into(),
        |candidate| candidate.ip = "ff02::1".into(),
        |candidate| candidate.ip = "255.255.255.255".into(),
        |candidate| candidate.port = 0,
        |candidate| candidate.port = 65_536,
        |candidate| candidate.priority = 0,
        |candidate| candidate.priority = 1 << 31,
    ];
    for damage in damages {
        let mut table = good.clone();
        let transport = table.transport.as_mut().expect("a transport");
        damage(&mut transport.remote_candidates[0]);
        assert!(lab.apply(table).is_err());
    }
    let many: Vec<_> = (0..17).map(|n| address(9000 + n)).collect();
    assert!(lab.apply(lab.table("a", &many)).is_err());
    lab.apply(good.clone()).expect("a table");
    let mut lite = good;
    let transport = lite.transport.as_mut().expect("a transport");
    transport.ice_role = proto::IceRole::Unspecified.into();
    assert!(lab.apply(lite).is_err(), "the role stays");
}

#[test]
fn a_closed_session_leaves_no_checks_behind() {
    let mut lab = Laboratory::new();
    lab.connect(lab.table("a", &[SILENT, PEER]));
    lab.engine
        .remove_session("a")
        .expect("the session is there");
    assert!(lab.engine.checks.is_empty());
    let mut sockets = vec![address(7000)];
    let mut none: super::super::OpenSockets = Box::new(|| Err("none".into()));
    let outlet = lab.engine.outlets.find(&[PEER], &mut sockets, &mut none);
    assert!(outlet.is_ok(), "the peer's address is free again");
    assert!(lab.engine.by_address.is_empty());
}

#[test]
fn an_address_that_only_checks_name_gets_thrice_their_bytes_at_most() {
    let stranger = address(9500);
    for checks in 1..4 {
        let mut lab = Laboratory::new();
        lab.connect(lab.table("a", &[PEER]));
        let (mut forged, mut got) = (0, 0);
        for _ in 0..checks {
            let datagram = check("a", false, 0);
            forged += datagram.len();
            lab.deliver(stranger, &datagram);
            lab.advance(Duration::from_secs(20), |_, to, datagram| {
                if to == stranger {
                    got += datagram.len();
                }
                answers(to, datagram)
            });
        }
        assert!(0 < got && got <= 3 * forged, "{got} for {forged}");
    }
}

/// Each transport of a full agent has sockets of its own while it lives.
#[test]
fn transports_that_come_and_go_use_up_no_sockets() {
    let mut lab = Laboratory::new();
    for round in 0..300 {
        let mut table = lab.table("a", &[PEER]);
        let transport = table.transport.as_mut().unwrap();
        transport.local_ufrag = format!("our-{round}");
        lab.apply(table.clone()).unwrap();
        lab.advance(Duration::from_millis(500), silence);
        assert!(!lab.engine.checks.is_empty());
        table.transport = None;
        lab.apply(table).unwrap();
        assert!(lab.engine.checks.is_empty());
    }
    assert_eq!(lab.engine.config.sockets.len(), 1);
}
