//! Accepts control on a Unix socket, one at a time; a new connection replaces the one before.

use std::io;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::frame;
use super::proto::{self, answer, from_engine, request};

/// Messages that may wait for a control that does not read; then it is let go, and finds all in a snapshot.
const MAX_WAITING: usize = 4096;

/// A request and where its answer goes.
pub struct Inbound {
    /// What control wants.
    pub request: proto::Request,
    /// Whose answer it is: that of the connection which asked.
    pub reply: Outbound,
}

/// The writing half of one connection.
#[derive(Clone)]
pub struct Outbound {
    messages: SyncSender<proto::FromEngine>,
    stream: Arc<UnixStream>,
}

impl Outbound {
    /// Sends a message, or ends the connection of a control that does not read: the caller never waits.
    pub fn send(&self, body: from_engine::Body) {
        let message = proto::FromEngine { body: Some(body) };
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// The listening socket.
pub struct Server {
    path: PathBuf,
    current: Arc<Mutex<Option<Outbound>>>,
}

impl Server {
    /// Listens; requests go to the returned receiver, and `wake` is called after each.
    ///
    /// # Errors
    /// Another engine listens there, or the path cannot be used.
    pub fn listen(
        path: &Path,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<(Server, Receiver<Inbound>)> {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another engine listens on this socket",
            ));
        }
        // Whoever made the file is gone.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let (requests, inbound) = channel();
        let server = Server {
            path: path.to_owned(),
            current: Arc::default(),
        };
        let current = server.current.clone();
        let wake = Arc::new(wake);
        thread::Builder::new()
            .name("link".into())
            .spawn(move || accept_all(&listener, &current, &requests, &wake))?;
        Ok((server, inbound))
    }

    /// Tells the attached control, if there is one.
    pub fn tell(&self, event: proto::Event) {
        if let Some(outbound) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            outbound.send(from_engine::Body::Event(event));
        }
    }

    /// Takes the socket away from the file system.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn accept_all(
    listener: &UnixListener,
    current: &Arc<Mutex<Option<Outbound>>>,
    requests: &Sender<Inbound>,
    wake: &Arc<impl Fn() + Send + Sync + 'static>,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            continue;
        };
        let (current, requests, wake) = (current.clone(), requests.clone(), wake.clone());
        let serving = thread::Builder::new().name("link-read".into()).spawn(move || {
            if let Err(error) = serve(stream, &current, &requests, &*wake) {
                tracing::warn!(%error, "the connection to control ended");
            }
        });
        if let Err(error) = serving {
            tracing::error!(%error, "no thread for control's connection");
        }
    }
}

/// Reads requests of one connection to its end.
fn serve(
    stream: UnixStream,
    current: &Mutex<Option<Outbound>>,
    requests: &Sender<Inbound>,
    wake: &impl Fn(),
) -> io::Result<()> {
    let stream = Arc::new(stream);
    let (messages, outgoing) = sync_channel::<proto::FromEngine>(MAX_WAITING);
    let writing = stream.clone();
    thread::Builder::new().name("link-write".into()).spawn(move || {
        for message in outgoing {
            if frame::write(&mut &*writing, &message).is_err() {
                break;
            }
        }
        let _ = writing.shutdown(Shutdown::Both);
    })?;
    let outbound = Outbound {
        messages,
        stream: stream.clone(),
    };

    let mut reader = io::BufReader::new(&*stream);
    let Some(first) = frame::read::<proto::Request>(&mut reader)? else {
        return Ok(());
    };
    if let Err(description) = check_hello(&first) {
        let body = Some(answer::Body::Error(proto::Error { description }));
        outbound.send(from_engine::Body::Answer(proto::Answer { id: first.id, body }));
        return Ok(());
    }
    let before = current
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .replace(outbound.clone());
    if let Some(before) = before {
        let _ = before.stream.shutdown(Shutdown::Both);
    }
    tracing::info!("control attached");
    let mut next = Some(first);
    while let Some(request) = next {
        let reply = outbound.clone();
        if requests.send(Inbound { request, reply }).is_err() {
            break;
        }
        wake();
        next = frame::read(&mut reader)?;
    }
    Ok(())
}

fn check_hello(first: &proto::Request) -> Result<(), String> {
    match &first.body {
        Some(request::Body::Hello(hello)) => {
            let ours = proto::ProtocolVersion::ProtocolVersion1;
            if hello.version() == ours {
                Ok(())
            } else {
                Err(format!(
                    "this engine speaks protocol version {}, control speaks {}",
                    ours as i32, hello.version
                ))
            }
        }
        _ => Err("the first request must be hello".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn hello(version: i32) -> proto::Request {
        let body = Some(request::Body::Hello(proto::Hello { version }));
        proto::Request { id: 1, body }
    }

    fn listening(name: &str) -> (PathBuf, Server, Receiver<Inbound>) {
        let path = std::env::temp_dir().join(format!("switchyard-{name}-{}.sock", std::process::id()));
        let (server, inbound) = Server::listen(&path, || {}).unwrap();
        (path, server, inbound)
    }

    fn connect(path: &Path) -> UnixStream {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
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
        };
        for first in [hello(99), unasked] {
            let mut control = connect(&path);
            frame::write(&mut control, &first).unwrap();
            let message: proto::FromEngine = frame::read(&mut control).unwrap().unwrap();
            let Some(from_engine::Body::Answer(answer)) = message.body else {
                panic!("not an answer");
            };
            assert!(matches!(answer.body, Some(answer::Body::Error(_))));
            assert_eq!(frame::read::<proto::FromEngine>(&mut control).unwrap(), None);
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
        assert!(Server::listen(&path, || {}).is_err());
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
}
