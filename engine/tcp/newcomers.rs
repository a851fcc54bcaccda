//! Connections that have not shown yet whose they are. A peer does so within a round trip, so the oldest ones are the most
//! likely to be nobody's: they make room, and strangers who only connect cannot keep peers out.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};

/// Of all addresses together.
const MOST: usize = 512;
/// Of one address: many peers may stand behind one, but they do not all come at once.
const MOST_OF_ADDRESS: usize = 64;

/// Newcomers in the order in which they came.
pub struct Newcomers<K> {
    queue: VecDeque<(IpAddr, K)>,
}

impl<K: Copy + PartialEq> Newcomers<K> {
    /// None yet.
    pub fn new() -> Newcomers<K> {
        Newcomers {
            queue: VecDeque::new(),
        }
    }

    /// Adds one, and gives the one that has to go for it.
    pub fn add(&mut self, address: IpAddr, key: K) -> Option<K> {
        let network = network(address);
        let of_network = |(other, _): &&(IpAddr, K)| *other == network;
        let gone = if self.queue.iter().filter(of_network).count() >= MOST_OF_ADDRESS {
            self.queue.iter().position(|(other, _)| *other == network)
        } else {
            (self.queue.len() >= MOST).then_some(0)
        };
        let gone = gone.and_then(|index| self.queue.remove(index));
        self.queue.push_back((network, key));
        gone.map(|(_, key)| key)
    }

    /// One is none any more.
    pub fn remove(&mut self, key: K) {
        self.queue.retain(|(_, other)| *other != key);
    }
}

/// Of IPv6 one customer has a /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_an_address_makes_room_and_then_the_oldest_of_all() {
        let mut newcomers = Newcomers::new();
        let address = |number: u32| IpAddr::from((number + 1).to_be_bytes());
        assert_eq!(newcomers.add(address(9), 10_000), None);
        for number in 0..64 {
            assert_eq!(newcomers.add(address(0), number), None);
        }
        assert_eq!(newcomers.add(address(0), 64), Some(0));
        newcomers.remove(1);
        assert_eq!(newcomers.add(address(0), 65), None);
        for number in 65..MOST as u32 {
            assert_eq!(newcomers.add(address(100 + number), 1000 + number), None);
        }
        assert_eq!(newcomers.add(address(2), 2), Some(10_000));
        assert_eq!(newcomers.queue.len(), MOST);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let mut newcomers = Newcomers::new();
        for number in 0..64_u128 {
            assert_eq!(
                newcomers.add(Ipv6Addr::from_bits(number).into(), number),
                None
            );
        }
        let other = Ipv6Addr::from_bits(1 << 64);
        assert_eq!(newcomers.add(other.into(), 64), None);
        assert_eq!(newcomers.add(Ipv6Addr::LOCALHOST.into(), 65), Some(0));
    }
}
