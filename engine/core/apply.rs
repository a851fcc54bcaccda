//! Makes a session what its table says. All checks come before the first change.

use std::time::Instant;

use super::session::{IncomingStream, Session};
use super::table::{self, Table};
use super::timers::Timer;
use super::{Engine, PublicationKey, SessionKey, SubscriptionKey};
use crate::forward::publication::{MediaKind, Publication, PublicationSettings};
use crate::forward::subscription::{Subscription, SubscriptionSettings};
use crate::link::proto;
use crate::transport::Transport;

impl Engine {
    pub(super) fn apply_session(
        &mut self,
        request: proto::ApplySession,
        now: Instant,
    ) -> Result<(), String> {
        let table = table::read(&request)?;
        let existing = self.by_id.get(&request.session_id).copied();
        self.check_transport(existing, &table)?;

        let key = existing.unwrap_or_else(|| {
            let key = self
                .sessions
                .insert(Session::new(request.session_id.clone()));
            self.by_id.insert(request.session_id.clone(), key);
            key
        });
        self.sessions[key].control_state = request.control_state;
        self.apply_transport(key, &table, now);
        self.apply_publications(key, table.publications, now);
        self.apply_subscriptions(key, table.subscriptions, now);
        Ok(())
    }

    fn check_transport(&self, existing: Option<SessionKey>, table: &Table) -> Result<(), String> {
        let current = existing.and_then(|key| self.sessions[key].transport.as_ref());
        match (&table.transport, current) {
            (None, Some(_)) => Err("a transport cannot be taken away".into()),
            (Some((settings, _)), Some(current)) if !current.accepts(settings) => {
                Err("a transport keeps its DTLS role and its peer's fingerprint".into())
            }
            (Some((settings, _)), _) => match self.by_ufrag.get(&settings.local.ufrag) {
                Some(owner) if Some(*owner) != existing => {
                    Err("local_ufrag belongs to another session".into())
                }
                _ => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    fn apply_transport(&mut self, key: SessionKey, table: &Table, now: Instant) {
        let Some((settings, extensions)) = &table.transport else {
            return;
        };
        let session = &mut self.sessions[key];
        session.extensions = *extensions;
        match &mut session.transport {
            Some(transport) => {
                self.by_ufrag.remove(&transport.settings().local.ufrag);
                transport.restart_ice(settings.clone(), now);
            }
            None => {
                session.transport = Some(Transport::new(
                    settings.clone(),
                    &self.config.certificate,
                    &self.config.sockets,
                    now,
                ));
            }
        }
        self.by_ufrag.insert(settings.local.ufrag.clone(), key);
        self.timers.arm(
            &mut session.transport_timer,
            Some(now),
            Timer::Transport(key),
        );
    }

    fn apply_publications(
        &mut self,
        key: SessionKey,
        wanted: Vec<PublicationSettings>,
        now: Instant,
    ) {
        let mut kept = Vec::with_capacity(wanted.len());
        let before = std::mem::take(&mut self.sessions[key].publications);
        let mut before: Vec<_> = before.into_iter().map(Some).collect();
        for settings in wanted {
            let same = before.iter_mut().find(|slot| {
                slot.is_some_and(|key| self.publications[key].settings.id == settings.id)
            });
            match same.and_then(Option::take) {
                Some(publication) => {
                    self.publications[publication].settings = settings;
                    kept.push(publication);
                }
                None => kept.push(
                    self.publications
                        .insert(Publication::new(settings, key, now)),
                ),
            }
        }
        for ended in before.into_iter().flatten() {
            self.end_publication(ended);
        }
        let session = &mut self.sessions[key];
        session.incoming.clear();
        session.learned = 0;
        for &publication in &kept {
            let settings = &self.publications[publication].settings;
            let media = settings.ssrcs.iter().map(|&ssrc| (ssrc, None));
            let repairs = settings
                .rtx_ssrcs
                .iter()
                .map(|&(rtx, ssrc)| (rtx, Some(Some(ssrc))));
            for (ssrc, repairs) in media.chain(repairs) {
                let stream = IncomingStream {
                    publication,
                    repairs,
                };
                session.incoming.insert(ssrc, stream);
            }
        }
        session.publications = kept;
    }

    fn apply_subscriptions(
        &mut self,
        key: SessionKey,
        wanted: Vec<SubscriptionSettings>,
        now: Instant,
    ) {
        let before = std::mem::take(&mut self.sessions[key].subscriptions);
        let mut before: Vec<_> = before.into_iter().map(Some).collect();
        let mut kept = Vec::with_capacity(wanted.len());
        for settings in wanted {
            // A subscription whose settings changed begins anew: its numbers were for another stream.
            let same = before
                .iter_mut()
                .find(|slot| slot.is_some_and(|key| self.subscriptions[key].settings == settings));
            match same.and_then(Option::take) {
                Some(subscription) => kept.push(subscription),
                None => kept.push(self.begin_subscription(key, settings, now)),
            }
        }
        for ended in before.into_iter().flatten() {
            self.end_subscription(ended);
        }
        let session = &mut self.sessions[key];
        session.outgoing.clear();
        for &subscription in &kept {
            let settings = &self.subscriptions[subscription].settings;
            for ssrc in [Some(settings.ssrc), settings.rtx_ssrc]
                .into_iter()
                .flatten()
            {
                session.outgoing.insert(ssrc, subscription);
            }
        }
        session.subscriptions = kept;
    }

    fn begin_subscription(
        &mut self,
        session: SessionKey,
        settings: SubscriptionSettings,
        now: Instant,
    ) -> SubscriptionKey {
        let publication = self.find_publication(&settings);
        let kind = publication.map_or(MediaKind::Audio, |key| self.publications[key].settings.kind);
        // SSRCs are random already, and a first sequence number need only be hard to guess (RFC 3550 section 5.1).
        let seed = (settings.ssrc ^ settings.ssrc >> 16) as u16;
        let subscription = Subscription::new(settings, session, publication, kind, seed);
        let key = self.subscriptions.insert(subscription);
        if let Some(publication) = publication {
            let source = &mut self.publications[publication];
            source.subscriptions.push(key);
            if kind == MediaKind::Video {
                source.key_frames.want_for_joined(now);
                self.timers.add(now, Timer::Publication(publication));
            }
        }
        key
    }

    /// None when the publication has ended: the subscription then carries nothing.
    fn find_publication(&self, settings: &SubscriptionSettings) -> Option<PublicationKey> {
        let publisher = self.by_id.get(&settings.publisher_session_id)?;
        self.sessions[*publisher]
            .publications
            .iter()
            .copied()
            .find(|&key| self.publications[key].settings.id == settings.publication_id)
    }

    fn end_publication(&mut self, key: PublicationKey) {
        if let Some(publication) = self.publications.remove(key) {
            for subscription in publication.subscriptions {
                self.subscriptions[subscription].publication = None;
            }
        }
    }

    fn end_subscription(&mut self, key: SubscriptionKey) {
        if let Some(subscription) = self.subscriptions.remove(key)
            && let Some(publication) = subscription.publication
        {
            self.publications[publication]
                .subscriptions
                .retain(|&other| other != key);
        }
    }

    /// Ends all that belongs to a session. False when there is no such session.
    pub(super) fn remove_session(&mut self, session_id: &str) -> Option<Session> {
        let key = self.by_id.remove(session_id)?;
        let mut session = self.sessions.remove(key)?;
        for &publication in &session.publications {
            self.end_publication(publication);
        }
        for &subscription in &session.subscriptions {
            self.end_subscription(subscription);
        }
        session.addresses.clear(key, &mut self.by_address);
        if let Some(transport) = &session.transport {
            self.by_ufrag.remove(&transport.settings().local.ufrag);
        }
        Some(session)
    }
}
