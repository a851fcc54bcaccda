//! Forward error correction by parity, RFC 5109: which packets a peer protects, and the parity of such packets.

/// The FEC header (section 7.3).
const HEADER_LEN: usize = 10;
/// The header of level 0 (section 7.4) with the long mask.
const LEVEL_LEN: usize = 2 + 6;
/// Packets that the long mask can name.
pub const MASKED: u16 = 48;
/// The flag of the long mask.
const LONG_MASK: u8 = 0x40;
/// The fixed RTP header, which is protected by the FEC header.
const RTP_HEADER_LEN: usize = 12;

/// What a packet of FEC says that it protects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protected {
    base: u16,
    /// Its first bit is the packet with the number `base`.
    mask: u64,
    /// Bytes of each packet behind the fixed header.
    pub length: usize,
}

impl Protected {
    /// Reads the header and that of level 0; none where the payload is not as long as they say.
    pub fn read(payload: &[u8]) -> Option<Protected> {
        let (header, rest) = payload.split_first_chunk::<HEADER_LEN>()?;
        // The extension flag is for another header than this (section 7.3).
        if header[0] & 0x80 != 0 {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let mask_len = if header[0] & LONG_MASK == 0 { 2 } else { 6 };
        let (mask, parity) = rest.split_at_checked(mask_len)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let mut bytes = [0; 8];
        bytes[..mask_len].copy_from_slice(mask);
        (parity.len() >= length).then_some(Protected {
            base: u16::from_be_bytes([header[2], header[3]]),
            mask: u64::from_be_bytes(bytes),
            length,
        })
    }

    /// How many packets there are.
    pub fn count(self) -> u32 {
        self.mask.count_ones()
    }

    /// The sequence numbers of the packets.
    pub fn numbers(self) -> impl Iterator<Item = u16> {
        let bits = (0..MASKED).filter(move |bit| self.mask << bit >> 63 != 0);
        bits.map(move |bit| self.base.wrapping_add(bit))
    }
}

/// Makes a packet of FEC from the packets that it is to protect, one after another.
pub struct Parity<'a> {
    out: &'a mut [u8],
    base: Option<u16>,
    mask: u64,
    /// Bytes of the longest packet behind the fixed header.
    length: usize,
}

impl<'a> Parity<'a> {
    /// Nothing is protected yet; the payload is written to `out`.
    pub fn new(out: &'a mut [u8]) -> Parity<'a> {
        Parity {
            out,
            base: None,
            mask: 0,
            length: 0,
        }
    }

    /// Adds an RTP packet, the first one first. One that does not fit is not protected.
    pub fn add(&mut self, packet: &[u8]) {
        let Some((fixed, rest)) = packet.split_first_chunk::<RTP_HEADER_LEN>() else {
            return;
        };
        let number = u16::from_be_bytes([fixed[2], fixed[3]]);
        let distance = number.wrapping_sub(self.base.unwrap_or(number));
        let fits = self.out.len() >= HEADER_LEN + LEVEL_LEN + rest.len();
        if distance >= MASKED || !fits || u16::try_from(rest.len()).is_err() {
            return;
        }
        if self.base.is_none() {
            self.base = Some(number);
            self.out[..HEADER_LEN].fill(0);
        }
        self.mask |= 1 << 63 >> distance;
        // Version and number are not protected: the receiver knows them.
        self.out[0] ^= fixed[0] & 0x3f;
        self.out[1] ^= fixed[1];
        xor(&mut self.out[4..8], &fixed[4..8]);
        xor(&mut self.out[8..10], &(rest.len() as u16).to_be_bytes());
        let parity = &mut self.out[HEADER_LEN + LEVEL_LEN..];
        let (covered, new) = rest.split_at(self.length.min(rest.len()));
        xor(parity, covered);
        parity[covered.len()..rest.len()].copy_from_slice(new);
        self.length = self.length.max(rest.len());
    }

    /// Completes the payload and gives its length; none where nothing is protected.
    pub fn finish(self) -> Option<usize> {
        let base = self.base?;
        self.out[2..4].copy_from_slice(&base.to_be_bytes());
        self.out[0] |= LONG_MASK;
        let level = &mut self.out[HEADER_LEN..];
        level[..2].copy_from_slice(&(self.length as u16).to_be_bytes());
        level[2..LEVEL_LEN].copy_from_slice(&self.mask.to_be_bytes()[..6]);
        Some(HEADER_LEN + LEVEL_LEN + self.length)
    }
}

fn xor(into: &mut [u8], bytes: &[u8]) {
    for (into, byte) in into.iter_mut().zip(bytes) {
        *into ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(number: u16, rest: &[u8]) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        let mut packet = vec![0x90, 0xe0, high, low, 1, 2, number as u8, 4, 0, 0, 0, 7];
        packet.extend(rest);
        packet
    }

    /// What RFC 5109 section 8 has a receiver do, written from its text: the packet that is missing.
    fn recover(fec: &[u8], number: u16, others: &[Vec<u8>]) -> Vec<u8> {
        let mut string = [
            fec[0], fec[1], fec[4], fec[5], fec[6], fec[7], fec[8], fec[9],
        ];
        for other in others {
            let length = (other.len() as u16 - 12).to_be_bytes();
            let fields = [
                other[0], other[1], other[4], other[5], other[6], other[7], length[0], length[1],
            ];
            for (byte, field) in string.iter_mut().zip(fields) {
                *byte ^= field;
            }
        }
        let length = usize::from(u16::from_be_bytes([string[6], string[7]]));
        let mut rest = fec[18..].to_vec();
        for other in others {
            for (byte, other) in rest.iter_mut().zip(&other[12..]) {
                *byte ^= other;
            }
        }
        let mut packet = vec![0x80 | string[0] & 0x3f, string[1]];
        packet.extend(number.to_be_bytes());
        packet.extend(&string[2..6]);
        packet.extend([0, 0, 0, 7]);
        packet.extend(&rest[..length]);
        packet
    }

    #[test]
    fn both_masks_are_read_and_what_is_cut_off_is_none() {
        let mut short = vec![0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 3, 0xa0, 1, 1, 2, 3];
        let read = Protected::read(&short).unwrap();
        let numbers = [0xfffe, 0, 13];
        assert_eq!(
            (read.numbers().collect::<Vec<_>>(), read.length),
            (numbers.to_vec(), 3)
        );
        assert_eq!(Protected::read(&short[..16]), None);
        short[0] = LONG_MASK;
        short.extend([0; 6]);
        assert_eq!(Protected::read(&short).unwrap().numbers().count(), 7);
        short[0] |= 0x80;
        assert_eq!(Protected::read(&short), None);
    }

    #[test]
    fn packets_beyond_the_mask_or_the_room_are_not_protected() {
        let mut out = [0xaa; 64];
        let mut parity = Parity::new(&mut out);
        parity.add(&[1, 2, 3]);
        parity.add(&packet(9, &[1; 47]));
        parity.add(&packet(10, &[1; 46]));
        parity.add(&packet(58, &[2; 4]));
        parity.add(&packet(9, &[2; 4]));
        assert_eq!(parity.finish(), Some(64));
        let read = Protected::read(&out).unwrap();
        assert_eq!(read.numbers().collect::<Vec<_>>(), [10]);
        assert_eq!(Parity::new(&mut []).finish(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_none(payload: Vec<u8>) {
            if let Some(read) = Protected::read(&payload) {
                prop_assert!(read.numbers().count() <= 48 && read.length <= payload.len());
            }
        }

        #[test]
        fn each_packet_is_recovered_from_the_others(
            base: u16,
            steps in prop::collection::vec((1_u16..4, prop::collection::vec(any::<u8>(), 0..100)), 1..12),
            lost: prop::sample::Index) {
            let mut number = base;
            let mut packets = Vec::new();
            for (step, rest) in steps {
                packets.push(packet(number, &rest));
                number = number.wrapping_add(step);
            }
            let mut out = [0xaa; 200];
            let mut parity = Parity::new(&mut out);
            packets.iter().for_each(|packet| parity.add(packet));
            let length = parity.finish().unwrap();
            let read = Protected::read(&out[..length]).unwrap();
            let numbers = packets.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]]));
            prop_assert!(read.numbers().eq(numbers));
            let missing = packets.remove(lost.index(packets.len()));
            let number = u16::from_be_bytes([missing[2], missing[3]]);
            prop_assert_eq!(recover(&out[..length], number, &packets), missing);
        }
    }
}
