//! What tests know of a sender's packets: under one nonce there is one packet.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::wire::read_u32;

/// Packets that have left, by SSRC and index, all under the same key.
#[derive(Debug, Default)]
pub struct Sent(Mutex<HashMap<(u32, u64), Vec<u8>>>);

impl Sent {
    /// Notes a packet. A packet that repeats another one to the byte is no second packet.
    pub fn note(&self, packet: &[u8], index: u64) {
        let ssrc = read_u32(packet, 8).expect("a header");
        let mut sent = self.0.lock().expect("not poisoned");
        let first = sent.entry((ssrc, index)).or_insert_with(|| packet.to_vec());
        assert_eq!(first, packet, "two packets of SSRC {ssrc}, index {index}");
    }
}
