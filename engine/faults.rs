//! Panics that tests ask for, to show what a real one ends and what it leaves. Only tests have this module.

use std::sync::{Mutex, PoisonError};

/// Where a panic comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// In the middle of a STUN message.
    Stun,
    /// In the middle of a DTLS record.
    Dtls,
    /// In the middle of a turn of SCTP.
    Sctp,
    /// In the middle of a table, when half of it is applied.
    Request,
    /// In the middle of the session's end.
    Close,
    /// In a timer of the session.
    Timer,
    /// In feedback of the peer.
    Rtcp,
    /// In what follows from the peer's feedback.
    FollowUp,
    /// In a media packet, for which the whole worker answers.
    Rtp,
    /// While the ended session is taken away.
    Removal,
}

static ARMED: Mutex<Vec<(Point, String)>> = Mutex::new(Vec::new());

/// The next time that this session comes to that point, it panics.
pub fn arm(point: Point, session_id: &str) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    armed.push((point, session_id.to_owned()));
}

/// Panics if a test asked for it.
pub fn trip(point: Point, session_id: &str) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = (armed.iter()).position(|(at, id)| *at == point && id == session_id);
    if let Some(index) = found {
        armed.swap_remove(index);
        drop(armed);
        panic!("a test asked for this panic");
    }
}
