//! Tells apart the protocols that share one UDP port.

/// The protocol of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramKind {
    /// STUN, RFC 8489.
    Stun,
    /// DTLS, RFC 9147.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// None of these; to be dropped.
    Unknown,
}

/// Classifies by the first byte (RFC 7983 section 7), and RTP from RTCP by the second (RFC 5761 section 4).
pub fn classify(datagram: &[u8]) -> DatagramKind {
    match (datagram.first(), datagram.get(1)) {
        (Some(0..=3), _) => DatagramKind::Stun,
        (Some(20..=63), _) => DatagramKind::Dtls,
        (Some(128..=191), Some(192..=223)) => DatagramKind::Rtcp,
        (Some(128..=191), Some(_)) => DatagramKind::Rtp,
        _ => DatagramKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_by_the_first_two_bytes() {
        assert_eq!(classify(&[]), DatagramKind::Unknown);
        assert_eq!(classify(&[0, 1]), DatagramKind::Stun);
        assert_eq!(classify(&[22, 254]), DatagramKind::Dtls);
        assert_eq!(classify(&[0x40, 0]), DatagramKind::Unknown);
        assert_eq!(classify(&[0x80]), DatagramKind::Unknown);
        assert_eq!(classify(&[0x80, 96]), DatagramKind::Rtp);
        assert_eq!(classify(&[0x80, 0x80 | 96]), DatagramKind::Rtp);
        assert_eq!(classify(&[0x81, 200]), DatagramKind::Rtcp);
        assert_eq!(classify(&[0x8f, 205]), DatagramKind::Rtcp);
    }
}
