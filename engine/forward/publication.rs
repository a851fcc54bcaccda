//! Media that one peer sends, and who receives it.

use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::core::{EncodingKey, SessionKey, SubscriptionKey};

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

/// One publication.
pub struct Publication {
    /// As control wrote it.
    pub settings: PublicationSettings,
    /// Whose it is.
    pub session: SessionKey,
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
}

impl Publication {
    /// A publication that waits for its first packet; its encodings are still to be added.
    pub fn new(settings: PublicationSettings, session: SessionKey, now: Instant) -> Publication {
        Publication {
            settings,
            session,
            encodings: Vec::new(),
            subscriptions: Vec::new(),
            activity: Activity::Waiting,
            last_packet: now,
            silence_timer: None,
            layers_timer: None,
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
