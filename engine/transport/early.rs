//! DTLS records that came before the proof of their address: a forger of it could begin a handshake in the peer's place.

use super::path::Path;

/// Datagrams that wait: a ClientHello with post-quantum keys takes two.
const MAX_DATAGRAMS: usize = 4;

/// Those of the newest address.
#[derive(Default)]
pub struct Early {
    path: Option<Path>,
    datagrams: Vec<Vec<u8>>,
}

impl Early {
    /// Keeps a datagram while there is room.
    pub fn keep(&mut self, path: Path, datagram: &[u8]) {
        if self.path != Some(path) {
            self.path = Some(path);
            self.datagrams.clear();
        }
        if self.datagrams.len() < MAX_DATAGRAMS {
            self.datagrams.push(datagram.to_vec());
        }
    }

    /// What came by this path, which is proven now.
    pub fn take(&mut self, path: Path) -> Vec<Vec<u8>> {
        match self.path == Some(path) {
            true => std::mem::take(self).datagrams,
            false => Vec::new(),
        }
    }
}
