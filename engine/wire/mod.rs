//! Formats on the wire: which protocol a datagram is, RTP headers and RTCP.
//!
//! Everything here reads hostile bytes: nothing panics and parsing allocates nothing.

pub mod demux;
pub mod rtcp;
pub mod rtp;

/// The bytes are not a valid packet of the format that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("malformed packet")
    }
}

impl std::error::Error for Malformed {}

/// Big-endian `u16` at `at`, or `None` past the end.
pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Big-endian `u32` at `at`, or `None` past the end.
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}
