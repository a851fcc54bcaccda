//! Accepts control on a Unix socket, one at a time; a new connection replaces the one before.

use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame;
use super::proto::{self, answer, from_engine, request};
use super::queue::Queue;

/// A control that reads nothing for so long is let go, and finds all in a snapshot when it comes back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Before the socket is asked again after a failure.
const RETRY: Duration = Duration::from_millis(100);

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
    queue: Arc<Queue>,
    stream: Arc<UnixStream>,
}

impl Outbound {
    /// Sends a message, or ends the connection of a control that does not read: the caller never waits.
    pub fn send(&self, body: from_engine::Body) {
        let message = proto::FromEngine { body: Some(body) };
        if self.queue.push(message).is_err() {
            tracing::warn!("control does not read: too much waits for it");
            self.cut();
        }
    }

    /// Whether a piece of a snapshot may be added.
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    fn cut(&self) {
        self.queue.clear();
        let _ = self.stream.shutdown(Shutdown::Both);
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
        Server::listen_with(path, PATIENCE, deliver)
    }

    fn listen_with(
        path: &Path,
        patience: Duration,
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
        thread::Builder::new().name("link".into()).spawn(move || {
            // Without this thread no control finds the engine again.
            loop {
                let accept = || accept_all(&listener, patience, &current, &deliver);
                let _ = catch_unwind(AssertUnwindSafe(accept));
                thread::sleep(RETRY);
            }
        })?;
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
    patience: Duration,
    current: &Arc<Mutex<Option<Outbound>>>,
    deliver: &Arc<impl Fn(Inbound) + Send + Sync + 'static>,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptors left: asking again at once would only burn the core.
            thread::sleep(RETRY);
            continue;
        };
        let (current, deliver) = (current.clone(), deliver.clone());
        let serving = thread::Builder::new()
            .name("link-read".into())
            .spawn(move || {
                if let Err(error) = serve(stream, patience, &current, &*deliver) {
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
    patience: Duration,
    current: &Mutex<Option<Outbound>>,
    deliver: &impl Fn(Inbound),
) -> io::Result<()> {
    stream.set_write_timeout(Some(patience))?;
    let stream = Arc::new(stream);
    let outbound = Outbound {
        queue: Arc::default(),
        stream: stream.clone(),
    };
    let writing = Writing(outbound.clone());
    thread::Builder::new()
        .name("link-write".into())
        .spawn(move || writing.write_all())?;
    let _reading = Reading(outbound.clone());

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
        before.cut();
    }
    tracing::info!("control attached");
    let mut next = Some(first);
    while let Some(request) = next {
        let reply = outbound.clone();
        deliver(Inbound { request, reply });
        next = frame::read(&mut reader)?;
    }
    Ok(())
}

/// The reading half: when it ends, in whatever way, control must not wait for answers that never come.
struct Reading(Outbound);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.queue.close();
        let _ = self.0.stream.shutdown(Shutdown::Read);
    }
}

/// The writing half: when it ends, in whatever way, the connection does.
struct Writing(Outbound);

impl Writing {
    fn write_all(self) {
        let Outbound { queue, stream } = &self.0;
        while let Some(message) = queue.pop() {
            if let Err(error) = frame::write(&mut &**stream, &message) {
                tracing::warn!(%error, "control does not read");
                return;
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.cut();
    }
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
