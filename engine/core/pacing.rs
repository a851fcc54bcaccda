//! Video that waits for its turn on a narrow way. It waits as a number: the packet stays in its publication's cache, and
//! its transport-wide number is given when it leaves.

use std::time::Instant;

use super::counters::{Counters, Discard};
use super::outbox::Outbox;
use super::sending::{Copy, send};
use super::session::Session;
use super::source::Source;
use super::timers::{Timer, Timers};
use super::{EncodingKey, Engine, SessionKey, SubscriptionKey};
use crate::forward::publication::MediaKind;
use crate::forward::subscription::{Rewritten, Subscription};
use crate::wire::rtp::Header;

/// A packet that waits.
pub struct Held {
    pub subscriber: SubscriptionKey,
    pub encoding: EncodingKey,
    pub generation: u32,
    /// Its number in the encoding.
    pub extended: u64,
    /// Of its payload, in bytes.
    pub size: u16,
    pub rewritten: Rewritten,
}

/// What decides whether a packet leaves now.
pub(super) struct Turn<'a> {
    pub session: &'a mut Session,
    pub subscription: &'a mut Subscription,
    pub timers: &'a mut Timers,
    pub counters: &'a mut Counters,
}

impl Turn<'_> {
    /// The packet, where it leaves now; none: it waits.
    ///
    /// # Errors
    /// Too many wait.
    #[cold]
    pub fn take(&mut self, mut packet: Held, now: Instant) -> Result<Option<Rewritten>, Discard> {
        if packet.rewritten.switched {
            packet.rewritten.index = drop_unsent(
                packet.subscriber,
                packet.rewritten.index,
                self.session,
                self.counters,
            );
            self.subscription.begin_at(packet.rewritten.index);
        }
        let pacer = &mut self.session.pacer;
        if self.subscription.kind() == MediaKind::Audio || !pacer.must_hold(now) {
            return Ok(Some(packet.rewritten));
        }
        let size = packet.size;
        if !pacer.hold(packet, size, now) {
            return Err(Discard::TooManyHeld);
        }
        let due = pacer.next_due(now);
        let timer = Timer::Bandwidth(self.subscription.session);
        self.timers
            .arm(&mut self.session.bandwidth_timer, due, timer);
        Ok(None)
    }
}

/// The last packets of a stream need not leave any more: takes those out that wait, and gives the number that is free
/// then. `next` is the first one that was not given. Only what never left may be numbered again.
fn drop_unsent(
    subscriber: SubscriptionKey,
    next: u64,
    session: &mut Session,
    counters: &mut Counters,
) -> u64 {
    let mut numbers: Vec<u64> = session
        .pacer
        .held()
        .filter(|held| held.subscriber == subscriber)
        .map(|held| held.rewritten.index)
        .collect();
    numbers.sort_unstable();
    let unsent = numbers.iter().rev().zip((0..next).rev());
    let count = unsent.take_while(|&(&held, number)| held == number).count() as u64;
    let free = next - count;
    session
        .pacer
        .drop_held(|held| held.subscriber == subscriber && held.rewritten.index >= free);
    counters.discard_many(Discard::Overtaken, count);
    free
}

impl Engine {
    /// Sends video that waited as far as it may leave now.
    pub(super) fn send_held(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        while let Some(held) = self.sessions[key].pacer.next_held(now) {
            match self.send_one_held(&held, now, outbox) {
                Ok(()) => self.counters.packets_forwarded += 1,
                Err(reason) => self.counters.discard(reason),
            }
        }
    }

    fn send_one_held(
        &mut self,
        held: &Held,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let encoding = self.encodings.get(held.encoding);
        let encoding = encoding
            .filter(|encoding| encoding.generation() == held.generation)
            .ok_or(Discard::HeldTooLong)?;
        let publication = &self.publications[encoding.publication];
        let incoming = self.incoming_extensions(publication);
        let packet = encoding
            .cache
            .get(held.extended, now)
            .ok_or(Discard::HeldTooLong)?;
        let header = Header::parse(packet).map_err(|_| Discard::Malformed)?;
        let source = Source::kept(&header, packet, publication, &incoming, self.started, now)
            .ok_or(Discard::UnknownPayloadType)?;
        let subscription = self
            .subscriptions
            .get_mut(held.subscriber)
            .ok_or(Discard::HeldTooLong)?;
        let session = &mut self.sessions[subscription.session];
        let copy = Copy::First;
        send(
            &source,
            &held.rewritten,
            copy,
            subscription,
            session,
            outbox,
        )
    }

    /// A subscription gets nothing for now: what of it waits does not leave.
    pub(super) fn drop_held(&mut self, key: SubscriptionKey) {
        let subscription = &mut self.subscriptions[key];
        let session = &mut self.sessions[subscription.session];
        if session.pacer.holds() {
            let next = subscription.next_outgoing();
            let free = drop_unsent(key, next, session, &mut self.counters);
            subscription.go_on_at(free);
        }
    }
}
