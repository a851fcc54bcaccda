//! CreatePermission and ChannelBind (RFC 8656 sections 10 and 12).

use std::net::SocketAddr;

use stun_types::message::Message;

use super::allocation::BindError;
use super::message::{self, Refusal, Success};
use super::table::AllocationKey;
use super::{Asker, Now, Server};
use crate::peer_policy::Verdict;

const BAD_REQUEST: Refusal = Refusal::Code(400);
const FORBIDDEN: Refusal = Refusal::Code(403);
const FAMILY_MISMATCH: Refusal = Refusal::Code(443);
const INSUFFICIENT_CAPACITY: Refusal = Refusal::Code(508);
const MISMATCH: Refusal = Refusal::Code(437);

impl Server {
    pub(super) fn create_permission(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        request: &Message<'_>,
    ) -> Result<Success, Refusal> {
        let key = self.own_allocation(asker)?;
        // All are checked before one is permitted: a refused request changes nothing.
        let mut count = 0;
        for peer in message::peers(request) {
            let peer = peer?;
            self.check_family(key, peer)?;
            // A permission is for an address; which of our own ports it is, is checked with each packet.
            if self.policy.of_address(peer.ip()) == Verdict::Forbidden {
                return Err(FORBIDDEN);
            }
            count += 1;
        }
        if count == 0 {
            return Err(BAD_REQUEST);
        }
        let allocation = self.table.get_mut(key).ok_or(MISMATCH)?;
        for peer in message::peers(request) {
            if !allocation.permit(peer?.ip(), now.instant) {
                return Err(INSUFFICIENT_CAPACITY);
            }
        }
        Ok(Success::default())
    }

    pub(super) fn channel_bind(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        request: &Message<'_>,
    ) -> Result<Success, Refusal> {
        let key = self.own_allocation(asker)?;
        let number = message::channel(request)?.ok_or(BAD_REQUEST)?;
        let peer = message::peer(request)?.ok_or(BAD_REQUEST)?;
        // RFC 8656 gives out 0x4000 to 0x4fff; clients of RFC 5766 use up to 0x7ffe.
        if !(0x4000..=0x7ffe).contains(&number) {
            return Err(BAD_REQUEST);
        }
        self.check_family(key, peer)?;
        if !self.policy.allows(peer) {
            return Err(FORBIDDEN);
        }
        let allocation = self.table.get_mut(key).ok_or(MISMATCH)?;
        match allocation.bind(number, peer, now.instant) {
            Ok(()) => Ok(Success::default()),
            Err(BindError::Taken) => Err(BAD_REQUEST),
            Err(BindError::TooMany) => Err(INSUFFICIENT_CAPACITY),
        }
    }

    fn check_family(&self, key: AllocationKey, peer: SocketAddr) -> Result<(), Refusal> {
        let allocation = self.table.get(key).ok_or(MISMATCH)?;
        let relay = allocation.relay_for(peer);
        relay.map(|_| ()).ok_or(FAMILY_MISMATCH)
    }
}
