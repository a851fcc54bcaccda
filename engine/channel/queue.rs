//! What waits for a peer that is slow, within bounds.

use std::collections::VecDeque;

use super::Message;

/// Messages that wait for one subscriber.
pub struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    drops_oldest: bool,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and so many older ones are gone.
    DroppedOldest(usize),
    /// There is no room, and nothing may be dropped.
    Full,
}

impl Queue {
    /// An empty queue. Where nothing may be lost, it gets full instead of dropping its oldest.
    pub fn new(max_messages: usize, max_bytes: usize, drops_oldest: bool) -> Queue {
        Queue {
            messages: VecDeque::new(),
            bytes: 0,
            max_messages,
            max_bytes,
            drops_oldest,
        }
    }

    /// Adds a message. One that alone is over the bound passes when nothing else waits.
    pub fn push(&mut self, message: Message) -> Pushed {
        let mut dropped = 0;
        while !self.messages.is_empty() && self.is_over(message.bytes.len()) {
            if !self.drops_oldest {
                return Pushed::Full;
            }
            self.pop();
            dropped += 1;
        }
        self.bytes += message.bytes.len();
        self.messages.push_back(message);
        match dropped {
            0 => Pushed::Queued,
            count => Pushed::DroppedOldest(count),
        }
    }

    /// Whether there is no room for so many bytes more beside what waits.
    pub fn is_over(&self, more: usize) -> bool {
        self.messages.len() >= self.max_messages || self.bytes + more > self.max_bytes
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes.len();
        Some(message)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }
}
