//! Peers without UDP: TCP connections on the same address and port (RFC 6544, passive), each frame of which is a datagram
//! (RFC 4571). For the engine a connection is one more socket and address to receive from and to send to.
//!
//! They must not slow the peers with UDP: the worker's poller sees all of them as one descriptor, and one turn reads a
//! little of each.

mod connection;
mod connections;
mod frame;
mod newcomers;
mod waiting;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use switchyard_net as net;

use crate::core::outbox::Message;
use crate::transport::TCP;
use connection::Got;
use connections::{ConnectionKey, Connections, Ready};
use frame::PARTIAL_MAX;

/// Connections at once, where the process may have twice as many descriptors.
const MOST: usize = 8192;
/// How long a turn may take, whatever has come.
const TURN: Duration = Duration::from_millis(1);
/// Bytes of one connection before the others and the UDP sockets have their turn.
const READ_LEN: usize = 16 * 1024;
/// How often a connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a newcomer's check is tried. A peer may be here before its description is, and need not say over TCP again
/// what no network loses (RFC 8489 section 6.2.2).
const TRY_EVERY: Duration = Duration::from_millis(200);
/// A peer shows within so long whose it is, and reads something within so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a listener beside each of these UDP sockets.
///
/// # Errors
/// The first address that is taken, by name.
pub fn listen(sockets: &[SocketAddr]) -> Result<Vec<(u16, TcpListener)>, String> {
    let listen = |(index, &address): (usize, &SocketAddr)| {
        let listener = net::listen(address);
        let listener =
            listener.map_err(|error| format!("cannot accept media on TCP {address}: {error}"))?;
        Ok((index as u16 | TCP, listener))
    };
    sockets.iter().enumerate().map(listen).collect()
}

/// What the connections are to the engine.
pub trait Sessions {
    /// A datagram came.
    fn receive(&mut self, now: Instant, socket: u16, peer: SocketAddr, datagram: &mut [u8]);
    /// Whether the address is that of a session's peer.
    fn know(&self, socket: u16, peer: SocketAddr) -> bool;
    /// The connection of a session's peer is over.
    fn lose(&mut self, socket: u16, peer: SocketAddr);
    /// So many datagrams did not leave: peers do not read.
    fn discard(&mut self, count: u64);
}

/// All connections of a worker.
pub struct Tcp {
    connections: Rc<RefCell<Connections>>,
    buffer: Box<[u8]>,
    /// Those whose turn comes.
    ready: VecDeque<Ready>,
    /// When which connection is to be looked at.
    looks: BinaryHeap<Reverse<(Instant, ConnectionKey)>>,
    descriptor: RawFd,
}

/// The way out.
pub struct TcpSender(Rc<RefCell<Connections>>);

impl TcpSender {
    /// Sends datagrams to the peer's connection, if it has one.
    pub fn send(&self, message: &Message<'_>, arena: &[u8]) {
        self.0.borrow_mut().send(message, arena);
    }
}

impl Tcp {
    /// Connections that come to the listeners, with what core has for their sockets' indices.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(listeners: Vec<(u16, TcpListener)>) -> io::Result<Tcp> {
        let descriptors = usize::try_from(net::raise_descriptor_limit()?).unwrap_or(MOST);
        let connections = Connections::new(listeners, MOST.min(descriptors / 2))?;
        let descriptor = connections.as_raw_fd();
        Ok(Tcp {
            connections: Rc::new(RefCell::new(connections)),
            buffer: vec![0; PARTIAL_MAX + READ_LEN].into_boxed_slice(),
            ready: VecDeque::new(),
            looks: BinaryHeap::new(),
            descriptor,
        })
    }

    /// For the outbox.
    pub fn sender(&self) -> TcpSender {
        TcpSender(self.connections.clone())
    }

    /// When `end_what_is_due` is due.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let connections = self.connections.borrow();
        if connections.has_ended() {
            return Some(now);
        }
        let look = self.looks.peek().map(|Reverse((at, _))| *at);
        let due = [look, connections.rest_until()];
        due.into_iter().flatten().min()
    }

    /// One turn: takes new connections and what has come on others, and writes what waited.
    ///
    /// # Errors
    /// The kernel's, from waiting.
    pub fn take(
        &mut self,
        clock: impl Fn() -> Instant,
        sessions: &mut impl Sessions,
    ) -> io::Result<()> {
        // Who did not have his turn yet comes before all others.
        if self.ready.is_empty() {
            self.connections.borrow_mut().find_ready(&mut self.ready)?;
        }
        let end = clock() + TURN;
        while let Some(ready) = self.ready.pop_front() {
            let now = clock();
            match ready {
                Ready::Listener(index) => {
                    let looks = &mut self.looks;
                    self.connections.borrow_mut().accept(index, now, |key| {
                        looks.push(Reverse((now + TRY_EVERY, key)));
                    });
                }
                Ready::Connection(key) => {
                    self.connections.borrow_mut().flush(key, now);
                    self.read(key, now, sessions);
                }
            }
            if now >= end {
                break;
            }
        }
        Ok(())
    }

    /// The connections are not borrowed while the engine has a datagram: it may send.
    fn read(&mut self, key: ConnectionKey, now: Instant, sessions: &mut impl Sessions) {
        let mut connections = self.connections.borrow_mut();
        let Some(connection) = connections.get_mut(key) else {
            return;
        };
        let (socket, peer) = (connection.socket, connection.peer);
        let was_proven = connection.is_proven;
        let kept = connection.frames.resume(&mut self.buffer);
        let got = connection.read(&mut self.buffer[kept..][..READ_LEN]);
        let mut frames = std::mem::take(&mut connection.frames);
        drop(connections);

        let mut is_garbage = false;
        let mut early = Vec::new();
        if let Got::Bytes(count) = got {
            frames.feed(&mut self.buffer[..kept + count], |datagram| {
                // The first that a peer sends is a check.
                is_garbage |= !was_proven && !is_stun(datagram);
                if !is_garbage {
                    if !was_proven {
                        early.clear();
                        early.extend_from_slice(datagram);
                    }
                    sessions.receive(now, socket, peer, datagram);
                }
            });
        }
        let is_proven = was_proven || sessions.know(socket, peer);
        is_garbage |= frames.is_passing();
        let mut connections = self.connections.borrow_mut();
        if let Some(connection) = connections.get_mut(key) {
            connection.frames = frames;
            if !early.is_empty() {
                connection.early = early;
            }
        }
        if is_proven && !was_proven {
            connections.prove(key);
        }
        if matches!(got, Got::End) || (is_garbage && !is_proven) {
            connections.end(key);
        }
    }

    /// The check of a newcomer, whose session may be there by now.
    fn try_again(&mut self, key: ConnectionKey, now: Instant, sessions: &mut impl Sessions) {
        let mut connections = self.connections.borrow_mut();
        let newcomer = connections.get_mut(key).filter(|one| !one.is_proven);
        let Some(connection) = newcomer.filter(|one| !one.early.is_empty()) else {
            return;
        };
        let (socket, peer) = (connection.socket, connection.peer);
        let mut early = connection.early.clone();
        drop(connections);
        sessions.receive(now, socket, peer, &mut early);
        if sessions.know(socket, peer) {
            self.connections.borrow_mut().prove(key);
        }
    }

    /// Closes connections that are over, that nobody's peer holds, or whose peer does not read.
    pub fn end_what_is_due(&mut self, now: Instant, sessions: &mut impl Sessions) {
        self.connections.borrow_mut().end_rest(now);
        while let Some(&Reverse((at, key))) = self.looks.peek()
            && at <= now
        {
            self.looks.pop();
            self.try_again(key, now, sessions);
            let mut connections = self.connections.borrow_mut();
            let Some(connection) = connections.get_mut(key) else {
                continue;
            };
            let is_over = |since: Instant| now.saturating_duration_since(since) >= PATIENCE;
            let (is_nobodys, next) = if connection.is_proven {
                let is_known = sessions.know(connection.socket, connection.peer);
                (!is_known, LOOK_EVERY)
            } else {
                (is_over(connection.since), TRY_EVERY)
            };
            if is_nobodys || connection.stuck_since.is_some_and(is_over) {
                connections.end(key);
            } else {
                self.looks.push(Reverse((now + next, key)));
            }
        }
        let dropped = self.connections.borrow_mut().take_dropped();
        sessions.discard(dropped);
        loop {
            // Whoever hears of it may send, by another connection.
            let ended = self.connections.borrow_mut().close_ended();
            let Some((socket, peer)) = ended else {
                return;
            };
            sessions.lose(socket, peer);
        }
    }
}

impl AsRawFd for Tcp {
    /// Readable while a connection or a listener is ready.
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor
    }
}

fn is_stun(datagram: &[u8]) -> bool {
    use crate::wire::demux::{DatagramKind, classify};
    classify(datagram) == DatagramKind::Stun
}

#[cfg(test)]
mod tests;
