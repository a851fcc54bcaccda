//! What a plain repeat must say again.
//!
//! Without RTX a packet is sent again under its old SRTP index, and so under its old nonce. AES-GCM then allows only the very
//! same packet: another header under the same nonce gives the authentication key away (RFC 7714 section 9.1, NIST SP 800-38D
//! appendix A). So what headers say of their leaving is kept, from the first time on that a peer without RTX asks. Much else
//! shapes a packet: header extensions and formats of both peers. So the authentication tag is kept, too: a repeat that comes out
//! with another one is another packet, and never leaves.

/// Packets that can be asked for: two seconds of video, ten of audio.
const KEPT: usize = 512;

/// What a header says of its packet's leaving, and no other packet's does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaving {
    /// The transport-wide number.
    pub number: u16,
    /// The absolute send time, 24 bits.
    pub send_time: [u8; 3],
    /// Whether it names its mid.
    pub names_mid: bool,
}

/// The end of a protected packet: its authentication tag, or a part of it. Under one nonce, equal ends mean equal packets.
pub type Seal = [u8; 8];

/// A packet that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// What its header said.
    pub leaving: Leaving,
    /// What a repeat must come out as.
    pub seal: Seal,
}

/// The last packets of a stream; `Form` is what shapes all of their headers alike.
pub struct Repeats<Form> {
    form: Form,
    kept: Box<[(u64, Sent)]>,
}

impl<Form: Copy + Eq> Repeats<Form> {
    /// Nothing has been sent yet.
    pub fn new(form: Form) -> Repeats<Form> {
        Repeats {
            form,
            kept: vec![(u64::MAX, Sent::default()); KEPT].into_boxed_slice(),
        }
    }

    /// Notes a packet by its SRTP index.
    pub fn sent(&mut self, form: Form, index: u64, sent: Sent) {
        if self.form != form {
            *self = Repeats::new(form);
        }
        self.kept[index as usize % KEPT] = (index, sent);
    }

    /// The packet, if it can be sent again.
    pub fn find(&self, form: Form, index: u64) -> Option<Sent> {
        let (kept, sent) = self.kept[index as usize % KEPT];
        (kept == index && self.form == form).then_some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_until_others_took_their_place_or_headers_changed() {
        let leaving = |number| Sent {
            leaving: Leaving {
                number,
                ..Leaving::default()
            },
            ..Sent::default()
        };
        let mut repeats = Repeats::new('a');
        assert_eq!(repeats.find('a', 0), None);
        repeats.sent('a', 1, leaving(7));
        assert_eq!(repeats.find('a', 1), Some(leaving(7)));
        assert_eq!(repeats.find('b', 1), None);
        repeats.sent('a', 1 + KEPT as u64, leaving(8));
        assert_eq!(repeats.find('a', 1), None);
        repeats.sent('b', 2, leaving(9));
        assert_eq!(repeats.find('a', 1 + KEPT as u64), None);
        assert_eq!(repeats.find('b', 2), Some(leaving(9)));
    }
}
