use super::*;
use proptest::prelude::*;

fn check(codec: Codec, key: &[&[u8]], other: &[&[u8]]) {
    for payload in key {
        assert!(starts_key_frame(codec, payload), "{codec:?} {payload:x?}");
    }
    for payload in other {
        assert!(!starts_key_frame(codec, payload), "{codec:?} {payload:x?}");
    }
}

#[test]
fn audio_can_always_be_joined() {
    for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::Red] {
        check(codec, &[&[], &[1]], &[]);
    }
}

#[test]
fn vp8() {
    check(
        Codec::Vp8,
        &[
            &[0x10, 0x50],
            &[0x90, 0x80, 0x05, 0x50],
            &[0x90, 0xf0, 0x85, 0x01, 0x07, 0x20, 0x50],
        ],
        &[
            &[],
            &[0x10],
            &[0x10, 0x51],
            &[0x00, 0x50],
            &[0x11, 0x50],
            &[0x90, 0x80, 0x85, 0x50],
            &[0x90, 0x80, 0x85, 0x50, 0x51],
        ],
    );
}

#[test]
fn vp9() {
    check(
        Codec::Vp9,
        &[
            &[0x08],
            &[0x88, 0x05],
            &[0xa8, 0x85, 0x01, 0x00],
            &[0x28, 0x11],
        ],
        &[
            &[],
            &[0x48],
            &[0x00],
            &[0xa8, 0x85, 0x01, 0x02],
            &[0x28],
            &[0xa8, 0x85, 0x01],
        ],
    );
}

#[test]
fn h264() {
    check(
        Codec::H264,
        &[
            &[0x65, 1],
            &[0x67, 1],
            &[0x78, 0, 2, 0x09, 0xf0, 0, 1, 0x67],
            &[0x7c, 0x85],
            &[0x7c, 0x87],
        ],
        &[
            &[],
            &[0x41, 1],
            &[0x68, 1],
            &[0x78, 0, 1, 0x68],
            &[0x78, 0, 9, 0x67],
            &[0x7c, 0x05],
            &[0x7c, 0x81],
            &[0x7c],
        ],
    );
}

#[test]
fn h265() {
    let header = |unit_type: u8| unit_type << 1;
    check(
        Codec::H265,
        &[
            &[header(19), 1],
            &[header(20), 1],
            &[header(21), 1],
            &[header(32), 1],
            &[header(33), 1],
            &[header(48), 1, 0, 2, header(34), 1, 0, 2, header(33), 1],
            &[header(49), 1, 0x80 | 19],
        ],
        &[
            &[],
            &[header(19)],
            &[header(1), 1],
            &[header(34), 1],
            &[header(48), 1, 0, 2, header(1), 1],
            &[header(49), 1, 19],
            &[header(49), 1, 0x80 | 1],
            &[header(49), 1],
        ],
    );
}

#[test]
fn av1() {
    check(
        Codec::Av1,
        &[&[0x18, 0x0a], &[0x08, 1]],
        &[&[], &[0x08], &[0x10, 1], &[0x90, 1]],
    );
}

#[test]
fn red_headers_are_rewritten_in_place() {
    let map = |payload_type| (payload_type == 111).then_some(96);
    let mut payload = [0x80 | 111, 1, 2, 3, 0x80 | 5, 1, 2, 3, 111, 111, 111];
    red::rewrite_block_payload_types(&mut payload, map);
    assert_eq!(
        payload,
        [0x80 | 96, 1, 2, 3, 0x80 | 5, 1, 2, 3, 96, 111, 111]
    );
    let mut truncated = [0x80 | 111, 1];
    red::rewrite_block_payload_types(&mut truncated, map);
    assert_eq!(truncated, [0x80 | 96, 1]);
}

proptest! {
    #[test]
    fn never_panics(mut payload in prop::collection::vec(any::<u8>(), 0..64)) {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
            starts_key_frame(codec, &payload);
        }
        red::rewrite_block_payload_types(&mut payload, Some);
    }
}

#[test]
fn picture_numbers_are_read_and_go_on_by_an_offset() {
    let offsets = PictureOffsets {
        picture_id: 3,
        base_layer_index: 2,
        frame_number: 0,
    };
    let cases: [(Codec, &[u8], PictureNumbers, &[u8]); 5] = [
        (
            Codec::Vp8,
            &[0x90, 0xe0, 0xff, 0xfe, 0xff, 0x20, 0x50],
            numbers(Some(0x7ffe), Some(0xff)),
            &[0x90, 0xe0, 0x80, 0x01, 0x01, 0x20, 0x50],
        ),
        (
            Codec::Vp8,
            &[0x90, 0x80, 0x7f, 0x50],
            numbers(Some(0x7f), None),
            &[0x90, 0x80, 0x02, 0x50],
        ),
        (
            Codec::Vp8,
            &[0x10, 0x50],
            numbers(None, None),
            &[0x10, 0x50],
        ),
        (
            Codec::Vp9,
            &[0xa8, 0x80, 0x05, 0x00, 0x09],
            numbers(Some(5), Some(9)),
            &[0xa8, 0x80, 0x08, 0x00, 0x0b],
        ),
        (
            Codec::Vp9,
            &[0x98, 0x05, 0x01],
            numbers(Some(5), None),
            &[0x98, 0x08, 0x01],
        ),
    ];
    for (codec, payload, expected, renumbered) in cases {
        assert_eq!(picture_numbers(codec, payload), expected, "{payload:x?}");
        let mut payload = payload.to_vec();
        renumber(codec, &mut payload, offsets);
        assert_eq!(payload, renumbered);
    }
}

fn numbers(picture_id: Option<u16>, base_layer_index: Option<u8>) -> PictureNumbers {
    PictureNumbers {
        picture_id,
        base_layer_index,
        frame_number: None,
    }
}

proptest! {
    #[test]
    fn any_payload_can_be_renumbered(mut payload in prop::collection::vec(any::<u8>(), 0..12), id: u16) {
        let offsets = PictureOffsets { picture_id: id, base_layer_index: id as u8, frame_number: 0 };
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264] {
            let before = payload.len();
            picture_numbers(codec, &payload);
            renumber(codec, &mut payload, offsets);
            prop_assert_eq!(payload.len(), before);
        }
    }
}
