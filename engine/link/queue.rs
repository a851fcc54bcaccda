//! What waits for control to read it. State that is newer replaces what waits about the same thing, so that the queue is
//! no longer than the state that it tells, however much changes while control is busy.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use prost::Message;

use super::proto::{self, event, from_engine};

/// Bytes that may wait: some hundred thousand events.
const MOST: usize = 64 << 20;
/// Fewer than so many: pieces of a snapshot may be added.
const ROOM: usize = 1 << 20;

/// What an event is about: the session, the kind of thing, and which one.
type Subject = (String, u8, u32);

fn subject(event: &proto::Event) -> Option<Subject> {
    let (kind, id) = match event.body.as_ref()? {
        event::Body::TransportState(_) => (0, 0),
        event::Body::PublicationChanged(changed) => (1, changed.publication_id),
        event::Body::DataTransportState(_) => (2, 0),
        event::Body::DataChannelChanged(changed) => (3, changed.channel_id),
        event::Body::SessionEnded(_) => (4, 0),
    };
    Some((event.session_id.clone(), kind, id))
}

/// Messages of one connection on their way out.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By their order.
    messages: BTreeMap<u64, proto::FromEngine>,
    /// Where an event about it waits.
    events: HashMap<Subject, u64>,
    next: u64,
    bytes: usize,
    closed: bool,
}

/// More waits than may.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl State {
    fn remove(&mut self, place: u64) -> Option<proto::FromEngine> {
        let message = self.messages.remove(&place)?;
        self.bytes -= message.encoded_len();
        Some(message)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message. An event moves to the end: answers that are between them may change what the older one meant.
    ///
    /// # Errors
    /// There is no room.
    pub fn push(&self, message: proto::FromEngine) -> Result<(), Full> {
        let about = match &message.body {
            Some(from_engine::Body::Event(event)) => subject(event),
            _ => None,
        };
        let mut state = self.lock();
        if state.closed {
            return Ok(());
        }
        let place = state.next;
        state.next += 1;
        if let Some(about) = about
            && let Some(older) = state.events.insert(about, place)
        {
            state.remove(older);
        }
        state.bytes += message.encoded_len();
        state.messages.insert(place, message);
        let is_full = state.bytes > MOST;
        drop(state);
        self.changed.notify_one();
        if is_full { Err(Full) } else { Ok(()) }
    }

    /// Waits for the next message; none once the queue is closed and empty.
    pub fn pop(&self) -> Option<proto::FromEngine> {
        let mut state = self.lock();
        loop {
            if let Some(&place) = state.messages.keys().next() {
                let message = state.remove(place)?;
                if let Some(from_engine::Body::Event(event)) = &message.body
                    && let Some(about) = subject(event)
                {
                    state.events.remove(&about);
                }
                return Some(message);
            }
            if state.closed {
                return None;
            }
            state = (self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more; what waits is still given.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Takes no more and gives nothing.
    pub fn clear(&self) {
        let mut state = self.lock();
        let next = state.next;
        *state = State {
            closed: true,
            next,
            ..State::default()
        };
        drop(state);
        self.changed.notify_one();
    }

    /// Whether so little waits that there is room for pieces of a snapshot, or nobody is there to read them.
    pub fn has_room(&self) -> bool {
        let state = self.lock();
        state.closed || state.bytes < ROOM
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::TransportState;

    fn event(session_id: &str, state: TransportState) -> proto::FromEngine {
        let event = proto::Event {
            session_id: session_id.into(),
            body: Some(event::Body::TransportState(state.into())),
        };
        proto::FromEngine {
            body: Some(from_engine::Body::Event(event)),
        }
    }

    fn answer(id: u64) -> proto::FromEngine {
        proto::FromEngine {
            body: Some(from_engine::Body::Answer(proto::Answer { id, body: None })),
        }
    }

    fn all(queue: &Queue) -> Vec<proto::FromEngine> {
        queue.close();
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_newer_event_replaces_the_one_that_waits_and_comes_after_answers_between_them() {
        let queue = Queue::default();
        let before = [
            event("a", TransportState::Connecting),
            event("b", TransportState::Connecting),
            answer(1),
            event("a", TransportState::Connected),
        ];
        for message in before.clone() {
            queue.push(message).unwrap();
        }
        let [_, b, answered, a] = before;
        assert_eq!(all(&queue), [b, answered, a]);
    }

    #[test]
    fn an_event_that_was_read_is_not_replaced() {
        let queue = Queue::default();
        queue.push(event("a", TransportState::Connecting)).unwrap();
        queue.pop().unwrap();
        queue.push(event("a", TransportState::Connected)).unwrap();
        queue.push(event("a", TransportState::Closed)).unwrap();
        assert_eq!(all(&queue), [event("a", TransportState::Closed)]);
    }

    #[test]
    fn a_rack_of_peers_that_come_and_go_while_control_is_busy_fits_many_times() {
        let queue = Queue::default();
        for _ in 0..20 {
            for session in 0..10_000 {
                let id = format!("{session:032x}");
                queue
                    .push(event(&id, TransportState::Disconnected))
                    .unwrap();
                queue.push(event(&id, TransportState::Connected)).unwrap();
            }
        }
        assert!(queue.lock().bytes < MOST / 32);
        assert_eq!(all(&queue).len(), 10_000);
    }

    #[test]
    fn what_never_repeats_is_bounded_in_bytes() {
        let queue = Queue::default();
        let count = (0..).find(|&id| {
            let mut message = answer(id);
            let Some(from_engine::Body::Answer(answer)) = &mut message.body else {
                panic!("an answer");
            };
            let description = "x".repeat(100_000);
            answer.body = Some(proto::answer::Body::Error(proto::Error { description }));
            queue.push(message) == Err(Full)
        });
        assert!(count.is_some_and(|count| (600..700).contains(&count)));
        assert!(!queue.has_room());
        queue.clear();
        assert!(queue.has_room() && queue.is_closed());
        assert_eq!(queue.pop(), None);
    }
}
