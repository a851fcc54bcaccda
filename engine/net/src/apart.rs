//! Destinations to which datagrams of one message cannot go together.
//!
//! A device without checksum offload refuses such messages (EIO), and so does a path that takes only shorter datagrams in one
//! piece (EMSGSIZE or EINVAL, kernels differ). Both are matters of one route, and routes change.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Destinations that are remembered. Where there are more, all are forgotten and found out again.
const MAX_DESTINATIONS: usize = 16_384;
/// Messages of a destination that go apart before the next one is tried in one piece again.
const MESSAGES_APART: u16 = 1024;

/// How many messages still go apart, by destination.
#[derive(Default)]
pub struct Apart(HashMap<SocketAddr, u16>);

impl Apart {
    /// A message to there was refused in one piece.
    pub fn note(&mut self, to: SocketAddr) {
        if self.0.len() >= MAX_DESTINATIONS && !self.0.contains_key(&to) {
            self.0.clear();
        }
        self.0.insert(to, MESSAGES_APART);
    }

    /// Whether the next message to there goes apart.
    #[inline]
    pub fn next(&mut self, to: &SocketAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(left) = self.0.get_mut(to) else {
            return false;
        };
        *left -= 1;
        if *left == 0 {
            self.0.remove(to);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_tried_again_and_others_are_not_touched() {
        let (one, other) = (
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
        );
        let mut apart = Apart::default();
        apart.note(one);
        assert!(!apart.next(&other));
        for _ in 0..MESSAGES_APART {
            assert!(apart.next(&one));
        }
        assert!(!apart.next(&one));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut apart = Apart::default();
        for number in 0..=MAX_DESTINATIONS as u32 {
            let ip = std::net::Ipv4Addr::from_bits(number);
            apart.note(SocketAddr::from((ip, 9)));
            assert!(apart.0.len() <= MAX_DESTINATIONS);
        }
        assert!(!apart.0.is_empty());
    }
}
