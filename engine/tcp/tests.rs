use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// An engine that knows who sends it the word, and answers what it is told to.
#[derive(Default)]
struct Peers {
    received: Vec<Vec<u8>>,
    known: Vec<(u16, SocketAddr)>,
    /// Nobody is known yet: the descriptions are still on their way.
    is_early: bool,
    lost: Vec<(u16, SocketAddr)>,
    discarded: u64,
}

const WORD: &[u8] = &[0, 1, 2, 3];

impl Sessions for Peers {
    fn receive(&mut self, _now: Instant, socket: u16, peer: SocketAddr, datagram: &mut [u8]) {
        if datagram == WORD && !self.is_early {
            self.known.push((socket, peer));
        }
        self.received.push(datagram.to_vec());
    }

    fn know(&self, socket: u16, peer: SocketAddr) -> bool {
        self.known.contains(&(socket, peer))
    }

    fn lose(&mut self, socket: u16, peer: SocketAddr) {
        self.lost.push((socket, peer));
    }

    fn discard(&mut self, count: u64) {
        self.discarded += count;
    }
}

struct Laboratory {
    tcp: Tcp,
    address: SocketAddr,
    peers: Peers,
    now: Instant,
}

impl Laboratory {
    fn new() -> Laboratory {
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = net::listen(loopback).unwrap();
        Laboratory {
            address: listener.local_addr().unwrap(),
            tcp: Tcp::new(vec![(TCP, listener)]).unwrap(),
            peers: Peers::default(),
            now: Instant::now(),
        }
    }

    fn connect(&mut self) -> TcpStream {
        let before = self.count();
        let stream = TcpStream::connect(self.address).unwrap();
        self.until(|laboratory| laboratory.count() != before);
        stream
    }

    /// A connection that a session has taken.
    fn proven(&mut self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&framed(WORD)).unwrap();
        let address = stream.local_addr().unwrap();
        self.until(|laboratory| laboratory.peers.know(TCP, address));
        stream
    }

    fn count(&self) -> usize {
        self.tcp.connections.borrow().len()
    }

    fn turn(&mut self) {
        let now = self.now;
        self.tcp.take(|| now, &mut self.peers).unwrap();
        self.tcp.end_what_is_due(self.now, &mut self.peers);
    }

    /// Turns until it is so.
    fn until(&mut self, is_so: impl Fn(&Laboratory) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so(self) {
            assert!(Instant::now() < deadline);
            self.turn();
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + LOOK_EVERY);
            self.turn();
        }
    }

    fn send(&self, to: SocketAddr, datagrams: &[&[u8]]) {
        let arena = datagrams.concat();
        let mut end = 0;
        let places: Vec<_> = datagrams
            .iter()
            .map(|datagram| {
                let start = end;
                end += datagram.len();
                start..end
            })
            .collect();
        let message = Message {
            socket: TCP,
            to,
            datagrams: &places,
        };
        self.tcp.sender().send(&message, &arena);
    }
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}

/// The other side has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn datagrams_come_and_go_as_frames() {
    let mut laboratory = Laboratory::new();
    let mut stream = laboratory.proven();
    let address = stream.local_addr().unwrap();
    stream.write_all(&framed(&[22, 1])).unwrap();
    stream.write_all(&[0, 3, 0x80]).unwrap();
    laboratory.until(|laboratory| laboratory.peers.received.len() == 2);
    stream.write_all(&[1, 2]).unwrap();
    laboratory.until(|laboratory| laboratory.peers.received.len() == 3);
    assert_eq!(
        laboratory.peers.received[1..],
        [vec![22, 1], vec![0x80, 1, 2]]
    );

    laboratory.send(address, &[b"one", b"two", b"3"]);
    laboratory.send(address, &[b"four"]);
    let expected = [&b"one"[..], b"two", b"3", b"four"].map(framed).concat();
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, expected);

    laboratory.send("127.0.0.1:9".parse().unwrap(), &[b"nobody"]);
    drop(stream);
    laboratory.until(|laboratory| laboratory.count() == 0);
    assert_eq!(laboratory.peers.lost, [(TCP, address)]);
}

#[test]
fn who_does_not_show_whose_he_is_is_closed() {
    let mut laboratory = Laboratory::new();
    let mut silent = laboratory.connect();
    let _known = laboratory.proven();
    laboratory.pass(PATIENCE - LOOK_EVERY);
    assert_eq!(laboratory.count(), 2);
    laboratory.pass(2 * LOOK_EVERY);
    assert_eq!(laboratory.count(), 1);
    assert!(is_closed(&mut silent));
    assert_eq!(laboratory.peers.lost, []);

    // The session has ended.
    laboratory.peers.known.clear();
    laboratory.pass(LOOK_EVERY);
    assert_eq!(laboratory.count(), 0);
}

#[test]
fn a_peer_that_is_here_before_its_description_need_not_ask_again() {
    let mut laboratory = Laboratory::new();
    laboratory.peers.is_early = true;
    let mut stream = laboratory.connect();
    stream.write_all(&framed(WORD)).unwrap();
    laboratory.until(|laboratory| !laboratory.peers.received.is_empty());
    laboratory.pass(TRY_EVERY);
    assert_eq!(laboratory.peers.known, []);
    laboratory.peers.is_early = false;
    laboratory.pass(TRY_EVERY);
    assert_eq!(
        laboratory.peers.known,
        [(TCP, stream.local_addr().unwrap())]
    );
    laboratory.pass(2 * PATIENCE);
    assert_eq!(laboratory.count(), 1);
    assert_eq!(laboratory.peers.known.len(), 1);
}

#[test]
fn garbage_is_closed_at_once() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &framed(&[0x80; 20]),
        &[0, 0],
    ] {
        let mut laboratory = Laboratory::new();
        let mut stream = laboratory.connect();
        stream.write_all(garbage).unwrap();
        laboratory.until(|laboratory| laboratory.count() == 0);
        assert!(is_closed(&mut stream));
        assert_eq!(laboratory.peers.received, [] as [Vec<u8>; 0]);
    }
}

#[test]
fn strangers_are_few_and_do_not_keep_peers_out() {
    let mut laboratory = Laboratory::new();
    let mut strangers: Vec<_> = (0..100)
        .map(|_| {
            let stream = TcpStream::connect(laboratory.address).unwrap();
            laboratory.turn();
            stream
        })
        .collect();
    laboratory.until(|laboratory| laboratory.count() == 64);
    let mut peer = TcpStream::connect(laboratory.address).unwrap();
    peer.write_all(&framed(WORD)).unwrap();
    laboratory.until(|laboratory| laboratory.peers.known.len() == 1);
    assert_eq!(laboratory.count(), 64);
    assert!(is_closed(&mut strangers[0]));
}

#[test]
fn a_peer_that_does_not_read_is_bounded_and_then_dropped() {
    let mut laboratory = Laboratory::new();
    let mut stream = laboratory.proven();
    let address = stream.local_addr().unwrap();
    let datagram = [7; 1200];
    while laboratory.peers.discarded == 0 {
        laboratory.send(address, &[&datagram[..]; 16]);
        laboratory.turn();
    }
    laboratory.pass(PATIENCE - LOOK_EVERY);
    assert_eq!(laboratory.count(), 1);
    // It reads again in time, and the stream is whole.
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut got = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count) = stream.read(&mut buffer) {
        got.extend_from_slice(&buffer[..count]);
        laboratory.turn();
    }
    assert_eq!(got.len() % (2 + datagram.len()), 0);
    assert!(
        got.chunks(2 + datagram.len())
            .all(|one| one == framed(&datagram))
    );
    laboratory.pass(2 * PATIENCE);
    assert_eq!(laboratory.count(), 1);

    laboratory.peers.discarded = 0;
    while laboratory.peers.discarded == 0 {
        laboratory.send(address, &[&datagram[..]; 16]);
        laboratory.turn();
    }
    // What waits began to by the machine's clock, which is far behind ours by now.
    laboratory.pass(LOOK_EVERY);
    assert_eq!(laboratory.count(), 0);
    assert_eq!(laboratory.peers.lost, [(TCP, address)]);
}

#[test]
fn a_turn_ends_in_time_and_the_next_one_goes_on_where_it_ended() {
    let mut laboratory = Laboratory::new();
    let mut streams: Vec<_> = (0..3).map(|_| laboratory.proven()).collect();
    for (number, stream) in (0..).zip(&mut streams) {
        stream.write_all(&framed(&[0x80, number])).unwrap();
    }
    laboratory.peers.received.clear();
    let time = std::cell::Cell::new(laboratory.now);
    for _ in 0..3 {
        let before = laboratory.peers.received.len();
        // Each look at the clock finds that much time has gone.
        let slow = || {
            time.set(time.get() + TURN);
            time.get()
        };
        while laboratory.peers.received.len() == before {
            laboratory.tcp.take(slow, &mut laboratory.peers).unwrap();
        }
        assert_eq!(laboratory.peers.received.len(), before + 1);
    }
    laboratory.peers.received.sort();
    assert_eq!(
        laboratory.peers.received,
        [0, 1, 2].map(|number| vec![0x80, number])
    );
}

#[test]
fn a_port_that_is_taken_for_tcp_is_named() {
    let taken = net::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    let problem = listen(&[address]).err().unwrap();
    assert!(problem.contains(&format!("TCP {address}")), "{problem}");
}

#[test]
fn what_is_sent_where_no_connection_is_counts_as_discarded() {
    let mut laboratory = Laboratory::new();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    laboratory.send(nobody, &[b"one", b"two"]);
    laboratory.turn();
    assert_eq!(laboratory.peers.discarded, 2);
}

#[test]
fn what_waits_for_a_connection_that_ends_counts_as_discarded() {
    let mut laboratory = Laboratory::new();
    let stream = laboratory.proven();
    let to = stream.local_addr().unwrap();
    let mut sent = 0;
    while laboratory.peers.discarded == 0 {
        laboratory.send(to, &[&[7; 1200]]);
        laboratory.turn();
        sent += 1;
    }
    let before = laboratory.peers.discarded;
    drop(stream);
    laboratory.until(|laboratory| laboratory.count() == 0);
    laboratory.turn();
    let waited = laboratory.peers.discarded - before;
    assert!(waited > 100 && waited < sent, "{waited} of {sent}");
}
