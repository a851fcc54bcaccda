//! The few lines of SDP that a synthetic endpoint needs.

use std::net::SocketAddr;

use switchyard_engine::channel::{MAX_MESSAGE, SCTP_PORT};

use crate::checks::PASSWORD;

mod described;

pub use described::{Described, read};

fn controls_congestion(line: &str) -> bool {
    let ends = [TRANSPORT_URI, " transport-cc", " goog-remb"];
    ends.iter().any(|end| line.ends_with(end))
}

/// Our own side.
pub struct Own<'a> {
    pub ufrag: &'a str,
    pub password: &'a str,
    pub fingerprint: &'a [u8],
    pub address: SocketAddr,
}

impl<'a> Own<'a> {
    /// With the password that all endpoints have.
    pub fn new(ufrag: &'a str, fingerprint: &'a [u8], address: SocketAddr) -> Own<'a> {
        Own {
            ufrag,
            password: PASSWORD,
            fingerprint,
            address,
        }
    }
}

/// What an m-line carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
}

impl Kind {
    /// As an m-line has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        }
    }

    /// Of Opus, and of VP8: m-lines of one transport have different ones (RFC 8843 section 9.1).
    pub fn payload_type(self) -> u8 {
        match self {
            Kind::Audio => 111,
            Kind::Video => 96,
        }
    }
}

/// An m-line of ours that sends.
pub struct Sending<'a> {
    pub mid: &'a str,
    pub kind: Kind,
    /// Of the only stream, where it has no rids.
    pub ssrc: u32,
    /// Of the encodings of a simulcast, the best one first (RFC 8853).
    pub rids: &'a [&'a str],
    /// The session receives as well, and takes retransmissions then: a server offers no formats that a peer did not name.
    pub repeats: bool,
}

/// Of the first m-line.
pub const MID: &str = "0";
pub const MID_EXTENSION: u8 = 1;
pub const TRANSPORT_EXTENSION: u8 = 3;
pub const RID_EXTENSION: u8 = 4;
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// Of an offer's m-line, in the answer too.
const KEPT: [&str; 4] = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"];
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const TRANSPORT_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// An offer that sends VP8 or Opus on each of its m-lines.
pub fn offer(own: &Own<'_>, sending: &[Sending<'_>]) -> String {
    let mids: Vec<&str> = sending.iter().map(|line| line.mid).collect();
    let mut lines = head(&mids.join(" "));
    for line in sending {
        let repeats = line.repeats && line.kind == Kind::Video;
        lines.extend(offered(own, line.kind, line.mid, repeats, "sendonly"));
        if !line.rids.is_empty() {
            lines.push(format!("a=extmap:{RID_EXTENSION} {RID_URI}"));
        }
        lines.extend(streams(line));
    }
    lines.join("\r\n") + "\r\n"
}

/// What tells the streams of an m-line that sends.
fn streams(line: &Sending<'_>) -> Vec<String> {
    if line.rids.is_empty() {
        return vec![format!("a=ssrc:{} cname:bench", line.ssrc)];
    }
    let rids = line.rids.iter().map(|rid| format!("a=rid:{rid} send"));
    let simulcast = format!("a=simulcast:send {}", line.rids.join(";"));
    rids.chain([simulcast]).collect()
}

/// An offer that receives what `offer` sends on one m-line, with congestion control or without.
pub fn offer_to_receive(own: &Own<'_>, kind: Kind, congestion: bool) -> String {
    let mut lines = head(MID);
    lines.extend(offered(own, kind, MID, false, "recvonly"));
    lines.retain(|line| congestion || !controls_congestion(line));
    lines.join("\r\n") + "\r\n"
}

fn offered(own: &Own<'_>, kind: Kind, mid: &str, repeats: bool, direction: &str) -> Vec<String> {
    let (codec, feedback): (_, &[_]) = match kind {
        Kind::Audio => ("opus/48000/2", &["transport-cc"]),
        Kind::Video => (
            "VP8/90000",
            &["transport-cc", "nack", "nack pli", "ccm fir"],
        ),
    };
    let (name, payload_type) = (kind.name(), kind.payload_type());
    let rtx = payload_type + 1;
    let formats = match repeats {
        true => format!("{payload_type} {rtx}"),
        false => payload_type.to_string(),
    };
    let mut lines = vec![format!("m={name} 9 UDP/TLS/RTP/SAVPF {formats}")];
    lines.extend(transport(own, "actpass"));
    lines.extend([
        format!("a=mid:{mid}"),
        format!("a=extmap:{MID_EXTENSION} {MID_URI}"),
        format!("a=extmap:{TRANSPORT_EXTENSION} {TRANSPORT_URI}"),
        format!("a={direction}"),
        "a=rtcp-mux".into(),
        format!("a=rtpmap:{payload_type} {codec}"),
    ]);
    lines.extend(
        feedback
            .iter()
            .map(|kind| format!("a=rtcp-fb:{payload_type} {kind}")),
    );
    if repeats {
        lines.push(format!("a=rtpmap:{rtx} rtx/90000"));
        lines.push(format!("a=fmtp:{rtx} apt={payload_type}"));
    }
    lines
}

/// An offer of data channels and nothing else (RFC 8841).
pub fn data_offer(own: &Own<'_>) -> String {
    let mut lines = head(MID);
    lines.push("m=application 9 UDP/DTLS/SCTP webrtc-datachannel".into());
    lines.extend(transport(own, "actpass"));
    lines.extend([
        format!("a=mid:{MID}"),
        format!("a=sctp-port:{SCTP_PORT}"),
        format!("a=max-message-size:{MAX_MESSAGE}"),
    ]);
    lines.join("\r\n") + "\r\n"
}

/// An answer that receives what the server offers.
pub fn answer(own: &Own<'_>, offered: &Described) -> String {
    let mut lines = head(&offered.mid);
    lines.push(format!(
        "m={} 9 UDP/TLS/RTP/SAVPF {}",
        offered.kind, offered.formats
    ));
    lines.extend(transport(own, "active"));
    lines.push(format!("a=mid:{}", offered.mid));
    lines.push("a=recvonly".into());
    lines.push("a=rtcp-mux".into());
    lines.extend(offered.attributes.iter().cloned());
    lines.join("\r\n") + "\r\n"
}

/// An answer to an offer of many m-lines: those of `sending` send what they were published with, all others receive.
pub fn answer_all(own: &Own<'_>, offer: &str, sending: &[Sending<'_>]) -> String {
    let sections: Vec<&str> = offer.split("\r\nm=").skip(1).collect();
    let value = |section: &str, name: &str| -> String {
        let mut lines = section.lines();
        let found = lines.find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim_end().to_owned()
    };
    let mids: Vec<String> = (sections.iter())
        .map(|section| value(section, "a=mid:"))
        .collect();
    let mut lines = head(&mids.join(" "));
    for (section, mid) in sections.iter().zip(&mids) {
        let mut media = section.lines().next().unwrap_or_default().split(' ');
        let kind = media.next().unwrap_or_default();
        let formats: Vec<&str> = media.skip(2).collect();
        lines.push(format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {}",
            formats.join(" ")
        ));
        lines.extend(transport(own, "active"));
        lines.push(format!("a=mid:{mid}"));
        lines.push("a=rtcp-mux".into());
        let kept = (section.lines().map(str::trim_end))
            .filter(|line| KEPT.iter().any(|prefix| line.starts_with(prefix)));
        lines.extend(kept.map(str::to_owned));
        match sending.iter().find(|line| line.mid == mid) {
            Some(line) => {
                lines.push("a=sendonly".into());
                lines.extend(streams(line));
            }
            None => lines.push("a=recvonly".into()),
        }
    }
    lines.join("\r\n") + "\r\n"
}

fn head(mid: &str) -> Vec<String> {
    ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("a=group:BUNDLE {mid}")])
        .collect()
}

fn transport(own: &Own<'_>, setup: &str) -> Vec<String> {
    let hex: Vec<String> = own
        .fingerprint
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    vec![
        "c=IN IP4 0.0.0.0".into(),
        format!("a=ice-ufrag:{}", own.ufrag),
        format!("a=ice-pwd:{}", own.password),
        format!("a=fingerprint:sha-256 {}", hex.join(":")),
        format!("a=setup:{setup}"),
        format!(
            "a=candidate:1 1 udp 1 {} {} typ host",
            own.address.ip(),
            own.address.port()
        ),
        "a=end-of-candidates".into(),
    ]
}

/// A description that lacks a candidate.
#[cfg(test)]
const HEAD: &str = "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AB:CD\r\n\
                    m=video 9 UDP/TLS/RTP/SAVPF 100\r\na=mid:7\r\na=setup:active\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own<'_> = Own {
        ufrag: "u",
        password: "p",
        fingerprint: &[1],
        address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
    };

    fn sending(mid: &'static str, kind: Kind, rids: &'static [&'static str]) -> Sending<'static> {
        Sending {
            mid,
            kind,
            ssrc: 7,
            rids,
            repeats: mid == "1",
        }
    }

    #[test]
    fn a_simulcast_offer_names_its_encodings() {
        let simulcast = offer(&OWN, &[sending(MID, Kind::Video, &["f", "h"])]);
        for line in ["a=rid:f send", "a=rid:h send", "a=simulcast:send f;h"] {
            assert!(simulcast.contains(&format!("{line}\r\n")), "{line}");
        }
        assert!(simulcast.contains(RID_URI) && !simulcast.contains("a=ssrc"));
        let plain = offer(&OWN, &[sending(MID, Kind::Video, &[])]);
        assert!(plain.contains("a=ssrc:7 ") && !plain.contains(RID_URI));
    }

    #[test]
    fn two_tracks_of_one_session_differ_in_mid_and_payload_type() {
        let both = [
            sending("0", Kind::Audio, &[]),
            sending("1", Kind::Video, &[]),
        ];
        let offered = offer(&OWN, &both);
        assert!(offered.contains("a=group:BUNDLE 0 1\r\n"));
        let formats: Vec<&str> = (offered.lines())
            .filter(|line| line.starts_with("m="))
            .collect();
        assert_eq!(
            formats,
            [
                "m=audio 9 UDP/TLS/RTP/SAVPF 111",
                "m=video 9 UDP/TLS/RTP/SAVPF 96 97"
            ]
        );
        // The server's offer has one more, of somebody else.
        let other = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=sendonly\r\n";
        let answered = answer_all(&OWN, &(offered + other), &both);
        let directions: Vec<&str> = (answered.lines())
            .filter(|line| line.ends_with("only"))
            .collect();
        assert_eq!(directions, ["a=sendonly", "a=sendonly", "a=recvonly"]);
    }

    #[test]
    fn an_answer_can_refuse_congestion_control() {
        let sdp = format!(
            "{HEAD}a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=extmap:1 {MID_URI}\r\n\
             a=extmap:3 {TRANSPORT_URI}\r\na=rtpmap:100 VP8/90000\r\na=rtcp-fb:100 transport-cc\r\n\
             a=rtcp-fb:100 goog-remb\r\na=rtcp-fb:100 nack\r\na=rtpmap:101 rtx/90000\r\n"
        );
        let mut offered = read(&sdp).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(offered.repeats, [101]);
        let taken = answer(&OWN, &offered);
        assert!(taken.contains(TRANSPORT_URI) && taken.contains("goog-remb"));
        offered.refuse_congestion_control();
        let refused = answer(&OWN, &offered);
        assert!(!refused.contains(TRANSPORT_URI) && offered.transport_extension.is_none());
        assert!(!refused.contains("transport-cc") && !refused.contains("goog-remb"));
        assert!(refused.contains(MID_URI) && refused.contains("a=rtcp-fb:100 nack\r\n"));
    }
}
