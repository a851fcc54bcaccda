//! The way of a media packet, from top to bottom: address, decrypt, stream, place, rewrite, encrypt, outbox.
//!
//! The only caller of these stages; each returns a value or the reason why the packet goes no further.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::counters::Discard;
use super::extensions::PassedValues;
use super::incoming::{learn_stream, restore};
use super::outbox::{Outbox, SLOT_LEN};
use super::pacing::{Held, Turn};
use super::redundancy::Content;
use super::session::{ExtensionIds, Session};
use super::timers::Timer;
use super::{EncodingKey, Engine, PublicationKey, ahead, requests};
use crate::codec::{self, Codec, PictureOffsets};
use crate::forward::encoding::Received;
use crate::forward::mapping::Asked;
use crate::forward::publication::{Activity, Origin, Publication};
use crate::forward::repeats::{Leaving, Repeats};
use crate::forward::subscription::{Rewritten, Subscription};
use crate::srtp;
use crate::wire::rtp::{Header, HeaderWriter};

/// Between two transport-wide feedback packets (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3).
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

impl Engine {
    pub(super) fn handle_rtp(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        datagram: &mut [u8],
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let key = self.session_at(socket, source)?;
        let session = &mut self.sessions[key];
        let header = Header::parse(datagram).map_err(|_| Discard::Malformed)?;
        let length = unprotect(session, datagram, &header)?;
        self.counters.packets_received += 1;
        if record_arrival(session, &header, &datagram[..length], self.started, now) {
            self.timers.arm(
                &mut session.arrivals_timer,
                Some(now + FEEDBACK_INTERVAL),
                Timer::Arrivals(key),
            );
        }

        let stream = match session.incoming.get(&header.ssrc) {
            Some(&stream) => stream,
            None => {
                let known = (&self.publications, &self.encodings);
                learn_stream(session, known, &header, &datagram[..length])?
            }
        };
        let encoding = &self.encodings[stream.encoding];
        let publication = &self.publications[encoding.publication];
        let (header, packet) = match stream.repairs {
            None => (header, &mut datagram[..length]),
            Some(repaired) => {
                let ssrc = repaired.or(encoding.ssrc);
                restore(publication, ssrc, header, &mut datagram[..length])?
            }
        };
        let extensions = session.extensions;
        self.forward(stream.encoding, &header, packet, &extensions, now, outbox)?;
        if stream.repairs.is_some() {
            self.report_as_lost(stream.encoding);
        }
        Ok(())
    }

    /// A decrypted packet, of a peer or of another worker, to all that receive it; `extensions` are its sender's.
    pub(super) fn forward(
        &mut self,
        key: EncodingKey,
        header: &Header,
        packet: &[u8],
        extensions: &ExtensionIds,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let encoding = &mut self.encodings[key];
        let publication = &mut self.publications[encoding.publication];
        let content = Content::read(publication, header, packet)?;
        let Content {
            format, payload, ..
        } = content;
        let source = Source::new(header, packet, &content, extensions, self.started, now);
        let descriptor = source.values.dependency_descriptor;
        let received = encoding.receive(format, header, packet, payload, descriptor, now)?;
        let became_active = publication.note_packet(now);
        if !publication.mirrors.is_empty() {
            self.hand_over(key, packet);
        }
        self.after_receive(key, &received, became_active, now, outbox);
        if source.codec == Codec::UlpFec {
            self.fan_out_protection(key, &source, &received, outbox);
        } else {
            self.fan_out(key, &source, &received, outbox);
        }
        Ok(())
    }

    /// What the extension IDs in a publication's packets mean.
    pub(super) fn incoming_extensions(&self, publication: &Publication) -> ExtensionIds {
        match &publication.origin {
            Origin::Peer(session) => self.sessions[*session].extensions,
            Origin::Worker(mirror) => mirror.extensions,
        }
    }

    /// Timers and news that follow from a packet, none of which is due for most packets.
    fn after_receive(
        &mut self,
        key: EncodingKey,
        received: &Received,
        became_active: bool,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let encoding = &mut self.encodings[key];
        let publication = encoding.publication;
        let due = encoding.next_due();
        if due.is_some_and(|due| due <= now) {
            self.encoding_due(key, now, outbox);
        } else {
            self.timers
                .arm(&mut encoding.timer, due, Timer::Encoding(key));
        }
        if became_active {
            self.publication_began(publication, now);
        }
        if received.became_live {
            self.watch_layers(publication, now);
            self.retarget_all(publication, now);
        }
    }

    fn publication_began(&mut self, key: PublicationKey, now: Instant) {
        let publication = &self.publications[key];
        // Where the publisher is, control is told.
        let Some(owner) = publication.session() else {
            return;
        };
        let session = &mut self.sessions[owner];
        self.events.push_back(requests::publication_event(
            &session.id,
            publication.settings.id,
            Activity::Active,
        ));
        self.timers.arm(
            &mut session.report_timer,
            Some(now + super::reports::INTERVAL),
            Timer::Report(owner),
        );
        self.expect_media(key);
    }

    fn fan_out(
        &mut self,
        key: EncodingKey,
        source: &Source<'_>,
        received: &Received,
        outbox: &mut Outbox,
    ) {
        let subscribers = &self.encodings[key].subscriptions;
        for (turn, &subscriber) in subscribers.iter().enumerate() {
            ahead::fetch(&subscribers[turn..], &self.subscriptions, &self.sessions);
            let subscription = &mut self.subscriptions[subscriber];
            let session = &mut self.sessions[subscription.session];
            let sent = subscription
                .rewrite(
                    key,
                    source.payload_type,
                    source.header.timestamp,
                    received,
                    source.clock_rate,
                    source.now,
                )
                .and_then(|rewritten| {
                    if rewritten.switched {
                        self.switched.push(subscriber);
                    }
                    let mut rewritten = rewritten;
                    rewritten.red = source.red_for(subscription);
                    if session.pacer.is_full() {
                        let turn = Turn {
                            session,
                            subscription,
                            timers: &mut self.timers,
                            counters: &mut self.counters,
                        };
                        let packet = Held {
                            subscriber,
                            encoding: key,
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
                    let copy = Copy::First;
                    send(source, &rewritten, copy, subscription, session, outbox).map(|()| 1)
                });
            match sent {
                Ok(left) => self.counters.packets_forwarded += left,
                Err(reason) => {
                    if reason == Discard::GaveWay {
                        self.switched.push(subscriber);
                    }
                    self.counters.discard(reason);
                }
            }
        }
        self.settle_switches(source.now);
        if received
            .placement
            .is_some_and(|placement| placement.layer.temporal == 0)
        {
            self.want_key_frame_for_layers(key, source.now);
        }
    }

    /// Sends a packet of the cache again (RFC 4585 section 6.2.1), by RTX where agreed (RFC 4588).
    pub(super) fn retransmit(
        &mut self,
        subscriber: super::SubscriptionKey,
        sequence_number: u16,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Repair {
        let subscription = &self.subscriptions[subscriber];
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
        subscriber: super::SubscriptionKey,
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
        subscriber: super::SubscriptionKey,
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

/// What became of a request for a packet.
#[derive(PartialEq, Eq)]
pub(super) enum Repair {
    Sent,
    /// It is not kept any more.
    Gone,
    /// Its place on the way is needed for what came after it.
    Declined,
}

/// A packet on its way to its subscribers.
pub(super) struct Source<'a> {
    pub header: &'a Header,
    /// The publisher's, of what is in `payload`.
    pub payload_type: u8,
    pub payload: &'a [u8],
    pub codec: Codec,
    /// The publisher's payload type of the RED that it came in.
    pub red: Option<u8>,
    clock_rate: u32,
    values: PassedValues<'a>,
    send_time: [u8; 3],
    pub now: Instant,
}

impl<'a> Source<'a> {
    #[inline]
    pub fn new(
        header: &'a Header,
        packet: &'a [u8],
        content: &Content<'_, 'a>,
        extensions: &ExtensionIds,
        started: Instant,
        now: Instant,
    ) -> Source<'a> {
        // What protects others has their frame's values, but is no part of it.
        let values = match content.format.codec {
            Codec::UlpFec => PassedValues::default(),
            _ => PassedValues::read(header, packet, extensions),
        };
        Source {
            header,
            payload_type: content.format.payload_type,
            payload: content.payload,
            codec: content.format.codec,
            red: content.red,
            clock_rate: content.format.clock_rate,
            values,
            send_time: absolute_send_time(now.duration_since(started)),
            now,
        }
    }

    /// A packet of the cache, as it came.
    pub fn kept(
        header: &'a Header,
        packet: &'a [u8],
        publication: &Publication,
        extensions: &ExtensionIds,
        started: Instant,
        now: Instant,
    ) -> Option<Source<'a>> {
        let content = Content::read(publication, header, packet).ok()?;
        Some(Source::new(
            header, packet, &content, extensions, started, now,
        ))
    }

    /// The same with something else in it.
    pub fn with_payload<'b>(&self, payload: &'b [u8]) -> Source<'b>
    where
        'a: 'b,
    {
        Source { payload, ..*self }
    }

    /// The payload type of the RED that it goes out in, where it came in RED and the peer takes that.
    #[inline]
    pub fn red_for(&self, subscription: &Subscription) -> Option<u8> {
        let red = self.red.and_then(|red| subscription.format(red));
        red.map(|red| red.payload_type)
    }
}

/// Which copy of a packet a peer is sent.
pub(super) enum Copy {
    First,
    /// Again, in the stream of retransmissions.
    Rtx(Rtx),
    /// Again, as it was.
    Plain(Leaving),
}

/// The stream of a retransmission (RFC 4588 section 4).
pub(super) struct Rtx {
    payload_type: u8,
    ssrc: u32,
    index: u64,
}

/// 24 bits of seconds in 6.18 fixed point (the abs-send-time extension of WebRTC).
pub(super) fn absolute_send_time(since_start: Duration) -> [u8; 3] {
    let fixed = (since_start.as_micros() << 18) / 1_000_000;
    let [_, a, b, c] = (fixed as u32).to_be_bytes();
    [a, b, c]
}

fn unprotect(
    session: &mut Session,
    datagram: &mut [u8],
    header: &Header,
) -> Result<usize, Discard> {
    let keys = session
        .transport
        .as_mut()
        .and_then(|transport| transport.keys.as_mut())
        .ok_or(Discard::NoKeys)?;
    keys.receiver
        .unprotect_rtp(datagram, header)
        .map_err(rejected)
}

/// Why SRTP refused, as a count.
pub(super) fn rejected(reason: srtp::Rejected) -> Discard {
    match reason {
        srtp::Rejected::TooShort => Discard::Malformed,
        srtp::Rejected::Replayed => Discard::Replayed,
        srtp::Rejected::NotAuthentic => Discard::NotAuthentic,
        srtp::Rejected::TooManyStreams => Discard::TooManyStreams,
    }
}

/// Notes the packet's transport-wide number; true when there is one.
fn record_arrival(
    session: &mut Session,
    header: &Header,
    packet: &[u8],
    started: Instant,
    now: Instant,
) -> bool {
    let id = session.extensions.transport_wide_cc;
    if id == 0 {
        return false;
    }
    let number = header
        .extensions(packet)
        .find(|&(element, value)| element == id && value.len() == 2)
        .map(|(_, value)| u16::from_be_bytes([value[0], value[1]]));
    if let Some(number) = number {
        let arrival = now.duration_since(started).as_micros() as u64;
        session.arrivals.record(number, arrival);
        session.arrivals_ssrc = header.ssrc;
    }
    number.is_some()
}

/// What a header says beside what comes from the packet and its rewriting.
pub(super) struct Shape<'a> {
    pub payload_type: u8,
    pub ssrc: u32,
    pub number: u16,
    pub mid: &'a str,
    pub leaving: &'a Leaving,
    pub extensions: &'a ExtensionIds,
}

/// Writes the header as a subscriber is to see it and gives its length.
#[inline]
pub(super) fn write_header(
    slot: &mut [u8],
    source: &Source<'_>,
    rewritten: &Rewritten,
    shape: &Shape<'_>,
) -> usize {
    let Shape {
        extensions,
        leaving,
        ..
    } = *shape;
    let mut writer = HeaderWriter::new(
        slot,
        source.header.marker || rewritten.ends_picture,
        shape.payload_type,
        shape.number,
        rewritten.timestamp,
        shape.ssrc,
    );
    source.values.select_form(&mut writer, extensions);
    if extensions.mid != 0 && leaving.names_mid {
        writer.extension(extensions.mid, shape.mid.as_bytes());
    }
    if extensions.absolute_send_time != 0 {
        writer.extension(extensions.absolute_send_time, &leaving.send_time);
    }
    if extensions.transport_wide_cc != 0 {
        writer.extension(extensions.transport_wide_cc, &leaving.number.to_be_bytes());
    }
    source.values.write(
        &mut writer,
        extensions,
        rewritten.picture_offsets.frame_number,
    );
    writer.finish()
}

/// Writes the payload with the subscriber's picture numbers.
#[inline]
pub(super) fn write_payload(slot: &mut [u8], payload: &[u8], codec: Codec, rewritten: &Rewritten) {
    slot.copy_from_slice(payload);
    if rewritten.picture_offsets != PictureOffsets::default() {
        codec::renumber(codec, slot, rewritten.picture_offsets);
    }
}

/// Writes the packet as this subscriber is to see it into the outbox, protected.
#[inline]
pub(super) fn send(
    source: &Source<'_>,
    rewritten: &Rewritten,
    copy: Copy,
    subscription: &mut Subscription,
    session: &mut Session,
    outbox: &mut Outbox,
) -> Result<(), Discard> {
    let extensions = session.extensions;
    let (path, sender) = session
        .transport
        .as_mut()
        .and_then(|transport| transport.outgoing())
        .ok_or(Discard::SubscriberNotConnected)?;
    let is_rtx = matches!(copy, Copy::Rtx(_));
    let (payload_type, ssrc, index) = match &copy {
        Copy::Rtx(rtx) => (rtx.payload_type, rtx.ssrc, rtx.index),
        Copy::First | Copy::Plain(_) => (
            rewritten.red.unwrap_or(rewritten.payload_type),
            subscription.settings.ssrc,
            rewritten.index,
        ),
    };
    let leaving = match copy {
        Copy::Plain(leaving) => leaving,
        Copy::First | Copy::Rtx(_) => {
            let number = session.transport_sequence;
            session.transport_sequence = number.wrapping_add(1);
            Leaving {
                number,
                send_time: source.send_time,
                names_mid: subscription.names_mid() || is_rtx,
            }
        }
    };
    let slot = outbox.slot();
    let shape = Shape {
        payload_type,
        ssrc,
        number: index as u16,
        mid: &subscription.settings.mid,
        leaving: &leaving,
        extensions: &extensions,
    };
    let header_len = write_header(slot, source, rewritten, &shape);
    let mut length = header_len;
    if is_rtx {
        let original = (rewritten.index as u16).to_be_bytes();
        slot[length..length + 2].copy_from_slice(&original);
        length += 2;
    }
    let payload = if rewritten.is_empty {
        &[]
    } else {
        source.payload
    };
    if rewritten.red.is_some() && !payload.is_empty() {
        // A RED header of one block (RFC 2198 section 3).
        slot[length] = rewritten.payload_type;
        length += 1;
    }
    let end = length + payload.len();
    if end + srtp::MAX_OVERHEAD > SLOT_LEN {
        return Err(Discard::NotProtected);
    }
    let is_as_it_was = length == header_len
        && rewritten.picture_offsets == PictureOffsets::default()
        && source.codec != Codec::Red;
    let protected = if is_as_it_was {
        // Encrypted from where it lies.
        sender.protect_rtp_from(slot, header_len, payload, index)
    } else {
        write_payload(&mut slot[length..end], payload, source.codec, rewritten);
        if source.codec == Codec::Red {
            codec::red::rewrite_block_payload_types(&mut slot[length..end], |block| {
                Some(subscription.format(block)?.payload_type)
            });
        }
        sender.protect_rtp(slot, end, header_len, index)
    };
    let protected = protected.ok_or(Discard::NotProtected)?;
    outbox.commit_near(&mut session.chain, path.socket, path.remote, protected);
    let size = protected as u16;
    let is_first = matches!(copy, Copy::First);
    if is_first {
        session.pacer.media_sent(size);
        if let Some(repeats) = &mut subscription.repeats {
            repeats.sent(extensions, index, leaving);
        }
    } else {
        session.pacer.extra_sent(size);
    }
    // A plain repeat arrives, if at all, under the number of the packet that it repeats.
    if extensions.transport_wide_cc != 0 && (is_first || is_rtx) {
        session.estimator.sent(leaving.number, size, source.now);
    }
    if !is_rtx {
        subscription.packet_count = subscription.packet_count.wrapping_add(1);
        let octets = payload.len() as u32;
        subscription.octet_count = subscription.octet_count.wrapping_add(octets);
    }
    Ok(())
}
