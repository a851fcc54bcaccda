//! How threads reach a worker: a queue that it drains between batches, and one wake for all that came meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use switchyard_net::Waker;

use crate::core::Handover;
use crate::core::turn::Turn;
use crate::dispatch::Reply;
use crate::link::proto;

/// Handed to a worker between two of its turns at the sockets.
const AT_ONCE: usize = 1024;

/// What a worker is sent.
pub enum Mail {
    /// By control.
    Request(Box<proto::Request>, Reply),
    /// By another worker, whose number stands first.
    Handover(u16, Handover),
}

/// Where a worker's mail is put. The queue has no bound of its own: requests are control's, and workers hand over
/// no more packets and bytes than their own pools hold (`core::handover`).
#[derive(Clone)]
pub struct Post {
    queue: Sender<Mail>,
    signalled: Arc<AtomicBool>,
    waker: Waker,
}

/// Where a worker finds it.
pub struct Inbox {
    queue: Receiver<Mail>,
    signalled: Arc<AtomicBool>,
}

/// The two ends of a worker's queue.
pub fn inbox(waker: Waker) -> (Post, Inbox) {
    let (sender, receiver) = channel();
    let signalled = Arc::new(AtomicBool::new(false));
    let post = Post {
        queue: sender,
        signalled: signalled.clone(),
        waker,
    };
    let inbox = Inbox {
        queue: receiver,
        signalled,
    };
    (post, inbox)
}

impl Post {
    /// Queues it; the worker looks when it is awake anyway, or woken.
    pub fn send(&self, mail: Mail) {
        // A worker that has left needs nothing any more.
        let _ = self.queue.send(mail);
    }

    /// Wakes the worker, unless somebody has and it has not looked since.
    pub fn wake(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

impl Inbox {
    /// Gives what is there to `take`, for one turn; true: there may be more.
    pub fn drain(&self, clock: &dyn Fn() -> Instant, mut take: impl FnMut(Mail)) -> bool {
        // Before looking: whoever sends after the last look wakes again.
        self.signalled.swap(false, Ordering::AcqRel);
        let turn = Turn::begin(clock);
        for _ in 0..AT_ONCE {
            match self.queue.try_recv() {
                Ok(mail) => take(mail),
                Err(_) => return false,
            }
            if turn.is_over() {
                break;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    use switchyard_net::Poller;

    #[test]
    fn mail_has_a_turn_and_the_rest_waits_in_its_order() {
        let poller = Poller::new().expect("a poller");
        let (post, inbox) = inbox(poller.waker());
        for from in 0..25 {
            post.send(Mail::Handover(from, Handover::Restarted));
        }
        let time = Cell::new(Instant::now());
        let clock = || time.get();
        let mut turns = Vec::new();
        loop {
            let mut seen = Vec::new();
            let more = inbox.drain(&clock, |mail| {
                if let Mail::Handover(from, _) = mail {
                    seen.push(from);
                }
                time.set(time.get() + Duration::from_micros(100));
            });
            turns.push(seen);
            if !more {
                break;
            }
        }
        let turns: Vec<_> = turns.iter().map(|turn| turn.len()).collect();
        assert_eq!(turns, [10, 10, 5]);
    }
}
