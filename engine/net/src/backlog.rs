//! Messages that the kernel had no room for, until it has, or until they are too old.
//!
//! A frame for a large room is more than a socket's send buffer holds, and the link takes a while for it. Nothing here is
//! touched while the kernel takes everything.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::Poller;

/// Bytes that may wait, of all sockets together: a frame of ten packets for 1,300 viewers.
pub const WAITING_MAX: usize = 16 << 20;
/// How long a message may wait. A link of 1 Gbit/s takes 25 MB meanwhile; older media is of no use.
pub const AGE_MAX: Duration = Duration::from_millis(200);
/// How often all sockets are tried and looked at for old messages. The poller tells of room sooner.
const SWEEP_EVERY: Duration = Duration::from_millis(10);

/// Why datagrams did not leave.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Losses {
    /// They waited too long for room in a socket's send buffer, or too many waited.
    pub unsent: u64,
    /// The kernel refused them: no route, a forbidden address, too long.
    pub refused: u64,
}

/// A message's datagrams, one behind the other: all as long as the first but the last one, which may be shorter.
pub struct Waiting {
    pub to: SocketAddr,
    since: Instant,
    segment: usize,
    bytes: Box<[u8]>,
}

impl Waiting {
    pub fn new<'a>(to: SocketAddr, datagrams: impl Iterator<Item = &'a [u8]>) -> Waiting {
        let mut bytes = Vec::new();
        let mut segment = None;
        for datagram in datagrams {
            segment.get_or_insert(datagram.len());
            bytes.extend_from_slice(datagram);
        }
        Waiting {
            to,
            since: Instant::now(),
            segment: segment.unwrap_or(0),
            bytes: bytes.into(),
        }
    }

    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let (first, mut rest) = self.bytes.split_at(self.segment.min(self.bytes.len()));
        let others = std::iter::from_fn(move || {
            let datagram;
            (datagram, rest) = rest.split_at(self.segment.min(rest.len()));
            (!datagram.is_empty()).then_some(datagram)
        });
        std::iter::once(first).chain(others)
    }

    fn count(&self) -> u64 {
        self.bytes.len().div_ceil(self.segment.max(1)).max(1) as u64
    }

    /// What it costs in memory.
    fn size(&self) -> usize {
        self.bytes.len() + size_of::<Waiting>()
    }
}

/// Of one socket, the oldest first.
struct Queue {
    /// The same socket: its owner may close it meanwhile.
    socket: UdpSocket,
    messages: VecDeque<Waiting>,
    is_watched: bool,
}

/// What waits, by the numbers of the sockets.
pub struct Backlog {
    queues: HashMap<usize, Queue>,
    bytes: usize,
    poller: Poller,
    ready: Vec<usize>,
    sweep_at: Option<Instant>,
    unsent: u64,
}

impl Backlog {
    pub fn new() -> io::Result<Backlog> {
        Ok(Backlog {
            queues: HashMap::new(),
            bytes: 0,
            poller: Poller::new()?,
            ready: Vec::new(),
            sweep_at: None,
            unsent: 0,
        })
    }

    /// Whether messages of this socket wait, so that others have to wait behind them.
    #[inline]
    pub fn holds(&self, number: usize) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(&number)
    }

    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Adds a message. Where it is too much, the socket's oldest ones make room.
    pub fn push(&mut self, socket: &UdpSocket, number: usize, message: Waiting) {
        let queue = match self.queues.entry(number) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => match socket.try_clone() {
                Ok(socket) => {
                    let next = message.since + SWEEP_EVERY;
                    self.sweep_at.get_or_insert(next);
                    entry.insert(Queue {
                        socket,
                        messages: VecDeque::new(),
                        is_watched: false,
                    })
                }
                // No descriptors are left.
                Err(_) => return self.unsent += message.count(),
            },
        };
        while self.bytes + message.size() > WAITING_MAX {
            let Some(oldest) = queue.messages.pop_front() else {
                self.unsent += message.count();
                return;
            };
            self.bytes -= oldest.size();
            self.unsent += oldest.count();
        }
        self.bytes += message.size();
        queue.messages.push_back(message);
    }

    /// Has the poller tell when the kernel has room for this socket's messages.
    pub fn watch(&mut self, number: usize) {
        if let Some(queue) = self.queues.get_mut(&number)
            && !queue.is_watched
        {
            // Without the poller the sweep finds out.
            queue.is_watched = self.poller.add_writable(&queue.socket, number).is_ok();
        }
    }

    /// Has the poller tell no more: there is room, but the kernel does not take the first message now.
    pub fn unwatch(&mut self, number: usize) {
        if let Some(queue) = self.queues.get_mut(&number)
            && std::mem::take(&mut queue.is_watched)
        {
            let _ = self.poller.remove(&queue.socket);
        }
    }

    /// When `find_ready` is due whatever the poller tells.
    pub fn deadline(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// The sockets that are worth a try now; what waited too long is dropped there.
    pub fn find_ready(&mut self, now: Instant) -> io::Result<Vec<usize>> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = Some(now + SWEEP_EVERY);
            ready.extend(self.queues.keys());
        } else {
            self.poller
                .wait(Some(Duration::ZERO), |number| ready.push(number))?;
        }
        for &number in &ready {
            self.drop_old(number, now);
        }
        Ok(ready)
    }

    /// Keeps the list's memory for the next time.
    pub fn give_back(&mut self, ready: Vec<usize>) {
        self.ready = ready;
        if self.queues.is_empty() {
            self.sweep_at = None;
        }
    }

    fn drop_old(&mut self, number: usize, now: Instant) {
        let Some(queue) = self.queues.get_mut(&number) else {
            return;
        };
        while let Some(oldest) = queue.messages.front()
            && now.saturating_duration_since(oldest.since) > AGE_MAX
        {
            self.bytes -= oldest.size();
            self.unsent += oldest.count();
            queue.messages.pop_front();
        }
        self.end_if_empty(number);
    }

    /// The socket and its oldest messages.
    pub fn oldest(&self, number: usize) -> Option<(&UdpSocket, impl Iterator<Item = &Waiting>)> {
        let queue = self.queues.get(&number)?;
        Some((&queue.socket, queue.messages.iter()))
    }

    /// So many messages left, and so many datagrams of the next one.
    pub fn left(&mut self, number: usize, messages: usize, datagrams: usize) {
        let Some(queue) = self.queues.get_mut(&number) else {
            return;
        };
        for message in queue.messages.drain(..messages) {
            self.bytes -= message.size();
        }
        if datagrams > 0
            && let Some(next) = queue.messages.front_mut()
        {
            let gone = datagrams * next.segment;
            next.bytes = next.bytes[gone..].into();
            self.bytes -= gone;
        }
        self.end_if_empty(number);
    }

    fn end_if_empty(&mut self, number: usize) {
        let is_empty = |queue: &Queue| queue.messages.is_empty();
        if self.queues.get(&number).is_some_and(is_empty) {
            self.unwatch(number);
            self.queues.remove(&number);
        }
    }

    /// Datagrams that were dropped since the last time.
    pub fn take_unsent(&mut self) -> u64 {
        std::mem::take(&mut self.unsent)
    }
}

impl AsRawFd for Backlog {
    /// Readable while the kernel has room for something that waits.
    fn as_raw_fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(datagrams: &[Vec<u8>]) -> Waiting {
        let to = "127.0.0.1:9".parse().unwrap();
        Waiting::new(to, datagrams.iter().map(Vec::as_slice))
    }

    fn socket() -> UdpSocket {
        crate::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_time_and_each_loss_is_counted() {
        let mut backlog = Backlog::new().unwrap();
        let sockets = [socket(), socket()];
        let datagrams = vec![vec![0; 1200]; 10];
        let mut pushed = 0;
        for round in 0..4000 {
            let number = round % 2;
            backlog.push(&sockets[number], number, message(&datagrams));
            pushed += 10;
            assert!(backlog.bytes <= WAITING_MAX);
        }
        let overflowed = backlog.take_unsent();
        assert!(overflowed > 0);
        let late = Instant::now() + AGE_MAX + Duration::from_millis(1);
        assert!(backlog.deadline().unwrap() < late);
        let ready = backlog.find_ready(late).unwrap();
        backlog.give_back(ready);
        assert_eq!(overflowed + backlog.take_unsent(), pushed);
        assert_eq!((backlog.bytes, backlog.deadline()), (0, None));
        assert!(backlog.is_empty() && !backlog.holds(0));
    }

    #[test]
    fn a_socket_that_the_others_leave_no_room_loses_what_is_new() {
        let mut backlog = Backlog::new().unwrap();
        let sockets = [socket(), socket()];
        while backlog.take_unsent() == 0 {
            backlog.push(&sockets[0], 0, message(&vec![vec![0; 1200]; 10]));
        }
        let before = backlog.bytes;
        backlog.push(&sockets[1], 1, message(&vec![vec![0; 1200]; 50]));
        assert_eq!(backlog.take_unsent(), 50);
        assert_eq!(backlog.bytes, before);
    }

    #[test]
    fn a_message_keeps_its_datagrams_until_each_has_left() {
        for lengths in [&[0][..], &[7], &[5, 5, 5], &[5, 5, 3]] {
            let datagrams: Vec<_> = (0_u8..)
                .zip(lengths)
                .map(|(value, &length)| vec![value; length])
                .collect();
            let mut backlog = Backlog::new().unwrap();
            backlog.push(&socket(), 4, message(&datagrams));
            for gone in 0..datagrams.len() {
                let (_, mut messages) = backlog.oldest(4).unwrap();
                let rest: Vec<_> = messages.next().unwrap().datagrams().collect();
                assert_eq!(rest, datagrams[gone..]);
                drop(messages);
                if gone + 1 < datagrams.len() {
                    backlog.left(4, 0, 1);
                }
            }
            backlog.left(4, 1, 0);
            assert!(backlog.is_empty());
            assert_eq!((backlog.bytes, backlog.take_unsent()), (0, 0));
        }
    }
}
