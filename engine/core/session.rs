//! What the engine keeps of one session.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use foldhash::fast::RandomState;
use switchyard_net::prefetch;

use super::channels::{DataTransport, Pending, Streams};
use super::feedback_budget::FeedbackBudget;
use super::feedback_path::FollowUp;
use super::outbox::ChainHint;
use super::outlets::Outlet;
use super::pacing::Held;
use super::{ChannelKey, EncodingKey, PublicationKey, SessionKey, SubscriptionKey};
use crate::bandwidth::estimator::Estimator;
use crate::bandwidth::pacer::Pacer;
use crate::ice::TransactionId;
use crate::transport::{Path, Transport};
use crate::wire::rtcp::transport_feedback::Arrivals;

/// The IDs of the session's RTP header extensions; zero: not agreed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ExtensionIds {
    /// RFC 9143.
    pub mid: u8,
    /// RFC 8852.
    pub rid: u8,
    /// RFC 8852.
    pub repaired_rid: u8,
    /// abs-send-time.
    pub absolute_send_time: u8,
    /// transport-wide sequence number.
    pub transport_wide_cc: u8,
    /// RFC 6464.
    pub audio_level: u8,
    /// 3GPP TS 26.114.
    pub video_orientation: u8,
    /// playout-delay.
    pub playout_delay: u8,
    /// AV1 RTP specification.
    pub dependency_descriptor: u8,
    /// The peer takes the two-byte form beside the one-byte one.
    pub mixed: bool,
}

/// What the packets of an SSRC are.
#[derive(Clone, Copy, Debug)]
pub struct IncomingStream {
    pub encoding: EncodingKey,
    /// For retransmissions: the SSRC that they repair, once known.
    pub repairs: Option<Option<u32>>,
    /// By a packet, and not by a description.
    pub is_learned: bool,
    /// Which one of all packets was its last.
    pub newest: u64,
}

/// Addresses of one peer that ICE validated, each with the socket of ours that it was checked for. A peer cannot claim
/// more than a few.
#[derive(Default)]
pub struct Addresses {
    /// That of the last check is the last.
    known: Vec<(u16, SocketAddr)>,
}

/// As many as ICE keeps pairs.
const MAX_ADDRESSES: usize = 64;

impl Addresses {
    /// Makes the address this session's; the one that was not checked for longest gives way when there are too many.
    pub fn validate(
        &mut self,
        address: (u16, SocketAddr),
        session: SessionKey,
        by_address: &mut AddressMap,
    ) {
        match self.known.iter().position(|&known| known == address) {
            Some(index) => self.known[index..].rotate_left(1),
            None => {
                if self.known.len() == MAX_ADDRESSES {
                    Self::forget(self.known.remove(0), session, by_address);
                }
                self.known.push(address);
            }
        }
        by_address.insert(address, session);
    }

    /// Whether the peer was heard from there.
    #[cfg(test)]
    pub fn contains(&self, address: (u16, SocketAddr)) -> bool {
        self.known.contains(&address)
    }

    /// Gives one back.
    pub fn drop(
        &mut self,
        address: (u16, SocketAddr),
        session: SessionKey,
        by_address: &mut AddressMap,
    ) {
        self.known.retain(|known| *known != address);
        Self::forget(address, session, by_address);
    }

    /// Gives all addresses back.
    pub fn clear(&mut self, session: SessionKey, by_address: &mut AddressMap) {
        for address in self.known.drain(..) {
            Self::forget(address, session, by_address);
        }
    }

    /// Another session of the same peer may have taken the address over.
    fn forget(address: (u16, SocketAddr), session: SessionKey, by_address: &mut AddressMap) {
        if by_address.get(&address) == Some(&session) {
            by_address.remove(&address);
        }
    }
}

/// Looked at for every packet, by what strangers choose: a hash that is fast and seeded.
pub type AddressMap = HashMap<(u16, SocketAddr), SessionKey, RandomState>;

/// One session.
pub struct Session {
    pub id: String,
    /// Control's own, never read here.
    pub control_state: Vec<u8>,
    pub transport: Option<Transport>,
    pub transport_timer: Option<Instant>,
    pub addresses: Addresses,
    /// From where its full agent speaks.
    pub outlet: Outlet,
    /// Its entries in `Checks`, the oldest first.
    pub awaited_checks: VecDeque<TransactionId>,
    pub extensions: ExtensionIds,
    pub publications: Vec<PublicationKey>,
    pub subscriptions: Vec<SubscriptionKey>,
    /// By SSRC: announced ones, and learned ones up to `MAX_LEARNED_STREAMS`.
    pub incoming: HashMap<u32, IncomingStream, RandomState>,
    pub learned: usize,
    /// By SSRC, of media and of retransmissions.
    pub outgoing: HashMap<u32, SubscriptionKey, RandomState>,
    /// SSRCs that packets to the peer have had under its keys: an SSRC that began anew would repeat nonces.
    pub used_ssrcs: HashSet<u32, RandomState>,
    /// Transport-wide numbers that came, for the next feedback to the peer.
    pub arrivals: Arrivals,
    /// The stream of the last of them: libwebrtc passes over feedback that names none of its own.
    pub arrivals_ssrc: u32,
    pub arrivals_timer: Option<Instant>,
    pub report_timer: Option<Instant>,
    /// The next transport-wide number towards the peer.
    pub transport_sequence: u16,
    /// Where its datagrams gather.
    pub chain: ChainHint,
    /// What the way to the peer carries.
    pub estimator: Estimator,
    /// The way that it is about.
    pub estimated_path: Option<Path>,
    /// Retransmissions that the peer asked for, and video that waits for its turn.
    pub pacer: Pacer<(SubscriptionKey, u16), Held>,
    pub bandwidth_timer: Option<Instant>,
    /// The estimate that was shared out last, in bit/s, and when to do it again.
    pub allocated: u64,
    pub allocate_at: Option<Instant>,
    /// When that was done because the estimate had fallen.
    pub fell_at: Option<Instant>,
    /// A video is paused for want of room.
    pub has_paused: bool,
    /// What its peer's feedback may cost.
    pub feedback_budget: FeedbackBudget,
    /// What its peer's feedback has made due.
    pub follow_up: Option<FollowUp>,
    /// SCTP, once the descriptions agreed on it.
    pub data: Option<DataTransport>,
    pub channels: Vec<ChannelKey>,
    /// Channels that are not closed, by their SCTP stream.
    pub streams: Streams,
    /// Channels with messages that wait, each once.
    pub pending: Pending,
}

/// SSRCs of a peer that are remembered without being announced: then the one that is longest silent is forgotten.
pub const MAX_LEARNED_STREAMS: usize = 256;

impl Session {
    /// A session that control has just made known.
    pub fn new(id: String, now: Instant) -> Session {
        Session {
            id,
            control_state: Vec::new(),
            transport: None,
            transport_timer: None,
            addresses: Addresses::default(),
            outlet: Outlet::default(),
            awaited_checks: VecDeque::new(),
            extensions: ExtensionIds::default(),
            publications: Vec::new(),
            subscriptions: Vec::new(),
            incoming: HashMap::default(),
            learned: 0,
            outgoing: HashMap::default(),
            used_ssrcs: HashSet::default(),
            arrivals: Arrivals::new(),
            arrivals_ssrc: 0,
            arrivals_timer: None,
            report_timer: None,
            transport_sequence: 0,
            chain: ChainHint::default(),
            estimator: Estimator::new(now),
            estimated_path: None,
            pacer: Pacer::new(now),
            bandwidth_timer: None,
            allocated: 0,
            allocate_at: None,
            fell_at: None,
            has_paused: false,
            feedback_budget: FeedbackBudget::new(now),
            follow_up: None,
            data: None,
            channels: Vec::new(),
            streams: Streams::new(),
            pending: Pending::new(),
        }
    }

    /// Remembers which stream an SSRC is that nobody announced.
    pub fn learn(&mut self, ssrc: u32, stream: IncomingStream) {
        while self.learned >= MAX_LEARNED_STREAMS {
            let learned = self.incoming.iter().filter(|(_, known)| known.is_learned);
            let silent = learned.min_by_key(|(_, known)| known.newest);
            let Some((&silent, _)) = silent else { break };
            self.incoming.remove(&silent);
            self.learned -= 1;
        }
        self.incoming.insert(ssrc, stream);
        self.learned += 1;
    }

    /// Has fetched what sending a packet reads and writes of it.
    #[inline]
    pub fn fetch_sending(&self) {
        prefetch(&self.extensions);
        prefetch(&self.transport_sequence);
        prefetch(&self.chain);
        self.estimator.fetch_sending();
        self.pacer.fetch_sending();
        if let Some(transport) = &self.transport {
            transport.fetch_sending();
        }
    }
}
