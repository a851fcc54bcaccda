//! Between the link and the workers: each request to its session's worker, or to all with their answers made one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::link::proto::{self, answer, from_engine, request};
use crate::link::{Inbound, Outbound};
use crate::workers::{Mail, Post};

/// Where an answer goes. One that is dropped has an error for an answer: a request never waits for ever.
pub struct Reply {
    id: u64,
    to: Option<To>,
}

enum To {
    /// The request was for one worker.
    Whole(Outbound),
    /// It was for all of them.
    Part(Arc<Parts>),
}

/// The answers to one request, of which some are still to come.
pub struct Parts {
    outbound: Outbound,
    missing: Mutex<(usize, Vec<proto::Answer>)>,
}

impl Reply {
    /// Gives the answer; one to all workers leaves with the last of them.
    pub fn answer(mut self, answer: proto::Answer) {
        self.give(answer);
    }

    /// Gives a piece of the answer, at once.
    pub fn piece(&self, piece: proto::SnapshotAnswer) {
        if let Some(outbound) = self.outbound() {
            outbound.send(from_engine::Body::Answer(proto::Answer {
                id: self.id,
                body: Some(answer::Body::Snapshot(piece)),
            }));
        }
    }

    /// Gives the last piece: that of the last worker ends the answer.
    pub fn finish(self, mut piece: proto::SnapshotAnswer) {
        piece.more = true;
        self.piece(piece);
        let id = self.id;
        let body = Some(answer::Body::Snapshot(proto::SnapshotAnswer::default()));
        self.answer(proto::Answer { id, body });
    }

    /// Whether control has read enough for another piece.
    pub fn has_room(&self) -> bool {
        self.outbound().is_none_or(Outbound::has_room)
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_closed(&self) -> bool {
        self.outbound().is_none_or(Outbound::is_closed)
    }

    fn outbound(&self) -> Option<&Outbound> {
        Some(match self.to.as_ref()? {
            To::Whole(outbound) => outbound,
            To::Part(parts) => &parts.outbound,
        })
    }

    fn give(&mut self, answer: proto::Answer) {
        match self.to.take() {
            Some(To::Whole(outbound)) => outbound.send(from_engine::Body::Answer(answer)),
            Some(To::Part(parts)) => {
                let mut state = parts.missing.lock().unwrap_or_else(PoisonError::into_inner);
                let (missing, answers) = &mut *state;
                answers.push(answer);
                *missing -= 1;
                if *missing == 0 {
                    let whole = merge(std::mem::take(answers));
                    parts.outbound.send(from_engine::Body::Answer(whole));
                }
            }
            None => {}
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let description = "the worker panicked before it had answered".to_owned();
        self.give(refusal(self.id, description));
    }
}

fn refusal(id: u64, description: String) -> proto::Answer {
    let body = Some(answer::Body::Error(proto::Error { description }));
    proto::Answer { id, body }
}

/// Passes a request on to who carries it out.
pub fn dispatch(inbound: Inbound, workers: &[Post]) {
    let Inbound { request, reply } = inbound;
    if is_for_all(&request) {
        let parts = Arc::new(Parts {
            outbound: reply,
            missing: Mutex::new((workers.len(), Vec::with_capacity(workers.len()))),
        });
        for worker in workers {
            let reply = Reply {
                id: request.id,
                to: Some(To::Part(parts.clone())),
            };
            worker.send(Mail::Request(Box::new(request.clone()), reply));
            worker.wake();
        }
        return;
    }
    match workers.get(request.worker as usize) {
        Some(worker) => {
            let reply = Reply {
                id: request.id,
                to: Some(To::Whole(reply)),
            };
            worker.send(Mail::Request(Box::new(request), reply));
            worker.wake();
        }
        None => {
            let description = format!("there is no worker {}", request.worker);
            let refusal = refusal(request.id, description);
            reply.send(from_engine::Body::Answer(refusal));
        }
    }
}

fn is_for_all(request: &proto::Request) -> bool {
    matches!(
        request.body,
        Some(
            request::Body::Hello(_)
                | request::Body::Snapshot(_)
                | request::Body::ReadCounters(_)
                | request::Body::Leave(_)
        )
    )
}

/// What all workers said as one answer.
fn merge(answers: Vec<proto::Answer>) -> proto::Answer {
    let mut answers = answers.into_iter();
    let mut whole = answers.next().unwrap_or_default();
    for part in answers {
        match (&mut whole.body, part.body) {
            (Some(answer::Body::Hello(whole)), Some(answer::Body::Hello(part))) => {
                whole.candidates.extend(part.candidates);
                // Workers answer in any order; peers shall see one order.
                whole.candidates.sort_by_key(|candidate| candidate.worker);
                whole.tcp_candidates.extend(part.tcp_candidates);
                (whole.tcp_candidates).sort_by_key(|candidate| candidate.worker);
            }
            (Some(answer::Body::Snapshot(whole)), Some(answer::Body::Snapshot(part))) => {
                whole.sessions.extend(part.sessions);
            }
            (Some(answer::Body::Counters(whole)), Some(answer::Body::Counters(part))) => {
                add_up(&mut whole.counters, part.counters);
            }
            (whole, error @ Some(answer::Body::Error(_))) => *whole = error,
            _ => {}
        }
    }
    whole
}

fn add_up(whole: &mut Vec<proto::Counter>, part: Vec<proto::Counter>) {
    for counter in part {
        match whole.iter_mut().find(|known| known.name == counter.name) {
            Some(known) => known.value += counter.value,
            None => whole.push(counter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(list: &[(&str, u64)]) -> proto::Answer {
        let counters = list.iter().map(|&(name, value)| proto::Counter {
            name: name.into(),
            value,
        });
        let body = answer::Body::Counters(proto::Counters {
            counters: counters.collect(),
        });
        proto::Answer {
            id: 3,
            body: Some(body),
        }
    }

    fn hello(worker: u32) -> proto::Answer {
        let candidate = proto::Candidate {
            port: 7000 + worker,
            worker,
            ..Default::default()
        };
        let body = answer::Body::Hello(proto::HelloAnswer {
            candidates: vec![candidate],
            ..Default::default()
        });
        proto::Answer {
            id: 3,
            body: Some(body),
        }
    }

    #[test]
    fn counts_of_all_workers_are_added_up() {
        let whole = merge(vec![
            counters(&[("a", 1), ("b", 2)]),
            counters(&[("b", 40), ("c", 5)]),
        ]);
        assert_eq!(whole, counters(&[("a", 1), ("b", 42), ("c", 5)]));
    }

    #[test]
    fn candidates_of_all_workers_stand_in_the_workers_order() {
        let Some(answer::Body::Hello(whole)) = merge(vec![hello(1), hello(0)]).body else {
            panic!("not a hello");
        };
        let workers: Vec<_> = whole
            .candidates
            .iter()
            .map(|c| (c.worker, c.port))
            .collect();
        assert_eq!(workers, [(0, 7000), (1, 7001)]);
    }

    #[test]
    fn the_refusal_of_one_worker_is_the_answer() {
        let body = Some(answer::Body::Error(proto::Error::default()));
        let refusal = proto::Answer { id: 3, body };
        assert_eq!(merge(vec![counters(&[]), refusal.clone()]), refusal);
    }
}
