//! What a panic ends. In work for one session it ends that session; in anything else, media among it, it ends all sessions
//! of this worker, which begins anew.
//!
//! A panic leaves tables half changed. The session's own lists are not trusted: whatever has no owner goes, and the lists
//! of those who stay are made again from what each subscription says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use slotmap::SlotMap;

use super::channels::{ChannelEnd, ChannelState};
use super::handover::{ChannelHandover, Handover};
use super::timers::Timer;
use super::{ChannelKey, EncodingKey, Engine, PublicationKey, SessionKey, requests};
use crate::forward::publication::Origin;
use crate::link::proto::SessionEndReason;

impl Engine {
    /// Does work for one session, which names itself in `at_work`; none if it panicked. Before the work knows whose it is,
    /// it only reads, and nothing has to end.
    #[inline]
    pub(super) fn within_walls<T>(&mut self, work: impl FnOnce(&mut Engine) -> T) -> Option<T> {
        self.at_work = None;
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(done) => Some(done),
            Err(_) => {
                self.counters.panics_caught += 1;
                if let Some(key) = self.at_work.take() {
                    self.end_after_panic(key);
                }
                None
            }
        }
    }

    /// The same for a request, about a session of that name.
    pub(super) fn request_within_walls<T>(
        &mut self,
        session_id: Option<String>,
        work: impl FnOnce(&mut Engine) -> T,
    ) -> Option<T> {
        let done = self.within_walls(work);
        if done.is_none()
            && let Some(session_id) = session_id
        {
            // It may be half made, or half gone.
            match self.by_id.get(&session_id) {
                Some(&key) => self.end_after_panic(key),
                None => self.sweep(),
            }
        }
        done
    }

    /// Whose work a timer is; none: a mirror's, for which the whole worker answers, or that of what has ended.
    pub(super) fn owner_of(&self, timer: Timer) -> Option<SessionKey> {
        let owner_of = |key| self.publications.get(key)?.session();
        match timer {
            Timer::Transport(key)
            | Timer::Report(key)
            | Timer::Arrivals(key)
            | Timer::Bandwidth(key)
            | Timer::Data(key) => Some(key),
            Timer::Layers(key) | Timer::Silence(key) => owner_of(key),
            Timer::Encoding(key) | Timer::Cache(key) => {
                owner_of(self.encodings.get(key)?.publication)
            }
            Timer::ChannelAck(key) => (self.channels.get(key)).map(|channel| channel.session),
        }
    }

    /// Control hears of it; the peer does not: its transport may be what is broken.
    fn end_after_panic(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.remove(key) else {
            self.sweep();
            return;
        };
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Removal, &session.id);
        self.outlets.release(&session.outlet);
        self.counters.sessions_ended_by_panic += 1;
        let ended = requests::session_ended(&session.id, SessionEndReason::Panic);
        self.events.push_back(ended);
        // Broken things may panic once more when they are dropped.
        if catch_unwind(AssertUnwindSafe(|| drop(session))).is_err() {
            self.counters.panics_caught += 1;
        }
        self.sweep();
    }

    /// Ends all that has no owner any more.
    fn sweep(&mut self) {
        let sessions = &self.sessions;
        let is_there = |key: &SessionKey| sessions.contains_key(*key);
        self.by_id.retain(|_, key| is_there(key));
        self.by_ufrag.retain(|_, key| is_there(key));
        self.by_address.retain(|_, key| is_there(key));
        self.checks.retain(is_there);
        self.turns.retain(is_there);
        self.told.retain(is_there);
        self.sweep_media();
        self.sweep_channels();
    }

    fn sweep_media(&mut self) {
        let (sessions, handovers) = (&self.sessions, &mut self.handovers);
        self.publications.retain(|_, publication| {
            let owner = publication.session();
            let stays = owner.is_none_or(|session| sessions.contains_key(session));
            if !stays {
                let mirrors = publication.mirrors.drain(..);
                handovers
                    .extend(mirrors.map(|(worker, mirror)| (worker, Handover::Ended { mirror })));
            }
            stays
        });
        let publications = &self.publications;
        self.encodings
            .retain(|_, encoding| publications.contains_key(encoding.publication));
        let encodings = &self.encodings;
        self.subscriptions.retain(|_, subscription| {
            let of = &mut subscription.publication;
            *of = of.filter(|key| publications.contains_key(*key));
            let is_gone =
                |key: Option<EncodingKey>| key.is_some_and(|key| !encodings.contains_key(key));
            if is_gone(subscription.current()) {
                subscription.pause();
            }
            if is_gone(subscription.target) {
                subscription.aim(None);
            }
            sessions.contains_key(subscription.session)
        });
        let subscriptions = &self.subscriptions;
        self.switched.retain(|key| subscriptions.contains_key(*key));
        self.list_again();
    }

    fn list_again(&mut self) {
        let clear = |encoding: &mut super::Encoding| {
            let had = !encoding.subscriptions.is_empty();
            encoding.subscriptions.clear();
            had
        };
        let encodings = self.encodings.iter_mut();
        let had: Vec<_> = encodings
            .map(|(key, encoding)| (key, clear(encoding)))
            .collect();
        for publication in self.publications.values_mut() {
            publication.subscriptions.clear();
        }
        for (key, subscription) in &self.subscriptions {
            if let Some(of) = subscription
                .publication
                .and_then(|key| self.publications.get_mut(key))
            {
                of.subscriptions.push(key);
            }
            let (current, target) = (subscription.current(), subscription.target);
            let target = target.filter(|_| target != current);
            for encoding in [current, target].into_iter().flatten() {
                if let Some(encoding) = self.encodings.get_mut(encoding) {
                    encoding.subscriptions.push(key);
                }
            }
        }
        for (key, had) in had {
            let has = !self.encodings[key].subscriptions.is_empty();
            if has != had {
                self.watch_encoding(key, has);
            }
        }
        let mirrors: Vec<PublicationKey> = self.mirrors.values().copied().collect();
        for mirror in mirrors {
            self.release_mirror(mirror);
        }
    }

    fn sweep_channels(&mut self) {
        let (sessions, handovers) = (&self.sessions, &mut self.handovers);
        self.channels.retain(|_, channel| {
            let stays = channel.mirrored.is_some() || sessions.contains_key(channel.session);
            if !stays {
                handovers.extend(channel.mirrors.drain(..).map(|(worker, mirror)| {
                    let ended = ChannelHandover::Ended { mirror };
                    (worker, Handover::Channel(Box::new(ended)))
                }));
            }
            channel.subscriptions.clear();
            stays
        });
        let mut orphans = Vec::new();
        let keys: Vec<ChannelKey> = self.channels.keys().collect();
        for &key in &keys {
            let Some(publication) = self.channels[key].publication else {
                continue;
            };
            match self.channels.get_mut(publication) {
                Some(publication) => publication.subscriptions.push(key),
                None => orphans.push(key),
            }
        }
        for orphan in orphans {
            self.channels[orphan].publication = None;
            if self.channels[orphan].state == ChannelState::Open {
                self.close_channel(orphan, ChannelEnd::PublicationEnded);
            }
        }
        for key in keys {
            self.release_channel_mirror(key);
        }
    }

    /// After a panic that no session answers for: an engine without sessions, which goes on with the sockets and counts.
    /// Control hears which sessions ended, and the other workers that what they had of this one is no more.
    #[must_use]
    pub fn begin_anew(mut self, now: Instant) -> Engine {
        let ended: Vec<String> = self.by_id.drain().map(|(id, _)| id).collect();
        self.counters.panics_caught += 1;
        self.counters.worker_restarts += 1;
        self.counters.sessions_ended_by_panic += ended.len() as u64;
        let events = ended.iter();
        let events = events.map(|id| requests::session_ended(id, SessionEndReason::Worker));
        let others = (0..self.config.workers).filter(|&other| other != self.config.worker);
        Engine {
            events: events.collect(),
            handovers: others.map(|other| (other, Handover::Restarted)).collect(),
            outlets: self.outlets.emptied(),
            counters: self.counters,
            leaving: self.leaving,
            // No key is given twice: other workers may still name one of before.
            sessions: emptied(self.sessions),
            publications: emptied(self.publications),
            encodings: emptied(self.encodings),
            subscriptions: emptied(self.subscriptions),
            channels: emptied(self.channels),
            ..Engine::new(self.config, now)
        }
    }

    /// Another worker has begun anew: what was watched there has ended, and nobody there watches anything yet.
    pub(super) fn forget_worker(&mut self, worker: u16, now: Instant) {
        for publication in self.publications.values_mut() {
            publication.mirrors.retain(|(other, _)| *other != worker);
        }
        for encoding in self.encodings.values_mut() {
            encoding.watching.retain(|other| *other != worker);
        }
        for channel in self.channels.values_mut() {
            channel.mirrors.retain(|(other, _)| *other != worker);
        }
        let is_of = |publication: &super::Publication| matches!(&publication.origin, Origin::Worker(mirror) if mirror.name.worker == worker);
        let mirrors: Vec<_> = (self.publications.iter())
            .filter(|(_, publication)| is_of(publication))
            .map(|(key, _)| key)
            .collect();
        for mirror in mirrors {
            self.end_mirror(mirror, now);
        }
        let channels: Vec<_> = (self.channel_mirrors.iter())
            .filter(|(name, _)| name.worker == worker)
            .map(|(_, &key)| key)
            .collect();
        for channel in channels {
            self.end_channel_mirror(channel);
        }
    }
}

fn emptied<K: slotmap::Key, V>(mut map: SlotMap<K, V>) -> SlotMap<K, V> {
    map.clear();
    map
}
