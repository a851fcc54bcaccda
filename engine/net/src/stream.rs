//! TCP sockets of a media server.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::socket::{bind_to, open, set};

/// Connections that the kernel keeps for us.
const BACKLOG: libc::c_int = 1024;

/// Opens a non-blocking listener on an address, of its own family only, so that `0.0.0.0` and `::` can share a port.
/// Connections of a server that has ended do not keep it from the port.
///
/// # Errors
/// The address is not this machine's, or is taken.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let descriptor = open(address, libc::SOCK_STREAM)?;
    // SAFETY: the descriptor is fresh, so it is nobody else's.
    let listener = unsafe { TcpListener::from_raw_fd(descriptor) };
    set(descriptor, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    bind_to(descriptor, address)?;
    // SAFETY: no pointers are passed.
    if unsafe { libc::listen(descriptor, BACKLOG) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(listener)
}

/// The next connection, non-blocking and without delay (TCP_NODELAY); none when there is none to take.
///
/// # Errors
/// The kernel's, from accepting: no descriptors are left, for example.
pub fn accept(listener: &TcpListener) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                // A connection that cannot be prepared has ended already.
                let prepared = stream.set_nonblocking(true);
                if prepared.and_then(|()| stream.set_nodelay(true)).is_ok() {
                    return Ok(Some((stream, peer)));
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                // The peer has gone before we came.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

/// Lets the kernel hold no more than about so many bytes that it has not sent (TCP_NOTSENT_LOWAT, tcp(7)): what waits
/// longer waits where its owner can still drop it.
///
/// # Errors
/// The kernel's.
pub fn limit_unsent(stream: &TcpStream, bytes: i32) -> io::Result<()> {
    let option = libc::TCP_NOTSENT_LOWAT;
    set(stream.as_raw_fd(), libc::IPPROTO_TCP, option, bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(accept(&listener).unwrap().is_none());
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (stream, peer) = accept(&listener).unwrap().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        (stream, client)
    }

    #[test]
    fn a_port_is_taken_once() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = listen(listener.local_addr().unwrap());
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_kernel_keeps_little_for_a_peer_that_does_not_read() {
        let (mut limited, _client) = connected();
        let (mut free, _other) = connected();
        limit_unsent(&limited, 16 * 1024).unwrap();
        let fill = |stream: &mut TcpStream| {
            let (mut taken, mut refused) = (0, 0);
            while refused < 1000 {
                match stream.write(&[0; 1200]) {
                    Ok(count) => (taken, refused) = (taken + count, 0),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                std::thread::yield_now();
            }
            taken
        };
        let (limited, free) = (fill(&mut limited), fill(&mut free));
        assert!(limited < free, "{limited} < {free}");
    }
}
