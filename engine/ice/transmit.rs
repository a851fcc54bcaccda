//! What ICE sends.

use std::net::SocketAddr;

use super::Protocol;
use super::ways::Way;

/// A datagram that ICE wants sent.
pub struct IceTransmit {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// Our socket's address.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
    /// A STUN message.
    pub datagram: Vec<u8>,
    /// Whether the peer has answered from there, or sent enough from there. Else it is a stranger's address for all we know.
    pub earned: bool,
}

impl IceTransmit {
    /// On a way that has earned it.
    pub(super) fn earned((protocol, local, remote): Way, datagram: Vec<u8>) -> IceTransmit {
        IceTransmit {
            protocol,
            local,
            remote,
            datagram,
            earned: true,
        }
    }
}
