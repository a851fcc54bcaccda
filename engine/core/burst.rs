//! Packets of one encoding that came in a row, on their way to its subscribers: one after another, each gets all of them.
//!
//! A frame comes as several packets. What sending to a subscriber needs (keys, numbers, the estimator's memory) is then
//! fetched once a frame, and a large room's first subscribers have the frame before it is encrypted for the last ones.

use std::time::Instant;

use arrayvec::ArrayVec;

use super::counters::Discard;
use super::outbox::Outbox;
use super::pacing::{Held, Turn};
use super::sending::{Copy, send};
use super::source::Source;
use super::{EncodingKey, Engine, SubscriptionKey, ahead};
use crate::forward::encoding::Received;
use crate::wire::rtp::Header;

/// Packets of a burst: a frame's, but for key frames. All of them are in the encoding's cache.
const MAX_PACKETS: usize = 16;

/// What came of an encoding and is to be sent on.
#[derive(Default)]
pub(super) struct Burst {
    encoding: EncodingKey,
    packets: Vec<Waiting>,
}

struct Waiting {
    header: Header,
    received: Received,
}

/// With which subscriber a burst begins. The last ones wait longest where the link is full, and lose first: each time others.
#[derive(Default)]
pub(super) struct Rotation(u32);

impl Rotation {
    /// 2^32 divided by the golden ratio: any number of steps in a row are spread evenly, and so is each second or third one.
    const STEP: u32 = 0x9E37_79B9;

    /// All of them, in their order but for the beginning.
    #[inline]
    pub fn split<'a, T>(&mut self, all: &'a [T]) -> [&'a [T]; 2] {
        let (last, first) = all.split_at(self.next(all.len()));
        [first, last]
    }

    /// An index below `count`.
    #[inline]
    fn next(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(Self::STEP);
        ((u64::from(self.0) * count as u64) >> 32) as usize
    }
}

impl Burst {
    /// Whether a packet of that stream may join it.
    #[inline]
    pub fn takes(&self, encoding: EncodingKey, ssrc: u32) -> bool {
        self.packets.first().is_none_or(|first| {
            // Another stream of the encoding empties the cache.
            encoding == self.encoding
                && ssrc == first.header.ssrc
                && self.packets.len() < MAX_PACKETS
        })
    }

    #[inline]
    pub fn push(&mut self, encoding: EncodingKey, header: Header, received: Received) {
        self.encoding = encoding;
        self.packets.push(Waiting { header, received });
    }
}

impl Engine {
    /// Sends on what has come.
    #[inline]
    pub(super) fn fan_out_burst(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.burst.packets.is_empty() {
            return;
        }
        let mut burst = std::mem::take(&mut self.burst);
        self.fan_out(&burst, now, outbox);
        self.settle_switches(now);
        let has_base_layer = burst.packets.iter().any(|packet| {
            let placement = &packet.received.placement;
            placement.is_some_and(|placement| placement.layer.temporal == 0)
        });
        if has_base_layer {
            self.want_key_frame_for_layers(burst.encoding, now);
        }
        // Its memory is used again.
        burst.packets.clear();
        self.burst = burst;
    }

    fn fan_out(&mut self, burst: &Burst, now: Instant, outbox: &mut Outbox) {
        let key = burst.encoding;
        let Some(encoding) = self.encodings.get(key) else {
            return;
        };
        let publication = &self.publications[encoding.publication];
        let incoming = self.incoming_extensions(publication);
        let mut sources = ArrayVec::<_, MAX_PACKETS>::new();
        for Waiting { header, received } in &burst.packets {
            let source = encoding
                .cache
                .get(received.extended, now)
                .and_then(|packet| {
                    Source::kept(header, packet, publication, &incoming, self.started, now)
                });
            if let Some(source) = source {
                sources.push((source, received));
            }
        }
        for subscribers in self.rotation.split(&encoding.subscriptions) {
            for (turn, &subscriber) in subscribers.iter().enumerate() {
                ahead::fetch(&subscribers[turn..], &self.subscriptions, &self.sessions);
                let Some(subscription) = self.subscriptions.get_mut(subscriber) else {
                    debug_assert!(false, "a subscription that has ended is in a list");
                    continue;
                };
                let mut recipient = Recipient {
                    key: subscriber,
                    encoding: key,
                    turn: Turn {
                        session: &mut self.sessions[subscription.session],
                        subscription,
                        timers: &mut self.timers,
                        counters: &mut self.counters,
                    },
                    switched: &mut self.switched,
                };
                for (source, received) in &sources {
                    recipient.take(source, received, outbox);
                }
                outbox.flush_if_long();
            }
        }
    }
}

/// Whose turn it is.
struct Recipient<'a> {
    key: SubscriptionKey,
    encoding: EncodingKey,
    turn: Turn<'a>,
    /// Those that left another encoding.
    switched: &'a mut Vec<SubscriptionKey>,
}

impl Recipient<'_> {
    #[inline]
    fn take(&mut self, source: &Source<'_>, received: &Received, outbox: &mut Outbox) {
        match self.send(source, received, outbox) {
            Ok(left) => self.turn.counters.packets_forwarded += left,
            Err(reason) => self.turn.counters.discard(reason),
        }
        // Also where this packet is not for the peer: the first one of a new encoding may be of another layer.
        if self.turn.subscription.left().is_some() {
            self.switched.push(self.key);
        }
    }

    /// How many packets leave now: one, or none where it waits.
    ///
    /// # Errors
    /// Why this peer does not get it.
    #[inline]
    fn send(
        &mut self,
        source: &Source<'_>,
        received: &Received,
        outbox: &mut Outbox,
    ) -> Result<u64, Discard> {
        let turn = &mut self.turn;
        let mut rewritten = turn.subscription.rewrite(
            self.encoding,
            source.payload_type,
            source.header.timestamp,
            received,
            source.clock_rate,
            source.now,
        )?;
        rewritten.red = source.red_for(turn.subscription);
        if turn.session.pacer.is_full() {
            let packet = Held {
                subscriber: self.key,
                encoding: self.encoding,
                generation: received.generation,
                extended: received.extended,
                size: source.payload.len() as u16,
                rewritten,
            };
            match turn.take(packet, source.now)? {
                Some(now) => rewritten = now,
                None => return Ok(0),
            }
        }
        let (subscription, session) = (&mut *turn.subscription, &mut *turn.session);
        let first = Copy::First;
        send(source, &rewritten, first, subscription, session, outbox).map(|()| 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Rotation;

    #[test]
    fn each_subscriber_has_its_turn_to_be_first() {
        for encodings in 1..5 {
            let mut rotation = Rotation::default();
            let mut first = [0; 500];
            for frame in 0..10 * first.len() * encodings {
                let index = rotation.next(first.len());
                // Bursts of several encodings take turns.
                if frame % encodings == 0 {
                    first[index] += 1;
                }
            }
            let (least, most) = (first.iter().min(), first.iter().max());
            assert!(least >= Some(&5) && most <= Some(&15), "{least:?} {most:?}");
        }
        assert_eq!(Rotation::default().next(0), 0);
    }
}
