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

mod layers {
    use super::super::layer::{Layer, Placement};
    use super::super::{Codec, LayerReader, vp8, vp9};
    use proptest::prelude::*;

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer::new(spatial, temporal).unwrap()
    }

    /// A VP8 descriptor with that temporal layer.
    fn vp8_packet(temporal: u8, sync: bool) -> Option<Placement> {
        let field = temporal << 6 | u8::from(sync) << 5;
        vp8::placement(&[0x90, 0xe0, 0x85, 0x01, 0x07, field, 0x51])
    }

    #[test]
    fn vp8_says_at_which_frame_rate_a_frame_is_needed_and_where_rates_can_rise() {
        assert_eq!(vp8::placement(&[0x10, 0x50]), None);
        assert_eq!(vp8::placement(&[0x90, 0xc0, 0x05, 0x07, 0x50]), None);
        let middle = vp8_packet(1, false).unwrap();
        assert_eq!(middle.layer, layer(0, 1));
        assert!(middle.needed.contains(layer(0, 2)) && !middle.needed.contains(layer(0, 0)));
        assert!(!middle.permits(layer(0, 0), layer(0, 1)));
        let sync = vp8_packet(1, true).unwrap();
        assert!(sync.permits(layer(0, 0), layer(0, 2)));
        let base = vp8_packet(0, false).unwrap();
        assert!(!base.permits(layer(0, 0), layer(0, 2)));
    }

    struct Vp9 {
        temporal: u8,
        spatial: u8,
        rate_switch: bool,
        is_predicted: bool,
        is_for_above: bool,
        sizes: Option<u8>,
    }

    /// In flexible mode, with one reference where predicted.
    fn vp9_packet(packet: &Vp9, sizes: &mut Option<u8>) -> Option<Placement> {
        let flag = |bit: u8, is_set: bool| if is_set { bit } else { 0 };
        let mut payload = vec![
            0x80 | 0x20
                | 0x10
                | 0x08
                | 0x04
                | flag(0x40, packet.is_predicted)
                | flag(0x02, packet.sizes.is_some())
                | flag(0x01, !packet.is_for_above),
            0x81,
            0x05,
            packet.temporal << 5 | flag(0x10, packet.rate_switch) | packet.spatial << 1,
        ];
        if packet.is_predicted {
            payload.push(2 << 1);
        }
        if let Some(sizes) = packet.sizes {
            payload.push((sizes - 1) << 5);
        }
        vp9::placement(&payload, sizes)
    }

    #[test]
    fn vp9_says_on_which_sizes_a_frame_is_needed_once_it_told_how_many_there_are() {
        let mut sizes = None;
        let mut packet = Vp9 {
            temporal: 0,
            spatial: 0,
            rate_switch: true,
            is_predicted: true,
            is_for_above: false,
            sizes: None,
        };
        assert_eq!(vp9_packet(&packet, &mut sizes), None);
        let key = Vp9 {
            is_predicted: false,
            is_for_above: true,
            sizes: Some(3),
            ..packet
        };
        let key = vp9_packet(&key, &mut sizes).unwrap();
        assert!(key.permits(layer(0, 0), layer(2, 3)));
        assert_eq!(key.offered.iter().count(), 12);

        // As with _KEY: what is above does not depend on it.
        let small = vp9_packet(&packet, &mut sizes).unwrap();
        assert!(!small.needed.contains(layer(1, 0)));
        assert!(
            small.permits(layer(0, 0), layer(0, 2)),
            "a switching-up point"
        );
        assert!(
            !small.permits(layer(0, 0), layer(1, 0)) && !small.permits(layer(2, 0), layer(1, 0))
        );
        // Without: it falls as it likes, and rises at key frames only.
        packet.is_for_above = true;
        let below = vp9_packet(&packet, &mut sizes).unwrap();
        assert!(below.needed.contains(layer(2, 0)));
        assert!(
            below.permits(layer(2, 0), layer(1, 0)) && !below.permits(layer(1, 0), layer(2, 0))
        );
        packet.rate_switch = false;
        packet.temporal = 1;
        let fast = vp9_packet(&packet, &mut sizes).unwrap();
        assert!(!fast.permits(layer(0, 0), layer(0, 1)));
    }

    proptest! {
        #[test]
        fn any_payload_can_be_placed(payloads in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..12), 1..8)) {
            let mut reader = LayerReader::default();
            for payload in &payloads {
                for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
                    reader.read(codec, payload, None);
                    reader.read(codec, payload, Some(payload));
                }
            }
        }
    }
}
