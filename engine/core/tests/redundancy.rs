//! RED and ULPFEC of video: those who take them recover what they lose, the others get the picture alone.

use std::time::Duration;

use super::peer::{self, Laboratory, PUBLISHER_SSRC, ReceivedPacket, SUBSCRIBER_SSRC, apply};
use crate::codec::ulpfec::Parity;
use crate::codec::{Codec, PictureNumbers, picture_numbers};
use crate::link::proto;
use crate::wire::rtcp::{self, ReportBlock};

/// The publisher's payload types; the laboratory's packets are all of the first.
const RED: u8 = 96;
const VP8: u8 = 97;
const ULPFEC: u8 = 98;
/// The subscriber's.
const TAKEN_RED: u8 = 109;
const TAKEN_VP8: u8 = 110;
const TAKEN_ULPFEC: u8 = 111;
const RED_RTX: u8 = 121;
const VP8_RTX: u8 = 122;
/// The publisher's stream after it began anew.
const OTHER_SSRC: u32 = 3333;
const SEND_TIME: u8 = 2;
const MID: u8 = 1;
const NEW_ID: u8 = 9;

struct Call {
    lab: Laboratory,
    publisher: usize,
    sequence: u16,
    ssrc: u32,
    picture: u16,
    /// The publisher's packets without RED, by their numbers.
    sent: Vec<Vec<u8>>,
}

fn format(payload_type: u8, codec: proto::Codec) -> proto::PublicationFormat {
    proto::PublicationFormat {
        payload_type: payload_type.into(),
        codec: codec.into(),
        ..peer::publication(Codec::Vp8).formats[0]
    }
}

fn extensions(list: &[(u8, proto::HeaderExtensionKind)]) -> Vec<proto::HeaderExtension> {
    let each = list.iter().map(|&(id, kind)| proto::HeaderExtension {
        id: id.into(),
        kind: kind.into(),
    });
    each.collect()
}

fn all_extensions() -> Vec<proto::HeaderExtension> {
    use proto::HeaderExtensionKind as Kind;
    extensions(&[
        (MID, Kind::Mid),
        (SEND_TIME, Kind::AbsoluteSendTime),
        (peer::TRANSPORT_WIDE, Kind::TransportWideCc),
    ])
}

fn call() -> Call {
    let mut lab = Laboratory::new();
    let publisher = lab.join("publisher", |table| {
        let mut publication = peer::publication(Codec::Vp8);
        publication.ssrcs = vec![PUBLISHER_SSRC, OTHER_SSRC];
        publication.formats = vec![
            format(RED, proto::Codec::VideoRed),
            format(VP8, proto::Codec::Vp8),
            format(ULPFEC, proto::Codec::Ulpfec),
        ];
        table.publications.push(publication);
    });
    Call {
        lab,
        publisher,
        sequence: 40_000,
        ssrc: PUBLISHER_SSRC,
        picture: 500,
        sent: Vec::new(),
    }
}

fn mapping(from: u8, to: u8, rtx: Option<u8>) -> proto::SubscriptionFormat {
    proto::SubscriptionFormat {
        publication_payload_type: from.into(),
        payload_type: to.into(),
        rtx_payload_type: rtx.map(u32::from),
    }
}

fn join(call: &mut Call, name: &'static str, takes_red: bool, has_rtx: bool) -> usize {
    call.lab.join(name, |table| {
        let mut subscription = peer::subscription();
        let rtx = |number| has_rtx.then_some(number);
        subscription.formats = vec![mapping(VP8, TAKEN_VP8, rtx(VP8_RTX))];
        if takes_red {
            subscription.formats.extend([
                mapping(RED, TAKEN_RED, rtx(RED_RTX)),
                mapping(ULPFEC, TAKEN_ULPFEC, None),
            ]);
        }
        if !has_rtx {
            subscription.rtx_ssrc = None;
        }
        table.subscriptions.push(subscription);
        table.transport.as_mut().unwrap().header_extensions = all_extensions();
    })
}

impl Call {
    /// One packet of the publisher's: what is in its RED, header byte included.
    fn protect(&mut self, red: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let time = u32::from(self.picture) * 3000;
        let (publisher, ssrc, sequence) = (self.publisher, self.ssrc, self.sequence);
        self.lab
            .protect_stream(publisher, ssrc, &[], sequence, time, red)
    }

    fn send(&mut self, red: &[u8]) {
        let packet = self.protect(red);
        self.lab.deliver(self.publisher, &packet);
    }

    /// A picture of one packet, of so many bytes.
    fn picture_of(&mut self, is_key: bool, size: usize) -> Vec<u8> {
        self.picture += 1;
        let [high, low] = (self.picture | 0x8000).to_be_bytes();
        let mut payload = vec![0x90, 0x80, high, low, u8::from(!is_key)];
        payload.extend((0..size).map(|at| at as u8 ^ low));
        payload
    }

    fn send_picture(&mut self, is_key: bool, size: usize) {
        let payload = self.picture_of(is_key, size);
        let mut red = vec![VP8];
        red.extend(&payload);
        self.send(&red);
        let time = (u32::from(self.picture) * 3000).to_be_bytes();
        let mut packet = vec![0x80, VP8];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(time);
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(&payload);
        self.sent.push(packet);
    }

    /// What protects the last pictures, as the publisher makes it.
    fn fec(&self, pictures: usize) -> Vec<u8> {
        let mut fec = vec![0; 2000];
        fec[0] = ULPFEC;
        let mut parity = Parity::new(&mut fec[1..]);
        let first = self.sent.len() - pictures;
        self.sent[first..]
            .iter()
            .for_each(|packet| parity.add(packet));
        let length = parity.finish().expect("packets");
        fec.truncate(1 + length);
        fec
    }

    fn send_fec(&mut self, pictures: usize) {
        let fec = self.fec(pictures);
        self.send(&fec);
    }

    fn report(&mut self, subscriber: usize) {
        let report = ReportBlock {
            ssrc: SUBSCRIBER_SSRC,
            ..ReportBlock::default()
        };
        self.lab.send_rtcp(subscriber, |packet| {
            rtcp::push_receiver_report(packet, 1, &[report]);
        });
    }
}

fn numbers(packets: &[ReceivedPacket]) -> Vec<u16> {
    let first = packets.first().map_or(0, |packet| packet.sequence_number);
    let numbers = packets
        .iter()
        .map(|packet| packet.sequence_number.wrapping_sub(first));
    numbers.collect()
}

/// A packet as it was before RED, without what its sender's network wrote last: so libwebrtc's receivers have it.
fn unwrapped(packet: &ReceivedPacket) -> Vec<u8> {
    assert_eq!(packet.payload_type, TAKEN_RED);
    let mut whole = packet.packet.clone();
    let at = whole.len() - packet.payload.len();
    whole[1] = whole[1] & 0x80 | whole.remove(at);
    // Elements of the one-byte form.
    let mut element = 16;
    while whole[0] & 0x10 != 0 && element < at {
        let (id, length) = (whole[element] >> 4, usize::from(whole[element] & 0xf) + 1);
        if id == SEND_TIME || id == peer::TRANSPORT_WIDE {
            whole[element + 1..=element + length].fill(0);
        }
        element += if id == 0 { 1 } else { 1 + length };
    }
    whole
}

/// What a receiver makes of a packet of FEC (RFC 5109 section 8) when it has all but one of the packets that it names.
fn recovered(fec: &ReceivedPacket, packets: &[Vec<u8>]) -> Option<Vec<u8>> {
    assert_eq!(
        (fec.payload_type, fec.payload[0]),
        (TAKEN_RED, TAKEN_ULPFEC)
    );
    let fec = &fec.payload[1..];
    let base = u16::from_be_bytes([fec[2], fec[3]]);
    let mask_len = if fec[0] & 0x40 == 0 { 2 } else { 6 };
    let (mask, rest) = fec[12..].split_at(mask_len);
    let bits =
        (0..8 * mask_len as u16).filter(|bit| mask[usize::from(bit / 8)] & 0x80 >> (bit % 8) != 0);
    let named: Vec<u16> = bits.map(|bit| base.wrapping_add(bit)).collect();
    let number = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
    let has: Vec<&Vec<u8>> = packets
        .iter()
        .filter(|packet| named.contains(&number(packet)))
        .collect();
    let lost: Vec<u16> = named
        .into_iter()
        .filter(|named| has.iter().all(|had| number(had) != *named))
        .collect();
    let [lost] = lost[..] else { return None };
    let mut head = [fec[0] & 0x3f, fec[1], fec[4], fec[5], fec[6], fec[7]];
    let mut length = u16::from_be_bytes([fec[8], fec[9]]);
    let mut body = rest.to_vec();
    for had in &has {
        let fields = [had[0] & 0x3f, had[1], had[4], had[5], had[6], had[7]];
        head.iter_mut()
            .zip(fields)
            .for_each(|(byte, field)| *byte ^= field);
        length ^= had.len() as u16 - 12;
        body.iter_mut()
            .zip(&had[12..])
            .for_each(|(byte, other)| *byte ^= other);
    }
    let mut packet = vec![0x80 | head[0], head[1]];
    packet.extend(lost.to_be_bytes());
    packet.extend(&head[2..]);
    packet.extend(SUBSCRIBER_SSRC.to_be_bytes());
    packet.extend(&body[..usize::from(length)]);
    Some(packet)
}

/// That whichever one of the protected packets is lost is recovered as it was sent.
fn assert_recovers(fec: &ReceivedPacket, packets: &[ReceivedPacket]) {
    let all: Vec<Vec<u8>> = packets.iter().map(unwrapped).collect();
    for lost in 0..all.len() {
        let mut others = all.clone();
        let missing = others.remove(lost);
        assert_eq!(recovered(fec, &others), Some(missing), "of {lost}");
    }
}

#[test]
fn whoever_takes_red_recovers_a_lost_packet_and_whoever_does_not_gets_the_picture_alone() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    let without = join(&mut call, "without", false, true);
    call.send_picture(true, 900);
    call.send_picture(false, 300);
    call.send_picture(false, 40);
    call.send_fec(3);
    call.send_picture(false, 80);
    let got = call.lab.received(with);
    assert_eq!(numbers(&got), [0, 1, 2, 3, 4]);
    assert!(got.iter().all(|packet| packet.payload_type == TAKEN_RED));
    assert_recovers(&got[3], &got[..3]);
    // The picture is the one that was sent, behind one byte.
    assert_eq!(got[1].payload[0], TAKEN_VP8);
    assert_eq!(got[1].payload[1..], call.sent[1][12..]);
    let got = call.lab.received(without);
    assert_eq!(numbers(&got), [0, 1, 2, 3]);
    for (packet, sent) in got.iter().zip(&call.sent) {
        assert_eq!(
            (packet.payload_type, &packet.payload[..]),
            (TAKEN_VP8, &sent[12..])
        );
    }
    assert_eq!(call.lab.counter("discarded_protection_not_wanted"), 1);
}

/// After a switch, numbers, times and picture IDs differ from the publisher's: its own parity would be wrong.
#[test]
fn protection_is_of_what_the_subscriber_got_also_where_its_stream_was_another_before() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    let without = join(&mut call, "without", false, true);
    call.send_picture(true, 100);
    call.send_picture(false, 100);
    call.lab.advance(Duration::from_millis(100));
    (call.ssrc, call.sequence, call.picture) = (OTHER_SSRC, 7, 9000);
    call.send_picture(true, 400);
    call.send_picture(false, 70);
    call.send_fec(2);
    call.send_picture(false, 60);
    let got = call.lab.received(with);
    assert_eq!(numbers(&got), [0, 1, 2, 3, 4, 5]);
    assert_recovers(&got[4], &got[2..4]);
    let id = |payload: &[u8]| picture_numbers(Codec::Vp8, payload).picture_id;
    let ids: Vec<_> = [0, 1, 2, 3, 5].map(|at| id(&got[at].payload[1..])).into();
    assert_eq!(ids, (501..506).map(Some).collect::<Vec<_>>());
    let got = call.lab.received(without);
    assert_eq!(numbers(&got), [0, 1, 2, 3, 4]);
    let ids: Vec<_> = got.iter().map(|packet| id(&packet.payload)).collect();
    assert_eq!(ids, (501..506).map(Some).collect::<Vec<_>>());
    let frames = got
        .windows(2)
        .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
    assert_eq!(frames.collect::<Vec<_>>(), [3000, 9000, 3000, 3000]);
}

#[test]
fn a_packet_that_never_came_is_not_named_and_one_that_comes_late_is_given() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    let without = join(&mut call, "without", false, true);
    call.send_picture(true, 100);
    let late = {
        let mut red = vec![VP8];
        red.extend(call.picture_of(false, 50));
        call.protect(&red)
    };
    call.sent.push(vec![0; 12]);
    call.send_picture(false, 30);
    // The publisher names all three; its parity is never read.
    let first = call.sequence - 2;
    let mut fec = vec![ULPFEC, 0, 0];
    fec.extend(first.to_be_bytes());
    fec.extend([0, 0, 0, 0, 0, 0, 1, 0, 0xe0, 0]);
    fec.resize(13 + 2 + 256, 0);
    call.send(&fec);
    let got = call.lab.received(with);
    assert_eq!(numbers(&got), [0, 2, 3]);
    assert_recovers(&got[2], &got[..2]);
    call.lab.deliver(call.publisher, &late);
    call.send_picture(false, 10);
    assert_eq!(numbers(&call.lab.received(with)), [0, 3]);
    assert_eq!(numbers(&call.lab.received(without)), [0, 2, 1, 3]);
}

#[test]
fn retransmissions_come_as_the_packets_did_and_fill_the_numbers_of_protection() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    let without = join(&mut call, "without", false, true);
    call.send_picture(true, 100);
    call.send_picture(false, 50);
    call.send_fec(2);
    call.send_picture(false, 60);
    let first = call.lab.received(with);
    for (at, packet) in first.iter().enumerate() {
        call.lab
            .send_nack(with, SUBSCRIBER_SSRC, packet.sequence_number);
        let again = call.lab.received(with);
        assert_eq!(
            (again.len(), again[0].payload_type),
            (1, RED_RTX),
            "of {at}"
        );
        let (number, payload) = again[0].payload.split_at(2);
        assert_eq!(number, packet.sequence_number.to_be_bytes());
        let is_fec = at == 2;
        assert_eq!(payload, if is_fec { &[][..] } else { &packet.payload });
    }
    for packet in call.lab.received(without) {
        call.lab
            .send_nack(without, SUBSCRIBER_SSRC, packet.sequence_number);
        let again = call.lab.received(without);
        assert_eq!((again.len(), again[0].payload_type), (1, VP8_RTX));
        assert_eq!(again[0].payload[2..], packet.payload);
    }
}

/// A nonce of AES-GCM must not protect two different packets.
#[test]
fn without_rtx_a_picture_is_repeated_to_the_byte_and_protection_is_not() {
    let mut call = call();
    let plain = join(&mut call, "plain", true, false);
    call.send_picture(true, 100);
    let number = call.lab.received(plain)[0].sequence_number;
    let ask = |call: &mut Call, number: u16| {
        let mut nack = Vec::new();
        rtcp::push_receiver_report(&mut nack, 1, &[]);
        rtcp::push_nack(&mut nack, 1, SUBSCRIBER_SSRC, &[number]);
        let nack = call.lab.protect_rtcp(plain, nack);
        call.lab.deliver_and_lose(plain, &nack)
    };
    assert!(
        ask(&mut call, number).is_empty(),
        "nothing is kept before anybody asks"
    );
    let mut red = vec![VP8];
    red.extend(call.picture_of(false, 70));
    let media = call.protect(&red);
    let sent = call.lab.deliver_and_lose(call.publisher, &media);
    call.send_fec(1);
    call.report(plain);
    assert_eq!(ask(&mut call, number + 1), sent);
    assert!(ask(&mut call, number + 2).is_empty());
}

/// Parity is of headers too: they must not change between what is protected together.
#[test]
fn headers_keep_their_shape_after_a_report_and_protection_stops_at_a_change() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    call.send_picture(true, 100);
    call.report(with);
    call.send_picture(false, 50);
    call.send_fec(2);
    let got = call.lab.received(with);
    assert_recovers(&got[2], &got[..2]);
    let mut table = call.lab.table(with);
    let transport = table.transport.as_mut().unwrap();
    transport.header_extensions.truncate(1);
    transport.header_extensions[0].id = NEW_ID.into();
    call.lab.request(apply(table)).unwrap();
    call.send_fec(2);
    call.send_picture(false, 20);
    call.send_fec(3);
    let got = call.lab.received(with);
    assert_eq!(
        numbers(&got),
        [0, 1],
        "nothing that is protected was left of the first"
    );
    assert_eq!(unwrapped(&got[0]), recovered(&got[1], &[]).unwrap());
}

#[test]
fn hostile_redundancy_is_left_out_and_harms_nobody() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    let without = join(&mut call, "without", false, true);
    call.send_picture(true, 400);
    let whole = call.fec(1);
    let mut short = whole.clone();
    (short[11], short[12]) = (0, 40);
    let mut unknown = whole.clone();
    unknown[3] ^= 0x40;
    for fec in [&short, &unknown, &whole[..12], &whole[..300]] {
        call.send(fec);
    }
    for red in [
        &[RED, VP8, 0x90, 0][..],
        &[0x80 | VP8, 0, 0],
        &[0x80 | VP8, 0, 3, 0xff, VP8],
        &[77, 1],
    ] {
        call.send(red);
    }
    // An older block before the picture.
    let mut blocks = vec![0x80 | VP8, 0, 0, 2, VP8, 0xaa, 0xbb];
    blocks.extend(call.picture_of(false, 20));
    call.send(&blocks);
    for (subscriber, prefix) in [(with, &[TAKEN_VP8][..]), (without, &[])] {
        let got = call.lab.received(subscriber);
        // What nobody understands is missing: it may come again.
        assert_eq!(numbers(&got), [0, 5]);
        assert_eq!(got[1].payload, [prefix, &blocks[7..]].concat());
    }
    assert_eq!(call.lab.counter("discarded_protection_not_wanted"), 8);
    assert_eq!(call.lab.counter("discarded_malformed"), 2);
    assert_eq!(call.lab.counter("discarded_unknown_payload_type"), 2);
}

#[test]
fn protection_that_was_lost_is_asked_for_but_costs_no_key_frame() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    call.send_picture(true, 100);
    call.sequence += 1;
    call.send_picture(false, 100);
    call.lab.feedback(call.publisher);
    call.lab.advance(Duration::from_secs(3));
    let feedback = call.lab.feedback(call.publisher);
    assert_eq!((feedback.nacked.len(), feedback.pli), (8, 0));
    assert_eq!(numbers(&call.lab.received(with)), [0, 2]);
}

#[test]
fn protection_alone_begins_no_stream_and_is_no_picture() {
    let mut call = call();
    call.send_picture(true, 100);
    let with = join(&mut call, "with", true, true);
    for _ in 0..3 {
        call.send_fec(1);
        call.lab.advance(Duration::from_secs(1));
    }
    assert!(call.lab.received(with).is_empty());
    call.send_picture(true, 100);
    call.send_fec(1);
    let got = call.lab.received(with);
    assert_recovers(&got[1], &got[..1]);
    let none = PictureNumbers::default();
    assert_eq!(picture_numbers(Codec::UlpFec, &got[1].payload[1..]), none);
}

/// Rebuilding a packet that names 48 others costs as much as sending dozens, for each viewer.
#[test]
fn protection_alone_is_made_for_nobody_and_does_not_hold_up_the_picture() {
    let mut call = call();
    let with = join(&mut call, "with", true, true);
    call.send_picture(true, 900);
    (1..48).for_each(|_| call.send_picture(false, 100));
    let fec = call.fec(48);
    for _ in 0..2000 {
        call.send(&fec);
    }
    call.send_picture(false, 300);
    let got = call.lab.received(with);
    assert_eq!(got.last().unwrap().payload[1..], call.sent[48][12..]);
    assert_eq!(numbers(&got), (0..got.len() as u16).collect::<Vec<_>>());
    let protection = got.iter().filter(|one| one.payload[0] == TAKEN_ULPFEC);
    assert!((1..=6).contains(&protection.count()));
    let rebuilt = call.lab.counter("packets_protected");
    assert!(rebuilt <= 6 * 48, "{rebuilt} for 48 packets of media");
    assert!(call.lab.counter("discarded_protection_flood") >= 1994);
}

/// What viewers of a large room cost is bounded for each batch of packets that came together.
#[test]
fn a_busy_worker_makes_protection_for_the_first_viewers_only() {
    const VIEWERS: [&str; 24] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t", "u", "v", "w", "x",
    ];
    let mut call = call();
    let viewers = VIEWERS.map(|name| join(&mut call, name, true, true));
    call.send_picture(true, 900);
    (1..96).for_each(|_| call.send_picture(false, 40));
    let fec = call.fec(48);
    let batch: Vec<_> = (0..12).map(|_| call.protect(&fec)).collect();
    let source = call.lab.address(call.publisher);
    for packet in &batch {
        call.lab.hand_over(source, packet);
    }
    call.lab.settle();
    let rebuilt = call.lab.counter("packets_protected");
    assert!((9_000..=10_048).contains(&rebuilt), "{rebuilt}");
    call.send_picture(false, 300);
    for viewer in viewers {
        let got = call.lab.received(viewer);
        assert_eq!(numbers(&got), (0..got.len() as u16).collect::<Vec<_>>());
        assert_eq!(got.last().unwrap().payload[1..], call.sent[96][12..]);
    }
}
