//! All sockets of the process, and the server's `Wire` over them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand;
use rustls::ServerConfig;
use slotmap::{Key, KeyData, SlotMap};
use switchyard_net as net;

use super::Options;
use super::outbox::{Outbox, Source};
use super::ports::Ports;
use super::stream::Stream;
use crate::server::{Client, OpenError, Opened, Parity, RelayKey, Wire};

slotmap::new_key_type! {
    /// A connection.
    pub struct StreamKey;
}

/// What the poller reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Datagrams of clients, by the place's index.
    Clients(usize),
    /// Connections to accept, by the listener's index.
    Listener(usize),
    /// Datagrams of peers.
    Relay(RelayKey),
    /// A connection.
    Stream(StreamKey),
    /// The kernel has room for datagrams that wait to leave.
    Room,
}

const KIND_SHIFT: u32 = 62;
/// Of the kind of clients' sockets, which are few.
const ROOM: u64 = (1 << KIND_SHIFT) - 1;
/// Bytes that the kernel may queue each way for a relay, which has one client: a tenth of a second at 40 Mbit/s.
const RELAY_BUFFER: i32 = 512 << 10;

impl Token {
    /// As a number; the two highest bits are the kind, which versions of keys do not reach.
    pub fn number(self) -> u64 {
        let (kind, value) = match self {
            Token::Clients(index) => (0, index as u64),
            Token::Listener(index) => (1, index as u64),
            Token::Relay(key) => (2, key.data().as_ffi()),
            Token::Stream(key) => (3, key.data().as_ffi()),
            Token::Room => return ROOM,
        };
        kind << KIND_SHIFT | (value & !(3 << KIND_SHIFT))
    }

    /// From the number.
    pub fn of(number: u64) -> Token {
        let value = number & !(3 << KIND_SHIFT);
        match number >> KIND_SHIFT {
            _ if number == ROOM => Token::Room,
            0 => Token::Clients(value as usize),
            1 => Token::Listener(value as usize),
            2 => Token::Relay(KeyData::from_ffi(value).into()),
            _ => Token::Stream(KeyData::from_ffi(value).into()),
        }
    }
}

/// An address that we serve on.
struct Place {
    ip: IpAddr,
    /// Where peers reach its relays; none where it is all addresses of a family of which none is announced.
    announced: Option<IpAddr>,
    clients: Rc<UdpSocket>,
    ports: Ports,
}

struct RelaySocket {
    socket: Rc<UdpSocket>,
    place: usize,
    port: u16,
}

/// The sockets.
pub struct Sockets {
    poller: net::Poller,
    places: Vec<Place>,
    relays: SlotMap<RelayKey, RelaySocket>,
    /// The connections.
    pub streams: SlotMap<StreamKey, Stream>,
    per_address: HashMap<IpAddr, usize>,
    connections: usize,
    connections_per_address: usize,
    outbox: Outbox,
    losses: net::Losses,
    /// Frames for clients that do not read their connections.
    unread: u64,
    /// Messages that queues of relays had no room for which are closed by now.
    dropped_by_closed: u64,
    dirty: Vec<StreamKey>,
    closing: Vec<StreamKey>,
}

impl Sockets {
    /// Opens the sockets of clients' datagrams.
    ///
    /// # Errors
    /// The first address that cannot be used, by name.
    pub fn open(options: &Options) -> Result<Sockets, String> {
        let poller = net::Poller::new().map_err(|error| error.to_string())?;
        let mut places = Vec::new();
        for &ip in &options.listen {
            let address = SocketAddr::new(ip, options.port);
            let problem = |error: io::Error| format!("cannot serve on UDP {address}: {error}");
            let clients = net::bind(address).map_err(problem)?;
            if places.is_empty() {
                for sentence in net::missing_buffers(&clients) {
                    tracing::warn!("{sentence}");
                }
            }
            let token = Token::Clients(places.len()).number() as usize;
            poller.add(&clients, token).map_err(problem)?;
            let of_family = |announced: &&IpAddr| announced.is_ipv4() == ip.is_ipv4();
            places.push(Place {
                ip,
                announced: (options.announce.iter().find(of_family).copied())
                    .or(Some(ip).filter(|ip| !ip.is_unspecified())),
                clients: Rc::new(clients),
                ports: Ports::new(options.relay_ports),
            });
        }
        let outbox = Outbox::new().map_err(|error| error.to_string())?;
        let token = Token::Room.number() as usize;
        poller
            .add(&outbox.sender, token)
            .map_err(|error| error.to_string())?;
        Ok(Sockets {
            poller,
            places,
            relays: SlotMap::with_key(),
            streams: SlotMap::with_key(),
            per_address: HashMap::new(),
            connections: options.connections,
            connections_per_address: options.connections_per_address,
            outbox,
            losses: net::Losses::default(),
            unread: 0,
            dropped_by_closed: 0,
            dirty: Vec::new(),
            closing: Vec::new(),
        })
    }

    /// The one wait for all of it.
    pub fn poller(&mut self) -> &mut net::Poller {
        &mut self.poller
    }

    /// Where datagrams of clients come to.
    pub fn clients(&self, place: usize) -> Option<Rc<UdpSocket>> {
        self.places.get(place).map(|place| place.clients.clone())
    }

    /// Has datagrams of clients come to another socket.
    #[cfg(test)]
    pub fn replace_clients(&mut self, place: usize, socket: UdpSocket) {
        let number = Token::Clients(place).number() as usize;
        self.poller.remove(&*self.places[place].clients).unwrap();
        self.poller.add(&socket, number).unwrap();
        self.places[place].clients = Rc::new(socket);
    }

    /// Where datagrams of peers come to.
    pub fn relay(&self, key: RelayKey) -> Option<Rc<UdpSocket>> {
        self.relays.get(key).map(|relay| relay.socket.clone())
    }

    /// Where datagrams come to.
    pub fn datagrams(&self, token: Token) -> Option<Rc<UdpSocket>> {
        match token {
            Token::Clients(place) => self.clients(place),
            Token::Relay(key) => self.relay(key),
            Token::Listener(_) | Token::Stream(_) | Token::Room => None,
        }
    }

    /// Takes a connection, unless there are too many: then it is closed by not being kept.
    pub fn accept(
        &mut self,
        socket: TcpStream,
        peer: SocketAddr,
        place: usize,
        tls: Option<Arc<ServerConfig>>,
        now: Instant,
    ) -> Option<StreamKey> {
        let of_address = self.per_address.get(&peer.ip()).copied().unwrap_or(0);
        if self.streams.len() >= self.connections || of_address >= self.connections_per_address {
            return None;
        }
        let stream = Stream::new(socket, peer, place, tls, now).ok()?;
        let key = self.streams.insert(stream);
        let token = Token::Stream(key).number() as usize;
        if self.poller.add(self.streams[key].socket(), token).is_err() {
            self.streams.remove(key);
            return None;
        }
        *self.per_address.entry(peer.ip()).or_default() += 1;
        Some(key)
    }

    /// Who a connection is to the server.
    pub fn client_of(&self, key: StreamKey) -> Option<Client> {
        let stream = self.streams.get(key)?;
        Some(Client {
            socket: Token::Stream(key).number(),
            address: stream.peer,
        })
    }

    /// Closes a connection; the server must be told.
    pub fn close_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.remove(key) else {
            return;
        };
        let ip = stream.peer.ip();
        if let Some(count) = self.per_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&ip);
            }
        }
    }

    /// Sends everything that was gathered, and gives the connections that are over to `each`.
    ///
    /// # Errors
    /// The kernel's, from asking which sockets have room.
    pub fn flush(&mut self, now: Instant) -> io::Result<Vec<StreamKey>> {
        if self.outbox.sender.is_waiting() {
            self.outbox.sender.resume(now)?;
        }
        self.flush_datagrams();
        while let Some(key) = self.dirty.pop() {
            self.flush_stream(key, now);
        }
        Ok(std::mem::take(&mut self.closing))
    }

    fn flush_datagrams(&mut self) {
        let (places, relays) = (&self.places, &self.relays);
        self.outbox.flush(|source| match source {
            Source::Clients(place) => {
                let number = Token::Clients(place).number() as usize;
                Some((&*places.get(place)?.clients, number))
            }
            Source::Relay(key) => {
                let number = Token::Relay(key).number() as usize;
                Some((&*relays.get(key)?.socket, number))
            }
        });
    }

    /// When `flush` is due though nothing has come.
    pub fn deadline(&self) -> Option<Instant> {
        self.outbox.sender.deadline()
    }

    /// The counts of what the kernel did not take or give, since the start, with their names.
    pub fn kernel_counts(&mut self) -> [(&'static str, u64); 4] {
        let new = self.outbox.sender.take_losses();
        self.losses.unsent += new.unsent;
        self.losses.refused += new.refused;
        let clients = self.places.iter().map(|place| &place.clients);
        let relays = self.relays.values().map(|relay| &relay.socket);
        let dropped: u64 = clients.chain(relays).map(|socket| dropped(socket)).sum();
        [
            ("send_buffer", self.losses.unsent),
            ("not_sendable", self.losses.refused),
            ("receive_buffer", self.dropped_by_closed + dropped),
            ("unread", self.unread),
        ]
    }

    /// Writes what waits for a connection, and asks the poller to tell when more can be written.
    pub fn flush_stream(&mut self, key: StreamKey, now: Instant) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.is_dirty = false;
        let Ok(done) = stream.flush(now) else {
            return self.closing.push(key);
        };
        if stream.watches_writable == done {
            stream.watches_writable = !done;
            let token = Token::Stream(key).number() as usize;
            if self
                .poller
                .watch_writable(stream.socket(), token, !done)
                .is_err()
            {
                self.closing.push(key);
            }
        }
    }

    /// TLS has something to say that no frame made: handshakes and alerts.
    pub fn mark_dirty(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !stream.is_dirty
        {
            stream.is_dirty = true;
            self.dirty.push(key);
        }
    }

    fn send(&mut self, client: Client, head: &[u8], body: &[u8]) {
        match Token::of(client.socket) {
            Token::Clients(place) => {
                self.datagram(Source::Clients(place), client.address, head, body)
            }
            Token::Stream(key) => {
                let taken = self
                    .streams
                    .get_mut(key)
                    .map(|stream| stream.push(head, body));
                match taken {
                    Some(true) => self.mark_dirty(key),
                    Some(false) | None => self.unread += 1,
                }
            }
            Token::Listener(_) | Token::Relay(_) | Token::Room => {}
        }
    }

    fn datagram(&mut self, source: Source, to: SocketAddr, head: &[u8], body: &[u8]) {
        if self.outbox.is_full() {
            self.flush_datagrams();
        }
        self.outbox.push(source, to, head, body);
    }

    /// Where to open a relay, and where peers reach it.
    fn place_for(&self, client: Client, ipv6: bool) -> Option<(usize, IpAddr)> {
        let own = match Token::of(client.socket) {
            Token::Clients(place) => Some(place),
            Token::Stream(key) => self.streams.get(key).map(|stream| stream.place),
            Token::Listener(_) | Token::Relay(_) | Token::Room => None,
        };
        own.into_iter()
            .chain(0..self.places.len())
            .filter_map(|place| Some((place, self.places[place].announced?)))
            .find(|(_, announced)| announced.is_ipv6() == ipv6)
    }

    fn keep(&mut self, place: usize, port: u16, socket: UdpSocket) -> RelayKey {
        let socket = Rc::new(socket);
        let key = self.relays.insert(RelaySocket {
            socket: socket.clone(),
            place,
            port,
        });
        // Without the poller nothing would come from peers; what goes to them still does.
        if let Err(error) = self
            .poller
            .add(&*socket, Token::Relay(key).number() as usize)
        {
            tracing::warn!(%error, "a relay cannot be waited for");
        }
        key
    }
}

impl Wire for Sockets {
    fn to_client(&mut self, client: Client, message: &[u8]) {
        self.send(client, message, &[]);
    }

    fn channel_to_client(&mut self, client: Client, channel: u16, payload: &[u8]) {
        let [a, b] = channel.to_be_bytes();
        let [c, d] = (payload.len() as u16).to_be_bytes();
        self.send(client, &[a, b, c, d], payload);
    }

    fn to_peer(&mut self, relay: RelayKey, peer: SocketAddr, payload: &[u8]) {
        self.datagram(Source::Relay(relay), peer, payload, &[]);
    }

    fn open(&mut self, client: Client, ipv6: bool, parity: Parity) -> Result<Opened, OpenError> {
        let place = self.place_for(client, ipv6);
        let (index, announced) = place.ok_or(OpenError::NoFamily)?;
        let mut start = [0; 2];
        self.random(&mut start);
        let place = &mut self.places[index];
        let bind =
            |port| net::bind_with_buffers(SocketAddr::new(place.ip, port), RELAY_BUFFER).ok();
        let taken = place.ports.take(
            u16::from_be_bytes(start),
            parity != Parity::Any,
            |port, next_is_free| match parity {
                // Both are open before either is taken.
                Parity::EvenAndNext if next_is_free => Some((bind(port)?, Some(bind(port + 1)?))),
                Parity::EvenAndNext => None,
                Parity::Any | Parity::Even => Some((bind(port)?, None)),
            },
        );
        let (port, (socket, next)) = taken.ok_or(OpenError::NoPort)?;
        if next.is_some() {
            place.ports.set_used(port + 1, true);
        }
        let opened = |key, port| (key, SocketAddr::new(announced, port));
        Ok(Opened {
            relay: opened(self.keep(index, port, socket), port),
            next: next.map(|socket| opened(self.keep(index, port + 1, socket), port + 1)),
        })
    }

    fn close(&mut self, relay: RelayKey) {
        // What was relayed before still leaves.
        self.flush_datagrams();
        if let Some(relay) = self.relays.remove(relay) {
            self.places[relay.place].ports.set_used(relay.port, false);
            self.dropped_by_closed += dropped(&relay.socket);
        }
    }

    fn disconnect(&mut self, client: Client) {
        if let Token::Stream(key) = Token::of(client.socket) {
            self.closing.push(key);
        }
    }

    fn random(&mut self, bytes: &mut [u8]) {
        if rand::fill(bytes).is_err() {
            tracing::error!("the machine has no randomness");
        }
    }
}

/// A kernel before 4.12 does not know.
fn dropped(socket: &UdpSocket) -> u64 {
    net::dropped_messages(socket).map_or(0, u64::from)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::peer_policy::PeerPolicy;
    use crate::server::Settings;

    pub fn options(listen: &[&str], announce: &[IpAddr]) -> Options {
        let settings = Settings {
            secret: Vec::new(),
            policy: PeerPolicy::default(),
            allocations_per_credential: 1,
            bytes_per_second: 0,
            nonce_lifetime: std::time::Duration::ZERO,
        };
        Options {
            settings,
            listen: listen.iter().map(|ip| ip.parse().unwrap()).collect(),
            announce: announce.to_vec(),
            port: 0,
            tls_port: 0,
            relay_ports: (49_152, 65_535),
            revoked: Vec::new(),
            certificate: None,
            host: "localhost".into(),
            connections: 1,
            connections_per_address: 1,
        }
    }

    #[test]
    fn relays_on_all_addresses_are_of_the_families_that_are_announced() {
        let announced = IpAddr::from([203, 0, 113, 1]);
        let options = options(&["0.0.0.0", "::"], &[announced]);
        let mut sockets = Sockets::open(&options).unwrap();
        for place in [0, 1] {
            let client = Client {
                socket: Token::Clients(place).number(),
                address: "127.0.0.1:9".parse().unwrap(),
            };
            let opened = sockets.open(client, false, Parity::Any);
            let Ok(Opened { relay, .. }) = opened else {
                panic!("no relay");
            };
            assert_eq!(relay.1.ip(), announced);
            let refused = sockets.open(client, true, Parity::Any);
            assert!(matches!(refused, Err(OpenError::NoFamily)));
        }
    }

    #[test]
    fn tokens_are_found_by_their_numbers() {
        let key = KeyData::from_ffi((7 << 32) | 3);
        for token in [
            Token::Clients(0),
            Token::Clients(63),
            Token::Listener(2),
            Token::Relay(key.into()),
            Token::Stream(key.into()),
            Token::Room,
        ] {
            assert_eq!(Token::of(token.number()), token);
        }
    }
}
