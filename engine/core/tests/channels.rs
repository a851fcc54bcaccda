//! Data channels through the engine: who gets what, and what a bad link or a bad peer cannot do.

use std::time::Duration;

use sctp_proto::PayloadProtocolIdentifier as Ppid;

use super::data_peer::{DataPeer, channel, name, publication, run, subscription};
use super::peer::{Laboratory, apply};
use crate::link::proto::{self, DataChannelEnd as End, DataChannelState as State, data_channel};

const MOMENT: Duration = Duration::from_millis(100);

fn closed(end: End) -> (i32, i32) {
    (State::Closed.into(), end.into())
}

#[test]
fn all_subscribers_get_each_message_as_it_was_sent_and_nobody_hears_a_subscriber() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(3, publication())]);
    let mut first = DataPeer::join(&mut lab, "first", &[channel(4, subscription(3))]);
    let mut second = DataPeer::join(&mut lab, "second", &[channel(9, subscription(3))]);
    let large = vec![7; 262_144];
    let sent: Vec<(Ppid, Vec<u8>)> = vec![
        (Ppid::String, b"text".to_vec()),
        (Ppid::Binary, b"bytes".to_vec()),
        (Ppid::StringEmpty, vec![0]),
        (Ppid::BinaryEmpty, vec![0]),
        (Ppid::Binary, large),
    ];
    for (ppid, bytes) in &sent {
        publisher.send(3, *ppid, bytes);
    }
    first.text(4, "is anybody there");
    let mut peers = [&mut publisher, &mut first, &mut second];
    run(&mut lab, &mut peers, Duration::from_secs(1));
    let got =
        |peer: &mut DataPeer, id: u16| Vec::from(peer.received.remove(&id).unwrap_or_default());
    assert!(got(&mut first, 4) == sent && got(&mut second, 9) == sent);
    assert!(publisher.received.is_empty());
    assert_eq!(lab.counter("discarded_message_may_not_reply"), 1);
}

#[test]
fn replies_of_the_one_that_may_reach_the_publisher_only_and_a_new_grant_replaces_the_old() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut first = DataPeer::join(&mut lab, "first", &[channel(1, subscription(1))]);
    let mut second = DataPeer::join(&mut lab, "second", &[channel(1, subscription(1))]);
    for (holder, heard) in [("first", "a"), ("second", "b")] {
        let mut table = lab.table(publisher.index);
        table.data_channels[0].role =
            Some(data_channel::Role::Publication(proto::ChannelPublication {
                replier: Some(name(holder, 1)),
            }));
        lab.request(apply(table)).expect("a good table");
        first.text(1, "a");
        second.text(1, "b");
        run(
            &mut lab,
            &mut [&mut publisher, &mut first, &mut second],
            MOMENT,
        );
        assert_eq!(publisher.texts(1), [heard]);
    }
    assert!(first.received.is_empty() && second.received.is_empty());
}

#[test]
fn ten_thousand_messages_come_in_order_over_links_that_lose_every_twentieth_packet() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[channel(1, subscription(1))]);
    (publisher.loss, subscriber.loss) = (50, 50);
    let mut got: Vec<String> = Vec::new();
    for number in 0..10_000_u32 {
        publisher.text(1, &number.to_string());
        if number % 2 == 0 {
            run(
                &mut lab,
                &mut [&mut publisher, &mut subscriber],
                Duration::from_millis(5),
            );
            got.extend(subscriber.texts(1));
        }
    }
    for _ in 0..300 {
        if got.len() == 10_000 {
            break;
        }
        let mut peers = [&mut publisher, &mut subscriber];
        run(&mut lab, &mut peers, Duration::from_secs(1));
        got.extend(subscriber.texts(1));
    }
    assert!(
        got.iter()
            .map(|text| text.parse::<u32>().expect("a number"))
            .eq(0..10_000)
    );
    assert!(
        lab.channel_news("subscriber", 1)
            .iter()
            .all(|&(state, _)| state != State::Closed as i32)
    );
}

#[test]
fn without_order_and_retransmissions_a_lost_message_holds_up_nobody() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut wanted = channel(1, subscription(1));
    (wanted.unordered, wanted.max_retransmits) = (true, Some(0));
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[wanted]);
    let mut lost = 0;
    for number in 0..100 {
        subscriber.deaf = number % 10 == 0;
        publisher.text(1, &number.to_string());
        // Less than any retransmission takes.
        run(
            &mut lab,
            &mut [&mut publisher, &mut subscriber],
            Duration::from_millis(20),
        );
        let got = subscriber.texts(1);
        lost += u32::from(got.is_empty());
        assert!(
            got.is_empty() || got == [number.to_string()],
            "{number}: {got:?}"
        );
    }
    assert_eq!(lost, 10);
}

#[test]
fn a_peer_that_stops_reading_is_closed_where_nothing_may_be_lost_and_gets_the_newest_elsewhere() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut lossy = channel(2, subscription(1));
    lossy.max_retransmits = Some(0);
    let channels = [channel(1, subscription(1)), lossy];
    let mut stalled = DataPeer::join(&mut lab, "stalled", &channels);
    let mut healthy = DataPeer::join(&mut lab, "healthy", &[channel(1, subscription(1))]);
    stalled.deaf = true;
    let text = |number: u32| format!("{number:01000}");
    let mut got = Vec::new();
    for number in 0..400 {
        publisher.text(1, &text(number));
        let mut peers = [&mut publisher, &mut stalled, &mut healthy];
        run(&mut lab, &mut peers, Duration::from_millis(5));
        got.extend(healthy.texts(1));
    }
    run(&mut lab, &mut [&mut publisher, &mut healthy], MOMENT);
    got.extend(healthy.texts(1));
    assert!(got.into_iter().eq((0..400).map(text)), "the others get all");
    assert_eq!(
        lab.channel_news("stalled", 1).last(),
        Some(&closed(End::QueueFull))
    );
    assert!(lab.counter("discarded_message_overtaken") > 200);
    stalled.deaf = false;
    let mut peers = [&mut publisher, &mut stalled, &mut healthy];
    run(&mut lab, &mut peers, Duration::from_secs(30));
    assert_eq!(stalled.closed, [1], "the peer sees its channel closed");
    let newest = stalled.texts(2);
    assert_eq!(newest.last(), Some(&text(399)));
    assert!(newest.len() < 100);
}

#[test]
fn nothing_comes_before_the_ack_that_is_waited_for_and_without_it_the_channel_is_closed() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let waiting = |id: u32| {
        let role = data_channel::Role::Subscription(proto::ChannelSubscription {
            publication: Some(name("publisher", 1)),
            wait_for_ack_ms: Some(30_000),
        });
        channel(id, role)
    };
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[waiting(1), waiting(2)]);
    publisher.text(1, "too early");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    subscriber.text(1, "here I am");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    publisher.text(1, "welcome");
    let mut peers = [&mut publisher, &mut subscriber];
    run(&mut lab, &mut peers, Duration::from_secs(31));
    assert_eq!(subscriber.texts(1), ["welcome"]);
    assert!(publisher.received.is_empty(), "swallowed");
    assert_eq!(
        lab.channel_news("subscriber", 2).last(),
        Some(&closed(End::NoAck))
    );
    assert_eq!(
        lab.channel_news("subscriber", 1).last(),
        Some(&(State::Open.into(), 0))
    );
}

#[test]
fn closing_ends_what_depends_on_it_and_a_stream_can_be_used_again() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[channel(1, subscription(1))]);
    publisher.text(1, "before");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    publisher.close(1);
    run(
        &mut lab,
        &mut [&mut publisher, &mut subscriber],
        Duration::from_secs(1),
    );
    assert_eq!(
        lab.channel_news("publisher", 1).last(),
        Some(&closed(End::ByPeer))
    );
    assert_eq!(
        lab.channel_news("subscriber", 1).last(),
        Some(&closed(End::PublicationEnded))
    );
    assert_eq!(subscriber.closed, [1]);
    for (index, role) in [
        (publisher.index, publication()),
        (subscriber.index, subscription(2)),
    ] {
        let mut table = lab.table(index);
        table.data_channels[0] = proto::DataChannel {
            channel_id: 2,
            stream_id: 1,
            ..channel(1, role)
        };
        lab.request(apply(table)).expect("a good table");
    }
    publisher.text(1, "after");
    run(
        &mut lab,
        &mut [&mut publisher, &mut subscriber],
        Duration::from_secs(1),
    );
    assert_eq!(subscriber.texts(1), ["before", "after"]);
}

#[test]
fn messages_go_on_after_an_ice_restart() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[channel(1, subscription(1))]);
    publisher.text(1, "before");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    let mut table = lab.table(subscriber.index);
    let transport = table.transport.as_mut().expect("a transport");
    transport.remote_password = "another-password-of-the-peer".into();
    lab.request(apply(table)).expect("a good table");
    publisher.text(1, "meanwhile");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    lab.check_again(subscriber.index);
    run(
        &mut lab,
        &mut [&mut publisher, &mut subscriber],
        Duration::from_secs(5),
    );
    assert_eq!(subscriber.texts(1), ["before", "meanwhile"]);
}

#[test]
fn random_chunks_and_truncated_establishment_cost_nobody_anything() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let mut subscriber = DataPeer::join(&mut lab, "subscriber", &[channel(1, subscription(1))]);
    let mut hostile = DataPeer::join(&mut lab, "hostile", &[channel(1, subscription(1))]);
    // DATA_CHANNEL_OPEN (RFC 8832 section 5.1) cut at each length, on streams of ours and of nobody.
    let open = [
        3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, b'n', b'a', b'm', b'e', 1, 2, 3, 4,
    ];
    for length in 1..=open.len() {
        hostile.send(1, Ppid::Dcep, &open[..length]);
        hostile.send(30, Ppid::Dcep, &open[..length]);
    }
    run(
        &mut lab,
        &mut [&mut publisher, &mut subscriber, &mut hostile],
        MOMENT,
    );
    assert_eq!(
        lab.counter("discarded_message_unusable"),
        2 * open.len() as u64
    );
    let mut chance = 1_u32;
    let mut random = || {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 16) as u8
    };
    for length in 0..400 {
        let mut packet: Vec<u8> = (0..length).map(|_| random()).collect();
        if let Some(ports) = packet.first_chunk_mut::<4>() {
            *ports = [0x13, 0x88, 0x13, 0x88];
        }
        hostile.raw(&mut lab, &packet.into());
    }
    publisher.text(1, "undisturbed");
    run(&mut lab, &mut [&mut publisher, &mut subscriber], MOMENT);
    assert_eq!(subscriber.texts(1), ["undisturbed"]);
}

#[test]
fn the_engine_begins_an_association_that_its_peer_waits_for() {
    let mut lab = Laboratory::new();
    let peer = lab.join("waiting", |table| {
        table.data_transport = Some(proto::DataTransport {
            remote_sctp_port: 5000,
            remote_max_message_size: 262_144,
        });
    });
    lab.advance(Duration::from_secs(2));
    // RFC 9260 section 3.3.2: an INIT comes behind the common header of 12 bytes.
    assert!(lab.data(peer).iter().any(|packet| packet[12] == 1));
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let mut lab = Laboratory::new();
    let peer = DataPeer::join(&mut lab, "publisher", &[channel(1, publication())]);
    let good = lab.table(peer.index);
    let mut refused = |change: fn(&mut proto::ApplySession)| {
        let mut table = good.clone();
        change(&mut table);
        assert!(lab.request(apply(table)).is_err());
    };
    refused(|table| table.data_transport = None);
    refused(|table| table.data_channels.push(table.data_channels[0].clone()));
    refused(|table| table.data_channels[0].role = None);
    refused(|table| table.data_channels[0].stream_id = 512);
    refused(|table| table.data_channels[0].queue_messages = 0);
    refused(|table| {
        table.data_channels[0].max_retransmits = Some(0);
        table.data_channels[0].max_lifetime_ms = Some(0);
    });
}

/// The peer stops all that it had, and begins with a connection and an association of its own again.
#[test]
fn channels_go_on_over_another_transport_of_the_session() {
    let mut lab = Laboratory::new();
    let mut publisher = DataPeer::join(&mut lab, "publisher", &[channel(3, publication())]);
    let mut first = DataPeer::join(&mut lab, "first", &[channel(4, subscription(3))]);
    for (round, text) in ["a", "b", "c"].into_iter().enumerate() {
        publisher.text(3, text);
        run(&mut lab, &mut [&mut publisher, &mut first], MOMENT);
        assert_eq!(first.texts(4), [text]);
        let moved = if round == 0 {
            &mut first
        } else {
            &mut publisher
        };
        lab.begin_transport(moved.index);
        *moved = DataPeer::connect(&mut lab, moved.index);
    }
    let news = lab.channel_news("first", 4);
    assert!(
        !news
            .iter()
            .any(|&(state, _)| state == i32::from(State::Closed))
    );
}
