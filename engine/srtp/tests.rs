use super::derivation::{Label, derive};
use super::transform::Transform;
use super::*;
use crate::wire::rtp::{Header, HeaderWriter};
use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
use proptest::prelude::*;

const PROFILES: [Profile; 3] = [
    Profile::AeadAes128Gcm,
    Profile::AeadAes256Gcm,
    Profile::Aes128CmHmacSha1_80,
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn pair(profile: Profile) -> (Sender, Receiver) {
    let len = 2 * (profile.master_key_len() + profile.master_salt_len());
    let material: Vec<u8> = (0..len as u8).collect();
    let [client, _] = split_keying_material(profile, &material).unwrap();
    (
        Sender::new(profile, &client),
        Receiver::new(profile, &client),
    )
}

fn protected(sender: &Sender, ssrc: u32, index: u64) -> Vec<u8> {
    let mut packet = vec![0; 256];
    let mut writer = HeaderWriter::new(&mut packet, false, 96, index as u16, 5, ssrc);
    writer.extension(1, b"ext");
    let header_len = writer.finish();
    packet[header_len..header_len + 7].copy_from_slice(b"payload");
    let len = sender
        .protect_rtp(&mut packet, header_len + 7, header_len, index)
        .unwrap();
    packet.truncate(len);
    packet
}

fn receive(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Rejected> {
    let mut packet = packet.to_vec();
    let header = Header::parse(&packet).unwrap();
    let len = receiver.unprotect_rtp(&mut packet, &header)?;
    packet.truncate(len);
    Ok(header.payload(&packet).unwrap().to_vec())
}

/// A report of a source, under the sender's next RTCP index.
fn protected_rtcp(sender: &mut Sender, ssrc: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    crate::wire::rtcp::push_pli(&mut packet, ssrc, 4);
    sender.protect_rtcp(&mut packet).unwrap();
    packet
}

fn rtcp() -> Vec<u8> {
    let mut packet = Vec::new();
    crate::wire::rtcp::push_pli(&mut packet, 3, 4);
    packet
}

#[test]
fn a_payload_from_elsewhere_is_sealed_as_one_in_its_place() {
    for profile in PROFILES {
        let (sender, _) = pair(profile);
        for length in [0, 1, 15, 16, 17, 300, 1180] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut whole = vec![0; 2048];
            let header_len = HeaderWriter::new(&mut whole, true, 96, 7, 5, 6).finish();
            let mut header_alone = whole.clone();
            let end = header_len + length;
            whole[header_len..end].copy_from_slice(&payload);
            let in_place = sender.protect_rtp(&mut whole, end, header_len, 7);
            let from = sender.protect_rtp_from(&mut header_alone, header_len, &payload, 7);
            assert_eq!(in_place, from);
            let length = in_place.expect("there is room");
            assert_eq!(whole[..length], header_alone[..length]);
            let short = &mut header_alone[..length - 1];
            assert_eq!(
                sender.protect_rtp_from(short, header_len, &payload, 7),
                None
            );
        }
    }
}

#[test]
fn rfc_3711_appendix_b_3() {
    let profile = Profile::Aes128CmHmacSha1_80;
    let master = Master::new(
        profile,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .unwrap();
    assert_eq!(
        derive::<16>(profile, &master, Label::RtpEncryption).to_vec(),
        hex("C61E7A93744F39EE10734AFE3FF7A087")
    );
    assert_eq!(
        derive::<14>(profile, &master, Label::RtpSalt).to_vec(),
        hex("30CBBC08863D8C85D49DB34A9AE1")
    );
    assert_eq!(
        derive::<20>(profile, &master, Label::RtpAuthentication).to_vec(),
        hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    );
}

fn rfc_7714_transform() -> Transform {
    let key = hex("000102030405060708090a0b0c0d0e0f");
    Transform::Gcm {
        key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap()),
        salt: super::transform::GcmSalt::new(*b"Quid pro quo"),
    }
}

#[test]
fn rfc_7714_section_16_1_1() {
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
        69736120 696e2070 61727465 73207472 6573",
    );
    let sealed = hex(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
        0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
    let mut packet = plain.clone();
    packet.resize(plain.len() + MAX_OVERHEAD, 0);
    let transform = rfc_7714_transform();
    let len = transform.seal_rtp(&mut packet, plain.len(), 12, 0xf17b);
    assert_eq!(len, Some(sealed.len()));
    assert_eq!(packet, sealed);
    assert_eq!(
        transform.open_rtp(&mut packet, 12, 0xf17b),
        Some(plain.len())
    );
    assert!(packet.starts_with(&plain));
}

#[test]
fn rfc_7714_section_17_1() {
    let plain = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
        deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let sealed = hex(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
        c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade
        800005d4",
    );
    let transform = rfc_7714_transform();
    let mut packet = plain.clone();
    transform.seal_rtcp(&mut packet, 0x5d4).unwrap();
    assert_eq!(packet, sealed);
    assert_eq!(transform.rtcp_index(&packet), Some(0x5d4));
    assert_eq!(transform.open_rtcp(&mut packet, 0x5d4), Some(plain.len()));
    assert!(packet.starts_with(&plain));
}

#[test]
fn splits_in_the_order_of_rfc_5764() {
    let profile = Profile::Aes128CmHmacSha1_80;
    let material: Vec<u8> = (0..60).collect();
    let [client, server] = split_keying_material(profile, &material).unwrap();
    assert_eq!(client.key[..16], material[..16]);
    assert_eq!(server.key[..16], material[16..32]);
    assert_eq!(client.salt, material[32..46]);
    assert_eq!(server.salt, material[46..]);
    assert!(split_keying_material(profile, &material[1..]).is_none());
}

#[test]
fn round_trips_and_rejects_replays() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = protected(&sender, 1, 100);
        assert_eq!(receive(&mut receiver, &packet), Ok(b"payload".to_vec()));
        assert_eq!(receive(&mut receiver, &packet), Err(Rejected::Replayed));
        let newer = protected(&sender, 1, 700);
        assert!(receive(&mut receiver, &newer).is_ok());
        let old = protected(&sender, 1, 101);
        assert_eq!(receive(&mut receiver, &old), Err(Rejected::Replayed));

        let mut packet = rtcp();
        sender.protect_rtcp(&mut packet).unwrap();
        assert_ne!(packet[8..12], rtcp()[8..12]);
        let replayed = packet.clone();
        assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(12));
        assert_eq!(packet[..12], rtcp());
        let result = receiver.unprotect_rtcp(&mut replayed.clone());
        assert_eq!(result, Err(Rejected::Replayed));
        assert_eq!(sender.protect_rtcp(&mut vec![0; 7]), None);
    }
}

#[test]
fn tampering_is_rejected_and_leaves_no_state() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = protected(&sender, 1, 100);
        // A flipped bit of the first bytes may make the packet no RTP; from the sequence number on it stays one.
        for at in 2..packet.len() {
            if (12..16).contains(&at) {
                continue;
            }
            let mut tampered = packet.clone();
            tampered[at] ^= 1;
            let result = receive(&mut receiver, &tampered);
            assert_eq!(result, Err(Rejected::NotAuthentic), "byte {at}");
        }
        assert!(receive(&mut receiver, &packet).is_ok());
        // A forged far sequence number does not move the window.
        let mut forged = protected(&sender, 1, 30_000);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(receive(&mut receiver, &forged), Err(Rejected::NotAuthentic));
        assert!(receive(&mut receiver, &protected(&sender, 1, 101)).is_ok());

        let mut packet = rtcp();
        sender.protect_rtcp(&mut packet).unwrap();
        for at in 0..packet.len() {
            let mut tampered = packet.clone();
            tampered[at] ^= 1;
            let result = receiver.unprotect_rtcp(&mut tampered);
            assert_eq!(result, Err(Rejected::NotAuthentic), "byte {at}");
        }
        assert!(receiver.unprotect_rtcp(&mut packet).is_ok());
    }
}

#[test]
fn the_rollover_counter_follows_wraps_and_reordering() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        for wrap in 0..3u64 {
            let wrap = wrap << 16;
            for offset in [30_000, 60_000, 65_533, 65_536, 65_534, 65_537, 65_535] {
                let packet = protected(&sender, 1, wrap + offset);
                assert!(receive(&mut receiver, &packet).is_ok(), "{wrap} {offset}");
                assert!(receive(&mut receiver, &packet).is_err());
            }
        }
    }
}

/// Who adds and closes tracks for as long as a session lives uses more sources than have windows at once.
#[test]
fn of_more_streams_than_have_windows_none_is_accepted_twice() {
    let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let running = protected(&sender, 0, 1);
    assert!(receive(&mut receiver, &running).is_ok());
    let mut old = Vec::new();
    for ssrc in 1..1000 {
        let late = protected(&sender, ssrc, 1);
        let first = protected(&sender, ssrc, 2);
        assert!(receive(&mut receiver, &first).is_ok());
        assert_eq!(receive(&mut receiver, &first), Err(Rejected::Replayed));
        let next = protected(&sender, 0, 1 + u64::from(ssrc));
        assert!(receive(&mut receiver, &next).is_ok());
        assert_eq!(receive(&mut receiver, &running), Err(Rejected::Replayed));
        old.extend([first, late]);
    }
    assert!(receiver.streams() <= 256);
    for old in &old[..1000] {
        assert_eq!(receive(&mut receiver, old), Err(Rejected::Replayed));
    }
    // It is heard again where it goes on, past a turn of its numbers too.
    for index in [3, 30_000, 60_000, 70_000] {
        let next = protected(&sender, 1, index);
        assert!(receive(&mut receiver, &next).is_ok(), "{index}");
        for old in [&next, &old[0], &old[1]] {
            assert!(receive(&mut receiver, old).is_err(), "{index}");
        }
        for ssrc in 2000..2300 {
            let other = protected(&sender, ssrc, index);
            assert!(receive(&mut receiver, &other).is_ok());
        }
    }
}

#[test]
fn of_more_streams_than_have_windows_no_report_is_accepted_twice() {
    let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let mut report = |ssrc: u32| {
        let mut packet = vec![0x80, 201, 0, 1];
        packet.extend(ssrc.to_be_bytes());
        sender.protect_rtcp(&mut packet).unwrap();
        packet
    };
    let reports: Vec<_> = (0..1000).map(&mut report).collect();
    for packet in &reports {
        assert!(receiver.unprotect_rtcp(&mut packet.clone()).is_ok());
    }
    for packet in &reports {
        let again = receiver.unprotect_rtcp(&mut packet.clone());
        assert_eq!(again, Err(Rejected::Replayed));
    }
    assert!(receiver.unprotect_rtcp(&mut report(0)).is_ok());
}

/// What cannot be remembered is not heard: nobody could tell whether it is repeated.
#[test]
fn a_peer_of_too_many_streams_is_heard_on_those_that_it_has() {
    let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let heard = (0..20_000)
        .filter(|&ssrc| receive(&mut receiver, &protected(&sender, ssrc, 1)).is_ok())
        .count();
    assert_eq!(heard, 16_384 + 256);
    for ssrc in [0, 16_000] {
        let next = protected(&sender, ssrc, 2);
        assert!(receive(&mut receiver, &next).is_ok());
        assert_eq!(receive(&mut receiver, &next), Err(Rejected::Replayed));
    }
}

/// An eavesdropper may keep packets until the window of their source is gone.
#[test]
fn what_a_source_sent_before_it_lost_its_window_is_not_accepted_again() {
    let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    // One source in its first turn of sequence numbers, one after a rollover.
    let kept: Vec<_> = (65_500..65_600)
        .map(|index| protected(&sender, 0, index))
        .collect();
    let report = protected_rtcp(&mut sender, 0);
    for packet in &kept {
        assert!(receive(&mut receiver, packet).is_ok());
    }
    assert!(receiver.unprotect_rtcp(&mut report.clone()).is_ok());
    for ssrc in 1..1000 {
        assert!(receive(&mut receiver, &protected(&sender, ssrc, 1)).is_ok());
        let mut report = protected_rtcp(&mut sender, ssrc);
        assert!(receiver.unprotect_rtcp(&mut report).is_ok());
    }
    for packet in &kept {
        assert!(receive(&mut receiver, packet).is_err());
    }
    let replayed = receiver.unprotect_rtcp(&mut report.clone());
    assert_eq!(replayed, Err(Rejected::Replayed));
    // The source goes on with its rollover counter, and has a window again.
    let next = protected(&sender, 0, 65_700);
    assert!(receive(&mut receiver, &next).is_ok());
    assert_eq!(receive(&mut receiver, &next), Err(Rejected::Replayed));
    assert!(receive(&mut receiver, &protected(&sender, 0, 65_650)).is_ok());
    for packet in &kept {
        assert!(receive(&mut receiver, packet).is_err());
    }
    let mut next = protected_rtcp(&mut sender, 0);
    assert!(receiver.unprotect_rtcp(&mut next).is_ok());
}

#[test]
fn no_room_for_the_tag_is_not_a_panic() {
    for profile in PROFILES {
        let (sender, _) = pair(profile);
        assert_eq!(sender.protect_rtp(&mut [0x80; 20], 20, 12, 1), None);
        assert_eq!(sender.protect_rtp(&mut [0x80; 60], 10, 12, 1), None);
        assert_eq!(sender.protect_rtp(&mut [], 0, 0, 1), None);
    }
}

proptest! {
    #[test]
    fn never_panics(packet in prop::collection::vec(any::<u8>(), 0..100), valid in any::<bool>()) {
        for profile in PROFILES {
            let (_, mut receiver) = pair(profile);
            let mut packet = packet.clone();
            if let (true, Some(first)) = (valid, packet.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            if let Ok(header) = Header::parse(&packet) {
                prop_assert!(receiver.unprotect_rtp(&mut packet, &header).is_err());
                let half = packet.len() / 2;
                prop_assert!(receiver.unprotect_rtp(&mut packet[..half], &header).is_err());
            }
            prop_assert!(receiver.unprotect_rtcp(&mut packet).is_err());
        }
    }
}
