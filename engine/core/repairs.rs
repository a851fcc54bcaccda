//! Packets of the cache that a subscriber is sent again, asked for or as padding.

use std::time::Instant;

use super::outbox::Outbox;
use super::sending::{Copy, Rtx, send};
use super::source::Source;
use super::{Engine, SubscriptionKey};
use crate::codec::Codec;
use crate::forward::mapping::Asked;
use crate::forward::repeats::Repeats;
use crate::forward::subscription::Rewritten;
use crate::wire::rtp::Header;

/// What became of a request for a packet.
#[derive(PartialEq, Eq)]
pub(super) enum Repair {
    Sent,
    /// It is not kept any more.
    Gone,
    /// Its place on the way is needed for what came after it.
    Declined,
}

impl Engine {
    /// Sends a packet of the cache again (RFC 4585 section 6.2.1), by RTX where agreed (RFC 4588).
    pub(super) fn retransmit(
        &mut self,
        subscriber: SubscriptionKey,
        sequence_number: u16,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Repair {
        // What was asked for waited for its turn: its track may have been closed meanwhile.
        let Some(subscription) = self.subscriptions.get(subscriber) else {
            return Repair::Gone;
        };
        let Some(asked) = subscription.find_asked(sequence_number, now) else {
            return Repair::Gone;
        };
        let estimator = &self.sessions[subscription.session].estimator;
        if asked.is_left && estimator.is_crowded(now) {
            return Repair::Declined;
        }
        match self.repeat(subscriber, &asked, now, outbox) {
            Some(()) => Repair::Sent,
            None => Repair::Gone,
        }
    }

    /// Sends one of the last packets again by RTX though nobody asked: a probe is filled with it.
    pub(super) fn pad(
        &mut self,
        subscriber: SubscriptionKey,
        behind: u64,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let asked = self.subscriptions[subscriber].find_recent(behind)?;
        self.repeat(subscriber, &asked, now, outbox)?;
        self.counters.packets_padded += 1;
        Some(())
    }

    fn repeat(
        &mut self,
        subscriber: SubscriptionKey,
        asked: &Asked,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let encoding = self.encodings.get(asked.encoding)?;
        if encoding.generation() != asked.generation {
            return None;
        }
        let publication = &self.publications[encoding.publication];
        let incoming = self.incoming_extensions(publication);
        let packet = encoding.cache.get(asked.extended, now)?;
        let subscription = &mut self.subscriptions[subscriber];
        let header = Header::parse(packet).ok()?;
        let source = Source::kept(&header, packet, publication, &incoming, self.started, now)?;
        let format = subscription.format_of(asked, source.payload_type)?;
        let red = source
            .red
            .and_then(|red| subscription.format_of(asked, red));
        let carrier = red.unwrap_or(format);
        let rewritten = Rewritten {
            payload_type: format.payload_type,
            index: asked.index,
            timestamp: header.timestamp.wrapping_add(asked.timestamp_offset),
            picture_offsets: asked.picture_offsets,
            ends_picture: asked.ends_picture,
            // What protects others is of no use as late as this, but its number is waited for.
            is_empty: source.codec == Codec::UlpFec,
            red: red.map(|red| red.payload_type),
            switched: false,
        };
        let session = &mut self.sessions[subscription.session];
        let rtx = carrier
            .rtx_payload_type
            .zip(subscription.settings.rtx_ssrc)
            .map(|(payload_type, ssrc)| Rtx {
                payload_type,
                ssrc,
                index: subscription.next_rtx_index(),
            });
        let copy = match rtx {
            Some(rtx) => Copy::Rtx(rtx),
            // It would be another packet under the same nonce.
            None if rewritten.is_empty => return None,
            None => {
                let form = session.extensions;
                let repeats = &mut subscription.repeats;
                let repeats = repeats.get_or_insert_with(|| Repeats::new(form));
                Copy::Plain(repeats.find(form, asked.index)?)
            }
        };
        send(&source, &rewritten, copy, subscription, session, outbox).ok()
    }
}
