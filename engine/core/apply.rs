//! Makes a session what its table says. All checks come before the first change.

use std::time::Instant;

use super::channel_table::ChannelRole;
use super::outlets::Outlet;
use super::session::{IncomingStream, Session};
use super::table::{self, Table};
use super::timers::Timer;
use super::{
    EncodingKey, Engine, EngineConfig, Handover, PublicationKey, SessionKey, SubscriptionKey,
};
use crate::forward::encoding::Encoding;
use crate::forward::publication::{MediaKind, Origin, Publication, PublicationSettings};
use crate::forward::subscription::{Subscription, SubscriptionSettings};
use crate::ice::IceRole;
use crate::link::proto;
use crate::transport::Transport;

/// SSRCs that one association's keys protect: 32,768 tracks with retransmissions, one after another.
const MAX_USED_SSRCS: usize = 1 << 16;

impl Engine {
    pub(super) fn apply_session(
        &mut self,
        request: proto::ApplySession,
        now: Instant,
    ) -> Result<(), String> {
        let table = table::read(&request)?;
        self.check_workers(&table)?;
        let existing = self.by_id.get(&request.session_id).copied();
        self.check_transport(existing, &table)?;
        self.check_ssrcs(existing, &table)?;
        let outlet = self.find_outlet(existing, &table)?;

        let key = existing.unwrap_or_else(|| {
            let key = self
                .sessions
                .insert(Session::new(request.session_id.clone(), now));
            self.by_id.insert(request.session_id.clone(), key);
            key
        });
        self.sessions[key].control_state = request.control_state;
        if let Some(outlet) = outlet {
            self.sessions[key].outlet = outlet;
        }
        self.apply_transport(key, &table, now);
        self.apply_publications(key, table.publications, now);
        self.apply_subscriptions(key, table.subscriptions, now);
        self.begin_allocation(key, now);
        self.apply_data_transport(key, table.data_transport, now);
        self.apply_channels(key, table.channels, now);
        Ok(())
    }

    fn check_workers(&self, table: &Table) -> Result<(), String> {
        let media = table.subscriptions.iter().map(|s| s.publisher_worker);
        let data = table.channels.iter().map(|channel| match &channel.role {
            ChannelRole::Subscription { publication, .. } => publication.worker,
            _ => 0,
        });
        match media.chain(data).max() {
            Some(worker) if worker >= self.config.workers => {
                Err(format!("there is no worker {worker}"))
            }
            _ => Ok(()),
        }
    }

    fn check_transport(&self, existing: Option<SessionKey>, table: &Table) -> Result<(), String> {
        let has_data = existing.is_some_and(|key| self.sessions[key].data.is_some());
        if has_data && table.data_transport.is_none() {
            return Err("a data transport cannot be taken away".into());
        }
        let current = existing.and_then(|key| self.sessions[key].transport.as_ref());
        match (&table.transport, current) {
            (Some((settings, _)), Some(current)) if !current.accepts(settings) => {
                Err("a transport keeps its roles and its peer's fingerprint".into())
            }
            (Some((settings, _)), _) => match self.by_ufrag.get(&settings.local.ufrag) {
                Some(owner) if Some(*owner) != existing => {
                    Err("local_ufrag belongs to another session".into())
                }
                _ => Ok(()),
            },
            (None, _) => Ok(()),
        }
    }

    /// An SSRC begins once under the same keys: a second time would repeat nonces (RFC 3711 section 9.1).
    fn check_ssrcs(&self, existing: Option<SessionKey>, table: &Table) -> Result<(), String> {
        let Some(session) = existing.map(|key| &self.sessions[key]) else {
            return Ok(());
        };
        let mut begun = 0;
        for wanted in &table.subscriptions {
            let mut had = session
                .subscriptions
                .iter()
                .map(|&key| &self.subscriptions[key].settings);
            let continued = had.find(|settings| settings.continues_as(wanted));
            let media = Some(wanted.ssrc).filter(|_| continued.is_none());
            let had_rtx = continued.and_then(|settings| settings.rtx_ssrc);
            let rtx = wanted.rtx_ssrc.filter(|&ssrc| Some(ssrc) != had_rtx);
            for ssrc in [media, rtx].into_iter().flatten() {
                if session.used_ssrcs.contains(&ssrc) {
                    return Err(format!("SSRC {ssrc} was used before under the same keys"));
                }
                begun += 1;
            }
        }
        if session.used_ssrcs.len() + begun > MAX_USED_SSRCS {
            return Err("too many SSRCs were used under the same keys".into());
        }
        Ok(())
    }

    /// An outlet for the full agent that the table makes, none where it makes none.
    fn find_outlet(
        &mut self,
        existing: Option<SessionKey>,
        table: &Table,
    ) -> Result<Option<Outlet>, String> {
        let has_one = existing.is_some_and(|key| self.sessions[key].transport.is_some());
        let (Some((settings, _)), false) = (&table.transport, has_one) else {
            return Ok(None);
        };
        if settings.ice_role == IceRole::Lite {
            return Ok(None);
        }
        let EngineConfig {
            sockets,
            open_sockets,
            ..
        } = &mut self.config;
        let peers: Vec<_> = settings.peer_addresses().collect();
        self.outlets.find(&peers, sockets, open_sockets).map(Some)
    }

    /// Headers to this peer, and those made from its own, have other elements from now on.
    fn reshape_headers(&mut self, key: SessionKey) {
        let session = &self.sessions[key];
        for &subscription in &session.subscriptions {
            self.subscriptions[subscription].reshape_headers();
        }
        for &publication in &session.publications {
            for &subscription in &self.publications[publication].subscriptions {
                self.subscriptions[subscription].reshape_headers();
            }
        }
    }

    fn apply_transport(&mut self, key: SessionKey, table: &Table, now: Instant) {
        let Some((settings, extensions)) = &table.transport else {
            self.end_transport(key);
            return;
        };
        if self.sessions[key].extensions != *extensions {
            self.sessions[key].extensions = *extensions;
            self.reshape_headers(key);
        }
        let session = &mut self.sessions[key];
        self.outlets
            .take(&mut session.outlet, settings.peer_addresses());
        let sockets = &self.config.sockets[self.outlets.range(&session.outlet)];
        match &mut session.transport {
            Some(transport) => {
                self.by_ufrag.remove(&transport.settings().local.ufrag);
                transport.update_ice(settings.clone(), sockets, now);
            }
            None => {
                session.transport = Some(Transport::new(
                    settings.clone(),
                    &self.config.certificate,
                    sockets,
                    self.config.protocols,
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

    /// The peer dropped it with its last m-line, and would take a goodbye for that of its next one.
    fn end_transport(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        let Some(transport) = session.transport.take() else {
            return;
        };
        self.by_ufrag.remove(&transport.settings().local.ufrag);
        session.addresses.clear(key, &mut self.by_address);
        self.outlets.release(&std::mem::take(&mut session.outlet));
        self.checks
            .forget(&std::mem::take(&mut session.awaited_checks));
        self.begin_keys(key);
        // SCTP runs inside DTLS (RFC 8261): the next DTLS association carries another SCTP association.
        self.sessions[key].data = None;
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
            let publication = match same.and_then(Option::take) {
                Some(publication) => {
                    self.publications[publication].settings = settings;
                    publication
                }
                None => self
                    .publications
                    .insert(Publication::new(settings, key, now)),
            };
            self.apply_encodings(publication, now);
            self.describe_to_mirrors(publication);
            self.expect_media(publication);
            kept.push(publication);
        }
        for ended in before.into_iter().flatten() {
            self.end_publication(ended);
        }
        self.sessions[key].publications = kept;
        self.index_streams(key);
    }

    /// Encodings are the same by their rids.
    pub(super) fn apply_encodings(&mut self, key: PublicationKey, now: Instant) {
        let publication = &mut self.publications[key];
        let before = std::mem::take(&mut publication.encodings);
        let kind = publication.settings.kind;
        let mut encodings = Vec::with_capacity(publication.settings.encodings.len());
        for settings in &publication.settings.encodings {
            let same = before
                .iter()
                .copied()
                .find(|&encoding| self.encodings[encoding].rid == settings.rid);
            encodings.push(same.unwrap_or_else(|| {
                self.encodings
                    .insert(Encoding::new(key, settings.rid.clone(), kind, now))
            }));
        }
        let changed = encodings != before;
        publication.encodings = encodings;
        let publication = &self.publications[key];
        let ended: Vec<_> = before
            .into_iter()
            .filter(|encoding| !publication.encodings.contains(encoding))
            .collect();
        for encoding in ended {
            self.end_encoding(encoding);
        }
        if changed {
            self.retarget_all(key, now);
        }
    }

    /// Which stream an SSRC is. What was learned from packets stays: peers stop repeating mid and rid.
    fn index_streams(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        let known = std::mem::take(&mut session.incoming);
        for &publication in &session.publications {
            let publication = &self.publications[publication];
            let settings = &publication.settings;
            for (announced, &encoding) in settings.encodings.iter().zip(&publication.encodings) {
                let stream = IncomingStream {
                    encoding,
                    repairs: None,
                    is_learned: false,
                    newest: 0,
                };
                for &ssrc in &announced.ssrcs {
                    session.incoming.insert(ssrc, stream);
                    let rtx = settings.rtx_ssrcs.iter().filter(|pair| pair.1 == ssrc);
                    for &(rtx, ssrc) in rtx {
                        let repairs = Some(Some(ssrc));
                        session
                            .incoming
                            .insert(rtx, IncomingStream { repairs, ..stream });
                    }
                }
            }
        }
        let announced = session.incoming.len();
        for (ssrc, stream) in known {
            if self.encodings.contains_key(stream.encoding) {
                let learned = IncomingStream {
                    is_learned: true,
                    ..stream
                };
                session.incoming.entry(ssrc).or_insert(learned);
            }
        }
        session.learned = session.incoming.len() - announced;
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
            let same = before.iter_mut().find(|slot| {
                slot.is_some_and(|key| self.subscriptions[key].settings.continues_as(&settings))
            });
            kept.push(match same.and_then(Option::take) {
                Some(subscription) => self.change_subscription(subscription, settings, now),
                None => self.begin_subscription(key, settings, now),
            });
        }
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Request, &self.sessions[key].id);
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
        session.used_ssrcs.extend(session.outgoing.keys());
        session.subscriptions = kept;
    }

    fn begin_subscription(
        &mut self,
        session: SessionKey,
        settings: SubscriptionSettings,
        now: Instant,
    ) -> SubscriptionKey {
        let publication = self.find_publication(&settings, now);
        let kind = publication.map_or(MediaKind::Audio, |key| self.publications[key].settings.kind);
        // SSRCs are random already, and a first sequence number need only be hard to guess (RFC 3550 section 5.1).
        let seed = (settings.ssrc ^ settings.ssrc >> 16) as u16;
        let subscription = Subscription::new(settings, session, publication, kind, seed);
        let key = self.subscriptions.insert(subscription);
        if let Some(publication) = publication {
            self.publications[publication].subscriptions.push(key);
            self.retarget(key, now);
        }
        key
    }

    /// The stream goes on, perhaps from another source: the old one is forwarded until the new one's key frame.
    fn change_subscription(
        &mut self,
        key: SubscriptionKey,
        settings: SubscriptionSettings,
        now: Instant,
    ) -> SubscriptionKey {
        if self.subscriptions[key].settings == settings {
            return key;
        }
        let source = self.find_publication(&settings, now);
        let subscription = &mut self.subscriptions[key];
        subscription.change(settings);
        let before = std::mem::replace(&mut subscription.publication, source);
        if before != source {
            if let Some(before) = before {
                let list = &mut self.publications[before].subscriptions;
                list.retain(|&other| other != key);
            }
            if let Some(source) = source {
                self.publications[source].subscriptions.push(key);
            }
        }
        self.retarget(key, now);
        if let Some(before) = before {
            self.release_mirror(before);
        }
        key
    }

    /// None when the publication has ended: the subscription then carries nothing.
    fn find_publication(
        &mut self,
        settings: &SubscriptionSettings,
        now: Instant,
    ) -> Option<PublicationKey> {
        if settings.publisher_worker == self.config.worker {
            self.own_publication(&settings.publisher_session_id, settings.publication_id)
        } else {
            Some(self.mirror_of(settings, now))
        }
    }

    pub(super) fn own_publication(&self, session_id: &str, id: u32) -> Option<PublicationKey> {
        let publisher = self.by_id.get(session_id)?;
        self.sessions[*publisher]
            .publications
            .iter()
            .copied()
            .find(|&key| self.publications[key].settings.id == id)
    }

    pub(super) fn end_publication(&mut self, key: PublicationKey) {
        let Some(publication) = self.publications.remove(key) else {
            return;
        };
        if let Origin::Worker(mirror) = &publication.origin {
            self.mirrors.remove(&mirror.name);
        }
        for (worker, mirror) in publication.mirrors {
            self.handovers
                .push_back((worker, Handover::Ended { mirror }));
        }
        for subscription in publication.subscriptions {
            self.subscriptions[subscription].publication = None;
        }
        for encoding in publication.encodings {
            self.end_encoding(encoding);
        }
    }

    fn end_encoding(&mut self, key: EncodingKey) {
        let Some(encoding) = self.encodings.remove(key) else {
            return;
        };
        for subscription in encoding.subscriptions {
            let subscription = &mut self.subscriptions[subscription];
            if subscription.current() == Some(key) {
                subscription.pause();
            }
            if subscription.target == Some(key) {
                subscription.aim(None);
            }
        }
    }

    fn end_subscription(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.remove(key) else {
            return;
        };
        if let Some(publication) = subscription.publication {
            self.publications[publication]
                .subscriptions
                .retain(|&other| other != key);
        }
        let lists = [
            subscription.current(),
            subscription.target,
            subscription.left(),
        ];
        for encoding in lists.into_iter().flatten() {
            self.detach(key, encoding);
        }
        if let Some(publication) = subscription.publication {
            self.release_mirror(publication);
        }
    }

    /// Ends all that belongs to a session. False when there is no such session.
    pub(super) fn remove_session(&mut self, session_id: &str) -> Option<Session> {
        let key = self.by_id.remove(session_id)?;
        let mut session = self.sessions.remove(key)?;
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Close, session_id);
        for &publication in &session.publications {
            self.end_publication(publication);
        }
        for &subscription in &session.subscriptions {
            self.end_subscription(subscription);
        }
        for &channel in &session.channels {
            self.end_channel(channel);
        }
        session.addresses.clear(key, &mut self.by_address);
        self.checks.forget(&session.awaited_checks);
        self.outlets.release(&session.outlet);
        if let Some(transport) = &session.transport {
            self.by_ufrag.remove(&transport.settings().local.ufrag);
        }
        Some(session)
    }
}
