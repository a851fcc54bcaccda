//! Peers that lie, flood, come and go: what they cost is bounded, and others' calls do not notice them.

mod feedback;
mod freezes;
mod fuzz;
mod memory;
mod streams;
mod tables;

use super::peer::{self, Laboratory};
use crate::codec::Codec;
use crate::core::session::MAX_LEARNED_STREAMS;
use crate::link::proto;

/// SSRCs that no table of these tests exceeds.
const ANNOUNCED: usize = 32;

/// A call of others in the same engine.
pub struct Bystanders {
    publisher: usize,
    viewer: usize,
    sequence: u16,
}

impl Bystanders {
    pub fn join(lab: &mut Laboratory) -> Bystanders {
        let worker = lab.engine.worker().into();
        let publisher = lab.join("bystander", |table| {
            table.publications.push(peer::publication(Codec::Opus));
        });
        lab.watch_nonces(publisher);
        let viewer = lab.join("viewer", |table| {
            table.subscriptions.push(proto::Subscription {
                publisher_session_id: "bystander".into(),
                publisher_worker: worker,
                ..peer::subscription()
            });
        });
        lab.watch_nonces(viewer);
        Bystanders {
            publisher,
            viewer,
            sequence: 0,
        }
    }

    /// One more packet, which comes whole and at once.
    pub fn speak(&mut self, lab: &mut Laboratory) {
        self.sequence += 1;
        let said = self.sequence.to_be_bytes();
        let time = u32::from(self.sequence) * 960;
        lab.send_media(self.publisher, self.sequence, time, &said);
        let heard = lab.received(self.viewer);
        assert_eq!(heard.len(), 1, "packet {}", self.sequence);
        assert_eq!(heard[0].payload, said);
        for index in [self.publisher, self.viewer] {
            lab.check_again(index);
        }
    }
}

/// What the engine keeps, whatever peers do.
pub fn assert_bounded(lab: &Laboratory) {
    let engine = &lab.engine;
    assert!(engine.told.is_empty());
    assert_consistent(lab);
    for session in engine.sessions.values() {
        assert!(session.learned <= MAX_LEARNED_STREAMS);
        assert!(session.incoming.len() <= MAX_LEARNED_STREAMS + ANNOUNCED);
        assert!(session.outgoing.len() <= 2 * session.subscriptions.len());
        assert!(session.pacer.held().count() <= 2048);
        let keys = session.transport.as_ref().and_then(|t| t.keys.as_ref());
        assert!(keys.is_none_or(|keys| keys.receiver.streams() <= 256));
    }
    let mut encodings = 0;
    for publication in engine.publications.values() {
        encodings += publication.encodings.len();
        assert!(publication.mirrors.len() <= 1, "of the one other worker");
        assert!(publication.subscriptions.len() <= engine.subscriptions.len());
    }
    assert_eq!(engine.encodings.len(), encodings, "none that is nobody's");
    for encoding in engine.encodings.values() {
        assert!(encoding.subscriptions.len() <= engine.subscriptions.len());
        assert!(encoding.watching.len() <= 1);
    }
    assert!(engine.by_address.len() <= 64 * engine.sessions.len());
    // Each has a few of its own; those of what has ended, and what was moved up, stay until their time.
    let owners = engine.sessions.len() + encodings + engine.publications.len();
    let timers = engine.timers.len();
    assert!(timers <= 12 * owners + 64, "{timers} of {owners}");
}

/// All cross references of the engine, from both ends.
pub fn assert_consistent(lab: &Laboratory) {
    assert_eq!(lab.engine.check(), Ok(()));
}

/// Key frames that the publisher of one track was asked for: one a second, and the first at once.
pub fn assert_paced(asked: usize, seconds: usize) {
    assert!(asked <= seconds + 1, "{asked} in {seconds} s");
}

/// Carries what workers hand over to each other until none has anything to say; how much that was.
pub fn exchange(labs: &mut [Laboratory]) -> usize {
    let mut carried = 0;
    loop {
        let mut is_quiet = true;
        for from in 0..labs.len() {
            let engine = &mut labs[from].engine;
            let told: Vec<_> = std::iter::from_fn(|| engine.poll_handover()).collect();
            is_quiet &= told.is_empty();
            carried += told.len();
            for (to, handover) in told {
                labs[usize::from(to)].hand(from as u16, vec![handover]);
            }
        }
        if is_quiet {
            return carried;
        }
    }
}
