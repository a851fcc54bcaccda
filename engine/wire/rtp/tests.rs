use super::*;
use proptest::prelude::*;

fn write(two_byte: bool, elements: &[(u8, &[u8])]) -> Vec<u8> {
    let mut buffer = vec![0xff; 256];
    let mut writer = HeaderWriter::new(&mut buffer, true, 111, 0x1234, 0xdead_beef, 0x0102_0304);
    if two_byte {
        writer.two_byte();
    }
    for (id, value) in elements {
        writer.extension(*id, value);
    }
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

fn elements(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let header = Header::parse(packet).unwrap();
    let elements = header.extensions(packet);
    elements.map(|(id, value)| (id, value.to_vec())).collect()
}

#[test]
fn reads_what_it_writes() {
    let packet = write(false, &[]);
    assert_eq!(packet.len(), 12);
    let header = Header::parse(&packet).unwrap();
    assert!(header.marker && !header.has_padding && header.extension.is_none());
    assert_eq!(header.payload_type, 111);
    assert_eq!(header.sequence_number, 0x1234);
    assert_eq!(header.timestamp, 0xdead_beef);
    assert_eq!(header.ssrc, 0x0102_0304);
    assert_eq!(header.header_len, 12);
}

#[test]
fn one_byte_elements() {
    let packet = write(
        false,
        &[
            (1, b"a"),
            (15, b"x"),
            (0, b"x"),
            (2, b""),
            (14, &[7; 16]),
            (3, &[0; 17]),
        ],
    );
    assert_eq!(packet.len() % 4, 0);
    assert_eq!(elements(&packet), [(1, b"a".to_vec()), (14, vec![7; 16])]);
}

#[test]
fn two_byte_elements() {
    let packet = write(
        true,
        &[(1, b""), (0, b"x"), (200, &[7; 100]), (3, &[0; 255])],
    );
    assert_eq!(elements(&packet), [(1, vec![]), (200, vec![7; 100])]);
}

#[test]
fn contributing_sources_padding_and_truncation() {
    let mut packet = vec![0x80 | 0x20 | 0x10 | 2, 96];
    packet.extend_from_slice(&[0; 10 + 8]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 9, 0, 0]);
    packet.extend_from_slice(b"payload\x00\x00\x03");
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.header_len, 28);
    assert_eq!(header.payload(&packet), Ok(b"payload".as_slice()));
    assert_eq!(elements(&packet), [(1, vec![9])]);
    for len in 0..28 {
        assert!(Header::parse(&packet[..len]).is_err());
    }
    *packet.last_mut().unwrap() = 11;
    assert_eq!(header.payload(&packet), Err(Malformed));
    *packet.last_mut().unwrap() = 0;
    assert_eq!(header.payload(&packet), Err(Malformed));
    packet[0] = 0x40;
    assert!(Header::parse(&packet).is_err());
}

#[test]
fn stops_at_a_malformed_element() {
    let mut packet = write(false, &[(1, b"a"), (2, b"b")]);
    packet[18] = 0x2f;
    assert_eq!(elements(&packet), [(1, b"a".to_vec())]);
}

proptest! {
    #[test]
    fn never_panics(mut packet in prop::collection::vec(any::<u8>(), 0..300), header in any::<bool>()) {
        if header && packet.len() > 14 {
            packet[0] = (packet[0] & 0x3f) | 0x80;
            packet[12..14].copy_from_slice(&[0xbe, 0xde]);
        }
        if let Ok(header) = Header::parse(&packet) {
            header.extensions(&packet).count();
            header.extensions(&[]).count();
            let _ = header.payload(&packet);
            let _ = header.payload(&[]);
        }
    }
}
