//! What the way to one peer carries: everything that is known about it, in one number.

use std::time::{Duration, Instant};

use super::acked_bitrate::AckedBitrate;
use super::loss_estimator::LossEstimator;
use super::overuse_detector::Usage;
use super::peer_clock::PeerClock;
use super::probe::Probing;
use super::rate_controller::RateController;
use super::sent_packets::{Fate, SentPacket, SentPackets};
use super::signs::{Arrival, Lost, Signs};
use super::trials::Trials;
use super::usual_rate::UsualRate;
use crate::wire::rtcp::TransportFeedback;

/// Before anything is known, in bit/s.
const START: f64 = 300e3;
/// Bounds of the estimate, in bit/s: whatever a peer says.
const LOWEST: f64 = 30e3;
const HIGHEST: f64 = 1e9;
/// After a decrease, no probe and no larger encoding for so long.
const CALM: Duration = Duration::from_secs(3);
/// Who hears and does not see looks for room sooner.
const CALM_WITHOUT_PICTURE: Duration = Duration::from_secs(1);
/// So does who competes with cross traffic that leaves no room by itself.
const CALM_IN_COMPETITIVE_MODE: Duration = Duration::from_secs(1);
/// While so much of the estimate is used, for longer.
const FILLS: f64 = 0.85;
const CALM_FILLED: Duration = Duration::from_secs(12);
/// That of who has nearly nothing of what is wanted grows to the whole where it has so much of it.
const CONTENT: f64 = 0.5;
/// Packets without any feedback for so long mean that the way is blocked.
const SILENCE: Duration = Duration::from_secs(1);
/// What a probe showed is believed for so long, though the acknowledged rate has not followed yet.
const PROVED: Duration = Duration::from_secs(1);
/// The queue that a probe or a key frame made shows in feedback for so long.
const PROBE_QUEUE: Duration = Duration::from_millis(500);
const SILENCE_STEP: Duration = Duration::from_millis(500);
/// A peer that has never told anything by then will not.
const FIRST_SILENCE: Duration = Duration::from_secs(3);
const SILENCE_FACTOR: f64 = 0.7;
/// The way is taken for narrow so long after the estimate went down.
const NARROW: Duration = Duration::from_secs(30);
/// How long a new round trip takes to be believed: an eighth (RFC 6298 section 2).
const RTT_WEIGHT: f64 = 0.125;

/// The estimate of one session.
pub struct Estimator {
    sent: SentPackets,
    signs: Signs,
    controller: RateController,
    losses: LossEstimator,
    acked: AckedBitrate,
    probing: Probing,
    /// What a probe showed last, in bit/s.
    proved: Option<(Instant, f64)>,
    jumped: Option<Instant>,
    trials: Trials,
    usual: UsualRate,
    /// What the peer itself says, in bit/s (REMB).
    remb: Option<f64>,
    rtt: Option<f64>,
    peer_clock: PeerClock,
    wanted: f64,
    is_without_picture: bool,
    has_feedback: bool,
    /// Since when packets are unanswered.
    unanswered_since: Option<Instant>,
    silence_answered: Instant,
    /// Working memory.
    arrivals: Vec<Arrival>,
}

impl Estimator {
    /// An estimator that knows nothing.
    pub fn new(now: Instant) -> Estimator {
        Estimator {
            sent: SentPackets::new(now),
            signs: Signs::new(now),
            controller: RateController::new(START, now),
            losses: LossEstimator::new(),
            acked: AckedBitrate::default(),
            probing: Probing::new(),
            proved: None,
            jumped: None,
            trials: Trials::default(),
            usual: UsualRate::default(),
            remb: None,
            rtt: None,
            peer_clock: PeerClock::default(),
            wanted: 0.0,
            is_without_picture: false,
            has_feedback: false,
            unanswered_since: None,
            silence_answered: now,
            arrivals: Vec::new(),
        }
    }

    /// bit/s; a guess at first, and none for a peer that has not answered for a while.
    pub fn bits_per_second(&self, now: Instant) -> Option<u64> {
        let is_new = self
            .unanswered_since
            .is_none_or(|since| now.saturating_duration_since(since) < FIRST_SILENCE);
        let rate = match (self.has_feedback, self.remb) {
            (true, Some(remb)) => self.rate().min(remb),
            (true, None) => self.rate(),
            (false, Some(remb)) => remb,
            (false, None) if is_new => START,
            (false, None) => return None,
        };
        Some(rate.clamp(LOWEST, HIGHEST) as u64)
    }

    fn rate(&self) -> f64 {
        let delay = self.controller.rate();
        let loss = self.losses.rate().unwrap_or(delay);
        delay.min(loss).clamp(LOWEST, HIGHEST)
    }

    /// bit/s that came lately.
    pub fn acked_bits_per_second(&self) -> Option<u64> {
        self.acked.bits_per_second().map(|rate| rate as u64)
    }

    /// From a packet's leaving to the feedback on it; none before the first.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(Duration::from_secs_f64)
    }

    /// What the session would use if it could, in bit/s: nobody probes for more.
    pub fn set_wanted(&mut self, bits_per_second: u64) {
        self.wanted = (bits_per_second as f64).min(HIGHEST);
    }

    /// Whether all videos of the session are paused, for want of room.
    pub fn set_without_picture(&mut self, is_without_picture: bool) {
        self.is_without_picture = is_without_picture;
    }

    /// The session begins to send more at once, say another encoding.
    pub fn expect_jump(&mut self, now: Instant) {
        self.acked.expect_jump();
        self.jumped = Some(now);
        self.trials.begin(now);
    }

    /// Notes a packet that leaves: a write into a ring.
    #[inline]
    pub fn sent(&mut self, number: u16, size: u16, now: Instant) {
        let probe = self.probing.sent(size);
        let packet = SentPacket {
            sent: now,
            size,
            probe,
        };
        self.sent.insert(number, packet);
        self.unanswered_since.get_or_insert(now);
    }

    /// Has fetched what `sent` reads and changes but for the packet's own slot.
    #[inline]
    pub fn fetch_sending(&self) {
        switchyard_net::prefetch(&self.sent);
        switchyard_net::prefetch(&self.unanswered_since);
        self.probing.fetch_sending();
    }

    /// Has the slot fetched that `sent` will write for this number.
    #[inline]
    pub fn fetch(&self, number: u16) {
        self.sent.fetch(number);
    }

    /// Takes a peer's own estimate in bit/s (draft-alvestrand-rmcat-remb-03).
    pub fn remb(&mut self, bits_per_second: u64) {
        self.remb = Some((bits_per_second as f64).clamp(LOWEST, HIGHEST));
    }

    /// Takes feedback. Statuses of packets that are not known change nothing.
    pub fn feedback(&mut self, feedback: &TransportFeedback<'_>, now: Instant) {
        let base_ms = self.peer_clock.reference_ms(feedback.reference);
        self.arrivals.clear();
        let mut lost = Lost::default();
        let mut known = false;
        for status in feedback.statuses() {
            let arrived = status.arrival.is_some();
            match self.sent.take(status.number, arrived, now) {
                Some(Fate::Arrived { packet, late }) => {
                    known = true;
                    if late {
                        self.losses.came_late();
                    } else {
                        self.losses.packet(packet.sent, packet.size, true);
                    }
                    let at_ms = base_ms + PeerClock::arrival_ms(status.arrival.unwrap_or(0));
                    self.arrivals.push(Arrival { packet, at_ms });
                }
                Some(Fate::Lost(packet)) => {
                    known = true;
                    lost.add(&packet);
                    self.losses.packet(packet.sent, packet.size, false);
                }
                None => {}
            }
        }
        if !known {
            return;
        }
        self.has_feedback = true;
        self.unanswered_since = None;
        self.take_arrivals(&lost, now);
    }

    fn take_arrivals(&mut self, lost: &Lost, now: Instant) {
        let order = |a: &Arrival, b: &Arrival| {
            let sent = || a.packet.sent.cmp(&b.packet.sent);
            a.at_ms.total_cmp(&b.at_ms).then_with(sent)
        };
        // As nearly all come.
        if !self.arrivals.is_sorted_by(|a, b| order(a, b).is_le()) {
            self.arrivals.sort_by(order);
        }
        if let Some(last) = self.arrivals.last() {
            let sample = now
                .saturating_duration_since(last.packet.sent)
                .as_secs_f64();
            self.rtt = Some(match self.rtt {
                None => sample,
                Some(rtt) => rtt + RTT_WEIGHT * (sample - rtt),
            });
        }
        let mut probed = None;
        for Arrival { packet, at_ms } in &self.arrivals {
            self.acked.add(*at_ms, packet.size);
            probed = probed.or(self.probing.arrived(packet, *at_ms));
        }
        let usage = match self.signs.judge(&self.arrivals, lost, now) {
            Usage::Over if self.is_own_burst(now) => Usage::Under,
            usage => usage,
        };
        let crowded = self.is_crowded(now);
        self.trials.note(usage == Usage::Over || crowded, now);
        let acked = self.shown_bits_per_second(now);
        let rtt = Duration::from_secs_f64(self.rtt.unwrap_or(0.1).clamp(0.0, 2.0));
        let carried = acked.map(|acked| self.usual.carried(acked, crowded, now));
        let came = if usage == Usage::Over { carried } else { acked };
        self.controller.update(usage, came, rtt, now);
        if let Some(shown) = probed
            && usage != Usage::Over
        {
            self.proved = Some((now, shown));
            self.acked.expect_jump();
            if shown > self.controller.rate() {
                self.controller.set(shown.min(HIGHEST), now);
            }
            self.probing.go_on(shown, self.wanted, now);
        }
        self.losses.update(self.controller.rate(), acked, now);
        self.bound(now);
    }

    /// The queue that a probe or another encoding's key frame made is no overuse: it ends with them.
    fn is_own_burst(&self, now: Instant) -> bool {
        let is_recent = |at| now.saturating_duration_since(at) < PROBE_QUEUE;
        self.proved_within(PROBE_QUEUE, now).is_some() || self.jumped.is_some_and(is_recent)
    }

    /// Whether more is sent than the way carries, by a queue of its own that stands or overflows.
    pub fn is_crowded(&self, now: Instant) -> bool {
        self.signs.is_crowded(now)
    }

    /// Whether losses alone decide.
    #[cfg(test)]
    pub fn is_competitive(&self) -> bool {
        self.signs.is_competitive()
    }

    /// Whether the estimate is of nothing that came.
    pub fn is_guess(&self) -> bool {
        !self.has_feedback && self.remb.is_none()
    }

    fn last_decrease(&self) -> Option<Instant> {
        let decreases = [self.controller.last_decrease(), self.losses.last_decrease()];
        decreases.into_iter().flatten().max()
    }

    /// Whether the estimate has not fallen for a while.
    pub fn is_settled(&self, now: Instant) -> bool {
        let calm_time = if self.signs.is_competitive() {
            CALM_IN_COMPETITIVE_MODE
        } else {
            CALM
        };
        self.is_calm_for(calm_time, now)
    }

    fn is_calm_for(&self, time: Duration, now: Instant) -> bool {
        self.last_decrease()
            .is_none_or(|last| now.saturating_duration_since(last) >= time)
    }

    /// Whether the way has shown lately how little it carries.
    pub fn is_narrow(&self, now: Instant) -> bool {
        self.last_decrease()
            .is_some_and(|last| now.saturating_duration_since(last) < NARROW)
    }

    /// The way is another one: nothing that was measured holds.
    pub fn begin_path(&mut self, now: Instant) {
        *self = Estimator {
            wanted: self.wanted,
            has_feedback: self.has_feedback,
            ..Estimator::new(now)
        };
    }

    /// What the way has carried: what came lately, or what a probe showed just now.
    fn shown_bits_per_second(&self, now: Instant) -> Option<f64> {
        let proved = self.proved_within(PROVED, now);
        match (self.acked.bits_per_second(), proved) {
            (Some(acked), Some(proved)) => Some(acked.max(proved)),
            (acked, _) => acked,
        }
    }

    fn proved_within(&self, time: Duration, now: Instant) -> Option<f64> {
        self.proved
            .filter(|&(at, _)| now.saturating_duration_since(at) < time)
            .map(|(_, rate)| rate)
    }

    fn bound(&mut self, now: Instant) {
        let rate = self.controller.rate();
        if !(LOWEST..=HIGHEST).contains(&rate) {
            self.controller.set(rate.clamp(LOWEST, HIGHEST), now);
        }
    }

    /// Whether packets leave closer together while a probe runs: `padding` is to be asked often.
    pub fn is_probing(&self) -> bool {
        self.probing.is_sending()
    }

    /// Whether `tick` may have something to do by itself: packets are unanswered, or nothing ever was answered.
    pub fn is_waiting(&self) -> bool {
        self.unanswered_since.is_some() || !self.has_feedback
    }

    /// Whether the peer gives its own estimate.
    pub fn has_remb(&self) -> bool {
        self.remb.is_some()
    }

    /// Bytes of padding that a probe wants now.
    pub fn padding(&mut self, now: Instant) -> usize {
        self.probing.padding(now)
    }

    /// What time alone changes: a way without feedback, and whether to probe. To be asked a few times a second.
    pub fn tick(&mut self, now: Instant) {
        let silent = self
            .unanswered_since
            .is_some_and(|since| now.saturating_duration_since(since) >= SILENCE);
        if self.has_feedback
            && silent
            && now.saturating_duration_since(self.silence_answered) >= SILENCE_STEP
        {
            self.silence_answered = now;
            let lower = (self.controller.rate() * SILENCE_FACTOR).max(LOWEST);
            self.controller.set(lower, now);
        }
        let calm = !silent && self.may_look_for_room(now);
        // Only a peer that has answered before is probed: others might not answer at all.
        if self.has_feedback && self.remb.is_none() {
            self.probing.consider(self.rate(), self.wanted, calm, now);
        }
    }

    /// Whether there is no sign against it, for long enough.
    fn may_look_for_room(&self, now: Instant) -> bool {
        if self.signs.is_competitive() {
            return self.is_calm_for(CALM_IN_COMPETITIVE_MODE, now);
        }
        // Who fills the way sees its end without probes, and would only push others away with them: the sooner, the
        // more it has of what it wants.
        let acked = self.acked.bits_per_second().unwrap_or(0.0);
        let content = (acked / self.wanted.max(1.0) / CONTENT).min(1.0);
        let calm_time = if self.is_without_picture {
            CALM_WITHOUT_PICTURE
        } else if acked > FILLS * self.rate() {
            CALM.max(CALM_FILLED.mul_f64(content))
        } else {
            CALM
        };
        self.trials.may_try(content, now)
            && self.signs.usage() != Usage::Over
            && self.is_calm_for(calm_time, now)
    }
}
