//! Reading RTCP.

use super::super::{Malformed, read_u16, read_u32};
use super::ReportBlock;
use super::received_feedback::TransportFeedback;

/// Length of a report block, RFC 3550 section 6.4.1.
const REPORT_BLOCK_LEN: usize = 24;

/// One packet of a compound.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// Sender report, RFC 3550 section 6.4.1.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// NTP time of the report, 32.32 fixed point.
        ntp: u64,
        /// The same time on the media clock.
        rtp_timestamp: u32,
        /// Packets sent.
        packet_count: u32,
        /// Payload bytes sent.
        octet_count: u32,
        /// What the sender received.
        reports: ReportBlocks<'a>,
    },
    /// Receiver report, RFC 3550 section 6.4.2.
    ReceiverReport {
        /// The reporter.
        ssrc: u32,
        /// What the reporter received.
        reports: ReportBlocks<'a>,
    },
    /// Generic NACK, RFC 4585 section 6.2.1.
    Nack {
        /// The source whose packets are missing.
        media_ssrc: u32,
        /// The missing sequence numbers.
        entries: NackEntries<'a>,
    },
    /// Picture loss indication, RFC 4585 section 6.3.1.
    Pli {
        /// The source that is to send a key frame.
        media_ssrc: u32,
    },
    /// Full intra request, RFC 5104 section 4.3.1.
    Fir {
        /// The sources that are to send a key frame.
        entries: FirEntries<'a>,
    },
    /// Transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.
    TransportFeedback(TransportFeedback<'a>),
    /// Receiver estimated maximum bitrate, draft-alvestrand-rmcat-remb-03 section 2.2.
    Remb {
        /// The estimate in bit/s.
        bitrate: u64,
    },
    /// Goodbye, RFC 3550 section 6.6.
    Bye,
    /// Anything else.
    Other {
        /// The RTCP packet type.
        packet_type: u8,
    },
}

/// Iterates over the packets of a compound, RFC 3550 section 6.1; stops after an error.
pub fn parse(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// Iterator of [`parse`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.read();
        if packet.is_none() {
            self.rest = &[];
        }
        Some(packet.ok_or(Malformed))
    }
}

impl<'a> Packets<'a> {
    fn read(&mut self) -> Option<Packet<'a>> {
        let first = *self.rest.first()?;
        let packet_type = *self.rest.get(1)?;
        let len = usize::from(read_u16(self.rest, 2)?) * 4 + 4;
        if first >> 6 != 2 {
            return None;
        }
        let (packet, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        let mut body = packet.get(4..)?;
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            if padding == 0 {
                return None;
            }
            body = body.get(..body.len().checked_sub(padding)?)?;
        }
        read_body(packet_type, first & 0x1f, body)
    }
}

/// Reads what follows the common header; `count` is the report count or feedback format.
fn read_body(packet_type: u8, count: u8, body: &[u8]) -> Option<Packet<'_>> {
    Some(match (packet_type, count) {
        (super::SENDER_REPORT, _) => Packet::SenderReport {
            ssrc: read_u32(body, 0)?,
            ntp: (u64::from(read_u32(body, 4)?) << 32) | u64::from(read_u32(body, 8)?),
            rtp_timestamp: read_u32(body, 12)?,
            packet_count: read_u32(body, 16)?,
            octet_count: read_u32(body, 20)?,
            reports: ReportBlocks::read(body.get(24..)?, count)?,
        },
        (super::RECEIVER_REPORT, _) => Packet::ReceiverReport {
            ssrc: read_u32(body, 0)?,
            reports: ReportBlocks::read(body.get(4..)?, count)?,
        },
        (super::TRANSPORT_LAYER_FEEDBACK, super::FORMAT_NACK) => Packet::Nack {
            media_ssrc: read_u32(body, 4)?,
            entries: NackEntries {
                rest: body.get(8..)?,
                base: 0,
                mask: 0,
            },
        },
        (super::TRANSPORT_LAYER_FEEDBACK, super::FORMAT_TRANSPORT_WIDE) => {
            Packet::TransportFeedback(TransportFeedback::read(body)?)
        }
        (super::PAYLOAD_FEEDBACK, super::FORMAT_PLI) => Packet::Pli {
            media_ssrc: read_u32(body, 4)?,
        },
        (super::PAYLOAD_FEEDBACK, super::FORMAT_FIR) => Packet::Fir {
            entries: FirEntries {
                rest: body.get(8..)?,
            },
        },
        (super::PAYLOAD_FEEDBACK, super::FORMAT_APPLICATION) => {
            if body.get(8..12) != Some(b"REMB") {
                return Some(Packet::Other { packet_type });
            }
            let estimate = read_u32(body, 12)?;
            let exponent = (estimate >> 18) & 0x3f;
            let mantissa = u128::from(estimate & 0x3_ffff);
            Packet::Remb {
                bitrate: u64::try_from(mantissa << exponent).unwrap_or(u64::MAX),
            }
        }
        (super::BYE, _) => Packet::Bye,
        _ => Packet::Other { packet_type },
    })
}

/// Iterator over the report blocks of a report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn read(bytes: &'a [u8], count: u8) -> Option<Self> {
        Some(Self {
            rest: bytes.get(..usize::from(count) * REPORT_BLOCK_LEN)?,
        })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_at_checked(REPORT_BLOCK_LEN)?;
        self.rest = rest;
        let lost = read_u32(block, 4)?;
        Some(ReportBlock {
            ssrc: read_u32(block, 0)?,
            fraction_lost: (lost >> 24) as u8,
            // Shifted up and back to extend the sign of 24 bits.
            cumulative_lost: ((lost << 8) as i32) >> 8,
            highest_sequence: read_u32(block, 8)?,
            jitter: read_u32(block, 12)?,
            last_sr: read_u32(block, 16)?,
            delay_since_last_sr: read_u32(block, 20)?,
        })
    }
}

/// Iterator over the sequence numbers of a NACK, RFC 4585 section 6.2.1.
#[derive(Clone, Debug)]
pub struct NackEntries<'a> {
    rest: &'a [u8],
    base: u16,
    mask: u16,
}

impl Iterator for NackEntries<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask != 0 {
            let bit = self.mask.trailing_zeros() as u16;
            self.mask &= self.mask - 1;
            return Some(self.base.wrapping_add(bit + 1));
        }
        let (entry, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        self.base = read_u16(entry, 0)?;
        self.mask = read_u16(entry, 2)?;
        Some(self.base)
    }
}

/// Iterator over `(ssrc, command sequence number)` of a full intra request, RFC 5104 section 4.3.1.1.
#[derive(Clone, Debug)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (entry, rest) = self.rest.split_at_checked(8)?;
        self.rest = rest;
        Some((read_u32(entry, 0)?, *entry.get(4)?))
    }
}
