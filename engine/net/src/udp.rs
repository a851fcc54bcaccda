//! UDP sockets in batches: recvmmsg and sendmmsg.

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::null_mut;

use crate::address;

/// Datagrams that one system call moves.
pub const BATCH: usize = 64;
/// Bytes of a receive buffer; longer datagrams are dropped.
const BUFFER_LEN: usize = 2048;
/// Bytes that the kernel may queue for a socket, where its limits allow.
const KERNEL_BUFFER: libc::c_int = 4 << 20;

/// Opens a non-blocking UDP socket on an address.
///
/// # Errors
/// The address is not this machine's, or is taken.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address)?;
    for option in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        // SAFETY: the descriptor is open and the value an int of that size. A refusal leaves the default.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                std::ptr::from_ref(&KERNEL_BUFFER).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
    Ok(socket)
}

/// A bound socket of its own family only, so that `0.0.0.0` and `::` can share a port.
fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let descriptor = unsafe { libc::socket(family, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh, so it is nobody else's.
    let socket = unsafe { UdpSocket::from_raw_fd(descriptor) };
    if address.is_ipv6() {
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open and the value an int of that size.
        let result = unsafe {
            libc::setsockopt(
                descriptor,
                libc::IPPROTO_IPV6,
                libc::IPV6_V6ONLY,
                std::ptr::from_ref(&on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let mut storage = address::empty();
    let length = address::write(&address, &mut storage);
    // SAFETY: the storage holds an address of that length.
    let result = unsafe { libc::bind(descriptor, std::ptr::from_ref(&storage).cast(), length) };
    if result == 0 {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives batches into memory made once.
pub struct Receiver {
    buffers: Box<[[u8; BUFFER_LEN]]>,
    addresses: Box<[libc::sockaddr_storage]>,
}

impl Default for Receiver {
    fn default() -> Self {
        Receiver {
            buffers: vec![[0; BUFFER_LEN]; BATCH].into_boxed_slice(),
            addresses: vec![address::empty(); BATCH].into_boxed_slice(),
        }
    }
}

impl Receiver {
    /// Takes what is there, up to `BATCH` datagrams, and gives each to `each`. Returns how many there were.
    ///
    /// # Errors
    /// The kernel's, but for "nothing there", which is 0.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        // SAFETY: all zeros is a valid iovec and mmsghdr: null pointers with no length.
        let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for index in 0..BATCH {
            vectors[index].iov_base = self.buffers[index].as_mut_ptr().cast();
            vectors[index].iov_len = BUFFER_LEN;
            let header = &mut headers[index].msg_hdr;
            header.msg_name = std::ptr::from_mut(&mut self.addresses[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
        }
        // SAFETY: every header points to memory of this call or of self, which outlives it.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
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
        for (index, header) in headers.iter().enumerate().take(received) {
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                continue;
            }
            if let Some(source) = address::read(&self.addresses[index]) {
                let length = (header.msg_len as usize).min(BUFFER_LEN);
                each(source, &mut self.buffers[index][..length]);
            }
        }
        Ok(received)
    }
}

/// A datagram to send.
#[derive(Clone, Copy)]
pub struct Datagram<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Sends batches with memory made once.
pub struct Sender {
    addresses: Box<[libc::sockaddr_storage]>,
}

impl Default for Sender {
    fn default() -> Self {
        Sender {
            addresses: vec![address::empty(); BATCH].into_boxed_slice(),
        }
    }
}

impl Sender {
    /// Sends up to `BATCH` datagrams and returns how many the kernel took. One that has no way is
    /// skipped; when the kernel's buffer is full the rest is dropped, as a full router would.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = Datagram<'a>>,
    ) -> usize {
        // SAFETY: all zeros is a valid iovec and mmsghdr: null pointers with no length.
        let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let mut count = 0;
        for (index, datagram) in datagrams.take(BATCH).enumerate() {
            vectors[index].iov_base = datagram.bytes.as_ptr().cast_mut().cast();
            vectors[index].iov_len = datagram.bytes.len();
            let header = &mut headers[index].msg_hdr;
            header.msg_namelen = address::write(&datagram.to, &mut self.addresses[index]);
            header.msg_name = std::ptr::from_mut(&mut self.addresses[index]).cast();
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            count = index + 1;
        }
        let mut next = 0;
        let mut sent = 0;
        while next < count {
            // SAFETY: headers[next..count] point to the datagrams' bytes, borrowed for 'a, and to this call's memory.
            let taken = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr().add(next),
                    (count - next) as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if let Ok(taken) = usize::try_from(taken) {
                next += taken.max(1);
                sent += taken;
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS) => break,
                Some(libc::EINTR) => {}
                // The first of the rest has no way: no route, a refused port, a forbidden address.
                _ => next += 1,
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ip: &str) -> (UdpSocket, UdpSocket) {
        let address: SocketAddr = format!("{ip}:0").parse().unwrap();
        (bind(address).unwrap(), bind(address).unwrap())
    }

    fn receive_all(socket: &UdpSocket, wanted: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut receiver = Receiver::default();
        let mut all = Vec::new();
        while all.len() < wanted {
            receiver
                .receive(socket, |source, bytes| all.push((source, bytes.to_vec())))
                .unwrap();
        }
        all
    }

    #[test]
    fn batches_arrive_whole_in_both_families() {
        for ip in ["127.0.0.1", "[::1]"] {
            let (from, to) = pair(ip);
            let target = to.local_addr().unwrap();
            let payloads: Vec<Vec<u8>> = (0..BATCH).map(|n| vec![n as u8; n + 1]).collect();
            let datagrams = payloads.iter().map(|bytes| Datagram { to: target, bytes });
            assert_eq!(Sender::default().send(&from, datagrams), BATCH);
            let received = receive_all(&to, BATCH);
            let source = from.local_addr().unwrap();
            assert!(received.iter().all(|(address, _)| *address == source));
            assert!(received.iter().map(|(_, bytes)| bytes).eq(&payloads));
        }
    }

    #[test]
    fn a_datagram_without_a_way_does_not_hold_up_the_others() {
        let (from, to) = pair("127.0.0.1");
        let target = to.local_addr().unwrap();
        let unreachable = "[::1]:9".parse().unwrap();
        let datagrams = [unreachable, target].map(|to| Datagram { to, bytes: b"x" });
        assert_eq!(Sender::default().send(&from, datagrams.into_iter()), 1);
        assert_eq!(receive_all(&to, 1).len(), 1);
    }

    #[test]
    fn a_datagram_that_is_too_long_is_dropped() {
        let (from, to) = pair("127.0.0.1");
        let target = to.local_addr().unwrap();
        let long = vec![1; BUFFER_LEN + 1];
        let datagrams = [&long[..], b"short"].map(|bytes| Datagram { to: target, bytes });
        Sender::default().send(&from, datagrams.into_iter());
        assert_eq!(receive_all(&to, 1)[0].1, b"short");
    }

    #[test]
    fn both_families_can_have_the_same_port_on_all_addresses() {
        let six = bind("[::]:0".parse().unwrap()).unwrap();
        let port = six.local_addr().unwrap().port();
        bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
    }
}
