//! Whose an address is: a check proves who made it, but not that it came from there.

use std::time::Duration;

use super::peer::{self, Laboratory};
use crate::codec::Codec;
use crate::link::proto::{self, request};

fn sound(lab: &mut Laboratory, publisher: usize, subscriber: usize, sequence: u16) -> usize {
    lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    lab.received(subscriber).len()
}

#[test]
fn a_check_with_a_forged_source_takes_no_address_of_a_peer_that_is_heard() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let forger = lab.join("forger", |_| {});
    for sequence in 1..12 {
        for victim in [publisher, subscriber] {
            let address = lab.address(victim);
            let sent = lab.check_with_forged_source(forger, address);
            assert!(sent.is_empty(), "nothing is reflected");
        }
        assert_eq!(sound(&mut lab, publisher, subscriber, sequence), 1);
        lab.advance(Duration::from_secs(1));
        lab.check_again(subscriber);
    }
    assert_eq!(lab.counter("discarded_address_held"), 22);
}

/// Nothing but checks, each 5 s and a fifth more or less (RFC 7675 section 5.1).
#[test]
fn a_peer_that_only_checks_keeps_its_address() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let forger = lab.join("forger", |_| {});
    for _ in 0..5 {
        lab.advance(Duration::from_secs(6));
        let address = lab.address(publisher);
        lab.check_with_forged_source(forger, address);
        lab.check_again(publisher);
        lab.check_again(subscriber);
    }
    assert_eq!(lab.counter("discarded_address_held"), 5);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
}

/// A page that is loaded again, or another host behind the same router, may get a port that was another session's.
#[test]
fn an_address_is_free_when_its_peer_is_silent_says_goodbye_or_is_closed() {
    for end in ["silence", "goodbye", "close"] {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            table.publications.push(peer::publication(Codec::Opus));
        });
        let guest = lab.join("guest", |_| {});
        let port = lab.address(guest).port();
        match end {
            "silence" => lab.advance(Duration::from_secs(7)),
            "goodbye" => lab.say_goodbye(guest),
            _ => {
                let session_id = "guest".into();
                let close = proto::CloseSession { session_id };
                lab.request(request::Body::CloseSession(close)).unwrap();
            }
        }
        lab.vanish(guest);
        let again = lab.join_from(port, "again", |table| {
            table.subscriptions.push(peer::subscription());
        });
        assert_eq!(sound(&mut lab, publisher, again, 1), 1, "{end}");
    }
}
