//! Media that one peer sends, and who receives it.

use std::time::{Duration, Instant};

use super::key_frame::KeyFramePace;
use crate::codec::Codec;
use crate::core::{EncodingKey, ExtensionIds, PublicationKey, SessionKey, SubscriptionKey};

/// Audio or video.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaKind {
    /// Every packet can be decoded by itself.
    Audio,
    /// Needs key frames.
    Video,
}

/// A payload type that the peer sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// What is in the payload.
    pub codec: Codec,
    /// Hz.
    pub clock_rate: u32,
    /// Payload type of its retransmissions (RFC 4588).
    pub rtx_payload_type: Option<u8>,
    /// The peer answers NACK.
    pub nack: bool,
    /// The peer answers PLI.
    pub pli: bool,
    /// The peer answers FIR.
    pub fir: bool,
}

/// What control wrote about a publication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicationSettings {
    /// Given by control.
    pub id: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// The peer's mid.
    pub mid: String,
    /// At least one.
    pub encodings: Vec<EncodingSettings>,
    /// Announced SSRCs of retransmissions, each with the one it repairs.
    pub rtx_ssrcs: Vec<(u32, u32)>,
    /// What it may send.
    pub formats: Vec<Format>,
    /// Without a packet for so long it is silent.
    pub silent_after: Duration,
}

/// Whether media comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// None came yet.
    Waiting,
    /// It comes.
    Active,
    /// It came, and stopped.
    Silent,
}

/// One encoding that control announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodingSettings {
    /// Unique within the publication; empty without simulcast.
    pub rid: String,
    /// Announced SSRCs; none where packets carry mid and rid instead.
    pub ssrcs: Vec<u32>,
}

/// Where a publication's packets come from.
pub enum Origin {
    /// From a peer of ours.
    Peer(SessionKey),
    /// From the worker that has the peer.
    Worker(Box<Mirror>),
}

/// What a mirrored publication is called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MirrorName {
    /// Where its peer is.
    pub worker: u16,
    /// The peer's session.
    pub session_id: String,
    /// Given by control.
    pub publication_id: u32,
}

/// What is known of a publication that another worker has.
pub struct Mirror {
    /// Which one.
    pub name: MirrorName,
    /// What the header extensions' IDs mean.
    pub extensions: ExtensionIds,
    /// That worker's, in the order of the settings.
    pub encodings: Vec<EncodingKey>,
}

impl Mirror {
    /// One of which nothing else is known yet.
    pub fn new(worker: u16, session_id: &str, publication_id: u32) -> Mirror {
        Mirror {
            name: MirrorName {
                worker,
                session_id: session_id.to_owned(),
                publication_id,
            },
            extensions: ExtensionIds::default(),
            encodings: Vec::new(),
        }
    }
}

/// One publication.
pub struct Publication {
    /// As control wrote it.
    pub settings: PublicationSettings,
    /// Who sends it.
    pub origin: Origin,
    /// Other workers that mirror it: which, and their keys.
    pub mirrors: Vec<(u16, PublicationKey)>,
    /// In the order of the settings.
    pub encodings: Vec<EncodingKey>,
    /// Who receives it, whichever encoding.
    pub subscriptions: Vec<SubscriptionKey>,
    /// Whether media comes.
    pub activity: Activity,
    /// When the last packet of any encoding came.
    pub last_packet: Instant,
    /// When the engine looks whether media still comes.
    pub silence_timer: Option<Instant>,
    /// When the engine looks at the encodings' rates next.
    pub layers_timer: Option<Instant>,
    /// Of the requests for key frames of all its encodings.
    pub key_frame_pace: KeyFramePace,
}

impl Publication {
    /// A publication that waits for its first packet; its encodings are still to be added.
    pub fn new(settings: PublicationSettings, session: SessionKey, now: Instant) -> Publication {
        Publication {
            settings,
            origin: Origin::Peer(session),
            mirrors: Vec::new(),
            encodings: Vec::new(),
            subscriptions: Vec::new(),
            activity: Activity::Waiting,
            last_packet: now,
            silence_timer: None,
            layers_timer: None,
            key_frame_pace: KeyFramePace::default(),
        }
    }

    /// A publication of another worker, which has still to say what it is.
    pub fn mirror(mirror: Mirror, now: Instant) -> Publication {
        let settings = PublicationSettings {
            id: mirror.name.publication_id,
            kind: MediaKind::Audio,
            mid: String::new(),
            encodings: Vec::new(),
            rtx_ssrcs: Vec::new(),
            formats: Vec::new(),
            silent_after: Duration::MAX,
        };
        Publication {
            origin: Origin::Worker(Box::new(mirror)),
            ..Publication::new(settings, SessionKey::default(), now)
        }
    }

    /// The session of its peer, where that is ours.
    pub fn session(&self) -> Option<SessionKey> {
        match self.origin {
            Origin::Peer(session) => Some(session),
            Origin::Worker(_) => None,
        }
    }

    /// The format of a payload type.
    pub fn format(&self, payload_type: u8) -> Option<&Format> {
        self.settings
            .formats
            .iter()
            .find(|format| format.payload_type == payload_type)
    }

    /// The format whose retransmissions have this payload type.
    pub fn repaired_format(&self, rtx_payload_type: u8) -> Option<&Format> {
        self.settings
            .formats
            .iter()
            .find(|format| format.rtx_payload_type == Some(rtx_payload_type))
    }

    /// The format of packets that only protect others, where it may have such.
    pub fn protection(&self) -> Option<&Format> {
        let mut formats = self.settings.formats.iter();
        formats.find(|format| format.codec == Codec::UlpFec)
    }

    /// When it is silent, without another packet.
    pub fn silent_at(&self) -> Instant {
        self.last_packet + self.settings.silent_after
    }

    /// Notes a packet; true when media came for the first time, or again after a silence.
    #[inline]
    pub fn note_packet(&mut self, now: Instant) -> bool {
        self.last_packet = now;
        let became_active = self.activity != Activity::Active;
        self.activity = Activity::Active;
        became_active
    }
}
