//! What the delays and the losses of a feedback say of the way.

use std::time::Instant;

use super::arrival_group::ArrivalGroups;
use super::competition::{Competition, Observation, Verdict};
use super::crowding::Crowding;
use super::overuse_detector::{OveruseDetector, Usage};
use super::queue_delay::QueueDelay;
use super::sent_packets::SentPacket;
use super::slope_estimator::SlopeEstimator;

/// Losses of this share are a full queue's, where all packets waited for so long.
const OVERFLOW_LOSS: f64 = 0.02;
const OVERFLOW_QUEUE_MS: f64 = 15.0;
/// Cross traffic's queue loses single packets at any time.
const COMPETITIVE_LOST: usize = 2;

/// A packet that came, in ms of the peer's clock.
pub struct Arrival {
    pub packet: SentPacket,
    pub at_ms: f64,
}

/// The packets of a feedback that did not come.
#[derive(Default)]
pub struct Lost {
    packets: usize,
    bits: f64,
    last_sent: Option<Instant>,
}

impl Lost {
    /// Takes one of them.
    pub fn add(&mut self, packet: &SentPacket) {
        self.packets += 1;
        self.bits += bits(packet);
        self.last_sent = self.last_sent.max(Some(packet.sent));
    }
}

fn bits(packet: &SentPacket) -> f64 {
    f64::from(packet.size) * 8.0
}

/// The signs of one way.
pub struct Signs {
    groups: ArrivalGroups,
    slope: SlopeEstimator,
    detector: OveruseDetector,
    queue: QueueDelay,
    crowding: Crowding,
    competition: Competition,
}

impl Signs {
    /// Of a way that nothing is known of.
    pub fn new(now: Instant) -> Signs {
        Signs {
            groups: ArrivalGroups::default(),
            slope: SlopeEstimator::default(),
            detector: OveruseDetector::default(),
            queue: QueueDelay::new(now),
            crowding: Crowding::default(),
            competition: Competition::default(),
        }
    }

    /// Takes the packets of a feedback, those that came in the order of their coming.
    pub fn judge(&mut self, arrivals: &[Arrival], lost: &Lost, now: Instant) -> Usage {
        // Overuse anywhere within a feedback counts, even where its end is calm again.
        let mut usage = Usage::Normal;
        let keeps_least = self.competition.is_competitive();
        let mut queue_ms = f64::INFINITY;
        for Arrival { packet, at_ms } in arrivals {
            queue_ms = queue_ms.min(self.queue.add(packet.sent, *at_ms, keeps_least));
            if let Some(spacing) = self.groups.add(packet.sent, *at_ms) {
                let (slope, groups) = self.slope.update(&spacing);
                let seen = self.detector.update(slope, groups, spacing.sent_ms, now);
                if usage != Usage::Over {
                    usage = seen;
                }
            }
        }
        if usage == Usage::Normal {
            usage = self.detector.usage();
        }
        let packets = arrivals.len() + lost.packets;
        // A short queue that is full grows no more, it drops.
        let overflows = lost.packets as f64 > OVERFLOW_LOSS * packets as f64
            && (OVERFLOW_QUEUE_MS..f64::INFINITY).contains(&queue_ms);
        self.crowding.note(queue_ms, overflows, now);
        self.note_competition(arrivals, lost, queue_ms, now);
        if self.competition.is_competitive() {
            // Its queue grows and empties with what others send.
            return if overflows && lost.packets >= COMPETITIVE_LOST {
                Usage::Over
            } else {
                Usage::Normal
            };
        }
        if usage == Usage::Normal && overflows {
            return Usage::Over;
        }
        usage
    }

    fn note_competition(&mut self, arrivals: &[Arrival], lost: &Lost, queue_ms: f64, now: Instant) {
        let came_bits = arrivals.iter().map(|arrival| bits(&arrival.packet)).sum();
        let last_came = arrivals.iter().map(|arrival| arrival.packet.sent).max();
        let seen = Observation {
            queue_ms,
            last_sent: last_came.max(lost.last_sent).unwrap_or(now),
            sent_bits: came_bits + lost.bits,
            came_bits,
            packets: arrivals.len() + lost.packets,
            lost: lost.packets,
        };
        if self.competition.note(&seen, now) == Verdict::LongerWay {
            self.queue = QueueDelay::new(now);
        }
    }

    /// Whether the queue grows, whoever's it is, by the last feedback.
    pub fn usage(&self) -> Usage {
        self.detector.usage()
    }

    /// Whether more is sent than the way carries, by a queue of its own that stands or overflows.
    pub fn is_crowded(&self, now: Instant) -> bool {
        self.crowding.is_crowded(now) && !self.is_competitive()
    }

    /// Whether the queue is cross traffic's, and losses alone decide.
    pub fn is_competitive(&self) -> bool {
        self.competition.is_competitive()
    }
}
