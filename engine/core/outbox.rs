//! Datagrams on their way out: built in place, gathered by destination, sent in batches.
//!
//! Sending costs several times what building does, and the kernel takes several datagrams of one destination for little
//! more than the price of one, where all but the last have the same length (UDP_SEGMENT). The packets of a frame are
//! such, and some of them come in one receive batch and some in the next: so each destination has a chain.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::ops::Range;

/// Bytes that a datagram may have; larger ones are not made by anybody who heeds path MTUs.
pub const SLOT_LEN: usize = 2048;
/// Bytes of a batch.
const ARENA_LEN: usize = 4 << 20;
/// Bytes that stay in a core's own cache beside what the kernel makes of them.
const CACHED_LEN: usize = 512 << 10;
/// Datagrams of a batch.
const MAX_DATAGRAMS: usize = 4096;
/// Datagrams of one message.
const MAX_SEGMENTS: usize = switchyard_net::MAX_SEGMENTS;
/// Places of the table that finds a destination's chain: never more than half full.
const PLACES: usize = 2 * MAX_DATAGRAMS;
const NONE: u16 = u16::MAX;
/// Datagrams begin at cache lines.
const ALIGNMENT: usize = 64;

/// Datagrams for one destination: all as long as the first, but for the last, which may be shorter.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Index of the socket that they leave from.
    pub socket: u16,
    /// Where to.
    pub to: SocketAddr,
    /// Each datagram's place in the arena, in their order.
    pub datagrams: &'a [Range<usize>],
}

/// Sends batches.
pub trait Transmit {
    /// Sends the messages, whose bytes are in `arena`. What cannot be sent is lost, as on any network.
    fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]);
}

/// A batch that is being filled. Its memory is made once, and only as much of it is touched as a batch needs.
pub struct Outbox {
    arena: Box<[u8]>,
    /// Where the next datagram begins.
    end: usize,
    datagrams: Vec<Datagram>,
    chains: Vec<Chain>,
    /// By hash of the destination: its newest chain.
    table: Box<[u16]>,
    hasher: foldhash::fast::RandomState,
    /// Places of all datagrams, chain by chain: made when the batch leaves.
    places: Vec<Range<usize>>,
    transmit: Box<dyn Transmit>,
}

#[derive(Clone, Copy)]
struct Datagram {
    start: u32,
    len: u16,
    /// The next one of the chain.
    next: u16,
}

/// Where a destination's datagrams may be found among those that gather; it may have become wrong.
#[derive(Clone, Copy)]
pub struct ChainHint(u16);

impl Default for ChainHint {
    fn default() -> Self {
        ChainHint(NONE)
    }
}

struct Chain {
    socket: u16,
    to: SocketAddr,
    /// Its place in the table.
    place: u16,
    first: u16,
    last: u16,
    count: u16,
    /// Of all datagrams but the last.
    segment: u16,
    bytes: u32,
    /// Takes no more: its last datagram is shorter.
    closed: bool,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(transmit: Box<dyn Transmit>) -> Outbox {
        Outbox {
            arena: vec![0; ARENA_LEN].into_boxed_slice(),
            end: 0,
            datagrams: Vec::with_capacity(MAX_DATAGRAMS),
            chains: Vec::with_capacity(MAX_DATAGRAMS),
            table: vec![NONE; PLACES].into_boxed_slice(),
            hasher: foldhash::fast::RandomState::default(),
            places: Vec::with_capacity(MAX_DATAGRAMS),
            transmit,
        }
    }

    /// The next free slot, `SLOT_LEN` bytes; `commit` makes it a datagram.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8] {
        if self.end + SLOT_LEN > ARENA_LEN || self.datagrams.len() == MAX_DATAGRAMS {
            self.flush();
        }
        &mut self.arena[self.end..self.end + SLOT_LEN]
    }

    /// Makes the buffer of the last `slot` a datagram of `len` bytes.
    pub fn commit(&mut self, socket: u16, to: SocketAddr, len: usize) {
        self.commit_near(&mut ChainHint::default(), socket, to, len);
    }

    /// The same; `hint` is where the last one of this destination went, and saves looking for it.
    #[inline]
    pub fn commit_near(&mut self, hint: &mut ChainHint, socket: u16, to: SocketAddr, len: usize) {
        debug_assert!(len <= SLOT_LEN);
        let index = self.datagrams.len() as u16;
        self.datagrams.push(Datagram {
            start: self.end as u32,
            len: len as u16,
            next: NONE,
        });
        self.end += len.next_multiple_of(ALIGNMENT);
        let place = match self.chains.get(usize::from(hint.0)) {
            Some(chain) if chain.to == to && chain.socket == socket => usize::from(chain.place),
            _ => self.place_of(socket, to),
        };
        if let Some(chain) = self.chains.get_mut(usize::from(self.table[place]))
            && chain.takes(len)
        {
            self.datagrams[usize::from(chain.last)].next = index;
            chain.last = index;
            chain.count += 1;
            chain.bytes += len as u32;
            chain.closed = len < usize::from(chain.segment);
            hint.0 = self.table[place];
            return;
        }
        hint.0 = self.chains.len() as u16;
        self.table[place] = hint.0;
        self.chains.push(Chain {
            socket,
            to,
            place: place as u16,
            first: index,
            last: index,
            count: 1,
            segment: len as u16,
            bytes: len as u32,
            closed: len == 0,
        });
    }

    /// The table's place of a destination, or the one where it belongs.
    #[inline]
    fn place_of(&self, socket: u16, to: SocketAddr) -> usize {
        let mut place = self.hasher.hash_one((socket, to)) as usize % PLACES;
        loop {
            match self.chains.get(usize::from(self.table[place])) {
                Some(chain) if chain.to != to || chain.socket != socket => {
                    place = (place + 1) % PLACES;
                }
                _ => return place,
            }
        }
    }

    /// Adds a datagram that was built elsewhere; one that is too long is lost.
    pub fn push(&mut self, socket: u16, to: SocketAddr, datagram: &[u8]) {
        let slot = self.slot();
        if let Some(start) = slot.get_mut(..datagram.len()) {
            start.copy_from_slice(datagram);
            self.commit(socket, to, datagram.len());
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Sends all where it is so much that the memory of more would not stay in a core's cache.
    #[inline]
    pub fn flush_if_long(&mut self) {
        if self.end > CACHED_LEN {
            self.flush();
        }
    }

    /// Sends all.
    pub fn flush(&mut self) {
        if self.is_empty() {
            return;
        }
        self.places.clear();
        for chain in &self.chains {
            self.table[usize::from(chain.place)] = NONE;
            let mut next = chain.first;
            while let Some(datagram) = self.datagrams.get(usize::from(next)) {
                let start = datagram.start as usize;
                self.places.push(start..start + usize::from(datagram.len));
                next = datagram.next;
            }
        }
        let mut rest = &self.places[..];
        let mut messages = self.chains.iter().map(|chain| {
            let datagrams;
            (datagrams, rest) = rest.split_at(usize::from(chain.count));
            Message {
                socket: chain.socket,
                to: chain.to,
                datagrams,
            }
        });
        self.transmit.transmit(&mut messages, &self.arena);
        self.chains.clear();
        self.datagrams.clear();
        self.end = 0;
    }
}

impl Chain {
    #[inline]
    fn takes(&self, len: usize) -> bool {
        !self.closed
            && len <= usize::from(self.segment)
            && len > 0
            && usize::from(self.count) < MAX_SEGMENTS
            && self.bytes as usize + len <= switchyard_net::MAX_MESSAGE
    }
}

#[cfg(test)]
pub(crate) use tests::Recorder;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    type Sent = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

    /// Keeps what was sent.
    pub(crate) struct Recorder(Sent);

    impl Recorder {
        pub(crate) fn new() -> (Recorder, Sent) {
            let sent = Sent::default();
            (Recorder(sent.clone()), sent)
        }
    }

    impl Transmit for Recorder {
        fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]) {
            let mut sent = self.0.lock().expect("not poisoned");
            for message in messages {
                let [all @ .., last] = message.datagrams else {
                    panic!("a message of nothing");
                };
                assert!(
                    all.iter()
                        .all(|place| place.len() == message.datagrams[0].len())
                );
                assert!(last.len() <= message.datagrams[0].len());
                for place in message.datagrams {
                    sent.push((message.to, arena[place.clone()].to_vec()));
                }
            }
        }
    }

    /// Counts messages by their number of datagrams.
    struct Sizes(Arc<Mutex<Vec<usize>>>);

    impl Transmit for Sizes {
        fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, _: &[u8]) {
            let sizes = messages.map(|message| message.datagrams.len());
            self.0.lock().expect("not poisoned").extend(sizes);
        }
    }

    fn destination(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn packets_of_a_frame_for_many_leave_as_one_message_each() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let mut outbox = Outbox::new(Box::new(Sizes(sizes.clone())));
        for packet in 0..10 {
            let bytes = [packet; 1200];
            let len = if packet == 9 { 300 } else { 1200 };
            for port in 1..=50 {
                outbox.push(0, destination(port), &bytes[..len]);
            }
        }
        outbox.flush();
        assert_eq!(*sizes.lock().unwrap(), vec![10; 50]);
    }

    #[test]
    fn a_longer_packet_and_one_after_a_shorter_begin_a_message() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let mut outbox = Outbox::new(Box::new(Sizes(sizes.clone())));
        for len in [1000, 1000, 1001, 1001, 900, 900] {
            outbox.push(0, destination(1), &[0; 1001][..len]);
        }
        outbox.flush();
        assert_eq!(*sizes.lock().unwrap(), [2, 3, 1]);
    }

    #[test]
    fn a_datagram_that_is_too_long_is_lost_alone() {
        let (recorder, sent) = Recorder::new();
        let mut outbox = Outbox::new(Box::new(recorder));
        outbox.push(0, destination(1), &[0; SLOT_LEN + 1]);
        outbox.push(0, destination(1), &[1; SLOT_LEN]);
        outbox.flush();
        assert_eq!(sent.lock().unwrap().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Each destination gets what was meant for it, in order, whatever the lengths and however often it is full.
        #[test]
        fn each_destination_gets_its_own_in_order(
            pushes in prop::collection::vec((0_u16..300, 0_usize..1500), 0..9000),
        ) {
            let (recorder, sent) = Recorder::new();
            let mut outbox = Outbox::new(Box::new(recorder));
            let mut expected: HashMap<SocketAddr, Vec<Vec<u8>>> = HashMap::new();
            // Of whichever destinations share one, and from batches before: a hint may be wrong.
            let mut hints = [ChainHint::default(); 7];
            for (index, &(port, len)) in pushes.iter().enumerate() {
                // Ports differ by socket too: one destination, two ways, two chains.
                let datagram = vec![index as u8; len / 500 * 500];
                if index % 3 == 0 {
                    outbox.push(port % 2, destination(port), &datagram);
                } else {
                    outbox.slot()[..datagram.len()].copy_from_slice(&datagram);
                    let hint = &mut hints[usize::from(port) % 7];
                    outbox.commit_near(hint, port % 2, destination(port), datagram.len());
                }
                expected.entry(destination(port)).or_default().push(datagram);
            }
            outbox.flush();
            let mut got: HashMap<SocketAddr, Vec<Vec<u8>>> = HashMap::new();
            for (to, datagram) in sent.lock().unwrap().drain(..) {
                got.entry(to).or_default().push(datagram);
            }
            prop_assert_eq!(got, expected);
        }
    }
}
