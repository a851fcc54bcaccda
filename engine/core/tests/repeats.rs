//! Packets that are sent again without RTX.

use std::time::Duration;

use super::peer::{self, Laboratory, SUBSCRIBER_SSRC};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::link::proto;
use crate::wire::rtcp::{self, ReportBlock};

const EXTENSIONS: [proto::HeaderExtensionKind; 3] = [
    proto::HeaderExtensionKind::Mid,
    proto::HeaderExtensionKind::AbsoluteSendTime,
    proto::HeaderExtensionKind::TransportWideCc,
];

/// A nonce of AES-GCM must not protect two different packets, headers included.
#[test]
fn a_repeat_without_rtx_is_the_same_to_the_byte() {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let subscriber = lab.join("subscriber", |table| {
        let mut subscription = peer::subscription();
        subscription.rtx_ssrc = None;
        subscription.formats[0].rtx_payload_type = None;
        table.subscriptions.push(subscription);
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
    let ask = |lab: &mut Laboratory, number: u16| {
        let mut nack = Vec::new();
        rtcp::push_receiver_report(&mut nack, 1, &[]);
        rtcp::push_nack(&mut nack, 1, SUBSCRIBER_SSRC, &[number]);
        let nack = lab.protect_rtcp(subscriber, nack);
        lab.deliver_and_lose(subscriber, &nack)
    };
    // Nothing was kept before anybody asked.
    assert!(ask(&mut lab, first).is_empty());
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
    assert_eq!(ask(&mut lab, first + 1), sent);
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
