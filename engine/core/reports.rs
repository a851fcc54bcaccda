//! The RTCP that the engine itself sends: reports, requests for packets and key frames, arrival times.

use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::timers::Timer;
use super::{EncodingKey, Engine, PublicationKey, SessionKey, requests};
use crate::forward::encoding::SenderClock;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::{Activity, MediaKind};
use crate::wire::rtcp;

/// Between two receiver reports to a peer.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// The SSRC that our feedback comes from; it sends no media.
const FEEDBACK_SSRC: u32 = 1;
/// What fits into one report (RFC 3550 section 6.4.1).
const MAX_BLOCKS: usize = 31;

impl Engine {
    /// Receiver reports on all that the peer sends.
    pub(super) fn report_due(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.report_timer = None;
        let mut blocks = Vec::with_capacity(session.publications.len());
        for &publication in &session.publications {
            for &encoding in &self.publications[publication].encodings {
                if let Some(reception) = &mut self.encodings[encoding].reception {
                    blocks.push(reception.report(now));
                }
            }
        }
        if blocks.is_empty() {
            return;
        }
        for blocks in blocks.chunks(MAX_BLOCKS) {
            rtcp::push_receiver_report(&mut self.rtcp, FEEDBACK_SSRC, blocks);
            self.send_rtcp(key, outbox);
        }
        self.timers.arm(
            &mut self.sessions[key].report_timer,
            Some(now + INTERVAL),
            Timer::Report(key),
        );
    }

    /// Transport-wide feedback on all that came since the last one.
    pub(super) fn arrivals_due(&mut self, key: SessionKey, _now: Instant, outbox: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.arrivals_timer = None;
        if session.arrivals.is_empty() {
            return;
        }
        rtcp::push_receiver_report(&mut self.rtcp, FEEDBACK_SSRC, &[]);
        session
            .arrivals
            .push_feedback(&mut self.rtcp, FEEDBACK_SSRC, session.arrivals_ssrc);
        self.send_rtcp(key, outbox);
    }

    /// Asks the publisher for what is missing.
    pub(super) fn encoding_due(&mut self, key: EncodingKey, now: Instant, outbox: &mut Outbox) {
        let Some(encoding) = self.encodings.get_mut(key) else {
            return;
        };
        // A look that is armed for later stays: this one may be out of turn, and many of them would add up.
        encoding.timer = encoding.timer.filter(|&at| at > now);
        // Before the first packet there is nobody to ask: `after_receive` comes back to it.
        let Some(ssrc) = encoding.ssrc else {
            return;
        };
        let owner = encoding.publication;
        let publication = &self.publications[owner];
        let mut lost = Vec::new();
        let given_up = encoding.losses.collect_due(now, &mut lost);
        // Nobody sends what only protects again, so it may be that which is missing: decoders ask if it is not.
        let is_video = publication.settings.kind == MediaKind::Video;
        if given_up && is_video && publication.protection().is_none() {
            encoding.key_frames.want(now, Urgency::Paced);
        }
        let session = publication.session();
        let to_refresh = self.take_key_frames_due(key, now);
        let encoding = &mut self.encodings[key];
        let due = encoding.next_due();
        self.timers
            .arm(&mut encoding.timer, due, Timer::Encoding(key));
        let Some(session) = session else {
            return self.ask_worker(key, lost, &to_refresh);
        };
        if !lost.is_empty() || !to_refresh.is_empty() {
            rtcp::push_receiver_report(&mut self.rtcp, FEEDBACK_SSRC, &[]);
        }
        if !lost.is_empty() {
            rtcp::push_nack(&mut self.rtcp, FEEDBACK_SSRC, ssrc, &lost);
        }
        for (encoding, _) in to_refresh {
            self.push_key_frame_request(encoding);
        }
        if !self.rtcp.is_empty() {
            self.send_rtcp(session, outbox);
        }
    }

    /// The encodings to ask for with this one that is due, if it is and its publication's pace allows a request.
    fn take_key_frames_due(
        &mut self,
        key: EncodingKey,
        now: Instant,
    ) -> Vec<(EncodingKey, Urgency)> {
        let publication = &mut self.publications[self.encodings[key].publication];
        let pace = &mut publication.key_frame_pace;
        let Some(urgency) = self.encodings[key].key_frames.take_due(now, pace) else {
            return Vec::new();
        };
        let mut taken = vec![(key, urgency)];
        for &other in &publication.encodings {
            let encoding = &mut self.encodings[other];
            if encoding.ssrc.is_some()
                && let Some(urgency) = encoding.key_frames.take_due(now, pace)
            {
                taken.push((other, urgency));
            }
        }
        pace.asked(now);
        taken
    }

    /// As the publisher understands it: PLI (RFC 4585 section 6.3.1), else FIR (RFC 5104 section 4.3.1).
    fn push_key_frame_request(&mut self, key: EncodingKey) {
        let encoding = &mut self.encodings[key];
        let Some(ssrc) = encoding.ssrc else {
            return;
        };
        let formats = &self.publications[encoding.publication].settings.formats;
        if formats.iter().any(|format| format.pli) {
            rtcp::push_pli(&mut self.rtcp, FEEDBACK_SSRC, ssrc);
        } else if formats.iter().any(|format| format.fir) {
            encoding.fir_sequence = encoding.fir_sequence.wrapping_add(1);
            rtcp::push_fir(&mut self.rtcp, FEEDBACK_SSRC, ssrc, encoding.fir_sequence);
        }
        self.counters.key_frames_requested += 1;
    }

    /// Looks at a publication again when it would be silent.
    pub(super) fn expect_media(&mut self, key: PublicationKey) {
        let publication = &mut self.publications[key];
        let silent_at = Some(publication.silent_at());
        self.timers.arm(
            &mut publication.silence_timer,
            silent_at,
            Timer::Silence(key),
        );
    }

    /// Notices a publication without media, one that never had any too.
    pub(super) fn silence_due(&mut self, key: PublicationKey, now: Instant) {
        let Some(publication) = self.publications.get_mut(key) else {
            return;
        };
        publication.silence_timer = None;
        if publication.activity == Activity::Silent {
            return;
        }
        if publication.silent_at() > now {
            self.expect_media(key);
            return;
        }
        let Some(session) = publication.session() else {
            return;
        };
        publication.activity = Activity::Silent;
        let event = requests::publication_event(
            &self.sessions[session].id,
            publication.settings.id,
            Activity::Silent,
        );
        self.events.push_back(event);
    }

    /// The publisher's clock in each subscriber's numbers, as soon as it is known: lip sync depends on it.
    pub(super) fn forward_sender_report(
        &mut self,
        key: EncodingKey,
        clock: SenderClock,
        outbox: &mut Outbox,
    ) {
        for index in 0..self.encodings[key].subscriptions.len() {
            let subscription = &self.subscriptions[self.encodings[key].subscriptions[index]];
            // One that still waits for this encoding's key frame has another's clock.
            if subscription.current() != Some(key) {
                continue;
            }
            let Some(timestamp) = subscription.outgoing_timestamp(clock.rtp_timestamp) else {
                continue;
            };
            let session = subscription.session;
            rtcp::push_sender_report(
                &mut self.rtcp,
                subscription.settings.ssrc,
                clock.ntp,
                timestamp,
                subscription.packet_count,
                subscription.octet_count,
                &[],
            );
            // The canonical name is the publisher's session, as in the description (RFC 3550 section 6.5.1).
            rtcp::push_sdes_cname(
                &mut self.rtcp,
                subscription.settings.ssrc,
                &subscription.settings.publisher_session_id,
            );
            self.send_rtcp(session, outbox);
        }
    }

    /// Protects and sends the compound packet in `self.rtcp`.
    fn send_rtcp(&mut self, key: SessionKey, outbox: &mut Outbox) {
        if let Some(transport) = &mut self.sessions[key].transport
            && let Some((path, sender)) = transport.outgoing()
            && sender.protect_rtcp(&mut self.rtcp).is_some()
        {
            outbox.push(path.socket, path.remote, &self.rtcp);
        }
        self.rtcp.clear();
    }
}
