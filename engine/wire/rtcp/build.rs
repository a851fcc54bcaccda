//! Writing RTCP: each function appends one packet of a compound.

use super::ReportBlock;

/// Reports in one packet: the count has five bits.
const MAX_REPORTS: usize = 31;

/// Appends the common header with its length still open; returns where the packet starts.
pub(super) fn begin(buf: &mut Vec<u8>, count: u8, packet_type: u8, ssrc: u32) -> usize {
    let start = buf.len();
    buf.extend_from_slice(&[0x80 | (count & 0x1f), packet_type, 0, 0]);
    buf.extend_from_slice(&ssrc.to_be_bytes());
    start
}

/// Pads the packet that starts at `start` with zeros to a multiple of four and writes its length.
pub(super) fn end(buf: &mut Vec<u8>, start: usize) {
    let len = (buf.len() - start).next_multiple_of(4);
    buf.resize(start + len, 0);
    let words = ((len / 4) - 1) as u16;
    buf[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn push_reports(buf: &mut Vec<u8>, reports: &[ReportBlock]) {
    for report in reports {
        let lost = (report.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32) & 0xff_ffff;
        buf.extend_from_slice(&report.ssrc.to_be_bytes());
        buf.extend_from_slice(&((u32::from(report.fraction_lost) << 24) | lost).to_be_bytes());
        buf.extend_from_slice(&report.highest_sequence.to_be_bytes());
        buf.extend_from_slice(&report.jitter.to_be_bytes());
        buf.extend_from_slice(&report.last_sr.to_be_bytes());
        buf.extend_from_slice(&report.delay_since_last_sr.to_be_bytes());
    }
}

/// Appends a sender report, RFC 3550 section 6.4.1; reports after the 31st are left out.
pub fn push_sender_report(
    buf: &mut Vec<u8>,
    ssrc: u32,
    ntp: u64,
    rtp_timestamp: u32,
    packets: u32,
    octets: u32,
    reports: &[ReportBlock],
) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    let start = begin(buf, reports.len() as u8, super::SENDER_REPORT, ssrc);
    buf.extend_from_slice(&ntp.to_be_bytes());
    buf.extend_from_slice(&rtp_timestamp.to_be_bytes());
    buf.extend_from_slice(&packets.to_be_bytes());
    buf.extend_from_slice(&octets.to_be_bytes());
    push_reports(buf, reports);
    end(buf, start);
}

/// Appends a receiver report, RFC 3550 section 6.4.2; reports after the 31st are left out.
pub fn push_receiver_report(buf: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    let start = begin(buf, reports.len() as u8, super::RECEIVER_REPORT, ssrc);
    push_reports(buf, reports);
    end(buf, start);
}

/// Appends a source description with a CNAME, RFC 3550 section 6.5.1; cut after 255 bytes.
pub fn push_sdes_cname(buf: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    let start = begin(buf, 1, super::SOURCE_DESCRIPTION, ssrc);
    buf.extend_from_slice(&[1, name.len() as u8]);
    buf.extend_from_slice(name);
    // The item list ends in at least one zero, which the padding continues.
    buf.push(0);
    end(buf, start);
}

/// Appends a picture loss indication, RFC 4585 section 6.3.1.
pub fn push_pli(buf: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    let start = begin(buf, super::FORMAT_PLI, super::PAYLOAD_FEEDBACK, sender_ssrc);
    buf.extend_from_slice(&media_ssrc.to_be_bytes());
    end(buf, start);
}

/// Appends a full intra request, RFC 5104 section 4.3.1.
pub fn push_fir(buf: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, command_sequence: u8) {
    let start = begin(buf, super::FORMAT_FIR, super::PAYLOAD_FEEDBACK, sender_ssrc);
    // The media source of the feedback header is unused: the entry names it.
    buf.extend_from_slice(&[0; 4]);
    buf.extend_from_slice(&media_ssrc.to_be_bytes());
    buf.extend_from_slice(&[command_sequence, 0, 0, 0]);
    end(buf, start);
}

/// Appends a generic NACK of sequence numbers in ascending order, RFC 4585 section 6.2.1; nothing for none.
pub fn push_nack(buf: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, lost: &[u16]) {
    let mut lost = lost.iter().copied().peekable();
    if lost.peek().is_none() {
        return;
    }
    let start = begin(
        buf,
        super::FORMAT_NACK,
        super::TRANSPORT_LAYER_FEEDBACK,
        sender_ssrc,
    );
    buf.extend_from_slice(&media_ssrc.to_be_bytes());
    while let Some(base) = lost.next() {
        let mut mask = 0u16;
        while let Some(distance @ 0..=16) = lost.peek().map(|next| next.wrapping_sub(base)) {
            if distance > 0 {
                mask |= 1 << (distance - 1);
            }
            lost.next();
        }
        buf.extend_from_slice(&base.to_be_bytes());
        buf.extend_from_slice(&mask.to_be_bytes());
    }
    end(buf, start);
}

/// Appends a goodbye, RFC 3550 section 6.6.
pub fn push_bye(buf: &mut Vec<u8>, ssrc: u32) {
    let start = begin(buf, 1, super::BYE, ssrc);
    end(buf, start);
}
