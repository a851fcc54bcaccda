//! Data channels of other workers: their messages are handed over once, and go to all subscriptions here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::channel_table::{ChannelName, ChannelRole, ChannelSettings};
use super::channels::{Channel, ChannelEnd};
use super::handover::{ChannelHandover, Handover};
use super::{ChannelKey, Discard, Engine};
use crate::channel::{Message, Queue, Reliability, StreamSettings};

/// Bytes of messages that may be with other workers.
const MAX_BYTES: usize = 16 << 20;
/// What a message costs beside its bytes.
const OVERHEAD: usize = 256;

/// How much of this worker's messages others have still to take.
#[derive(Clone, Default)]
pub struct MessageRoom(Arc<AtomicUsize>);

/// A message's part of it, given back when the other worker has taken the message.
pub struct Permit(MessageRoom, usize);

impl MessageRoom {
    fn take(&self, message: &Message) -> Option<Permit> {
        let bytes = message.bytes.len() + OVERHEAD;
        // Only this worker adds, so what is seen can only become less.
        if self.0.load(Ordering::Relaxed) + bytes > MAX_BYTES {
            return None;
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Some(Permit(self.clone(), bytes))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A publication of which only subscriptions are here; its peer is another worker's.
fn mirror(name: ChannelName) -> Channel {
    let settings = ChannelSettings {
        id: name.channel_id,
        stream: 0,
        sending: StreamSettings {
            ordered: true,
            reliability: Reliability::Reliable,
        },
        role: ChannelRole::Publication { replier: None },
        queue_messages: 1,
        queue_bytes: 1,
    };
    Channel {
        mirrored: Some(name),
        ..Channel::new(settings, Queue::new(1, 1, false))
    }
}

impl Engine {
    pub(super) fn handle_channel_handover(&mut self, from: u16, handover: ChannelHandover) {
        match handover {
            ChannelHandover::Watch { mirror, name } => match self.find_channel(&name) {
                Some(key) => self.channels[key].mirrors.push((from, mirror)),
                None => self.tell_channels(from, ChannelHandover::Ended { mirror }),
            },
            ChannelHandover::Unwatch { mirror, name } => {
                if let Some(key) = self.find_channel(&name) {
                    let mirrors = &mut self.channels[key].mirrors;
                    mirrors.retain(|&watching| watching != (from, mirror));
                }
            }
            ChannelHandover::Ended { mirror } => self.end_channel_mirror(mirror),
            ChannelHandover::Message {
                mirror, message, ..
            } => {
                if self.channels.contains_key(mirror) {
                    self.fan_message_out(mirror, &message);
                }
            }
            ChannelHandover::Lost { mirror } => self.close_reliable(mirror),
            ChannelHandover::Reply {
                publication,
                replier,
                message,
                ..
            } => self.take_reply(&publication, &replier, message),
        }
    }

    fn tell_channels(&mut self, worker: u16, handover: ChannelHandover) {
        self.handovers
            .push_back((worker, Handover::Channel(Box::new(handover))));
    }

    /// The mirror of a publication of another worker.
    pub(super) fn channel_mirror(&mut self, name: &ChannelName) -> ChannelKey {
        if let Some(&key) = self.channel_mirrors.get(name) {
            return key;
        }
        let key = self.channels.insert(mirror(name.clone()));
        self.channel_mirrors.insert(name.clone(), key);
        let watch = ChannelHandover::Watch {
            mirror: key,
            name: name.clone(),
        };
        self.tell_channels(name.worker, watch);
        key
    }

    /// After a subscription has left: a mirror without any goes.
    pub(super) fn release_channel_mirror(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let (Some(name), true) = (channel.mirrored.clone(), channel.subscriptions.is_empty())
        else {
            return;
        };
        self.channels.remove(key);
        self.channel_mirrors.remove(&name);
        let worker = name.worker;
        let unwatch = ChannelHandover::Unwatch { mirror: key, name };
        self.tell_channels(worker, unwatch);
    }

    pub(super) fn end_channel_mirror(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.remove(key) else {
            return;
        };
        if let Some(name) = channel.mirrored {
            self.channel_mirrors.remove(&name);
        }
        for subscription in channel.subscriptions {
            self.channels[subscription].publication = None;
            self.close_channel(subscription, ChannelEnd::PublicationEnded);
        }
    }

    /// The publication is no more, for other workers too.
    pub(super) fn end_at_mirrors(&mut self, mirrors: Vec<(u16, ChannelKey)>) {
        for (worker, mirror) in mirrors {
            self.tell_channels(worker, ChannelHandover::Ended { mirror });
        }
    }

    /// A peer's message, to the workers that have subscriptions.
    pub(super) fn hand_message_over(&mut self, from: ChannelKey, message: &Message) {
        for index in 0..self.channels[from].mirrors.len() {
            let (worker, mirror) = self.channels[from].mirrors[index];
            let handover = match self.message_room.take(message) {
                Some(permit) => ChannelHandover::Message {
                    mirror,
                    message: message.clone(),
                    _permit: permit,
                },
                None => {
                    self.counters.discard(Discard::WorkerBehind);
                    ChannelHandover::Lost { mirror }
                }
            };
            self.tell_channels(worker, handover);
        }
    }

    /// Reliable subscriptions of a mirror to which a message did not come: as with a full queue.
    fn close_reliable(&mut self, mirror: ChannelKey) {
        let Some(channel) = self.channels.get(mirror) else {
            return;
        };
        for subscription in channel.subscriptions.clone() {
            let sending = self.channels[subscription].settings.sending;
            if sending.reliability == Reliability::Reliable {
                self.close_channel(subscription, ChannelEnd::QueueFull);
            }
        }
    }

    /// A subscriber's message for the publisher; whether it may reply is known where the publisher is.
    pub(super) fn hand_reply_over(
        &mut self,
        subscription: ChannelKey,
        publication: ChannelName,
        message: Message,
    ) {
        let channel = &self.channels[subscription];
        let Some(session) = self.sessions.get(channel.session) else {
            return;
        };
        let replier = ChannelName {
            session_id: session.id.clone(),
            channel_id: channel.settings.id,
            worker: self.config.worker,
        };
        let Some(permit) = self.message_room.take(&message) else {
            self.counters.discard(Discard::WorkerBehind);
            if channel.settings.sending.reliability == Reliability::Reliable {
                self.close_channel(subscription, ChannelEnd::QueueFull);
            }
            return;
        };
        let worker = publication.worker;
        let reply = ChannelHandover::Reply {
            publication,
            replier,
            message,
            _permit: permit,
        };
        self.tell_channels(worker, reply);
    }

    fn take_reply(&mut self, publication: &ChannelName, replier: &ChannelName, message: Message) {
        let found = self.find_channel(publication);
        match found.filter(|&key| self.may_reply(key, replier)) {
            Some(key) => self.send_or_close(key, message),
            None => self.counters.discard(Discard::MessageMayNotReply),
        }
    }

    pub(super) fn may_reply(&self, publication: ChannelKey, name: &ChannelName) -> bool {
        let ChannelRole::Publication {
            replier: Some(replier),
        } = &self.channels[publication].settings.role
        else {
            return false;
        };
        replier.channel_id == name.channel_id && replier.session_id == name.session_id
    }
}
