//! What a ServerHello chooses (RFC 6347 section 4.2.1, RFC 9147 section 5.3).

use super::client_hello::Reader;

const DTLS_1_2: u16 = 0xfefd;
const DTLS_1_3: u16 = 0xfefc;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;
/// TLS_AES_128_GCM_SHA256 and those that follow it.
const SUITES_1_3: std::ops::RangeInclusive<u16> = 0x1301..=0x1305;
/// SHA-256 of "HelloRetryRequest" begins so (RFC 8446 section 4.1.3).
const RETRY: [u8; 8] = [0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11];

/// What follows a ServerHello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerHello {
    /// The rest of a flight of DTLS 1.2, in plain.
    Dtls12,
    /// Protected records of DTLS 1.3.
    Dtls13,
    /// Another ClientHello, of DTLS 1.3.
    Retry,
}

/// Reads the body of a ServerHello; none where it is malformed.
pub fn read(body: &[u8]) -> Option<ServerHello> {
    let mut hello = Reader(body);
    if hello.short()? != DTLS_1_2 {
        return None;
    }
    let is_retry = hello.take(32)?.starts_with(&RETRY);
    let session = hello.byte()?;
    hello.take(usize::from(session))?;
    let suite = hello.short()?;
    if session > 32 || hello.byte()? != 0 {
        return None;
    }
    let mut is_13 = false;
    let mut has_key = false;
    if !hello.0.is_empty() {
        let extensions = hello.short()?;
        let mut extensions = Reader(hello.take(usize::from(extensions))?);
        while !extensions.0.is_empty() {
            let kind = extensions.short()?;
            let length = extensions.short()?;
            let value = extensions.take(usize::from(length))?;
            is_13 |= kind == SUPPORTED_VERSIONS && value == DTLS_1_3.to_be_bytes();
            has_key |= kind == KEY_SHARE;
        }
    }
    match (hello.0.is_empty(), is_13, is_retry) {
        (true, false, false) => Some(ServerHello::Dtls12),
        (true, true, _) if session != 0 || !SUITES_1_3.contains(&suite) => None,
        (true, true, true) => Some(ServerHello::Retry),
        (true, true, false) if has_key => Some(ServerHello::Dtls13),
        _ => None,
    }
}
