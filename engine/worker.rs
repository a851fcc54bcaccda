//! The loop of the forwarding thread: wait, take requests, take datagrams, do what is due, send.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use switchyard_net as net;

use crate::core::Engine;
use crate::core::outbox::Outbox;
use crate::gathering::Gathering;
use crate::link::Server;
use crate::tcp::{Sessions, Tcp};
use crate::udp::{KernelTransmit, Troubles, Udp};
use crate::workers::{Inbox, Mail, Post};

/// Batches of one socket before the others and the timers have their turn.
const BATCHES_IN_A_ROW: usize = 4;

/// What the poller reports for all TCP connections: a number that no UDP socket has.
const ANY_TCP: usize = usize::MAX - 1;
/// What the poller reports when a UDP socket has room for what waits to leave.
const ROOM: usize = usize::MAX - 2;

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
    udp: &Udp,
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
        udp: udp.clone(),
        tcp: tcp.sender(),
    }));
    poller.add(&tcp, ANY_TCP)?;
    udp.watch(&poller, ROOM)?;
    let mut troubles = Troubles::new(udp.clone());
    let mut receiver = net::Receiver::default();
    let mut ready = Vec::new();
    let mut gathering = Gathering::default();
    let mut begin = Instant::now();
    loop {
        for (index, socket) in udp.sockets().iter().enumerate().skip(watched) {
            poller.add(socket, index)?;
            watched += 1;
        }
        let wait = Instant::now();
        let due = [
            engine.next_timeout(),
            gathering.deadline(),
            tcp.deadline(wait),
            udp.deadline(),
            troubles.until(),
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

        udp.resume(end)?;
        troubles.end(&poller, end);
        has_mail = take_mail(&mut engine, &inbox, &mut outbox);
        for &index in ready.iter().filter(|&&index| index < ROOM) {
            let socket = &udp.sockets()[index];
            let received = receive(&mut engine, &mut receiver, socket, index, &mut outbox);
            if let Err(error) = received {
                troubles.note(&poller, index, &error, end);
            }
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
            return udp.drain();
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
) -> io::Result<()> {
    for _ in 0..BATCHES_IN_A_ROW {
        let now = Instant::now();
        let received = receiver.receive(socket, |source, datagram| {
            engine.handle_datagram(now, index as u16, source, datagram, outbox);
        });
        if received? < net::BATCH {
            break;
        }
    }
    Ok(())
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
