//! Candidates as the crate wants them.

use std::net::SocketAddr;

use is::{Candidate, CandidateKind};

use super::Protocol;

/// An address at which the peer says that it receives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteCandidate {
    /// UDP.
    pub address: SocketAddr,
    /// 1 to 2^31 - 1 (RFC 8445 section 5.1.2).
    pub priority: u32,
}

impl RemoteCandidate {
    /// As a candidate of the crate.
    pub(super) fn read(&self) -> Candidate {
        of_host("remote", Protocol::Udp, self.priority, self.address)
    }
}

/// Priority of a candidate for which the crate calculates none: a host's of any other protocol than UDP (RFC 6544 section 4.2).
const LOCAL_PRIORITY: u32 = (90 << 24) + 255;

/// The agent finds our socket by this address and tells it to nobody: what peers are told is control's. So an address is
/// good here that no peer could use, such as that of all interfaces, where peers are told an announced one.
pub(super) fn local_candidate(address: SocketAddr, protocol: Protocol) -> Candidate {
    Candidate::host(address, protocol)
        .unwrap_or_else(|_| of_host("local", protocol, LOCAL_PRIORITY, address))
}

fn of_host(foundation: &str, protocol: Protocol, priority: u32, address: SocketAddr) -> Candidate {
    Candidate::from_parts(
        foundation.to_owned(),
        1,
        protocol,
        priority,
        address,
        CandidateKind::Host,
        None,
        None,
        None,
    )
}
