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
        body: Some(request::Body::Snapshot(proto::Snapshot {})),
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

#[test]
fn a_control_that_does_not_read_is_let_go() {
    let (path, server, inbound) = listening("stuck");
    let mut control = connect(&path);
    frame::write(&mut control, &hello(1)).unwrap();
    let asked = inbound.recv_timeout(Duration::from_secs(10)).unwrap();
    let event = proto::Event {
        session_id: "x".repeat(1000),
        body: None,
    };
    for _ in 0..3 * MAX_WAITING {
        asked.reply.send(from_engine::Body::Event(event.clone()));
    }
    let mut count = 0;
    while let Ok(Some(_)) = frame::read::<proto::FromEngine>(&mut control) {
        count += 1;
    }
    assert!(count < 3 * MAX_WAITING);
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
