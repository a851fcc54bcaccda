//! A client's TCP connection, plain or TLS, as bytes in and frames out.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection};

use super::frame::{self, Frame};

/// Bytes that wait for a client that does not read; frames beyond are dropped, as UDP would.
const OUT_MAX: usize = 256 * 1024;
/// Plain bytes that are encrypted before they are written.
const ENCRYPTED_AT_ONCE: usize = 16 * 1024;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    End,
}

/// One connection.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// The client's end.
    pub peer: SocketAddr,
    /// Index of the address that it came to.
    pub place: usize,
    /// The start of a frame whose rest has not come.
    pub partial: Vec<u8>,
    /// When a whole frame came last.
    pub active: Instant,
    /// Since when bytes wait for the client to read.
    pub stuck: Option<Instant>,
    /// Whether it is on the list of those that have something to send.
    pub is_dirty: bool,
    /// Whether the poller tells when it can be written to.
    pub watches_writable: bool,
    out: Vec<u8>,
    sent: usize,
}

impl Stream {
    /// A fresh connection; with a configuration it speaks TLS.
    ///
    /// # Errors
    /// The kernel's, or TLS cannot be spoken.
    pub fn new(
        socket: TcpStream,
        peer: SocketAddr,
        place: usize,
        tls: Option<Arc<ServerConfig>>,
        now: Instant,
    ) -> io::Result<Stream> {
        let tls = tls
            .map(|config| ServerConnection::new(config).map(Box::new))
            .transpose()
            .map_err(io::Error::other)?;
        Ok(Stream {
            socket,
            tls,
            peer,
            place,
            partial: Vec::new(),
            active: now,
            stuck: None,
            is_dirty: false,
            watches_writable: false,
            out: Vec::new(),
            sent: 0,
        })
    }

    /// The socket, for the poller.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads plain bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> Got {
        let Some(tls) = &mut self.tls else {
            return got(self.socket.read(buffer));
        };
        // What TLS has already decrypted comes first: the poller knows nothing of it.
        match got(tls.reader().read(buffer)) {
            Got::Nothing => {}
            bytes => return bytes,
        }
        match got(tls.read_tls(&mut self.socket)) {
            Got::Bytes(_) => {}
            other => return other,
        }
        // The alert that says why is still to be sent.
        if tls.process_new_packets().is_err() {
            let _ = tls.write_tls(&mut self.socket);
            return Got::End;
        }
        match got(tls.reader().read(buffer)) {
            // Half a record, or a part of the handshake.
            Got::Nothing => Got::Bytes(0),
            bytes => bytes,
        }
    }

    /// Adds a frame of two parts and padding; false if the client is too slow for it.
    #[must_use]
    pub fn push(&mut self, head: &[u8], body: &[u8]) -> bool {
        let length = head.len() + body.len();
        if self.out.len() - self.sent + length > OUT_MAX {
            return false;
        }
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(body);
        let padding = length.next_multiple_of(4) - length;
        self.out.extend_from_slice(&[0; 3][..padding]);
        true
    }

    /// Writes what waits, as far as the client takes it. True: all of it.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self, now: Instant) -> io::Result<bool> {
        let done = self.write_all()?;
        if done {
            self.stuck = None;
            self.out.clear();
            self.sent = 0;
        } else {
            self.stuck.get_or_insert(now);
            // What is gone makes room once it is most of the buffer.
            if self.sent > OUT_MAX / 2 {
                self.out.drain(..self.sent);
                self.sent = 0;
            }
        }
        Ok(done)
    }

    fn write_all(&mut self) -> io::Result<bool> {
        loop {
            let Some(tls) = &mut self.tls else {
                if self.sent == self.out.len() {
                    return Ok(true);
                }
                match written(self.socket.write(&self.out[self.sent..]))? {
                    Some(count) => self.sent += count,
                    None => return Ok(false),
                }
                continue;
            };
            while tls.wants_write() {
                if written(tls.write_tls(&mut self.socket))?.is_none() {
                    return Ok(false);
                }
            }
            if self.sent == self.out.len() {
                return Ok(true);
            }
            let limit = self.sent + ENCRYPTED_AT_ONCE;
            while self.sent < self.out.len().min(limit) {
                // A record for each frame: some clients take a record for a message.
                let frame = match frame::first(&self.out[self.sent..]) {
                    Frame::Whole { stride, .. } => stride,
                    Frame::Partial | Frame::Garbage => self.out.len() - self.sent,
                };
                let end = self.sent + frame;
                // Before the handshake is over this is kept by TLS, within its limit.
                let count = tls.writer().write(&self.out[self.sent..end])?;
                if count == 0 {
                    return Ok(false);
                }
                self.sent += count;
            }
        }
    }
}

fn got(result: io::Result<usize>) -> Got {
    match result {
        Ok(0) => Got::End,
        Ok(count) => Got::Bytes(count),
        Err(error) if is_patience(&error) => Got::Nothing,
        Err(_) => Got::End,
    }
}

fn written(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if is_patience(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
