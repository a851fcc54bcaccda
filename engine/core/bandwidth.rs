//! What a subscriber's link carries, acted upon: repairs leave at its pace, probes are filled with
//! repeated packets, and each subscription has its budget.

use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::repairs::Repair;
use super::timers::Timer;
use super::{Engine, SessionKey, SubscriptionKey};
use crate::bandwidth::allocation::{self, Demand};
use crate::forward::layer_choice;
use crate::forward::publication::MediaKind;
use crate::forward::subscription::Subscription;

/// Between two allocations of an unchanged estimate.
const ALLOCATION_INTERVAL: Duration = Duration::from_millis(200);
/// Between two because of an estimate that falls, as a peer's own may with each datagram.
const FALL_INTERVAL: Duration = Duration::from_millis(20);
/// While a probe is being sent.
const PROBE_INTERVAL: Duration = Duration::from_millis(4);
/// To notice that nothing comes back.
const SILENCE_INTERVAL: Duration = Duration::from_millis(500);
/// A video for which there is no room goes on for so long: room may be found in the meantime.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a paused video rests until it is tried again, counted from when there was no room for it.
const REST: Duration = Duration::from_secs(12);
/// Before the round trip is known, a repeated request within this is the same one.
const FIRST_RTT: Duration = Duration::from_millis(20);

impl Engine {
    /// After a peer told what came: the budgets, and when to look again.
    pub(super) fn estimate_changed(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        self.sessions[key].estimator.tick(now);
        self.reallocate(key, now);
        self.send_extras(key, now, outbox);
    }

    /// Shares the estimate out where it is time to; without one, nothing limits.
    pub(super) fn reallocate(&mut self, key: SessionKey, now: Instant) {
        let session = &mut self.sessions[key];
        let is_measured = session.extensions.transport_wide_cc != 0 || session.estimator.has_remb();
        match session.estimator.bits_per_second(now) {
            Some(estimate) if is_measured => {
                let is_narrow = session.estimator.is_narrow(now);
                session.pacer.set_estimate(estimate as f64, is_narrow, now);
                let fell = estimate < session.allocated - session.allocated / 20;
                let may_fall = session
                    .fell_at
                    .is_none_or(|at| now.saturating_duration_since(at) >= FALL_INTERVAL);
                if fell && may_fall {
                    session.fell_at = Some(now);
                    self.allocate(key, estimate, now);
                } else if session.allocate_at.is_none_or(|at| at <= now) {
                    self.allocate(key, estimate, now);
                }
            }
            _ if session.allocated > 0 => {
                session.pacer.set_estimate(f64::INFINITY, false, now);
                self.allocate(key, u64::MAX, now);
                self.sessions[key].allocated = 0;
            }
            _ => {}
        }
    }

    /// The subscriptions are other ones: they get their budgets before their first packets.
    pub(super) fn begin_allocation(&mut self, key: SessionKey, now: Instant) {
        self.sessions[key].allocate_at = None;
        self.reallocate(key, now);
        let session = &mut self.sessions[key];
        if session.allocated > 0 {
            let due = Some(now + SILENCE_INTERVAL);
            self.timers
                .arm(&mut session.bandwidth_timer, due, Timer::Bandwidth(key));
        }
    }

    /// Repairs that waited, padding, and the signs of a blocked way.
    pub(super) fn bandwidth_due(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        // An earlier time had replaced this one.
        if session.bandwidth_timer.is_some_and(|at| at > now) {
            return;
        }
        session.bandwidth_timer = None;
        self.estimate_changed(key, now, outbox);
    }

    /// Queues what a peer asks for again.
    pub(super) fn ask_repair(
        &mut self,
        key: SessionKey,
        subscription: SubscriptionKey,
        lost: u16,
        now: Instant,
    ) {
        let session = &mut self.sessions[key];
        // What is measured includes the wait for feedback.
        let rtt = session.estimator.rtt().map_or(FIRST_RTT, |rtt| rtt / 2);
        session.pacer.ask((subscription, lost), rtt, now);
    }

    /// Sends repairs and padding as far as they may leave now.
    pub(super) fn send_extras(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        while let Some((subscription, lost)) = self.sessions[key].pacer.next(now) {
            let counters = match self.retransmit(subscription, lost, now, outbox) {
                Repair::Sent => &mut self.counters.packets_retransmitted,
                Repair::Gone => &mut self.counters.packets_asked_in_vain,
                Repair::Declined => &mut self.counters.packets_not_repaired,
            };
            *counters += 1;
        }
        self.send_held(key, now, outbox);
        self.send_padding(key, now, outbox);
        let session = &mut self.sessions[key];
        let due = match session.pacer.next_due(now) {
            Some(at) => Some(at),
            None if session.estimator.is_probing() => Some(now + PROBE_INTERVAL),
            // Where nothing is sent at all, only a probe finds room.
            None if session.has_paused
                || session.allocated > 0 && session.estimator.is_waiting() =>
            {
                Some(now + SILENCE_INTERVAL)
            }
            None => None,
        };
        self.timers
            .arm(&mut session.bandwidth_timer, due, Timer::Bandwidth(key));
    }

    /// Shares the estimate over the session's subscriptions.
    pub(super) fn allocate(&mut self, key: SessionKey, estimate: u64, now: Instant) {
        let session = &mut self.sessions[key];
        session.allocated = estimate;
        session.allocate_at = Some(now + ALLOCATION_INTERVAL);
        let subscriptions = session.subscriptions.clone();
        let mut demands: Vec<Demand> = subscriptions
            .iter()
            .enumerate()
            .map(|(place, &subscription)| self.demand(subscription, place as u32, now))
            .collect();
        let estimator = &self.sessions[key].estimator;
        let crowded = estimator.is_crowded(now);
        allocation::share(estimate, &mut demands, crowded || estimator.is_guess());
        let wanted = demands.iter().map(Demand::wish).sum();
        self.sessions[key].estimator.set_wanted(wanted);
        let hurts = crowded
            && demands
                .iter()
                .any(|demand| demand.is_audio && demand.most() > 0);
        let (mut has_paused, mut has_picture) = (false, false);
        // Where no probe can show room for a video that is paused, it is tried itself.
        let mut may_try = self.probe_filler(key).is_none();
        for (subscription, demand) in subscriptions.into_iter().zip(&demands) {
            let is_tried = demand.is_paused && std::mem::take(&mut may_try);
            self.set_budget(subscription, demand, Room { hurts, is_tried }, now);
            let is_paused = self.subscriptions[subscription].budget == Some(0);
            has_paused |= is_paused;
            has_picture |= !is_paused && !demand.is_audio;
        }
        let session = &mut self.sessions[key];
        session.has_paused = has_paused;
        let is_without_picture = has_paused && !has_picture;
        session.estimator.set_without_picture(is_without_picture);
    }

    /// What a subscription could use, by what the publisher sends.
    fn demand(&mut self, key: SubscriptionKey, place: u32, now: Instant) -> Demand {
        let subscription = &self.subscriptions[key];
        let mut demand = Demand {
            is_paused: subscription.budget == Some(0),
            may_rise: self.sessions[subscription.session]
                .estimator
                .is_settled(now),
            ..Demand::new(subscription.kind() == MediaKind::Audio, place)
        };
        let Some(publication) = subscription.publication else {
            return demand;
        };
        if let [only] = self.publications[publication].encodings[..] {
            self.encodings[only].measure(now);
        }
        let has = (subscription.target, subscription.layer);
        let choice = subscription.settings.choice.as_ref();
        let mut rates = Vec::new();
        for step in self.steps(publication) {
            let source = &self.encodings[step.encoding];
            if has == (Some(step.encoding), step.layer) {
                demand.current = Some(step.bits_per_second);
            }
            if source.is_live && layer_choice::may_have(choice, &source.rid) {
                rates.push(step.bits_per_second);
            }
        }
        rates.retain(|&rate| rate > 0);
        rates.sort_unstable();
        if !layer_choice::follows_bandwidth(subscription.settings.choice.as_ref()) {
            // It gets what it wishes, whatever that costs.
            rates.drain(..rates.len().saturating_sub(1));
        }
        demand.set_rates(rates);
        demand
    }

    /// A budget is more than what the encoding carries now: rates vary, and a budget that varies with them would switch.
    fn set_budget(&mut self, key: SubscriptionKey, demand: &Demand, room: Room, now: Instant) {
        let subscription = &mut self.subscriptions[key];
        let above = demand.rates.iter().find(|&&rate| rate > demand.budget);
        let budget = if demand.fits {
            subscription.starved_since = None;
            above.map(|&next| demand.budget + (next - demand.budget) * 3 / 4)
        } else {
            Some(u64::from(!gives_up(subscription, demand, room, now)))
        };
        if subscription.budget == budget {
            return;
        }
        let grows = budget.is_none_or(|budget| subscription.budget.is_some_and(|had| budget > had));
        subscription.budget = budget;
        let session = subscription.session;
        let had = (subscription.target, subscription.layer);
        self.retarget(key, now);
        let subscription = &self.subscriptions[key];
        if grows && (subscription.target, subscription.layer) != had {
            self.sessions[session].estimator.expect_jump(now);
        }
    }
}

/// What decides whether a video stays for which there is no room.
#[derive(Clone, Copy)]
struct Room {
    /// There is a queue in which audio waits, too.
    hurts: bool,
    /// It is paused, and nothing but itself can show whether there is room by now.
    is_tried: bool,
}

/// Whether a video for which there is no room is paused. The first one is only for a queue in which the audio is, too.
fn gives_up(subscription: &mut Subscription, demand: &Demand, room: Room, now: Instant) -> bool {
    let is_first = demand.budget > 0;
    if !layer_choice::follows_bandwidth(subscription.settings.choice.as_ref()) {
        return false;
    }
    if demand.is_paused && !is_first {
        let since = subscription.starved_since;
        let has_rested = since.is_some_and(|since| now.saturating_duration_since(since) >= REST);
        let is_resumed = room.is_tried && has_rested;
        if is_resumed {
            subscription.starved_since = None;
        }
        return !is_resumed;
    }
    if is_first && !room.hurts {
        subscription.starved_since = None;
        return false;
    }
    let since = *subscription.starved_since.get_or_insert(now);
    now.saturating_duration_since(since) >= PATIENCE
}
