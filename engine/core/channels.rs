//! The data channels of all sessions: begun and ended as tables say, closed when they cannot go on.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::channel_table::{ChannelName, ChannelRole, ChannelSettings, DataTransportSettings};
use super::timers::Timer;
use super::{ChannelKey, Engine, SessionKey, requests};
use crate::channel::{Association, Queue, Reliability, SctpAssociation};
use crate::transport::TransportState;

/// SCTP of one session.
pub struct DataTransport {
    pub settings: DataTransportSettings,
    pub association: Box<dyn Association>,
    pub state: DataTransportState,
    pub timer: Option<Instant>,
    pub waits_for_turn: bool,
}

/// How far the association has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataTransportState {
    Connecting,
    Connected,
    Closed,
}

/// A channel of one session.
pub struct Channel {
    pub session: SessionKey,
    pub settings: ChannelSettings,
    pub state: ChannelState,
    pub queue: Queue,
    /// Of a publication.
    pub subscriptions: Vec<ChannelKey>,
    /// Of a subscription; none when it has ended.
    pub publication: Option<ChannelKey>,
    /// Of a publication: other workers with subscriptions, and their keys.
    pub mirrors: Vec<(u16, ChannelKey)>,
    /// This is no channel of a peer of ours, but what the subscriptions here have of that one.
    pub mirrored: Option<ChannelName>,
    /// When the peer's first message is due.
    pub ack_due: Option<Instant>,
}

/// What a channel is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    Open,
    Closed(ChannelEnd),
}

/// Why a channel was closed, not by control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelEnd {
    ByPeer,
    QueueFull,
    NoAck,
    PublicationEnded,
    TransportClosed,
}

/// What one session keeps of its channels by stream.
pub type Streams = HashMap<u16, ChannelKey>;
/// Channels with messages that wait.
pub type Pending = VecDeque<ChannelKey>;

impl DataTransport {
    fn new(settings: DataTransportSettings, association: Box<dyn Association>) -> DataTransport {
        DataTransport {
            settings,
            association,
            state: DataTransportState::Connecting,
            timer: None,
            waits_for_turn: false,
        }
    }
}

impl Channel {
    /// One with nothing on it yet.
    pub fn new(settings: ChannelSettings, queue: Queue) -> Channel {
        Channel {
            session: SessionKey::default(),
            settings,
            state: ChannelState::Open,
            queue,
            subscriptions: Vec::new(),
            publication: None,
            mirrors: Vec::new(),
            mirrored: None,
            ack_due: None,
        }
    }

    /// Whether messages go to the peer.
    pub fn sends(&self) -> bool {
        self.state == ChannelState::Open && self.ack_due.is_none()
    }

    /// Whether its peer's first message is still waited for.
    pub fn awaits_ack(&self) -> bool {
        self.ack_due.is_some()
    }
}

/// A channel that control wants, with nothing on it yet.
fn fresh(settings: ChannelSettings, session: SessionKey, now: Instant) -> Channel {
    let loses = settings.sending.reliability != Reliability::Reliable;
    let ack_due = match settings.role {
        ChannelRole::Subscription { wait_for_ack, .. } => wait_for_ack.map(|time| now + time),
        _ => None,
    };
    let queue = Queue::new(settings.queue_messages, settings.queue_bytes, loses);
    Channel {
        session,
        ack_due,
        ..Channel::new(settings, queue)
    }
}

impl Engine {
    /// Makes SCTP of a session what its table says.
    pub(super) fn apply_data_transport(
        &mut self,
        key: SessionKey,
        wanted: Option<DataTransportSettings>,
        now: Instant,
    ) {
        let Some(settings) = wanted else {
            return;
        };
        let session = &mut self.sessions[key];
        match &mut session.data {
            Some(data) => data.settings = settings,
            None => {
                let association = SctpAssociation::new(settings.remote_port, settings.max_message);
                session.data = Some(DataTransport::new(settings, Box::new(association)));
                self.begin_association(key, now);
                let session = &self.sessions[key];
                for channel in session.channels.clone() {
                    self.open_stream(key, channel);
                }
            }
        }
    }

    /// SCTP can begin once DTLS is up.
    pub(super) fn begin_association(&mut self, key: SessionKey, now: Instant) {
        let session = &mut self.sessions[key];
        let connected = (session.transport.as_ref())
            .is_some_and(|transport| transport.state().0 == TransportState::Connected);
        if let Some(data) = session.data.as_mut().filter(|_| connected) {
            data.association.begin(now);
            self.want_turn(key);
        }
    }

    /// Makes the channels of a session what its table says.
    pub(super) fn apply_channels(
        &mut self,
        key: SessionKey,
        wanted: Vec<ChannelSettings>,
        now: Instant,
    ) {
        let before = std::mem::take(&mut self.sessions[key].channels);
        let (kept, ended): (Vec<_>, Vec<_>) = before.into_iter().partition(|&channel| {
            let id = self.channels[channel].settings.id;
            wanted.iter().any(|settings| settings.id == id)
        });
        // Streams of ended channels may be given out again in the same table.
        for channel in ended {
            self.end_channel(channel);
        }
        let mut channels = Vec::with_capacity(wanted.len());
        for settings in wanted {
            let same =
                (kept.iter().copied()).find(|&old| self.channels[old].settings.id == settings.id);
            match same {
                // Only who may reply can change while a channel lives.
                Some(old) => {
                    self.channels[old].settings.role = settings.role;
                    channels.push(old);
                }
                None => channels.push(self.begin_channel(key, settings, now)),
            }
        }
        let session = &mut self.sessions[key];
        session.streams = (channels.iter())
            .filter(|&&channel| self.channels[channel].state == ChannelState::Open)
            .map(|&channel| (self.channels[channel].settings.stream, channel))
            .collect();
        session.channels = channels;
        self.want_turn(key);
    }

    fn begin_channel(
        &mut self,
        key: SessionKey,
        settings: ChannelSettings,
        now: Instant,
    ) -> ChannelKey {
        let publication = match &settings.role {
            ChannelRole::Subscription { publication, .. }
                if publication.worker != self.config.worker =>
            {
                Some(self.channel_mirror(publication))
            }
            ChannelRole::Subscription { publication, .. } => self.find_channel(publication),
            _ => None,
        };
        let channel = self.channels.insert(fresh(settings, key, now));
        self.channels[channel].publication = publication;
        match publication {
            Some(publication) => self.channels[publication].subscriptions.push(channel),
            None if self.is_subscription(channel) => {
                self.channels[channel].state = ChannelState::Closed(ChannelEnd::PublicationEnded);
            }
            None => {}
        }
        self.tell_channel(channel);
        if let Some(due) = self.channels[channel].ack_due {
            self.timers.add(due, Timer::ChannelAck(channel));
        }
        self.open_stream(key, channel);
        channel
    }

    fn is_subscription(&self, channel: ChannelKey) -> bool {
        matches!(
            self.channels[channel].settings.role,
            ChannelRole::Subscription { .. }
        )
    }

    fn open_stream(&mut self, key: SessionKey, channel: ChannelKey) {
        let Channel {
            settings, state, ..
        } = &self.channels[channel];
        if let (Some(data), ChannelState::Open) = (&mut self.sessions[key].data, state) {
            data.association.open(settings.stream, settings.sending);
        }
    }

    /// An open channel of that name.
    pub(super) fn find_channel(&self, name: &ChannelName) -> Option<ChannelKey> {
        let session = *self.by_id.get(&name.session_id)?;
        let mut channels = self.sessions[session].channels.iter().copied();
        channels.find(|&key| {
            let channel = &self.channels[key];
            channel.settings.id == name.channel_id && channel.state == ChannelState::Open
        })
    }

    /// Takes a channel away: control does not want it any more, or its session is gone.
    pub(super) fn end_channel(&mut self, channel: ChannelKey) {
        self.cut(channel);
        let Some(ended) = self.channels.remove(channel) else {
            return;
        };
        if ended.state == ChannelState::Open
            && let Some(session) = self.sessions.get_mut(ended.session)
            && let Some(data) = &mut session.data
        {
            data.association.close(ended.settings.stream);
        }
    }

    /// Closes a channel and tells control why.
    pub(super) fn close_channel(&mut self, channel: ChannelKey, end: ChannelEnd) {
        let Some(closed) = self.channels.get_mut(channel) else {
            return;
        };
        if closed.state != ChannelState::Open {
            return;
        }
        closed.state = ChannelState::Closed(end);
        closed.queue.clear();
        closed.ack_due = None;
        let (session, stream) = (closed.session, closed.settings.stream);
        let Some(owner) = self.sessions.get_mut(session) else {
            return;
        };
        owner.streams.remove(&stream);
        if let Some(data) = &mut owner.data
            && end != ChannelEnd::ByPeer
        {
            data.association.close(stream);
        }
        self.tell_channel(channel);
        self.cut(channel);
        self.want_turn(session);
    }

    /// Takes a channel off its publication; its own subscriptions end with it.
    fn cut(&mut self, channel: ChannelKey) {
        let Some(cut) = self.channels.get_mut(channel) else {
            return;
        };
        let subscriptions = std::mem::take(&mut cut.subscriptions);
        let mirrors = std::mem::take(&mut cut.mirrors);
        if let Some(publication) = cut.publication.take() {
            self.channels[publication]
                .subscriptions
                .retain(|&other| other != channel);
            self.release_channel_mirror(publication);
        }
        self.end_at_mirrors(mirrors);
        for subscription in subscriptions {
            self.channels[subscription].publication = None;
            self.close_channel(subscription, ChannelEnd::PublicationEnded);
        }
    }

    pub(super) fn tell_channel(&mut self, channel: ChannelKey) {
        let channel = &self.channels[channel];
        let session = &self.sessions[channel.session];
        let event = requests::channel_event(&session.id, channel, session.data.as_ref());
        self.events.push_back(event);
    }

    /// The peer's first message did not come.
    pub(super) fn ack_due(&mut self, channel: ChannelKey) {
        if (self.channels.get(channel)).is_some_and(|channel| channel.awaits_ack()) {
            self.close_channel(channel, ChannelEnd::NoAck);
        }
    }
}
