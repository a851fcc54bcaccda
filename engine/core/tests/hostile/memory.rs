//! What tables and streams make the engine keep: little before the first packet, bounded with all of them, nothing after.

use std::time::Duration;

use super::super::peer::{self, Laboratory};
use super::super::{VP8_DELTA, VP8_KEY};
use super::assert_bounded;
use crate::codec::Codec;
use crate::link::proto::{self, request};

const RIDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A publication of eight encodings; `ssrcs` begin there, where they are announced.
fn simulcast(id: u32, ssrcs: Option<u32>) -> proto::Publication {
    let encodings = (0..).zip(RIDS).map(|(place, rid)| proto::Encoding {
        rid: rid.into(),
        ssrcs: ssrcs.map(|first| first + place).into_iter().collect(),
    });
    proto::Publication {
        publication_id: id,
        mid: id.to_string(),
        encodings: encodings.collect(),
        ssrcs: Vec::new(),
        rtx_ssrcs: Vec::new(),
        ..peer::publication(Codec::Vp8)
    }
}

fn cached(lab: &Laboratory) -> usize {
    let encodings = lab.engine.encodings.values();
    encodings.map(|encoding| encoding.cache.bytes()).sum()
}

#[test]
fn encodings_without_a_packet_cost_nearly_nothing() {
    let mut lab = Laboratory::new();
    let index = lab.introduce(9000, "publisher", |_| {});
    let mut table = lab.table(index);
    table.publications = (1..=250).map(|id| simulcast(id, None)).collect();
    let apply = peer::apply(table);
    let spent = allocation_counter::measure(|| {
        lab.request(apply).expect("the table is right");
    });
    assert_eq!(lab.engine.encodings.len(), 2000);
    let each = spent.bytes_current / 2000;
    assert!(each < 1536, "{each} bytes an encoding");
}

#[test]
fn a_cache_is_made_by_the_first_packet_and_given_back_when_no_more_come() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Vp8);
    assert_eq!(cached(&lab), 0);
    for round in 1..=2_u16 {
        lab.send_media(publisher, round * 10, 0, VP8_KEY);
        lab.send_media(publisher, round * 10 + 1, 3000, VP8_DELTA);
        assert!(cached(&lab) > 0);
        assert_eq!(lab.received(subscriber).len(), 2);
        for index in [publisher, subscriber] {
            lab.check_again(index);
        }
        lab.advance(Duration::from_secs(6));
        assert_eq!(cached(&lab), 0);
        assert!(
            lab.engine
                .encodings
                .values()
                .all(|one| one.cache.is_released())
        );
        assert_bounded(&lab);
    }
}

#[test]
fn caches_of_a_session_are_bounded_together() {
    const ENCODINGS: u32 = 64 * 8;
    const FIRST: u32 = 100_000;
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        let publications = (0..ENCODINGS / 8).map(|at| simulcast(at + 1, Some(FIRST + at * 8)));
        table.publications = publications.collect();
    });
    let source = lab.address(publisher);
    let most = ENCODINGS as usize * 32 * 1024;
    for sequence in 1..=80_u16 {
        for ssrc in FIRST..FIRST + ENCODINGS {
            let packet = lab.protect_stream(publisher, ssrc, &[], sequence, 0, &[0x10; 1150]);
            lab.hand_over(source, &packet);
        }
        lab.settle();
        assert!(cached(&lab) <= most, "{} after {sequence}", cached(&lab));
    }
    assert!(cached(&lab) > most / 2, "they are used");
    let close = proto::CloseSession {
        session_id: "publisher".into(),
    };
    lab.request(request::Body::CloseSession(close))
        .expect("closed");
    assert_eq!(cached(&lab), 0);
}

#[test]
fn a_table_with_too_many_of_anything_is_refused_and_changes_nothing() {
    let mut lab = Laboratory::new();
    let index = lab.introduce(9000, "publisher", |_| {});
    let refused = |lab: &mut Laboratory, fill: &dyn Fn(&mut proto::ApplySession)| {
        let mut table = lab.table(index);
        fill(&mut table);
        table.control_state = b"another".to_vec();
        let problem = lab.request(peer::apply(table)).expect_err("too many");
        assert!(problem.contains("at most"), "{problem}");
        assert_eq!(lab.snapshot().sessions[0].control_state, b"state");
        assert!(lab.engine.publications.is_empty() && lab.engine.subscriptions.is_empty());
    };
    refused(&mut lab, &|table| {
        table.publications = (1..=200).map(|id| simulcast(id, None)).collect();
        table.subscriptions = vec![peer::subscription(); 57];
    });
    refused(&mut lab, &|table| {
        let mut publication = simulcast(1, None);
        publication.encodings.push(proto::Encoding {
            rid: "i".into(),
            ssrcs: Vec::new(),
        });
        table.publications.push(publication);
    });
    refused(&mut lab, &|table| {
        let mut publication = peer::publication(Codec::Vp8);
        publication.ssrcs = (1..=65).collect();
        table.publications.push(publication);
    });
    refused(&mut lab, &|table| {
        let mut publication = peer::publication(Codec::Vp8);
        publication.formats = vec![publication.formats[0]; 129];
        table.publications.push(publication);
    });
    refused(&mut lab, &|table| {
        let mut subscription = peer::subscription();
        subscription.formats = vec![subscription.formats[0]; 129];
        table.subscriptions.push(subscription);
    });
}
