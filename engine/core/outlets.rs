//! From which sockets full ICE agents speak. Two sessions with one address of a peer cannot share a socket, since a datagram
//! tells only where it comes from; so the second one gets sockets of its own, which later ones use again.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;

/// Opens another socket beside each of those that peers are told, on ports of the kernel's choice.
pub type OpenSockets = Box<dyn FnMut() -> Result<Vec<SocketAddr>, String>>;

/// Sets of sockets: as many sessions can have the same peer. The first is the one that all lite agents use.
const MAX_SETS: usize = 256;

/// Who speaks with whom from which set of sockets.
pub struct Outlets {
    /// Sockets of a set, and their number in the whole.
    per_set: usize,
    taken: HashSet<(usize, SocketAddr)>,
}

/// What a session holds of it.
#[derive(Default)]
pub struct Outlet {
    set: usize,
    taken: Vec<SocketAddr>,
}

impl Outlets {
    /// Of the sockets that peers are told.
    pub fn new(per_set: usize) -> Outlets {
        Outlets {
            per_set,
            taken: HashSet::new(),
        }
    }

    /// The same sets, from which nobody speaks.
    pub fn emptied(&self) -> Outlets {
        Outlets::new(self.per_set)
    }

    /// An outlet from which nobody speaks with any of these addresses; `sockets` grows when there was none.
    ///
    /// # Errors
    /// There are too many, or the kernel gives no more sockets.
    pub fn find(
        &self,
        peers: &[SocketAddr],
        sockets: &mut Vec<SocketAddr>,
        open: &mut OpenSockets,
    ) -> Result<Outlet, String> {
        let is_free = |set| peers.iter().all(|&peer| !self.taken.contains(&(set, peer)));
        let set = (0..MAX_SETS).find(|&set| is_free(set));
        let set = set.ok_or("too many sessions have a peer at this address")?;
        if set * self.per_set >= sockets.len() {
            let opened = open()?;
            if opened.len() != self.per_set {
                return Err("the sockets opened are not those of a set".into());
            }
            sockets.extend(opened);
        }
        Ok(Outlet {
            set,
            taken: Vec::new(),
        })
    }

    /// Keeps other sessions away from these addresses too.
    pub fn take(&mut self, outlet: &mut Outlet, peers: impl Iterator<Item = SocketAddr>) {
        for peer in peers {
            if self.taken.insert((outlet.set, peer)) {
                outlet.taken.push(peer);
            }
        }
    }

    /// Gives all back.
    pub fn release(&mut self, outlet: &Outlet) {
        for &peer in &outlet.taken {
            self.taken.remove(&(outlet.set, peer));
        }
    }

    /// Where the outlet's sockets are among all.
    pub fn range(&self, outlet: &Outlet) -> Range<usize> {
        let first = outlet.set * self.per_set;
        first..first + self.per_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn sessions_with_the_same_peer_have_sockets_of_their_own_and_leave_them_to_later_ones() {
        let mut outlets = Outlets::new(2);
        let mut sockets = vec![address(1), address(2)];
        let mut port = 10;
        let mut open: OpenSockets = Box::new(move || {
            port += 2;
            Ok(vec![address(port), address(port + 1)])
        });
        let mut held = Vec::new();
        for _ in 0..3 {
            let peers = [address(9000), address(9001)];
            let outlet = outlets.find(&peers, &mut sockets, &mut open);
            let mut outlet = outlet.expect("a set");
            outlets.take(&mut outlet, peers.into_iter());
            held.push(outlet);
        }
        let ranges: Vec<_> = held.iter().map(|outlet| outlets.range(outlet)).collect();
        assert_eq!(ranges, [0..2, 2..4, 4..6]);
        let other = outlets.find(&[address(9002)], &mut sockets, &mut open);
        assert_eq!(outlets.range(&other.expect("a set")), 0..2);

        outlets.release(&held[1]);
        let again = outlets.find(&[address(9001)], &mut sockets, &mut open);
        assert_eq!(outlets.range(&again.expect("a set")), 2..4);
        assert_eq!(sockets.len(), 6, "none was opened in vain");
    }

    #[test]
    fn sockets_that_cannot_be_opened_change_nothing() {
        let mut outlets = Outlets::new(1);
        let mut sockets = vec![address(1)];
        let mut open: OpenSockets = Box::new(|| Err("none left".into()));
        let peers = [address(9000)];
        let mut first = outlets.find(&peers, &mut sockets, &mut open).expect("one");
        outlets.take(&mut first, peers.into_iter());
        assert!(outlets.find(&peers, &mut sockets, &mut open).is_err());
        assert_eq!(sockets.len(), 1);
    }
}
