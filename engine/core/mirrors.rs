//! Publications of other workers: begun with their first subscription here, ended with the last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::counters::Counters;
use super::handover::{Description, Handover};
use super::outbox::Outbox;
use super::timers::Timer;
use super::{Discard, EncodingKey, Engine, PublicationKey};
use crate::forward::encoding::SenderClock;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::{Mirror, Origin, Publication};
use crate::forward::subscription::SubscriptionSettings;
use crate::wire::rtp::Header;

impl Engine {
    /// Takes what another worker told.
    pub fn handle_handover(
        &mut self,
        now: Instant,
        from: u16,
        handover: Handover,
        outbox: &mut Outbox,
    ) {
        if !matches!(handover, Handover::Packet { .. }) {
            // What came before it is for those that were there.
            self.fan_out_burst(now, outbox);
        }
        match handover {
            Handover::Packet {
                mirror,
                encoding,
                packet,
            } => {
                let taken = self.take_packet(mirror, encoding, &packet, now, outbox);
                if let Err(reason) = taken {
                    self.counters.discard(reason);
                }
            }
            Handover::Watch {
                mirror,
                session_id,
                publication_id,
            } => self.begin_watch(from, mirror, &session_id, publication_id),
            Handover::Unwatch {
                mirror,
                session_id,
                publication_id,
            } => self.end_watch(from, mirror, &session_id, publication_id),
            Handover::WatchEncoding { source, watched } => {
                if let Some(encoding) = self.encodings.get_mut(source) {
                    encoding.watching.retain(|&worker| worker != from);
                    if watched {
                        encoding.watching.push(from);
                    }
                }
            }
            Handover::KeyFrame { source, urgency } => {
                if let Some(encoding) = self.encodings.get_mut(source) {
                    encoding.key_frames.want(now, urgency);
                    // Not at once: a mirror asks for several encodings one after the other.
                    self.timers.add(now, Timer::Encoding(source));
                }
            }
            Handover::Lost { source, numbers } => self.hand_over_again(from, source, &numbers, now),
            Handover::Described {
                mirror,
                description,
            } => self.describe_mirror(mirror, *description, now),
            Handover::Ended { mirror } => self.end_mirror(mirror, now),
            Handover::Clock {
                mirror,
                encoding,
                clock,
            } => self.take_clock(mirror, encoding, clock, outbox),
            Handover::Restarted => self.forget_worker(from, now),
            Handover::Channel(handover) => self.handle_channel_handover(from, *handover),
        }
    }

    /// The next message to another worker, and which one that is.
    pub fn poll_handover(&mut self) -> Option<(u16, Handover)> {
        self.handovers.pop_front()
    }

    /// Which worker this is.
    pub fn worker(&self) -> u16 {
        self.config.worker
    }

    fn tell_worker(&mut self, worker: u16, handover: Handover) {
        self.handovers.push_back((worker, handover));
    }

    // Where the publisher is.

    fn begin_watch(
        &mut self,
        from: u16,
        mirror: PublicationKey,
        session_id: &str,
        publication_id: u32,
    ) {
        match self.own_publication(session_id, publication_id) {
            Some(key) => {
                self.publications[key].mirrors.push((from, mirror));
                self.describe_to(key, from, mirror);
            }
            None => self.tell_worker(from, Handover::Ended { mirror }),
        }
    }

    fn end_watch(
        &mut self,
        from: u16,
        mirror: PublicationKey,
        session_id: &str,
        publication_id: u32,
    ) {
        let Some(key) = self.own_publication(session_id, publication_id) else {
            return;
        };
        let publication = &mut self.publications[key];
        publication
            .mirrors
            .retain(|&watching| watching != (from, mirror));
        for &encoding in &publication.encodings {
            let watching = &mut self.encodings[encoding].watching;
            watching.retain(|&worker| worker != from);
        }
    }

    /// After a publication of ours may have changed.
    pub(super) fn describe_to_mirrors(&mut self, key: PublicationKey) {
        for index in 0..self.publications[key].mirrors.len() {
            let (worker, mirror) = self.publications[key].mirrors[index];
            self.describe_to(key, worker, mirror);
        }
    }

    fn describe_to(&mut self, key: PublicationKey, worker: u16, mirror: PublicationKey) {
        let publication = &self.publications[key];
        let description = Box::new(Description {
            settings: publication.settings.clone(),
            extensions: self.incoming_extensions(publication),
            encodings: publication.encodings.clone(),
        });
        let described = Handover::Described {
            mirror,
            description,
        };
        self.tell_worker(worker, described);
    }

    /// A packet that came, to all workers that watch its publication.
    pub(super) fn hand_over(&mut self, key: EncodingKey, packet: &[u8]) {
        let publication = &self.publications[self.encodings[key].publication];
        let place = publication.encodings.iter().position(|&other| other == key);
        let Some(place) = place.filter(|_| !publication.mirrors.is_empty()) else {
            return;
        };
        let Some(packet) = self.handed_over.fill(packet) else {
            self.counters.discard(Discard::WorkerBehind);
            return;
        };
        let (queue, counters) = (&mut self.handovers, &mut self.counters);
        for &watching in &publication.mirrors {
            queue_packet(queue, counters, watching, place, packet.clone());
        }
    }

    /// What a mirror lacks, where it is here; what is not here has been asked from the publisher.
    fn hand_over_again(&mut self, from: u16, key: EncodingKey, numbers: &[u16], now: Instant) {
        let Some(encoding) = self.encodings.get(key) else {
            return;
        };
        let publication = &self.publications[encoding.publication];
        let place = publication.encodings.iter().position(|&other| other == key);
        let watching = publication
            .mirrors
            .iter()
            .find(|(worker, _)| *worker == from);
        let (Some(place), Some(&watching), Some(reception)) =
            (place, watching, &encoding.reception)
        else {
            return;
        };
        for &number in numbers {
            let lost = encoding.cache.get(reception.extend(number), now);
            if let Some(packet) = lost.and_then(|packet| self.handed_over.fill(packet)) {
                let (queue, counters) = (&mut self.handovers, &mut self.counters);
                queue_packet(queue, counters, watching, place, packet);
            }
        }
    }

    pub(super) fn hand_over_clock(&mut self, key: EncodingKey, clock: SenderClock) {
        let publication = &self.publications[self.encodings[key].publication];
        let place = publication.encodings.iter().position(|&other| other == key);
        for &(worker, mirror) in &publication.mirrors {
            let encoding = place.unwrap_or_default() as u8;
            let handover = Handover::Clock {
                mirror,
                encoding,
                clock,
            };
            self.handovers.push_back((worker, handover));
        }
    }

    // Where its subscribers are.

    /// The mirror of another worker's publication.
    pub(super) fn mirror_of(
        &mut self,
        settings: &SubscriptionSettings,
        now: Instant,
    ) -> PublicationKey {
        let name = Mirror::new(
            settings.publisher_worker,
            &settings.publisher_session_id,
            settings.publication_id,
        );
        if let Some(&key) = self.mirrors.get(&name.name) {
            return key;
        }
        let watched = name.name.clone();
        let key = self.publications.insert(Publication::mirror(name, now));
        self.mirrors.insert(watched.clone(), key);
        let handover = Handover::Watch {
            mirror: key,
            session_id: watched.session_id,
            publication_id: watched.publication_id,
        };
        self.tell_worker(watched.worker, handover);
        key
    }

    /// Ends a mirror that nobody here needs any more.
    pub(super) fn release_mirror(&mut self, key: PublicationKey) {
        let Some(publication) = self.publications.get(key) else {
            return;
        };
        let Origin::Worker(mirror) = &publication.origin else {
            return;
        };
        let mut encodings = publication.encodings.iter();
        // A subscription that has another source by now still shows this one, until the other one's key frame.
        let is_shown = encodings.any(|&key| !self.encodings[key].subscriptions.is_empty());
        if is_shown || !publication.subscriptions.is_empty() {
            return;
        }
        let name = mirror.name.clone();
        self.end_publication(key);
        let handover = Handover::Unwatch {
            mirror: key,
            session_id: name.session_id,
            publication_id: name.publication_id,
        };
        self.tell_worker(name.worker, handover);
    }

    pub(super) fn end_mirror(&mut self, key: PublicationKey, now: Instant) {
        let Some(publication) = self.publications.get(key) else {
            return;
        };
        let subscriptions = publication.subscriptions.clone();
        self.end_publication(key);
        // Those that waited for it show nothing else from now on.
        for subscription in subscriptions {
            self.retarget(subscription, now);
        }
    }

    fn describe_mirror(&mut self, key: PublicationKey, description: Description, now: Instant) {
        let Some(publication) = self.publications.get_mut(key) else {
            return;
        };
        let Origin::Worker(mirror) = &mut publication.origin else {
            return;
        };
        mirror.extensions = description.extensions;
        mirror.encodings = description.encodings;
        publication.settings = description.settings;
        let kind = publication.settings.kind;
        for &subscription in &publication.subscriptions {
            self.subscriptions[subscription].set_kind(kind);
            // The description may name other header extensions.
            self.subscriptions[subscription].reshape_headers();
        }
        self.apply_encodings(key, now);
    }

    fn take_packet(
        &mut self,
        mirror: PublicationKey,
        encoding: u8,
        packet: &Arc<Vec<u8>>,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<(), Discard> {
        let publication = self.publications.get(mirror).ok_or(Discard::MirrorEnded)?;
        let encodings = &publication.encodings;
        let key = *encodings
            .get(usize::from(encoding))
            .ok_or(Discard::MirrorEnded)?;
        let extensions = self.incoming_extensions(publication);
        let header = Header::parse(packet).map_err(|_| Discard::Malformed)?;
        self.forward(key, &header, packet, &extensions, now, outbox)
    }

    fn take_clock(
        &mut self,
        mirror: PublicationKey,
        encoding: u8,
        clock: SenderClock,
        outbox: &mut Outbox,
    ) {
        let encodings = self.publications.get(mirror).map(|known| &known.encodings);
        let Some(&key) = encodings.and_then(|known| known.get(usize::from(encoding))) else {
            return;
        };
        self.forward_sender_report(key, clock, outbox);
    }

    /// The encoding at the publisher's worker that this one mirrors.
    pub(super) fn source_of(&self, key: EncodingKey) -> Option<(u16, EncodingKey)> {
        let publication = &self.publications[self.encodings[key].publication];
        let Origin::Worker(mirror) = &publication.origin else {
            return None;
        };
        let place = publication
            .encodings
            .iter()
            .position(|&other| other == key)?;
        Some((mirror.name.worker, *mirror.encodings.get(place)?))
    }

    /// Somebody, or nobody any more, gets this encoding here.
    pub(super) fn watch_encoding(&mut self, key: EncodingKey, watched: bool) {
        if let Some((worker, source)) = self.source_of(key) {
            self.tell_worker(worker, Handover::WatchEncoding { source, watched });
        }
    }

    /// Asks the publisher's worker for what the publisher of another publication is asked itself: packets of an encoding,
    /// and key frames.
    pub(super) fn ask_worker(
        &mut self,
        key: EncodingKey,
        lost: Vec<u16>,
        to_refresh: &[(EncodingKey, Urgency)],
    ) {
        if !lost.is_empty()
            && let Some((worker, source)) = self.source_of(key)
        {
            let numbers = lost;
            self.tell_worker(worker, Handover::Lost { source, numbers });
        }
        for &(encoding, urgency) in to_refresh {
            if let Some((worker, source)) = self.source_of(encoding) {
                self.tell_worker(worker, Handover::KeyFrame { source, urgency });
            }
        }
    }
}

/// Towards a mirror, from the encoding at that place of its publication.
fn queue_packet(
    queue: &mut VecDeque<(u16, Handover)>,
    counters: &mut Counters,
    (worker, mirror): (u16, PublicationKey),
    place: usize,
    packet: Arc<Vec<u8>>,
) {
    let encoding = place as u8;
    let handover = Handover::Packet {
        mirror,
        encoding,
        packet,
    };
    queue.push_back((worker, handover));
    counters.packets_handed_over += 1;
}
