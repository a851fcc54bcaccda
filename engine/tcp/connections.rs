//! Which connections there are, and the kernel's news of them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use slotmap::{Key, KeyData, SlotMap};
use switchyard_net as net;

use super::connection::Connection;
use super::newcomers::Newcomers;
use crate::core::outbox::Message;

/// Connections taken in a row.
const ACCEPTS_IN_A_ROW: usize = 32;
/// How long listeners rest where the process has no descriptors: they come back only as others end.
const REST: Duration = Duration::from_secs(1);

slotmap::new_key_type! {
    /// A connection.
    pub struct ConnectionKey;
}

/// What the kernel has news of.
pub enum Ready {
    /// By its index.
    Listener(usize),
    /// Itself.
    Connection(ConnectionKey),
}

/// Listeners and connections.
pub struct Connections {
    poller: net::Poller,
    listeners: Vec<(u16, TcpListener)>,
    all: SlotMap<ConnectionKey, Connection>,
    by_peer: HashMap<(u16, SocketAddr), ConnectionKey, RandomState>,
    newcomers: Newcomers<ConnectionKey>,
    most: usize,
    ended: Vec<ConnectionKey>,
    dropped: u64,
    rest: net::Rest,
}

impl Connections {
    /// None yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(listeners: Vec<(u16, TcpListener)>, most: usize) -> io::Result<Connections> {
        let poller = net::Poller::new()?;
        for (index, (_, listener)) in listeners.iter().enumerate() {
            poller.add(listener, index)?;
        }
        Ok(Connections {
            poller,
            listeners,
            all: SlotMap::with_key(),
            by_peer: HashMap::default(),
            newcomers: Newcomers::new(),
            most,
            ended: Vec::new(),
            dropped: 0,
            rest: net::Rest::new(REST),
        })
    }

    /// Adds what is ready now, some of it at a time and each in its turn.
    ///
    /// # Errors
    /// The kernel's.
    pub fn find_ready(&mut self, ready: &mut VecDeque<Ready>) -> io::Result<()> {
        let listeners = self.listeners.len();
        self.poller.wait(Some(Duration::ZERO), |index| {
            // Versions of keys stand in the upper half and are never zero.
            ready.push_back(if index < listeners {
                Ready::Listener(index)
            } else {
                Ready::Connection(KeyData::from_ffi(index as u64).into())
            });
        })
    }

    /// Takes connections that have come to a listener, and gives each to `each`. Where there are too many they are
    /// closed by not being kept.
    pub fn accept(&mut self, index: usize, now: Instant, mut each: impl FnMut(ConnectionKey)) {
        for _ in 0..ACCEPTS_IN_A_ROW {
            let (socket, listener) = &self.listeners[index];
            let socket = *socket;
            let (stream, peer) = match net::accept(listener) {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return,
                Err(error) => return self.rest(index, &error, now),
            };
            if self.all.len() >= self.most || self.by_peer.contains_key(&(socket, peer)) {
                continue;
            }
            let connection = Connection::new(stream, socket, peer, now);
            let key = self.all.insert(connection);
            if self
                .poller
                .add(self.all[key].stream(), number(key))
                .is_err()
            {
                self.all.remove(key);
                continue;
            }
            self.by_peer.insert((socket, peer), key);
            if let Some(gone) = self.newcomers.add(peer.ip(), key) {
                self.remove(gone);
            }
            each(key);
        }
    }

    fn rest(&mut self, index: usize, error: &io::Error, now: Instant) {
        let listener = &self.listeners[index].1;
        if self.rest.begin(&self.poller, listener, index, now) {
            tracing::warn!(%error, "accepting");
        }
    }

    /// When `end_rest` is due.
    pub fn rest_until(&self) -> Option<Instant> {
        self.rest.until()
    }

    /// Listeners that have rested go on.
    pub fn end_rest(&mut self, now: Instant) {
        for index in self.rest.end(now) {
            let added = self.poller.add(&self.listeners[index].1, index);
            if let Err(error) = added {
                self.rest(index, &error, now);
            }
        }
    }

    /// A connection that is not closed.
    pub fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.all.get_mut(key)
    }

    /// It is a session's.
    pub fn prove(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.all.get_mut(key) {
            connection.is_proven = true;
            connection.early = Vec::new();
            self.newcomers.remove(key);
        }
    }

    /// Sends to a peer, if it has a connection.
    pub fn send(&mut self, message: &Message<'_>, arena: &[u8]) {
        let key = self.by_peer.get(&(message.socket, message.to)).copied();
        let Some((key, connection)) = key.and_then(|key| Some((key, self.all.get_mut(key)?)))
        else {
            self.dropped += message.datagrams.len() as u64;
            return;
        };
        match connection.send(arena, message.datagrams) {
            Ok(dropped) => self.dropped += dropped,
            Err(_) => {
                self.dropped += message.datagrams.len() as u64;
                return self.end(key);
            }
        }
        self.watch(key);
    }

    /// Writes what waits for a peer.
    pub fn flush(&mut self, key: ConnectionKey, now: Instant) {
        let Some(connection) = self.all.get_mut(key) else {
            return;
        };
        if !connection.has_waiting() {
            return;
        }
        match connection.flush(now) {
            Ok(()) => self.watch(key),
            Err(_) => self.end(key),
        }
    }

    /// Has the poller tell when more can be written, while something waits.
    fn watch(&mut self, key: ConnectionKey) {
        let Some(connection) = self.all.get_mut(key) else {
            return;
        };
        let wanted = connection.has_waiting();
        if connection.watches_writable == wanted {
            return;
        }
        connection.watches_writable = wanted;
        let watched = self
            .poller
            .watch_writable(connection.stream(), number(key), wanted);
        if watched.is_err() {
            self.end(key);
        }
    }

    /// It is to be closed.
    pub fn end(&mut self, key: ConnectionKey) {
        if !self.ended.contains(&key) {
            self.ended.push(key);
        }
    }

    /// Whether there are some to be closed.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Closes the next one that is to be, and gives whose it was if it was a session's.
    pub fn close_ended(&mut self) -> Option<(u16, SocketAddr)> {
        while let Some(key) = self.ended.pop() {
            if let Some(connection) = self.remove(key)
                && connection.is_proven
            {
                return Some((connection.socket, connection.peer));
            }
        }
        None
    }

    fn remove(&mut self, key: ConnectionKey) -> Option<Connection> {
        let connection = self.all.remove(key)?;
        self.dropped += connection.waiting();
        self.newcomers.remove(key);
        self.by_peer.remove(&(connection.socket, connection.peer));
        Some(connection)
    }

    /// How many datagrams were dropped since the last time.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

impl AsRawFd for Connections {
    fn as_raw_fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }
}

fn number(key: ConnectionKey) -> usize {
    key.data().as_ffi() as usize
}
