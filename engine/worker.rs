//! The loop of the forwarding thread: wait, take requests, take datagrams, do what is due, send.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use switchyard_net as net;

use crate::core::outbox::Outbox;
use crate::core::{Engine, Snapshot};
use crate::dispatch::Reply;
use crate::gathering::Gathering;
use crate::link::Server;
use crate::link::proto::request;
use crate::reception::Reception;
use crate::tcp::{Sessions, Tcp};
use crate::udp::{KernelTransmit, Troubles, Udp};
use crate::workers::{Inbox, Mail, Post};

/// After so many panics in so short a time the process ends, and control starts another: they have no end here.
const MAX_RESTARTS: usize = 32;
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// Until a snapshot goes on that control was too slow for.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(2);

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

/// Runs until control tells the engine to leave. A panic ends the sessions, and the worker goes on with none.
///
/// # Errors
/// The kernel's, from waiting; or the worker panics again and again.
pub fn run(
    mut engine: Engine,
    udp: &Udp,
    tcp: Tcp,
    poller: net::Poller,
    surroundings: Surroundings<'_>,
) -> io::Result<()> {
    poller.add(&tcp, ANY_TCP)?;
    udp.watch(&poller, ROOM)?;
    let mut worker = Worker {
        udp,
        troubles: Troubles::new(udp.clone()),
        watched: 0,
        outbox: outbox(udp, &tcp),
        tcp,
        poller,
        surroundings,
        reception: Reception::default(),
        woken: ToWake::default(),
        snapshots: VecDeque::new(),
    };
    let mut restarts = VecDeque::new();
    loop {
        let work = AssertUnwindSafe(|| worker.forward(&mut engine));
        if let Ok(ended) = catch_unwind(work) {
            return ended;
        }
        let now = Instant::now();
        restarts.push_back(now);
        if restarts.len() > MAX_RESTARTS
            && let Some(first) = restarts.pop_front()
            && now.duration_since(first) < RESTARTS_WITHIN
        {
            return Err(io::Error::other("the worker panics again and again"));
        }
        tracing::error!(worker = engine.worker(), "begins anew after a panic");
        engine = engine.begin_anew(now);
        // What it held was for sessions that are no more.
        worker.outbox = outbox(udp, &worker.tcp);
        worker.snapshots.clear();
    }
}

fn outbox(udp: &Udp, tcp: &Tcp) -> Outbox {
    Outbox::new(Box::new(KernelTransmit {
        udp: udp.clone(),
        tcp: tcp.sender(),
    }))
}

/// A worker without its engine.
struct Worker<'a> {
    udp: &'a Udp,
    troubles: Troubles,
    /// Sockets that the poller has.
    watched: usize,
    outbox: Outbox,
    tcp: Tcp,
    poller: net::Poller,
    surroundings: Surroundings<'a>,
    reception: Reception,
    woken: ToWake,
    /// Snapshots that are on their way to control.
    snapshots: VecDeque<(Snapshot, Reply)>,
}

impl Worker<'_> {
    fn forward(&mut self, engine: &mut Engine) -> io::Result<()> {
        let mut has_mail = true;
        let mut ready = Vec::new();
        let mut gathering = Gathering::default();
        let mut begin = Instant::now();
        loop {
            self.watch_new_sockets()?;
            let wait = Instant::now();
            let due = [
                engine.next_timeout(),
                gathering.deadline(),
                self.tcp.deadline(wait),
                self.udp.deadline(),
                self.troubles.until(),
                (has_mail || self.reception.has_rest()).then_some(wait),
                self.snapshot_due(wait),
            ];
            let due = due.into_iter().flatten().min();
            ready.clear();
            self.poller.wait(
                due.map(|due| due.saturating_duration_since(wait)),
                |index| ready.push(index),
            )?;
            let end = Instant::now();
            gathering.note(wait - begin, end - wait);
            begin = end;

            self.udp.resume(end)?;
            self.troubles.end(&self.poller, end);
            has_mail = self.take_mail(engine);
            let now = self.receive(engine, &ready)?;
            engine.handle_timeout_in_turns(now, &Instant::now, &mut self.outbox);
            self.continue_snapshot(engine, now);
            self.pass_on_handovers(engine);
            if (!self.outbox.is_empty() || self.woken.any()) && gathering.is_due(now) {
                self.outbox.flush();
                self.woken.wake(self.surroundings.workers);
            }
            while let Some(event) = engine.poll_event() {
                self.surroundings.control.tell(event);
            }
            if engine.is_leaving() {
                self.outbox.flush();
                return self.udp.drain();
            }
        }
    }

    /// Gives the time when it is done.
    fn receive(&mut self, engine: &mut Engine, ready: &[usize]) -> io::Result<Instant> {
        let outbox = &mut self.outbox;
        let sockets = self.udp.sockets();
        let (poller, troubles) = (&self.poller, &mut self.troubles);
        self.reception.take(
            &sockets,
            ready,
            &Instant::now,
            |now, index, source, datagram| {
                engine.handle_datagram(now, index as u16, source, datagram, outbox);
            },
            |index, error| troubles.note(poller, index, error, Instant::now()),
        );
        drop(sockets);
        // Last: whatever comes by TCP, the UDP sockets have had their turn.
        let mut peers = TcpPeers { engine, outbox };
        if ready.contains(&ANY_TCP) {
            self.tcp.take(Instant::now, &mut peers)?;
        }
        let now = Instant::now();
        self.tcp.end_what_is_due(now, &mut peers);
        Ok(now)
    }

    fn watch_new_sockets(&mut self) -> io::Result<()> {
        for (index, socket) in self.udp.sockets().iter().enumerate().skip(self.watched) {
            self.poller.add(socket, index)?;
            self.watched += 1;
        }
        Ok(())
    }

    fn pass_on_handovers(&mut self, engine: &mut Engine) {
        while let Some((to, handover)) = engine.poll_handover() {
            let mail = Mail::Handover(engine.worker(), handover);
            self.surroundings.workers[usize::from(to)].send(mail);
            self.woken.mark(to);
        }
    }

    /// True: there may be more.
    fn take_mail(&mut self, engine: &mut Engine) -> bool {
        let now = Instant::now();
        let (outbox, snapshots) = (&mut self.outbox, &mut self.snapshots);
        self.surroundings
            .inbox
            .drain(&Instant::now, |mail| match mail {
                Mail::Request(request, reply) => match &request.body {
                    Some(request::Body::Snapshot(asked)) if asked.in_pieces => {
                        snapshots.push_back((engine.begin_snapshot(), reply));
                    }
                    _ => reply.answer(engine.handle_request(Instant::now(), *request, outbox)),
                },
                Mail::Handover(from, handover) => {
                    engine.handle_handover(now, from, handover, outbox)
                }
            })
    }

    /// One piece in each turn of the loop.
    fn continue_snapshot(&mut self, engine: &mut Engine, now: Instant) {
        let Some((mut snapshot, reply)) = self.snapshots.pop_front() else {
            return;
        };
        if reply.is_closed() {
            return;
        }
        if reply.has_room() {
            // What was before it leaves before it, and control takes it to be older.
            while let Some(event) = engine.poll_event() {
                self.surroundings.control.tell(event);
            }
            let piece = engine.next_piece(&mut snapshot, now);
            if !piece.more {
                reply.finish(piece);
                return;
            }
            reply.piece(piece);
        }
        self.snapshots.push_back((snapshot, reply));
    }

    fn snapshot_due(&self, now: Instant) -> Option<Instant> {
        let (_, reply) = self.snapshots.front()?;
        Some(if reply.has_room() {
            now
        } else {
            now + SNAPSHOT_PAUSE
        })
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
