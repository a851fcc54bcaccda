//! The way of a packet: client to peer, peer to client. Nothing here allocates or logs.

use std::net::SocketAddr;

use stun_types::message::Message;
use turn_types::message::SEND;

use super::message;
use super::{Client, Drop, Now, RelayKey, Server, Wire};

/// Channel number and length (RFC 8656 section 12.4).
const CHANNEL_HEADER_LEN: usize = 4;

impl Server {
    /// Channel data of a client.
    pub(super) fn channel_from_client(
        &mut self,
        now: Now,
        client: Client,
        datagram: &[u8],
        wire: &mut impl Wire,
    ) {
        let outcome = self.forward_channel(now, client, datagram, wire);
        self.count_upward(outcome);
    }

    fn forward_channel(
        &mut self,
        now: Now,
        client: Client,
        datagram: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Drop> {
        let (header, rest) = datagram
            .split_at_checked(CHANNEL_HEADER_LEN)
            .ok_or(Drop::Malformed)?;
        let number = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // Datagrams may be padded (RFC 8656 section 12.5); what is behind the length is not data.
        let payload = rest.get(..length).ok_or(Drop::Malformed)?;
        let key = self.table.of_client(client).ok_or(Drop::NoAllocation)?;
        let allocation = self.table.get_mut(key).ok_or(Drop::NoAllocation)?;
        // Whether the peer is allowed was decided when the channel was bound.
        let peer = allocation
            .peer_of(number, now.instant)
            .ok_or(Drop::NoChannel)?;
        if !allocation.permits(peer.ip(), now.instant) {
            return Err(Drop::NoPermission);
        }
        if !allocation
            .upward
            .take(length, self.bytes_per_second, now.instant)
        {
            return Err(Drop::OverBandwidth);
        }
        let relay = allocation.relay_for(peer).ok_or(Drop::NoRelay)?;
        wire.to_peer(relay.key, peer, payload);
        Ok(())
    }

    /// An indication of a client: only Send has a meaning (RFC 8656 section 11.2).
    pub(super) fn indication(
        &mut self,
        now: Now,
        client: Client,
        indication: &Message<'_>,
        datagram: &[u8],
        wire: &mut impl Wire,
    ) {
        let outcome = if indication.method() == SEND {
            self.forward_indication(now, client, indication, datagram, wire)
        } else {
            Err(Drop::NotOurs)
        };
        self.count_upward(outcome);
    }

    fn forward_indication(
        &mut self,
        now: Now,
        client: Client,
        indication: &Message<'_>,
        datagram: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Drop> {
        let peer = message::peer(indication)
            .ok()
            .flatten()
            .ok_or(Drop::Malformed)?;
        let payload = message::payload(indication, datagram).ok_or(Drop::Malformed)?;
        let key = self.table.of_client(client).ok_or(Drop::NoAllocation)?;
        let allocation = self.table.get_mut(key).ok_or(Drop::NoAllocation)?;
        if !allocation.permits(peer.ip(), now.instant) {
            return Err(Drop::NoPermission);
        }
        if !self.policy.allows(peer) {
            return Err(Drop::ForbiddenPeer);
        }
        if !allocation
            .upward
            .take(payload.len(), self.bytes_per_second, now.instant)
        {
            return Err(Drop::OverBandwidth);
        }
        let relay = allocation.relay_for(peer).ok_or(Drop::NoRelay)?;
        wire.to_peer(relay.key, peer, payload);
        Ok(())
    }

    fn count_upward(&mut self, outcome: Result<(), Drop>) {
        match outcome {
            Ok(()) => self.counters.upward += 1,
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// A datagram that came to a relay.
    pub fn handle_peer(
        &mut self,
        now: Now,
        relay: RelayKey,
        peer: SocketAddr,
        payload: &[u8],
        wire: &mut impl Wire,
    ) {
        match self.forward_to_client(now, relay, peer, payload, wire) {
            Ok(()) => self.counters.downward += 1,
            Err(reason) => self.counters.drop(reason),
        }
    }

    fn forward_to_client(
        &mut self,
        now: Now,
        relay: RelayKey,
        peer: SocketAddr,
        payload: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Drop> {
        let key = self.table.of_relay(relay).ok_or(Drop::NoAllocation)?;
        let allocation = self.table.get_mut(key).ok_or(Drop::NoAllocation)?;
        if !allocation.permits(peer.ip(), now.instant) {
            return Err(Drop::NoPermission);
        }
        let channel = allocation.channel_of(peer, now.instant);
        // A permission for one of our own addresses is for its media ports only.
        if channel.is_none() && !self.policy.allows(peer) {
            return Err(Drop::ForbiddenPeer);
        }
        if !allocation
            .downward
            .take(payload.len(), self.bytes_per_second, now.instant)
        {
            return Err(Drop::OverBandwidth);
        }
        let client = allocation.client;
        if let Some(channel) = channel {
            wire.channel_to_client(client, channel, payload);
            return Ok(());
        }
        let mut transaction = [0; 16];
        wire.random(&mut transaction[4..]);
        let transaction = u128::from_be_bytes(transaction);
        let length = message::write_data(transaction, peer, payload, &mut self.scratch)
            .ok_or(Drop::TooLong)?;
        wire.to_client(client, &self.scratch[..length]);
        Ok(())
    }
}
