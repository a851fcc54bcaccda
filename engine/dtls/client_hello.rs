//! What a ClientHello offers (RFC 6347 section 4.2.1, RFC 9147 section 5.3), and in which version of DTLS AES-GCM wins.
//!
//! AES-GCM costs a quarter of AES-CM with HMAC-SHA1. As a DTLS 1.2 server `dimpl` prefers GCM, as a 1.3 server it takes the
//! first profile of the client's list, and that list often begins with AES-CM. A client that lists AES-CM before GCM and
//! speaks 1.2 as well gets AES-GCM in 1.2 only.

/// In which version of DTLS the cheapest profile wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// In any.
    Any,
    /// DTLS 1.2.
    Dtls12,
}

const EXTENSION_USE_SRTP: u16 = 14;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const DTLS_1_2: u16 = 0xfefd;
const DTLS_1_3: u16 = 0xfefc;
const AES_CM_PROFILES: [u16; 2] = [1, 2];
const GCM_PROFILES: [u16; 2] = [7, 8];

/// The random of a handshake's first message, by which handshakes are told apart: one that is sent again, on whichever
/// path, has the same.
pub type ClientRandom = [u8; 32];

/// A ClientHello that can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientHello {
    /// Which handshake it belongs to.
    pub random: ClientRandom,
    /// Where the cheapest profile wins.
    pub version: Version,
}

/// Reads the body of a ClientHello; none where it is malformed (RFC 6347 section 4.2.1, RFC 5764 section 4.1.1).
pub fn read(body: &[u8]) -> Option<ClientHello> {
    let mut hello = Reader(body);
    if hello.short()? != DTLS_1_2 {
        return None;
    }
    let random = hello.take(32)?.try_into().ok()?;
    for _ in ["session ID", "cookie"] {
        let length = hello.byte()?;
        hello.take(usize::from(length))?;
    }
    let suites = hello.short()?;
    let suites = hello.take(usize::from(suites))?;
    let compressions = hello.byte()?;
    let compressions = hello.take(usize::from(compressions))?;
    let extensions = hello.short()?;
    let mut extensions = Reader(hello.take(usize::from(extensions))?);
    if suites.is_empty()
        || suites.len() % 2 != 0
        || !compressions.contains(&0)
        || !hello.0.is_empty()
    {
        return None;
    }

    // Without the extension a client speaks what its hello says: 1.2 (RFC 9147 section 5.4).
    let mut versions = vec![DTLS_1_2];
    let mut profiles = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.short()?;
        let length = extensions.short()?;
        let mut body = Reader(extensions.take(usize::from(length))?);
        match kind {
            EXTENSION_SUPPORTED_VERSIONS => {
                let length = body.byte()?;
                versions = shorts(body.take(usize::from(length))?);
            }
            EXTENSION_USE_SRTP => {
                let length = body.short()?;
                profiles = shorts(body.take(usize::from(length))?);
            }
            _ => {}
        }
    }
    let has_gcm = profiles.iter().any(|id| GCM_PROFILES.contains(id));
    let known_first = profiles
        .iter()
        .find(|id| GCM_PROFILES.contains(id) || AES_CM_PROFILES.contains(id));
    let cm_first = known_first.is_some_and(|id| AES_CM_PROFILES.contains(id));
    let both = versions.contains(&DTLS_1_2) && versions.contains(&DTLS_1_3);
    let version = if has_gcm && cm_first && both {
        Version::Dtls12
    } else {
        Version::Any
    };
    Some(ClientHello { random, version })
}

fn shorts(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

/// Reads from the front of bytes, as long as there are enough.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of one byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A number of two bytes.
    pub fn short(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_hello(versions: &[u16], profiles: &[u16]) -> Vec<u8> {
        let list =
            |numbers: &[u16]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
        let mut extensions = Vec::new();
        let versions = list(versions);
        extensions.extend(EXTENSION_SUPPORTED_VERSIONS.to_be_bytes());
        extensions.extend((versions.len() as u16 + 1).to_be_bytes());
        extensions.push(versions.len() as u8);
        extensions.extend(versions);
        let profiles = list(profiles);
        extensions.extend(EXTENSION_USE_SRTP.to_be_bytes());
        extensions.extend((profiles.len() as u16 + 3).to_be_bytes());
        extensions.extend((profiles.len() as u16).to_be_bytes());
        extensions.extend(profiles);
        extensions.push(0);

        let mut hello = vec![0xfe, 0xfd];
        hello.extend([7; 32]);
        hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        hello.extend((extensions.len() as u16).to_be_bytes());
        hello.extend(extensions);
        hello
    }

    #[test]
    fn a_client_that_prefers_aes_cm_gets_the_version_in_which_gcm_wins() {
        let hello = client_hello(&[DTLS_1_3, DTLS_1_2], &[1, 8, 7]);
        let read = read(&hello).expect("a hello");
        assert_eq!(read.version, Version::Dtls12);
        assert_eq!(read.random, [7; 32]);
    }

    #[test]
    fn a_client_that_prefers_gcm_or_has_only_the_newest_version_keeps_it() {
        for (versions, profiles) in [
            (&[DTLS_1_3, DTLS_1_2][..], &[7, 8, 1][..]),
            (&[DTLS_1_3][..], &[1, 7][..]),
            (&[DTLS_1_3, DTLS_1_2][..], &[1][..]),
        ] {
            let hello = client_hello(versions, profiles);
            assert_eq!(read(&hello).expect("a hello").version, Version::Any);
        }
    }

    #[test]
    fn a_client_hello_that_is_cut_or_too_long_is_none() {
        let hello = client_hello(&[DTLS_1_3, DTLS_1_2], &[1, 7]);
        for length in 0..hello.len() {
            assert_eq!(read(&hello[..length]), None, "{length}");
        }
        assert_eq!(read(&[&hello[..], &[0]].concat()), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            read(&bytes);
        }
    }
}
