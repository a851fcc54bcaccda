//! The loop of the forwarding thread: wait, take requests, take datagrams, do what is due, send.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Instant;

use switchyard_net as net;

use crate::core::Engine;
use crate::core::outbox::{Message, Outbox, Transmit};
use crate::gathering::Gathering;
use crate::link::Server;
use crate::tcp::{Sessions, Tcp, TcpSender};
use crate::transport::TCP;
use crate::workers::{Inbox, Mail, Post};

/// Batches of one socket before the others and the timers have their turn.
const BATCHES_IN_A_ROW: usize = 4;

/// What the poller reports for all TCP connections: a number that no UDP socket has.
const ANY_TCP: usize = usize::MAX - 1;

/// The sockets of the forwarding thread: more may be opened while it runs.
#[derive(Clone)]
pub struct Sockets(Rc<RefCell<Vec<UdpSocket>>>);

/// Opens a socket on each address, and gives the addresses with the ports that the kernel chose for zero.
///
/// # Errors
/// The first address that cannot be used, by name; then none is open.
pub fn bind(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<(Vec<SocketAddr>, Vec<UdpSocket>), String> {
    let bind = |address| {
        let socket = net::bind(address)?;
        Ok((socket.local_addr()?, socket))
    };
    let opened = addresses
        .map(|address| {
            bind(address)
                .map_err(|error: io::Error| format!("cannot receive media on {address}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(opened.into_iter().unzip())
}

impl Sockets {
    /// Those that peers are told.
    pub fn new(sockets: Vec<UdpSocket>) -> Sockets {
        Sockets(Rc::new(RefCell::new(sockets)))
    }

    /// More of them.
    ///
    /// # Errors
    /// As `bind`.
    pub fn open(
        &self,
        addresses: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, String> {
        let (bound, sockets) = bind(addresses)?;
        self.0.borrow_mut().extend(sockets);
        Ok(bound)
    }
}

/// What a worker has of the rest of the process.
pub struct Surroundings<'a> {
    /// What it is sent.
    pub inbox: Inbox,
    /// All workers, itself too, by their numbers.
    pub workers: &'a [Post],
    /// Where its news go.
    pub control: &'a Server,
}

/// Runs until control tells the engine to leave.
///
/// # Errors
/// The kernel's, from waiting.
pub fn run(
    mut engine: Engine,
    sockets: &Sockets,
    mut tcp: Tcp,
    mut poller: net::Poller,
    Surroundings {
        inbox,
        workers,
        control,
    }: Surroundings<'_>,
) -> io::Result<()> {
    let mut watched = 0;
    let mut has_mail = false;
    let mut woken = ToWake::default();
    let mut outbox = Outbox::new(Box::new(KernelTransmit {
        sockets: sockets.clone(),
        sender: net::Sender::default(),
        tcp: tcp.sender(),
    }));
    poller.add(&tcp, ANY_TCP)?;
    let mut receiver = net::Receiver::default();
    let mut ready = Vec::new();
    let mut gathering = Gathering::default();
    let mut begin = Instant::now();
    loop {
        for (index, socket) in sockets.0.borrow().iter().enumerate().skip(watched) {
            poller.add(socket, index)?;
            watched += 1;
        }
        let wait = Instant::now();
        let due = [
            engine.next_timeout(),
            gathering.deadline(),
            tcp.deadline(wait),
            has_mail.then_some(wait),
        ];
        let due = due.into_iter().flatten().min();
        ready.clear();
        poller.wait(
            due.map(|due| due.saturating_duration_since(wait)),
            |index| ready.push(index),
        )?;
        let end = Instant::now();
        gathering.note(wait - begin, end - wait);
        begin = end;

        has_mail = take_mail(&mut engine, &inbox, &mut outbox);
        for &index in ready.iter().filter(|&&index| index != ANY_TCP) {
            receive(
                &mut engine,
                &mut receiver,
                &sockets.0.borrow()[index],
                index,
                &mut outbox,
            );
        }
        // Last: whatever comes by TCP, the UDP sockets have had their turn.
        let mut peers = TcpPeers {
            engine: &mut engine,
            outbox: &mut outbox,
        };
        if ready.contains(&ANY_TCP) {
            tcp.take(Instant::now, &mut peers)?;
        }
        let now = Instant::now();
        tcp.end_what_is_due(now, &mut peers);
        engine.handle_timeout(now, &mut outbox);
        while let Some((to, handover)) = engine.poll_handover() {
            workers[usize::from(to)].send(Mail::Handover(engine.worker(), handover));
            woken.mark(to);
        }
        if (!outbox.is_empty() || woken.any()) && gathering.is_due(now) {
            outbox.flush();
            woken.wake(workers);
        }
        while let Some(event) = engine.poll_event() {
            control.tell(event);
        }
        if engine.is_leaving() {
            outbox.flush();
            return Ok(());
        }
    }
}

/// True: there may be more.
fn take_mail(engine: &mut Engine, inbox: &Inbox, outbox: &mut Outbox) -> bool {
    let now = Instant::now();
    inbox.drain(|mail| match mail {
        Mail::Request(request, reply) => {
            reply.answer(engine.handle_request(Instant::now(), *request, outbox));
        }
        Mail::Handover(from, handover) => engine.handle_handover(now, from, handover, outbox),
    })
}

fn receive(
    engine: &mut Engine,
    receiver: &mut net::Receiver,
    socket: &UdpSocket,
    index: usize,
    outbox: &mut Outbox,
) {
    for _ in 0..BATCHES_IN_A_ROW {
        let now = Instant::now();
        let received = receiver.receive(socket, |source, datagram| {
            engine.handle_datagram(now, index as u16, source, datagram, outbox);
        });
        // One socket's trouble must not end the calls on the others.
        let Ok(count) = received.inspect_err(|error| tracing::warn!(%error, index, "receiving"))
        else {
            break;
        };
        if count < net::BATCH {
            break;
        }
    }
}

/// The engine, as TCP connections see it.
struct TcpPeers<'a> {
    engine: &'a mut Engine,
    outbox: &'a mut Outbox,
}

impl Sessions for TcpPeers<'_> {
    fn receive(&mut self, now: Instant, socket: u16, peer: SocketAddr, datagram: &mut [u8]) {
        (self.engine).handle_datagram(now, socket, peer, datagram, self.outbox);
    }

    fn know(&self, socket: u16, peer: SocketAddr) -> bool {
        self.engine.knows(socket, peer)
    }

    fn lose(&mut self, socket: u16, peer: SocketAddr) {
        let now = Instant::now();
        (self.engine).handle_disconnect(now, socket, peer, self.outbox);
    }

    fn discard(&mut self, count: u64) {
        self.engine.discard_unread(count);
    }
}

/// Workers that were sent something, and are to be woken once for all of it.
#[derive(Default)]
struct ToWake(Vec<u16>);

impl ToWake {
    fn mark(&mut self, worker: u16) {
        if !self.0.contains(&worker) {
            self.0.push(worker);
        }
    }

    fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn wake(&mut self, workers: &[Post]) {
        for worker in self.0.drain(..) {
            workers[usize::from(worker)].wake();
        }
    }
}

/// The outbox's way to the kernel.
struct KernelTransmit {
    sockets: Sockets,
    tcp: TcpSender,
    sender: net::Sender,
}

impl Transmit for KernelTransmit {
    fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]) {
        // One run for each row of messages from one socket; most servers have one that is busy.
        let mut messages = messages.peekable();
        let sockets = self.sockets.0.borrow();
        while let Some(socket) = messages.peek().map(|message| message.socket) {
            let run = std::iter::from_fn(|| messages.next_if(|message| message.socket == socket));
            if socket & TCP != 0 {
                run.for_each(|message| self.tcp.send(&message, arena));
                continue;
            }
            let run = run.map(|message| net::Message {
                to: message.to,
                datagrams: message.datagrams,
            });
            self.sender.send(&sockets[usize::from(socket)], arena, run);
        }
    }
}
