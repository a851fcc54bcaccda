//! The way of an RTCP packet: address, decrypt, then each report or request to the stream that it is about. What
//! follows for the session as a whole is done once for all that a peer told in a receive batch.

use std::net::SocketAddr;
use std::time::Instant;

use super::counters::Discard;
use super::feedback_budget::{self as budget, FeedbackBudget};
use super::outbox::Outbox;
use super::packet_path::rejected;
use super::{Engine, SessionKey, SubscriptionKey};
use crate::forward::encoding::SenderClock;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::Publication;
use crate::wire::rtcp::{self, Packet};

/// What a peer's feedback makes due for its session; the greater includes the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FollowUp {
    /// Packets were asked for again.
    Repairs,
    /// Its link is known better.
    Estimate,
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
        let session = &mut self.sessions[key];
        let spending = &mut session.feedback_budget;
        spending.refill(session.transport_sequence, now);
        // It goes unread, but only what the peer itself has protected is counted: nobody can spend it for another.
        if spending.is_spent() {
            return Err(Discard::FeedbackFlood);
        }
        let transport = session.transport.as_mut().ok_or(Discard::NoKeys)?;
        let keys = transport.keys.as_mut().ok_or(Discard::NoKeys)?;
        let length = keys.receiver.unprotect_rtcp(datagram).map_err(rejected)?;
        transport.heard(now);
        spending.spend(budget::DATAGRAM);
        for packet in rtcp::parse(&datagram[..length]) {
            let packet = packet.map_err(|_| Discard::Malformed)?;
            if !self.budget(key).spend(budget::PACKET) {
                return Err(Discard::FeedbackFlood);
            }
            if let Err(reason) = self.handle_feedback(key, packet, now, outbox) {
                self.counters.discard(reason);
            }
            #[cfg(test)]
            crate::faults::trip(crate::faults::Point::Rtcp, &self.sessions[key].id);
        }
        Ok(())
    }

    /// What the session may spend on its peer's feedback.
    fn budget(&mut self, key: SessionKey) -> &mut FeedbackBudget {
        &mut self.sessions[key].feedback_budget
    }

    /// # Errors
    /// The peer says more than it can have to say; what was read before that counts.
    fn handle_feedback(
        &mut self,
        key: SessionKey,
        packet: Packet<'_>,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        match packet {
            Packet::SenderReport {
                ssrc,
                ntp,
                rtp_timestamp,
                reports,
                ..
            } => {
                self.handle_report_blocks(key, reports)?;
                let clock = SenderClock { ntp, rtp_timestamp };
                self.handle_sender_report(key, ssrc, clock, now, outbox)
            }
            Packet::ReceiverReport { reports, .. } => self.handle_report_blocks(key, reports),
            Packet::Nack {
                media_ssrc,
                entries,
            } => self.handle_nack(key, media_ssrc, entries, now),
            Packet::Pli { media_ssrc } => self.want_key_frame(key, media_ssrc, now, outbox),
            Packet::Fir { mut entries } => {
                entries.try_for_each(|(ssrc, _)| self.want_key_frame(key, ssrc, now, outbox))
            }
            Packet::TransportFeedback(feedback) => {
                let budget = self.budget(key);
                if !budget.spend(budget::ESTIMATE) || !budget.spend_statuses(feedback.count()) {
                    return Err(Discard::FeedbackFlood);
                }
                self.sessions[key].estimator.feedback(&feedback, now);
                self.follow_up(key, FollowUp::Estimate);
                Ok(())
            }
            Packet::Remb { bitrate } => {
                self.spend(key, budget::ESTIMATE)?;
                self.sessions[key].estimator.remb(bitrate);
                self.follow_up(key, FollowUp::Estimate);
                Ok(())
            }
            Packet::Bye | Packet::Other { .. } => Ok(()),
        }
    }

    fn spend(&mut self, key: SessionKey, units: u32) -> Result<(), Discard> {
        let is_within = self.budget(key).spend(units);
        is_within.then_some(()).ok_or(Discard::FeedbackFlood)
    }

    fn handle_nack(
        &mut self,
        key: SessionKey,
        ssrc: u32,
        lost: rtcp::NackEntries<'_>,
        now: Instant,
    ) -> Result<(), Discard> {
        let Some(subscription) = self.media_stream(key, ssrc) else {
            return Ok(());
        };
        self.follow_up(key, FollowUp::Repairs);
        for lost in lost {
            if !self.budget(key).spend_nacked() {
                return Err(Discard::FeedbackFlood);
            }
            self.ask_repair(key, subscription, lost, now);
        }
        Ok(())
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
    fn handle_report_blocks(
        &mut self,
        key: SessionKey,
        reports: rtcp::ReportBlocks<'_>,
    ) -> Result<(), Discard> {
        for report in reports {
            self.spend(key, budget::REPORT_BLOCK)?;
            if let Some(subscription) = self.media_stream(key, report.ssrc) {
                let subscription = &mut self.subscriptions[subscription];
                let publication = subscription.publication.map(|key| &self.publications[key]);
                let protection = publication.and_then(Publication::protection);
                let is_protected = protection
                    .is_some_and(|format| subscription.format(format.payload_type).is_some());
                subscription.reported(is_protected);
            }
        }
        Ok(())
    }

    fn handle_sender_report(
        &mut self,
        key: SessionKey,
        ssrc: u32,
        clock: SenderClock,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let session = &mut self.sessions[key];
        let Some(stream) = session.incoming.get(&ssrc) else {
            return Ok(());
        };
        let key = stream.encoding;
        let encoding = &mut self.encodings[key];
        if encoding.ssrc != Some(ssrc) {
            return Ok(());
        }
        if let Some(reception) = &mut encoding.reception {
            reception.sender_report(clock.ntp, now);
        }
        if !encoding.may_tell_clock(now) {
            return Ok(());
        }
        let units = encoding.subscriptions.len() / budget::REPORTED_PER_UNIT;
        if !session.feedback_budget.spend(units as u32) {
            return Err(Discard::FeedbackFlood);
        }
        self.forward_sender_report(key, clock, outbox);
        self.hand_over_clock(key, clock);
        Ok(())
    }

    fn want_key_frame(
        &mut self,
        key: SessionKey,
        ssrc: u32,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        self.spend(key, budget::KEY_FRAME_REQUEST)?;
        let Some(subscription) = self.media_stream(key, ssrc) else {
            return Ok(());
        };
        let Some(key) = self.subscriptions[subscription].decoding() else {
            return Ok(());
        };
        self.encodings[key].key_frames.want(now, Urgency::Paced);
        self.encoding_due(key, now, outbox);
        Ok(())
    }
}
