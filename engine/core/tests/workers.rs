//! Two workers, and what they hand over to each other.

use std::time::Duration;

use super::data_peer::{DataPeer, channel, name, run};
use super::peer::{self, Laboratory, PUBLISHER_SSRC, SUBSCRIBER_SSRC};
use super::{VP8_DELTA, VP8_KEY};
use crate::codec::Codec;
use crate::core::Handover;
use crate::link::proto::{self, DataChannelEnd, DataChannelState, data_channel, request};
use crate::wire::rtcp;

/// A publisher on worker 0; subscribers join worker 1.
struct Pair {
    labs: [Laboratory; 2],
    publisher: usize,
    sequence: u16,
}

impl Pair {
    fn new(codec: Codec) -> Pair {
        let mut labs = [0, 1].map(|worker| Laboratory::of_worker(worker, 2));
        let publisher = labs[0].join("publisher", |table| {
            table.publications.push(peer::publication(codec));
        });
        Pair {
            labs,
            publisher,
            sequence: 100,
        }
    }

    fn subscribe(&mut self) -> usize {
        let subscriber = self.labs[1].join("subscriber", |table| {
            table.subscriptions.push(peer::subscription());
        });
        self.exchange();
        subscriber
    }

    /// Carries what both hand over until neither has anything to say; what was carried is counted.
    fn exchange(&mut self) -> usize {
        let mut packets = 0;
        loop {
            let told = [0, 1].map(|from| {
                let engine = &mut self.labs[from].engine;
                let told = std::iter::from_fn(|| engine.poll_handover());
                told.map(|(_, handover)| handover).collect::<Vec<_>>()
            });
            if told.iter().all(Vec::is_empty) {
                return packets;
            }
            for (from, told) in told.into_iter().enumerate() {
                let is_packet = |told: &&Handover| matches!(told, Handover::Packet { .. });
                packets += told.iter().filter(is_packet).count();
                self.labs[1 - from].hand(from as u16, told);
            }
        }
    }

    fn frame(&mut self, payload: &[u8]) -> usize {
        self.sequence += 1;
        let time = u32::from(self.sequence) * 3000;
        self.labs[0].send_media(self.publisher, self.sequence, time, payload);
        let packets = self.exchange();
        for lab in &mut self.labs {
            lab.advance(Duration::from_millis(33));
        }
        self.exchange();
        packets
    }

    fn advance(&mut self, time: Duration) {
        for lab in &mut self.labs {
            lab.advance(time);
        }
        self.exchange();
    }
}

#[test]
fn a_subscriber_of_another_worker_gets_the_picture_from_the_key_frame_it_asked_for() {
    let mut pair = Pair::new(Codec::Vp8);
    pair.frame(VP8_KEY);
    pair.labs[0].feedback(pair.publisher);
    let subscriber = pair.subscribe();
    pair.frame(VP8_DELTA);
    pair.advance(Duration::from_millis(400));
    assert!(pair.labs[0].feedback(pair.publisher).pli > 0);
    assert!(pair.labs[1].received(subscriber).is_empty());
    pair.frame(VP8_KEY);
    pair.frame(VP8_DELTA);
    let packets = pair.labs[1].received(subscriber);
    assert_eq!(packets.len(), 2);
    assert!(packets.iter().all(|packet| packet.ssrc == SUBSCRIBER_SSRC));
}

#[test]
fn a_packet_is_handed_over_once_whatever_the_number_of_subscribers() {
    let mut pair = Pair::new(Codec::Opus);
    assert_eq!(pair.frame(b"sound"), 0, "nobody is there");
    let first = pair.subscribe();
    let second = pair.labs[1].join("second", |table| {
        table.subscriptions.push(peer::subscription());
    });
    pair.exchange();
    assert_eq!(pair.frame(b"sound"), 1);
    for subscriber in [first, second] {
        assert_eq!(pair.labs[1].received(subscriber).len(), 1);
    }
    assert_eq!(pair.labs[0].counter("packets_handed_over"), 1);
}

#[test]
fn a_lost_packet_is_repaired_by_the_workers_own_cache() {
    let mut pair = Pair::new(Codec::Vp8);
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    pair.frame(VP8_DELTA);
    let packets = pair.labs[1].received(subscriber);
    pair.labs[1].send_nack(subscriber, SUBSCRIBER_SSRC, packets[1].sequence_number);
    assert_eq!(pair.exchange(), 0);
    assert_eq!(
        pair.labs[1].received(subscriber)[0].payload[2..],
        *VP8_DELTA
    );
}

#[test]
fn what_was_dropped_between_workers_is_handed_over_again() {
    let mut pair = Pair::new(Codec::Vp8);
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    pair.sequence += 1;
    pair.labs[0].send_media(pair.publisher, pair.sequence, 0, VP8_DELTA);
    assert!(pair.labs[0].engine.poll_handover().is_some());
    pair.frame(VP8_DELTA);
    pair.advance(Duration::from_millis(50));
    assert_eq!(pair.labs[1].received(subscriber).len(), 3);
    assert!(pair.labs[0].feedback(pair.publisher).nacked.is_empty());
    assert_eq!(pair.labs[0].counter("packets_handed_over"), 4);
}

#[test]
fn a_loss_on_the_publishers_way_is_mended_for_the_other_worker_too() {
    let mut pair = Pair::new(Codec::Vp8);
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    pair.sequence += 1;
    let lost = pair.sequence;
    pair.frame(VP8_DELTA);
    pair.advance(Duration::from_millis(20));
    assert_eq!(pair.labs[0].feedback(pair.publisher).nacked[0], lost);
    pair.labs[0].send_media(pair.publisher, lost, 0, VP8_DELTA);
    pair.exchange();
    assert_eq!(pair.labs[1].received(subscriber).len(), 3);
}

#[test]
fn a_sender_report_passes() {
    let mut pair = Pair::new(Codec::Opus);
    let subscriber = pair.subscribe();
    pair.frame(b"sound");
    pair.labs[0].send_rtcp(pair.publisher, |packet| {
        rtcp::push_sender_report(packet, PUBLISHER_SSRC, 77 << 32, 960, 1, 5, &[]);
    });
    pair.exchange();
    assert_eq!(pair.labs[1].sender_reports(subscriber), [77 << 32]);
}

#[test]
fn the_mirror_goes_with_its_last_subscriber_and_comes_again() {
    let mut pair = Pair::new(Codec::Opus);
    let subscriber = pair.subscribe();
    let mut table = pair.labs[1].table(subscriber);
    let mut without = table.clone();
    without.subscriptions.clear();
    pair.labs[1].request(peer::apply(without)).unwrap();
    pair.exchange();
    assert_eq!(pair.frame(b"sound"), 0);
    assert!(pair.labs[1].engine.publications.is_empty());
    table.subscriptions[0].subscription_id += 1;
    table.subscriptions[0].ssrc += 2;
    table.subscriptions[0].rtx_ssrc = Some(table.subscriptions[0].ssrc + 1);
    pair.labs[1].request(peer::apply(table)).unwrap();
    pair.exchange();
    assert_eq!(pair.frame(b"sound"), 1);
    assert_eq!(pair.labs[1].received(subscriber).len(), 1);
}

#[test]
fn the_mirror_goes_with_its_publication() {
    let mut pair = Pair::new(Codec::Vp8);
    pair.subscribe();
    pair.frame(VP8_KEY);
    let mut table = pair.labs[0].table(pair.publisher);
    table.publications.clear();
    pair.labs[0].request(peer::apply(table)).unwrap();
    pair.exchange();
    assert!(pair.labs[1].engine.publications.is_empty());
    assert!(pair.labs[1].engine.encodings.is_empty());
    pair.labs[1].close_all();
    assert!(pair.labs[1].engine.subscriptions.is_empty());
}

#[test]
fn a_publications_last_packets_and_its_end_may_come_together() {
    let mut pair = Pair::new(Codec::Vp8);
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    pair.sequence += 1;
    pair.labs[0].send_media(pair.publisher, pair.sequence, 3000, VP8_DELTA);
    let mut table = pair.labs[0].table(pair.publisher);
    table.publications.clear();
    pair.labs[0].request(peer::apply(table)).unwrap();
    pair.exchange();
    assert_eq!(pair.labs[1].received(subscriber).len(), 2);
    assert!(pair.labs[1].engine.encodings.is_empty());
}

/// A key frame that gives way to another source's ends the mirror, of which more has come in the same batch.
#[test]
fn a_mirror_that_is_left_within_a_batch_takes_no_more() {
    let mut pair = Pair::new(Codec::Vp8);
    pair.labs[1].join("another", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let subscriber = pair.subscribe();
    // Of the lowest frame rate of several (RFC 7741 section 4.2).
    let layered = |key: u8, id: u8| [0x90, 0xe0, 0x80, id, id, 0x20, key, 0, 0, 0].to_vec();
    pair.frame(&layered(0x50, 0));
    for id in 1..60 {
        pair.frame(&layered(0x51, id));
    }
    let mut table = pair.labs[1].table(subscriber);
    table.subscriptions[0].publisher_session_id = "another".into();
    table.subscriptions[0].publisher_worker = 1;
    pair.labs[1].request(peer::apply(table)).unwrap();
    pair.exchange();
    assert_eq!(pair.labs[1].engine.mirrors.len(), 1, "it is still shown");
    for id in 60..90 {
        pair.sequence += 1;
        let payload = layered(0x50, id);
        pair.labs[0].send_media(pair.publisher, pair.sequence, 9000, &payload);
    }
    pair.exchange();
    assert!(pair.labs[1].engine.mirrors.is_empty());
    assert!(pair.labs[1].counter("discarded_gave_way") > 0);
}

#[test]
fn the_old_picture_stays_until_the_key_frame_of_a_source_on_another_worker() {
    let mut pair = Pair::new(Codec::Vp8);
    let another = pair.labs[1].join("another", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    let mut table = pair.labs[1].table(subscriber);
    table.subscriptions[0].publisher_session_id = "another".into();
    table.subscriptions[0].publisher_worker = 1;
    pair.labs[1].request(peer::apply(table)).unwrap();
    pair.exchange();
    pair.frame(VP8_DELTA);
    assert_eq!(pair.labs[1].received(subscriber).len(), 2);
    pair.labs[1].send_media(another, 7, 0, VP8_KEY);
    pair.exchange();
    assert_eq!(pair.frame(VP8_DELTA), 0, "nobody sees it any more");
    assert_eq!(pair.labs[1].received(subscriber).len(), 1);
}

#[test]
fn the_old_picture_stays_also_where_both_sources_are_on_another_worker() {
    let mut pair = Pair::new(Codec::Vp8);
    let second = pair.labs[0].join("second", |table| {
        table.publications.push(peer::publication(Codec::Vp8));
    });
    let subscriber = pair.subscribe();
    pair.frame(VP8_KEY);
    pair.labs[1].received(subscriber);
    let mut table = pair.labs[1].table(subscriber);
    table.subscriptions[0].publisher_session_id = "second".into();
    pair.labs[1].request(peer::apply(table.clone())).unwrap();
    // Before the other worker has said anything, and after it.
    assert_eq!(pair.frame(VP8_DELTA), 1);
    assert_eq!(pair.frame(VP8_DELTA), 1);
    assert_eq!(pair.labs[1].received(subscriber).len(), 2);
    pair.labs[0].send_media(second, 7, 0, VP8_KEY);
    pair.exchange();
    assert_eq!(pair.labs[1].received(subscriber).len(), 1);
    assert_eq!(pair.frame(VP8_DELTA), 0, "nobody sees it any more");
    // One that is not there shows nothing.
    table.subscriptions[0].publisher_session_id = "nobody".into();
    pair.labs[1].request(peer::apply(table)).unwrap();
    pair.exchange();
    pair.labs[0].send_media(second, 8, 3000, VP8_KEY);
    pair.exchange();
    assert!(pair.labs[1].received(subscriber).is_empty());
    assert!(pair.labs[1].engine.mirrors.is_empty());
}

#[test]
fn a_session_without_its_publisher_carries_nothing_and_a_wrong_worker_is_refused() {
    let mut pair = Pair::new(Codec::Opus);
    let subscriber = pair.subscribe();
    let mut table = pair.labs[1].table(subscriber);
    table.subscriptions[0].publisher_worker = 2;
    let refused = pair.labs[1].request(peer::apply(table)).err();
    assert!(refused.is_some_and(|reason| reason.contains("worker")));
    let close = proto::CloseSession {
        session_id: "publisher".into(),
    };
    pair.labs[0]
        .request(request::Body::CloseSession(close))
        .unwrap();
    pair.exchange();
    assert!(pair.labs[1].engine.publications.is_empty());
}

/// A channel's publisher on worker 0 and two subscribers on worker 1, of which the first may reply.
struct Chat {
    pair: Pair,
    publisher: DataPeer,
    subscribers: [DataPeer; 2],
}

impl Chat {
    fn new() -> Chat {
        let mut pair = Pair::new(Codec::Opus);
        let [ours, theirs] = &mut pair.labs;
        let may_reply = data_channel::Role::Publication(proto::ChannelPublication {
            replier: Some(name("first", 4)),
        });
        let publisher = DataPeer::join(ours, "chatty", &[channel(3, may_reply)]);
        let receives = data_channel::Role::Subscription(proto::ChannelSubscription {
            publication: Some(name("chatty", 3)),
            wait_for_ack_ms: None,
        });
        let subscribers = ["first", "second"]
            .map(|who| DataPeer::join(theirs, who, &[channel(4, receives.clone())]));
        pair.exchange();
        Chat {
            pair,
            publisher,
            subscribers,
        }
    }

    fn run(&mut self) {
        for _ in 0..4 {
            let moment = Duration::from_millis(30);
            let [first, second] = &mut self.subscribers;
            run(&mut self.pair.labs[0], &mut [&mut self.publisher], moment);
            self.pair.exchange();
            run(&mut self.pair.labs[1], &mut [first, second], moment);
            self.pair.exchange();
        }
    }
}

#[test]
fn messages_reach_all_subscribers_of_another_worker_and_the_reply_of_one_comes_back() {
    let mut chat = Chat::new();
    chat.publisher.text(3, "hello");
    for subscriber in &mut chat.subscribers {
        subscriber.text(4, "heard");
    }
    chat.run();
    for subscriber in &mut chat.subscribers {
        assert_eq!(subscriber.texts(4), ["hello"]);
    }
    assert_eq!(chat.publisher.texts(3), ["heard"]);
    let refused = "discarded_message_may_not_reply";
    assert_eq!(chat.pair.labs[0].counter(refused), 1);
}

#[test]
fn more_messages_than_may_wait_come_at_once_from_another_worker_and_go_on_to_peers_that_take_them()
{
    let mut chat = Chat::new();
    chat.run();
    for _ in 0..200 {
        chat.publisher.text(3, "hello");
    }
    chat.run();
    for subscriber in &mut chat.subscribers {
        assert_eq!(subscriber.texts(4).len(), 200);
    }
}

#[test]
fn subscriptions_end_with_their_publication_on_another_worker() {
    let mut chat = Chat::new();
    let mut table = chat.pair.labs[0].table(chat.publisher.index);
    table.data_channels.clear();
    chat.pair.labs[0].request(peer::apply(table)).unwrap();
    chat.pair.exchange();
    let closed = (
        DataChannelState::Closed.into(),
        DataChannelEnd::PublicationEnded.into(),
    );
    for who in ["first", "second"] {
        assert_eq!(chat.pair.labs[1].channel_news(who, 4).last(), Some(&closed));
    }
    chat.pair.labs[1].close_all();
    assert!(chat.pair.labs[1].engine.channels.is_empty());
}

#[test]
fn a_channels_mirror_goes_with_its_last_subscription() {
    let mut chat = Chat::new();
    chat.pair.labs[1].close_all();
    chat.pair.exchange();
    assert!(chat.pair.labs[1].engine.channels.is_empty());
    let mirrors = chat.pair.labs[0].engine.channels.values();
    assert!(
        mirrors
            .into_iter()
            .all(|channel| channel.mirrors.is_empty())
    );
}

#[test]
fn what_another_worker_does_not_take_closes_reliable_subscriptions_there() {
    let mut chat = Chat::new();
    let large = vec![b'x'; 200_000];
    for _ in 0..90 {
        let text = String::from_utf8(large.clone()).unwrap();
        chat.publisher.text(3, &text);
        let moment = Duration::from_millis(100);
        run(&mut chat.pair.labs[0], &mut [&mut chat.publisher], moment);
    }
    assert!(chat.pair.labs[0].counter("discarded_worker_behind") > 0);
    chat.pair.exchange();
    let closed = (
        DataChannelState::Closed.into(),
        DataChannelEnd::QueueFull.into(),
    );
    assert_eq!(
        chat.pair.labs[1].channel_news("first", 4).last(),
        Some(&closed)
    );
    chat.publisher.text(3, "room again");
    run(
        &mut chat.pair.labs[0],
        &mut [&mut chat.publisher],
        Duration::from_millis(100),
    );
}
