//! Accepts control on a Unix socket, one at a time; a new connection replaces the one before.

use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
    /// Listens; `deliver` is called with each request.
    ///
    /// # Errors
    /// Another engine listens there, or the path cannot be used.
    pub fn listen(
        path: &Path,
        deliver: impl Fn(Inbound) + Send + Sync + 'static,
    ) -> io::Result<Server> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let server = Server {
            path: path.to_owned(),
            current: Arc::default(),
        };
        let current = server.current.clone();
        let deliver = Arc::new(deliver);
        thread::Builder::new()
            .name("link".into())
            .spawn(move || accept_all(&listener, &current, &deliver))?;
        Ok(server)
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

/// Removes the socket of an engine that is gone, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another engine listens on this socket",
        )),
        Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(error),
        Err(_) if !file.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this is not a socket",
        )),
        Err(_) => std::fs::remove_file(path),
    }
}

fn accept_all(
    listener: &UnixListener,
    current: &Arc<Mutex<Option<Outbound>>>,
    deliver: &Arc<impl Fn(Inbound) + Send + Sync + 'static>,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptors left: asking again at once would only burn the core.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let (current, deliver) = (current.clone(), deliver.clone());
        let serving = thread::Builder::new()
            .name("link-read".into())
            .spawn(move || {
                if let Err(error) = serve(stream, &current, &*deliver) {
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
    deliver: &impl Fn(Inbound),
) -> io::Result<()> {
    let stream = Arc::new(stream);
    let (messages, outgoing) = sync_channel::<proto::FromEngine>(MAX_WAITING);
    let writing = stream.clone();
    thread::Builder::new()
        .name("link-write".into())
        .spawn(move || {
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
        outbound.send(from_engine::Body::Answer(proto::Answer {
            id: first.id,
            body,
        }));
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
    let pass_on = || -> io::Result<()> {
        let mut next = Some(first);
        while let Some(request) = next {
            let reply = outbound.clone();
            deliver(Inbound { request, reply });
            next = frame::read(&mut reader)?;
        }
        Ok(())
    };
    let passed_on = pass_on();
    // `current` keeps the stream open: without this, control would wait for answers that never come.
    let _ = stream.shutdown(Shutdown::Both);
    passed_on
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
mod tests;
