//! One peer's view of a publication: its own SSRC, payload types, sequence numbers and timestamps.

use std::time::{Duration, Instant};

use super::encoding::Received;
use super::layer_choice::EncodingChoice;
use super::mapping::{Asked, Left, Mapping};
use super::publication::MediaKind;
use super::repeats::Repeats;
use super::thinning::{Passage, Thinning};
use crate::codec::layer::Layer;
use crate::codec::{PictureNumbers, PictureOffsets};
use crate::core::{Discard, EncodingKey, ExtensionIds, PublicationKey, SessionKey};

/// How one of the publication's payload types is called by the receiving peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormatMapping {
    /// The publisher's number.
    pub publication_payload_type: u8,
    /// The subscriber's.
    pub payload_type: u8,
    /// The subscriber's number for retransmissions.
    pub rtx_payload_type: Option<u8>,
}

/// What control wrote about a subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionSettings {
    /// Given by control.
    pub id: u32,
    /// Whose publication.
    pub publisher_session_id: String,
    /// Which of its publications.
    pub publication_id: u32,
    /// Where the publisher is.
    pub publisher_worker: u16,
    /// The subscriber's mid.
    pub mid: String,
    /// Of the stream that it receives.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Others are not forwarded.
    pub formats: Vec<FormatMapping>,
    /// Which encoding of a simulcast publication; none: the best that the link carries.
    pub choice: Option<EncodingChoice>,
}

impl SubscriptionSettings {
    /// Whether `next` goes on with the same stream, so that its numbers must go on too.
    pub fn continues_as(&self, next: &SubscriptionSettings) -> bool {
        self.id == next.id && self.ssrc == next.ssrc && self.mid == next.mid
    }
}

/// A video subscription begins at a key frame, but where none is recognised (an end-to-end encrypted
/// payload, say) it begins all the same after this long: the decoder behind it knows better.
const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(1500);

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

/// The header fields of a packet on its way out.
pub struct Rewritten {
    /// The subscriber's payload type.
    pub payload_type: u8,
    /// SRTP's packet index, whose low 16 bits are the sequence number (RFC 3711 section 3.3.1).
    pub index: u64,
    /// The subscriber's timestamp.
    pub timestamp: u32,
    /// What is added to the numbers in the payload.
    pub picture_offsets: PictureOffsets,
    /// The last packet of a picture for this peer.
    pub ends_picture: bool,
    /// Goes out without its payload, to fill a number.
    pub is_empty: bool,
    /// The subscriber's payload type of the RED around it.
    pub red: Option<u8>,
    /// The subscription has just left another encoding for this one.
    pub switched: bool,
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
    pub fn begin_keys(&mut self) {
        let turns = self.next_outgoing & !0xffff;
        self.next_outgoing -= turns;
        self.rtx_index &= 0xffff;
        self.reshape_headers();
        self.repeats = None;
        self.before = None;
        if let Some(mapping) = &mut self.mapping {
            // What was sent before the last turn cannot be asked for under the new keys.
            let before = turns.saturating_sub(mapping.first_outgoing);
            mapping.first_incoming += before;
            mapping.first_outgoing = (mapping.first_outgoing + before) - turns;
        }
    }

    /// Packets from now on have other headers than those before: what protects both could not be recovered from.
    pub fn reshape_headers(&mut self) {
        self.mid_known = false;
        self.headers_since = self.next_outgoing;
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

    /// The encoding that was left by the last switch, once.
    pub fn take_left(&mut self) -> Option<EncodingKey> {
        self.left.take()
    }

    /// The header of a newly received packet as this peer is to see it.
    ///
    /// # Errors
    /// Why the packet is not for this peer.
    #[inline]
    pub fn rewrite(
        &mut self,
        encoding: EncodingKey,
        payload_type: u8,
        timestamp: u32,
        received: &Received,
        clock_rate: u32,
        now: Instant,
    ) -> Result<Rewritten, Discard> {
        let (mapping, switched) = match self.mapping {
            Some(mapping)
                if mapping.encoding == encoding && mapping.generation == received.generation =>
            {
                if received.key_frame && self.gives_way && self.target != Some(encoding) {
                    self.leave(now);
                    return Err(Discard::GaveWay);
                }
                (mapping, false)
            }
            _ => self.begin(encoding, payload_type, timestamp, received, clock_rate, now)?,
        };
        let format = self
            .format(payload_type)
            .ok_or(Discard::FormatNotSubscribed)?;
        if received.extended < mapping.first_incoming {
            return Err(Discard::BeforeFirst);
        }
        let passage = if received.placement.is_none() && self.thinning.is_none() {
            Passage::plain(received.extended)
        } else {
            self.thin(&mapping, timestamp, received)?
        };
        let index = mapping
            .index_of(passage.place)
            .ok_or(Discard::BeforeFirst)?;
        let timestamp = timestamp.wrapping_add(mapping.timestamp_offset);
        let picture_offsets = mapping.picture_offsets.without(passage.pictures);
        if index >= self.next_outgoing {
            self.next_outgoing = index + 1;
            self.last_timestamp = timestamp;
            self.last_numbers = received.numbers.shifted(picture_offsets);
            self.last_sent = Some(now);
        }
        Ok(Rewritten {
            payload_type: format.payload_type,
            index,
            timestamp,
            picture_offsets,
            ends_picture: passage.ends_picture,
            is_empty: passage.is_empty,
            red: None,
            switched,
        })
    }

    /// The header of a packet that protects others, as this peer is to see it; where it does not get what protects,
    /// numbers close over it.
    ///
    /// # Errors
    /// Why the packet is not for this peer.
    pub fn rewrite_protection(
        &mut self,
        payload_type: u8,
        timestamp: u32,
        received: &Received,
        is_given: bool,
    ) -> Result<Rewritten, Discard> {
        let mapping = self.mapping.ok_or(Discard::BeforeKeyFrame)?;
        let format = self
            .format(payload_type)
            .or(self.formats.first().copied())
            .ok_or(Discard::FormatNotSubscribed)?;
        if received.extended < mapping.first_incoming {
            return Err(Discard::BeforeFirst);
        }
        let passage = if is_given && self.thinning.is_none() {
            Passage::plain(received.extended)
        } else {
            let (thinning, newest) = self.look(&mapping, received.extended);
            thinning
                .pass_protection(received.extended, newest, is_given)
                .ok_or(Discard::ProtectionNotWanted)?
        };
        let index = mapping
            .index_of(passage.place)
            .ok_or(Discard::BeforeFirst)?;
        self.next_outgoing = self.next_outgoing.max(index + 1);
        Ok(Rewritten {
            payload_type: format.payload_type,
            index,
            timestamp: timestamp.wrapping_add(mapping.timestamp_offset),
            picture_offsets: PictureOffsets::default(),
            ends_picture: false,
            is_empty: passage.is_empty,
            red: None,
            switched: false,
        })
    }

    /// The header of a packet of the current encoding as this peer saw it, where it did and headers have kept
    /// their shape.
    pub fn sent(&mut self, extended: u64, payload_type: u8, timestamp: u32) -> Option<Rewritten> {
        let mapping = self.mapping?;
        let format = self.format(payload_type)?;
        if extended < mapping.first_incoming {
            return None;
        }
        let passage = match &mut self.thinning {
            Some(thinning) => thinning.given(extended)?,
            None => Passage::plain(extended),
        };
        let index = mapping.index_of(passage.place)?;
        let was_sent = (self.headers_since..self.next_outgoing).contains(&index);
        was_sent.then_some(Rewritten {
            payload_type: format.payload_type,
            index,
            timestamp: timestamp.wrapping_add(mapping.timestamp_offset),
            picture_offsets: mapping.picture_offsets.without(passage.pictures),
            ends_picture: passage.ends_picture,
            is_empty: false,
            red: None,
            switched: false,
        })
    }

    /// Whether a packet of this stream is for this peer now.
    pub fn receives(&self, encoding: EncodingKey, received: &Received) -> bool {
        self.mapping.is_some_and(|mapping| {
            mapping.encoding == encoding && mapping.generation == received.generation
        })
    }

    /// Takes a packet of an encoding with layers, where it is for this peer.
    fn thin(
        &mut self,
        mapping: &Mapping,
        timestamp: u32,
        received: &Received,
    ) -> Result<Passage, Discard> {
        // One that waits for another encoding keeps what it has of this one.
        let is_aimed = self.target == Some(mapping.encoding);
        let wanted = self.layer;
        let (thinning, newest) = self.look(mapping, received.extended);
        let layer = if is_aimed { wanted } else { thinning.current() };
        let placement = received.placement.as_ref();
        thinning
            .pass(received.extended, newest, timestamp, placement, layer)
            .ok_or(Discard::LayerNotWanted)
    }

    /// What decides on a packet that may be left out, and the newest one before it that was decided on.
    fn look(&mut self, mapping: &Mapping, extended: u64) -> (&mut Thinning, u64) {
        if self.thinning.is_none() {
            // Up to here nothing was left out.
            let next = self.next_outgoing - mapping.first_outgoing + mapping.first_incoming;
            self.newest_incoming = next - 1;
        }
        let newest = self.newest_incoming;
        self.newest_incoming = newest.max(extended);
        (self.thinning.get_or_insert_default(), newest)
    }

    /// True once when only a key frame of the current encoding brings the layer that it is to get.
    pub fn take_key_frame_wish(&mut self) -> bool {
        let thinning = self.thinning.as_mut();
        thinning.is_some_and(|thinning| thinning.take_key_frame_wish())
    }

    /// Takes a packet as the first of a stream, at a key frame where the codec has such.
    fn begin(
        &mut self,
        encoding: EncodingKey,
        payload_type: u8,
        timestamp: u32,
        received: &Received,
        clock_rate: u32,
        now: Instant,
    ) -> Result<(Mapping, bool), Discard> {
        let current = self.current();
        if self.target != Some(encoding) && current != Some(encoding) {
            return Err(Discard::OtherEncoding);
        }
        if find_format(&self.settings.formats, payload_type).is_none() {
            return Err(Discard::FormatNotSubscribed);
        }
        if self.kind == MediaKind::Video && !received.key_frame {
            let since = *self.waiting_since.get_or_insert(now);
            let is_patient = now.duration_since(since) < KEY_FRAME_PATIENCE;
            if received.key_frames_are_told || is_patient {
                return Err(Discard::BeforeKeyFrame);
            }
        }
        self.waiting_since = None;
        let mapping = Mapping {
            encoding,
            generation: received.generation,
            first_incoming: received.extended,
            first_outgoing: self.next_outgoing,
            timestamp_offset: self.next_timestamp_offset(timestamp, clock_rate, now),
            picture_offsets: self.next_picture_offsets(received.numbers),
        };
        self.keep_before(Some(encoding), now);
        self.mapping = Some(mapping);
        self.thinning = None;
        self.take_formats();
        self.left = current.filter(|&left| left != encoding);
        self.gives_way = false;
        Ok((mapping, self.left.is_some()))
    }

    /// After another stream, time goes on for the viewer as it went on here.
    fn next_timestamp_offset(&self, timestamp: u32, clock_rate: u32, now: Instant) -> u32 {
        let Some(last) = self.last_sent else {
            return 0;
        };
        let elapsed = now.duration_since(last).as_micros() as u64;
        let ticks = (elapsed * u64::from(clock_rate) / 1_000_000).max(1) as u32;
        self.last_timestamp
            .wrapping_add(ticks)
            .wrapping_sub(timestamp)
    }

    /// The first picture of a new stream comes after the last one of the old.
    fn next_picture_offsets(&self, first: PictureNumbers) -> PictureOffsets {
        if self.last_sent.is_none() {
            return PictureOffsets::default();
        }
        first.offsets_after(self.last_numbers)
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
            self.repeats = None;
        }
    }
}

fn find_format(formats: &[FormatMapping], publication_payload_type: u8) -> Option<FormatMapping> {
    formats
        .iter()
        .find(|format| format.publication_payload_type == publication_payload_type)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(kind: MediaKind) -> Subscription {
        let settings = SubscriptionSettings {
            id: 1,
            publisher_session_id: String::new(),
            publication_id: 1,
            publisher_worker: 0,
            mid: "0".into(),
            ssrc: 5,
            rtx_ssrc: Some(6),
            formats: vec![FormatMapping {
                publication_payload_type: 96,
                payload_type: 120,
                rtx_payload_type: Some(121),
            }],
            choice: None,
        };
        let mut subscription = Subscription::new(settings, SessionKey::default(), None, kind, 99);
        subscription.aim(Some(encodings()[0]));
        subscription
    }

    fn encodings() -> [EncodingKey; 2] {
        let mut map = slotmap::SlotMap::with_key();
        [map.insert(()), map.insert(())]
    }

    /// A packet with a picture ID that follows its number.
    fn packet(
        subscription: &mut Subscription,
        encoding: EncodingKey,
        timestamp: u32,
        received: Received,
        now: Instant,
    ) -> Result<Rewritten, Discard> {
        subscription.rewrite(encoding, 96, timestamp, &received, 90_000, now)
    }

    fn received(extended: u64, key_frame: bool, generation: u32) -> Received {
        Received {
            extended,
            key_frame,
            key_frames_are_told: true,
            generation,
            numbers: PictureNumbers {
                picture_id: Some(extended as u16 & 0x7fff),
                base_layer_index: None,
                frame_number: None,
            },
            placement: None,
            became_live: false,
        }
    }

    #[test]
    fn video_begins_at_a_key_frame_and_stays_continuous() {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let mut take = |extended, key_frame, timestamp| {
            let received = received(extended, key_frame, 1);
            packet(&mut subscription, encoding, timestamp, received, now)
        };
        assert_eq!(take(70_000, false, 0).err(), Some(Discard::BeforeKeyFrame));
        let first = take(70_001, true, 500).unwrap();
        assert_eq!(first.payload_type, 120);
        assert_eq!(take(70_003, false, 600).unwrap().index, first.index + 2);
        assert_eq!(take(70_002, false, 550).unwrap().index, first.index + 1);
        assert_eq!(take(69_999, false, 0).err(), Some(Discard::BeforeFirst));
    }

    #[test]
    fn another_stream_of_the_publisher_goes_on_where_the_last_one_stopped() {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let last = received(70_000, true, 1);
        let last = packet(&mut subscription, encoding, 90_000, last, now).unwrap();
        let later = now + Duration::from_millis(100);
        let next = received(66_000, true, 2);
        let next = packet(&mut subscription, encoding, 123, next, later).unwrap();
        assert_eq!(next.index, last.index + 1);
        assert_eq!(next.timestamp, last.timestamp + 9_000);
        assert!(!next.switched);
    }

    #[test]
    fn a_switch_waits_for_the_targets_key_frame_while_the_old_picture_goes_on() {
        let now = Instant::now();
        let [old, new] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let first = received(70_000, true, 1);
        packet(&mut subscription, old, 0, first, now).unwrap();
        subscription.aim(Some(new));
        let early = packet(&mut subscription, new, 5, received(90_000, false, 1), now);
        assert_eq!(early.err(), Some(Discard::BeforeKeyFrame));
        let still = packet(&mut subscription, old, 9, received(70_001, false, 1), now).unwrap();
        let late = now + KEY_FRAME_PATIENCE * 2;
        let early = packet(&mut subscription, new, 5, received(90_001, false, 1), late);
        assert_eq!(
            early.err(),
            Some(Discard::BeforeKeyFrame),
            "key frames are told here"
        );
        let switched = packet(&mut subscription, new, 7, received(90_002, true, 1), now).unwrap();
        assert!(switched.switched);
        assert_eq!(subscription.take_left(), Some(old));
        assert_eq!(switched.index, still.index + 1);
        assert!(switched.timestamp > still.timestamp);
        // Picture 90002 follows picture 70001.
        let shown = (90_002_u32 as u16).wrapping_add(switched.picture_offsets.picture_id) & 0x7fff;
        assert_eq!(shown, (70_001_u32 as u16 & 0x7fff) + 1);
        let stale = packet(&mut subscription, old, 9, received(70_002, true, 1), now);
        assert_eq!(stale.err(), Some(Discard::OtherEncoding));
    }

    #[test]
    fn a_dearer_encodings_key_frame_gives_way_to_the_one_that_is_waited_for() {
        let now = Instant::now();
        let [old, new] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let first = received(70_000, true, 1);
        let last = packet(&mut subscription, old, 0, first, now).unwrap();
        subscription.aim(Some(new));
        subscription.gives_way = true;
        let dear = packet(&mut subscription, old, 9, received(70_001, true, 1), now);
        assert_eq!(dear.err(), Some(Discard::GaveWay));
        assert_eq!(subscription.take_left(), Some(old));
        let rest = packet(&mut subscription, old, 9, received(70_002, false, 1), now);
        assert_eq!(rest.err(), Some(Discard::OtherEncoding));
        let next = packet(&mut subscription, new, 9, received(500, true, 1), now).unwrap();
        assert_eq!(next.index, last.index + 1);
        let asked = subscription.find_asked(last.index as u16, now).unwrap();
        assert_eq!((asked.encoding, asked.is_left), (old, true));
    }

    #[test]
    fn numbers_go_on_after_a_pause() {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let before = received(70_000, true, 1);
        let before = packet(&mut subscription, encoding, 0, before, now).unwrap();
        subscription.pause();
        let after = received(70_100, true, 1);
        let after = packet(&mut subscription, encoding, 0, after, now).unwrap();
        assert_eq!(after.index, before.index + 1);
    }

    #[test]
    fn a_payload_that_hides_its_key_frames_is_waited_for_in_vain_only_for_a_while() {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        let mut hidden = received(70_000, false, 1);
        hidden.key_frames_are_told = false;
        let early = subscription.rewrite(encoding, 96, 0, &hidden, 90_000, now);
        assert_eq!(early.err(), Some(Discard::BeforeKeyFrame));
        let late = now + KEY_FRAME_PATIENCE;
        assert!(
            subscription
                .rewrite(encoding, 96, 0, &hidden, 90_000, late)
                .is_ok()
        );
    }

    #[test]
    fn an_asked_number_leads_back_to_the_publishers() {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Audio);
        for extended in 70_000..70_010 {
            let received = received(extended, false, 1);
            packet(&mut subscription, encoding, 0, received, now).unwrap();
        }
        let first = 1 + 99;
        let asked = subscription.find_asked(first + 3, now).unwrap();
        assert_eq!(
            (asked.extended, asked.index, asked.generation),
            (70_003, u64::from(first) + 3, 1)
        );
        assert_eq!(subscription.find_asked(first - 1, now), None);
    }

    #[test]
    fn the_last_packets_of_an_encoding_that_was_left_are_found_for_a_while() {
        let now = Instant::now();
        let [old, new] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        for extended in 70_000..70_010 {
            let received = received(extended, extended == 70_000, 1);
            packet(&mut subscription, old, 0, received, now).unwrap();
        }
        subscription.aim(Some(new));
        let first_of_new = received(500, true, 3);
        let switched = packet(&mut subscription, new, 0, first_of_new, now).unwrap();
        let last_of_old = (switched.index - 1) as u16;
        let asked = subscription.find_asked(last_of_old, now).unwrap();
        assert_eq!((asked.encoding, asked.extended), (old, 70_009));
        assert_eq!((asked.generation, asked.is_left), (1, true));
        let format = subscription.format_of(&asked, 96).unwrap();
        assert_eq!(format.payload_type, 120);
        let asked = subscription.find_asked(switched.index as u16, now).unwrap();
        assert_eq!((asked.encoding, asked.extended), (new, 500));
        let late = now + Duration::from_secs(2);
        assert_eq!(subscription.find_asked(last_of_old, late), None);
        subscription.forget_before(late);
        assert_eq!(subscription.find_asked(last_of_old, now), None);
    }
}
