//! No part of a worker's loop keeps the others waiting, whatever there is to do: turns on a clock that tests move.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;

use super::data_peer::{channel, publication};
use super::peer::{Laboratory, apply};
use crate::channel::{
    Association, AssociationEvent, Incoming, Message, MessageKind, Rejected, StreamSettings,
};
use crate::core::SessionKey;
use crate::link::proto::{self, request};

/// Whoever looks at the clock has worked for so long: ten pieces of work are a turn.
const STEP: Duration = Duration::from_micros(100);

/// What is done in one turn by that clock.
fn turn(lab: &mut Laboratory) {
    let time = Cell::new(lab.now());
    let clock = || time.replace(time.get() + STEP);
    lab.due_in_turns(&clock);
}

/// An association whose peer always has another message.
struct Endless;

impl Association for Endless {
    fn begin(&mut self, _: Instant) {}
    fn handle_packet(&mut self, _: Instant, _: Bytes) -> Result<(), Rejected> {
        Ok(())
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_event(&mut self) -> Option<AssociationEvent> {
        None
    }
    fn poll_packet(&mut self, _: Instant) -> Option<Bytes> {
        None
    }
    fn open(&mut self, _: u16, _: StreamSettings) {}
    fn close(&mut self, _: u16) {}
    fn read(&mut self) -> Option<(u16, Incoming)> {
        let bytes = Bytes::from_static(b"more");
        let kind = MessageKind::Text;
        Some((1, Incoming::Message(Message { kind, bytes })))
    }
    fn write(&mut self, _: u16, _: &Message) -> bool {
        true
    }
    fn buffered(&mut self, _: u16) -> Option<usize> {
        None
    }
}

#[test]
fn messages_have_a_turn_and_each_session_its_share_of_it() {
    let mut lab = Laboratory::new();
    let sessions = ["one", "two", "three"].map(|name| {
        lab.join(name, |table| {
            table.data_transport = Some(proto::DataTransport {
                remote_sctp_port: 5000,
                remote_max_message_size: 0,
            });
            table.data_channels = vec![channel(1, publication())];
        });
        lab.engine.by_id[name]
    });
    for key in sessions {
        let data = lab.engine.sessions[key].data.as_mut().expect("a transport");
        data.association = Box::new(Endless);
        lab.engine.want_turn(key);
    }
    let waiting =
        |lab: &Laboratory| -> Vec<SessionKey> { lab.engine.turns.iter().copied().collect() };
    let mut before = lab.engine.counters.messages_received;
    for round in 0..30 {
        let first = waiting(&lab)[0];
        turn(&mut lab);
        let after = lab.engine.counters.messages_received;
        assert!(
            (1..=10).contains(&(after - before)),
            "round {round}: {}",
            after - before
        );
        assert_ne!(waiting(&lab)[0], first, "the others come before it now");
        assert_eq!(waiting(&lab).len(), 3);
        before = after;
    }
    assert!(
        lab.engine
            .next_timeout()
            .is_some_and(|due| due <= lab.now())
    );
}

/// Sessions that are not connected, with so much of control's state each.
fn fill(lab: &mut Laboratory, count: usize, state: usize) {
    for number in 0..count {
        let table = proto::ApplySession {
            session_id: format!("session-{number}"),
            control_state: vec![7; state],
            ..Default::default()
        };
        lab.request(apply(table)).expect("a good table");
    }
}

#[test]
fn timers_that_fall_due_together_have_a_turn_and_the_rest_waits() {
    let mut lab = Laboratory::new();
    let one = lab.join("one", |_| {});
    for number in 0..300 {
        let mut table = lab.table(one);
        table.session_id = format!("other-{number}");
        let transport = table.transport.as_mut().expect("a transport");
        transport.local_ufrag = format!("ufrag-{number}");
        lab.apply_without_settling(table);
    }
    let due = |lab: &Laboratory| {
        let sessions = lab.engine.sessions.values();
        let timers = sessions.filter_map(|session| session.transport_timer);
        timers.filter(|&at| at <= lab.now()).count()
    };
    assert_eq!(due(&lab), 300);
    let mut left = 300;
    while left > 0 {
        assert!(lab.engine.next_timeout().is_some_and(|at| at <= lab.now()));
        turn(&mut lab);
        let done = left - due(&lab);
        assert!((1..=10).contains(&done), "{done} of {left}");
        left -= done;
    }
}

#[test]
fn ten_thousand_sessions_are_told_in_pieces_of_bounded_size() {
    const COUNT: usize = 10_000;
    const STATE: usize = 16 << 10;
    let mut lab = Laboratory::new();
    fill(&mut lab, COUNT, STATE);
    let mut snapshot = lab.engine.begin_snapshot();
    let mut told = std::collections::HashSet::new();
    let mut pieces = 0;
    loop {
        let piece = lab.engine.next_piece(&mut snapshot, lab.now());
        assert!(piece.encoded_len() < (64 << 10) + STATE + 1000);
        assert!(
            piece
                .sessions
                .iter()
                .all(|session| session.control_state.len() == STATE)
        );
        told.extend(piece.sessions.into_iter().map(|session| session.session_id));
        pieces += 1;
        if pieces == 1 {
            // Whoever ends before he is told of is not.
            let session_id = "session-0".to_owned();
            assert!(!told.contains(&session_id));
            let close = proto::CloseSession { session_id };
            lab.request(request::Body::CloseSession(close)).unwrap();
        }
        if !piece.more {
            break;
        }
    }
    assert_eq!(told.len(), COUNT - 1);
    assert!(pieces >= COUNT * STATE / (80 << 10));
}

#[test]
fn small_sessions_are_counted_too() {
    let mut lab = Laboratory::new();
    fill(&mut lab, 1000, 1);
    let mut snapshot = lab.engine.begin_snapshot();
    let piece = lab.engine.next_piece(&mut snapshot, lab.now());
    assert_eq!((piece.sessions.len(), piece.more), (64, true));
}

#[test]
fn a_state_over_its_bound_is_refused_and_changes_nothing() {
    let mut lab = Laboratory::new();
    let table = |length| proto::ApplySession {
        session_id: "one".into(),
        control_state: vec![7; length],
        ..Default::default()
    };
    lab.request(apply(table(65_536))).expect("just enough");
    let refusal = lab.request(apply(table(65_537))).unwrap_err();
    assert!(
        refusal.contains("65537") && refusal.contains("65536"),
        "{refusal}"
    );
    assert_eq!(lab.snapshot().sessions[0].control_state.len(), 65_536);
}
