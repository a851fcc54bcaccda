//! The memory of packet caches: made with a publisher's packets, shared by the encodings of its session, given back when
//! no more packets come.

use std::time::{Duration, Instant};

use super::timers::Timer;
use super::{EncodingKey, Engine, PublicationKey};
use crate::forward::cache;
use crate::forward::publication::Origin;

/// Of all encodings of one session together.
const SESSION_BYTES: usize = 16 << 20;
/// However many encodings share it: packets that came in one batch are sent on from the cache.
const LEAST_BYTES: usize = 32 << 10;
/// An encoding without a packet for so long gives its cache back. Nobody is sent packets that are as old.
const UNUSED_AFTER: Duration = Duration::from_secs(5);
const _: () = assert!(UNUSED_AFTER.as_nanos() > cache::MAX_AGE.as_nanos());

impl Engine {
    /// The first packet of an encoding came, or the first one after its cache was given back.
    #[cold]
    pub(super) fn cache_began(&mut self, key: EncodingKey, now: Instant) {
        let encoding = &mut self.encodings[key];
        let timer = Timer::Cache(key);
        self.timers
            .arm(&mut encoding.cache_timer, Some(now + UNUSED_AFTER), timer);
        let publication = encoding.publication;
        self.share_cache_memory(publication);
    }

    pub(super) fn cache_due(&mut self, key: EncodingKey, now: Instant) {
        let Some(encoding) = self.encodings.get_mut(key) else {
            return;
        };
        encoding.cache_timer = None;
        let unused_at = encoding.last_packet + UNUSED_AFTER;
        if unused_at > now {
            let timer = Timer::Cache(key);
            self.timers
                .arm(&mut encoding.cache_timer, Some(unused_at), timer);
            return;
        }
        encoding.cache.release();
        let publication = encoding.publication;
        self.share_cache_memory(publication);
    }

    /// Each encoding that is used has the same part of its session's memory.
    fn share_cache_memory(&mut self, key: PublicationKey) {
        let of_session = match &self.publications[key].origin {
            Origin::Peer(session) => self.sessions[*session].publications.clone(),
            Origin::Worker(mirror) => {
                let name = &mirror.name;
                let of_session = self.mirrors.iter().filter(|(other, _)| {
                    other.worker == name.worker && other.session_id == name.session_id
                });
                of_session.map(|(_, &publication)| publication).collect()
            }
        };
        let publications = of_session.iter().map(|&key| &self.publications[key]);
        let mut used: Vec<EncodingKey> = publications
            .flat_map(|publication| publication.encodings.iter().copied())
            .collect();
        used.retain(|&encoding| !self.encodings[encoding].cache.is_released());
        let part = (SESSION_BYTES / used.len().max(1)).max(LEAST_BYTES);
        for encoding in used {
            self.encodings[encoding].cache.set_max_bytes(part);
        }
    }
}
