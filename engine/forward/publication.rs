//! Media that one peer sends, and who receives it.

use std::time::{Duration, Instant};

use super::cache::{AUDIO_PACKETS, PacketCache, VIDEO_PACKETS};
use super::key_frame::KeyFrameRequests;
use super::loss::Losses;
use super::reception::Reception;
use crate::codec::{self, Codec};
use crate::core::{Discard, SessionKey, SubscriptionKey};

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
    /// Announced SSRCs.
    pub ssrcs: Vec<u32>,
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

/// The peer's last sender report (RFC 3550 section 6.4.1).
#[derive(Clone, Copy)]
pub struct SenderClock {
    /// NTP time, 32.32 bits.
    pub ntp: u64,
    /// The media clock at that time.
    pub rtp_timestamp: u32,
}

/// A packet after its place in the stream is known.
pub struct Received {
    /// Extended sequence number.
    pub extended: u64,
    /// A decoder can begin here.
    pub key_frame: bool,
    /// Grows when the peer began another stream: numbers before and after have nothing to do with each other.
    pub generation: u32,
    /// First media, or first after a silence.
    pub became_active: bool,
}

/// One publication.
pub struct Publication {
    /// As control wrote it.
    pub settings: PublicationSettings,
    /// Whose it is.
    pub session: SessionKey,
    /// Who receives it.
    pub subscriptions: Vec<SubscriptionKey>,
    /// For retransmissions.
    pub cache: PacketCache,
    /// Asks the peer.
    pub key_frames: KeyFrameRequests,
    /// Asks the peer, too.
    pub losses: Losses,
    /// Of the current stream.
    pub reception: Option<Reception>,
    /// Of the current stream.
    pub clock: Option<SenderClock>,
    /// The SSRC of the current stream.
    pub ssrc: Option<u32>,
    /// Of FIR (RFC 5104 section 4.3.1.2).
    pub fir_sequence: u8,
    /// Whether media comes.
    pub activity: Activity,
    /// When the last packet came.
    pub last_packet: Instant,
    /// When the engine looks at losses and key frames next.
    pub timer: Option<Instant>,
    generation: u32,
}

impl Publication {
    /// A publication that waits for its first packet.
    pub fn new(settings: PublicationSettings, session: SessionKey, now: Instant) -> Publication {
        let packets = match settings.kind {
            MediaKind::Audio => AUDIO_PACKETS,
            MediaKind::Video => VIDEO_PACKETS,
        };
        Publication {
            settings,
            session,
            subscriptions: Vec::new(),
            cache: PacketCache::new(packets),
            key_frames: KeyFrameRequests::default(),
            losses: Losses::default(),
            reception: None,
            clock: None,
            ssrc: None,
            fir_sequence: 0,
            activity: Activity::Waiting,
            last_packet: now,
            timer: None,
            generation: 0,
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

    /// Puts a decrypted packet into its place: order, losses, cache, key frame.
    ///
    /// # Errors
    /// The reason why it is not to be forwarded.
    pub fn receive(
        &mut self,
        header: &crate::wire::rtp::Header,
        packet: &[u8],
        payload: &[u8],
        now: Instant,
    ) -> Result<Received, Discard> {
        let format = self
            .format(header.payload_type)
            .ok_or(Discard::UnknownPayloadType)?;
        let (codec, clock_rate, nack) = (format.codec, format.clock_rate, format.nack);
        if self.ssrc != Some(header.ssrc) {
            self.begin_stream(header.ssrc);
        }
        let reception = self.reception.get_or_insert_with(|| {
            Reception::new(header.ssrc, clock_rate, header.sequence_number, now)
        });
        let highest = reception.highest();
        let extended = reception.extend(header.sequence_number);
        if self.cache.contains(extended) {
            return Err(Discard::Duplicate);
        }
        reception.count(extended, header.timestamp, now);
        if nack {
            if extended > highest {
                if !self.losses.gap(highest, extended, now) {
                    self.key_frames.want(now);
                }
            } else {
                self.losses.arrived(extended);
            }
        }
        self.cache.insert(extended, packet);
        let key_frame = codec::starts_key_frame(codec, payload);
        if key_frame {
            self.key_frames.arrived();
        }
        self.last_packet = now;
        let became_active = self.activity != Activity::Active;
        self.activity = Activity::Active;
        Ok(Received {
            extended,
            key_frame,
            generation: self.generation,
            became_active,
        })
    }

    /// The generation of the packets in the cache.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    fn begin_stream(&mut self, ssrc: u32) {
        self.ssrc = Some(ssrc);
        self.reception = None;
        self.clock = None;
        self.losses = Losses::default();
        self.cache.clear();
        self.generation += 1;
    }
}
