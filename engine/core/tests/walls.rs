//! What a panic ends: one session, or one worker's sessions; never anybody else's call.

use std::time::Duration;

use super::data_peer::{DataPeer, channel, publication as channel_publication, run};
use super::peer::{self, Laboratory, SUBSCRIBER_SSRC, apply};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::core::{Engine, Handover};
use crate::faults::{Point, arm};
use crate::link::proto::{self, SessionEndReason, data_channel, request};

/// Two publishers with two viewers each, the victim among them; names are this call's own, since tests run beside each other.
struct Call {
    lab: Laboratory,
    publishers: [usize; 2],
    viewers: [[usize; 2]; 2],
    sequence: u16,
    names: [&'static str; 2],
}

fn subscribed_to(publisher: &str) -> proto::Subscription {
    proto::Subscription {
        publisher_session_id: publisher.into(),
        ..peer::subscription()
    }
}

impl Call {
    fn new(name: &str) -> Call {
        let mut lab = Laboratory::new();
        let own = |what: &str| -> &'static str { format!("{name}-{what}").leak() };
        let names = [own("first"), own("second")];
        let publishers = names.map(|name| {
            lab.join(name, |table| {
                table.publications.push(peer::publication(Codec::Vp8));
            })
        });
        let viewers = names.map(|publisher| {
            ["a", "b"].map(|viewer| {
                let name = format!("{publisher}-{viewer}").leak();
                lab.join(name, |table| {
                    table.subscriptions.push(subscribed_to(publisher));
                })
            })
        });
        let mut call = Call {
            lab,
            publishers,
            viewers,
            sequence: 100,
            names,
        };
        call.frame(VP8_KEY);
        call.frame(VP8_DELTA);
        for viewer in viewers.as_flattened() {
            assert_eq!(call.lab.received(*viewer).len(), 2);
        }
        call
    }

    fn frame(&mut self, payload: &[u8]) {
        self.sequence += 1;
        for publisher in self.publishers {
            let time = u32::from(self.sequence) * 3000;
            self.lab.send_media(publisher, self.sequence, time, payload);
        }
    }

    /// Who got the next frames.
    fn receive(&mut self) -> [[bool; 2]; 2] {
        for viewer in self.viewers.as_flattened() {
            self.lab.received(*viewer);
        }
        self.frame(VP8_KEY);
        self.frame(VP8_DELTA);
        (self.viewers).map(|pair| pair.map(|viewer| !self.lab.received(viewer).is_empty()))
    }

    fn has(&mut self, name: &str) -> bool {
        let sessions = self.lab.snapshot().sessions;
        sessions.iter().any(|session| session.session_id == name)
    }
}

fn assert_sound(engine: &Engine) {
    assert_eq!(engine.check(), Ok(()));
}

/// What leads a session to the point where it panics.
fn provoke(lab: &mut Laboratory, victim: usize, point: Point) {
    match point {
        Point::Stun => lab.check_again(victim),
        Point::Dtls => lab.send_data(victim, b"anything"),
        Point::Rtcp | Point::FollowUp => lab.send_nack(victim, SUBSCRIBER_SSRC, 7),
        Point::Timer => lab.advance(Duration::from_secs(3)),
        Point::Request => {
            let table = lab.table(victim);
            assert!(lab.request(apply(table)).unwrap_err().contains("panicked"));
        }
        Point::Close => {
            let session_id = lab.table(victim).session_id;
            let close = request::Body::CloseSession(proto::CloseSession { session_id });
            assert!(lab.request(close).is_err());
        }
        other => panic!("not provoked here: {other:?}"),
    }
}

#[test]
fn a_panic_in_cold_work_ends_the_session_that_it_was_for_and_no_other() {
    let points = [
        Point::Stun,
        Point::Dtls,
        Point::Rtcp,
        Point::FollowUp,
        Point::Timer,
        Point::Request,
        Point::Close,
    ];
    for point in points {
        let mut call = Call::new(&format!("viewer-{point:?}"));
        let victim = call.viewers[0][1];
        let name = call.lab.table(victim).session_id;
        arm(point, &name);
        provoke(&mut call.lab, victim, point);
        assert_sound(&call.lab.engine);
        let told = call.lab.ended();
        if point == Point::Close {
            assert!(told.is_empty(), "control asked for it");
        } else {
            assert_eq!(
                told,
                [(name.clone(), SessionEndReason::Panic.into())],
                "{point:?}"
            );
            assert_eq!(call.lab.counter("sessions_ended_by_panic"), 1);
        }
        assert_eq!(call.lab.counter("panics_caught"), 1);
        assert!(!call.has(&name));
        assert_eq!(call.receive(), [[true, false], [true, true]], "{point:?}");
        // The name, the user name and the address are free again.
        let table = call.lab.table(victim);
        call.lab.request(apply(table)).expect("a good table");
        assert!(call.has(&name));
    }
}

#[test]
fn a_publisher_that_a_panic_ends_leaves_its_viewers_waiting_and_the_others_alone() {
    for point in [Point::Dtls, Point::Timer, Point::Request, Point::Close] {
        let mut call = Call::new(&format!("publisher-{point:?}"));
        let victim = call.publishers[0];
        arm(point, call.names[0]);
        provoke(&mut call.lab, victim, point);
        assert_sound(&call.lab.engine);
        assert_eq!(call.receive(), [[false, false], [true, true]], "{point:?}");
        // Its viewers can be given another source.
        let mut table = call.lab.table(call.viewers[0][0]);
        table.subscriptions[0].publisher_session_id = call.names[1].into();
        call.lab.request(apply(table)).expect("a good table");
        assert_eq!(call.receive(), [[true, false], [true, true]], "{point:?}");
        assert_sound(&call.lab.engine);
    }
}

#[test]
fn a_panic_in_a_turn_of_sctp_ends_its_session_and_closes_what_was_subscribed_to_it() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(
        &mut lab,
        "sctp-publisher",
        &[channel(1, channel_publication())],
    );
    let role = data_channel::Role::Subscription(proto::ChannelSubscription {
        publication: Some(super::data_peer::name("sctp-publisher", 1)),
        wait_for_ack_ms: None,
    });
    let mut viewer = DataPeer::join(&mut lab, "sctp-viewer", &[channel(1, role)]);
    publisher.text(1, "heard");
    run(
        &mut lab,
        &mut [&mut publisher, &mut viewer],
        Duration::from_millis(50),
    );
    assert_eq!(viewer.texts(1), ["heard"]);
    arm(Point::Sctp, "sctp-publisher");
    publisher.text(1, "the last one");
    run(
        &mut lab,
        &mut [&mut publisher, &mut viewer],
        Duration::from_millis(50),
    );
    assert_eq!(
        lab.ended(),
        [("sctp-publisher".to_owned(), SessionEndReason::Panic.into())]
    );
    let closed = (
        proto::DataChannelState::Closed.into(),
        proto::DataChannelEnd::PublicationEnded.into(),
    );
    assert_eq!(lab.channel_news("sctp-viewer", 1).last(), Some(&closed));
    assert!(!viewer.lost_association);
    assert_sound(&lab.engine);
}

#[test]
fn a_panic_in_media_or_while_a_session_is_taken_away_is_the_whole_workers() {
    let mut call = Call::new("hot");
    for (point, provoked) in [(Point::Rtp, Point::Rtp), (Point::Removal, Point::Dtls)] {
        arm(point, call.names[0]);
        arm(provoked, call.names[0]);
        let (victim, sequence) = (call.publishers[0], call.sequence);
        let lab = &mut call.lab;
        let work = std::panic::AssertUnwindSafe(|| match point {
            Point::Rtp => lab.send_media(victim, sequence + 1, 0, VP8_KEY),
            _ => lab.send_data(victim, b"anything"),
        });
        assert!(std::panic::catch_unwind(work).is_err(), "{point:?}");
    }
    let before = call.lab.counter("packets_forwarded");
    call.lab.begin_anew();
    let mut told: Vec<_> = call.lab.ended().into_iter().map(|(id, _)| id).collect();
    told.sort();
    // One has gone already, without anybody having been told.
    assert_eq!(told.len(), 6);
    assert!(call.lab.snapshot().sessions.is_empty());
    assert_eq!(call.lab.counter("worker_restarts"), 1);
    assert_eq!(
        call.lab.counter("packets_forwarded"),
        before,
        "counts go on"
    );
    let (publisher, viewer) = call.lab.call(Codec::Opus);
    call.lab.send_media(publisher, 1, 960, b"sound");
    assert_eq!(call.lab.received(viewer).len(), 1);
}

#[test]
fn other_workers_forget_what_they_had_of_one_that_began_anew() {
    let mut labs = [0, 1].map(|worker| Laboratory::of_worker(worker, 2));
    let carry = |labs: &mut [Laboratory; 2]| {
        let mut packets = 0;
        for _ in 0..4 {
            for from in [0, 1] {
                let engine = &mut labs[from].engine;
                let told: Vec<_> = std::iter::from_fn(|| engine.poll_handover()).collect();
                let told: Vec<_> = told.into_iter().map(|(_, handover)| handover).collect();
                packets += (told.iter())
                    .filter(|told| matches!(told, Handover::Packet { .. }))
                    .count();
                labs[1 - from].hand(from as u16, told);
            }
        }
        packets
    };
    // Each worker publishes what the other one watches.
    let publishers = [0, 1].map(|at| {
        let name = ["publisher", "other"][at];
        labs[at].join(name, |table| {
            table.publications.push(peer::publication(Codec::Opus))
        })
    });
    let viewers = [0, 1].map(|at| {
        let (name, of) = ([("viewer", "other"), ("viewer", "publisher")])[at];
        labs[at].join(name, |table| {
            table.subscriptions.push(proto::Subscription {
                publisher_worker: 1 - at as u32,
                ..subscribed_to(of)
            });
        })
    });
    carry(&mut labs);
    for at in [0, 1] {
        labs[at].send_media(publishers[at], 1, 960, b"sound");
    }
    assert_eq!(carry(&mut labs), 2);
    assert_eq!(labs[1].received(viewers[1]).len(), 1);

    // What is on its way to the one before does not reach the one after.
    labs[1].send_media(publishers[1], 2, 1920, b"late");
    labs[0].begin_anew();
    labs[0].join("newcomer", |table| {
        table.subscriptions.push(proto::Subscription {
            publisher_worker: 1,
            ..subscribed_to("nobody")
        });
    });
    assert_eq!(carry(&mut labs), 1);
    assert_sound(&labs[0].engine);
    assert_sound(&labs[1].engine);
    assert_eq!(labs[0].counter("discarded_mirror_ended"), 1);
    labs[1].send_media(publishers[1], 3, 2880, b"for nobody");
    assert_eq!(carry(&mut labs), 0, "nobody watches any more");

    // Sessions that come after it are served across workers as before.
    let again = labs[0].join("another", |table| {
        table.publications.push(peer::publication(Codec::Opus));
    });
    let mut table = labs[1].table(viewers[1]);
    table.subscriptions[0].publisher_session_id = "another".into();
    labs[1].request(apply(table)).expect("a good table");
    carry(&mut labs);
    labs[0].send_media(again, 1, 960, b"sound");
    carry(&mut labs);
    assert_eq!(labs[1].received(viewers[1]).len(), 1);
}

#[test]
fn feedback_of_others_in_the_same_batch_is_followed_all_the_same() {
    let mut call = Call::new("batch");
    let victim = call.viewers[0][0];
    let name = call.lab.table(victim).session_id;
    call.frame(VP8_DELTA);
    let lab = &mut call.lab;
    let nacks = call.viewers[0].map(|viewer| {
        let last = lab.received(viewer).pop().expect("the frame");
        (
            viewer,
            lab.protect_nack(viewer, SUBSCRIBER_SSRC, last.sequence_number),
        )
    });
    lab.advance(Duration::from_millis(50));
    arm(Point::FollowUp, &name);
    for (viewer, nack) in nacks {
        let from = lab.address(viewer);
        lab.hand_over(from, &nack);
    }
    lab.settle();
    assert_eq!(lab.ended().len(), 1);
    assert_eq!(lab.received(call.viewers[0][1]).len(), 1, "it is repeated");
}
