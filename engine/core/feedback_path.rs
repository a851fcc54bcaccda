//! The way of an RTCP packet: address, decrypt, then each report or request to the stream that it is about. What
//! follows for the session as a whole is done once for all that a peer told in a receive batch.

use std::net::SocketAddr;
use std::time::Instant;

use super::counters::Discard;
use super::outbox::Outbox;
use super::packet_path::rejected;
use super::{Engine, SessionKey, SubscriptionKey};
use crate::forward::encoding::SenderClock;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::Publication;
use crate::wire::rtcp::{self, Packet};

/// Lost packets that a datagram may name; more is a flood, not a loss.
const MAX_NACKED: usize = 512;
/// Packets that a datagram may tell about: a run of 8,191 takes two bytes of it.
const MAX_STATUSES: usize = 16_384;

/// What is still read of a datagram.
struct Rest {
    nacked: usize,
    statuses: usize,
}

/// What a peer's feedback makes due for its session; the greater includes the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FollowUp {
    /// Packets were asked for again.
    Repairs,
    /// Its link is known better.
    Estimate,
}

impl Rest {
    fn has_room_for(&self, packet: &Packet<'_>) -> bool {
        match packet {
            Packet::Nack { .. } => self.nacked > 0,
            Packet::TransportFeedback(feedback) => usize::from(feedback.count()) <= self.statuses,
            _ => true,
        }
    }
}

impl Engine {
    pub(super) fn handle_rtcp(
        &mut self,
        now: Instant,
        socket: u16,
        source: SocketAddr,
        datagram: &mut [u8],
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let key = self.session_at(socket, source)?;
        self.at_work = Some(key);
        let transport = self.sessions[key]
            .transport
            .as_mut()
            .ok_or(Discard::NoKeys)?;
        let keys = transport.keys.as_mut().ok_or(Discard::NoKeys)?;
        let length = keys.receiver.unprotect_rtcp(datagram).map_err(rejected)?;
        transport.heard(now);
        let mut rest = Rest {
            nacked: MAX_NACKED,
            statuses: MAX_STATUSES,
        };
        for packet in rtcp::parse(&datagram[..length]) {
            let packet = packet.map_err(|_| Discard::Malformed)?;
            if !rest.has_room_for(&packet) {
                self.counters.discard(Discard::FeedbackFlood);
                continue;
            }
            self.handle_feedback(key, packet, &mut rest, now, outbox);
            #[cfg(test)]
            crate::faults::trip(crate::faults::Point::Rtcp, &self.sessions[key].id);
        }
        Ok(())
    }

    fn handle_feedback(
        &mut self,
        key: SessionKey,
        packet: Packet<'_>,
        rest: &mut Rest,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        match packet {
            Packet::SenderReport {
                ssrc,
                ntp,
                rtp_timestamp,
                reports,
                ..
            } => {
                self.handle_report_blocks(key, reports);
                self.handle_sender_report(
                    key,
                    ssrc,
                    SenderClock { ntp, rtp_timestamp },
                    now,
                    outbox,
                );
            }
            Packet::ReceiverReport { reports, .. } => self.handle_report_blocks(key, reports),
            Packet::Nack {
                media_ssrc,
                entries,
            } => {
                if let Some(subscription) = self.media_stream(key, media_ssrc) {
                    for lost in entries.take(rest.nacked) {
                        rest.nacked -= 1;
                        self.ask_repair(key, subscription, lost, now);
                    }
                    self.follow_up(key, FollowUp::Repairs);
                }
            }
            Packet::Pli { media_ssrc } => self.want_key_frame(key, media_ssrc, now, outbox),
            Packet::Fir { entries } => {
                for (ssrc, _) in entries {
                    self.want_key_frame(key, ssrc, now, outbox);
                }
            }
            Packet::TransportFeedback(feedback) => {
                rest.statuses -= usize::from(feedback.count());
                self.sessions[key].estimator.feedback(&feedback, now);
                self.follow_up(key, FollowUp::Estimate);
            }
            Packet::Remb { bitrate } => {
                self.sessions[key].estimator.remb(bitrate);
                self.follow_up(key, FollowUp::Estimate);
            }
            Packet::Bye | Packet::Other { .. } => {}
        }
    }

    /// The subscription whose media has that SSRC. Feedback on retransmissions says nothing about the media's numbers.
    fn media_stream(&self, key: SessionKey, ssrc: u32) -> Option<SubscriptionKey> {
        let subscription = *self.sessions[key].outgoing.get(&ssrc)?;
        (self.subscriptions[subscription].settings.ssrc == ssrc).then_some(subscription)
    }

    /// To be done when the batch has been read.
    fn follow_up(&mut self, key: SessionKey, work: FollowUp) {
        let session = &mut self.sessions[key];
        if session.follow_up.is_none() {
            self.told.push(key);
        }
        session.follow_up = session.follow_up.max(Some(work));
    }

    /// After a receive batch: the budgets and repairs that follow from what peers told in it.
    pub(super) fn handle_told(&mut self, now: Instant, outbox: &mut Outbox) {
        let mut told = std::mem::take(&mut self.told);
        for key in told.drain(..) {
            self.within_walls(|engine| {
                engine.at_work = Some(key);
                engine.follow(key, now, outbox);
            });
        }
        // Its memory is used again.
        self.told = told;
    }

    fn follow(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let follow_up = session.follow_up.take();
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::FollowUp, &session.id);
        match follow_up {
            Some(FollowUp::Estimate) => self.estimate_changed(key, now, outbox),
            Some(FollowUp::Repairs) => self.send_extras(key, now, outbox),
            None => {}
        }
    }

    /// A peer that reports on a stream has bound its SSRC to a mid.
    fn handle_report_blocks(&mut self, key: SessionKey, reports: rtcp::ReportBlocks<'_>) {
        for report in reports {
            if let Some(subscription) = self.media_stream(key, report.ssrc) {
                let subscription = &mut self.subscriptions[subscription];
                let publication = subscription.publication.map(|key| &self.publications[key]);
                let protection = publication.and_then(Publication::protection);
                let is_protected = protection
                    .is_some_and(|format| subscription.format(format.payload_type).is_some());
                subscription.reported(is_protected);
            }
        }
    }

    fn handle_sender_report(
        &mut self,
        key: SessionKey,
        ssrc: u32,
        clock: SenderClock,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let Some(stream) = self.sessions[key].incoming.get(&ssrc) else {
            return;
        };
        let key = stream.encoding;
        let encoding = &mut self.encodings[key];
        if encoding.ssrc != Some(ssrc) {
            return;
        }
        if let Some(reception) = &mut encoding.reception {
            reception.sender_report(clock.ntp, now);
        }
        if !encoding.may_tell_clock(now) {
            return;
        }
        self.forward_sender_report(key, clock, outbox);
        self.hand_over_clock(key, clock);
    }

    fn want_key_frame(&mut self, key: SessionKey, ssrc: u32, now: Instant, outbox: &mut Outbox) {
        let Some(subscription) = self.media_stream(key, ssrc) else {
            return;
        };
        let Some(key) = self.subscriptions[subscription].decoding() else {
            return;
        };
        self.encodings[key].key_frames.want(now, Urgency::Paced);
        self.encoding_due(key, now, outbox);
    }
}
