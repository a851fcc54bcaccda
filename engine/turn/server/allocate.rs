//! Allocate and Refresh (RFC 8656 sections 7 and 8).

use std::net::SocketAddr;
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::message::Message;

use super::allocation::{Allocation, Relay};
use super::message::{self, AllocateRequest, Refusal, Success};
use super::table::AllocationKey;
use super::{Asker, Now, OpenError, Opened, Parity, RelayKey, Server, Wire};

/// RFC 8656 section 3.2: the lifetime of who asks for none or for less, and the longest.
const DEFAULT_LIFETIME: u32 = 600;
const MAXIMUM_LIFETIME: u32 = 3600;
/// The protocol number of UDP: the only transport of relays (RFC 8656 section 7.2).
const UDP: u8 = 17;

const BAD_REQUEST: Refusal = Refusal::Code(400);
const MISMATCH: Refusal = Refusal::Code(437);
const WRONG_CREDENTIALS: Refusal = Refusal::Code(441);
const FAMILY_NOT_SUPPORTED: u16 = 440;
const FAMILY_MISMATCH: Refusal = Refusal::Code(443);
const QUOTA_REACHED: Refusal = Refusal::Code(486);
const INSUFFICIENT_CAPACITY: u16 = 508;

/// A family that could not be had, and the error code.
type FamilyError = (AddressFamily, u16);
/// The relay of the next port.
type Kept = (RelayKey, SocketAddr);

impl Server {
    pub(super) fn allocate(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        request: &Message<'_>,
        wire: &mut impl Wire,
    ) -> Result<Success, Refusal> {
        let transaction = u128::from(request.transaction_id());
        if let Some(key) = self.table.of_client(asker.client) {
            let allocation = self.table.get(key).ok_or(MISMATCH)?;
            let repeated =
                allocation.transaction == transaction && *allocation.username == *asker.username;
            return if repeated {
                Ok(granted(allocation, now))
            } else {
                Err(MISMATCH)
            };
        }
        let wanted = AllocateRequest::of(request)?;
        check(&wanted)?;
        if self.table.count_of(asker.username) >= self.allocations_per_credential {
            return Err(QUOTA_REACHED);
        }
        let mut allocation =
            Allocation::new(asker.client, asker.username, transaction, now.instant);
        let (family_error, next) = self.open_relays(&mut allocation, &wanted, asker, wire)?;
        let seconds = lifetime(wanted.lifetime, asker, now);
        allocation.expires = now.instant + Duration::from_secs(seconds.into());
        let mut success = granted(&allocation, now);
        success.family_error = family_error;
        if let Some(next) = next {
            success.token = Some(self.reserve(next, asker, now, wire));
        }
        self.table.insert(allocation);
        Ok(success)
    }

    fn open_relays(
        &mut self,
        allocation: &mut Allocation,
        wanted: &AllocateRequest,
        asker: &Asker<'_>,
        wire: &mut impl Wire,
    ) -> Result<(Option<FamilyError>, Option<Kept>), Refusal> {
        if let Some(token) = wanted.token {
            let kept = self.table.take_reservation(token, asker.username);
            let kept = kept.ok_or(Refusal::Code(INSUFFICIENT_CAPACITY))?;
            allocation.relays[0] = Some(relay(kept));
            return Ok((None, None));
        }
        let parity = match wanted.even_port {
            None => Parity::Any,
            Some(false) => Parity::Even,
            Some(true) => Parity::EvenAndNext,
        };
        let ipv6 = wanted.family == Some(AddressFamily::IPV6);
        let first = wire.open(asker.client, ipv6, parity);
        if wanted.additional.is_none() {
            let Opened {
                relay: opened,
                next,
            } = first.map_err(|error| Refusal::Code(code_of(error)))?;
            allocation.relays[0] = Some(relay(opened));
            return Ok((None, next));
        }
        // RFC 8656 section 7.2: one of both families is enough.
        let second = wire.open(asker.client, true, Parity::Any);
        let family_error = match (&first, &second) {
            (Err(error), Err(_)) => return Err(Refusal::Code(code_of(*error))),
            (Err(error), Ok(_)) => Some((AddressFamily::IPV4, code_of(*error))),
            (Ok(_), Err(error)) => Some((AddressFamily::IPV6, code_of(*error))),
            (Ok(_), Ok(_)) => None,
        };
        allocation.relays = [first, second].map(|opened| opened.ok().map(|it| relay(it.relay)));
        Ok((family_error, None))
    }

    fn reserve(&mut self, kept: Kept, asker: &Asker<'_>, now: Now, wire: &mut impl Wire) -> u64 {
        let mut token = [0; 8];
        wire.random(&mut token);
        let token = u64::from_be_bytes(token);
        self.table.reserve(token, kept, asker.username, now.instant);
        token
    }

    pub(super) fn refresh(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        request: &Message<'_>,
        wire: &mut impl Wire,
    ) -> Result<Success, Refusal> {
        let key = self.own_allocation(asker)?;
        let wanted = message::lifetime(request)?;
        let family = message::family(request)?.map(|family| family == AddressFamily::IPV6);
        let allocation = self.table.get_mut(key).ok_or(MISMATCH)?;
        let of_family = |relay: &Relay| family.is_none_or(|ipv6| relay.address.is_ipv6() == ipv6);
        if !allocation.relays.iter().flatten().any(of_family) {
            return Err(FAMILY_MISMATCH);
        }
        if wanted == Some(0) {
            self.table.remove_relays(key, of_family, wire);
            return Ok(Success {
                lifetime: Some(0),
                ..Success::default()
            });
        }
        let seconds = lifetime(wanted, asker, now);
        let expires = now.instant + Duration::from_secs(seconds.into());
        self.table.set_expiry(key, expires);
        Ok(Success {
            lifetime: Some(seconds),
            ..Success::default()
        })
    }

    /// The allocation of who asks, which must be by the same user (RFC 8656 section 5).
    pub(super) fn own_allocation(&self, asker: &Asker<'_>) -> Result<AllocationKey, Refusal> {
        let key = self.table.of_client(asker.client).ok_or(MISMATCH)?;
        let allocation = self.table.get(key).ok_or(MISMATCH)?;
        let same = *allocation.username == *asker.username;
        same.then_some(key).ok_or(WRONG_CREDENTIALS)
    }
}

/// The combinations of RFC 8656 section 7.2.
fn check(wanted: &AllocateRequest) -> Result<(), Refusal> {
    match wanted.transport {
        None => return Err(BAD_REQUEST),
        Some(UDP) => {}
        Some(_) => return Err(Refusal::Code(442)),
    }
    let chooses_family = wanted.family.is_some() || wanted.additional.is_some();
    let contradictory = (wanted.token.is_some() && (wanted.even_port.is_some() || chooses_family))
        || (wanted.family.is_some() && wanted.additional.is_some())
        || wanted.additional == Some(AddressFamily::IPV4)
        || (wanted.additional.is_some() && wanted.even_port == Some(true));
    if contradictory {
        Err(BAD_REQUEST)
    } else {
        Ok(())
    }
}

/// Seconds that are granted: what is wanted within our bounds, and never longer than the credential.
fn lifetime(wanted: Option<u32>, asker: &Asker<'_>, now: Now) -> u32 {
    let left = u32::try_from(asker.expires.saturating_sub(now.unix)).unwrap_or(u32::MAX);
    wanted
        .unwrap_or(DEFAULT_LIFETIME)
        .clamp(DEFAULT_LIFETIME, MAXIMUM_LIFETIME)
        .min(left)
}

fn granted(allocation: &Allocation, now: Now) -> Success {
    let left = allocation.expires.saturating_duration_since(now.instant);
    Success {
        mapped: Some(allocation.client.address),
        relayed: allocation.relays.map(|relay| relay.map(|it| it.address)),
        lifetime: Some(left.as_secs() as u32),
        ..Success::default()
    }
}

fn relay((key, address): Kept) -> Relay {
    Relay { key, address }
}

fn code_of(error: OpenError) -> u16 {
    match error {
        OpenError::NoFamily => FAMILY_NOT_SUPPORTED,
        OpenError::NoPort => INSUFFICIENT_CAPACITY,
    }
}
