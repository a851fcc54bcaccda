//! Which encoding each subscription gets: aims subscriptions, and keeps the lists of who gets what.

use std::time::{Duration, Instant};

use super::timers::Timer;
use super::{EncodingKey, Engine, PublicationKey, SubscriptionKey};
use crate::codec::layer::Layer;
use crate::forward::key_frame::Urgency;
use crate::forward::layer_choice::{self, Offered};
use crate::forward::publication::MediaKind;

/// Between two looks at the encodings of a simulcast publication.
const LAYERS_INTERVAL: Duration = Duration::from_millis(500);
/// An encoding without a packet for so long has been stopped by the peer.
const STOPPED_AFTER: Duration = Duration::from_secs(2);

/// An encoding, or a part of its layers.
pub(super) struct Step {
    pub encoding: EncodingKey,
    /// None: all that it has.
    pub layer: Option<Layer>,
    pub bits_per_second: u64,
}

impl Engine {
    /// Gives a subscription the encoding that it is to get now, or aims it at that one's next key frame.
    pub(super) fn retarget(&mut self, key: SubscriptionKey, now: Instant) {
        let (wanted, layer) = self.wanted_encoding(key).unzip();
        if wanted.is_none() && self.awaits_description(key) {
            return;
        }
        let subscription = &mut self.subscriptions[key];
        subscription.layer = layer.flatten();
        subscription.forget_before(now);
        let had = [subscription.target, subscription.current()];
        if wanted == had[0] && (wanted.is_some() || had[1].is_none()) {
            return;
        }
        let rate = |key: EncodingKey| self.encodings.get(key).map(|e| e.bitrate.bits_per_second());
        subscription.aim(wanted);
        subscription.gives_way = wanted.and_then(rate) < had[1].and_then(rate);
        if wanted.is_none() {
            subscription.stop(now);
            self.drop_held(key);
        }
        let subscription = &self.subscriptions[key];
        let has = [subscription.target, subscription.current()];
        for left in had.into_iter().filter(|left| !has.contains(left)).flatten() {
            self.detach(key, left);
        }
        if let Some(encoding) = wanted {
            self.attach(key, encoding);
            // One that is not connected asks once it is: the answer to a request before that would be lost,
            // and the publisher would pass over the next request.
            if has[1] != wanted && self.is_connected(key) {
                let urgency = if self.subscriptions[key].gives_way {
                    Urgency::InsteadOfLarger
                } else {
                    Urgency::Paced
                };
                self.want_key_frame_of(encoding, urgency, now);
            }
        }
    }

    /// Whether another worker has not said yet what its publication consists of: what is shown until then stays.
    pub(super) fn awaits_description(&self, key: SubscriptionKey) -> bool {
        let subscription = &self.subscriptions[key];
        let publication = subscription.publication.map(|key| &self.publications[key]);
        subscription.budget != Some(0)
            && publication.is_some_and(|publication| {
                publication.session().is_none() && publication.encodings.is_empty()
            })
    }

    /// Retargets all that receive a publication.
    pub(super) fn retarget_all(&mut self, key: PublicationKey, now: Instant) {
        for index in 0..self.publications[key].subscriptions.len() {
            self.retarget(self.publications[key].subscriptions[index], now);
        }
    }

    fn wanted_encoding(&self, key: SubscriptionKey) -> Option<(EncodingKey, Option<Layer>)> {
        let subscription = &self.subscriptions[key];
        if subscription.budget == Some(0) {
            return None;
        }
        let steps = self.steps(subscription.publication?);
        let offered: Vec<Offered<'_>> = steps
            .iter()
            .map(|step| {
                let encoding = &self.encodings[step.encoding];
                Offered {
                    rid: &encoding.rid,
                    is_live: encoding.is_live,
                    bits_per_second: step.bits_per_second,
                }
            })
            .collect();
        let choice = subscription.settings.choice.as_ref();
        let chosen = layer_choice::choose(&offered, choice, subscription.budget)?;
        Some((steps[chosen].encoding, steps[chosen].layer))
    }

    /// All that can be had of a publication.
    pub(super) fn steps(&self, key: PublicationKey) -> Vec<Step> {
        let publication = &self.publications[key];
        let rate = |key: &EncodingKey| self.encodings[*key].bitrate.bits_per_second();
        let live = publication
            .encodings
            .iter()
            .filter(|&&key| self.encodings[key].is_live);
        let cheapest = live.min_by_key(|&key| rate(key)).copied();
        let mut steps = Vec::with_capacity(publication.encodings.len());
        for &key in &publication.encodings {
            let layers = self.encodings[key].layer_steps(cheapest == Some(key));
            steps.extend(layers.into_iter().map(|(layer, bits_per_second)| Step {
                encoding: key,
                layer,
                bits_per_second,
            }));
        }
        steps
    }

    /// Subscriptions that can only go on to another size at a key frame.
    pub(super) fn want_key_frame_for_layers(&mut self, key: EncodingKey, now: Instant) {
        // A mirror ends with the last subscription that leaves it.
        let Some(encoding) = self.encodings.get_mut(key) else {
            return;
        };
        let mut is_wanted = false;
        for &subscriber in &encoding.subscriptions {
            is_wanted |= self.subscriptions[subscriber].take_key_frame_wish();
        }
        if is_wanted {
            encoding.key_frames.want(now, Urgency::Paced);
            self.timers.add(now, Timer::Encoding(key));
        }
    }

    fn attach(&mut self, key: SubscriptionKey, encoding: EncodingKey) {
        let list = &mut self.encodings[encoding].subscriptions;
        if !list.contains(&key) {
            list.push(key);
            if list.len() == 1 {
                self.watch_encoding(encoding, true);
            }
        }
    }

    /// Takes a subscription off an encoding's list; the encoding may have ended.
    pub(super) fn detach(&mut self, key: SubscriptionKey, encoding: EncodingKey) {
        let Some(left) = self.encodings.get_mut(encoding) else {
            return;
        };
        let publication = left.publication;
        let had = left.subscriptions.len();
        left.subscriptions.retain(|&other| other != key);
        if left.subscriptions.is_empty() && had > 0 {
            self.watch_encoding(encoding, false);
            self.release_mirror(publication);
        }
    }

    /// After a packet was forwarded: who switched to its encoding leaves the list of the one before.
    pub(super) fn settle_switches(&mut self, now: Instant) {
        while let Some(key) = self.switched.pop() {
            if let Some(left) = self.subscriptions[key].take_left() {
                self.note_upgrade(key, left, now);
                self.detach(key, left);
                if self.subscriptions[key].current().is_none() {
                    self.drop_held(key);
                }
            }
        }
    }

    /// The estimator is not to take a dearer encoding's key frame for congestion.
    fn note_upgrade(&mut self, key: SubscriptionKey, left: EncodingKey, now: Instant) {
        let rate = |key| self.encodings.get(key).map(|e| e.bitrate.bits_per_second());
        let subscription = &self.subscriptions[key];
        if subscription.current().and_then(rate) > rate(left) {
            self.sessions[subscription.session]
                .estimator
                .expect_jump(now);
        }
    }

    fn is_connected(&mut self, key: SubscriptionKey) -> bool {
        let session = self.subscriptions[key].session;
        let transport = self.sessions[session].transport.as_mut();
        transport.is_some_and(|transport| transport.outgoing().is_some())
    }

    /// A subscriber waits for this encoding's key frame.
    pub(super) fn want_key_frame_of(&mut self, key: EncodingKey, urgency: Urgency, now: Instant) {
        let publication = self.encodings[key].publication;
        if self.publications[publication].settings.kind == MediaKind::Video {
            self.encodings[key].key_frames.want(now, urgency);
            self.timers.add(now, Timer::Encoding(key));
        }
    }

    /// Looks at the encodings of a simulcast publication again soon.
    pub(super) fn watch_layers(&mut self, key: PublicationKey, now: Instant) {
        let publication = &mut self.publications[key];
        if publication.encodings.len() > 1 {
            self.timers.arm(
                &mut publication.layers_timer,
                Some(now + LAYERS_INTERVAL),
                Timer::Layers(key),
            );
        }
    }

    /// Measures the encodings, notices those that the peer stopped, and retargets who is concerned.
    pub(super) fn layers_due(&mut self, key: PublicationKey, now: Instant) {
        let Some(publication) = self.publications.get_mut(key) else {
            return;
        };
        publication.layers_timer = None;
        let mut any_live = false;
        for &encoding in &publication.encodings {
            let encoding = &mut self.encodings[encoding];
            encoding.measure(now);
            encoding.is_live &= now.duration_since(encoding.last_packet) < STOPPED_AFTER;
            any_live |= encoding.is_live;
        }
        self.retarget_all(key, now);
        self.repeat_key_frame_requests(key, now);
        // A publication that stopped as a whole is watched again from its next packet on.
        if any_live {
            self.watch_layers(key, now);
        }
    }

    /// Viewers of an old picture do not ask for the new one's key frame: nobody else would.
    fn repeat_key_frame_requests(&mut self, key: PublicationKey, now: Instant) {
        for index in 0..self.publications[key].subscriptions.len() {
            let subscription = &self.subscriptions[self.publications[key].subscriptions[index]];
            let (target, current) = (subscription.target, subscription.current());
            if let Some(target) = target.filter(|_| target != current) {
                self.encodings[target].key_frames.want(now, Urgency::Paced);
                self.timers.add(now, Timer::Encoding(target));
            }
        }
    }
}
