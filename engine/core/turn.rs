//! The parts of a worker's loop take turns: mail, sockets, timers and messages. None keeps the others waiting for longer
//! than a turn and the one packet, message or timer that it ends in.

use std::time::{Duration, Instant};

/// How long one may be.
pub const TURN: Duration = Duration::from_millis(1);

/// One part's turn.
pub struct Turn<'a> {
    clock: &'a dyn Fn() -> Instant,
    end: Instant,
}

impl<'a> Turn<'a> {
    /// Begins now.
    pub fn begin(clock: &'a dyn Fn() -> Instant) -> Turn<'a> {
        Turn {
            clock,
            end: clock() + TURN,
        }
    }

    /// Whether the rest has to wait.
    pub fn is_over(&self) -> bool {
        (self.clock)() >= self.end
    }
}
