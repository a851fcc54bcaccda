//! What the server says of itself.

use std::net::{Ipv4Addr, SocketAddr};

use super::{KEPT, TRANSPORT_URI, controls_congestion};

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
    pub(super) kind: String,
    pub(super) formats: String,
    pub(super) attributes: Vec<String>,
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
    use crate::sdp::HEAD;

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
}
