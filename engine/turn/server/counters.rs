//! What happened to packets: each that goes no further has one reason here.

/// Why a packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Drop {
    /// It is neither STUN nor channel data.
    NotOurs,
    /// STUN that cannot be read.
    Malformed,
    /// Channel data of a client without an allocation.
    NoAllocation,
    /// Channel data of a number without a peer.
    NoChannel,
    /// To or from a peer that the client has not permitted.
    NoPermission,
    /// To or from a peer that nobody may reach.
    ForbiddenPeer,
    /// Over the bandwidth of its allocation.
    OverBandwidth,
    /// A peer of a family for which the allocation has no relay.
    NoRelay,
    /// From a peer, longer than an indication can be.
    TooLong,
}

const DROPS: [(Drop, &str); 9] = [
    (Drop::NotOurs, "not_ours"),
    (Drop::Malformed, "malformed"),
    (Drop::NoAllocation, "no_allocation"),
    (Drop::NoChannel, "no_channel"),
    (Drop::NoPermission, "no_permission"),
    (Drop::ForbiddenPeer, "forbidden_peer"),
    (Drop::OverBandwidth, "over_bandwidth"),
    (Drop::NoRelay, "no_relay"),
    (Drop::TooLong, "too_long"),
];

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Packets from clients to peers.
    pub upward: u64,
    /// Packets from peers to clients.
    pub downward: u64,
    /// Requests that were answered with success.
    pub granted: u64,
    /// Requests that were answered with an error.
    pub refused: u64,
    drops: [u64; DROPS.len()],
}

impl Counters {
    /// Counts a packet that goes no further.
    pub fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    /// Names and counts.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let relayed = [
            ("upward", self.upward),
            ("downward", self.downward),
            ("granted", self.granted),
            ("refused", self.refused),
        ];
        let drops = DROPS
            .iter()
            .map(|&(drop, name)| (name, self.drops[drop as usize]));
        relayed.into_iter().chain(drops)
    }
}
