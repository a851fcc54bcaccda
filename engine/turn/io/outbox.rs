//! Datagrams on their way out, gathered over a batch: one system call for those of one socket.

use std::net::{SocketAddr, UdpSocket};

use switchyard_net as net;

use crate::server::RelayKey;

/// Datagrams that are gathered before they must leave.
const SLOTS: usize = 256;
/// Room of a slot: the longest datagram that we receive, and a header.
const SLOT_LEN: usize = 2048 + 128;

/// The socket that a datagram leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Of clients, by its index.
    Clients(usize),
    /// A relay.
    Relay(RelayKey),
}

#[derive(Clone, Copy)]
struct Slot {
    source: Source,
    to: SocketAddr,
    index: usize,
    length: usize,
}

/// The datagrams that wait. They are copied once, because what they are made of is the receive buffer of the batch.
pub struct Outbox {
    arena: Box<[u8]>,
    slots: Vec<Slot>,
    sender: net::Sender,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox {
            arena: vec![0; SLOTS * SLOT_LEN].into_boxed_slice(),
            slots: Vec::with_capacity(SLOTS),
            sender: net::Sender::default(),
        }
    }
}

impl Outbox {
    /// Adds a datagram, made of two parts. The caller flushes when `is_full`.
    pub fn push(&mut self, source: Source, to: SocketAddr, head: &[u8], body: &[u8]) {
        let (index, length) = (self.slots.len(), head.len() + body.len());
        let Some(slot) = self.arena[index * SLOT_LEN..].get_mut(..length.min(SLOT_LEN)) else {
            return;
        };
        if slot.len() < length {
            return;
        }
        slot[..head.len()].copy_from_slice(head);
        slot[head.len()..].copy_from_slice(body);
        self.slots.push(Slot {
            source,
            to,
            index,
            length,
        });
    }

    /// Whether nothing more can be added.
    pub fn is_full(&self) -> bool {
        self.slots.len() == SLOTS
    }

    /// Sends everything. A socket that `socket_of` does not know any more takes its datagrams with it.
    pub fn flush<'a>(&mut self, socket_of: impl Fn(Source) -> Option<&'a UdpSocket>) {
        // The order of one socket's datagrams is that of their indices.
        self.slots
            .sort_unstable_by_key(|slot| (slot.source, slot.index));
        for run in self.slots.chunk_by(|a, b| a.source == b.source) {
            let Some(socket) = socket_of(run[0].source) else {
                continue;
            };
            for batch in run.chunks(net::BATCH) {
                let datagrams = batch.iter().map(|slot| {
                    let start = slot.index * SLOT_LEN;
                    net::Datagram {
                        to: slot.to,
                        bytes: &self.arena[start..start + slot.length],
                    }
                });
                self.sender.send(socket, datagrams);
            }
        }
        self.slots.clear();
    }
}
