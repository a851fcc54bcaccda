//! The way of a media packet, from top to bottom: address, decrypt, stream, place, rewrite, encrypt, outbox.
//!
//! Each stage returns a value or the reason why the packet goes no further. Up to its place a packet goes by itself; from
//! there on with its burst (`burst`, `sending`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::counters::Discard;
use super::incoming::{learn_stream, restore};
use super::outbox::Outbox;
use super::redundancy::Content;
use super::session::{ExtensionIds, Session};
use super::timers::Timer;
use super::{EncodingKey, Engine, PublicationKey, requests};
use crate::codec::Codec;
use crate::forward::encoding::Received;
use crate::forward::publication::{Activity, Origin, Publication};
use crate::srtp;
use crate::wire::rtp::Header;

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
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Rtp, &session.id);
        let header = Header::parse(datagram).map_err(|_| Discard::Malformed)?;
        let length = unprotect(session, datagram, &header, now)?;
        self.counters.packets_received += 1;
        if record_arrival(session, &header, &datagram[..length], self.started, now) {
            self.timers.arm(
                &mut session.arrivals_timer,
                Some(now + FEEDBACK_INTERVAL),
                Timer::Arrivals(key),
            );
        }

        let turn = self.counters.packets_received;
        let stream = match session.incoming.get_mut(&header.ssrc) {
            Some(stream) => {
                stream.newest = turn;
                *stream
            }
            None => {
                let known = (&self.publications, &self.encodings);
                learn_stream(session, known, &header, &datagram[..length], turn)?
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

    /// A decrypted packet, of a peer or of another worker, into its burst; `extensions` are its sender's.
    pub(super) fn forward(
        &mut self,
        key: EncodingKey,
        header: &Header,
        packet: &[u8],
        extensions: &ExtensionIds,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        if !self.burst.takes(key, header.ssrc) {
            self.fan_out_burst(now, outbox);
        }
        // A mirror ends with the last subscription that leaves it, as with the burst before.
        let encoding = self.encodings.get_mut(key).ok_or(Discard::MirrorEnded)?;
        let publication = &mut self.publications[encoding.publication];
        let content = Content::read(publication, header, packet)?;
        let Content {
            format, payload, ..
        } = content;
        let values = content.passed_values(header, packet, extensions);
        let descriptor = values.dependency_descriptor;
        let protects = format.codec == Codec::UlpFec;
        let received = encoding.receive(format, header, packet, payload, descriptor, now)?;
        let became_active = publication.note_packet(now);
        if !publication.mirrors.is_empty() {
            self.hand_over(key, packet);
        }
        self.after_receive(key, &received, became_active, now, outbox);
        if protects {
            self.fan_out_burst(now, outbox);
            self.fan_out_protection(key, (header, packet), &received, now, outbox);
        } else {
            self.burst.push(key, *header, received);
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
        let is_cache_new = encoding.cache_timer.is_none();
        let due = encoding.next_due();
        if due.is_some_and(|due| due <= now) {
            self.encoding_due(key, now, outbox);
        } else {
            self.timers
                .arm(&mut encoding.timer, due, Timer::Encoding(key));
        }
        if is_cache_new {
            self.cache_began(key, now);
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
}

fn unprotect(
    session: &mut Session,
    datagram: &mut [u8],
    header: &Header,
    now: Instant,
) -> Result<usize, Discard> {
    let transport = session.transport.as_mut().ok_or(Discard::NoKeys)?;
    let keys = transport.keys.as_mut().ok_or(Discard::NoKeys)?;
    let length = keys
        .receiver
        .unprotect_rtp(datagram, header)
        .map_err(rejected)?;
    transport.heard(now);
    Ok(length)
}

/// Why SRTP refused, as a count.
pub(super) fn rejected(reason: srtp::Rejected) -> Discard {
    match reason {
        srtp::Rejected::TooShort => Discard::Malformed,
        srtp::Rejected::Replayed => Discard::Replayed,
        srtp::Rejected::NotAuthentic => Discard::NotAuthentic,
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
