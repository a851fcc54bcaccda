//! The few lines of SDP that a synthetic endpoint with one m-line needs.

use std::net::{Ipv4Addr, SocketAddr};

use switchyard_engine::channel::{MAX_MESSAGE, SCTP_PORT};

use crate::checks::PASSWORD;
use crate::publisher::Media;

/// What the server's description says of its transport and of its first m-line.
pub struct Described {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: Vec<u8>,
    pub address: SocketAddr,
    pub mid: String,
    /// The server leaves it to us to check and to nominate (RFC 8445 section 2.5).
    pub is_lite: bool,
    /// It begins the handshake (RFC 5763 section 5).
    pub is_dtls_client: bool,
    kind: String,
    formats: String,
    attributes: Vec<String>,
    /// The ID of transport-wide sequence numbers, where offered.
    pub transport_extension: Option<u8>,
    /// Payload types of retransmissions (RFC 4588).
    pub repeats: Vec<u8>,
}

impl Described {
    /// Takes from an offer what a peer refuses that wants no congestion control: it tells nothing of what comes.
    pub fn refuse_congestion_control(&mut self) {
        self.attributes.retain(|line| !controls_congestion(line));
        self.transport_extension = None;
    }
}

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

pub const PAYLOAD_TYPE: u8 = 96;
pub const MID: &str = "0";
pub const MID_EXTENSION: u8 = 1;
pub const TRANSPORT_EXTENSION: u8 = 3;
/// Of an offer's m-line, in the answer too.
const KEPT: [&str; 4] = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"];
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const TRANSPORT_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// An offer that sends VP8 or Opus on one m-line.
pub fn offer(own: &Own<'_>, media: Media, ssrc: u32) -> String {
    let mut lines = offered(own, media, "sendonly");
    lines.push(format!("a=ssrc:{ssrc} cname:bench"));
    lines.join("\r\n") + "\r\n"
}

/// An offer that receives what `offer` sends, with congestion control or without.
pub fn offer_to_receive(own: &Own<'_>, media: Media, congestion: bool) -> String {
    let mut lines = offered(own, media, "recvonly");
    lines.retain(|line| congestion || !controls_congestion(line));
    lines.join("\r\n") + "\r\n"
}

fn offered(own: &Own<'_>, media: Media, direction: &str) -> Vec<String> {
    let (kind, codec, feedback): (_, _, &[_]) = match media {
        Media::Audio => ("audio", "opus/48000/2", &["transport-cc"]),
        Media::Video { .. } => (
            "video",
            "VP8/90000",
            &["transport-cc", "nack", "nack pli", "ccm fir"],
        ),
    };
    let mut lines = head(MID);
    lines.push(format!("m={kind} 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}"));
    lines.extend(transport(own, "actpass"));
    lines.extend([
        format!("a=mid:{MID}"),
        format!("a=extmap:{MID_EXTENSION} {MID_URI}"),
        format!("a=extmap:{TRANSPORT_EXTENSION} {TRANSPORT_URI}"),
        format!("a={direction}"),
        "a=rtcp-mux".into(),
        format!("a=rtpmap:{PAYLOAD_TYPE} {codec}"),
    ]);
    lines.extend(
        feedback
            .iter()
            .map(|kind| format!("a=rtcp-fb:{PAYLOAD_TYPE} {kind}")),
    );
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

/// An answer to an offer of many m-lines: `own_mid` sends what it was published with, all others receive.
pub fn answer_all(own: &Own<'_>, offer: &str, own_mid: &str, ssrc: u32) -> String {
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
        if mid == own_mid {
            lines.push("a=sendonly".into());
            lines.push(format!("a=ssrc:{ssrc} cname:bench"));
        } else {
            lines.push("a=recvonly".into());
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

/// Reads the server's description.
pub fn read(sdp: &str) -> Result<Described, String> {
    let lines: Vec<&str> = sdp.lines().map(str::trim_end).collect();
    let value = |prefix: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(prefix));
        found.ok_or_else(|| format!("the description lacks {prefix}"))
    };
    let fingerprint = value("a=fingerprint:sha-256 ")?
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    let address = lines
        .iter()
        .filter_map(|line| udp_candidate(line.strip_prefix("a=candidate:")?))
        .next()
        .ok_or("the description lacks a candidate for UDP over IPv4")?;
    let mut media = value("m=")?.split(' ');
    let kind = media.next().unwrap_or_default().to_owned();
    let formats = media.skip(2).collect::<Vec<_>>();
    let transport_extension = lines
        .iter()
        .filter_map(|line| line.strip_prefix("a=extmap:")?.split_once(' '))
        .find(|(_, uri)| *uri == TRANSPORT_URI)
        .and_then(|(id, _)| id.parse().ok());
    let repeats = (lines.iter())
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(" rtx/"))
        .filter_map(|(payload_type, _)| payload_type.parse().ok())
        .collect();
    let attributes = lines
        .iter()
        .filter(|line| KEPT.iter().any(|prefix| line.starts_with(prefix)))
        .map(|line| (*line).to_owned())
        .collect();
    Ok(Described {
        ufrag: value("a=ice-ufrag:")?.to_owned(),
        password: value("a=ice-pwd:")?.to_owned(),
        fingerprint,
        address,
        mid: value("a=mid:")?.to_owned(),
        is_lite: lines.contains(&"a=ice-lite"),
        is_dtls_client: lines.contains(&"a=setup:active"),
        kind,
        formats: formats.join(" "),
        attributes,
        transport_extension,
        repeats,
    })
}

/// The address of a candidate (RFC 8839 section 5.1) that our sockets reach.
fn udp_candidate(value: &str) -> Option<SocketAddr> {
    let mut fields = value.split(' ').skip(1);
    let (component, protocol) = (fields.next()?, fields.next()?);
    let ip: Ipv4Addr = fields.nth(1)?.parse().ok()?;
    let port = fields.next()?.parse().ok()?;
    (component == "1" && protocol.eq_ignore_ascii_case("udp")).then(|| (ip, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AB:CD\r\n\
                        m=video 9 UDP/TLS/RTP/SAVPF 100\r\na=mid:7\r\na=setup:active\r\n";

    #[test]
    fn the_first_candidate_that_is_reached_counts() {
        let sdp = format!(
            "{HEAD}a=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive\r\n\
             a=candidate:2 1 udp 1 ::1 5000 typ host\r\n\
             a=candidate:3 1 UDP 1 127.0.0.1 5001 typ host\r\n"
        );
        let described = read(&sdp).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(described.address, SocketAddr::from(([127, 0, 0, 1], 5001)));
        assert!(described.is_dtls_client && !described.is_lite);
        assert!(read(HEAD).is_err());
    }

    #[test]
    fn an_answer_can_refuse_congestion_control() {
        let own = Own {
            ufrag: "u",
            password: "p",
            fingerprint: &[1],
            address: SocketAddr::from(([127, 0, 0, 1], 9)),
        };
        let sdp = format!(
            "{HEAD}a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=extmap:1 {MID_URI}\r\n\
             a=extmap:3 {TRANSPORT_URI}\r\na=rtpmap:100 VP8/90000\r\na=rtcp-fb:100 transport-cc\r\n\
             a=rtcp-fb:100 goog-remb\r\na=rtcp-fb:100 nack\r\na=rtpmap:101 rtx/90000\r\n"
        );
        let mut offered = read(&sdp).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(offered.repeats, [101]);
        let taken = answer(&own, &offered);
        assert!(taken.contains(TRANSPORT_URI) && taken.contains("goog-remb"));
        offered.refuse_congestion_control();
        let refused = answer(&own, &offered);
        assert!(!refused.contains(TRANSPORT_URI) && offered.transport_extension.is_none());
        assert!(!refused.contains("transport-cc") && !refused.contains("goog-remb"));
        assert!(refused.contains(MID_URI) && refused.contains("a=rtcp-fb:100 nack\r\n"));
    }
}
