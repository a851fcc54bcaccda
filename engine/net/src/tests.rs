use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use crate::{
    BATCH, Message, Receiver, Sender, bind, dropped_messages, missing_buffers, socket,
    stamp_arrivals,
};

fn pair(ip: &str) -> (UdpSocket, UdpSocket) {
    let address: SocketAddr = format!("{ip}:0").parse().unwrap();
    (bind(address).unwrap(), bind(address).unwrap())
}

fn receive_all(socket: &UdpSocket, wanted: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut receiver = Receiver::default();
    let mut all = Vec::new();
    while all.len() < wanted {
        receiver
            .receive(socket, |source, bytes| all.push((source, bytes.to_vec())))
            .unwrap();
    }
    all
}

/// Datagrams one behind the other, and where each is.
fn arena(datagrams: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut start = 0;
    let places = datagrams.iter().map(|datagram| {
        let place = start..start + datagram.len();
        start = place.end;
        place
    });
    (datagrams.concat(), places.collect())
}

fn send_each(from: &UdpSocket, to: SocketAddr, datagrams: &[Vec<u8>]) -> usize {
    let (arena, places) = arena(datagrams);
    let messages = places.chunks(1).map(|datagrams| Message { to, datagrams });
    Sender::new().unwrap().send(from, 0, &arena, messages)
}

#[test]
fn batches_arrive_whole_in_both_families() {
    for ip in ["127.0.0.1", "[::1]"] {
        let (from, to) = pair(ip);
        let payloads: Vec<Vec<u8>> = (0..3 * BATCH).map(|n| vec![n as u8; n + 1]).collect();
        let sent = send_each(&from, to.local_addr().unwrap(), &payloads);
        assert_eq!(sent, payloads.len());
        let received = receive_all(&to, payloads.len());
        let source = from.local_addr().unwrap();
        assert!(received.iter().all(|(address, _)| *address == source));
        assert!(received.iter().map(|(_, bytes)| bytes).eq(&payloads));
    }
}

fn equal_but_the_last() -> Vec<Vec<u8>> {
    (0..20_u8)
        .map(|n| vec![n; if n == 19 { 7 } else { 1200 }])
        .collect()
}

#[test]
fn datagrams_of_one_message_arrive_one_by_one() {
    for ip in ["127.0.0.1", "[::1]"] {
        let (from, to) = pair(ip);
        let payloads = equal_but_the_last();
        let (arena, places) = arena(&payloads);
        let message = Message {
            to: to.local_addr().unwrap(),
            datagrams: &places,
        };
        let sent = Sender::new()
            .unwrap()
            .send(&from, 0, &arena, [message].into_iter());
        assert_eq!(sent, payloads.len());
        let received = receive_all(&to, payloads.len());
        assert!(received.iter().map(|(_, bytes)| bytes).eq(&payloads));
    }
}

#[test]
fn where_they_cannot_go_together_they_go_alone() {
    let (from, to) = pair("127.0.0.1");
    // Without checksums there is no segmentation either: the kernel refuses the message.
    socket::set(from.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let payloads = equal_but_the_last();
    let (arena, places) = arena(&payloads);
    let target = to.local_addr().unwrap();
    let mut sender = Sender::new().unwrap();
    for _ in 0..2 {
        let message = Message {
            to: target,
            datagrams: &places,
        };
        let sent = sender.send(&from, 0, &arena, [message].into_iter());
        assert_eq!(sent, payloads.len());
        let received = receive_all(&to, payloads.len());
        assert!(received.iter().map(|(_, bytes)| bytes).eq(&payloads));
    }
}

#[test]
fn a_destination_that_takes_no_message_in_one_piece_does_not_slow_the_others() {
    let (from, to) = pair("127.0.0.1");
    let (refused, _) = pair("127.0.0.1");
    socket::set(refused.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let payloads = equal_but_the_last();
    let (arena, places) = arena(&payloads);
    let mut sender = Sender::new().unwrap();
    let other = from.local_addr().unwrap();
    let target = to.local_addr().unwrap();
    for (socket, number, to) in [(&refused, 0, other), (&from, 1, target)] {
        let message = Message {
            to,
            datagrams: &places,
        };
        let sent = sender.send(socket, number, &arena, [message].into_iter());
        assert_eq!(sent, payloads.len());
    }
    let messages = |socket| Receiver::default().receive(socket, |_, _| {}).unwrap();
    assert_eq!((messages(&from), messages(&to)), (payloads.len(), 1));
}

#[test]
fn a_datagram_without_a_way_does_not_hold_up_the_others() {
    let (from, to) = pair("127.0.0.1");
    let target = to.local_addr().unwrap();
    let unreachable = "[::1]:9".parse().unwrap();
    let (arena, places) = arena(&[b"x".to_vec()]);
    let messages = [unreachable, target].map(|to| Message {
        to,
        datagrams: &places,
    });
    let sent = Sender::new()
        .unwrap()
        .send(&from, 0, &arena, messages.into_iter());
    assert_eq!(sent, 1);
    assert_eq!(receive_all(&to, 1).len(), 1);
}

#[test]
fn a_datagram_that_is_too_long_is_dropped() {
    let (from, to) = pair("127.0.0.1");
    let payloads = [vec![1; 2049], b"short".to_vec()];
    send_each(&from, to.local_addr().unwrap(), &payloads);
    assert_eq!(receive_all(&to, 1)[0].1, b"short");
}

#[test]
fn both_families_can_have_the_same_port_on_all_addresses() {
    let six = bind("[::]:0".parse().unwrap()).unwrap();
    let port = six.local_addr().unwrap().port();
    bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
}

#[test]
fn buffers_that_the_machine_does_not_allow_are_told_with_what_to_set() {
    let (socket, _) = pair("127.0.0.1");
    for (option, limit) in [
        (libc::SO_SNDBUF, "sysctl -w net.core.wmem_max=4194304"),
        (libc::SO_RCVBUF, "sysctl -w net.core.rmem_max=4194304"),
    ] {
        let before = missing_buffers(&socket);
        assert!(!before.iter().any(|sentence| sentence.contains(limit)));
        // What a kernel with its default limits makes of the wish.
        socket::set(socket.as_raw_fd(), libc::SOL_SOCKET, option, 212_992).unwrap();
        let after = missing_buffers(&socket);
        assert_eq!(after.len(), before.len() + 1);
        assert!(
            after
                .iter()
                .any(|sentence| { sentence.contains(limit) && sentence.contains("212992 bytes") })
        );
    }
}

fn unix_time() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap()
}

#[test]
fn the_kernel_tells_when_each_datagram_came() {
    let (from, to) = pair("127.0.0.1");
    let mut receiver = Receiver::default();
    let mut seen: Vec<(Vec<u8>, Option<Duration>)> = Vec::new();
    let mut read = |wanted: usize| {
        while seen.len() < wanted {
            receiver
                .receive_stamped(&to, |_, bytes, at| seen.push((bytes.to_vec(), at)))
                .unwrap();
        }
        std::mem::take(&mut seen)
    };
    let target = to.local_addr().unwrap();
    send_each(&from, target, &[b"unasked".to_vec()]);
    assert_eq!(read(1)[0].1, None);

    stamp_arrivals(&to).unwrap();
    let before = unix_time();
    let payloads = equal_but_the_last();
    let (arena, places) = arena(&payloads);
    let message = Message {
        to: target,
        datagrams: &places,
    };
    Sender::new()
        .unwrap()
        .send(&from, 0, &arena, [message].into_iter());
    let seen = read(payloads.len());
    let after = unix_time();
    assert!(seen.iter().map(|(bytes, _)| bytes).eq(&payloads));
    for (_, at) in seen {
        let at = at.expect("asked for");
        assert!(before <= at && at <= after, "{before:?} {at:?} {after:?}");
    }
}

#[test]
fn a_full_queue_tells_how_much_it_dropped() {
    let (from, to) = pair("127.0.0.1");
    socket::set(to.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 8192).unwrap();
    assert_eq!(dropped_messages(&to).unwrap(), 0);
    let payloads = vec![vec![0; 1200]; 100];
    send_each(&from, to.local_addr().unwrap(), &payloads);
    let dropped = dropped_messages(&to).unwrap() as usize;
    assert!(dropped > 0 && dropped < payloads.len(), "{dropped}");
    assert_eq!(receive_all(&to, 100 - dropped).len(), 100 - dropped);
}
