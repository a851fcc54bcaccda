//! One peer's view of a publication: its own SSRC, payload types, sequence numbers and timestamps.

use std::time::{Duration, Instant};

use super::publication::{MediaKind, Received};
use crate::core::{Discard, PublicationKey, SessionKey};

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
    /// The subscriber's mid.
    pub mid: String,
    /// Of the stream that it receives.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Others are not forwarded.
    pub formats: Vec<FormatMapping>,
}

/// A video subscription begins at a key frame, but where none is recognised (an end-to-end encrypted
/// payload, say) it begins all the same after this long: the decoder behind it knows better.
const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(1500);

/// Retransmissions that one subscription may have within `RETRANSMISSION_WINDOW`: a flood of NACKs is
/// not to become a larger flood of packets.
const MAX_RETRANSMISSIONS: u32 = 256;
const RETRANSMISSION_WINDOW: Duration = Duration::from_millis(250);

/// Where the numbers of the outgoing stream stand against those of the incoming one.
#[derive(Clone, Copy)]
struct Mapping {
    generation: u32,
    first_incoming: u64,
    first_outgoing: u64,
    timestamp_offset: u32,
}

/// One subscription.
pub struct Subscription {
    /// Who receives.
    pub session: SessionKey,
    /// What; none when it has ended.
    pub publication: Option<PublicationKey>,
    /// As control wrote it.
    pub settings: SubscriptionSettings,
    kind: MediaKind,
    mapping: Option<Mapping>,
    waiting_since: Option<Instant>,
    /// Next number of the first packet after a change of stream.
    next_outgoing: u64,
    last_timestamp: u32,
    last_sent: Option<Instant>,
    rtx_index: u64,
    retransmissions: u32,
    retransmission_window: Option<Instant>,
    /// The peer has sent a report on this SSRC: it knows which mid it has.
    pub mid_known: bool,
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
            kind,
            mapping: None,
            waiting_since: None,
            // Below 2^15, so that the first packets need no guess of the rollover counter (RFC 3711 section 3.3.1).
            next_outgoing: 1 + u64::from(seed & 0x3fff),
            last_timestamp: 0,
            last_sent: None,
            rtx_index: 1 + u64::from(seed >> 2),
            retransmissions: 0,
            retransmission_window: None,
            mid_known: false,
            packet_count: 0,
            octet_count: 0,
        }
    }

    /// Whether it still waits for a key frame.
    pub fn is_waiting(&self) -> bool {
        self.mapping.is_none()
    }

    /// The header of a newly received packet as this peer is to see it.
    ///
    /// # Errors
    /// Why the packet is not for this peer.
    #[inline]
    pub fn rewrite(
        &mut self,
        payload_type: u8,
        timestamp: u32,
        received: &Received,
        clock_rate: u32,
        now: Instant,
    ) -> Result<Rewritten, Discard> {
        let format = self
            .format(payload_type)
            .ok_or(Discard::FormatNotSubscribed)?;
        let mapping = match self.mapping {
            Some(mapping) if mapping.generation == received.generation => mapping,
            _ => self.begin(timestamp, received, clock_rate, now)?,
        };
        let Some(distance) = received.extended.checked_sub(mapping.first_incoming) else {
            return Err(Discard::BeforeFirst);
        };
        let index = mapping.first_outgoing + distance;
        let timestamp = timestamp.wrapping_add(mapping.timestamp_offset);
        if index >= self.next_outgoing {
            self.next_outgoing = index + 1;
            self.last_timestamp = timestamp;
            self.last_sent = Some(now);
        }
        Ok(Rewritten {
            payload_type: format.payload_type,
            index,
            timestamp,
        })
    }

    /// Takes a packet as the first of a stream, at a key frame where the codec has such.
    fn begin(
        &mut self,
        timestamp: u32,
        received: &Received,
        clock_rate: u32,
        now: Instant,
    ) -> Result<Mapping, Discard> {
        let since = *self.waiting_since.get_or_insert(now);
        let patient = now.duration_since(since) < KEY_FRAME_PATIENCE;
        if self.kind == MediaKind::Video && !received.key_frame && patient {
            return Err(Discard::BeforeKeyFrame);
        }
        self.waiting_since = None;
        // After another stream, time goes on for the viewer as it went on here.
        let timestamp_offset = match self.last_sent {
            None => 0,
            Some(last) => {
                let elapsed = now.duration_since(last).as_micros() as u64;
                let ticks = (elapsed * u64::from(clock_rate) / 1_000_000).max(1) as u32;
                self.last_timestamp
                    .wrapping_add(ticks)
                    .wrapping_sub(timestamp)
            }
        };
        let mapping = Mapping {
            generation: received.generation,
            first_incoming: received.extended,
            first_outgoing: self.next_outgoing,
            timestamp_offset,
        };
        self.mapping = Some(mapping);
        Ok(mapping)
    }

    /// Finds the incoming number of a packet that the peer asks for, and whether it may have it.
    pub fn retransmit(
        &mut self,
        sequence_number: u16,
        generation: u32,
        now: Instant,
    ) -> Option<(u64, u64)> {
        let mapping = self
            .mapping
            .filter(|mapping| mapping.generation == generation)?;
        let behind = (self.next_outgoing as u16).wrapping_sub(sequence_number);
        let index = self.next_outgoing.checked_sub(u64::from(behind))?;
        let distance = index.checked_sub(mapping.first_outgoing)?;
        let window_over = self
            .retransmission_window
            .is_none_or(|began| now.duration_since(began) >= RETRANSMISSION_WINDOW);
        if window_over {
            self.retransmission_window = Some(now);
            self.retransmissions = 0;
        }
        if self.retransmissions == MAX_RETRANSMISSIONS {
            return None;
        }
        self.retransmissions += 1;
        Some((mapping.first_incoming + distance, index))
    }

    /// The timestamp of the outgoing stream for one of the incoming.
    pub fn outgoing_timestamp(&self, timestamp: u32) -> Option<u32> {
        let mapping = self.mapping?;
        Some(timestamp.wrapping_add(mapping.timestamp_offset))
    }

    /// The next packet index of the retransmission stream.
    pub fn next_rtx_index(&mut self) -> u64 {
        self.rtx_index += 1;
        self.rtx_index
    }

    /// How the peer calls a payload type of the publication.
    pub fn format(&self, publication_payload_type: u8) -> Option<FormatMapping> {
        self.settings
            .formats
            .iter()
            .find(|format| format.publication_payload_type == publication_payload_type)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(kind: MediaKind) -> Subscription {
        let settings = SubscriptionSettings {
            id: 1,
            publisher_session_id: String::new(),
            publication_id: 1,
            mid: "0".into(),
            ssrc: 5,
            rtx_ssrc: Some(6),
            formats: vec![FormatMapping {
                publication_payload_type: 96,
                payload_type: 120,
                rtx_payload_type: Some(121),
            }],
        };
        Subscription::new(settings, SessionKey::default(), None, kind, 99)
    }

    fn received(extended: u64, key_frame: bool, generation: u32) -> Received {
        Received {
            extended,
            key_frame,
            generation,
            became_active: false,
        }
    }

    #[test]
    fn video_begins_at_a_key_frame_and_stays_continuous() {
        let now = Instant::now();
        let mut subscription = subscription(MediaKind::Video);
        let early = subscription.rewrite(96, 0, &received(70_000, false, 1), 90_000, now);
        assert_eq!(early.err(), Some(Discard::BeforeKeyFrame));
        let first = subscription
            .rewrite(96, 500, &received(70_001, true, 1), 90_000, now)
            .unwrap();
        assert_eq!(first.payload_type, 120);
        let third = subscription
            .rewrite(96, 600, &received(70_003, false, 1), 90_000, now)
            .unwrap();
        assert_eq!(third.index, first.index + 2);
        let late = subscription
            .rewrite(96, 550, &received(70_002, false, 1), 90_000, now)
            .unwrap();
        assert_eq!(late.index, first.index + 1);
        let before = subscription.rewrite(96, 0, &received(69_999, false, 1), 90_000, now);
        assert_eq!(before.err(), Some(Discard::BeforeFirst));
    }

    #[test]
    fn another_stream_of_the_publisher_goes_on_where_the_last_one_stopped() {
        let now = Instant::now();
        let mut subscription = subscription(MediaKind::Video);
        let last = subscription
            .rewrite(96, 90_000, &received(70_000, true, 1), 90_000, now)
            .unwrap();
        let later = now + Duration::from_millis(100);
        let next = subscription
            .rewrite(96, 123, &received(66_000, true, 2), 90_000, later)
            .unwrap();
        assert_eq!(next.index, last.index + 1);
        assert_eq!(next.timestamp, last.timestamp + 9_000);
    }

    #[test]
    fn an_asked_number_leads_back_to_the_publishers() {
        let now = Instant::now();
        let mut subscription = subscription(MediaKind::Audio);
        for extended in 70_000..70_010 {
            subscription
                .rewrite(96, 0, &received(extended, false, 1), 48_000, now)
                .unwrap();
        }
        let first = 1 + 99;
        assert_eq!(
            subscription.retransmit(first + 3, 1, now),
            Some((70_003, u64::from(first) + 3))
        );
        assert_eq!(subscription.retransmit(first - 1, 1, now), None);
        assert_eq!(subscription.retransmit(first + 3, 2, now), None);
    }

    #[test]
    fn a_flood_of_nacks_is_bounded() {
        let now = Instant::now();
        let mut subscription = subscription(MediaKind::Audio);
        subscription
            .rewrite(96, 0, &received(70_000, false, 1), 48_000, now)
            .unwrap();
        let granted = (0..10_000)
            .filter(|_| subscription.retransmit(100, 1, now).is_some())
            .count();
        assert_eq!(granted, MAX_RETRANSMISSIONS as usize);
    }
}
