//! All allocations, found by client, by relay and by user; what is reserved; who is revoked; what is due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use slotmap::{SecondaryMap, SlotMap};

use super::allocation::{Allocation, Relay};
use super::{Client, RelayKey, Wire};
use crate::credentials;
use crate::revoked::{Revocation, Revoked};

slotmap::new_key_type! {
    /// An allocation.
    pub struct AllocationKey;
}

/// How long a reserved port waits for its owner (RFC 8656 section 7.2 wants at least 30 s).
const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

struct Reservation {
    relay: (RelayKey, SocketAddr),
    username: Box<str>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Allocation(AllocationKey),
    Reservation(u64),
}

/// The server's memory. Only who proved a credential can make it grow.
#[derive(Default)]
pub struct Table {
    allocations: SlotMap<AllocationKey, Allocation>,
    by_client: HashMap<Client, AllocationKey>,
    by_relay: SecondaryMap<RelayKey, AllocationKey>,
    /// Allocations and reservations of each user.
    counts: HashMap<Box<str>, usize>,
    reservations: HashMap<u64, Reservation>,
    revoked: Revoked,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
}

impl Table {
    /// The allocation of a client.
    pub fn of_client(&self, client: Client) -> Option<AllocationKey> {
        self.by_client.get(&client).copied()
    }

    /// The allocation of a relay; a reserved one has none yet.
    pub fn of_relay(&self, relay: RelayKey) -> Option<AllocationKey> {
        self.by_relay.get(relay).copied()
    }

    /// An allocation.
    pub fn get(&self, key: AllocationKey) -> Option<&Allocation> {
        self.allocations.get(key)
    }

    /// An allocation, to change it.
    pub fn get_mut(&mut self, key: AllocationKey) -> Option<&mut Allocation> {
        self.allocations.get_mut(key)
    }

    /// How many allocations there are.
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// How many allocations and reservations a user has.
    pub fn count_of(&self, username: &str) -> usize {
        self.counts.get(username).copied().unwrap_or(0)
    }

    /// Adds an allocation, whose relays are open.
    pub fn insert(&mut self, mut allocation: Allocation) {
        allocation.due = allocation.expires;
        let (client, expires) = (allocation.client, allocation.expires);
        let relays = allocation.relays;
        *self.counts.entry(allocation.username.clone()).or_default() += 1;
        let key = self.allocations.insert(allocation);
        self.by_client.insert(client, key);
        for relay in relays.iter().flatten() {
            self.by_relay.insert(relay.key, key);
        }
        self.due.push(Reverse((expires, Due::Allocation(key))));
    }

    /// Ends an allocation.
    pub fn remove(&mut self, key: AllocationKey, wire: &mut impl Wire) {
        let Some(allocation) = self.allocations.remove(key) else {
            return;
        };
        self.by_client.remove(&allocation.client);
        self.discount(&allocation.username);
        for relay in allocation.relays.iter().flatten() {
            self.by_relay.remove(relay.key);
            wire.close(relay.key);
        }
    }

    /// Ends those relays of an allocation that are meant, and itself with the last one.
    pub fn remove_relays(
        &mut self,
        key: AllocationKey,
        is_meant: impl Fn(&Relay) -> bool,
        wire: &mut impl Wire,
    ) {
        let Some(allocation) = self.allocations.get_mut(key) else {
            return;
        };
        for slot in &mut allocation.relays {
            if let Some(relay) = slot.take_if(|relay| is_meant(relay)) {
                self.by_relay.remove(relay.key);
                wire.close(relay.key);
            }
        }
        if allocation.relays.iter().all(Option::is_none) {
            self.remove(key, wire);
        }
    }

    /// Moves the end of an allocation.
    pub fn set_expiry(&mut self, key: AllocationKey, expires: Instant) {
        let Some(allocation) = self.allocations.get_mut(key) else {
            return;
        };
        allocation.expires = expires;
        // A later end is found when the earlier one comes due.
        if expires < allocation.due {
            allocation.due = expires;
            self.due.push(Reverse((expires, Due::Allocation(key))));
        }
    }

    /// Keeps a port for its owner's next allocation.
    pub fn reserve(
        &mut self,
        token: u64,
        relay: (RelayKey, SocketAddr),
        username: &str,
        now: Instant,
    ) {
        *self.counts.entry(username.into()).or_default() += 1;
        let username = username.into();
        self.reservations
            .insert(token, Reservation { relay, username });
        self.due.push(Reverse((
            now + RESERVATION_LIFETIME,
            Due::Reservation(token),
        )));
    }

    /// Hands a kept port to its owner.
    pub fn take_reservation(
        &mut self,
        token: u64,
        username: &str,
    ) -> Option<(RelayKey, SocketAddr)> {
        let kept = self.reservations.get(&token)?;
        if *kept.username != *username {
            return None;
        }
        let kept = self.reservations.remove(&token)?;
        self.discount(&kept.username);
        Some(kept.relay)
    }

    fn discount(&mut self, username: &str) {
        if let Some(count) = self.counts.get_mut(username) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(username);
            }
        }
    }

    /// When something ends next.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Ends what is over.
    pub fn expire(&mut self, now: Instant, wire: &mut impl Wire) {
        while let Some(&Reverse((at, due))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            match due {
                Due::Allocation(key) => self.expire_allocation(key, now, wire),
                Due::Reservation(token) => {
                    if let Some(kept) = self.reservations.remove(&token) {
                        self.discount(&kept.username);
                        wire.close(kept.relay.0);
                    }
                }
            }
        }
    }

    fn expire_allocation(&mut self, key: AllocationKey, now: Instant, wire: &mut impl Wire) {
        let Some(allocation) = self.allocations.get_mut(key) else {
            return;
        };
        let expires = allocation.expires;
        if expires <= now {
            self.remove(key, wire);
        } else if allocation.due <= now {
            allocation.due = expires;
            self.due.push(Reverse((expires, Due::Allocation(key))));
        }
    }

    /// Whether a username is refused, or all of its key.
    pub fn is_revoked(&self, username: &str, key_id: &str) -> bool {
        self.revoked.has(username) || self.revoked.has(key_id)
    }

    /// Refuses usernames and key IDs and ends their allocations.
    pub fn revoke(&mut self, revocations: &[Revocation], unix: u64, wire: &mut impl Wire) {
        for Revocation { name, until } in revocations {
            self.revoked.insert(name, *until, unix);
        }
        // Most usernames have no allocation, and then there is none to look for.
        let is_in_use = |name: &str| !name.contains('.') || self.counts.contains_key(name);
        if !revocations.iter().any(|one| is_in_use(&one.name)) {
            return;
        }
        let is_meant = |username: &str| {
            credentials::claim(username)
                .is_some_and(|claim| self.is_revoked(username, claim.key_id))
        };
        let meant: Vec<_> = self
            .allocations
            .iter()
            .filter(|(_, allocation)| is_meant(&allocation.username))
            .map(|(key, allocation)| (key, allocation.client))
            .collect();
        for (key, client) in meant {
            self.remove(key, wire);
            wire.disconnect(client);
        }
    }

    /// How many things are remembered at all.
    #[cfg(test)]
    pub fn size_of_everything(&self) -> usize {
        self.allocations.len()
            + self.by_client.len()
            + self.by_relay.len()
            + self.counts.len()
            + self.reservations.len()
            + self.revoked.count()
            + self.due.len()
    }
}
