//! RTCP: RFC 3550 section 6, feedback of RFC 4585 and RFC 5104, REMB and transport-wide feedback.

mod build;
mod parse;
mod received_feedback;
pub mod transport_feedback;

pub use build::{
    push_bye, push_fir, push_nack, push_pli, push_receiver_report, push_sdes_cname,
    push_sender_report,
};
pub use parse::{FirEntries, NackEntries, Packet, Packets, ReportBlocks, parse};
pub use received_feedback::{MAX_STATUSES, Status, Statuses, TransportFeedback};
pub use transport_feedback::Arrivals;

/// Packet type of a sender report, RFC 3550 section 6.4.1.
const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report, RFC 3550 section 6.4.2.
const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description, RFC 3550 section 6.5.
const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye, RFC 3550 section 6.6.
const BYE: u8 = 203;
/// Packet type of transport layer feedback, RFC 4585 section 6.2.
const TRANSPORT_LAYER_FEEDBACK: u8 = 205;
/// Packet type of payload-specific feedback, RFC 4585 section 6.3.
const PAYLOAD_FEEDBACK: u8 = 206;

/// Feedback format of a generic NACK, RFC 4585 section 6.2.1.
const FORMAT_NACK: u8 = 1;
/// Feedback format of transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01.
const FORMAT_TRANSPORT_WIDE: u8 = 15;
/// Feedback format of a picture loss indication, RFC 4585 section 6.3.1.
const FORMAT_PLI: u8 = 1;
/// Feedback format of a full intra request, RFC 5104 section 4.3.1.
const FORMAT_FIR: u8 = 4;
/// Feedback format of application layer feedback such as REMB, RFC 4585 section 6.4.
const FORMAT_APPLICATION: u8 = 15;

/// A report block of a sender or receiver report, RFC 3550 section 6.4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source that is reported on.
    pub ssrc: u32,
    /// Fraction of packets lost since the previous report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; 24 bits, signed.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report.
    pub last_sr: u32,
    /// Time since that report in 1/65536 s.
    pub delay_since_last_sr: u32,
}

#[cfg(test)]
mod tests;
