//! One peer's connection.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Instant;

use switchyard_net as net;

use super::frame::{Frames, HEADER_LEN};
use super::waiting::Waiting;

/// What the kernel may hold of it beyond what is on its way: the rest waits here, where it can be dropped.
const UNSENT_MAX: i32 = 32 * 1024;

/// A connection and what is under way on it.
pub struct Connection {
    stream: TcpStream,
    /// The listener's number as core has it.
    pub socket: u16,
    /// The peer's end.
    pub peer: SocketAddr,
    /// Of what the peer sends.
    pub frames: Frames,
    /// A session has taken it for its peer's.
    pub is_proven: bool,
    /// Before that: the peer's last check, at most `DATAGRAM_MAX` bytes.
    pub early: Vec<u8>,
    /// When it came.
    pub since: Instant,
    /// Since when the peer has read nothing although something waits.
    pub stuck_since: Option<Instant>,
    /// Whether the poller tells when it can be written to.
    pub watches_writable: bool,
    waiting: Waiting,
}

/// What a read gave.
pub enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    End,
}

impl Connection {
    /// A fresh one.
    pub fn new(stream: TcpStream, socket: u16, peer: SocketAddr, now: Instant) -> Connection {
        // A kernel that cannot keeps more for a slow peer, within its own limits.
        let _ = net::limit_unsent(&stream, UNSENT_MAX);
        Connection {
            stream,
            socket,
            peer,
            frames: Frames::default(),
            is_proven: false,
            early: Vec::new(),
            since: now,
            stuck_since: None,
            watches_writable: false,
            waiting: Waiting::default(),
        }
    }

    /// For the poller.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether something waits for the peer to read.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Datagrams that wait for the peer to read, one of which may have left in part.
    pub fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Reads once.
    pub fn read(&mut self, buffer: &mut [u8]) -> Got {
        match self.stream.read(buffer) {
            Ok(0) => Got::End,
            Ok(count) => Got::Bytes(count),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Got::Nothing,
                _ => Got::End,
            },
        }
    }

    /// Sends datagrams, whose places in `arena` are given, as one frame each. Gives how many older ones were dropped.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self, arena: &[u8], datagrams: &[Range<usize>]) -> io::Result<u64> {
        let mut had = if self.waiting.is_empty() {
            self.write(arena, datagrams)?
        } else {
            0
        };
        let mut dropped = 0;
        let mut now = None;
        for place in datagrams {
            let length = HEADER_LEN + place.len();
            if had < length {
                let now = *now.get_or_insert_with(Instant::now);
                dropped += self.waiting.push(&arena[place.clone()], had, now);
                self.stuck_since.get_or_insert(now);
            }
            had = had.saturating_sub(length);
        }
        Ok(dropped)
    }

    /// Writes straight from the arena, and gives how many bytes the kernel took.
    fn write(&mut self, arena: &[u8], datagrams: &[Range<usize>]) -> io::Result<usize> {
        let mut headers = [[0; HEADER_LEN]; net::MAX_SEGMENTS];
        for (header, place) in headers.iter_mut().zip(datagrams) {
            *header = (place.len() as u16).to_be_bytes();
        }
        let mut slices = [IoSlice::new(&[]); 2 * net::MAX_SEGMENTS];
        let pairs = slices.chunks_exact_mut(2).zip(&headers).zip(datagrams);
        for ((slice, header), place) in pairs {
            slice[0] = IoSlice::new(header);
            slice[1] = IoSlice::new(&arena[place.clone()]);
        }
        let slices = &slices[..(2 * datagrams.len()).min(2 * net::MAX_SEGMENTS)];
        match self.stream.write_vectored(slices) {
            Ok(count) => Ok(count),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// Writes what waits, as far as the peer takes it.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self, now: Instant) -> io::Result<()> {
        if self.waiting.write(&mut self.stream)? > 0 {
            self.stuck_since = Some(now);
        }
        if self.waiting.is_empty() {
            self.stuck_since = None;
        }
        Ok(())
    }
}
