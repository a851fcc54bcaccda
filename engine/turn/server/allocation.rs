//! An allocation: who may send through it, whom to, and how much.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Client, RelayKey};

/// RFC 8656 section 9.
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 8656 section 12.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// Permissions, and channels, of one allocation: a call has a few, and a list has an end.
const PEERS_MAX: usize = 128;
/// The least that a bandwidth limit lets through at once: a key frame.
const BURST_MIN: u64 = 128 * 1024;

/// A relayed address.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// Its socket.
    pub key: RelayKey,
    /// What the client tells its peers.
    pub address: SocketAddr,
}

struct Permission {
    ip: IpAddr,
    expires: Instant,
}

struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The number has another peer, or the peer another number (RFC 8656 section 12.2).
    Taken,
    /// The allocation has as many as it may.
    TooMany,
}

/// One client's relays.
pub struct Allocation {
    /// Where the client is.
    pub client: Client,
    /// Whose it is.
    pub username: Box<str>,
    /// The request that made it: a repetition gets the same answer (RFC 8656 section 7.2).
    pub transaction: u128,
    /// One of a family.
    pub relays: [Option<Relay>; 2],
    /// When it ends.
    pub expires: Instant,
    /// When the table will look at it next.
    pub due: Instant,
    /// What the client sends.
    pub upward: Bucket,
    /// What its peers send.
    pub downward: Bucket,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
}

impl Allocation {
    /// A fresh one, without permissions.
    pub fn new(client: Client, username: &str, transaction: u128, now: Instant) -> Allocation {
        Allocation {
            client,
            username: username.into(),
            transaction,
            relays: [None; 2],
            expires: now,
            due: now,
            upward: Bucket::full(now),
            downward: Bucket::full(now),
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// The relay of a peer's family.
    pub fn relay_for(&self, peer: SocketAddr) -> Option<Relay> {
        let of_family = |relay: &&Relay| relay.address.is_ipv4() == peer.is_ipv4();
        self.relays.iter().flatten().find(of_family).copied()
    }

    /// Permits a peer's address, or goes on to. False: there are too many.
    #[must_use]
    pub fn permit(&mut self, ip: IpAddr, now: Instant) -> bool {
        let expires = now + PERMISSION_LIFETIME;
        if let Some(known) = self.permissions.iter_mut().find(|known| known.ip == ip) {
            known.expires = expires;
            return true;
        }
        if self.permissions.len() >= PEERS_MAX {
            self.permissions.retain(|known| known.expires > now);
        }
        let room = self.permissions.len() < PEERS_MAX;
        if room {
            self.permissions.push(Permission { ip, expires });
        }
        room
    }

    /// Whether the client wants to speak with this address.
    pub fn permits(&self, ip: IpAddr, now: Instant) -> bool {
        let valid = |known: &Permission| known.ip == ip && known.expires > now;
        self.permissions.iter().any(valid)
    }

    /// Gives a peer a channel, or goes on to, and permits it.
    pub fn bind(&mut self, number: u16, peer: SocketAddr, now: Instant) -> Result<(), BindError> {
        self.channels.retain(|known| known.expires > now);
        let other = |known: &Channel| (known.number == number) != (known.peer == peer);
        if self.channels.iter().any(other) {
            return Err(BindError::Taken);
        }
        let expires = now + CHANNEL_LIFETIME;
        let full = self.channels.len() >= PEERS_MAX;
        match self
            .channels
            .iter_mut()
            .find(|known| known.number == number)
        {
            Some(known) => known.expires = expires,
            None if full => return Err(BindError::TooMany),
            None => self.channels.push(Channel {
                number,
                peer,
                expires,
            }),
        }
        let permitted = self.permit(peer.ip(), now);
        permitted.then_some(()).ok_or(BindError::TooMany)
    }

    /// The peer of a channel.
    pub fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let valid = |known: &&Channel| known.number == number && known.expires > now;
        self.channels.iter().find(valid).map(|known| known.peer)
    }

    /// The channel of a peer.
    pub fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let valid = |known: &&Channel| known.peer == peer && known.expires > now;
        self.channels.iter().find(valid).map(|known| known.number)
    }
}

/// How much may pass now.
pub struct Bucket {
    bytes: u64,
    filled: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Bucket {
        Bucket {
            bytes: u64::MAX,
            filled: now,
        }
    }

    /// Takes `bytes` if they are within `rate`, in bytes a second; 0 is no limit.
    #[must_use]
    pub fn take(&mut self, bytes: usize, rate: u64, now: Instant) -> bool {
        if rate == 0 {
            return true;
        }
        let elapsed = now.saturating_duration_since(self.filled).as_micros() as u64;
        let added = elapsed.saturating_mul(rate) / 1_000_000;
        // Time that adds nothing yet is kept for the next packet.
        if added > 0 {
            self.filled = now;
        }
        self.bytes = self.bytes.saturating_add(added).min(rate.max(BURST_MIN));
        let enough = self.bytes >= bytes as u64;
        if enough {
            self.bytes -= bytes as u64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            socket: 0,
            address: "9.9.9.9:1".parse().unwrap(),
        }
    }

    #[test]
    fn a_channel_has_one_peer_and_a_peer_one_channel() {
        let start = Instant::now();
        let mut allocation = Allocation::new(client(), "u", 1, start);
        let (a, b) = ("8.8.8.8:1".parse().unwrap(), "8.8.8.8:2".parse().unwrap());
        assert_eq!(allocation.bind(0x4000, a, start), Ok(()));
        assert_eq!(allocation.bind(0x4000, a, start), Ok(()));
        assert_eq!(allocation.bind(0x4000, b, start), Err(BindError::Taken));
        assert_eq!(allocation.bind(0x4001, a, start), Err(BindError::Taken));
        assert_eq!(allocation.bind(0x4001, b, start), Ok(()));
        // RFC 8656 section 12: a binding that expired may be used for another peer.
        let later = start + CHANNEL_LIFETIME;
        assert_eq!(allocation.peer_of(0x4000, later), None);
        assert_eq!(allocation.bind(0x4000, b, later), Ok(()));
    }

    #[test]
    fn permissions_end_and_have_a_limit() {
        let start = Instant::now();
        let mut allocation = Allocation::new(client(), "u", 1, start);
        let ip = |n: u32| IpAddr::from((0x0800_0000 + n).to_be_bytes());
        assert!((0..PEERS_MAX as u32).all(|n| allocation.permit(ip(n), start)));
        assert!(!allocation.permit(ip(999), start));
        let later = start + PERMISSION_LIFETIME;
        assert!(!allocation.permits(ip(0), later));
        assert!(allocation.permit(ip(999), later));
    }

    #[test]
    fn a_bucket_lets_its_rate_through() {
        let start = Instant::now();
        let rate = 1_000_000;
        let mut bucket = Bucket::full(start);
        let mut passed = 0;
        // Ten seconds of four times the rate.
        for packet in 0..40_000 {
            let now = start + Duration::from_micros(packet * 250);
            passed += u64::from(bucket.take(1_000, rate, now));
        }
        // The burst of the first second, and the rate.
        assert!((10_900..=11_100).contains(&passed), "{passed}");
        assert!(bucket.take(usize::MAX, 0, start));
    }
}
