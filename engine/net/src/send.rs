//! Datagrams out, in batches: sendmmsg, and several datagrams of one destination as one message (UDP_SEGMENT, udp(7)).

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use crate::address;
use crate::control_message::Control;

/// Messages that one system call moves.
const BATCH: usize = 64;
/// Datagrams of a message: what every kernel with UDP_SEGMENT takes.
pub const MAX_SEGMENTS: usize = 64;
/// Bytes of a message of several datagrams: what fits into an IP packet's length field beside the headers.
pub const MAX_MESSAGE: usize = 65_000;

/// Datagrams to one destination. All have the length of the first but the last one, which may be shorter; at most
/// `MAX_SEGMENTS` and `MAX_MESSAGE` bytes.
pub struct Message<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// Each datagram's place in the arena.
    pub datagrams: &'a [Range<usize>],
}

/// Sends batches with memory made once.
pub struct Sender {
    addresses: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Vec<libc::iovec>,
    /// A device on the way cannot take datagrams together.
    one_by_one: bool,
}

impl Default for Sender {
    fn default() -> Self {
        // SAFETY: all zeros is a valid mmsghdr: null pointers with no length.
        let header: libc::mmsghdr = unsafe { zeroed() };
        Sender {
            addresses: vec![address::empty(); BATCH].into_boxed_slice(),
            controls: vec![Control::EMPTY; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            vectors: Vec::with_capacity(BATCH * MAX_SEGMENTS),
            one_by_one: false,
        }
    }
}

impl Sender {
    /// Sends all, and returns how many datagrams the kernel took. A message that has no way is skipped; when the
    /// kernel's buffer is full the rest is dropped, as a full router would.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        arena: &'a [u8],
        messages: impl Iterator<Item = Message<'a>>,
    ) -> usize {
        let mut messages = messages.peekable();
        let mut sent = 0;
        while messages.peek().is_some() {
            let mut count = 0;
            self.vectors.clear();
            for message in messages.by_ref().take(BATCH) {
                self.add(count, arena, &message);
                count += 1;
            }
            let (taken, is_full) = self.send_batch(socket.as_raw_fd(), count);
            sent += taken;
            if is_full {
                messages.by_ref().for_each(drop);
            }
        }
        sent
    }

    fn add(&mut self, index: usize, arena: &[u8], message: &Message<'_>) {
        let datagrams = message.datagrams;
        for place in datagrams {
            let bytes = &arena[place.clone()];
            self.vectors.push(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
        }
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = address::write(&message.to, &mut self.addresses[index]);
        header.msg_name = std::ptr::from_mut(&mut self.addresses[index]).cast();
        header.msg_iovlen = datagrams.len() as _;
        header.msg_controllen = 0;
        header.msg_control = std::ptr::null_mut();
        if datagrams.len() > 1 {
            let control = &mut self.controls[index];
            let segment = u16::try_from(datagrams[0].len()).unwrap_or(u16::MAX);
            header.msg_controllen = control.write_segment(segment) as _;
            header.msg_control = control.as_mut_ptr();
        }
    }

    /// Gives how many datagrams were taken, and whether the kernel's buffer is full.
    fn send_batch(&mut self, descriptor: RawFd, count: usize) -> (usize, bool) {
        // Only now: the vectors may have moved while they were added.
        let mut vector = 0;
        for header in &mut self.headers[..count] {
            header.msg_hdr.msg_iov = &raw mut self.vectors[vector];
            vector += header.msg_hdr.msg_iovlen;
        }
        let (mut next, mut sent) = (0, 0);
        while next < count {
            if self.one_by_one && self.headers[next].msg_hdr.msg_iovlen > 1 {
                let (taken, is_full) = self.send_apart(descriptor, next);
                sent += taken;
                next += 1;
                if is_full {
                    return (sent, true);
                }
                continue;
            }
            match send_some(descriptor, &mut self.headers[next..count]) {
                Ok(taken) => {
                    let taken = next..next + taken;
                    next = taken.end;
                    let datagrams = |header: &libc::mmsghdr| header.msg_hdr.msg_iovlen;
                    sent += self.headers[taken].iter().map(datagrams).sum::<usize>();
                }
                Err(libc::EAGAIN | libc::ENOBUFS) => return (sent, true),
                Err(libc::EINTR) => {}
                // No checksum offload on a device: it would refuse every message.
                Err(libc::EIO) if self.headers[next].msg_hdr.msg_iovlen > 1 => {
                    self.one_by_one = true;
                }
                // Longer than the path takes in one piece (kernels differ in the error): alone, each can be fragmented.
                Err(libc::EMSGSIZE | libc::EINVAL) if self.headers[next].msg_hdr.msg_iovlen > 1 => {
                    let (taken, is_full) = self.send_apart(descriptor, next);
                    sent += taken;
                    next += 1;
                    if is_full {
                        return (sent, true);
                    }
                }
                // The first of the rest has no way: no route, a refused port, a forbidden address.
                Err(_) => next += 1,
            }
        }
        (sent, false)
    }

    /// Sends the datagrams of one message each for itself.
    fn send_apart(&mut self, descriptor: RawFd, index: usize) -> (usize, bool) {
        let together = self.headers[index].msg_hdr;
        let mut sent = 0;
        for datagram in 0..together.msg_iovlen {
            let mut alone = self.headers[index];
            // SAFETY: the message has that many vectors, one behind the other.
            alone.msg_hdr.msg_iov = unsafe { together.msg_iov.add(datagram) };
            alone.msg_hdr.msg_iovlen = 1;
            alone.msg_hdr.msg_control = std::ptr::null_mut();
            alone.msg_hdr.msg_controllen = 0;
            match send_some(descriptor, std::slice::from_mut(&mut alone)) {
                Ok(_) => sent += 1,
                Err(libc::EAGAIN | libc::ENOBUFS) => return (sent, true),
                Err(_) => {}
            }
        }
        (sent, false)
    }
}

/// Gives how many messages were taken, at least one, or why the first was not.
fn send_some(descriptor: RawFd, headers: &mut [libc::mmsghdr]) -> Result<usize, libc::c_int> {
    // SAFETY: the headers point to the arena's bytes, borrowed by `send`, and to memory of the sender.
    let taken = unsafe {
        libc::sendmmsg(
            descriptor,
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(taken)
        .map(|taken| taken.max(1))
        .map_err(|_| {
            io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or_default()
        })
}
