//! Protection by ULPFEC (RFC 5109), made anew for each subscriber from the packets that it was sent. What is the same for
//! all of them is read once, and the whole costs no more than the publisher's media allows for.

use std::time::Instant;

use arrayvec::ArrayVec;

use super::counters::Discard;
use super::outbox::{Outbox, SLOT_LEN};
use super::redundancy::Content;
use super::sending::{Copy, Shape, send, write_header, write_payload};
use super::session::ExtensionIds;
use super::source::Source;
use super::{EncodingKey, Engine};
use crate::codec::Codec;
use crate::codec::ulpfec::{MASKED, Parity, Protected};
use crate::forward::encoding::{Encoding, Received};
use crate::forward::publication::Publication;
use crate::forward::repeats::Leaving;
use crate::forward::subscription::{Rewritten, Subscription};
use crate::wire::rtp::Header;

/// Packets that one of FEC can name.
const MAX_NAMED: usize = MASKED as usize;
/// Packets that are written again for subscribers' protection in a receive batch: about a millisecond's.
const MAX_PROTECTED: u64 = 10_000;

impl Engine {
    /// A packet that protects others, to those who take such; the others' numbers close over it.
    pub(super) fn fan_out_protection(
        &mut self,
        key: EncodingKey,
        (header, packet): (&Header, &[u8]),
        received: &Received,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let Some(encoding) = self.encodings.get_mut(key) else {
            return;
        };
        let publication = &self.publications[encoding.publication];
        let Ok(content) = Content::read(publication, header, packet) else {
            return;
        };
        let mut protected = Protected::read(content.payload);
        if protected.is_some_and(|protected| !encoding.may_protect(protected.count())) {
            self.counters.discard(Discard::ProtectionFlood);
            protected = None;
        }
        let encoding = &self.encodings[key];
        let incoming = self.incoming_extensions(publication);
        let started = self.started;
        let source = Source::new(header, packet, &content, &incoming, started, now);
        let shared = Shared {
            encoding,
            publication,
            incoming: &incoming,
            started,
            now,
        };
        let headers = shared.headers(protected);
        let named = shared.named(&headers);
        let mut parity = [0; SLOT_LEN];
        let most = self.protected_before + MAX_PROTECTED;
        let subscribers = self.rotation.split(&encoding.subscriptions);
        for &subscriber in subscribers.into_iter().flatten() {
            let subscription = &mut self.subscriptions[subscriber];
            if !subscription.receives(key, received) {
                self.counters.discard(Discard::BeforeKeyFrame);
                continue;
            }
            let session = &mut self.sessions[subscription.session];
            let red = source.red_for(subscription);
            // On a way that is full, what it protects needs the room, and in a busy worker its time.
            let is_taken = red.is_some()
                && subscription.format(source.payload_type).is_some()
                && !session.pacer.is_full()
                && self.counters.packets_protected < most;
            let length = protected.filter(|_| is_taken).and_then(|protected| {
                self.counters.packets_protected += named.len() as u64;
                let (longest, extensions) = (protected.length, &session.extensions);
                protect(longest, &named, subscription, extensions, &mut parity)
            });
            let written = source.with_payload(&parity[..length.unwrap_or_default()]);
            let sent = subscription
                .rewrite_protection(
                    source.payload_type,
                    source.header.timestamp,
                    received,
                    length.is_some(),
                )
                .and_then(|rewritten| {
                    let first = Copy::First;
                    let rewritten = Rewritten { red, ..rewritten };
                    send(&written, &rewritten, first, subscription, session, outbox)
                });
            match sent {
                Ok(()) => self.counters.packets_forwarded += 1,
                Err(reason) => self.counters.discard(reason),
            }
        }
    }
}

/// What all subscribers' protection is made from.
struct Shared<'a> {
    encoding: &'a Encoding,
    publication: &'a Publication,
    incoming: &'a ExtensionIds,
    started: Instant,
    now: Instant,
}

/// A packet that a packet of FEC names.
struct Named<'a> {
    extended: u64,
    source: Source<'a>,
}

type Headers<'a> = ArrayVec<(u64, Header, &'a [u8]), MAX_NAMED>;

impl<'a> Shared<'a> {
    /// The named packets that are still there.
    fn headers(&self, protected: Option<Protected>) -> Headers<'a> {
        let (Some(protected), Some(reception)) = (protected, &self.encoding.reception) else {
            return Headers::new();
        };
        let found = protected.numbers().filter_map(|number| {
            let extended = reception.extend(number);
            let packet = self.encoding.cache.get(extended, self.now)?;
            Some((extended, Header::parse(packet).ok()?, packet))
        });
        found.take(MAX_NAMED).collect()
    }

    /// Those that came in RED: receivers recover no others.
    fn named<'b>(&self, headers: &'b Headers<'b>) -> ArrayVec<Named<'b>, MAX_NAMED> {
        let named = headers.iter().filter_map(|(extended, header, packet)| {
            let content = Content::read(self.publication, header, packet).ok()?;
            if content.red.is_none() || content.format.codec == Codec::UlpFec {
                return None;
            }
            let (incoming, started, now) = (self.incoming, self.started, self.now);
            Some(Named {
                extended: *extended,
                source: Source::new(header, packet, &content, incoming, started, now),
            })
        });
        named.collect()
    }
}

/// Protects those of the named packets that the subscriber was sent, byte for byte as it was. The publisher's parity is not
/// of these bytes: sequence numbers, header extensions, picture numbers and timestamps differ.
fn protect(
    longest: usize,
    named: &[Named<'_>],
    subscription: &mut Subscription,
    extensions: &ExtensionIds,
    out: &mut [u8],
) -> Option<usize> {
    let mut parity = Parity::new(out);
    let mut packet = [0; SLOT_LEN];
    for named in named {
        if let Some(length) = write_sent(named, subscription, extensions, &mut packet) {
            // Parity of a part of a packet is asked for: the whole would be more than the publisher sends.
            if named.source.payload.len() > longest {
                return None;
            }
            parity.add(&packet[..length]);
        }
    }
    parity.finish()
}

/// Writes a packet as the subscriber was sent it, without its RED, and gives its length.
fn write_sent(
    named: &Named<'_>,
    subscription: &mut Subscription,
    extensions: &ExtensionIds,
    out: &mut [u8; SLOT_LEN],
) -> Option<usize> {
    let source = &named.source;
    let timestamp = source.header.timestamp;
    let rewritten = subscription.sent(named.extended, source.payload_type, timestamp)?;
    let shape = Shape {
        payload_type: rewritten.payload_type,
        ssrc: subscription.settings.ssrc,
        number: rewritten.index as u16,
        mid: &subscription.settings.mid,
        // Receivers take what only the sender's network knows for zero, as libwebrtc's senders do.
        leaving: &Leaving {
            names_mid: subscription.names_mid(),
            ..Leaving::default()
        },
        extensions,
    };
    let start = write_header(out, source, &rewritten, &shape);
    let end = start + source.payload.len();
    let slot = out.get_mut(start..end)?;
    write_payload(slot, source.payload, source.codec, &rewritten);
    Some(end)
}
