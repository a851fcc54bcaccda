//! Whom a relay may speak to: the public Internet and our own media ports, and nothing that only we can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A block of addresses, e.g. `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let problem = || format!("not a network: {text}");
        let (address, prefix) = text.split_once('/').ok_or_else(problem)?;
        let address: IpAddr = address.parse().map_err(|_| problem())?;
        let prefix: u8 = prefix.parse().map_err(|_| problem())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > widest {
            return Err(problem());
        }
        Ok(Network { address, prefix })
    }
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => in_v4(ip, own, self.prefix),
            (IpAddr::V6(own), IpAddr::V6(ip)) => in_v6(ip, own, self.prefix),
            _ => false,
        }
    }
}

/// What may be relayed to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Anything.
    Open,
    /// Our own media ports, and other relays where the address is public.
    OwnPorts,
    /// Nothing.
    Forbidden,
}

/// The rules of one server.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    /// Where the engine receives media.
    pub media: Vec<SocketAddr>,
    /// Networks that an operator allows in spite of what they are: tests, company networks.
    pub allowed: Vec<Network>,
    /// Addresses of this machine: its other services are not for relays, whatever their address is.
    pub own: Vec<IpAddr>,
    /// Ports of relays: two clients that both need one may speak to each other.
    pub relays: Option<(u16, u16)>,
}

impl PeerPolicy {
    /// What may be relayed to an address.
    #[must_use]
    pub fn of_address(&self, ip: IpAddr) -> Verdict {
        let own = self.own.contains(&ip);
        if self.allowed.iter().any(|network| network.contains(ip)) || (is_public(ip) && !own) {
            Verdict::Open
        } else if is_public(ip) || self.media.iter().any(|media| media.ip() == ip) {
            Verdict::OwnPorts
        } else {
            Verdict::Forbidden
        }
    }

    /// Whether anything may be relayed to a peer. Port 0 is nobody's.
    #[must_use]
    pub fn allows(&self, peer: SocketAddr) -> bool {
        peer.port() != 0
            && match self.of_address(peer.ip()) {
                Verdict::Open => true,
                Verdict::OwnPorts => self.is_media(peer) || self.is_public_relay(peer),
                Verdict::Forbidden => false,
            }
    }

    fn is_media(&self, peer: SocketAddr) -> bool {
        let same = |media: &SocketAddr| media.ip() == peer.ip() && media.port() == peer.port();
        self.media.iter().any(same)
    }

    fn is_public_relay(&self, peer: SocketAddr) -> bool {
        let in_range = |(first, last)| (first..=last).contains(&peer.port());
        is_public(peer.ip()) && self.relays.is_some_and(in_range)
    }
}

/// Globally reachable by the registries of RFC 6890, and not a cloud's metadata service.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

const SPECIAL_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved and broadcast: 224/4 and 240/4.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
    // A public address that is a cloud's metadata service (Azure); the others' are in blocks above.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !SPECIAL_V4
        .iter()
        .any(|&(block, prefix)| in_v4(ip, block, prefix))
}

/// Special blocks inside of 2000::/3, which is all that is given out (RFC 4291 section 2.4).
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    // Teredo, ORCHID, benchmarking and their like.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4 carries an IPv4 address that a router would unwrap.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
const GIVEN_OUT: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// NAT64 (RFC 6052 section 2.1): as public as the IPv4 address in its end.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if in_v6(ip, NAT64.0, NAT64.1) {
        let [.., a, b, c, d] = ip.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    in_v6(ip, GIVEN_OUT.0, GIVEN_OUT.1)
        && !SPECIAL_V6
            .iter()
            .any(|&(block, prefix)| in_v6(ip, block, prefix))
}

fn in_v4(ip: Ipv4Addr, block: Ipv4Addr, prefix: u8) -> bool {
    let differing = u32::from(ip) ^ u32::from(block);
    differing.checked_shr(32 - u32::from(prefix)).unwrap_or(0) == 0
}

fn in_v6(ip: Ipv6Addr, block: Ipv6Addr, prefix: u8) -> bool {
    let differing = u128::from(ip) ^ u128::from(block);
    differing.checked_shr(128 - u32::from(prefix)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const FORBIDDEN: [&str; 48] = [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1",
        "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
        "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
        "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "::ffff:8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
        "64:ff9b:1::808:808", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "3fff::1", "5f00::1",
    ];
    #[rustfmt::skip]
    const PUBLIC: [&str; 10] = [
        "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "172.32.0.1", "172.15.255.255", "223.255.255.255",
        "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8",
    ];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_special_address_is_forbidden_and_public_ones_are_open() {
        let policy = PeerPolicy::default();
        for text in FORBIDDEN {
            assert_eq!(policy.of_address(ip(text)), Verdict::Forbidden, "{text}");
        }
        for text in PUBLIC {
            assert_eq!(policy.of_address(ip(text)), Verdict::Open, "{text}");
        }
    }

    #[test]
    fn our_own_addresses_take_media_and_nothing_else() {
        let policy = PeerPolicy {
            media: vec![
                "127.0.0.1:7882".parse().unwrap(),
                "5.6.7.8:7882".parse().unwrap(),
            ],
            allowed: Vec::new(),
            own: vec![ip("127.0.0.1"), ip("5.6.7.8"), ip("5.6.7.9")],
            relays: Some((50000, 50009)),
        };
        for (peer, allowed) in [
            ("127.0.0.1:7882", true),
            ("127.0.0.1:22", false),
            ("127.0.0.2:7882", false),
            ("[::ffff:127.0.0.1]:7882", false),
            ("5.6.7.8:7882", true),
            ("5.6.7.8:22", false),
            ("5.6.7.9:7882", false),
            ("5.6.7.9:50009", true),
            ("5.6.7.9:50010", false),
            ("127.0.0.1:50001", false),
            ("8.8.8.8:53", true),
            ("8.8.8.8:0", false),
        ] {
            assert_eq!(policy.allows(peer.parse().unwrap()), allowed, "{peer}");
        }
    }

    #[test]
    fn a_setting_opens_networks_and_nothing_beside_them() {
        let policy = PeerPolicy {
            allowed: vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()],
            ..PeerPolicy::default()
        };
        assert!(policy.allows("10.1.255.1:9".parse().unwrap()));
        assert!(policy.allows("[::1]:9".parse().unwrap()));
        assert!(!policy.allows("10.2.0.1:9".parse().unwrap()));
        assert!(!policy.allows("[::ffff:10.1.0.1]:9".parse().unwrap()));
        for bad in ["10.0.0.0", "10.0.0.0/33", "::/129", "here/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains(ip("127.0.0.1")));
    }
}
