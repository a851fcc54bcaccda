//! Datagrams out, in batches; what the kernel does not take now waits until it does.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, Losses, Waiting};
use crate::batch::{BATCH, Batch, Blocked, Progress};

/// Bytes of a message of several datagrams: what fits into an IP packet's length field beside the headers.
pub const MAX_MESSAGE: usize = 65_000;
/// How long one `resume` may take: the datagrams that come and the timers have their turn too.
const TURN: Duration = Duration::from_millis(1);

/// Datagrams to one destination. All have the length of the first but the last one, which may be shorter; at most
/// `MAX_SEGMENTS` and `MAX_MESSAGE` bytes.
pub struct Message<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// Each datagram's place in the arena.
    pub datagrams: &'a [Range<usize>],
}

/// Sends batches with memory made once, by any number of sockets.
///
/// When a socket's send buffer is full, the rest waits here, bounded in bytes and time, and leaves by `resume`: at once when
/// the sender's descriptor is readable, and at `deadline`.
pub struct Sender {
    batch: Batch,
    backlog: Backlog,
    refused: u64,
}

impl Sender {
    /// A sender for which nothing waits.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Sender> {
        Ok(Sender {
            batch: Batch::default(),
            backlog: Backlog::new()?,
            refused: 0,
        })
    }

    /// Sends all by a socket, which the caller knows by this number, and returns how many datagrams the kernel took. A
    /// message that has no way is skipped; what finds the kernel's buffer full waits.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        number: usize,
        arena: &'a [u8],
        messages: impl Iterator<Item = Message<'a>>,
    ) -> usize {
        let mut messages = messages.peekable();
        let mut sent = 0;
        let in_arena = |place: &Range<usize>| &arena[place.clone()];
        while messages.peek().is_some() {
            if self.backlog.holds(number) {
                for message in messages.by_ref() {
                    let datagrams = message.datagrams.iter().map(in_arena);
                    let waiting = Waiting::new(message.to, datagrams);
                    self.backlog.push(socket, number, waiting);
                }
                break;
            }
            self.batch.clear();
            for message in messages.by_ref().take(BATCH) {
                // SAFETY: the arena is borrowed for longer than this call takes.
                unsafe { (self.batch).add(&message.to, message.datagrams.iter().map(in_arena)) };
            }
            let progress = self.batch.send(socket.as_raw_fd());
            sent += progress.sent;
            self.refused += progress.refused;
            self.keep(socket, number, progress);
        }
        sent
    }

    /// The rest of a batch waits.
    #[cold]
    fn keep_rest(&mut self, socket: &UdpSocket, number: usize, progress: Progress) {
        let mut gone = progress.datagrams;
        for index in progress.messages..self.batch.len() {
            // SAFETY: `send`, which has filled the batch, has the arena still borrowed.
            let rest = unsafe { self.batch.rest(index, gone) };
            if let Some((to, datagrams)) = rest {
                let waiting = Waiting::new(to, datagrams);
                self.backlog.push(socket, number, waiting);
            }
            gone = 0;
        }
    }

    fn keep(&mut self, socket: &UdpSocket, number: usize, progress: Progress) {
        let Some(blocked) = progress.blocked else {
            return;
        };
        self.keep_rest(socket, number, progress);
        self.watch(number, blocked);
    }

    fn watch(&mut self, number: usize, blocked: Blocked) {
        match blocked {
            Blocked::Full => self.backlog.watch(number),
            Blocked::NoMemory => self.backlog.unwatch(number),
        }
    }

    /// Sends what waits, as far as the kernel takes it, and drops what has waited too long.
    ///
    /// # Errors
    /// The kernel's, from asking which sockets have room.
    pub fn resume(&mut self, now: Instant) -> io::Result<()> {
        let ready = self.backlog.find_ready(now)?;
        let begin = Instant::now();
        for &number in &ready {
            while begin.elapsed() < TURN && self.resume_one(number) {}
        }
        self.backlog.give_back(ready);
        Ok(())
    }

    /// Sends a batch of what waits for a socket. False: nothing is left of it, or the kernel takes no more.
    fn resume_one(&mut self, number: usize) -> bool {
        let Some((socket, messages)) = self.backlog.oldest(number) else {
            return false;
        };
        self.batch.clear();
        for message in messages.take(BATCH) {
            // SAFETY: the backlog keeps the message until `left` below.
            unsafe { self.batch.add(&message.to, message.datagrams()) };
        }
        let progress = self.batch.send(socket.as_raw_fd());
        self.refused += progress.refused;
        self.backlog
            .left(number, progress.messages, progress.datagrams);
        if let Some(blocked) = progress.blocked {
            self.watch(number, blocked);
        }
        progress.blocked.is_none()
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// When `resume` is due, even if the descriptor is not readable.
    pub fn deadline(&self) -> Option<Instant> {
        self.backlog.deadline()
    }

    /// What did not leave since the last time.
    pub fn take_losses(&mut self) -> Losses {
        Losses {
            unsent: self.backlog.take_unsent(),
            refused: std::mem::take(&mut self.refused),
        }
    }
}

impl AsRawFd for Sender {
    /// Readable while the kernel has room for something that waits.
    fn as_raw_fd(&self) -> RawFd {
        self.backlog.as_raw_fd()
    }
}
