use super::*;
use crate::wire::{read_u16, read_u32};
use proptest::prelude::*;

fn block(ssrc: u32, cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 25,
        cumulative_lost,
        highest_sequence: 0x0001_ffff,
        jitter: 7,
        last_sr: 8,
        delay_since_last_sr: 9,
    }
}

#[test]
fn reads_the_compound_it_writes() {
    let blocks = [block(1, -3), block(2, 0x7f_ffff)];
    let mut compound = Vec::new();
    push_sender_report(
        &mut compound,
        10,
        0x0102_0304_0506_0708,
        11,
        12,
        13,
        &blocks,
    );
    push_receiver_report(&mut compound, 14, &blocks[..1]);
    push_sdes_cname(&mut compound, 14, "cname");
    push_pli(&mut compound, 1, 15);
    push_fir(&mut compound, 1, 16, 17);
    push_nack(&mut compound, 1, 18, &[65_530, 65_531, 0, 10, 11, 300]);
    push_nack(&mut compound, 1, 18, &[]);
    push_bye(&mut compound, 1);
    let packets: Vec<_> = parse(&compound).map(Result::unwrap).collect();
    let [
        Packet::SenderReport {
            ssrc: 10,
            ntp,
            rtp_timestamp: 11,
            packet_count: 12,
            octet_count: 13,
            reports,
        },
        Packet::ReceiverReport {
            ssrc: 14,
            reports: received,
        },
        Packet::Other { packet_type: 202 },
        Packet::Pli { media_ssrc: 15 },
        Packet::Fir { entries },
        Packet::Nack {
            media_ssrc: 18,
            entries: lost,
        },
        Packet::Bye,
    ] = packets.as_slice()
    else {
        panic!("{packets:?}");
    };
    assert_eq!(*ntp, 0x0102_0304_0506_0708);
    assert!(reports.clone().eq(blocks));
    assert!(received.clone().eq([blocks[0]]));
    assert!(entries.clone().eq([(16, 17)]));
    assert!(lost.clone().eq([65_530, 65_531, 0, 10, 11, 300]));
}

#[test]
fn reads_remb() {
    let mut compound = vec![0x8f, 206, 0, 5];
    compound.extend_from_slice(&[0; 8]);
    compound.extend_from_slice(b"REMB");
    compound.extend_from_slice(&[1, (3 << 2) | 1, 0, 2]);
    compound.extend_from_slice(&[0; 4]);
    let packet = parse(&compound).next().unwrap().unwrap();
    assert!(matches!(packet, Packet::Remb { bitrate } if bitrate == 0x1_0002 << 3));
    compound[12] = b'X';
    let packet = parse(&compound).next().unwrap().unwrap();
    assert!(matches!(packet, Packet::Other { packet_type: 206 }));
}

#[test]
fn stops_after_an_error() {
    let mut compound = Vec::new();
    push_pli(&mut compound, 1, 2);
    compound.extend_from_slice(&[0x81, 201, 0, 1, 0, 0, 0, 0]);
    push_pli(&mut compound, 1, 2);
    let results: Vec<_> = parse(&compound).map(|packet| packet.is_ok()).collect();
    assert_eq!(results, [true, false]);
    assert_eq!(parse(&compound[..11]).count(), 1);
}

/// Arrivals in ticks by sequence number, and the feedback count.
type Feedback = (Vec<(u16, Option<u64>)>, u8);

/// Decodes transport-wide feedback.
fn decode(packet: &[u8]) -> Feedback {
    let base = read_u16(packet, 12).unwrap();
    let count = usize::from(read_u16(packet, 14).unwrap());
    let word = read_u32(packet, 16).unwrap();
    let mut at = 20;
    let mut symbols = Vec::new();
    while symbols.len() < count {
        let chunk = read_u16(packet, at).unwrap();
        at += 2;
        match chunk >> 14 {
            0 | 1 => {
                let run = usize::from(chunk & 0x1fff);
                symbols.extend(std::iter::repeat_n((chunk >> 13) & 3, run));
            }
            2 => symbols.extend((0..14).rev().map(|bit| (chunk >> bit) & 1)),
            _ => symbols.extend((0..7).rev().map(|pair| (chunk >> (2 * pair)) & 3)),
        }
    }
    symbols.truncate(count);
    let mut ticks = i64::from(word >> 8) * 256;
    let mut entries = Vec::new();
    for (offset, symbol) in (0..).zip(symbols) {
        let sequence = base.wrapping_add(offset);
        match symbol {
            0 => {
                entries.push((sequence, None));
                continue;
            }
            1 => {
                ticks += i64::from(packet[at]);
                at += 1;
            }
            2 => {
                ticks += i64::from(read_u16(packet, at).unwrap() as i16);
                at += 2;
            }
            _ => panic!("reserved symbol"),
        }
        entries.push((sequence, Some(ticks as u64)));
    }
    assert!(packet.len() - at < 4);
    (entries, word as u8)
}

fn feedback(arrivals: &mut Arrivals) -> Vec<Feedback> {
    let mut rest = Vec::new();
    arrivals.push_feedback(&mut rest, 1, 2);
    let mut decoded = Vec::new();
    while !rest.is_empty() {
        let Some(Ok(Packet::TransportFeedback(read))) = parse(&rest).next() else {
            panic!("no feedback");
        };
        let len = usize::from(read_u16(&rest, 2).unwrap()) * 4 + 4;
        let expected = decode(&rest[..len]);
        let reference = i64::from(read.reference) * 256;
        let statuses: Vec<_> = read
            .statuses()
            .map(|status| {
                let ticks = status.arrival.map(|arrival| reference + i64::from(arrival));
                (status.number, ticks.map(|ticks| ticks as u64))
            })
            .collect();
        assert_eq!((statuses, read.feedback_count), expected);
        decoded.push(expected);
        rest.drain(..len);
    }
    decoded
}

#[test]
fn feedback_that_claims_more_than_a_peer_can_have_got_is_refused() {
    let mut packet = vec![0x8f, 205, 0, 8];
    packet.extend_from_slice(&[0; 8]);
    packet.extend_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend_from_slice(&[0x1f, 0xff].repeat(8));
    assert!(matches!(parse(&packet).next(), Some(Err(_))));
    packet[14..16].copy_from_slice(&MAX_STATUSES.to_be_bytes());
    let Some(Ok(Packet::TransportFeedback(feedback))) = parse(&packet).next() else {
        panic!("no feedback");
    };
    assert_eq!(feedback.statuses().count(), usize::from(MAX_STATUSES));
    // A received packet without its delta ends the statuses.
    packet[20..22].copy_from_slice(&[0x3f, 0xff]);
    let Some(Ok(Packet::TransportFeedback(feedback))) = parse(&packet).next() else {
        panic!("no feedback");
    };
    assert!(feedback.statuses().count() < usize::from(MAX_STATUSES));
}

#[test]
fn feedback_covers_gaps_reordering_and_wraps() {
    let mut arrivals = Arrivals::new();
    assert!(arrivals.is_empty());
    assert!(feedback(&mut arrivals).is_empty());
    arrivals.record(65_535, 1_000_000);
    arrivals.record(1, 1_100_000);
    arrivals.record(65_534, 1_101_000);
    arrivals.record(1, 5_000_000);
    let expected = vec![
        (65_534, Some(4404)),
        (65_535, Some(4000)),
        (0, None),
        (1, Some(4400)),
    ];
    assert_eq!(feedback(&mut arrivals), [(expected, 0)]);
    assert!(arrivals.is_empty());
    // What is missing between two feedbacks is told as lost.
    arrivals.record(3, 2_000_000);
    assert_eq!(
        feedback(&mut arrivals),
        [(vec![(2, None), (3, Some(8000))], 1)]
    );
    // A jump starts over; a long pause splits.
    arrivals.record(20_000, 3_000_000);
    arrivals.record(20_001, 30_000_000);
    assert_eq!(
        feedback(&mut arrivals),
        [
            (vec![(20_000, Some(12_000))], 2),
            (vec![(20_001, Some(120_000))], 3)
        ]
    );
}

proptest! {
    #[test]
    fn feedback_round_trips(start in any::<u16>(), steps in prop::collection::vec((0u16..4, 0u64..200_000), 1..250)) {
        let mut arrivals = Arrivals::new();
        let mut expected = Vec::new();
        let (mut sequence, mut time) = (start, 77_000_000u64);
        for (gap, elapsed) in steps {
            for _ in 0..gap.min(if expected.is_empty() { 0 } else { 3 }) {
                expected.push((sequence, None));
                sequence = sequence.wrapping_add(1);
            }
            time += if elapsed > 100_000 { elapsed } else { elapsed / 10 };
            arrivals.record(sequence, time);
            expected.push((sequence, Some(time / 250)));
            sequence = sequence.wrapping_add(1);
        }
        let mut decoded = feedback(&mut arrivals);
        prop_assert_eq!(decoded.len(), 1);
        prop_assert_eq!(decoded.remove(0).0, expected);
    }

    #[test]
    fn recording_is_bounded(records in prop::collection::vec((any::<u16>(), any::<u64>()), 0..200)) {
        let mut arrivals = Arrivals::new();
        for (sequence, time) in records {
            arrivals.record(sequence, time);
        }
        let total: usize = feedback(&mut arrivals).iter().map(|(entries, _)| entries.len()).sum();
        prop_assert!(total <= 1000);
    }

    #[test]
    fn nacks_round_trip(lost in prop::collection::btree_set(0u16..2000, 0..100)) {
        let lost: Vec<u16> = lost.into_iter().collect();
        let mut compound = Vec::new();
        push_nack(&mut compound, 1, 2, &lost);
        let mut read = Vec::new();
        for packet in parse(&compound) {
            if let Ok(Packet::Nack { entries, .. }) = packet {
                read.extend(entries);
            }
        }
        prop_assert_eq!(read, lost);
    }

    #[test]
    fn never_panics(mut compound in prop::collection::vec(any::<u8>(), 0..200), kind in 200u8..208, format in prop_oneof![Just(15u8), 0u8..32], len in 0u8..50) {
        if compound.len() > 4 {
            compound[0] = (compound[0] & 0x20) | 0x80 | format;
            compound[1] = kind;
            compound[2..4].copy_from_slice(&[0, len]);
        }
        for packet in parse(&compound) {
            match packet {
                Ok(Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. }) => {
                    reports.count();
                }
                Ok(Packet::Nack { entries, .. }) => {
                    entries.count();
                }
                Ok(Packet::Fir { entries }) => {
                    entries.count();
                }
                Ok(Packet::TransportFeedback(feedback)) => {
                    prop_assert!(feedback.statuses().count() <= usize::from(MAX_STATUSES));
                }
                _ => {}
            }
        }
    }
}
