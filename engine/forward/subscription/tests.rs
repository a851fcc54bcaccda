use std::time::{Duration, Instant};

use super::rewriting::KEY_FRAME_PATIENCE;
use super::{FormatMapping, Rewritten, Subscription, SubscriptionSettings};
use crate::codec::PictureNumbers;
use crate::core::{Discard, EncodingKey, SessionKey};
use crate::forward::encoding::Received;
use crate::forward::publication::MediaKind;

fn subscription(kind: MediaKind) -> Subscription {
    let settings = SubscriptionSettings {
        id: 1,
        publisher_session_id: String::new(),
        publication_id: 1,
        publisher_worker: 0,
        mid: "0".into(),
        ssrc: 5,
        rtx_ssrc: Some(6),
        formats: vec![FormatMapping {
            publication_payload_type: 96,
            payload_type: 120,
            rtx_payload_type: Some(121),
        }],
        choice: None,
    };
    let mut subscription = Subscription::new(settings, SessionKey::default(), None, kind, 99);
    subscription.aim(Some(encodings()[0]));
    subscription
}

fn encodings() -> [EncodingKey; 2] {
    let mut map = slotmap::SlotMap::with_key();
    [map.insert(()), map.insert(())]
}

/// A packet with a picture ID that follows its number.
fn packet(
    subscription: &mut Subscription,
    encoding: EncodingKey,
    timestamp: u32,
    received: Received,
    now: Instant,
) -> Result<Rewritten, Discard> {
    subscription.rewrite(encoding, 96, timestamp, &received, 90_000, now)
}

fn received(extended: u64, key_frame: bool, generation: u32) -> Received {
    Received {
        extended,
        key_frame,
        key_frames_are_told: true,
        generation,
        numbers: PictureNumbers {
            picture_id: Some(extended as u16 & 0x7fff),
            base_layer_index: None,
            frame_number: None,
        },
        placement: None,
        became_live: false,
    }
}

#[test]
fn video_begins_at_a_key_frame_and_stays_continuous() {
    let now = Instant::now();
    let [encoding, _] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let mut take = |extended, key_frame, timestamp| {
        let received = received(extended, key_frame, 1);
        packet(&mut subscription, encoding, timestamp, received, now)
    };
    assert_eq!(take(70_000, false, 0).err(), Some(Discard::BeforeKeyFrame));
    let first = take(70_001, true, 500).unwrap();
    assert_eq!(first.payload_type, 120);
    assert_eq!(take(70_003, false, 600).unwrap().index, first.index + 2);
    assert_eq!(take(70_002, false, 550).unwrap().index, first.index + 1);
    assert_eq!(take(69_999, false, 0).err(), Some(Discard::BeforeFirst));
}

#[test]
fn another_stream_of_the_publisher_goes_on_where_the_last_one_stopped() {
    let now = Instant::now();
    let [encoding, _] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let last = received(70_000, true, 1);
    let last = packet(&mut subscription, encoding, 90_000, last, now).unwrap();
    let later = now + Duration::from_millis(100);
    let next = received(66_000, true, 2);
    let next = packet(&mut subscription, encoding, 123, next, later).unwrap();
    assert_eq!(next.index, last.index + 1);
    assert_eq!(next.timestamp, last.timestamp + 9_000);
    assert!(!next.switched);
}

#[test]
fn a_switch_waits_for_the_targets_key_frame_while_the_old_picture_goes_on() {
    let now = Instant::now();
    let [old, new] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let first = received(70_000, true, 1);
    packet(&mut subscription, old, 0, first, now).unwrap();
    subscription.aim(Some(new));
    let early = packet(&mut subscription, new, 5, received(90_000, false, 1), now);
    assert_eq!(early.err(), Some(Discard::BeforeKeyFrame));
    let still = packet(&mut subscription, old, 9, received(70_001, false, 1), now).unwrap();
    let late = now + KEY_FRAME_PATIENCE * 2;
    let early = packet(&mut subscription, new, 5, received(90_001, false, 1), late);
    assert_eq!(
        early.err(),
        Some(Discard::BeforeKeyFrame),
        "key frames are told here"
    );
    let switched = packet(&mut subscription, new, 7, received(90_002, true, 1), now).unwrap();
    assert!(switched.switched);
    assert_eq!(subscription.take_left(), Some(old));
    assert_eq!(switched.index, still.index + 1);
    assert!(switched.timestamp > still.timestamp);
    // Picture 90002 follows picture 70001.
    let shown = (90_002_u32 as u16).wrapping_add(switched.picture_offsets.picture_id) & 0x7fff;
    assert_eq!(shown, (70_001_u32 as u16 & 0x7fff) + 1);
    let stale = packet(&mut subscription, old, 9, received(70_002, true, 1), now);
    assert_eq!(stale.err(), Some(Discard::OtherEncoding));
}

#[test]
fn a_dearer_encodings_key_frame_gives_way_to_the_one_that_is_waited_for() {
    let now = Instant::now();
    let [old, new] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let first = received(70_000, true, 1);
    let last = packet(&mut subscription, old, 0, first, now).unwrap();
    subscription.aim(Some(new));
    subscription.gives_way = true;
    let dear = packet(&mut subscription, old, 9, received(70_001, true, 1), now);
    assert_eq!(dear.err(), Some(Discard::GaveWay));
    assert_eq!(subscription.take_left(), Some(old));
    let rest = packet(&mut subscription, old, 9, received(70_002, false, 1), now);
    assert_eq!(rest.err(), Some(Discard::OtherEncoding));
    let next = packet(&mut subscription, new, 9, received(500, true, 1), now).unwrap();
    assert_eq!(next.index, last.index + 1);
    let asked = subscription.find_asked(last.index as u16, now).unwrap();
    assert_eq!((asked.encoding, asked.is_left), (old, true));
}

#[test]
fn numbers_go_on_after_a_pause() {
    let now = Instant::now();
    let [encoding, _] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let before = received(70_000, true, 1);
    let before = packet(&mut subscription, encoding, 0, before, now).unwrap();
    subscription.pause();
    let after = received(70_100, true, 1);
    let after = packet(&mut subscription, encoding, 0, after, now).unwrap();
    assert_eq!(after.index, before.index + 1);
}

#[test]
fn a_payload_that_hides_its_key_frames_is_waited_for_in_vain_only_for_a_while() {
    let now = Instant::now();
    let [encoding, _] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    let mut hidden = received(70_000, false, 1);
    hidden.key_frames_are_told = false;
    let early = subscription.rewrite(encoding, 96, 0, &hidden, 90_000, now);
    assert_eq!(early.err(), Some(Discard::BeforeKeyFrame));
    let late = now + KEY_FRAME_PATIENCE;
    assert!(
        subscription
            .rewrite(encoding, 96, 0, &hidden, 90_000, late)
            .is_ok()
    );
}

#[test]
fn an_asked_number_leads_back_to_the_publishers() {
    let now = Instant::now();
    let [encoding, _] = encodings();
    let mut subscription = subscription(MediaKind::Audio);
    for extended in 70_000..70_010 {
        let received = received(extended, false, 1);
        packet(&mut subscription, encoding, 0, received, now).unwrap();
    }
    let first = 1 + 99;
    let asked = subscription.find_asked(first + 3, now).unwrap();
    assert_eq!(
        (asked.extended, asked.index, asked.generation),
        (70_003, u64::from(first) + 3, 1)
    );
    assert_eq!(subscription.find_asked(first - 1, now), None);
}

#[test]
fn the_last_packets_of_an_encoding_that_was_left_are_found_for_a_while() {
    let now = Instant::now();
    let [old, new] = encodings();
    let mut subscription = subscription(MediaKind::Video);
    for extended in 70_000..70_010 {
        let received = received(extended, extended == 70_000, 1);
        packet(&mut subscription, old, 0, received, now).unwrap();
    }
    subscription.aim(Some(new));
    let first_of_new = received(500, true, 3);
    let switched = packet(&mut subscription, new, 0, first_of_new, now).unwrap();
    let last_of_old = (switched.index - 1) as u16;
    let asked = subscription.find_asked(last_of_old, now).unwrap();
    assert_eq!((asked.encoding, asked.extended), (old, 70_009));
    assert_eq!((asked.generation, asked.is_left), (1, true));
    let format = subscription.format_of(&asked, 96).unwrap();
    assert_eq!(format.payload_type, 120);
    let asked = subscription.find_asked(switched.index as u16, now).unwrap();
    assert_eq!((asked.encoding, asked.extended), (new, 500));
    let late = now + Duration::from_secs(2);
    assert_eq!(subscription.find_asked(last_of_old, late), None);
    subscription.forget_before(late);
    assert_eq!(subscription.find_asked(last_of_old, now), None);
}

/// With other keys a peer begins with a rollover counter of zero. If the first packets were lost around a turn of the
/// sequence numbers, it would never guess the right one.
#[test]
fn numbers_under_other_keys_begin_in_the_lower_half_of_a_turn() {
    for before in [
        5_u64, 0x7ffe, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1_0000, 0x1_7fff, 0x2_fff0,
    ] {
        let now = Instant::now();
        let [encoding, _] = encodings();
        let mut subscription = subscription(MediaKind::Video);
        subscription.go_on_at(before);
        let first = packet(
            &mut subscription,
            encoding,
            0,
            received(70_000, true, 1),
            now,
        )
        .unwrap();
        assert_eq!(first.index, before);
        subscription.begin_keys();
        let next = subscription.next_outgoing();
        assert!((0..0x8000).contains(&next), "{before:#x}: {next:#x}");
        let in_order = (before + 1) as u16;
        assert!(
            next == 1 || next as u16 == in_order,
            "{before:#x}: {next:#x}"
        );
        let after = packet(
            &mut subscription,
            encoding,
            9,
            received(70_001, false, 1),
            now,
        )
        .unwrap();
        assert_eq!(after.index, next, "{before:#x}");
        let later = packet(
            &mut subscription,
            encoding,
            9,
            received(70_005, false, 1),
            now,
        )
        .unwrap();
        assert_eq!(later.index, next + 4, "{before:#x}");
        let asked = subscription.find_asked(later.index as u16, now).unwrap();
        assert_eq!((asked.index, asked.extended), (later.index, 70_005));
    }
}
