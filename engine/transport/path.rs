//! Between which of our sockets and which address of the peer's datagrams go.

use std::net::SocketAddr;

use crate::ice::Protocol;

/// In a socket's index: the TCP listener on the address and port of that UDP socket.
pub const TCP: u16 = 1 << 15;

/// What a socket's index says of it.
pub fn protocol_of(socket: u16) -> Protocol {
    if socket & TCP == 0 {
        Protocol::Udp
    } else {
        Protocol::Tcp
    }
}

/// Where datagrams to the peer go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Index of our socket, with `TCP` where the peer's address is that of its connection.
    pub socket: u16,
    /// The peer's address.
    pub remote: SocketAddr,
}
