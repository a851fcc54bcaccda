//! RED and ULPFEC of video (RFC 2198, RFC 5109): what came in RED is known by what is in it, and goes out in RED to
//! those who take that. Protection is made anew for each subscriber, from the packets that it was sent.

use std::time::Instant;

use super::counters::Discard;
use super::extensions::PassedValues;
use super::outbox::{Outbox, SLOT_LEN};
use super::sending::{Copy, Shape, send, write_header, write_payload};
use super::session::ExtensionIds;
use super::source::Source;
use super::{EncodingKey, Engine};
use crate::codec::ulpfec::{Parity, Protected};
use crate::codec::{Codec, red};
use crate::forward::encoding::{Encoding, Received};
use crate::forward::publication::{Format, Publication};
use crate::forward::repeats::Leaving;
use crate::forward::subscription::{Rewritten, Subscription};
use crate::wire::rtp::Header;

/// What is in a packet: its own payload, or the primary block of its RED.
#[derive(Clone, Copy)]
pub(super) struct Content<'p, 'a> {
    pub format: &'p Format,
    pub payload: &'a [u8],
    /// The publisher's payload type of the RED around it.
    pub red: Option<u8>,
}

impl<'p, 'a> Content<'p, 'a> {
    #[inline]
    pub fn read(
        publication: &'p Publication,
        header: &Header,
        packet: &'a [u8],
    ) -> Result<Content<'p, 'a>, Discard> {
        let payload = header.payload(packet).map_err(|_| Discard::Malformed)?;
        let format = publication
            .format(header.payload_type)
            .ok_or(Discard::UnknownPayloadType)?;
        if format.codec == Codec::VideoRed {
            return Content::unwrap(publication, format, payload);
        }
        Ok(Content {
            format,
            payload,
            red: None,
        })
    }

    /// What passes on from the header; what protects others has their frame's values, but is no part of it.
    #[inline]
    pub fn passed_values(
        &self,
        header: &Header,
        packet: &'a [u8],
        extensions: &ExtensionIds,
    ) -> PassedValues<'a> {
        match self.format.codec {
            Codec::UlpFec => PassedValues::default(),
            _ => PassedValues::read(header, packet, extensions),
        }
    }

    /// Blocks before the primary one repeat older packets, under no number by which they could be told: they are left.
    fn unwrap(
        publication: &'p Publication,
        wrapper: &Format,
        payload: &'a [u8],
    ) -> Result<Content<'p, 'a>, Discard> {
        let red = Some(wrapper.payload_type);
        let mut formats = publication.settings.formats.iter();
        let (format, payload) = if payload.is_empty() {
            // Padding, which may come in any format.
            (formats.find(|format| format.codec.is_media()), payload)
        } else {
            let (inner, block) = red::primary(payload).ok_or(Discard::Malformed)?;
            (publication.format(inner), block)
        };
        let format = format
            .filter(|format| format.codec != Codec::VideoRed)
            .ok_or(Discard::UnknownPayloadType)?;
        Ok(Content {
            format,
            payload,
            red,
        })
    }
}

impl Engine {
    /// A packet that was lost and has come again: a peer that protects its packets does so by what is lost before that.
    pub(super) fn report_as_lost(&mut self, key: EncodingKey) {
        let encoding = &mut self.encodings[key];
        let publication = &self.publications[encoding.publication];
        if let Some(reception) = &mut encoding.reception
            && publication.protection().is_some()
        {
            reception.uncount();
        }
    }

    /// A packet that protects others, to those who take such; the others' numbers close over it.
    pub(super) fn fan_out_protection(
        &mut self,
        key: EncodingKey,
        (header, packet): (&Header, &[u8]),
        received: &Received,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let Some(encoding) = self.encodings.get(key) else {
            return;
        };
        let publication = &self.publications[encoding.publication];
        let incoming = self.incoming_extensions(publication);
        let started = self.started;
        let Some(source) = Source::kept(header, packet, publication, &incoming, started, now)
        else {
            return;
        };
        let protected = Protected::read(source.payload);
        let mut parity = [0; SLOT_LEN];
        let subscribers = self.rotation.split(&encoding.subscriptions);
        for &subscriber in subscribers.into_iter().flatten() {
            let subscription = &mut self.subscriptions[subscriber];
            if !subscription.receives(key, received) {
                self.counters.discard(Discard::BeforeKeyFrame);
                continue;
            }
            let session = &mut self.sessions[subscription.session];
            let red = source.red_for(subscription);
            // On a way that is full, what it protects needs the room.
            let is_taken = red.is_some()
                && subscription.format(source.payload_type).is_some()
                && !session.pacer.is_full();
            let length = protected.filter(|_| is_taken).and_then(|protected| {
                let shared = Shared {
                    encoding,
                    publication,
                    incoming: &incoming,
                    started,
                    now,
                };
                shared.protect(protected, subscription, &session.extensions, &mut parity)
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

impl Shared<'_> {
    /// Protects those of the named packets that the subscriber was sent, byte for byte as it was. The publisher's parity
    /// is not of these bytes: sequence numbers, header extensions, picture numbers and timestamps differ.
    fn protect(
        &self,
        protected: Protected,
        subscription: &mut Subscription,
        extensions: &ExtensionIds,
        out: &mut [u8],
    ) -> Option<usize> {
        let reception = self.encoding.reception.as_ref()?;
        let mut parity = Parity::new(out);
        let mut packet = [0; SLOT_LEN];
        for number in protected.numbers() {
            let extended = reception.extend(number);
            if let Some(length) = self.write_sent(extended, subscription, extensions, &mut packet) {
                // Parity of a part of a packet is asked for: the whole would be more than the publisher sends.
                if length.payload > protected.length {
                    return None;
                }
                parity.add(&packet[..length.whole]);
            }
        }
        parity.finish()
    }

    /// Writes a packet as the subscriber was sent it, without its RED. Those outside of RED are nothing that receivers
    /// recover from.
    fn write_sent(
        &self,
        extended: u64,
        subscription: &mut Subscription,
        extensions: &ExtensionIds,
        out: &mut [u8; SLOT_LEN],
    ) -> Option<Length> {
        let packet = self.encoding.cache.get(extended, self.now)?;
        let header = Header::parse(packet).ok()?;
        let content = Content::read(self.publication, &header, packet).ok()?;
        if content.red.is_none() || content.format.codec == Codec::UlpFec {
            return None;
        }
        let source = Source::new(
            &header,
            packet,
            &content,
            self.incoming,
            self.started,
            self.now,
        );
        let rewritten = subscription.sent(extended, source.payload_type, header.timestamp)?;
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
        let start = write_header(out, &source, &rewritten, &shape);
        let slot = out.get_mut(start..start + source.payload.len())?;
        write_payload(slot, source.payload, source.codec, &rewritten);
        Some(Length {
            payload: source.payload.len(),
            whole: start + source.payload.len(),
        })
    }
}

/// Of a packet.
struct Length {
    payload: usize,
    whole: usize,
}
