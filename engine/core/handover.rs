//! What workers tell each other: a track with subscribers on another worker is handed over there once, decrypted.
//!
//! The subscribers' worker has a mirror of the publication, with its own cache, layer choice and key frame requests;
//! what the mirror wants is asked from the worker that has the publisher. Packets are bounded by the pool that
//! their memory comes from; everything else is as rare as the requests and reports that it follows from.

use std::collections::VecDeque;
use std::sync::Arc;

use super::channel_mirrors::Permit;
use super::channel_table::ChannelName;
use super::session::ExtensionIds;
use super::{ChannelKey, EncodingKey, PublicationKey};
use crate::channel::Message;
use crate::forward::encoding::SenderClock;
use crate::forward::key_frame::Urgency;
use crate::forward::publication::PublicationSettings;

/// A message to another worker. Keys are the receiver's own, as it told them; those of what has ended are ignored.
pub enum Handover {
    /// A mirror begins.
    Watch {
        /// Of the sender.
        mirror: PublicationKey,
        /// Whose publication is wanted.
        session_id: String,
        /// Which one.
        publication_id: u32,
    },
    /// A mirror has ended.
    Unwatch {
        /// Of the sender.
        mirror: PublicationKey,
        /// As it was watched.
        session_id: String,
        /// As it was watched.
        publication_id: u32,
    },
    /// Whether an encoding has receivers at the mirror: only then its losses are mended at the publisher's cost.
    WatchEncoding {
        /// The publisher's encoding.
        source: EncodingKey,
        /// It has.
        watched: bool,
    },
    /// A receiver needs a key frame.
    KeyFrame {
        /// The publisher's encoding.
        source: EncodingKey,
        /// As at the mirror.
        urgency: Urgency,
    },
    /// The mirror has not seen these.
    Lost {
        /// The publisher's encoding.
        source: EncodingKey,
        /// RTP sequence numbers.
        numbers: Vec<u16>,
    },
    /// What the publication is, first and whenever that changes.
    Described {
        /// Whose.
        mirror: PublicationKey,
        /// All of it.
        description: Box<Description>,
    },
    /// The publication has ended, or never was.
    Ended {
        /// Whose.
        mirror: PublicationKey,
    },
    /// A packet of the publication, in the order of its arrival.
    Packet {
        /// Whose.
        mirror: PublicationKey,
        /// Its place in the description.
        encoding: u8,
        /// Header and payload, decrypted.
        packet: Arc<Vec<u8>>,
    },
    /// The publisher's clock.
    Clock {
        /// Whose.
        mirror: PublicationKey,
        /// Its place in the description.
        encoding: u8,
        /// From the sender report.
        clock: SenderClock,
    },
    /// The sender begins anew, without sessions: what it watched and what was watched there has ended.
    Restarted,
    /// About a data channel.
    Channel(Box<ChannelHandover>),
}

/// About a data channel's publication, or its messages.
pub enum ChannelHandover {
    /// The first subscription came.
    Watch {
        /// Of the sender.
        mirror: ChannelKey,
        /// What it receives.
        name: ChannelName,
    },
    /// The last one went.
    Unwatch {
        /// Of the sender.
        mirror: ChannelKey,
        /// As it was watched.
        name: ChannelName,
    },
    /// The publication has ended, or never was.
    Ended {
        /// Whose.
        mirror: ChannelKey,
    },
    /// To all subscriptions of the mirror.
    Message {
        /// Whose.
        mirror: ChannelKey,
        /// Bytes are counted references.
        message: Message,
        /// Until it is taken.
        _permit: Permit,
    },
    /// There was no room for a message.
    Lost {
        /// Whose.
        mirror: ChannelKey,
    },
    /// To the publisher, if the subscription may reply.
    Reply {
        /// The receiver's channel.
        publication: ChannelName,
        /// From whom.
        replier: ChannelName,
        /// What it says.
        message: Message,
        /// Until it is taken.
        _permit: Permit,
    },
}

/// What a mirror must know of its publication.
pub struct Description {
    /// As control wrote them.
    pub settings: PublicationSettings,
    /// What the header extensions' IDs mean.
    pub extensions: ExtensionIds,
    /// In the order of the settings.
    pub encodings: Vec<EncodingKey>,
}

/// Packets that may be with other workers: over 4 ms of a full 10 Gbit/s.
const MAX_PACKETS: usize = 4096;
/// Free buffers are looked for in so many places: workers give them back in order, but not in step.
const LOOKS: usize = 4;

/// The memory of packets that other workers read: counted references, used again once nobody holds one.
#[derive(Default)]
pub struct PacketPool {
    buffers: VecDeque<Arc<Vec<u8>>>,
}

impl PacketPool {
    /// The packet in a buffer of its own; none while all of them are with other workers.
    pub fn fill(&mut self, packet: &[u8]) -> Option<Arc<Vec<u8>>> {
        for _ in 0..LOOKS.min(self.buffers.len()) {
            let Some(mut buffer) = self.buffers.pop_front() else {
                break;
            };
            if let Some(bytes) = Arc::get_mut(&mut buffer) {
                bytes.clear();
                bytes.extend_from_slice(packet);
                self.buffers.push_back(buffer.clone());
                return Some(buffer);
            }
            self.buffers.push_back(buffer);
        }
        if self.buffers.len() == MAX_PACKETS {
            return None;
        }
        let buffer = Arc::new(packet.to_vec());
        self.buffers.push_back(buffer.clone());
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_are_bounded() {
        let mut pool = PacketPool::default();
        for _ in 0..10 {
            drop(pool.fill(b"packet"));
        }
        assert_eq!(pool.buffers.len(), 1);
        let held: Vec<_> = (0..MAX_PACKETS).map_while(|_| pool.fill(b"p")).collect();
        assert_eq!(held.len(), MAX_PACKETS);
        assert_eq!(pool.fill(b"one more"), None);
        drop(held);
        assert_eq!(*pool.fill(b"again").unwrap(), b"again");
    }
}
