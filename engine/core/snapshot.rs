//! The snapshot of all sessions for a control that attaches. It goes in pieces, and the worker forwards packets between them.

use std::time::Instant;

use prost::Message;

use super::requests::{channel_changed, data_transport_state, publication_state, transport_state};
use super::{Engine, SessionKey};
use crate::link::proto;
use crate::transport::TransportState;

/// The bounds of a piece. The session that passes the bound in bytes still belongs to the piece.
const PIECE_BYTES: usize = 64 << 10;
const PIECE_SESSIONS: usize = 64;

/// Sessions that are still to be told of. One that ends meanwhile is not; one that begins is known to who began it.
pub struct Snapshot(Vec<SessionKey>);

impl Engine {
    /// A snapshot of all sessions.
    pub fn begin_snapshot(&self) -> Snapshot {
        Snapshot(self.sessions.keys().collect())
    }

    /// The next sessions of it.
    pub fn next_piece(&mut self, snapshot: &mut Snapshot, now: Instant) -> proto::SnapshotAnswer {
        let mut piece = proto::SnapshotAnswer::default();
        let mut bytes = 0;
        while bytes < PIECE_BYTES
            && piece.sessions.len() < PIECE_SESSIONS
            && let Some(key) = snapshot.0.pop()
        {
            if !self.sessions.contains_key(key) {
                continue;
            }
            let session = self.within_walls(|engine| {
                engine.at_work = Some(key);
                engine.session_snapshot(key, now)
            });
            bytes += session.as_ref().map_or(0, Message::encoded_len);
            piece.sessions.extend(session);
        }
        piece.more = !snapshot.0.is_empty();
        piece
    }

    fn session_snapshot(&self, key: SessionKey, now: Instant) -> proto::SessionSnapshot {
        let session = &self.sessions[key];
        let transport = session.transport.as_ref();
        let (state, since) = transport.map_or((TransportState::Connecting, now), |transport| {
            transport.state()
        });
        let publications = session.publications.iter().map(|&key| {
            let publication = &self.publications[key];
            proto::PublicationSnapshot {
                publication_id: publication.settings.id,
                state: publication_state(publication.activity).into(),
            }
        });
        let data = session.data.as_ref();
        let data_state = data.map_or(proto::DataTransportState::Unspecified, |data| {
            data_transport_state(data.state)
        });
        let channels = session.channels.iter();
        proto::SessionSnapshot {
            session_id: session.id.clone(),
            worker: self.config.worker.into(),
            control_state: session.control_state.clone(),
            transport_state: transport_state(state).into(),
            transport_state_for_ms: now.duration_since(since).as_millis() as u64,
            publications: publications.collect(),
            data_transport_state: data_state.into(),
            data_channels: channels
                .map(|&key| channel_changed(&self.channels[key], data))
                .collect(),
        }
    }
}
