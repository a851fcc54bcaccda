//! Messages for one system call: sendmmsg, and several datagrams of one destination as one message (UDP_SEGMENT, udp(7)).

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::address;
use crate::apart::Apart;
use crate::control_message::Control;
use crate::fixed::Fixed;

/// Messages that one system call moves.
pub const BATCH: usize = 64;
/// Datagrams of a message: what every kernel with UDP_SEGMENT takes.
pub const MAX_SEGMENTS: usize = 64;

/// What became of a batch.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// Messages that are dealt with.
    pub messages: usize,
    /// Datagrams of the next message that are dealt with.
    pub datagrams: usize,
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams that it refused, each for a reason of its own.
    pub refused: u64,
    /// Why the rest is still here.
    pub blocked: Option<Blocked>,
}

/// Why the kernel takes nothing more now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// The socket's send buffer is full (EAGAIN): the poller tells when it is not.
    Full,
    /// The kernel has no memory for the message (ENOBUFS), and never tells when it has.
    NoMemory,
}

/// A batch that is filled and sent, with memory made once.
pub struct Batch {
    addresses: Fixed<libc::sockaddr_storage>,
    controls: Fixed<Control>,
    vectors: Fixed<libc::iovec>,
    headers: Box<[libc::mmsghdr]>,
    count: usize,
    /// Vectors that are in use.
    end: usize,
    /// Messages of this batch whose datagrams go one by one, by index.
    is_apart: [bool; BATCH],
    apart: Apart,
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: all zeros is a valid iovec and mmsghdr: null pointers with no length.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { (zeroed(), zeroed()) };
        Batch {
            addresses: Fixed::new(address::empty(), BATCH),
            controls: Fixed::new(Control::EMPTY, BATCH),
            vectors: Fixed::new(vector, BATCH * MAX_SEGMENTS),
            headers: vec![header; BATCH].into_boxed_slice(),
            count: 0,
            end: 0,
            is_apart: [false; BATCH],
            apart: Apart::default(),
        }
    }
}

impl Batch {
    pub fn clear(&mut self) {
        (self.count, self.end) = (0, 0);
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Adds a message of at most `MAX_SEGMENTS` datagrams.
    ///
    /// # Safety
    /// The datagrams' bytes stay where they are until the batch is cleared or has been sent for the last time.
    pub unsafe fn add<'a>(&mut self, to: &SocketAddr, datagrams: impl Iterator<Item = &'a [u8]>) {
        let (index, start) = (self.count, self.end);
        let mut segment = 0;
        for bytes in datagrams.take(MAX_SEGMENTS) {
            if self.end == start {
                segment = bytes.len();
            }
            let vector = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            // SAFETY: the pointer is to an element, and nobody else uses it now.
            unsafe { self.vectors.at(self.end).write(vector) };
            self.end += 1;
        }
        let vectors = self.end - start;
        let name = self.addresses.at(index);
        let header = &mut self.headers[index].msg_hdr;
        // SAFETY: as above; the address is initialized.
        header.msg_namelen = address::write(to, unsafe { &mut *name });
        header.msg_name = name.cast();
        header.msg_iov = if vectors == 0 {
            std::ptr::null_mut()
        } else {
            self.vectors.at(start)
        };
        header.msg_iovlen = vectors as _;
        header.msg_controllen = 0;
        header.msg_control = std::ptr::null_mut();
        self.is_apart[index] = false;
        if vectors > 1 {
            let control = self.controls.at(index);
            let segment = u16::try_from(segment).unwrap_or(u16::MAX);
            // SAFETY: as above.
            header.msg_controllen = unsafe { (*control).write_segment(segment) } as _;
            header.msg_control = control.cast();
            self.is_apart[index] = self.apart.next(to);
        }
        self.count += 1;
    }

    /// Where a message of the batch goes, and those of its datagrams that are left when so many are dealt with.
    ///
    /// # Safety
    /// The bytes that the message was added with are still there.
    pub unsafe fn rest(
        &self,
        index: usize,
        datagrams: usize,
    ) -> Option<(SocketAddr, impl Iterator<Item = &[u8]>)> {
        let header = &self.headers[..self.count].get(index)?.msg_hdr;
        let to = self.destination(index)?;
        let vectors = (datagrams..header.msg_iovlen).map(|vector| {
            // SAFETY: the message has that many vectors one behind the other, and the caller says that their bytes are
            // still there.
            unsafe {
                let vector = *header.msg_iov.add(vector);
                std::slice::from_raw_parts(
                    vector.iov_base.cast::<u8>().cast_const(),
                    vector.iov_len,
                )
            }
        });
        Some((to, vectors))
    }

    fn destination(&self, index: usize) -> Option<SocketAddr> {
        // SAFETY: the address is initialized, and nobody changes it now.
        address::read(unsafe { &*self.addresses.at(index) })
    }

    /// Sends the messages until the kernel takes no more. A message that has no way is skipped and counted.
    pub fn send(&mut self, descriptor: RawFd) -> Progress {
        let mut progress = Progress::default();
        while progress.messages < self.count && progress.blocked.is_none() {
            let next = progress.messages;
            if self.is_apart[next] {
                self.send_apart(descriptor, &mut progress);
                continue;
            }
            let end = (next..self.count).find(|&index| self.is_apart[index]);
            let run = &mut self.headers[next..end.unwrap_or(self.count)];
            match send_some(descriptor, run) {
                Ok(taken) => {
                    let datagrams = |header: &libc::mmsghdr| header.msg_hdr.msg_iovlen;
                    progress.sent += run[..taken].iter().map(datagrams).sum::<usize>();
                    progress.messages += taken;
                }
                Err(libc::EAGAIN) => progress.blocked = Some(Blocked::Full),
                Err(libc::ENOBUFS) => progress.blocked = Some(Blocked::NoMemory),
                Err(libc::EINTR) => {}
                Err(libc::EIO | libc::EMSGSIZE | libc::EINVAL)
                    if self.headers[next].msg_hdr.msg_iovlen > 1 =>
                {
                    self.is_apart[next] = true;
                    if let Some(to) = self.destination(next) {
                        self.apart.note(to);
                    }
                }
                // The first of the rest has no way: no route, a refused port, a forbidden address.
                Err(_) => {
                    progress.refused += self.headers[next].msg_hdr.msg_iovlen as u64;
                    progress.messages += 1;
                }
            }
        }
        progress
    }

    /// Sends the datagrams of the next message each for itself.
    fn send_apart(&mut self, descriptor: RawFd, progress: &mut Progress) {
        let together = self.headers[progress.messages];
        while progress.datagrams < together.msg_hdr.msg_iovlen {
            let mut alone = together;
            // SAFETY: the message has that many vectors, one behind the other.
            alone.msg_hdr.msg_iov = unsafe { together.msg_hdr.msg_iov.add(progress.datagrams) };
            alone.msg_hdr.msg_iovlen = 1;
            alone.msg_hdr.msg_control = std::ptr::null_mut();
            alone.msg_hdr.msg_controllen = 0;
            match send_some(descriptor, std::slice::from_mut(&mut alone)) {
                Ok(_) => progress.sent += 1,
                Err(libc::EAGAIN) => return progress.blocked = Some(Blocked::Full),
                Err(libc::ENOBUFS) => return progress.blocked = Some(Blocked::NoMemory),
                Err(libc::EINTR) => continue,
                Err(_) => progress.refused += 1,
            }
            progress.datagrams += 1;
        }
        progress.messages += 1;
        progress.datagrams = 0;
    }
}

/// Gives how many messages were taken, at least one, or why the first was not.
fn send_some(descriptor: RawFd, headers: &mut [libc::mmsghdr]) -> Result<usize, libc::c_int> {
    #[cfg(test)]
    CALLS.set(CALLS.get() + 1);
    // SAFETY: the headers point to memory of the batch and to bytes that are there until it has been sent.
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

#[cfg(test)]
thread_local! {
    /// System calls of this thread.
    pub static CALLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
