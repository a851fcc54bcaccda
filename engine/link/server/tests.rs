//! The link over a real Unix socket.

use std::sync::mpsc::{Receiver, channel};

use super::*;

fn hello(version: i32) -> proto::Request {
    let body = Some(request::Body::Hello(proto::Hello { version }));
    let worker = 0;
    proto::Request {
        id: 1,
        body,
        worker,
    }
}

fn listening(name: &str) -> (PathBuf, Server, Receiver<Inbound>) {
    let path = std::env::temp_dir().join(format!("switchyard-{name}-{}.sock", std::process::id()));
    let (requests, inbound) = channel();
    let deliver = move |inbound| requests.send(inbound).unwrap_or_default();
    let server = Server::listen(&path, deliver).unwrap();
    (path, server, inbound)
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

#[test]
fn requests_come_in_order_and_answers_go_to_who_asked() {
    let (path, server, inbound) = listening("order");
    let mut control = connect(&path);
    frame::write(&mut control, &hello(1)).unwrap();
    let asked = inbound.recv_timeout(Duration::from_secs(10)).unwrap();
    asked.reply.send(from_engine::Body::Answer(proto::Answer {
        id: asked.request.id,
        body: None,
    }));
    let message: proto::FromEngine = frame::read(&mut control).unwrap().unwrap();
    assert!(matches!(message.body, Some(from_engine::Body::Answer(answer)) if answer.id == 1));
    server.tell(proto::Event::default());
    let message: proto::FromEngine = frame::read(&mut control).unwrap().unwrap();
    assert!(matches!(message.body, Some(from_engine::Body::Event(_))));
    server.remove();
}

#[test]
fn another_version_and_a_missing_hello_are_refused() {
    let (path, server, _inbound) = listening("version");
    let unasked = proto::Request {
        id: 1,
        body: Some(request::Body::Snapshot(proto::Snapshot { in_pieces: true })),
        worker: 0,
    };
    for first in [hello(99), unasked] {
        let mut control = connect(&path);
        frame::write(&mut control, &first).unwrap();
        let message: proto::FromEngine = frame::read(&mut control).unwrap().unwrap();
        let Some(from_engine::Body::Answer(answer)) = message.body else {
            panic!("not an answer");
        };
        assert!(matches!(answer.body, Some(answer::Body::Error(_))));
        assert_eq!(
            frame::read::<proto::FromEngine>(&mut control).unwrap(),
            None
        );
    }
    server.remove();
}

#[test]
fn a_second_control_replaces_the_first_and_a_second_engine_is_refused() {
    let (path, server, inbound) = listening("replace");
    let mut first = connect(&path);
    frame::write(&mut first, &hello(1)).unwrap();
    inbound.recv_timeout(Duration::from_secs(10)).unwrap();
    let mut second = connect(&path);
    frame::write(&mut second, &hello(1)).unwrap();
    inbound.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(frame::read::<proto::FromEngine>(&mut first).unwrap(), None);
    assert!(Server::listen(&path, |_| {}).is_err());
    server.remove();
}

fn event(session: usize) -> from_engine::Body {
    from_engine::Body::Event(proto::Event {
        session_id: format!("{session:0100}"),
        body: Some(proto::event::Body::TransportState(
            proto::TransportState::Disconnected.into(),
        )),
    })
}

fn attach(control: &mut UnixStream, inbound: &Receiver<Inbound>) -> Outbound {
    frame::write(control, &hello(1)).unwrap();
    inbound.recv_timeout(Duration::from_secs(10)).unwrap().reply
}

#[test]
fn a_burst_of_events_waits_for_a_control_that_is_busy() {
    let (path, server, inbound) = listening("burst");
    let mut control = connect(&path);
    let reply = attach(&mut control, &inbound);
    for session in 0..30_000 {
        reply.send(event(session));
    }
    // All of them are there before the first one is read.
    for session in 0..30_000 {
        let message: proto::FromEngine = frame::read(&mut control).unwrap().unwrap();
        assert_eq!(message.body, Some(event(session)));
    }
    assert!(!reply.is_closed());
    server.remove();
}

#[test]
fn a_control_that_reads_nothing_for_a_time_is_let_go() {
    let path = std::env::temp_dir().join(format!("switchyard-mute-{}.sock", std::process::id()));
    let (requests, inbound) = channel();
    let deliver = move |inbound| requests.send(inbound).unwrap_or_default();
    let server = Server::listen_with(&path, Duration::from_millis(1), deliver).unwrap();
    let mut control = connect(&path);
    let reply = attach(&mut control, &inbound);
    let mut sessions = 0..;
    while !reply.is_closed() {
        reply.send(event(sessions.next().unwrap()));
    }
    let told = sessions.next().unwrap();
    let count = std::iter::from_fn(|| frame::read::<proto::FromEngine>(&mut control).ok()?).count();
    assert!(count < told, "{count} of {told}");
    server.remove();
}

#[test]
fn more_than_may_wait_ends_the_connection() {
    let (path, server, inbound) = listening("stuck");
    let mut control = connect(&path);
    let reply = attach(&mut control, &inbound);
    let description = "x".repeat(1 << 20);
    let error = proto::Error { description };
    for id in 0..100 {
        let body = Some(answer::Body::Error(error.clone()));
        reply.send(from_engine::Body::Answer(proto::Answer { id, body }));
    }
    assert!(reply.is_closed());
    let count = std::iter::from_fn(|| frame::read::<proto::FromEngine>(&mut control).ok()?).count();
    assert!(count < 100);
    server.remove();
}

#[test]
fn a_panic_over_a_request_ends_its_connection_and_the_next_one_is_served() {
    let path = std::env::temp_dir().join(format!("switchyard-panic-{}.sock", std::process::id()));
    let (requests, inbound) = channel();
    let server = Server::listen(&path, move |inbound| {
        let is_bad = matches!(inbound.request.body, Some(request::Body::Leave(_)));
        assert!(!is_bad, "a test asked for this panic");
        requests.send(inbound).unwrap();
    })
    .unwrap();
    for _ in 0..3 {
        let mut control = connect(&path);
        attach(&mut control, &inbound);
        let body = Some(request::Body::Leave(proto::Leave {}));
        let request = proto::Request {
            id: 2,
            body,
            worker: 0,
        };
        frame::write(&mut control, &request).unwrap();
        assert_eq!(
            frame::read::<proto::FromEngine>(&mut control).unwrap(),
            None
        );
    }
    server.remove();
}

#[test]
fn a_control_that_sends_garbage_sees_the_end() {
    let (path, server, inbound) = listening("garbage");
    let mut control = connect(&path);
    control
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    frame::write(&mut control, &hello(1)).unwrap();
    inbound.recv_timeout(Duration::from_secs(10)).unwrap();
    io::Write::write_all(&mut control, &[0xff; 4]).unwrap();
    assert_eq!(
        frame::read::<proto::FromEngine>(&mut control).unwrap(),
        None
    );
    server.remove();
}

#[test]
fn what_is_not_a_socket_stays() {
    let path = std::env::temp_dir().join(format!("switchyard-file-{}", std::process::id()));
    std::fs::write(&path, "precious").unwrap();
    assert!(Server::listen(&path, |_| {}).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}
