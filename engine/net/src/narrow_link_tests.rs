//! Over a link that takes less than is sent: two network namespaces and a veth pair between them. These tests need root and
//! iproute2, as the end-to-end tests of networks do.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::batch::CALLS;
use crate::{Message, Poller, Receiver, Sender, bind, socket};

/// What `SO_SNDBUF` may be at most where nobody has changed `net.core.wmem_max`.
const DEFAULT_WMEM_MAX: libc::c_int = 212_992;
const PACKETS: usize = 10;
const PACKET_LEN: usize = 1200;
/// Beyond this a datagram that has not come is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two namespaces. They go with the value.
struct Link {
    near: String,
    far: String,
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{line}: {problem} (root is needed)"
    );
}

impl Link {
    fn new() -> Link {
        static LINKS: AtomicUsize = AtomicUsize::new(0);
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("switchyard-net-{}-{number}-{end}", std::process::id());
        let link = Link {
            near: name("near"),
            far: name("far"),
        };
        let (near, far) = (&link.near, &link.far);
        run(&format!("ip netns add {near}"));
        run(&format!("ip netns add {far}"));
        run(&format!(
            "ip -n {near} link add link0 type veth peer name link0 netns {far}"
        ));
        for (end, host) in [(near, 1), (far, 2)] {
            run(&format!(
                "ip -n {end} address add 198.18.0.{host}/24 dev link0"
            ));
            run(&format!("ip -n {end} link set link0 up"));
        }
        link
    }

    fn set(&self, words: &str) {
        run(&format!("ip -n {} link set link0 {words}", self.near));
    }

    fn limit(&self, rate: &str) {
        let near = &self.near;
        run(&format!(
            "ip netns exec {near} tc qdisc replace dev link0 root tbf rate {rate} burst 64kb limit 64mb"
        ));
    }

    /// Sockets at the near end with a default kernel's send buffer, or at the far end.
    fn sockets(&self, end: &str, count: usize) -> Vec<UdpSocket> {
        let (name, host) = match end {
            "near" => (self.near.clone(), 1),
            _ => (self.far.clone(), 2),
        };
        // A thread of its own: it stays where it has gone.
        let thread = thread::spawn(move || {
            let namespace = File::open(format!("/run/netns/{name}")).unwrap();
            // SAFETY: no pointers are passed.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0);
            let address = SocketAddr::from(([198, 18, 0, host], 0));
            (0..count).map(|_| bind(address).unwrap()).collect()
        });
        let sockets: Vec<UdpSocket> = thread.join().unwrap();
        if end == "near" {
            for socket in &sockets {
                let descriptor = socket.as_raw_fd();
                let option = libc::SO_SNDBUF;
                socket::set(descriptor, libc::SOL_SOCKET, option, DEFAULT_WMEM_MAX).unwrap();
            }
        }
        sockets
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

/// A frame's packets, each of which begins with its number.
fn frame() -> (Vec<u8>, Vec<Range<usize>>) {
    let packet = |number: usize| vec![number as u8; PACKET_LEN];
    let arena = (0..PACKETS).flat_map(packet).collect();
    let places = (0..PACKETS).map(|number| number * PACKET_LEN..(number + 1) * PACKET_LEN);
    (arena, places.collect())
}

/// Sends what waits as a worker does, until nothing is left.
fn drain(sender: &mut Sender) {
    let mut poller = Poller::new().unwrap();
    poller.add(sender, 0).unwrap();
    while let Some(deadline) = sender.deadline() {
        let timeout = deadline.saturating_duration_since(Instant::now());
        poller.wait(Some(timeout), |_| {}).unwrap();
        sender.resume(Instant::now()).unwrap();
    }
    assert!(!sender.is_waiting());
}

/// What comes to each of these sockets, until so many datagrams have come.
fn receive(viewers: &[UdpSocket], wanted: usize) -> Vec<Vec<u8>> {
    let mut poller = Poller::new().unwrap();
    for (index, viewer) in viewers.iter().enumerate() {
        poller.add(viewer, index).unwrap();
    }
    let mut receiver = Receiver::default();
    let mut got = vec![Vec::new(); viewers.len()];
    let end = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < wanted {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{count} of {wanted} datagrams came");
        poller
            .wait(Some(left), |index| {
                receiver
                    .receive(&viewers[index], |_, datagram| {
                        got[index].push(datagram[0]);
                        count += 1;
                    })
                    .unwrap();
            })
            .unwrap();
    }
    got
}

#[test]
fn a_frame_for_500_viewers_on_a_gigabit_link_reaches_all_of_them() {
    let link = Link::new();
    link.limit("1gbit");
    let from = link.sockets("near", 1).remove(0);
    let viewers = link.sockets("far", 500);
    let to: Vec<_> = viewers
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    let (arena, places) = frame();
    let messages = to.iter().map(|&to| Message {
        to,
        datagrams: &places,
    });
    let mut sender = Sender::new().unwrap();
    let taken = sender.send(&from, 0, &arena, messages);
    assert!(
        taken < 500 * PACKETS && sender.is_waiting(),
        "the link is not narrow"
    );
    drain(&mut sender);
    assert_eq!(sender.take_losses(), crate::Losses::default());
    let expected: Vec<u8> = (0..PACKETS as u8).collect();
    for got in receive(&viewers, 500 * PACKETS) {
        assert_eq!(got, expected, "each viewer has the packets in their order");
    }
}

#[test]
fn what_a_link_does_not_take_in_time_is_dropped_and_counted() {
    let link = Link::new();
    link.limit("8mbit");
    let from = link.sockets("near", 1).remove(0);
    let viewer = link.sockets("far", 1);
    let (arena, places) = frame();
    let messages = (0..500).map(|_| Message {
        to: viewer[0].local_addr().unwrap(),
        datagrams: &places,
    });
    let mut sender = Sender::new().unwrap();
    sender.send(&from, 0, &arena, messages);
    drain(&mut sender);
    let losses = sender.take_losses();
    assert_eq!(losses.refused, 0);
    let left = 500 * PACKETS - losses.unsent as usize;
    assert!(left > 0 && losses.unsent > 0);
    // Each that is not counted has left.
    assert_eq!(receive(&viewer, left)[0].len(), left);
}

#[test]
fn a_socket_that_is_full_does_not_hold_up_another_one() {
    let link = Link::new();
    link.limit("8mbit");
    let from = link.sockets("near", 2);
    let viewers = link.sockets("far", 2);
    let to: Vec<_> = viewers
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    let (arena, places) = frame();
    let message = |to| Message {
        to,
        datagrams: &places,
    };
    let mut sender = Sender::new().unwrap();
    sender.send(&from[0], 0, &arena, (0..500).map(|_| message(to[0])));
    assert!(sender.is_waiting());
    let taken = sender.send(&from[1], 1, &arena, [message(to[1])].into_iter());
    assert_eq!(taken, PACKETS);
}

#[test]
fn a_path_that_takes_no_message_in_one_piece_is_remembered() {
    let link = Link::new();
    link.set("mtu 1000");
    let from = link.sockets("near", 1).remove(0);
    let viewer = link.sockets("far", 1);
    let (arena, places) = frame();
    let mut sender = Sender::new().unwrap();
    let mut send = || {
        let message = Message {
            to: viewer[0].local_addr().unwrap(),
            datagrams: &places,
        };
        let before = CALLS.get();
        let sent = sender.send(&from, 0, &arena, [message].into_iter());
        assert_eq!(sent, PACKETS);
        CALLS.get() - before
    };
    assert_eq!([send(), send(), send()], [1 + PACKETS, PACKETS, PACKETS]);
    assert_eq!(receive(&viewer, 3 * PACKETS)[0].len(), 3 * PACKETS);
}
