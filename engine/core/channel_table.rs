//! The data channels of a session's table, checked and turned into the engine's words.

use std::time::Duration;

use crate::channel::{Reliability, STREAMS, StreamSettings};
use crate::link::proto::{self, data_channel};

/// What the descriptions say of the peer's SCTP (RFC 8841).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DataTransportSettings {
    pub remote_port: u16,
    /// Bytes; 0: any.
    pub max_message: u32,
}

/// A channel, by its session's name and its number there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChannelName {
    pub session_id: String,
    pub channel_id: u32,
    /// Where the session is.
    pub worker: u16,
}

/// What a channel is for.
#[derive(Clone, PartialEq, Eq)]
pub enum ChannelRole {
    Publication {
        replier: Option<ChannelName>,
    },
    Subscription {
        publication: ChannelName,
        wait_for_ack: Option<Duration>,
    },
    ServerMessages,
}

/// One channel.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    pub id: u32,
    pub stream: u16,
    pub sending: StreamSettings,
    pub role: ChannelRole,
    pub queue_messages: usize,
    pub queue_bytes: usize,
}

/// Reads the data transport.
pub fn transport(transport: &proto::DataTransport) -> Result<DataTransportSettings, String> {
    match u16::try_from(transport.remote_sctp_port) {
        Ok(remote_port @ 1..) => Ok(DataTransportSettings {
            remote_port,
            max_message: transport.remote_max_message_size,
        }),
        _ => Err("an SCTP port must be 1 to 65535".into()),
    }
}

/// Reads a channel.
pub fn channel(channel: &proto::DataChannel) -> Result<ChannelSettings, String> {
    let stream = u16::try_from(channel.stream_id)
        .ok()
        .filter(|&stream| stream < STREAMS)
        .ok_or(format!("a stream_id must be below {STREAMS}"))?;
    let reliability = match (channel.max_retransmits, channel.max_lifetime_ms) {
        (None, None) => Reliability::Reliable,
        (Some(count), None) => Reliability::MaxRetransmits(count),
        (None, Some(ms)) => Reliability::MaxLifetime(ms),
        (Some(_), Some(_)) => return Err("a channel has two limits of retransmission".into()),
    };
    let role = match channel.role.as_ref().ok_or("a channel has no role")? {
        data_channel::Role::Publication(publication) => ChannelRole::Publication {
            replier: publication.replier.as_ref().map(name).transpose()?,
        },
        data_channel::Role::Subscription(subscription) => ChannelRole::Subscription {
            publication: name(
                subscription
                    .publication
                    .as_ref()
                    .ok_or("a channel's subscription has no publication")?,
            )?,
            wait_for_ack: subscription
                .wait_for_ack_ms
                .map(|ms| Duration::from_millis(ms.into())),
        },
        data_channel::Role::ServerMessages(_) => ChannelRole::ServerMessages,
    };
    if channel.queue_messages == 0 || channel.queue_bytes == 0 {
        return Err("a channel's queue has no room".into());
    }
    Ok(ChannelSettings {
        id: channel.channel_id,
        stream,
        sending: StreamSettings {
            ordered: !channel.unordered,
            reliability,
        },
        role,
        queue_messages: channel.queue_messages as usize,
        queue_bytes: channel.queue_bytes as usize,
    })
}

/// Reads a name.
pub fn name(name: &proto::ChannelName) -> Result<ChannelName, String> {
    if name.session_id.len() > 64 {
        return Err("a channel's session ID is too long".into());
    }
    Ok(ChannelName {
        session_id: name.session_id.clone(),
        channel_id: name.channel_id,
        worker: super::table::worker(name.worker)?,
    })
}
