//! Makes AES-GCM win wherever the peer offers it.
//!
//! AES-GCM costs a quarter of AES-CM with HMAC-SHA1. As a DTLS 1.2 server `dimpl` prefers GCM, as a
//! 1.3 server it takes the first profile of the client's list, and that list often begins with AES-CM.
//! So the first flight is held until the ClientHello is whole: a client that lists AES-CM before GCM and
//! speaks 1.2 as well gets 1.2, everybody else gets the newest version.

/// Which versions of DTLS to answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// The newest that both sides have.
    Any,
    /// DTLS 1.2.
    Dtls12,
}

/// Datagrams that are kept of a flight; a ClientHello with post-quantum keys takes two.
const MAX_DATAGRAMS: usize = 8;
/// Bytes that a ClientHello may have.
const MAX_CLIENT_HELLO: usize = 8192;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_USE_SRTP: u16 = 14;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const DTLS_1_2: u16 = 0xfefd;
const DTLS_1_3: u16 = 0xfefc;
const AES_CM_PROFILES: [u16; 2] = [1, 2];
const GCM_PROFILES: [u16; 2] = [7, 8];

/// The datagrams of a client's first flight, until its ClientHello can be read.
#[derive(Default)]
pub struct FirstFlight {
    datagrams: Vec<Vec<u8>>,
    hello: Vec<u8>,
    present: Vec<bool>,
}

impl FirstFlight {
    /// Adds a datagram; gives the version to answer with once the ClientHello is whole.
    pub fn add(&mut self, datagram: &[u8]) -> Option<Version> {
        if self.datagrams.len() == MAX_DATAGRAMS {
            *self = FirstFlight::default();
        }
        self.datagrams.push(datagram.to_vec());
        for fragment in Fragments(datagram) {
            self.place(&fragment);
        }
        if self.present.is_empty() || !self.present.iter().all(|&byte| byte) {
            return None;
        }
        Some(choose(&self.hello).unwrap_or(Version::Any))
    }

    /// The datagrams in the order of their arrival.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(self).datagrams
    }

    fn place(&mut self, fragment: &Fragment<'_>) {
        if fragment.total > MAX_CLIENT_HELLO || fragment.total == 0 {
            return;
        }
        if self.hello.len() != fragment.total {
            self.hello = vec![0; fragment.total];
            self.present = vec![false; fragment.total];
        }
        let range = fragment.offset..fragment.offset + fragment.bytes.len();
        if let (Some(hello), Some(present)) = (
            self.hello.get_mut(range.clone()),
            self.present.get_mut(range),
        ) {
            hello.copy_from_slice(fragment.bytes);
            present.fill(true);
        }
    }
}

/// A part of a ClientHello's body.
struct Fragment<'a> {
    total: usize,
    offset: usize,
    bytes: &'a [u8],
}

/// The ClientHello fragments in a datagram of plaintext records (RFC 6347 sections 4.1 and 4.2.2).
struct Fragments<'a>(&'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        loop {
            let (header, rest) = self.0.split_at_checked(13)?;
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let (record, rest) = rest.split_at_checked(length)?;
            self.0 = rest;
            if header[0] != HANDSHAKE {
                continue;
            }
            let (message, body) = record.split_at_checked(12)?;
            if message[0] != CLIENT_HELLO {
                continue;
            }
            let number = |at: usize| {
                usize::from(message[at]) << 16
                    | usize::from(message[at + 1]) << 8
                    | usize::from(message[at + 2])
            };
            return Some(Fragment {
                total: number(1),
                offset: number(6),
                bytes: body.get(..number(9))?,
            });
        }
    }
}

/// Reads the versions and SRTP profiles of a ClientHello (RFC 6347 section 4.2.1, RFC 5764 section 4.1.1).
fn choose(hello: &[u8]) -> Option<Version> {
    let mut hello = Reader(hello);
    hello.take(2 + 32)?;
    let session_id = hello.byte()?;
    hello.take(usize::from(session_id))?;
    let cookie = hello.byte()?;
    hello.take(usize::from(cookie))?;
    let suites = hello.short()?;
    hello.take(usize::from(suites))?;
    let compressions = hello.byte()?;
    hello.take(usize::from(compressions))?;
    let extensions = hello.short()?;
    let mut extensions = Reader(hello.take(usize::from(extensions))?);

    // Without the extension a client speaks what its hello says: 1.2 (RFC 9147 section 5.4).
    let mut versions = vec![DTLS_1_2];
    let mut profiles = Vec::new();
    while let Some(kind) = extensions.short() {
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
    Some(if has_gcm && cm_first && both {
        Version::Dtls12
    } else {
        Version::Any
    })
}

fn shorts(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn short(&mut self) -> Option<u16> {
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

    fn records(hello: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        let mut from = 0;
        for &to in cuts.iter().chain([&hello.len()]) {
            let part = &hello[from..to];
            let number = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
            let mut message = vec![CLIENT_HELLO];
            message.extend(number(hello.len()));
            message.extend([0, 0]);
            message.extend(number(from));
            message.extend(number(part.len()));
            message.extend(part);
            let mut record = vec![HANDSHAKE, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
            record.extend((message.len() as u16).to_be_bytes());
            record.extend(message);
            datagrams.push(record);
            from = to;
        }
        datagrams
    }

    #[test]
    fn a_client_that_prefers_aes_cm_gets_the_version_in_which_gcm_wins() {
        let hello = client_hello(&[DTLS_1_3, DTLS_1_2], &[1, 8, 7]);
        let mut flight = FirstFlight::default();
        assert_eq!(flight.add(&records(&hello, &[])[0]), Some(Version::Dtls12));
    }

    #[test]
    fn a_client_that_prefers_gcm_or_has_only_the_newest_version_keeps_it() {
        for (versions, profiles) in [
            (&[DTLS_1_3, DTLS_1_2][..], &[7, 8, 1][..]),
            (&[DTLS_1_3][..], &[1, 7][..]),
            (&[DTLS_1_3, DTLS_1_2][..], &[1][..]),
        ] {
            let hello = client_hello(versions, profiles);
            let mut flight = FirstFlight::default();
            assert_eq!(flight.add(&records(&hello, &[])[0]), Some(Version::Any));
        }
    }

    #[test]
    fn a_client_hello_in_fragments_is_waited_for_in_any_order() {
        let hello = client_hello(&[DTLS_1_3, DTLS_1_2], &[1, 7]);
        let datagrams = records(&hello, &[20, 50]);
        let mut flight = FirstFlight::default();
        assert_eq!(flight.add(&datagrams[2]), None);
        assert_eq!(flight.add(&datagrams[0]), None);
        assert_eq!(flight.add(&datagrams[1]), Some(Version::Dtls12));
        assert_eq!(flight.take().len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(datagrams: Vec<Vec<u8>>) {
            let mut flight = FirstFlight::default();
            for datagram in &datagrams {
                flight.add(datagram);
            }
            choose(&datagrams.concat());
        }
    }
}
