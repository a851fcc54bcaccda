//! Packets of a hostile peer: right ones, and right ones that were spoiled before they were protected.

use super::super::super::peer::TRANSPORT_WIDE;
use super::super::super::{VP8_DELTA, VP8_KEY};
use super::{AUDIO_LEVEL, DESCRIPTOR, MID, ORIENTATION, PLAYOUT_DELAY};
use super::{REPAIRED_RID, RID, RTX, World, worker_of};
use crate::codec::dependency_descriptor::tests::l2t2_key;
use crate::wire::rtcp::{self, ReportBlock};
use crate::wire::rtp::HeaderWriter;

impl World {
    /// A payload that some format begins with, more or less, and its payload type, mostly.
    fn payload(&mut self) -> (u8, Vec<u8>) {
        let chance = &mut self.chance;
        let templates: [(u8, &[u8]); 16] = [
            (96, VP8_KEY),
            (96, VP8_KEY),
            (96, VP8_DELTA),
            // With numbers and layers.
            (
                96,
                &[0x90, 0xe0, 0x80, 5, 5, 0x20, 0x50, 0, 0, 0x9d, 1, 0x2a],
            ),
            (96, &[0x90, 0xe0, 0x80, 6, 5, 0x60, 0x51, 0, 0, 0, 0, 0]),
            // With a structure, and one of its upper size.
            (
                97,
                &[0xaa, 0x80, 5, 0x01, 0x20, 0x48, 1, 0x40, 0, 0xf0, 1, 2, 3],
            ),
            (97, &[0xec, 0x80, 6, 0x23, 0x01, 1, 2, 3]),
            // Sizes that do without each other: key frames of a small and of a large one.
            (97, &[0xaf, 0x01, 0x00, 0x00, 0x20, 1, 2, 3]),
            (97, &[0xad, 0x01, 0x02, 0x00, 1, 2, 3]),
            (98, &[0x18, 0x0a, 1, 2, 3, 4, 5, 6]),
            // A parameter set, and several in one packet.
            (99, &[0x67, 0x42, 0, 0x1f]),
            (99, &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1]),
            (100, &[0x40, 0x01, 0x0c]),
            // A picture, and protection of some.
            (101, &[96, 0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 0]),
            (
                101,
                &[
                    102, 0x40, 96, 0, 5, 0, 0, 0, 9, 0, 20, 0, 4, 0x80, 0, 1, 2, 3, 4,
                ],
            ),
            (RTX, &[8, 0, 0x10, 0x01, 0x00, 0x00, 0x00]),
        ];
        let (payload_type, template) = chance.of(&templates);
        let mut payload = template.to_vec();
        payload.resize(payload.len() + chance.of(&[0, 0, 3, 200, 1000]), 7);
        if chance.one_in(3) {
            chance.spoil(&mut payload, 0);
        }
        let any = [96, 97, 98, 99, 100, 101, 102, RTX, 5, 127];
        let other = chance.of(&any);
        let payload_type = if chance.one_in(6) {
            other
        } else {
            payload_type
        };
        (payload_type, payload)
    }

    pub(super) fn rtp(&mut self, worker: usize, index: usize) -> Vec<u8> {
        let (payload_type, mut payload) = self.payload();
        let chance = &mut self.chance;
        if let (RTX, Some(original)) = (payload_type, payload.first_chunk_mut()) {
            // A retransmission has a number of the media in it, which does not go far ahead either.
            *original = self
                .sequence
                .wrapping_sub(chance.below(50) as u16)
                .to_be_bytes();
        }
        // Never so far that numbers begin anew: a peer that heard nothing so far would guess another rollover counter.
        let far = if self.sequence < 25_000 { 300 } else { 1 };
        let ahead = [1, 1, 1, 1, 1, 1, 1, 3, 1 + chance.below(far) as u16];
        let newest = self.sequence.wrapping_add(chance.of(&ahead));
        let sequence = match chance.below(20) {
            0 => self.sequence.wrapping_sub(chance.below(1500) as u16),
            1..=2 => self.sequence.wrapping_sub(chance.below(40) as u16),
            _ => newest,
        };
        self.sequence = self.sequence.max(sequence);
        let ssrc = match chance.below(12) {
            0 => chance.next() as u32,
            1 => 5000,
            2..=3 => 1002,
            4..=5 => 1001,
            _ => 1000,
        };
        let time = if chance.one_in(30) {
            chance.next() as u32
        } else {
            u32::from(sequence) * 1500
        };
        let mut packet = vec![0; 400];
        let marker = chance.one_in(3);
        let mut writer = HeaderWriter::new(&mut packet, marker, payload_type, sequence, time, ssrc);
        let descriptor = l2t2_key(sequence % 64, (sequence % 2) as u8);
        if chance.one_in(3) {
            writer.two_byte();
            writer.extension(DESCRIPTOR, &descriptor);
        }
        if chance.one_in(2) {
            writer.extension(MID, chance.of(&[b"0", b"0", b"0", b"7"]));
            writer.extension(RID, chance.of(&[b"f", b"h", b"q", b"x"]));
            writer.extension(REPAIRED_RID, chance.of(&[b"f", b"h", b"q", b"x"]));
        }
        if chance.one_in(2) {
            let number = (chance.next() as u16).to_be_bytes();
            writer.extension(TRANSPORT_WIDE, &number);
        }
        for id in [AUDIO_LEVEL, PLAYOUT_DELAY, ORIENTATION] {
            if chance.one_in(3) {
                writer.extension(id, &chance.bytes(3));
            }
        }
        let header = writer.finish();
        packet.truncate(header);
        packet.extend(payload);
        if chance.one_in(5) {
            // SSRC and sequence number stay: they choose the key stream.
            packet[0] ^= chance.of(&[0, 0x20, 0x10, 1, 0x0f]);
            chance.spoil(&mut packet, 12);
            packet.resize(packet.len().max(12), 0);
        }
        self.labs[worker].protect_any(index, packet)
    }

    /// What a subscriber knows from what it got.
    fn newest_outgoing(&self, session: usize) -> u16 {
        let engine = &self.labs[worker_of(session)].engine;
        let mut outgoing = engine.subscriptions.values();
        let own = outgoing.find(|other| other.settings.ssrc == self.ssrcs[session]);
        own.map_or(0, |own| own.next_outgoing() as u16)
    }

    pub(super) fn rtcp(&mut self, session: usize, index: usize) -> Vec<u8> {
        let ssrc = self.ssrcs[session];
        let newest = self.newest_outgoing(session);
        let chance = &mut self.chance;
        let mut compound = Vec::new();
        for _ in 0..=chance.below(4) {
            let about = chance.of(&[ssrc, ssrc, ssrc, 1000, 1001, 7]);
            let begins = compound.len();
            match chance.below(9) {
                0 => {
                    let report = ReportBlock {
                        ssrc: about,
                        highest_sequence: chance.next() as u32,
                        ..ReportBlock::default()
                    };
                    rtcp::push_receiver_report(&mut compound, 1, &[report]);
                }
                1 => rtcp::push_sender_report(&mut compound, about, chance.next(), 5, 6, 7, &[]),
                2 => {
                    let any = chance.next() as u16;
                    let first = chance.of(&[newest.wrapping_sub(280), any]);
                    let lost: Vec<u16> = (0..300).map(|at| first.wrapping_add(at)).collect();
                    rtcp::push_nack(&mut compound, 1, about, &lost);
                }
                3 => rtcp::push_pli(&mut compound, 1, about),
                4 => rtcp::push_fir(&mut compound, 1, about, chance.next() as u8),
                5 => rtcp::push_bye(&mut compound, about),
                kind => {
                    // Transport-wide feedback, REMB, or something that nobody knows.
                    let (format, kind) =
                        [(15, 205), (15, 206), (chance.below(32) as u8, 207)][kind - 6];
                    let mut body = chance.bytes(80);
                    if kind == 206 {
                        body.splice(0..0, *b"REMB");
                    }
                    body.resize(body.len().next_multiple_of(4), 0);
                    compound.extend_from_slice(&[0x80 | format, kind]);
                    compound.extend_from_slice(&(2 + body.len() as u16 / 4).to_be_bytes());
                    compound.extend_from_slice(&1_u32.to_be_bytes());
                    compound.extend_from_slice(&about.to_be_bytes());
                    compound.extend(body);
                }
            }
            if chance.one_in(3) {
                chance.spoil(&mut compound, begins.max(8));
            }
        }
        compound.resize(compound.len().max(8), 0);
        self.labs[worker_of(session)].protect_rtcp(index, compound)
    }
}
