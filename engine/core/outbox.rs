//! Datagrams on their way out: built in place, sent in batches.

use std::net::SocketAddr;

/// Bytes that a datagram may have; larger ones are not made by anybody who heeds path MTUs.
pub const SLOT_LEN: usize = 2048;
/// Datagrams of a batch.
pub const BATCH: usize = 64;

/// A datagram in the outbox.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Index of the socket that it leaves from.
    pub socket: u16,
    /// Where to.
    pub to: SocketAddr,
    /// Its bytes' length; they begin at the slot's place in the arena.
    pub len: usize,
}

/// Sends batches.
pub trait Transmit {
    /// Sends what is in `slots`; slot i begins at `arena[i * SLOT_LEN]`. What cannot be sent is lost, as on any network.
    fn transmit(&mut self, slots: &[Slot], arena: &[u8]);
}

/// A batch that is being filled. Its memory is made once.
pub struct Outbox {
    arena: Box<[u8]>,
    slots: Vec<Slot>,
    transmit: Box<dyn Transmit>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(transmit: Box<dyn Transmit>) -> Outbox {
        Outbox {
            arena: vec![0; BATCH * SLOT_LEN].into_boxed_slice(),
            slots: Vec::with_capacity(BATCH),
            transmit,
        }
    }

    /// The next free slot, `SLOT_LEN` bytes; `commit` makes it a datagram.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8] {
        if self.slots.len() == BATCH {
            self.flush();
        }
        let start = self.slots.len() * SLOT_LEN;
        &mut self.arena[start..start + SLOT_LEN]
    }

    /// Makes the buffer of the last `slot` a datagram of `len` bytes.
    #[inline]
    pub fn commit(&mut self, socket: u16, to: SocketAddr, len: usize) {
        self.slots.push(Slot { socket, to, len });
    }

    /// Adds a datagram that was built elsewhere; one that is too long is lost.
    pub fn push(&mut self, socket: u16, to: SocketAddr, datagram: &[u8]) {
        let slot = self.slot();
        if let Some(start) = slot.get_mut(..datagram.len()) {
            start.copy_from_slice(datagram);
            self.commit(socket, to, datagram.len());
        }
    }

    /// Sends all.
    pub fn flush(&mut self) {
        if !self.slots.is_empty() {
            self.transmit.transmit(&self.slots, &self.arena);
            self.slots.clear();
        }
    }
}

#[cfg(test)]
pub(crate) use recorder::Recorder;

#[cfg(test)]
mod recorder {
    use super::{SLOT_LEN, Slot, SocketAddr, Transmit};
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
        fn transmit(&mut self, slots: &[Slot], arena: &[u8]) {
            let mut sent = self.0.lock().expect("not poisoned");
            for (index, slot) in slots.iter().enumerate() {
                let start = index * SLOT_LEN;
                sent.push((slot.to, arena[start..start + slot.len].to_vec()));
            }
        }
    }

    #[test]
    fn a_full_outbox_sends_itself_and_keeps_the_order() {
        let (recorder, sent) = Recorder::new();
        let mut outbox = super::Outbox::new(Box::new(recorder));
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        for index in 0..=super::BATCH {
            outbox.push(0, to, &[index as u8]);
        }
        outbox.push(0, to, &[0; SLOT_LEN + 1]);
        assert_eq!(sent.lock().expect("not poisoned").len(), super::BATCH);
        outbox.flush();
        let sent = sent.lock().expect("not poisoned");
        assert!(
            sent.iter()
                .map(|(_, bytes)| bytes[0])
                .eq(0..=super::BATCH as u8)
        );
    }
}
