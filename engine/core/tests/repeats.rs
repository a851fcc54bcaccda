//! Packets that are sent again without RTX.

use std::time::Duration;

use super::peer::{self, Laboratory, PUBLISHER_SSRC, SUBSCRIBER_SSRC};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp::{self, ReportBlock};

const EXTENSIONS: [proto::HeaderExtensionKind; 3] = [
    proto::HeaderExtensionKind::Mid,
    proto::HeaderExtensionKind::AbsoluteSendTime,
    proto::HeaderExtensionKind::TransportWideCc,
];

fn without_rtx() -> proto::Subscription {
    let mut subscription = peer::subscription();
    subscription.rtx_ssrc = None;
    subscription.formats[0].rtx_payload_type = None;
    subscription
}

/// Asks for a packet by NACK; gives the datagrams that come of it.
fn ask(lab: &mut Laboratory, subscriber: usize, number: u16) -> Vec<Vec<u8>> {
    let mut nack = Vec::new();
    rtcp::push_receiver_report(&mut nack, 1, &[]);
    rtcp::push_nack(&mut nack, 1, SUBSCRIBER_SSRC, &[number]);
    let nack = lab.protect_rtcp(subscriber, nack);
    lab.deliver_and_lose(subscriber, &nack)
}

/// A nonce of AES-GCM must not protect two different packets, headers included.
#[test]
fn a_repeat_without_rtx_is_the_same_to_the_byte() {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let subscriber = lab.join("subscriber", |table| {
        table.subscriptions.push(without_rtx());
        let extensions = (1..)
            .zip(EXTENSIONS)
            .map(|(id, kind)| proto::HeaderExtension {
                id,
                kind: kind.into(),
            });
        table.transport.as_mut().unwrap().header_extensions = extensions.collect();
    });
    lab.send_media(publisher, 1, 0, VP8_KEY);
    let first = lab.received(subscriber)[0].sequence_number;
    // Nothing was kept before anybody asked.
    assert!(ask(&mut lab, subscriber, first).is_empty());
    let media = lab.protect_media(publisher, 2, 3000, VP8_DELTA);
    let sent = lab.deliver_and_lose(publisher, &media);
    assert_eq!(sent.len(), 1);
    // The report tells that the mid is known, and time goes on: neither may show.
    let report = ReportBlock {
        ssrc: SUBSCRIBER_SSRC,
        ..ReportBlock::default()
    };
    lab.send_rtcp(subscriber, |packet| {
        rtcp::push_receiver_report(packet, 1, &[report]);
    });
    lab.advance(Duration::from_millis(100));
    assert_eq!(ask(&mut lab, subscriber, first + 1), sent);
}

/// What is older than all that is kept may have been sent before, under a number that must not be used for anything else.
#[test]
fn a_packet_that_is_older_than_all_that_are_kept_goes_no_further() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    let send = |lab: &mut Laboratory, number: u16| {
        lab.send_media(publisher, number, u32::from(number) * 960, b"sound");
    };
    for number in (1..200).filter(|&number| number != 50) {
        send(&mut lab, number);
    }
    lab.received(subscriber);
    send(&mut lab, 50);
    assert!(lab.received(subscriber).is_empty());
    assert_eq!(lab.counter("discarded_too_old"), 1);
}

/// A publisher may renegotiate its header extensions at any time, and what passes of them is authenticated.
#[test]
fn a_packet_from_before_a_change_of_the_publishers_extensions_is_not_repeated_otherwise() {
    const LEVEL: u8 = 4;
    let level = |id: u8| proto::HeaderExtension {
        id: id.into(),
        kind: proto::HeaderExtensionKind::AudioLevel.into(),
    };
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Opus));
        table.transport.as_mut().unwrap().header_extensions = vec![level(LEVEL)];
    });
    let subscriber = lab.join("subscriber", |table| {
        table.subscriptions.push(without_rtx());
        table.transport.as_mut().unwrap().header_extensions = vec![level(7)];
    });
    lab.send_media(publisher, 1, 0, b"sound");
    let first = lab.received(subscriber)[0].sequence_number;
    assert!(ask(&mut lab, subscriber, first).is_empty(), "memory begins");
    let packet = lab.protect_stream(
        publisher,
        PUBLISHER_SSRC,
        &[(LEVEL, &[0x85])],
        2,
        960,
        b"more",
    );
    let sent = lab.deliver_and_lose(publisher, &packet);
    assert_eq!(ask(&mut lab, subscriber, first + 1), sent);
    let mut table = lab.table(publisher);
    table.transport.as_mut().unwrap().header_extensions.clear();
    lab.request(peer::apply(table)).unwrap();
    assert!(ask(&mut lab, subscriber, first + 1).is_empty());
}

#[test]
fn an_ssrc_is_not_given_again_under_the_same_keys() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Vp8);
    lab.send_media(publisher, 1, 3000, VP8_KEY);
    let table = lab.table(subscriber);
    let mut without = table.clone();
    without.subscriptions.clear();
    lab.request(peer::apply(without)).unwrap();
    for (ssrc, rtx_ssrc) in [
        (SUBSCRIBER_SSRC, None),
        (9999, Some(SUBSCRIBER_SSRC)),
        (SUBSCRIBER_SSRC + 1, Some(9999)),
    ] {
        let mut again = table.clone();
        again.subscriptions[0].subscription_id = 2;
        again.subscriptions[0].ssrc = ssrc;
        again.subscriptions[0].rtx_ssrc = rtx_ssrc;
        let refused = lab.request(peer::apply(again));
        assert!(
            refused
                .unwrap_err()
                .contains("used before under the same keys")
        );
        assert!(
            lab.engine.subscriptions.is_empty(),
            "a refused table changes nothing"
        );
    }
    let mut fresh = table;
    fresh.subscriptions[0].subscription_id = 2;
    fresh.subscriptions[0].ssrc = 7777;
    fresh.subscriptions[0].rtx_ssrc = Some(7778);
    lab.request(peer::apply(fresh)).unwrap();
}

/// RTX has sequence numbers of its own, so a number of it means another packet of the media.
#[test]
fn feedback_on_the_stream_of_retransmissions_is_not_taken_for_feedback_on_the_media() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Vp8);
    lab.send_media(publisher, 1, 3000, VP8_KEY);
    let first = lab.received(subscriber)[0].sequence_number;
    lab.advance(Duration::from_millis(50));
    lab.send_nack(subscriber, SUBSCRIBER_SSRC + 1, first);
    lab.advance(Duration::from_millis(50));
    assert!(lab.received(subscriber).is_empty());
    lab.send_nack(subscriber, SUBSCRIBER_SSRC, first);
    lab.advance(Duration::from_millis(50));
    assert_eq!(lab.received(subscriber).len(), 1);
    let asked = lab.feedback(publisher).pli;
    lab.advance(Duration::from_secs(5));
    lab.send_rtcp(subscriber, |packet| {
        rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC + 1)
    });
    lab.advance(Duration::from_millis(50));
    assert_eq!(lab.feedback(publisher).pli, asked);
    lab.send_rtcp(subscriber, |packet| {
        rtcp::push_pli(packet, 1, SUBSCRIBER_SSRC)
    });
    lab.advance(Duration::from_millis(50));
    assert_eq!(lab.feedback(publisher).pli, asked + 1);
}

/// Repeats hold what the publisher's header extensions mean now, and the packet left as they meant before.
#[test]
fn no_repeat_leaves_that_is_another_packet_since_header_extensions_changed() {
    const LEVEL: [proto::HeaderExtensionKind; 1] = [proto::HeaderExtensionKind::AudioLevel];
    let agreed = |id: u32, kinds: &[proto::HeaderExtensionKind]| {
        let kinds = kinds.iter();
        let each = kinds.map(|&kind| proto::HeaderExtension {
            id,
            kind: kind.into(),
        });
        each.collect::<Vec<_>>()
    };
    // Which of the two changes what it agreed on, and to what.
    for (changes, changed) in [
        ("publisher", agreed(4, &[])),
        ("publisher", agreed(3, &LEVEL)),
        ("subscriber", agreed(7, &[])),
        ("subscriber", agreed(8, &LEVEL)),
    ] {
        let mut lab = Laboratory::new();
        let publisher = lab.join("publisher", |table| {
            table.publications.push(peer::publication(Codec::Opus));
            table.transport.as_mut().unwrap().header_extensions = agreed(4, &LEVEL);
        });
        let subscriber = lab.join("subscriber", |table| {
            table.subscriptions.push(without_rtx());
            table.transport.as_mut().unwrap().header_extensions = agreed(7, &LEVEL);
        });
        lab.watch_nonces(subscriber);
        lab.send_media(publisher, 1, 960, b"sound");
        let first = lab.received(subscriber)[0].sequence_number;
        assert!(ask(&mut lab, subscriber, first).is_empty());
        let level: &[(u8, &[u8])] = &[(4, &[0x85])];
        let media = lab.protect_stream(publisher, PUBLISHER_SSRC, level, 2, 1920, b"sound");
        let sent = lab.deliver_and_lose(publisher, &media);
        assert_eq!(sent.len(), 1);
        let who = if changes == "publisher" {
            publisher
        } else {
            subscriber
        };
        let mut table = lab.table(who);
        let before = table.clone();
        table.transport.as_mut().unwrap().header_extensions = changed;
        lab.request(peer::apply(table)).unwrap();
        assert!(
            ask(&mut lab, subscriber, first + 1).is_empty(),
            "by the {changes}"
        );
        // Nor does another one once they are as they were.
        lab.request(peer::apply(before)).unwrap();
        lab.advance(Duration::from_millis(100));
        let again = ask(&mut lab, subscriber, first + 1);
        assert!(again.is_empty() || again == sent);
    }
}
