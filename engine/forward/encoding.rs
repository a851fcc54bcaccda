//! One encoding of a publication: a stream of its own, with its own losses, cache and key frames.
//! A publication without simulcast has one.

use std::time::{Duration, Instant};

use super::bitrate::Bitrate;
use super::cache::PacketCache;
use super::key_frame::{KeyFrameRequests, Urgency};
use super::layer_rates::LayerRates;
use super::loss::Losses;
use super::protection::ProtectionBudget;
use super::publication::{Format, MediaKind};
use super::reception::Reception;
use crate::codec::layer::{Layer, Placement};
use crate::codec::{self, LayerReader, PictureNumbers, dependency_descriptor};
use crate::core::{Discard, PublicationKey, SubscriptionKey};
use crate::wire::rtp::Header;

/// Bytes that a subscriber's copy has more: SRTP's tag, and extensions such as the transport-wide number.
const SUBSCRIBERS_OVERHEAD: usize = 24;

/// Between two sender reports that are passed on: peers send one a second or less often, and they pass by all pacing.
const CLOCK_INTERVAL: Duration = Duration::from_millis(200);

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
    /// Whether key frames of this stream can be told at all: an end-to-end encrypted payload may hide them.
    pub key_frames_are_told: bool,
    /// Grows when the peer began another stream: numbers before and after have nothing to do with each other.
    pub generation: u32,
    /// The codec's own numbers in the payload.
    pub numbers: PictureNumbers,
    /// Where its frame stands among the layers of the encoding, if that has such.
    pub placement: Option<Placement>,
    /// First packet of this encoding, or first after it had stopped.
    pub became_live: bool,
}

/// One encoding.
pub struct Encoding {
    /// Whose it is.
    pub publication: PublicationKey,
    /// `a=rid` (RFC 8851); empty without simulcast.
    pub rid: String,
    /// Who gets its packets, or waits for its key frame.
    pub subscriptions: Vec<SubscriptionKey>,
    /// Other workers whose mirrors have such subscriptions.
    pub watching: Vec<u16>,
    /// For retransmissions.
    pub cache: PacketCache,
    /// When the engine looks whether the cache is still used; none where it has no memory.
    pub cache_timer: Option<Instant>,
    /// Asks the peer.
    pub key_frames: KeyFrameRequests,
    /// Asks the peer, too.
    pub losses: Losses,
    /// Of the current stream.
    pub reception: Option<Reception>,
    protection: ProtectionBudget,
    clock_told: Option<Instant>,
    /// The SSRC of the current stream.
    pub ssrc: Option<u32>,
    /// Of FIR (RFC 5104 section 4.3.1.2).
    pub fir_sequence: u8,
    /// Packets come.
    pub is_live: bool,
    /// When the last one came.
    pub last_packet: Instant,
    /// What it carries.
    pub bitrate: Bitrate,
    /// The same of its layers; absent where it has none.
    pub layer_rates: Option<Box<LayerRates>>,
    /// When the engine looks at losses and key frames next.
    pub timer: Option<Instant>,
    layers: LayerReader,
    key_frames_are_told: bool,
    generation: u32,
}

impl Encoding {
    /// An encoding that waits for its first packet.
    pub fn new(
        publication: PublicationKey,
        rid: String,
        kind: MediaKind,
        now: Instant,
    ) -> Encoding {
        Encoding {
            publication,
            rid,
            subscriptions: Vec::new(),
            watching: Vec::new(),
            cache: PacketCache::new(kind),
            cache_timer: None,
            key_frames: KeyFrameRequests::default(),
            losses: Losses::default(),
            reception: None,
            protection: ProtectionBudget::default(),
            clock_told: None,
            ssrc: None,
            fir_sequence: 0,
            is_live: false,
            last_packet: now,
            bitrate: Bitrate::new(now),
            timer: None,
            layers: LayerReader::default(),
            layer_rates: None,
            key_frames_are_told: false,
            generation: 0,
        }
    }

    /// Puts a decrypted packet into its place: order, losses, cache, key frame. `descriptor` is its
    /// dependency descriptor, where it has one.
    ///
    /// # Errors
    /// The reason why it is not to be forwarded.
    pub fn receive(
        &mut self,
        format: &Format,
        header: &Header,
        packet: &[u8],
        payload: &[u8],
        descriptor: Option<&[u8]>,
        now: Instant,
    ) -> Result<Received, Discard> {
        if self.ssrc != Some(header.ssrc) {
            self.begin_stream(header.ssrc);
        }
        let reception = self.reception.get_or_insert_with(|| {
            Reception::new(header.ssrc, format.clock_rate, header.sequence_number, now)
        });
        let highest = reception.highest();
        let extended = reception.extend(header.sequence_number);
        if self.cache.contains(extended) {
            return Err(Discard::Duplicate);
        }
        if self.cache.is_past(extended) {
            return Err(Discard::TooOld);
        }
        reception.count(extended, header.timestamp, now);
        // What nobody watches is not mended at the publisher's cost: whoever joins begins at a key frame.
        let is_watched = !self.subscriptions.is_empty() || !self.watching.is_empty();
        if format.nack && is_watched {
            if extended > highest {
                if !self.losses.gap(highest, extended, now) {
                    self.key_frames.want(now, Urgency::Paced);
                }
            } else {
                self.losses.arrived(extended, now);
            }
        }
        self.cache.insert(extended, packet, now);
        let size = packet.len() + SUBSCRIBERS_OVERHEAD;
        if self.bitrate.is_overdue(now) {
            self.measure(now);
        }
        self.bitrate.add(size);
        let mut placement = self.layers.read(format.codec, payload, descriptor);
        if let Some(placement) = &mut placement {
            self.layer_rates
                .get_or_insert_with(|| Box::new(LayerRates::new(now)))
                .add(placement, size, now);
        }
        let key_frame = codec::starts_key_frame(format.codec, payload)
            || descriptor.is_some_and(dependency_descriptor::starts_key_frame);
        if key_frame {
            self.key_frames.arrived();
            self.key_frames_are_told = true;
        }
        self.last_packet = now;
        let became_live = !self.is_live;
        self.is_live = true;
        Ok(Received {
            extended,
            key_frame,
            key_frames_are_told: self.key_frames_are_told,
            generation: self.generation,
            numbers: PictureNumbers {
                frame_number: descriptor.and_then(dependency_descriptor::frame_number),
                ..codec::picture_numbers(format.codec, payload)
            },
            placement,
            became_live,
        })
    }

    /// Ends the window of what is measured, where it was long enough.
    pub fn measure(&mut self, now: Instant) {
        self.bitrate.measure(now);
        if let Some(rates) = &mut self.layer_rates {
            rates.measure(now);
        }
    }

    /// What can be had of it, each with bits a second; no layer: all. A picture at less than half its frame rate is
    /// worse than a smaller one, so the slowest is among them only where there is `nothing_smaller`.
    pub fn layer_steps(&self, nothing_smaller: bool) -> Vec<(Option<Layer>, u64)> {
        let steps = self.layer_rates.as_ref().map(|rates| rates.steps());
        let mut steps = steps.unwrap_or_default();
        let smallest = steps.iter().map(|step| step.layer.spatial).min();
        steps.retain(|step| {
            !step.is_slowest || nothing_smaller && smallest == Some(step.layer.spatial)
        });
        let Some(all) = steps.pop() else {
            return vec![(None, self.bitrate.bits_per_second())];
        };
        let parts = steps
            .iter()
            .map(|step| (Some(step.layer), step.bits_per_second));
        parts.chain([(None, all.bits_per_second)]).collect()
    }

    /// The generation of the packets in the cache.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether the packet that came just now, which protects so many others, is made anew for subscribers.
    pub fn may_protect(&mut self, named: u32) -> bool {
        let reception = self.reception.as_ref();
        reception.is_some_and(|reception| self.protection.take(named, reception.received()))
    }

    /// Whether a sender report is passed on now.
    pub fn may_tell_clock(&mut self, now: Instant) -> bool {
        let told = self.clock_told;
        let may = told.is_none_or(|told| now.saturating_duration_since(told) >= CLOCK_INTERVAL);
        if may {
            self.clock_told = Some(now);
        }
        may
    }

    /// When losses and key frames are to be looked at.
    pub fn next_due(&self) -> Option<Instant> {
        match (self.losses.next_due(), self.key_frames.next_due()) {
            (Some(loss), Some(key_frame)) => Some(loss.min(key_frame)),
            (loss, key_frame) => loss.or(key_frame),
        }
    }

    fn begin_stream(&mut self, ssrc: u32) {
        self.ssrc = Some(ssrc);
        self.reception = None;
        self.protection = ProtectionBudget::default();
        self.losses = Losses::default();
        self.cache.clear();
        self.layers = LayerReader::default();
        self.layer_rates = None;
        self.generation += 1;
    }
}
