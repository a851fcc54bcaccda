//! The loop: wait, take commands, take what came, do what is due, send.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use switchyard_net as net;

use super::frame::{self, FRAME_MAX, Frame};
use super::sockets::{Sockets, StreamKey, Token};
use super::stream::Got;
use super::{Bound, Options};
use crate::certificate::Tls;
use crate::link::{Command, Inbound};
use crate::server::{Client, Now, RelayKey, Server};

/// Batches of one socket before the others have their turn.
const BATCHES_IN_A_ROW: usize = 4;
/// Reads of one connection before the others have their turn.
const READS_IN_A_ROW: usize = 4;
/// Connections taken in a row.
const ACCEPTS_IN_A_ROW: usize = 64;
/// A connection without an allocation may be silent for so long, and a client may not read for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Bytes that one read takes, with room for the start of a frame that came before.
const READ_LEN: usize = 64 * 1024;

/// How long listeners rest where the process has no descriptors: they come back only as others end.
const LISTENERS_REST: Duration = Duration::from_secs(1);
/// How long a socket that gave an error is not waited for. What comes meanwhile waits in the kernel.
const SOCKETS_REST: Duration = Duration::from_millis(100);

struct Listener {
    socket: TcpListener,
    place: usize,
    is_tls: bool,
}

/// The process's one thread of work.
pub struct Worker {
    server: Server,
    sockets: Sockets,
    listeners: Vec<Listener>,
    rest: net::Rest,
    /// Sockets of datagrams that are not waited for, because receiving gave an error.
    troubles: net::Rest,
    receive_errors: u64,
    tls: Tls,
    receiver: net::Receiver,
    buffer: Box<[u8]>,
    /// When which connection is to be looked at.
    looks: BinaryHeap<Reverse<(Instant, StreamKey)>>,
}

fn open(options: Options) -> Result<(Worker, Bound), String> {
    let mut sockets = Sockets::open(&options)?;
    let mut listeners = Vec::new();
    let mut bound = Bound {
        plain: Vec::new(),
        tls: Vec::new(),
    };
    for (port, is_tls) in [(options.port, false), (options.tls_port, true)] {
        for (place, &ip) in options.listen.iter().enumerate() {
            let address = SocketAddr::new(ip, port);
            let problem = |error: io::Error| format!("cannot serve on TCP {address}: {error}");
            let socket = net::listen(address).map_err(problem)?;
            let token = Token::Listener(listeners.len()).number() as usize;
            sockets.poller().add(&socket, token).map_err(problem)?;
            let list = if is_tls {
                &mut bound.tls
            } else {
                &mut bound.plain
            };
            list.push(socket.local_addr().map_err(problem)?);
            listeners.push(Listener {
                socket,
                place,
                is_tls,
            });
        }
    }
    let tls = match options.certificate {
        Some((chain, key)) => Tls::from_files(chain, key, Instant::now())?,
        None => Tls::self_signed(&options.host, &options.listen)?,
    };
    let mut server = Server::new(options.settings);
    server.revoke(&options.revoked, now(), &mut sockets);
    let worker = Worker {
        server,
        sockets,
        listeners,
        rest: net::Rest::new(LISTENERS_REST),
        troubles: net::Rest::new(SOCKETS_REST),
        receive_errors: 0,
        tls,
        receiver: net::Receiver::default(),
        buffer: vec![0; READ_LEN].into_boxed_slice(),
        looks: BinaryHeap::new(),
    };
    Ok((worker, bound))
}

/// Runs until control tells the process to leave.
///
/// # Errors
/// The kernel's, from waiting.
pub fn run(mut worker: Worker, commands: &Receiver<Inbound>) -> io::Result<()> {
    let mut ready = Vec::new();
    loop {
        let timeout = worker.next_timeout();
        ready.clear();
        let poller = worker.sockets.poller();
        poller.wait(timeout, |number| ready.push(Token::of(number as u64)))?;
        for inbound in commands.try_iter() {
            if inbound.command == Command::Leave {
                return Ok(());
            }
            let answer = worker.obey(&inbound.command)?;
            // Control may have gone meanwhile.
            let _ = inbound.answer.send(answer);
        }
        for &token in &ready {
            worker.take(token);
        }
        worker.end_what_is_due();
        worker.flush()?;
    }
}

impl Worker {
    /// Opens all sockets, and tells where they are.
    ///
    /// # Errors
    /// What cannot be opened, by name.
    pub fn open(options: Options) -> Result<(Worker, Bound), String> {
        open(options)
    }

    /// Ends the loop's wait from another thread.
    pub fn waker(&mut self) -> net::Waker {
        self.sockets.poller().waker()
    }

    fn next_timeout(&self) -> Option<Duration> {
        let look = self.looks.peek().map(|Reverse((at, _))| *at);
        let due = [
            self.server.next_timeout(),
            look,
            self.rest.until(),
            self.troubles.until(),
            self.sockets.deadline(),
        ];
        due.into_iter()
            .flatten()
            .min()
            .map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn obey(&mut self, command: &Command) -> io::Result<String> {
        match command {
            Command::Media(addresses) => self.server.set_media(addresses.clone()),
            Command::Revoke(revocations) => {
                self.server.revoke(revocations, now(), &mut self.sockets);
                self.flush()?;
            }
            Command::Status => {
                let counters = self.server.counters().list();
                let kernel = self.sockets.kernel_counts().into_iter();
                let errors = [("receive_errors", self.receive_errors)];
                let counters: Vec<String> = counters
                    .chain(kernel)
                    .chain(errors)
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                let (allocations, connections) =
                    (self.server.allocations(), self.sockets.streams.len());
                let counters = counters.join(" ");
                return Ok(format!(
                    "ok allocations {allocations} connections {connections} {counters}"
                ));
            }
            Command::Leave => {}
        }
        Ok("ok".to_owned())
    }

    fn take(&mut self, token: Token) {
        match token {
            Token::Clients(place) => self.take_from_clients(place),
            Token::Relay(key) => self.take_from_peers(key),
            Token::Listener(index) => self.accept(index),
            // All turns end with sending.
            Token::Room => {}
            Token::Stream(key) => {
                self.sockets.flush_stream(key, Instant::now());
                if !self.take_from_stream(key) {
                    self.close(key);
                }
            }
        }
    }

    fn take_from_clients(&mut self, place: usize) {
        let Some(socket) = self.sockets.clients(place) else {
            return;
        };
        let from = Token::Clients(place).number();
        for _ in 0..BATCHES_IN_A_ROW {
            let now = now();
            let (server, sockets) = (&mut self.server, &mut self.sockets);
            let received = self.receiver.receive(&socket, |address, datagram| {
                let client = Client {
                    socket: from,
                    address,
                };
                server.handle_client(now, client, datagram, sockets);
            });
            if !self.goes_on(Token::Clients(place), received) {
                return;
            }
        }
    }

    fn take_from_peers(&mut self, key: RelayKey) {
        for _ in 0..BATCHES_IN_A_ROW {
            // The relay may end with a packet of its own batch.
            let Some(socket): Option<Rc<_>> = self.sockets.relay(key) else {
                return;
            };
            let now = now();
            let (server, sockets) = (&mut self.server, &mut self.sockets);
            let received = self.receiver.receive(&socket, |peer, datagram| {
                server.handle_peer(now, key, peer, datagram, sockets);
            });
            if !self.goes_on(Token::Relay(key), received) {
                return;
            }
        }
    }

    fn goes_on(&mut self, token: Token, received: io::Result<usize>) -> bool {
        match received {
            Ok(count) => count == net::BATCH,
            Err(error) => {
                self.receive_errors += 1;
                self.note_trouble(token, &error, Instant::now());
                false
            }
        }
    }

    /// One socket's trouble must not end the relays on the others, nor be reported without end.
    fn note_trouble(&mut self, token: Token, error: &io::Error, now: Instant) {
        let Some(socket) = self.sockets.datagrams(token) else {
            return;
        };
        let number = token.number() as usize;
        let poller = self.sockets.poller();
        if self.troubles.begin(poller, &*socket, number, now) {
            let errors = self.receive_errors;
            tracing::warn!(%error, errors, "receiving");
        }
    }

    fn end_troubles(&mut self, now: Instant) {
        for number in self.troubles.end(now) {
            let token = Token::of(number as u64);
            let Some(socket) = self.sockets.datagrams(token) else {
                continue;
            };
            if let Err(error) = self.sockets.poller().add(&*socket, number) {
                self.note_trouble(token, &error, now);
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let instant = Instant::now();
        for _ in 0..ACCEPTS_IN_A_ROW {
            let Some(listener) = self.listeners.get(index) else {
                return;
            };
            let (socket, peer) = match net::accept(&listener.socket) {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return,
                Err(error) => return self.rest(index, &error, instant),
            };
            let tls = listener.is_tls.then(|| self.tls.config(instant));
            let accepted = self
                .sockets
                .accept(socket, peer, listener.place, tls, instant);
            if let Some(key) = accepted {
                self.looks.push(Reverse((instant + LOOK_EVERY, key)));
            }
        }
    }

    fn rest(&mut self, index: usize, error: &io::Error, now: Instant) {
        let listener = &self.listeners[index].socket;
        if self.rest.begin(self.sockets.poller(), listener, index, now) {
            tracing::warn!(%error, "accepting");
        }
    }

    fn end_rest(&mut self, now: Instant) {
        for index in self.rest.end(now) {
            let token = Token::Listener(index).number() as usize;
            let listener = &self.listeners[index].socket;
            if let Err(error) = self.sockets.poller().add(listener, token) {
                self.rest(index, &error, now);
            }
        }
    }

    /// False: the connection is over.
    fn take_from_stream(&mut self, key: StreamKey) -> bool {
        let Some(client) = self.sockets.client_of(key) else {
            return true;
        };
        for _ in 0..READS_IN_A_ROW {
            let Some(stream) = self.sockets.streams.get_mut(key) else {
                return true;
            };
            let kept = stream.partial.len();
            self.buffer[..kept].copy_from_slice(&stream.partial);
            let count = match stream.read(&mut self.buffer[kept..]) {
                Got::Bytes(count) => count,
                Got::Nothing => break,
                Got::End => return false,
            };
            if count > 0 && !self.take_frames(key, client, kept + count) {
                return false;
            }
            self.sockets.mark_dirty(key);
        }
        true
    }

    fn take_frames(&mut self, key: StreamKey, client: Client, length: usize) -> bool {
        let now = now();
        let mut start = 0;
        while let Some(bytes) = self.buffer.get(start..length) {
            match frame::first(bytes) {
                Frame::Garbage => return false,
                Frame::Partial => break,
                Frame::Whole { length, stride } => {
                    let sockets = &mut self.sockets;
                    self.server
                        .handle_client(now, client, &bytes[..length], sockets);
                    start += stride;
                }
            }
        }
        let Some(stream) = self.sockets.streams.get_mut(key) else {
            return true;
        };
        if start > 0 {
            stream.active = now.instant;
        }
        // A frame that is longer than this was garbage above.
        let rest = &self.buffer[start..length];
        debug_assert!(rest.len() < FRAME_MAX);
        stream.partial.clear();
        if rest.is_empty() {
            // Connections that wait cost nothing.
            stream.partial.shrink_to_fit();
        }
        stream.partial.extend_from_slice(rest);
        true
    }

    fn end_what_is_due(&mut self) {
        let now = now();
        self.server.handle_timeout(now, &mut self.sockets);
        self.end_rest(now.instant);
        self.end_troubles(now.instant);
        while let Some(&Reverse((at, key))) = self.looks.peek()
            && at <= now.instant
        {
            self.looks.pop();
            let Some(client) = self.sockets.client_of(key) else {
                continue;
            };
            let Some(stream) = self.sockets.streams.get(key) else {
                continue;
            };
            let since = |start: Instant| now.instant.saturating_duration_since(start);
            let is_idle = since(stream.active) >= PATIENCE && !self.server.serves(client);
            let is_stuck = stream.stuck.is_some_and(|stuck| since(stuck) >= PATIENCE);
            if is_idle || is_stuck {
                self.close(key);
            } else {
                self.looks.push(Reverse((now.instant + LOOK_EVERY, key)));
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        for key in self.sockets.flush(Instant::now())? {
            self.close(key);
        }
        Ok(())
    }

    fn close(&mut self, key: StreamKey) {
        if let Some(client) = self.sockets.client_of(key) {
            self.server.client_gone(client, &mut self.sockets);
            self.sockets.close_stream(key);
        }
    }
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        unix: unix.map_or(0, |elapsed| elapsed.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;

    use super::super::sockets::tests::options;
    use super::*;

    fn reported(worker: &mut Worker) -> Vec<Token> {
        let mut seen = Vec::new();
        let poller = worker.sockets.poller();
        poller
            .wait(Some(Duration::ZERO), |number| {
                seen.push(Token::of(number as u64));
            })
            .unwrap();
        seen
    }

    #[test]
    fn a_socket_with_a_lasting_error_is_not_waited_for_without_end() {
        let (mut worker, _) = Worker::open(options(&["127.0.0.1"], &[])).unwrap();
        // Readable for ever, and no socket.
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let broken = UdpSocket::from(OwnedFd::from(reader));
        worker.sockets.replace_clients(0, broken);
        for errors in 1..4 {
            assert_eq!(reported(&mut worker), [Token::Clients(0)]);
            worker.take(Token::Clients(0));
            assert_eq!(reported(&mut worker), []);
            assert_eq!(worker.receive_errors, errors);
            let until = worker.troubles.until().unwrap();
            worker.end_troubles(until);
        }
    }
}
