//! Datagrams on their way out, gathered over a batch: one system call for those of one socket, and one message of it
//! for those of one destination and length.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;

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
    /// Where the datagrams are, in the order in which they are sent.
    places: Vec<Range<usize>>,
    /// What the kernel does not take now waits here.
    pub sender: net::Sender,
}

impl Outbox {
    /// An empty one.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Outbox> {
        Ok(Outbox {
            arena: vec![0; SLOTS * SLOT_LEN].into_boxed_slice(),
            slots: Vec::with_capacity(SLOTS),
            places: Vec::with_capacity(SLOTS),
            sender: net::Sender::new()?,
        })
    }

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

    /// Sends everything. A socket that `socket_of` does not know any more takes its datagrams with it; of the others it gives
    /// the poller's number too.
    pub fn flush<'a>(&mut self, socket_of: impl Fn(Source) -> Option<(&'a UdpSocket, usize)>) {
        // The order of one destination's datagrams is that of their indices.
        self.slots
            .sort_unstable_by_key(|slot| (slot.source, slot.to, slot.index));
        let places = self.slots.iter().map(|slot| {
            let start = slot.index * SLOT_LEN;
            start..start + slot.length
        });
        self.places.extend(places);
        let mut start = 0;
        for run in self.slots.chunk_by(|a, b| a.source == b.source) {
            let places = &self.places[start..start + run.len()];
            start += run.len();
            if let Some((socket, number)) = socket_of(run[0].source) {
                let messages = messages(run, places);
                self.sender.send(socket, number, &self.arena, messages);
            }
        }
        self.slots.clear();
        self.places.clear();
    }
}

/// Takes together what one message may have: one destination, one length, only the last datagram shorter.
fn messages<'a>(
    slots: &'a [Slot],
    places: &'a [Range<usize>],
) -> impl Iterator<Item = net::Message<'a>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = slots.get(start)?;
        let most = (net::MAX_MESSAGE / first.length.max(1)).clamp(1, net::MAX_SEGMENTS);
        let mut end = start + 1;
        while let Some(next) = slots.get(end)
            && end - start < most
            && next.to == first.to
            && next.length <= first.length
            && next.length > 0
            && slots[end - 1].length == first.length
        {
            end += 1;
        }
        let datagrams = &places[start..end];
        start = end;
        Some(net::Message {
            to: first.to,
            datagrams,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_one_destination_and_length_leave_together_and_in_order() {
        let socket = net::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let peers = [0, 1].map(|_| net::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let mut outbox = Outbox::new().unwrap();
        let lengths = [5, 5, 5, 3, 5, 7, 0, 7];
        for (number, length) in lengths.into_iter().enumerate() {
            for peer in &peers {
                let to = peer.local_addr().unwrap();
                outbox.push(Source::Clients(0), to, &[number as u8], &vec![9; length]);
            }
        }
        let together: Vec<usize> = {
            let of_first: Vec<Slot> = outbox.slots.iter().step_by(2).copied().collect();
            let places: Vec<_> = of_first.iter().map(|slot| 0..slot.length).collect();
            messages(&of_first, &places)
                .map(|message| message.datagrams.len())
                .collect()
        };
        assert_eq!(together, [4, 1, 2, 1]);
        outbox.flush(|_| Some((&socket, 0)));
        for peer in &peers {
            let mut receiver = net::Receiver::default();
            let mut seen = Vec::new();
            while seen.len() < lengths.len() {
                let received =
                    receiver.receive(peer, |_, bytes| seen.push((bytes[0], bytes.len() - 1)));
                received.unwrap();
            }
            let expected: Vec<_> = (0..).zip(lengths).collect();
            assert_eq!(seen, expected);
        }
    }
}
