//! Descriptors made bit by bit, as an encoder of two sizes and two frame rates makes them.

use proptest::prelude::*;

use super::*;
use crate::codec::layer::{Layer, Placement};

/// The structure of L2T2_KEY: each picture of the larger size is predicted from the smaller one only at key frames.
/// Layer, indications for the four decode targets, references.
const TEMPLATES: [(u8, u8, &str, &[u8]); 6] = [
    (0, 0, "SSSS", &[]),
    (0, 0, "SS--", &[4]),
    (0, 1, "-D--", &[2]),
    (1, 0, "--SS", &[1]),
    (1, 0, "--SS", &[4]),
    (1, 1, "---D", &[2]),
];
const ID_OFFSET: u8 = 60;

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    fn put(&mut self, count: usize, value: u32) {
        for at in (0..count).rev() {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> at & 1) as u8;
            self.bytes[self.count / 8] |= bit << (7 - self.count % 8);
            self.count += 1;
        }
    }

    fn put_structure(&mut self) {
        self.put(6, ID_OFFSET.into());
        self.put(5, 3);
        for (at, template) in TEMPLATES.iter().enumerate() {
            let next = match TEMPLATES.get(at + 1) {
                None => 3,
                Some(next) if next.0 > template.0 => 2,
                Some(next) => u32::from(next.1 - template.1),
            };
            self.put(2, next);
        }
        for (_, _, indications, _) in TEMPLATES {
            for indication in indications.bytes() {
                let value = b"-DSR".iter().position(|&known| known == indication);
                self.put(2, value.unwrap() as u32);
            }
        }
        for (_, _, _, references) in TEMPLATES {
            for &reference in references {
                self.put(1, 1);
                self.put(4, u32::from(reference) - 1);
            }
            self.put(1, 0);
        }
        // Two chains of at most four: ns(5) says 2 in two bits. Decode targets 0 and 1 by the first of them.
        self.put(2, 2);
        for chain in [0, 0, 1, 1] {
            self.put(1, chain);
        }
        for _ in 0..TEMPLATES.len() * 2 {
            self.put(4, 1);
        }
        // Sizes.
        self.put(1, 1);
        for size in [(319, 179), (639, 359)] {
            self.put(16, size.0);
            self.put(16, size.1);
        }
    }
}

/// The descriptor of a packet that is a whole frame. `picture` counts from the key frame, which is number 0.
pub fn l2t2_key(picture: u16, spatial: u8) -> Vec<u8> {
    let mut writer = Writer::default();
    let (is_key, temporal) = (picture == 0, (picture % 2) as u8);
    let template = TEMPLATES.iter().position(|template| {
        (template.0, template.1) == (spatial, temporal)
            && (temporal == 1 || is_key == (template.3.is_empty() || template.3 == [1]))
    });
    let id = (ID_OFFSET + template.unwrap() as u8) & 0x3f;
    writer.put(2, 3);
    writer.put(6, id.into());
    writer.put(16, u32::from(picture * 2 + u16::from(spatial) + 1));
    if is_key && spatial == 0 {
        writer.put(5, 0b10000);
        writer.put_structure();
    }
    writer.bytes
}

fn read(descriptor: &[u8], structure: &mut Option<Box<Structure>>) -> Placement {
    place(descriptor, structure).unwrap()
}

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer::new(spatial, temporal).unwrap()
}

#[test]
fn a_structure_tells_what_later_frames_are() {
    let mut structure = None;
    assert!(
        place(&l2t2_key(1, 0), &mut structure).is_none(),
        "no structure yet"
    );
    let key = read(&l2t2_key(0, 0), &mut structure);
    let all: Vec<Layer> = key.offered.iter().collect();
    assert_eq!(all, [layer(0, 0), layer(0, 1), layer(1, 0), layer(1, 1)]);
    assert_eq!(
        (key.needed, key.switch, key.references),
        (key.offered, key.offered, 0)
    );

    let small = read(&l2t2_key(2, 0), &mut structure);
    assert_eq!((small.layer, small.frame_number), (layer(0, 0), Some(5)));
    assert_eq!(
        small.needed.iter().collect::<Vec<_>>(),
        [layer(0, 0), layer(0, 1)]
    );
    assert_eq!(small.references, 1 << 3);
    let fast = read(&l2t2_key(3, 1), &mut structure);
    assert_eq!(fast.needed.iter().collect::<Vec<_>>(), [layer(1, 1)]);
    assert!(fast.ends_frame && fast.switch.iter().next().is_none());
}

#[test]
fn a_frame_may_say_other_things_than_its_template_and_targets_can_be_off() {
    let mut structure = None;
    read(&l2t2_key(0, 0), &mut structure);
    let mut writer = Writer::default();
    writer.put(8, u32::from(0xc0 | ID_OFFSET));
    writer.put(16, 9);
    // Active targets, own indications, own references.
    writer.put(5, 0b01110);
    writer.put(4, 0b1100);
    for indication in [0, 2, 2, 2] {
        writer.put(2, indication);
    }
    writer.put(2, 2);
    writer.put(8, 20 - 1);
    writer.put(2, 0);
    let own = read(&writer.bytes, &mut structure);
    assert_eq!(
        own.offered.iter().collect::<Vec<_>>(),
        [layer(0, 0), layer(0, 1)]
    );
    assert_eq!(own.needed.iter().collect::<Vec<_>>(), [layer(0, 1)]);
    assert_eq!(own.references, 1 << 19);
    let next = read(&l2t2_key(5, 0), &mut structure);
    assert_eq!(
        next.offered.iter().count(),
        2,
        "until another frame says otherwise"
    );
}

#[test]
fn what_is_cut_short_says_nothing() {
    let whole = l2t2_key(0, 0);
    for length in 0..whole.len() {
        let mut structure = None;
        let cut = place(&whole[..length], &mut structure);
        assert!(cut.is_none(), "{length}");
    }
}

#[test]
fn the_number_is_read_and_goes_on_by_an_offset() {
    let mut descriptor = [0x80, 0xff, 0xfe];
    assert_eq!(frame_number(&descriptor), Some(0xfffe));
    renumber(&mut descriptor, 3);
    assert_eq!(descriptor, [0x80, 0x00, 0x01]);
    let mut short = [0x80, 0xff];
    renumber(&mut short, 3);
    assert_eq!((frame_number(&short), short), (None, [0x80, 0xff]));
}

#[test]
fn a_frame_that_brings_the_structure_can_be_joined() {
    assert!(starts_key_frame(&[0x80, 0, 1, 0x80]));
    assert!(!starts_key_frame(&[0x80, 0, 1, 0x00]));
    assert!(!starts_key_frame(&[0x00, 0, 1, 0x80]));
    assert!(!starts_key_frame(&[0x80, 0, 1]));
    assert!(!starts_key_frame(&[]));
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(
        first in prop::collection::vec(any::<u8>(), 0..255),
        second in prop::collection::vec(any::<u8>(), 0..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..6),
    ) {
        let mut structure = None;
        place(&first, &mut structure);
        place(&second, &mut structure);
        let mut changed = l2t2_key(0, 0);
        for (index, bit) in flips {
            let at = index.index(changed.len());
            changed[at] ^= 1 << bit;
        }
        place(&changed, &mut structure);
        place(&second, &mut structure);
    }
}
