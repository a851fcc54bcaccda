//! Datagrams in, in batches: recvmmsg, and what the kernel coalesced (UDP_GRO) taken apart.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::time::Duration;

use crate::address;
use crate::control_message::{CONTROL_LEN, Control, read_arrival, read_segment};
use crate::fixed::Fixed;

/// Messages that one system call takes: each is a datagram, or several of one peer.
pub const BATCH: usize = 64;
/// Bytes of a datagram; longer ones are dropped.
const MAX_DATAGRAM: usize = 2048;
/// Bytes of a message: the longest that UDP has.
const MESSAGE_LEN: usize = 65_535;
/// From one buffer to the next. A page and a line more than a power of two, or the beginnings of all buffers
/// would fall into the same few sets of the caches.
const STRIDE: usize = 65_536 + 4096 + 64;

/// Receives batches into memory made once, of which only what arrives is ever touched.
pub struct Receiver {
    buffers: Fixed<u8>,
    addresses: Fixed<libc::sockaddr_storage>,
    controls: Fixed<Control>,
    vectors: Fixed<libc::iovec>,
    headers: Box<[libc::mmsghdr]>,
    /// Headers that the last call filled: only they must be made ready again.
    filled: usize,
    /// What is still to be read of them: the message and its first byte.
    next: (usize, usize),
}

impl Default for Receiver {
    fn default() -> Self {
        // SAFETY: all zeros is a valid iovec and mmsghdr: null pointers with no length.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { (zeroed(), zeroed()) };
        Receiver {
            buffers: Fixed::new(0, BATCH * STRIDE),
            addresses: Fixed::new(address::empty(), BATCH),
            controls: Fixed::new(Control::EMPTY, BATCH),
            vectors: Fixed::new(vector, BATCH),
            headers: vec![header; BATCH].into_boxed_slice(),
            filled: BATCH,
            next: (BATCH, 0),
        }
    }
}

impl Receiver {
    /// Takes what is there, up to `BATCH` messages, and gives each datagram to `each`. Returns how many messages there
    /// were: fewer than `BATCH` means that nothing is left.
    ///
    /// # Errors
    /// The kernel's, but for "nothing there", which is 0.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        let received = self.fetch(socket)?;
        self.read_messages(|source, datagram, _| {
            each(source, datagram);
            true
        });
        Ok(received)
    }

    /// Takes what is there, as `receive`, for `read`. What was not read of the batch before is lost.
    ///
    /// # Errors
    /// As `receive`.
    pub fn fetch(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.make_ready();
        // SAFETY: every header points to memory of self, which outlives the call and nobody else uses meanwhile.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                // An ICMP answer to something that was sent: the error is taken with it.
                io::ErrorKind::ConnectionRefused => Ok(0),
                _ => Err(error),
            };
        };
        self.filled = received;
        self.next = (0, 0);
        Ok(received)
    }

    /// Gives each datagram that was fetched and not read to `each`, until it returns false.
    pub fn read(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8]) -> bool) {
        self.read_messages(|source, datagram, _| each(source, datagram));
    }

    /// Whether something was fetched and not read.
    pub fn has_rest(&self) -> bool {
        self.next.0 < self.filled
    }

    /// The same, with the time since the Unix epoch at which the kernel took each datagram, where `stamp_arrivals` has
    /// asked for it. What the kernel coalesced has one time.
    ///
    /// # Errors
    /// As `receive`.
    pub fn receive_stamped(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(SocketAddr, &mut [u8], Option<Duration>),
    ) -> io::Result<usize> {
        let mut last = (null_mut(), None);
        let received = self.fetch(socket)?;
        self.read_messages(|source, datagram, header| {
            // Datagrams of one message come in a row.
            if last.0 != header.msg_control {
                last = (header.msg_control, read_arrival(header));
            }
            each(source, datagram, last.1);
            true
        });
        Ok(received)
    }

    fn read_messages(
        &mut self,
        mut each: impl FnMut(SocketAddr, &mut [u8], &libc::msghdr) -> bool,
    ) {
        let (first, mut at) = self.next;
        for index in first..self.filled {
            let header = &self.headers[index];
            let begin = std::mem::take(&mut at);
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                continue;
            }
            // SAFETY: the kernel has filled it and is done.
            let Some(source) = address::read(unsafe { &*self.addresses.at(index) }) else {
                continue;
            };
            let length = (header.msg_len as usize).min(MESSAGE_LEN);
            let segment = read_segment(&header.msg_hdr).unwrap_or(length).max(1);
            let message = self.buffers.range(index * STRIDE + begin, length - begin);
            // SAFETY: the kernel is done with these bytes, and nobody else has a reference to them.
            let message = unsafe { &mut *message };
            let mut end = begin;
            for datagram in message.chunks_mut(segment) {
                end += datagram.len();
                if datagram.len() <= MAX_DATAGRAM && !each(source, datagram, &header.msg_hdr) {
                    self.next = if end < length {
                        (index, end)
                    } else {
                        (index + 1, 0)
                    };
                    return;
                }
            }
        }
        self.next = (self.filled, 0);
    }

    fn make_ready(&mut self) {
        for index in 0..self.filled {
            let vector = self.vectors.at(index);
            let filled = libc::iovec {
                iov_base: self.buffers.range(index * STRIDE, MESSAGE_LEN).cast(),
                iov_len: MESSAGE_LEN,
            };
            // SAFETY: the pointer is to an element, and nobody else uses it now.
            unsafe { vector.write(filled) };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.addresses.at(index).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = self.controls.at(index).cast();
            header.msg_controllen = CONTROL_LEN as _;
            header.msg_flags = 0;
        }
        self.filled = 0;
        self.next = (0, 0);
    }
}
