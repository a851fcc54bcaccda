//! Records and the handshake messages in those of epoch 0 (RFC 6347 sections 4.1 and 4.2.2, RFC 9147 section 4), read before
//! anything in them is believed.

/// Content types.
pub const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// A part of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A fragment of a handshake message that anybody could have written.
    Fragment(Fragment<'a>),
    /// A ChangeCipherSpec, whole with its header.
    ChangeCipherSpec(&'a [u8]),
    /// Another record of epoch 0: an alert, application data, an acknowledgement or something unknown.
    Plain,
    /// A record that claims to be protected: of DTLS 1.2, whole with its header.
    Protected(&'a [u8]),
    /// The rest of the datagram from the first record on that has the header of DTLS 1.3.
    Unified(&'a [u8]),
}

/// A fragment of a handshake message.
#[derive(Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The type of the message.
    pub kind: u8,
    /// Its number.
    pub number: u16,
    /// How long it claims to be.
    pub total: usize,
    /// Where the fragment begins.
    pub offset: usize,
    /// The fragment.
    pub bytes: &'a [u8],
    /// The number of the record, 48 bits.
    pub record: [u8; 6],
}

/// Takes a datagram apart; it ends at the first thing that is no record.
pub fn pieces(datagram: &[u8]) -> Pieces<'_> {
    Pieces {
        rest: datagram,
        messages: &[],
        record: [0; 6],
    }
}

/// An iterator over a datagram.
pub struct Pieces<'a> {
    rest: &'a [u8],
    /// What is left of a record with handshake messages, and its number.
    messages: &'a [u8],
    record: [u8; 6],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            if let Some(fragment) = self.fragment() {
                return Some(Piece::Fragment(fragment));
            }
            let &first = self.rest.first()?;
            // RFC 9147 section 4.1: 001xxxxx.
            if first & 0b1110_0000 == 0b0010_0000 {
                return Some(Piece::Unified(std::mem::take(&mut self.rest)));
            }
            let header = self.rest.first_chunk::<13>()?;
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let (whole, rest) = self.rest.split_at_checked(13 + length)?;
            self.rest = rest;
            let is_plain = header[3..5] == [0, 0];
            return Some(match first {
                _ if !is_plain => Piece::Protected(whole),
                CHANGE_CIPHER_SPEC => Piece::ChangeCipherSpec(whole),
                HANDSHAKE => {
                    self.messages = &whole[13..];
                    self.record.copy_from_slice(&header[5..11]);
                    continue;
                }
                _ => Piece::Plain,
            });
        }
    }
}

impl<'a> Pieces<'a> {
    fn fragment(&mut self) -> Option<Fragment<'a>> {
        let (header, body) = std::mem::take(&mut self.messages).split_first_chunk::<12>()?;
        let number = |at: usize| {
            u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]) as usize
        };
        let (bytes, rest) = body.split_at_checked(number(9))?;
        self.messages = rest;
        Some(Fragment {
            kind: header[0],
            number: u16::from_be_bytes([header[4], header[5]]),
            total: number(1),
            offset: number(6),
            bytes,
            record: self.record,
        })
    }
}

/// A whole handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: u8,
    /// Its number.
    pub number: u16,
    /// What is in it.
    pub body: Vec<u8>,
    /// The number of the record that completed it.
    pub record: [u8; 6],
}

impl Message {
    /// Appends it as a record of its own, in one fragment.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        let length = &(self.body.len() as u32).to_be_bytes()[1..];
        datagram.extend([HANDSHAKE, 0xfe, 0xfd, 0, 0]);
        datagram.extend(self.record);
        datagram.extend((self.body.len() as u16 + 12).to_be_bytes());
        datagram.push(self.kind);
        datagram.extend(length);
        datagram.extend(self.number.to_be_bytes());
        datagram.extend([0; 3]);
        datagram.extend(length);
        datagram.extend(&self.body);
    }

    /// It as a datagram.
    pub fn datagram(&self) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(self.body.len() + 25);
        self.write(&mut datagram);
        datagram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_taken_apart() {
        let message = Message {
            kind: 11,
            number: 3,
            body: b"certificate".to_vec(),
            record: [0, 0, 0, 0, 1, 2],
        };
        let mut datagram = message.datagram();
        let change = [20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1];
        let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 2, 40];
        let protected = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 9];
        let unified = [0b0010_1110, 1, 2, 3];
        for piece in [&change[..], &alert, &protected, &unified] {
            datagram.extend(piece);
        }
        let fragment = Fragment {
            kind: 11,
            number: 3,
            total: 11,
            offset: 0,
            bytes: b"certificate",
            record: [0, 0, 0, 0, 1, 2],
        };
        let expected = [
            Piece::Fragment(fragment),
            Piece::ChangeCipherSpec(&change),
            Piece::Plain,
            Piece::Protected(&protected),
            Piece::Unified(&unified),
        ];
        assert!(pieces(&datagram).eq(expected));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(datagram: Vec<u8>) {
            assert!(pieces(&datagram).count() <= datagram.len());
        }
    }
}
