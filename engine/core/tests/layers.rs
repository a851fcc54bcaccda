//! Scalable video: a subscriber gets the layers that its link carries, and its stream has no holes.

use std::time::Duration;

use super::peer::{self, Laboratory, SUBSCRIBER_SSRC};
use crate::codec::dependency_descriptor::tests::l2t2_key;
use crate::codec::{Codec, PictureNumbers, picture_numbers};
use crate::link::proto;

const DESCRIPTOR: u8 = 6;
const PUBLISHER_SSRC: u32 = peer::PUBLISHER_SSRC;

struct Call {
    lab: Laboratory,
    publisher: usize,
    subscriber: usize,
    sequence: u16,
    picture: u16,
}

fn call(codec: proto::Codec, with_descriptor: bool) -> Call {
    let mut lab = Laboratory::new();
    let agree = |table: &mut proto::ApplySession| {
        let transport = table.transport.as_mut().unwrap();
        transport.mixed_header_extensions = true;
        if with_descriptor {
            transport.header_extensions.push(proto::HeaderExtension {
                id: DESCRIPTOR.into(),
                kind: proto::HeaderExtensionKind::DependencyDescriptor.into(),
            });
        }
    };
    let publisher = lab.join("publisher", |table| {
        agree(table);
        let mut publication = peer::publication(Codec::Vp8);
        publication.formats[0].codec = codec.into();
        table.publications.push(publication);
    });
    let subscriber = lab.join("subscriber", |table| {
        agree(table);
        table.subscriptions.push(peer::subscription());
    });
    Call {
        lab,
        publisher,
        subscriber,
        sequence: 100,
        picture: 0,
    }
}

/// Three frame rates in turns of four, as libvpx makes them.
const RATES: [u8; 4] = [0, 2, 1, 2];

impl Call {
    fn packet(&mut self, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let time = u32::from(self.picture) * 3000;
        let (publisher, sequence) = (self.publisher, self.sequence);
        self.lab.protect_stream(
            publisher,
            PUBLISHER_SSRC,
            extensions,
            sequence,
            time,
            payload,
        )
    }

    /// A VP8 frame of two packets, the second one of which tells its number.
    fn vp8_packets(&mut self) -> [Vec<u8>; 2] {
        let rate = RATES[usize::from(self.picture % 4)];
        let id = self.picture | 0x8000;
        let first = if self.picture == 0 { 0x50 } else { 0x51 };
        let sync = u8::from(rate > 0) << 5;
        let packets = [true, false].map(|begins| {
            let [high, low] = id.to_be_bytes();
            let start = if begins { 0x90 } else { 0x80 };
            let base = (self.picture / 4) as u8;
            let mut payload = vec![start, 0xe0, high, low, base, rate << 6 | sync, first];
            payload.resize(1000, self.picture as u8);
            self.packet(&[], &payload)
        });
        self.picture += 1;
        packets
    }

    fn vp8_frames(&mut self, count: usize) {
        for _ in 0..count {
            for packet in self.vp8_packets() {
                self.lab.deliver(self.publisher, &packet);
            }
            self.lab.advance(Duration::from_millis(33));
        }
    }

    /// A picture in two sizes; the payload is encrypted end to end.
    fn described_picture(&mut self) {
        self.described_sizes(&[0, 1]);
    }

    /// The same in some of them.
    fn described_sizes(&mut self, sizes: &[u8]) {
        for &spatial in sizes {
            let descriptor = l2t2_key(self.picture, spatial);
            let payload = vec![0xee; [600, 1200][usize::from(spatial)]];
            let packet = self.packet(&[(DESCRIPTOR, &descriptor)], &payload);
            self.lab.deliver(self.publisher, &packet);
        }
        self.picture += 1;
        self.lab.advance(Duration::from_millis(33));
    }

    fn remb(&mut self, bits_per_second: u32) {
        let exponent = 32 - bits_per_second.leading_zeros().min(14) - 18;
        let word = exponent << 18 | bits_per_second >> exponent;
        self.lab.send_rtcp(self.subscriber, |packet| {
            packet.extend_from_slice(&[0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
            packet.extend_from_slice(b"REMB");
            packet.extend_from_slice(&(1 << 24 | word).to_be_bytes());
            packet.extend_from_slice(&SUBSCRIBER_SSRC.to_be_bytes());
        });
    }

    /// What came since, after a check that sequence numbers have no holes.
    fn got(&mut self) -> Vec<peer::ReceivedPacket> {
        let packets = self.lab.received(self.subscriber);
        for pair in packets.windows(2) {
            let next = pair[0].sequence_number.wrapping_add(1);
            assert_eq!(pair[1].sequence_number, next);
        }
        packets
    }
}

fn rates_of(packets: &[peer::ReceivedPacket]) -> Vec<u8> {
    let mut rates: Vec<u8> = packets
        .iter()
        .map(|packet| packet.payload[5] >> 6)
        .collect();
    rates.sort_unstable();
    rates.dedup();
    rates
}

#[test]
fn a_link_that_grows_narrow_gets_fewer_frames_and_all_again_when_it_widens() {
    let mut call = call(proto::Codec::Vp8, false);
    call.vp8_frames(60);
    assert_eq!(rates_of(&call.got()), [0, 1, 2]);
    // Half of it is of the highest rate, a quarter each of the others: about 480 kbit/s in all.
    for (estimate, rates) in [
        (300_000, vec![0, 1]),
        (150_000, vec![0]),
        (2_000_000, vec![0, 1, 2]),
    ] {
        call.remb(estimate);
        call.vp8_frames(30);
        call.remb(estimate);
        call.vp8_frames(8);
        call.got();
        call.vp8_frames(40);
        let packets = call.got();
        assert_eq!(rates_of(&packets), rates, "{estimate}");
        let ids: Vec<u16> = packets
            .chunks(2)
            .map(|frame| picture_numbers(Codec::Vp8, &frame[0].payload))
            .map(|PictureNumbers { picture_id, .. }| picture_id.unwrap())
            .collect();
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    }
    assert_eq!(call.lab.feedback(call.publisher).nacked, []);
    assert!(call.lab.counter("discarded_layer_not_wanted") > 0);
}

/// Narrow: only the lowest rate comes, two packets of each eight.
fn narrow_call() -> Call {
    let mut call = call(proto::Codec::Vp8, false);
    call.vp8_frames(60);
    for _ in 0..2 {
        call.remb(150_000);
        call.vp8_frames(32);
    }
    call.got();
    call
}

#[test]
fn what_is_asked_for_again_is_found_among_what_was_given() {
    let mut call = narrow_call();
    call.vp8_frames(40);
    let packets = call.got();
    assert_eq!(packets.len(), 20);
    for packet in &packets[14..] {
        let number = packet.sequence_number;
        call.lab.send_nack(call.subscriber, SUBSCRIBER_SSRC, number);
        call.lab.advance(Duration::from_millis(150));
        let again = call.lab.received(call.subscriber);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].payload[..2], number.to_be_bytes());
        assert_eq!(again[0].payload[2..], packet.payload[..]);
    }
}

#[test]
fn a_late_packet_that_is_not_wanted_fills_its_number_with_nothing() {
    let mut call = narrow_call();
    let [base, not_wanted] = [call.vp8_packets(), call.vp8_packets()];
    for packet in base.iter().chain(&not_wanted[1..]) {
        call.lab.deliver(call.publisher, packet);
    }
    call.vp8_frames(4);
    call.lab.deliver(call.publisher, &not_wanted[0]);
    let mut packets = call.lab.received(call.subscriber);
    packets.sort_by_key(|packet| packet.sequence_number);
    let sizes: Vec<usize> = packets.iter().map(|packet| packet.payload.len()).collect();
    assert_eq!(sizes, [1000, 1000, 0, 1000, 1000]);
    let steps = packets.windows(2);
    assert!(
        steps
            .map(|p| p[1].sequence_number - p[0].sequence_number)
            .all(|step| step == 1)
    );
    // Nobody gets it again.
    let number = packets[2].sequence_number;
    call.lab.send_nack(call.subscriber, SUBSCRIBER_SSRC, number);
    call.lab.advance(Duration::from_millis(150));
    assert!(call.lab.received(call.subscriber).is_empty());
}

#[test]
fn a_smaller_picture_begins_at_a_key_frame_by_descriptor_alone() {
    let mut call = call(proto::Codec::Av1, true);
    for _ in 0..60 {
        call.described_picture();
    }
    let sizes = |call: &mut Call| {
        let packets = call.got();
        assert!(
            packets[1..]
                .iter()
                .all(|packet| packet.marker || packet.payload.len() == 600)
        );
        let mut sizes: Vec<usize> = packets.iter().map(|packet| packet.payload.len()).collect();
        sizes.dedup();
        sizes
    };
    // The smaller one is of use at the key frame only.
    assert_eq!(sizes(&mut call), [600, 1200]);
    call.lab.feedback(call.publisher);
    // Both sizes at all rates would be 430 kbit/s, the larger one alone 290, the smaller one 145.
    for _ in 0..2 {
        call.remb(120_000);
        for _ in 0..30 {
            call.described_picture();
        }
    }
    assert!(call.lab.feedback(call.publisher).pli > 0);
    assert_eq!(
        sizes(&mut call),
        [1200],
        "until the key frame, at half the rate"
    );
    call.picture = 0;
    for _ in 0..20 {
        call.described_picture();
    }
    assert_eq!(sizes(&mut call), [600]);
    call.remb(3_000_000);
    for _ in 0..30 {
        call.described_picture();
    }
    assert_eq!(sizes(&mut call), [600], "until the key frame");
    assert!(call.lab.feedback(call.publisher).pli > 0);
    call.picture = 0;
    for _ in 0..20 {
        call.described_picture();
    }
    assert_eq!(sizes(&mut call), [600, 1200]);
}

/// A publisher may stop a size without a word, and nothing that is asked for brings it back.
#[test]
fn a_size_that_freezes_is_left_for_the_one_that_comes() {
    let mut call = call(proto::Codec::Av1, true);
    let sizes = |call: &mut Call| {
        let packets = call.got();
        let mut sizes: Vec<usize> = packets.iter().map(|packet| packet.payload.len()).collect();
        sizes.dedup();
        sizes
    };
    for _ in 0..60 {
        call.described_picture();
    }
    assert_eq!(sizes(&mut call), [600, 1200]);
    call.lab.feedback(call.publisher);
    for _ in 0..300 {
        call.described_sizes(&[0]);
    }
    let asked = call.lab.feedback(call.publisher).pli;
    assert!((5..=10).contains(&asked), "{asked} in ten seconds");
    call.picture = 0;
    for _ in 0..60 {
        call.described_sizes(&[0]);
    }
    assert_eq!(sizes(&mut call), [600], "from the key frame on");
    assert_eq!(
        call.lab.feedback(call.publisher).pli,
        0,
        "it has what there is"
    );
    call.picture = 0;
    for _ in 0..20 {
        call.described_picture();
    }
    assert_eq!(sizes(&mut call), [600, 1200], "and it comes back");
}

/// Whoever joins while a size is announced that nobody sends gets the other one.
#[test]
fn a_size_that_never_comes_is_not_waited_for() {
    let mut call = call(proto::Codec::Av1, true);
    for _ in 0..90 {
        call.described_sizes(&[0]);
    }
    assert!(call.lab.feedback(call.publisher).pli > 0);
    call.picture = 0;
    call.got();
    for _ in 0..60 {
        call.described_sizes(&[0]);
    }
    assert_eq!(call.got().len(), 60);
}

/// A picture that stands still for seconds, as a shared screen does, has lost no size.
#[test]
fn a_pause_of_all_sizes_costs_no_key_frame() {
    let mut call = call(proto::Codec::Av1, true);
    for _ in 0..60 {
        call.described_picture();
    }
    call.lab.feedback(call.publisher);
    for _ in 0..8 {
        call.lab.advance(Duration::from_secs(4));
        call.lab.check_again(call.publisher);
        call.lab.check_again(call.subscriber);
        call.described_picture();
    }
    assert_eq!(call.lab.feedback(call.publisher).pli, 0);
}

/// All that is left of a picture whose higher frame rates stop is given at once.
#[test]
fn a_frame_rate_that_freezes_leaves_the_lower_ones() {
    let mut call = call(proto::Codec::Vp8, false);
    call.vp8_frames(60);
    call.got();
    call.lab.feedback(call.publisher);
    for frames in 0..60 {
        // Each second frame is of the highest rate.
        let packets = call.vp8_packets();
        if frames % 2 == 0 {
            for packet in packets {
                call.lab.deliver(call.publisher, &packet);
            }
        } else {
            call.sequence -= 2;
        }
        call.lab.advance(Duration::from_millis(33));
    }
    let packets = call.got();
    assert_eq!((packets.len(), rates_of(&packets)), (60, vec![0, 1]));
    assert_eq!(call.lab.feedback(call.publisher).pli, 0);
}
