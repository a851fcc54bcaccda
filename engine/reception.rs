//! Datagrams from a worker's UDP sockets, in turns: neither a flood nor one socket keeps timers, mail and the others waiting.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use switchyard_net as net;

use crate::core::turn::Turn;

/// Batches of one socket before the others have theirs.
const BATCHES_IN_A_ROW: usize = 4;

/// Reads sockets.
#[derive(Default)]
pub struct Reception {
    receiver: net::Receiver,
    /// The socket that was read last.
    last: usize,
}

impl Reception {
    /// One turn: what the last one left, then sockets that are ready, those after the last one first. A socket that has no
    /// turn is ready again the next time. What is not a socket's index is passed over.
    pub fn take(
        &mut self,
        sockets: &[UdpSocket],
        ready: &[usize],
        clock: &dyn Fn() -> Instant,
        mut each: impl FnMut(Instant, usize, SocketAddr, &mut [u8]),
        mut failed: impl FnMut(usize, &io::Error),
    ) {
        let turn = Turn::begin(clock);
        if self.has_rest() {
            self.read(&turn, clock(), &mut each);
        }
        let last = self.last;
        let ready = || ready.iter().filter(|&&index| index < sockets.len());
        let after = ready().filter(|&&index| index > last);
        let before = ready().filter(|&&index| index <= last);
        for &index in after.chain(before) {
            for _ in 0..BATCHES_IN_A_ROW {
                // The rest has the buffers.
                if self.has_rest() || turn.is_over() {
                    return;
                }
                let now = clock();
                self.last = index;
                // One socket's trouble must not end the calls on the others.
                let fetched = self.receiver.fetch(&sockets[index]);
                let Ok(count) = fetched.inspect_err(|error| failed(index, error)) else {
                    break;
                };
                self.read(&turn, now, &mut each);
                if count < net::BATCH {
                    break;
                }
            }
        }
    }

    fn read(
        &mut self,
        turn: &Turn<'_>,
        now: Instant,
        each: &mut impl FnMut(Instant, usize, SocketAddr, &mut [u8]),
    ) {
        let index = self.last;
        self.receiver.read(|source, datagram| {
            each(now, index, source, datagram);
            !turn.is_over()
        });
    }

    /// Whether the last turn left something.
    pub fn has_rest(&self) -> bool {
        self.receiver.has_rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    fn none(_: usize, error: &io::Error) {
        panic!("{error}");
    }

    fn socket() -> UdpSocket {
        net::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a socket")
    }

    /// Sends one message of so many datagrams, which the kernel gives back as one.
    fn send(to: &UdpSocket, count: u8) {
        let arena: Vec<u8> = (0..count).flat_map(|number| [number; 1000]).collect();
        let places: Vec<_> = (0..usize::from(count))
            .map(|at| at * 1000..(at + 1) * 1000)
            .collect();
        let to = to.local_addr().expect("bound");
        let message = net::Message {
            to,
            datagrams: &places,
        };
        net::Sender::new()
            .expect("a sender")
            .send(&socket(), 0, &arena, [message].into_iter());
    }

    #[test]
    fn a_turn_ends_within_a_message_and_the_next_one_goes_on_there() {
        let sockets = [socket(), socket()];
        send(&sockets[0], 50);
        send(&sockets[0], 7);
        send(&sockets[1], 3);
        // A datagram takes 100 us: ten of them are a turn.
        let time = Cell::new(Instant::now());
        let clock = || time.get();
        let mut reception = Reception::default();
        let mut turns = Vec::new();
        while turns.iter().map(Vec::len).sum::<usize>() < 60 {
            let mut seen = Vec::new();
            reception.take(
                &sockets,
                &[0, 1],
                &clock,
                |_, index, _, datagram| {
                    assert_eq!(datagram.len(), 1000);
                    seen.push((index, datagram[0]));
                    time.set(time.get() + Duration::from_micros(100));
                },
                none,
            );
            turns.push(seen);
        }
        assert!(turns.iter().all(|turn| turn.len() <= 10), "{turns:?}");
        assert_eq!(turns.len(), 6);
        let all: Vec<_> = turns.concat();
        let of = |wanted: usize| {
            all.iter()
                .filter(move |(index, _)| *index == wanted)
                .map(|one| one.1)
        };
        assert!(of(0).eq((0..50).chain(0..7)), "all of them, in their order");
        assert!(of(1).eq(0..3));
        assert!(!reception.has_rest());
    }

    #[test]
    fn a_socket_that_always_has_more_does_not_keep_the_others_waiting() {
        let sockets = [socket(), socket()];
        let time = Cell::new(Instant::now());
        let clock = || time.get();
        let mut reception = Reception::default();
        send(&sockets[1], 3);
        let mut heard = 0;
        for turn in 0..3 {
            send(&sockets[0], 50);
            reception.take(
                &sockets,
                &[0, 1],
                &clock,
                |_, index, _, _| {
                    heard += index;
                    time.set(time.get() + Duration::from_micros(20));
                },
                none,
            );
            assert!(
                turn == 0 || heard == 3,
                "the other one has its share in the second turn"
            );
        }
    }
}
