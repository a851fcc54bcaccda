//! Control's requests and what is told to control.

use std::net::SocketAddr;
use std::time::Instant;

use super::Engine;
use super::channel_table;
use super::channels::{Channel, ChannelEnd, ChannelState, DataTransport, DataTransportState};
use super::outbox::Outbox;
use crate::forward::publication::Activity;
use crate::ice::Protocol;
use crate::link::proto::{self, answer, event, request};
use crate::transport::{TransportEvent, TransportState};

impl Engine {
    /// Carries out a request.
    pub fn handle_request(
        &mut self,
        now: Instant,
        request: proto::Request,
        outbox: &mut Outbox,
    ) -> proto::Answer {
        // What came before it is for those that were there.
        self.fan_out_burst(now, outbox);
        let id = request.id;
        let body = request.body.as_ref();
        let named = body.and_then(named_session).cloned();
        let body =
            self.request_within_walls(named, |engine| engine.carry_out(now, request.body, outbox));
        let body = body.unwrap_or_else(|| Err("the engine panicked: the session has ended".into()));
        let body =
            body.unwrap_or_else(|description| answer::Body::Error(proto::Error { description }));
        proto::Answer {
            id,
            body: Some(body),
        }
    }

    fn carry_out(
        &mut self,
        now: Instant,
        body: Option<request::Body>,
        outbox: &mut Outbox,
    ) -> Result<answer::Body, String> {
        let done = answer::Body::Done(proto::Done {});
        match body {
            Some(request::Body::Hello(_)) => Ok(answer::Body::Hello(self.hello())),
            Some(request::Body::ApplySession(table)) => {
                self.apply_session(table, now).map(|()| done)
            }
            Some(request::Body::CloseSession(close)) => {
                self.close_session(&close.session_id, now, outbox);
                Ok(done)
            }
            Some(request::Body::ReadCounters(_)) => Ok(answer::Body::Counters(self.counters())),
            Some(request::Body::Leave(_)) => {
                self.leave(now, outbox);
                Ok(done)
            }
            Some(request::Body::SendMessage(message)) => self.send(message).map(|()| done),
            // `next_piece` makes it where control reads it so.
            Some(request::Body::Snapshot(_)) => {
                Err("a snapshot comes in pieces, which this control does not read".into())
            }
            None => Err("the request has no body that this engine knows".to_owned()),
        }
    }

    fn send(&mut self, message: proto::SendMessage) -> Result<(), String> {
        let name = message.channel.as_ref().ok_or("channel is missing")?;
        self.send_message(&channel_table::name(name)?, message.text)
    }

    fn hello(&self) -> proto::HelloAnswer {
        let candidate = |address: &SocketAddr| proto::Candidate {
            ip: address.ip().to_string(),
            port: address.port().into(),
            worker: self.config.worker.into(),
        };
        let candidates: Vec<_> = self.config.candidates.iter().map(candidate).collect();
        let listens = self.config.protocols.contains(&Protocol::Tcp);
        proto::HelloAnswer {
            version: proto::ProtocolVersion::ProtocolVersion1.into(),
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            certificate_sha256: self.config.certificate.sha256(),
            tcp_candidates: if listens {
                candidates.clone()
            } else {
                Vec::new()
            },
            candidates,
        }
    }

    fn counters(&self) -> proto::Counters {
        let mut counters: Vec<_> = self
            .counters
            .list()
            .into_iter()
            .chain((self.config.kernel_counts)())
            .map(|(name, value)| proto::Counter {
                name: name.to_owned(),
                value,
            })
            .collect();
        counters.push(proto::Counter {
            name: "sessions".to_owned(),
            value: self.sessions.len() as u64,
        });
        proto::Counters { counters }
    }

    fn close_session(&mut self, session_id: &str, now: Instant, outbox: &mut Outbox) {
        let Some(mut session) = self.remove_session(session_id) else {
            return;
        };
        if let Some(transport) = &mut session.transport {
            transport.close();
            transport.poll(now, &self.config.sockets, |event| {
                if let TransportEvent::Send(path, datagram) = event {
                    outbox.push(path.socket, path.remote, &datagram);
                }
            });
        }
    }

    fn leave(&mut self, now: Instant, outbox: &mut Outbox) {
        self.leaving = true;
        let ids: Vec<String> = self.by_id.keys().cloned().collect();
        for id in ids {
            // Whatever one of them meets, the others say goodbye.
            let work = |engine: &mut Engine| engine.close_session(&id, now, outbox);
            self.request_within_walls(Some(id.clone()), work);
        }
    }
}

/// The session that a request is about.
fn named_session(body: &request::Body) -> Option<&String> {
    match body {
        request::Body::ApplySession(table) => Some(&table.session_id),
        request::Body::CloseSession(close) => Some(&close.session_id),
        request::Body::SendMessage(message) => Some(&message.channel.as_ref()?.session_id),
        _ => None,
    }
}

/// The news that a transport is in another state.
pub fn transport_event(session_id: &str, state: TransportState) -> proto::Event {
    let state: i32 = transport_state(state).into();
    proto::Event {
        session_id: session_id.to_owned(),
        body: Some(event::Body::TransportState(state)),
    }
}

/// The news that a session is gone.
pub fn session_ended(session_id: &str, reason: proto::SessionEndReason) -> proto::Event {
    proto::Event {
        session_id: session_id.to_owned(),
        body: Some(event::Body::SessionEnded(reason.into())),
    }
}

/// The news that media came or stopped.
pub fn publication_event(
    session_id: &str,
    publication_id: u32,
    activity: Activity,
) -> proto::Event {
    proto::Event {
        session_id: session_id.to_owned(),
        body: Some(event::Body::PublicationChanged(proto::PublicationChanged {
            publication_id,
            state: publication_state(activity).into(),
        })),
    }
}

pub(super) fn transport_state(state: TransportState) -> proto::TransportState {
    match state {
        TransportState::Connecting => proto::TransportState::Connecting,
        TransportState::Connected => proto::TransportState::Connected,
        TransportState::Disconnected => proto::TransportState::Disconnected,
        TransportState::Closed => proto::TransportState::Closed,
    }
}

pub(super) fn publication_state(activity: Activity) -> proto::PublicationState {
    match activity {
        Activity::Waiting => proto::PublicationState::Waiting,
        Activity::Active => proto::PublicationState::Active,
        Activity::Silent => proto::PublicationState::Silent,
    }
}

/// The news that SCTP is in another state.
pub fn data_transport_event(session_id: &str, state: DataTransportState) -> proto::Event {
    let state: i32 = data_transport_state(state).into();
    proto::Event {
        session_id: session_id.to_owned(),
        body: Some(event::Body::DataTransportState(state)),
    }
}

/// The news that a channel is in another state.
pub fn channel_event(
    session_id: &str,
    channel: &Channel,
    data: Option<&DataTransport>,
) -> proto::Event {
    proto::Event {
        session_id: session_id.to_owned(),
        body: Some(event::Body::DataChannelChanged(channel_changed(
            channel, data,
        ))),
    }
}

pub(super) fn channel_changed(
    channel: &Channel,
    data: Option<&DataTransport>,
) -> proto::DataChannelChanged {
    let connected = data.is_some_and(|data| data.state == DataTransportState::Connected);
    let (state, end) = match channel.state {
        ChannelState::Open if connected && !channel.awaits_ack() => (
            proto::DataChannelState::Open,
            proto::DataChannelEnd::Unspecified,
        ),
        ChannelState::Open => (
            proto::DataChannelState::Initializing,
            proto::DataChannelEnd::Unspecified,
        ),
        ChannelState::Closed(end) => (proto::DataChannelState::Closed, channel_end(end)),
    };
    proto::DataChannelChanged {
        channel_id: channel.settings.id,
        state: state.into(),
        end: end.into(),
    }
}

fn channel_end(end: ChannelEnd) -> proto::DataChannelEnd {
    match end {
        ChannelEnd::ByPeer => proto::DataChannelEnd::ByPeer,
        ChannelEnd::QueueFull => proto::DataChannelEnd::QueueFull,
        ChannelEnd::NoAck => proto::DataChannelEnd::NoAck,
        ChannelEnd::PublicationEnded => proto::DataChannelEnd::PublicationEnded,
        ChannelEnd::TransportClosed => proto::DataChannelEnd::TransportClosed,
    }
}

pub(super) fn data_transport_state(state: DataTransportState) -> proto::DataTransportState {
    match state {
        DataTransportState::Connecting => proto::DataTransportState::Connecting,
        DataTransportState::Connected => proto::DataTransportState::Connected,
        DataTransportState::Closed => proto::DataTransportState::Closed,
    }
}
