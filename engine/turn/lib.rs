//! Switchyard's STUN (RFC 8489) and TURN (RFC 8656) server.
//!
//! `server` is sans-IO: bytes, times and commands in, calls of its `Wire` out. `io` is the process around it:
//! sockets, TLS, the loop. `link` is the socket on which control speaks. Credentials are checked by a shared
//! secret alone (`credentials`), so that any node can check what another one issued.

pub mod certificate;
pub mod credentials;
pub mod io;
pub mod link;
pub mod peer_policy;
pub mod revoked;
pub mod server;
