//! The way of a message: read from its publisher's association, queued for each subscriber, sent from there.
//!
//! A session's work is done in turns: what one turn may cost is bounded, and whoever has more to do waits behind
//! the others. So neither a flood nor a large audience holds up the media of anyone.

use std::time::Instant;

use bytes::Bytes;

use super::channel_table::{ChannelName, ChannelRole};
use super::channels::{Channel, ChannelEnd, ChannelState, DataTransport, DataTransportState};
use super::counters::{Counters, Discard};
use super::outbox::Outbox;
use super::timers::Timer;
use super::turn::Turn;
use super::{ChannelKey, Engine, SessionKey, requests};
use crate::channel::{AssociationEvent, Incoming, Message, MessageKind, Pushed, Reliability};
use crate::transport::Transport;

/// Sessions that have their turn before packets are received again.
const TURNS: usize = 128;
/// Messages of one publisher that are taken in one turn.
const READS_PER_TURN: usize = 32;
/// Bytes that a stream's association may hold of a reliable channel before its messages wait in the queue.
const RELIABLE_AHEAD: usize = 65_536;
/// The same where the newest message is worth more than the oldest: about what is on its way.
const UNRELIABLE_AHEAD: usize = 8_192;

/// A reliable channel's queue has no room for a message.
struct QueueFull;

impl Engine {
    /// Takes what the peer sent within DTLS.
    pub(super) fn receive_data(&mut self, key: SessionKey, now: Instant) {
        let session = &mut self.sessions[key];
        let Some(transport) = &mut session.transport else {
            return;
        };
        let mut came = false;
        while let Some(record) = transport.received() {
            let taken = match &mut session.data {
                Some(data) => data.association.handle_packet(now, record),
                None => Err(crate::channel::Rejected),
            };
            if taken.is_err() {
                self.counters.discard(Discard::SctpRejected);
            }
            came = true;
        }
        if came {
            self.want_turn(key);
        }
    }

    /// Puts a session behind those that have work already.
    pub(super) fn want_turn(&mut self, key: SessionKey) {
        if let Some(data) = &mut self.sessions[key].data
            && !data.waits_for_turn
        {
            data.waits_for_turn = true;
            self.turns.push_back(key);
        }
    }

    /// Whether sessions wait for their turn.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// A bounded number of sessions' turns, within the messages' own.
    pub(super) fn take_turns(&mut self, now: Instant, turn: &Turn<'_>, outbox: &mut Outbox) {
        for _ in 0..TURNS.min(self.turns.len()) {
            let Some(key) = self.turns.pop_front() else {
                return;
            };
            if let Some(data) = (self.sessions.get_mut(key)).and_then(|s| s.data.as_mut()) {
                data.waits_for_turn = false;
                self.within_walls(|engine| {
                    engine.at_work = Some(key);
                    engine.turn(key, now, turn, outbox);
                });
            }
            if turn.is_over() {
                return;
            }
        }
    }

    /// SCTP's own time.
    pub(super) fn data_due(&mut self, key: SessionKey, now: Instant) {
        let data = (self.sessions.get_mut(key)).and_then(|session| session.data.as_mut());
        if let Some(data) = data {
            data.timer = data.timer.filter(|&at| at > now);
            data.association.handle_timeout(now);
            self.want_turn(key);
        }
    }

    fn turn(&mut self, key: SessionKey, now: Instant, turn: &Turn<'_>, outbox: &mut Outbox) {
        self.take_association_events(key);
        let mut more = true;
        for _ in 0..READS_PER_TURN {
            let data = self.sessions[key].data.as_mut();
            match data.and_then(|data| data.association.read()) {
                Some((stream, Incoming::Message(message))) => {
                    self.take_message(key, stream, message)
                }
                Some((_, Incoming::Unusable)) => self.counters.discard(Discard::MessageUnusable),
                None => {
                    more = false;
                    break;
                }
            }
            if turn.is_over() {
                break;
            }
        }
        #[cfg(test)]
        crate::faults::trip(crate::faults::Point::Sctp, &self.sessions[key].id);
        self.write_queued(key);
        let session = &mut self.sessions[key];
        let (Some(data), Some(transport)) = (&mut session.data, &mut session.transport) else {
            return;
        };
        send_packets(data, transport, now, outbox);
        let due = data.association.next_timeout();
        self.timers.arm(&mut data.timer, due, Timer::Data(key));
        if more {
            self.want_turn(key);
        }
    }

    fn take_association_events(&mut self, key: SessionKey) {
        while let Some(event) =
            (self.sessions[key].data.as_mut()).and_then(|data| data.association.poll_event())
        {
            match event {
                AssociationEvent::Connected => {
                    self.enter_data_state(key, DataTransportState::Connected)
                }
                AssociationEvent::Closed => self.enter_data_state(key, DataTransportState::Closed),
                AssociationEvent::StreamClosed(stream) => {
                    if let Some(&channel) = self.sessions[key].streams.get(&stream) {
                        self.close_channel(channel, ChannelEnd::ByPeer);
                    }
                }
            }
        }
    }

    fn enter_data_state(&mut self, key: SessionKey, state: DataTransportState) {
        let session = &mut self.sessions[key];
        if let Some(data) = &mut session.data {
            data.state = state;
        }
        let event = requests::data_transport_event(&session.id, state);
        self.events.push_back(event);
        for channel in self.sessions[key].channels.clone() {
            if state == DataTransportState::Closed {
                self.close_channel(channel, ChannelEnd::TransportClosed);
            } else if self.channels[channel].state == ChannelState::Open {
                self.tell_channel(channel);
            }
        }
    }

    /// A message of a peer, to whom it is for.
    fn take_message(&mut self, key: SessionKey, stream: u16, message: Message) {
        let Some(&from) = self.sessions[key].streams.get(&stream) else {
            self.counters.discard(Discard::MessageUnknownChannel);
            return;
        };
        self.counters.messages_received += 1;
        let channel = &mut self.channels[from];
        if channel.ack_due.take().is_some() {
            self.tell_channel(from);
            return;
        }
        match &channel.settings.role {
            ChannelRole::Publication { .. } => {
                self.hand_message_over(from, &message);
                self.fan_message_out(from, &message);
            }
            ChannelRole::Subscription { .. } => self.reply(from, message),
            ChannelRole::ServerMessages => self.counters.discard(Discard::MessageMayNotReply),
        }
    }

    /// To all subscriptions of this worker.
    pub(super) fn fan_message_out(&mut self, from: ChannelKey, message: &Message) {
        let mut full = Vec::new();
        for index in 0..self.channels[from].subscriptions.len() {
            let to = self.channels[from].subscriptions[index];
            if self.enqueue(to, message.clone()).is_err() {
                full.push(to);
            }
        }
        // Only now: a closed one leaves the list.
        for to in full {
            self.close_channel(to, ChannelEnd::QueueFull);
        }
    }

    /// A subscriber's message for the publisher, if it may reply.
    fn reply(&mut self, subscription: ChannelKey, message: Message) {
        let channel = &self.channels[subscription];
        let Some(publication) = channel.publication else {
            self.counters.discard(Discard::MessageMayNotReply);
            return;
        };
        if let Some(name) = self.channels[publication].mirrored.clone() {
            self.hand_reply_over(subscription, name, message);
            return;
        }
        let replier = ChannelName {
            session_id: self.sessions[channel.session].id.clone(),
            channel_id: channel.settings.id,
            worker: self.config.worker,
        };
        if self.may_reply(publication, &replier) {
            self.send_or_close(publication, message);
        } else {
            self.counters.discard(Discard::MessageMayNotReply);
        }
    }

    pub(super) fn send_or_close(&mut self, to: ChannelKey, message: Message) {
        if self.enqueue(to, message).is_err() {
            self.close_channel(to, ChannelEnd::QueueFull);
        }
    }

    /// Queues a message for a channel's peer, unless the queue is full.
    fn enqueue(&mut self, to: ChannelKey, message: Message) -> Result<(), QueueFull> {
        let channel = &mut self.channels[to];
        if !channel.sends() {
            self.counters.discard(Discard::MessageBeforeAck);
            return Ok(());
        }
        let key = channel.session;
        let session = &mut self.sessions[key];
        let limit = (session.data.as_ref()).map_or(0, |data| data.settings.max_message as usize);
        if limit != 0 && message.bytes.len() > limit {
            self.counters.discard(Discard::MessageTooLong);
            return Ok(());
        }
        if channel.queue.is_empty() {
            session.pending.push_back(to);
        } else if channel.queue.is_over(message.bytes.len())
            && let Some(data) = &mut session.data
        {
            // Another worker's messages come many at once, and the session has had no turn since the first of them.
            write_to_association(data, channel, &mut self.counters);
        }
        match channel.queue.push(message) {
            Pushed::Queued => {}
            Pushed::DroppedOldest(count) => {
                for _ in 0..count {
                    self.counters.discard(Discard::MessageOvertaken);
                }
            }
            Pushed::Full => return Err(QueueFull),
        }
        self.want_turn(key);
        Ok(())
    }

    /// Gives the association what it may hold; the rest waits.
    fn write_queued(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        let Some(data) = &mut session.data else {
            return;
        };
        for _ in 0..session.pending.len() {
            let Some(next) = session.pending.pop_front() else {
                return;
            };
            // Ended or closed in the meantime.
            let Some(channel) = self.channels.get_mut(next) else {
                continue;
            };
            write_to_association(data, channel, &mut self.counters);
            if !channel.queue.is_empty() {
                session.pending.push_back(next);
            }
        }
    }

    /// Control's own message to a peer.
    pub(super) fn send_message(&mut self, name: &ChannelName, text: String) -> Result<(), String> {
        let channel = (self.find_channel(name)).ok_or("there is no such open channel")?;
        if self.channels[channel].settings.role != ChannelRole::ServerMessages {
            return Err("the channel is not one of server messages".into());
        }
        let bytes = Bytes::from(text);
        let kind = MessageKind::Text;
        self.send_or_close(channel, Message { kind, bytes });
        Ok(())
    }
}

/// What waits on a channel, as far as the association may hold it.
fn write_to_association(data: &mut DataTransport, channel: &mut Channel, counters: &mut Counters) {
    if data.state != DataTransportState::Connected {
        return;
    }
    let stream = channel.settings.stream;
    let ahead = match channel.settings.sending.reliability {
        Reliability::Reliable => RELIABLE_AHEAD,
        _ => UNRELIABLE_AHEAD,
    };
    // A stream that is not open yet has its turn when an old one with its number is gone.
    while (data.association.buffered(stream)).is_some_and(|bytes| bytes < ahead) {
        let Some(message) = channel.queue.pop() else {
            return;
        };
        if data.association.write(stream, &message) {
            counters.messages_delivered += 1;
        } else {
            counters.discard(Discard::MessageNotSent);
        }
    }
}

fn send_packets(
    data: &mut DataTransport,
    transport: &mut Transport,
    now: Instant,
    outbox: &mut Outbox,
) {
    while let Some(packet) = data.association.poll_packet(now) {
        transport.send_data(&packet, |path, record| {
            outbox.push(path.socket, path.remote, record);
        });
    }
}
