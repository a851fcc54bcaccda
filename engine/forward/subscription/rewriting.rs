//! A packet's header as the subscriber is to see it, or why it gets nothing of it.

use std::time::{Duration, Instant};

use super::Subscription;
use super::settings::find_format;
use crate::codec::{PictureNumbers, PictureOffsets};
use crate::core::{Discard, EncodingKey};
use crate::forward::encoding::Received;
use crate::forward::mapping::Mapping;
use crate::forward::publication::MediaKind;
use crate::forward::thinning::{Passage, Thinning};

/// A video subscription begins at a key frame, but where none is recognised (an end-to-end encrypted
/// payload, say) it begins all the same after this long: the decoder behind it knows better.
pub(super) const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(1500);

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
        self.left = current.filter(|&left| left != encoding).or(self.left);
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
}
