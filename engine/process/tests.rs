//! The whole process with its threads, real sockets and a control, and panics that the tests ask for.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::*;
use crate::faults::{Point, arm};
use crate::link::frame;
use crate::link::proto::{self, SessionEndReason, answer, event, from_engine, request};

const PASSWORD: &str = "a-password-that-is-long-enough";
/// Only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine of two workers, and the control that is attached to it.
struct Running {
    engine: JoinHandle<Result<(), String>>,
    control: UnixStream,
    workers: Vec<SocketAddr>,
    events: Vec<proto::Event>,
    asked: u64,
}

impl Running {
    fn start(name: &str) -> Running {
        let socket =
            std::env::temp_dir().join(format!("switchyard-{name}-{}.sock", std::process::id()));
        let arguments = Arguments {
            socket: socket.clone(),
            port: 0,
            listen: vec![IpAddr::from([127, 0, 0, 1])],
            announce: Vec::new(),
            tcp: true,
            workers: 2,
            answers: Answers::default(),
        };
        let engine = thread::spawn(move || run(&arguments));
        let control = loop {
            match UnixStream::connect(&socket) {
                Ok(control) => break control,
                Err(_) => assert!(!engine.is_finished(), "the engine did not start"),
            }
            thread::yield_now();
        };
        control.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut running = Running {
            engine,
            control,
            workers: Vec::new(),
            events: Vec::new(),
            asked: 0,
        };
        let version = proto::ProtocolVersion::ProtocolVersion1.into();
        let hello = request::Body::Hello(proto::Hello { version });
        let Ok(answer::Body::Hello(hello)) = running.ask(0, hello) else {
            panic!("no hello");
        };
        let address = |one: &proto::Candidate| {
            SocketAddr::new(one.ip.parse().expect("an address"), one.port as u16)
        };
        running.workers = hello.candidates.iter().map(address).collect();
        running
    }

    fn send(&mut self, worker: u32, body: request::Body) -> u64 {
        self.asked += 1;
        let request = proto::Request {
            id: self.asked,
            body: Some(body),
            worker,
        };
        frame::write(&mut self.control, &request).expect("the engine lives");
        self.asked
    }

    /// The next answer to that request; events before it are kept.
    fn answer_to(&mut self, id: u64) -> Result<answer::Body, String> {
        loop {
            match self.read() {
                from_engine::Body::Event(event) => self.events.push(event),
                from_engine::Body::Answer(answer) if answer.id == id => {
                    return match answer.body.expect("a body") {
                        answer::Body::Error(error) => Err(error.description),
                        body => Ok(body),
                    };
                }
                from_engine::Body::Answer(_) => {}
            }
        }
    }

    fn read(&mut self) -> from_engine::Body {
        let message = frame::read::<proto::FromEngine>(&mut self.control);
        let message = message.expect("in time").expect("the engine lives");
        message.body.expect("a body")
    }

    fn ask(&mut self, worker: u32, body: request::Body) -> Result<answer::Body, String> {
        let id = self.send(worker, body);
        self.answer_to(id)
    }

    fn apply(&mut self, worker: u32, name: &str) -> Result<answer::Body, String> {
        let transport = proto::Transport {
            local_ufrag: format!("server-{name}"),
            local_password: PASSWORD.into(),
            remote_ufrag: format!("peer-{name}"),
            remote_password: PASSWORD.into(),
            remote_fingerprint: Some(proto::Fingerprint {
                algorithm: proto::HashAlgorithm::Sha256.into(),
                digest: vec![7; 32],
            }),
            dtls_role: proto::DtlsRole::Passive.into(),
            ..Default::default()
        };
        let table = proto::ApplySession {
            session_id: name.into(),
            transport: Some(transport),
            ..Default::default()
        };
        self.ask(worker, request::Body::ApplySession(table))
    }

    /// A peer of the session at a worker, whose check was answered.
    fn connect(&self, worker: usize, name: &str) -> UdpSocket {
        let peer = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        peer.connect(self.workers[worker]).expect("an address");
        self.check(&peer, name);
        peer
    }

    fn check(&self, peer: &UdpSocket, name: &str) {
        peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
        peer.send(&check(name)).expect("sent");
        let mut reply = [0; 1500];
        // The worker has checks of its own beside its answer.
        loop {
            let length = peer.recv(&mut reply).expect("the worker answers");
            let reply = StunMessage::parse(&reply[..length]).expect("a STUN message");
            if reply.is_successful_binding_response() {
                return;
            }
        }
    }

    /// Why each of so many sessions was told to have ended.
    fn wait_for_ends(&mut self, count: usize) -> BTreeSet<(String, i32)> {
        loop {
            let ends = self.events.iter().filter_map(|event| match event.body {
                Some(event::Body::SessionEnded(reason)) => Some((event.session_id.clone(), reason)),
                _ => None,
            });
            let ends: BTreeSet<_> = ends.collect();
            if ends.len() >= count {
                return ends;
            }
            if let from_engine::Body::Event(event) = self.read() {
                self.events.push(event);
            }
        }
    }

    fn sessions(&mut self) -> BTreeSet<String> {
        let asked = proto::Snapshot { in_pieces: true };
        let id = self.send(0, request::Body::Snapshot(asked));
        let mut names = BTreeSet::new();
        loop {
            let Ok(answer::Body::Snapshot(piece)) = self.answer_to(id) else {
                panic!("no snapshot");
            };
            names.extend(piece.sessions.into_iter().map(|session| session.session_id));
            if !piece.more {
                return names;
            }
        }
    }

    fn counter(&mut self, name: &str) -> u64 {
        let body = self.ask(0, request::Body::ReadCounters(proto::ReadCounters {}));
        let Ok(answer::Body::Counters(counters)) = body else {
            panic!("no counters");
        };
        let found = counters.counters.iter().find(|one| one.name == name);
        found.expect("a counter of that name").value
    }

    fn leave(mut self) {
        self.ask(0, request::Body::Leave(proto::Leave {}))
            .expect("it leaves");
        let ended = self.engine.join().expect("no panic ends the process");
        assert_eq!(ended, Ok(()));
    }
}

fn check(name: &str) -> Vec<u8> {
    let user = format!("server-{name}:peer-{name}");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 100, true);
    let mut buffer = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let length = message.to_bytes(Some(PASSWORD.as_bytes()), &mut buffer, hmac);
    buffer.truncate(length.expect("it fits"));
    buffer
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn announced_addresses_have_the_port_of_their_family() {
    let told = |announce: &[&str], bound: &[&str]| {
        let arguments = Arguments {
            socket: PathBuf::new(),
            port: 0,
            listen: Vec::new(),
            announce: announce.iter().map(|text| text.parse().unwrap()).collect(),
            tcp: false,
            workers: 1,
            answers: Answers::default(),
        };
        let bound: Vec<_> = bound.iter().map(|text| text.parse().unwrap()).collect();
        let told = announced(&arguments, &bound).into_iter();
        told.map(|address| address.to_string()).collect::<Vec<_>>()
    };
    let both = ["0.0.0.0:5000", "[::]:6000"];
    let expected = ["[2001:db8::1]:6000", "203.0.113.1:5000", "203.0.113.2:5000"];
    assert_eq!(
        told(&["2001:db8::1", "203.0.113.1", "203.0.113.2"], &both),
        expected
    );
    // A proxy of the other family stands before the machine.
    assert_eq!(told(&["2001:db8::1"], &both[..1]), ["[2001:db8::1]:5000"]);
}

#[test]
fn a_worker_that_panics_ends_its_own_sessions_and_goes_on_without_them() {
    let mut running = Running::start("worker");
    for (worker, name) in [(0, "w0-a"), (0, "w0-b"), (1, "w1-a"), (1, "w1-b")] {
        running.apply(worker, name).expect("a good table");
    }
    let victim = running.connect(0, "w0-a");
    let survivor = running.connect(1, "w1-a");
    arm(Point::Rtp, "w0-a");
    victim
        .send(&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7])
        .expect("sent");

    let worker = i32::from(SessionEndReason::Worker);
    let ended = running.wait_for_ends(2);
    assert_eq!(
        ended,
        [("w0-a".into(), worker), ("w0-b".into(), worker)].into()
    );
    running.check(&survivor, "w1-a");
    assert_eq!(running.sessions(), names(&["w1-a", "w1-b"]));
    assert_eq!(running.counter("worker_restarts"), 1);
    assert_eq!(running.counter("sessions_ended_by_panic"), 2);
    // The worker serves others on the same sockets.
    running.apply(0, "w0-c").expect("a good table");
    running.connect(0, "w0-c");
    assert_eq!(running.sessions(), names(&["w0-c", "w1-a", "w1-b"]));
    running.leave();
}

#[test]
fn a_panic_for_one_session_ends_no_other_of_its_worker() {
    let mut running = Running::start("session");
    for name in ["s-stun", "s-request", "s-other"] {
        running.apply(0, name).expect("a good table");
    }
    let other = running.connect(0, "s-other");
    let peer = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    arm(Point::Stun, "s-stun");
    peer.send_to(&check("s-stun"), running.workers[0])
        .expect("sent");
    arm(Point::Request, "s-request");
    let refusal = running.apply(0, "s-request").expect_err("it panicked");
    assert!(refusal.contains("panicked"), "{refusal}");

    let panic = i32::from(SessionEndReason::Panic);
    let ended = running.wait_for_ends(2);
    assert_eq!(
        ended,
        [("s-request".into(), panic), ("s-stun".into(), panic)].into()
    );
    running.check(&other, "s-other");
    assert_eq!(running.sessions(), names(&["s-other"]));
    assert_eq!(running.counter("worker_restarts"), 0);
    assert_eq!(running.counter("panics_caught"), 2);
    running.leave();
}

#[test]
fn a_worker_that_panics_again_and_again_answers_all_requests_and_others_go_on() {
    let mut running = Running::start("again");
    running.apply(1, "again-other").expect("a good table");
    let other = running.connect(1, "again-other");
    for round in 0..5 {
        let name = format!("again-{round}");
        running.apply(0, &name).expect("a good table");
        let peer = running.connect(0, &name);
        arm(Point::Rtp, &name);
        peer.send(&[0x80; 12]).expect("sent");
        running.wait_for_ends(round + 1);
        running.check(&other, "again-other");
    }
    assert_eq!(running.counter("worker_restarts"), 5);
    running.leave();
}

#[test]
fn a_snapshot_that_is_larger_than_what_may_wait_is_read_by_a_control_that_takes_its_time() {
    const COUNT: usize = 1200;
    let mut running = Running::start("snapshot");
    for number in 0..COUNT {
        let table = proto::ApplySession {
            session_id: format!("snapshot-{number}"),
            control_state: vec![7; 64 << 10],
            ..Default::default()
        };
        let worker = number as u32 % 2;
        let done = running.ask(worker, request::Body::ApplySession(table));
        done.expect("a good table");
    }
    running.apply(0, "snapshot-peer").expect("a good table");
    let peer = running.connect(0, "snapshot-peer");
    let asked = request::Body::Snapshot(proto::Snapshot { in_pieces: true });
    let id = running.send(0, asked);
    // Nothing of it has been read, and peers are served.
    running.check(&peer, "snapshot-peer");
    let mut told = BTreeSet::new();
    loop {
        let Ok(answer::Body::Snapshot(piece)) = running.answer_to(id) else {
            panic!("no snapshot");
        };
        told.extend(piece.sessions.into_iter().map(|session| session.session_id));
        if !piece.more {
            break;
        }
    }
    assert_eq!(told.len(), COUNT + 1);
    running.leave();
}

#[test]
fn a_control_that_reads_snapshots_as_one_message_is_told_so() {
    let mut running = Running::start("old");
    let asked = request::Body::Snapshot(proto::Snapshot { in_pieces: false });
    let refusal = running
        .ask(0, asked)
        .expect_err("it would take a part for all");
    assert!(refusal.contains("pieces"), "{refusal}");
    running.leave();
}
