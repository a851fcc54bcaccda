//! The datagrams of each attack.

use switchyard_engine::srtp;
use switchyard_engine::wire::rtcp::{self, ReportBlock};
use switchyard_engine::wire::rtp::HeaderWriter;

use crate::sdp::{self, MID_EXTENSION};

/// Of the publication that attacks, as its offer names them.
pub const VP8: u8 = 96;
pub const RTX: u8 = 97;
pub const RED: u8 = 100;
pub const ULPFEC: u8 = 101;
/// Bytes of a picture, and of what claims to protect 48 of them.
const PICTURE: usize = 100;
const NAMED: u16 = 48;
/// Pictures among packets of FEC: each is named by several.
const PICTURE_EACH: u64 = 10;
/// A descriptor and the header of a key frame (RFC 7741 section 4).
const KEY_FRAME: [u8; 11] = [0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
/// Of the streams that the publication sends; those of one packet each come behind.
const SSRC: u32 = 7777;
const FIRST_UNKNOWN: u32 = 1 << 24;
const RTX_SSRC: u32 = 7778;

/// What is sent at 10 Mbit/s.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Transport-wide feedback whose run lengths tell of 16,382 packets.
    Statuses,
    /// Requests for 510 packets.
    Nacks,
    /// Report blocks, 31 in a datagram.
    Reports,
    /// Requests for key frames, 90 in a datagram.
    KeyFrames,
    /// Packets of FEC that name 48 others, to ten viewers.
    Protection,
    /// Retransmissions of one packet.
    Retransmissions,
    /// Media, each packet of an SSRC of its own.
    UnknownSsrcs,
    /// Media with a wrong tag.
    Forgeries,
    /// Connectivity checks that are right.
    Checks,
    /// DTLS records of nothing.
    Records,
}

impl Attack {
    pub const ALL: [Attack; 10] = [
        Attack::Statuses,
        Attack::Nacks,
        Attack::Reports,
        Attack::KeyFrames,
        Attack::Protection,
        Attack::Retransmissions,
        Attack::UnknownSsrcs,
        Attack::Forgeries,
        Attack::Checks,
        Attack::Records,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Attack::Statuses => "feedback on 16,382 packets",
            Attack::Nacks => "NACK of 510",
            Attack::Reports => "31 report blocks",
            Attack::KeyFrames => "90 PLI",
            Attack::Protection => "FEC naming 48",
            Attack::Retransmissions => "RTX",
            Attack::UnknownSsrcs => "unknown SSRCs",
            Attack::Forgeries => "wrong SRTP tags",
            Attack::Checks => "STUN checks",
            Attack::Records => "DTLS garbage",
        }
    }

    /// Whether the session that publishes sends it, not the one that subscribes.
    pub fn is_media(self) -> bool {
        matches!(
            self,
            Attack::Protection | Attack::Retransmissions | Attack::UnknownSsrcs | Attack::Forgeries
        )
    }
}

/// Packets of the publication: SRTP's indices are used once.
#[derive(Default)]
pub struct Stream {
    index: u64,
    rtx_index: u64,
    unknown: u32,
    sent: u64,
}

impl Stream {
    /// A picture that any viewer can begin with.
    pub fn picture(&mut self, sender: &srtp::Sender) -> Option<Vec<u8>> {
        let mut payload = [0; 1 + PICTURE];
        payload[0] = VP8;
        payload[1..=KEY_FRAME.len()].copy_from_slice(&KEY_FRAME);
        self.next(sender, &payload)
    }

    /// The next packet of RED.
    fn next(&mut self, sender: &srtp::Sender, payload: &[u8]) -> Option<Vec<u8>> {
        self.index += 1;
        packet(sender, (RED, SSRC), self.index, payload)
    }

    /// The next packet of an attack.
    pub fn attack(&mut self, attack: Attack, sender: &srtp::Sender) -> Option<Vec<u8>> {
        self.sent += 1;
        match attack {
            Attack::Protection if !self.sent.is_multiple_of(PICTURE_EACH) => {
                let fec = protection(self.index);
                self.next(sender, &fec)
            }
            Attack::Retransmissions => {
                self.rtx_index += 1;
                let mut payload = [0; 2 + 40];
                payload[..2].copy_from_slice(&(self.index as u16).to_be_bytes());
                packet(sender, (RTX, RTX_SSRC), self.rtx_index, &payload)
            }
            Attack::UnknownSsrcs => {
                self.unknown += 1;
                packet(sender, (VP8, FIRST_UNKNOWN + self.unknown), 1, &KEY_FRAME)
            }
            Attack::Forgeries => {
                let mut forged = packet(sender, (RED, SSRC), self.index + 1, &[0; 20])?;
                *forged.last_mut()? ^= 1;
                Some(forged)
            }
            _ => self.picture(sender),
        }
    }
}

/// A packet of FEC in RED (RFC 5109 section 7.3) that names the last 48; its parity is never read.
fn protection(last: u64) -> Vec<u8> {
    let mut fec = vec![0; 1 + 18 + PICTURE + 16];
    fec[0] = ULPFEC;
    // The long mask.
    fec[1] = 0x40;
    let first = (last as u16).wrapping_sub(NAMED - 1);
    fec[3..5].copy_from_slice(&first.to_be_bytes());
    fec[11..13].copy_from_slice(&(PICTURE as u16 + 16).to_be_bytes());
    fec[13..19].fill(0xff);
    fec
}

fn packet(
    sender: &srtp::Sender,
    (payload_type, ssrc): (u8, u32),
    index: u64,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut packet = vec![0; 512];
    let timestamp = index as u32 * 3000;
    let number = index as u16;
    let mut writer = HeaderWriter::new(&mut packet, true, payload_type, number, timestamp, ssrc);
    writer.extension(MID_EXTENSION, sdp::MID.as_bytes());
    let header = writer.finish();
    let end = header + payload.len();
    packet[header..end].copy_from_slice(payload);
    let length = sender.protect_rtp(&mut packet, end, header, index)?;
    packet.truncate(length);
    Some(packet)
}

/// What a subscriber says about the stream that it gets, still to be protected.
pub fn feedback(attack: Attack, ssrc: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    match attack {
        Attack::Statuses => [0, 8191_u16].iter().for_each(|base| {
            // A run of 8,191 that did not come takes two bytes.
            packet.extend_from_slice(&[0x8f, 205, 0, 5, 0, 0, 0, 1]);
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend_from_slice(&base.to_be_bytes());
            packet.extend_from_slice(&[0x1f, 0xff, 0, 0, 1, 0, 0x1f, 0xff, 0, 0]);
        }),
        Attack::Nacks => {
            let lost: Vec<u16> = (0..510).collect();
            rtcp::push_nack(&mut packet, 1, ssrc, &lost);
        }
        Attack::Reports => {
            let report = ReportBlock {
                ssrc,
                ..ReportBlock::default()
            };
            rtcp::push_receiver_report(&mut packet, 1, &[report; 31]);
        }
        _ => (0..90).for_each(|_| rtcp::push_pli(&mut packet, 1, ssrc)),
    }
    packet
}

/// A record of the handshake with an epoch and a length as they should be, and nothing in it.
pub fn record(number: u64) -> Vec<u8> {
    let mut record = vec![22, 254, 253, 0, 0];
    record.extend_from_slice(&number.to_be_bytes()[2..]);
    record.extend_from_slice(&[0, 40]);
    record.extend((0..40).map(|at| (number as u8).wrapping_mul(31).wrapping_add(at)));
    record
}
