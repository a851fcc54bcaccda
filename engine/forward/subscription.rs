//! One peer's view of a publication: its own SSRC, payload types, sequence numbers and timestamps.

use std::time::Instant;

use super::encoding::Received;
use super::mapping::{Asked, Left, Mapping};
use super::publication::MediaKind;
use super::repeats::Repeats;
use super::thinning::Thinning;
use crate::codec::PictureNumbers;
use crate::codec::layer::Layer;
use crate::core::{EncodingKey, ExtensionIds, PublicationKey, SessionKey};

mod rewriting;
mod settings;

pub use rewriting::Rewritten;
use settings::find_format;
pub use settings::{FormatMapping, SubscriptionSettings};

/// One subscription.
pub struct Subscription {
    /// Who receives.
    pub session: SessionKey,
    /// What; none when it has ended.
    pub publication: Option<PublicationKey>,
    /// As control wrote it.
    pub settings: SubscriptionSettings,
    /// The encoding that it is to get: the current one, or the one whose key frame it waits for.
    pub target: Option<EncodingKey>,
    /// The target is a cheaper encoding: a key frame of the current one is not worth its place on the way.
    pub gives_way: bool,
    /// What it is to get of an encoding with layers; absent: all that there is.
    pub layer: Option<Layer>,
    /// Bits a second that its link has for it; absent: not known.
    pub budget: Option<u64>,
    /// Since when its link has no room for even the least of its encodings.
    pub starved_since: Option<Instant>,
    kind: MediaKind,
    /// Those of the settings as they were when the current encoding began: another source has other numbers.
    formats: Vec<FormatMapping>,
    /// Of the current encoding; none before the first packet and while nothing is to be sent.
    mapping: Option<Mapping>,
    /// What is left out of the current encoding; absent where that has no layers.
    thinning: Option<Box<Thinning>>,
    /// Number of the newest packet of the current encoding that was looked at for layers.
    newest_incoming: u64,
    /// The encoding that it got before, until the engine takes it off that one's list.
    left: Option<EncodingKey>,
    /// For repairs of the encoding that it got before.
    before: Option<Box<Left>>,
    waiting_since: Option<Instant>,
    /// Next number of the first packet after a change of stream.
    next_outgoing: u64,
    last_timestamp: u32,
    /// As the subscriber saw them.
    last_numbers: PictureNumbers,
    last_sent: Option<Instant>,
    rtx_index: u64,
    /// The peer has sent a report on this SSRC: it knows which mid it has.
    mid_known: bool,
    /// From this index on, headers have the shape that they have now.
    headers_since: u64,
    /// Of a peer that asks for packets without RTX.
    pub repeats: Option<Repeats<ExtensionIds>>,
    /// For sender reports.
    pub packet_count: u32,
    /// Payload bytes, for sender reports.
    pub octet_count: u32,
}

impl Subscription {
    /// A subscription that waits for its first packet. `seed` makes its first sequence number.
    pub fn new(
        settings: SubscriptionSettings,
        session: SessionKey,
        publication: Option<PublicationKey>,
        kind: MediaKind,
        seed: u16,
    ) -> Subscription {
        Subscription {
            session,
            publication,
            settings,
            target: None,
            gives_way: false,
            layer: None,
            budget: None,
            starved_since: None,
            kind,
            formats: Vec::new(),
            mapping: None,
            thinning: None,
            newest_incoming: 0,
            left: None,
            before: None,
            waiting_since: None,
            // Below 2^15, so that the first packets need no guess of the rollover counter (RFC 3711 section 3.3.1).
            next_outgoing: 1 + u64::from(seed & 0x3fff),
            last_timestamp: 0,
            last_numbers: PictureNumbers::default(),
            last_sent: None,
            rtx_index: 1 + u64::from(seed >> 2),
            mid_known: false,
            headers_since: 0,
            repeats: None,
            packet_count: 0,
            octet_count: 0,
        }
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// As another worker has told.
    pub fn set_kind(&mut self, kind: MediaKind) {
        self.kind = kind;
    }

    /// Other keys protect the stream from now on: a peer begins with a rollover counter of zero
    /// (RFC 3711 section 3.3.1), so what is above 16 bits is taken off all numbers.
    /// Numbers in the upper half of a turn are skipped: a peer that misses the first packets would guess a wrong
    /// rollover counter from those after the turn.
    pub fn begin_keys(&mut self) {
        let had = self.next_outgoing;
        let is_upper_half = had & 0x8000 != 0;
        let turns = had & !0xffff;
        self.next_outgoing = if is_upper_half { 1 } else { had - turns };
        self.rtx_index &= 0x7fff;
        self.reshape_headers();
        self.before = None;
        if let Some(mapping) = &mut self.mapping {
            let sent = had - mapping.first_outgoing;
            // What was sent before the last turn, or before numbers were skipped, cannot be asked for under the new keys.
            let kept = if is_upper_half {
                0
            } else {
                sent.min(self.next_outgoing)
            };
            mapping.first_incoming += sent - kept;
            mapping.first_outgoing = self.next_outgoing - kept;
        }
    }

    /// Packets from now on have other headers than those before: what protects both could not be recovered from.
    pub fn reshape_headers(&mut self) {
        self.mid_known = false;
        self.headers_since = self.next_outgoing;
        self.repeats = None;
    }

    /// The peer has reported on the stream. Of one that `is_protected` packets go on to name their mid: parity is of
    /// headers too, and those of retransmissions always name it.
    pub fn reported(&mut self, is_protected: bool) {
        self.mid_known = !is_protected;
    }

    /// Whether packets are to say which mid they are for.
    #[inline]
    pub fn names_mid(&self) -> bool {
        !self.mid_known
    }

    /// The encoding that it gets now.
    pub fn current(&self) -> Option<EncodingKey> {
        self.mapping.map(|mapping| mapping.encoding)
    }

    /// Where a key frame would help the peer's decoder.
    pub fn decoding(&self) -> Option<EncodingKey> {
        self.current().or(self.target)
    }

    /// Gets nothing for now; what it got may be asked for again.
    pub fn stop(&mut self, now: Instant) {
        self.keep_before(None, now);
        self.pause();
    }

    /// Gets nothing of the current encoding any more, whose next pictures need a key frame that it did not get.
    fn leave(&mut self, now: Instant) {
        self.left = self.current();
        self.stop(now);
    }

    /// Gets nothing from now on; numbers go on when it gets something again.
    pub fn pause(&mut self) {
        self.mapping = None;
        self.waiting_since = None;
    }

    /// Has another encoding to wait for.
    pub fn aim(&mut self, target: Option<EncodingKey>) {
        self.target = target;
        self.waiting_since = None;
    }

    /// The encoding that it has left and in whose list it still is.
    #[inline]
    pub fn left(&self) -> Option<EncodingKey> {
        self.left
    }

    /// The encoding that was left by the last switch, once.
    pub fn take_left(&mut self) -> Option<EncodingKey> {
        self.left.take()
    }

    /// Whether a packet of this stream is for this peer now.
    pub fn receives(&self, encoding: EncodingKey, received: &Received) -> bool {
        self.mapping.is_some_and(|mapping| {
            mapping.encoding == encoding && mapping.generation == received.generation
        })
    }

    /// True once when only a key frame of the current encoding brings the layer that it is to get.
    pub fn take_key_frame_wish(&mut self) -> bool {
        let thinning = self.thinning.as_mut();
        thinning.is_some_and(|thinning| thinning.take_key_frame_wish())
    }

    /// The number that the next packet gets.
    pub fn next_outgoing(&self) -> u64 {
        self.next_outgoing
    }

    /// The packet that began the current encoding has this number: those between never left.
    pub fn begin_at(&mut self, index: u64) {
        self.go_on_at(index + 1);
        if let Some(mapping) = &mut self.mapping {
            mapping.first_outgoing = index;
        }
    }

    /// The next packet has this number: those that were given it and more never left.
    pub fn go_on_at(&mut self, index: u64) {
        self.next_outgoing = index;
        if let Some(left) = &mut self.before {
            left.end = left.end.min(index);
        }
    }

    /// Keeps the numbers of the video that is left: its last packets may be asked for again.
    fn keep_before(&mut self, next: Option<EncodingKey>, now: Instant) {
        let left = self
            .mapping
            .filter(|mapping| Some(mapping.encoding) != next);
        if let Some(mapping) = left.filter(|_| self.kind == MediaKind::Video) {
            self.before = Some(Box::new(Left {
                mapping,
                thinning: self.thinning.take(),
                formats: std::mem::take(&mut self.formats),
                end: self.next_outgoing,
                at: now,
            }));
        }
    }

    /// Forgets the encoding that was left, once nothing of it will be asked for.
    pub fn forget_before(&mut self, now: Instant) {
        if self.before.as_ref().is_some_and(|left| !left.is_kept(now)) {
            self.before = None;
        }
    }

    /// Finds the packet that the peer asks for.
    pub fn find_asked(&self, sequence_number: u16, now: Instant) -> Option<Asked> {
        let behind = (self.next_outgoing as u16).wrapping_sub(sequence_number);
        let index = self.next_outgoing.checked_sub(u64::from(behind))?;
        self.find(index).or_else(|| {
            let left = self.before.as_ref().filter(|left| left.is_kept(now))?;
            left.find(index)
        })
    }

    /// One of the last packets: zero is the newest.
    pub fn find_recent(&self, behind: u64) -> Option<Asked> {
        self.find(self.next_outgoing.checked_sub(1 + behind)?)
    }

    fn find(&self, index: u64) -> Option<Asked> {
        self.mapping?.find(self.thinning.as_deref(), index)
    }

    /// How the peer calls a payload type of the source that it was asked for from.
    pub fn format_of(&self, asked: &Asked, publication_payload_type: u8) -> Option<FormatMapping> {
        match &self.before {
            Some(left) if asked.is_left => find_format(&left.formats, publication_payload_type),
            _ => self.format(publication_payload_type),
        }
    }

    /// The timestamp of the outgoing stream for one of the incoming.
    pub fn outgoing_timestamp(&self, timestamp: u32) -> Option<u32> {
        let mapping = self.mapping?;
        Some(timestamp.wrapping_add(mapping.timestamp_offset))
    }

    /// Of its newest packet.
    pub fn last_timestamp(&self) -> u32 {
        self.last_timestamp
    }

    /// The next packet index of the retransmission stream.
    pub fn next_rtx_index(&mut self) -> u64 {
        self.rtx_index += 1;
        self.rtx_index
    }

    /// Has fetched what `format` reads beside the subscription itself.
    #[inline]
    pub fn fetch_formats(&self) {
        if let Some(format) = self.formats.first() {
            switchyard_net::prefetch(format);
        }
    }

    /// How the peer calls a payload type of the current source.
    #[inline]
    pub fn format(&self, publication_payload_type: u8) -> Option<FormatMapping> {
        find_format(&self.formats, publication_payload_type)
    }

    /// Takes new settings that continue the stream.
    pub fn change(&mut self, settings: SubscriptionSettings) {
        let same_source = self.settings.publisher_session_id == settings.publisher_session_id
            && self.settings.publication_id == settings.publication_id;
        self.settings = settings;
        if same_source {
            self.take_formats();
        }
    }

    /// From now on packets have the formats of the settings; those from before cannot be made the same again.
    fn take_formats(&mut self) {
        if self.formats != self.settings.formats {
            self.formats.clone_from(&self.settings.formats);
            self.reshape_headers();
        }
    }
}

#[cfg(test)]
mod tests;
