//! The process around the server: sockets, streams, TLS and the loop.

mod frame;
mod outbox;
mod ports;
mod sockets;
mod stream;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use worker::{Worker, run};

use crate::revoked::Revocation;
use crate::server::Settings;

/// What the process is started with.
#[derive(Debug)]
pub struct Options {
    /// What the server decides by.
    pub settings: Settings,
    /// Who is refused from the start.
    pub revoked: Vec<Revocation>,
    /// Addresses of this machine to serve on; relays are opened on them as well.
    pub listen: Vec<IpAddr>,
    /// Addresses that peers see instead, where a NAT stands before the machine.
    pub announce: Vec<IpAddr>,
    /// Port of UDP and TCP.
    pub port: u16,
    /// Port of TLS over TCP.
    pub tls_port: u16,
    /// First and last port of relays.
    pub relay_ports: (u16, u16),
    /// Files of the certificate chain and its key, PEM; none makes a self-signed one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that a self-signed certificate is for.
    pub host: String,
    /// Connections at once, and of one address.
    pub connections: usize,
    /// Connections of one address at once.
    pub connections_per_address: usize,
}

/// Where everything is bound.
#[derive(Debug)]
pub struct Bound {
    /// UDP and TCP.
    pub plain: Vec<SocketAddr>,
    /// TLS.
    pub tls: Vec<SocketAddr>,
}
