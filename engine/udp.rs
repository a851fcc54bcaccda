//! A worker's UDP sockets, what leaves by them, and what the kernel did not take or give.

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use switchyard_net as net;

use crate::core::outbox::{Message, Transmit};
use crate::tcp::TcpSender;
use crate::transport::TCP;

/// How long a socket that gave an error is not waited for. What comes meanwhile waits in the kernel.
const REST: Duration = Duration::from_millis(100);

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

/// The sockets of the forwarding thread: more may be opened while it runs.
#[derive(Clone)]
pub struct Udp(Rc<Shared>);

struct Shared {
    sockets: RefCell<Vec<UdpSocket>>,
    sender: RefCell<net::Sender>,
    losses: Cell<net::Losses>,
    receive_errors: Cell<u64>,
}

impl Udp {
    /// Those that peers are told.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new(sockets: Vec<UdpSocket>) -> io::Result<Udp> {
        Ok(Udp(Rc::new(Shared {
            sockets: RefCell::new(sockets),
            sender: RefCell::new(net::Sender::new()?),
            losses: Cell::default(),
            receive_errors: Cell::new(0),
        })))
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
        self.0.sockets.borrow_mut().extend(sockets);
        Ok(bound)
    }

    /// All of them, by their indices.
    pub fn sockets(&self) -> Ref<'_, Vec<UdpSocket>> {
        self.0.sockets.borrow()
    }

    /// Has the poller report `index` while the kernel has room for what waits to leave.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self, poller: &net::Poller, index: usize) -> io::Result<()> {
        poller.add(&*self.0.sender.borrow(), index)
    }

    /// When `resume` is due, whatever the poller reports.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.sender.borrow().deadline()
    }

    /// Sends what waits to leave, as far as the kernel takes it.
    ///
    /// # Errors
    /// The kernel's, from asking which sockets have room.
    pub fn resume(&self, now: Instant) -> io::Result<()> {
        let mut sender = self.0.sender.borrow_mut();
        if sender.is_waiting() {
            sender.resume(now)?;
        }
        Ok(())
    }

    /// Sends what waits to leave until nothing is left: what the kernel does not take in time is dropped.
    ///
    /// # Errors
    /// As `resume`.
    pub fn drain(&self) -> io::Result<()> {
        let mut poller = net::Poller::new()?;
        self.watch(&poller, 0)?;
        while let Some(deadline) = self.deadline() {
            poller.wait(
                Some(deadline.saturating_duration_since(Instant::now())),
                |_| {},
            )?;
            self.resume(Instant::now())?;
        }
        Ok(())
    }

    /// The counts of what the kernel did not take or give, since the start, with their names.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let new = self.0.sender.borrow_mut().take_losses();
        let mut losses = self.0.losses.get();
        losses.unsent += new.unsent;
        losses.refused += new.refused;
        self.0.losses.set(losses);
        let sockets = self.sockets();
        // A kernel before 4.12 does not know.
        let dropped = |socket| net::dropped_messages(socket).map_or(0, u64::from);
        vec![
            ("discarded_send_buffer", losses.unsent),
            ("discarded_not_sendable", losses.refused),
            (
                "discarded_receive_buffer",
                sockets.iter().map(dropped).sum::<u64>(),
            ),
            ("receive_errors", self.0.receive_errors.get()),
        ]
    }
}

/// Sockets that are not waited for, because receiving gave an error: one that lasts would be reported without end.
pub struct Troubles {
    udp: Udp,
    rest: net::Rest,
}

impl Troubles {
    /// None yet.
    pub fn new(udp: Udp) -> Troubles {
        Troubles {
            udp,
            rest: net::Rest::new(REST),
        }
    }

    /// Receiving from a socket gave an error. It must not end the calls on the others.
    pub fn note(&mut self, poller: &net::Poller, index: usize, error: &io::Error, now: Instant) {
        let errors = self.udp.0.receive_errors.get() + 1;
        self.udp.0.receive_errors.set(errors);
        let is_news = (self.rest).begin(poller, &self.udp.sockets()[index], index, now);
        if is_news {
            tracing::warn!(%error, index, errors, "receiving");
        }
    }

    /// When `end` is due.
    pub fn until(&self) -> Option<Instant> {
        self.rest.until()
    }

    /// Has the poller wait again for sockets that have rested.
    pub fn end(&mut self, poller: &net::Poller, now: Instant) {
        for index in self.rest.end(now) {
            let added = poller.add(&self.udp.sockets()[index], index);
            if let Err(error) = added {
                self.note(poller, index, &error, now);
            }
        }
    }
}

/// The outbox's way to the kernel.
pub struct KernelTransmit {
    /// Datagrams of sockets.
    pub udp: Udp,
    /// Datagrams of connections.
    pub tcp: TcpSender,
}

impl Transmit for KernelTransmit {
    fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]) {
        // One run for each row of messages from one socket; most servers have one that is busy.
        let mut messages = messages.peekable();
        let sockets = self.udp.sockets();
        let mut sender = self.udp.0.sender.borrow_mut();
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
            let number = usize::from(socket);
            sender.send(&sockets[number], number, arena, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    /// Readable for ever, and no socket: receiving gives the same error each time.
    fn broken() -> (UdpSocket, impl Sized) {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("there is room");
        (UdpSocket::from(OwnedFd::from(reader)), writer)
    }

    fn reported(poller: &mut net::Poller) -> Vec<usize> {
        let mut seen = Vec::new();
        poller
            .wait(Some(Duration::ZERO), |index| seen.push(index))
            .expect("no error");
        seen
    }

    #[test]
    fn a_socket_with_a_lasting_error_is_not_waited_for_without_end() {
        let (socket, _writer) = broken();
        let udp = Udp::new(vec![socket]).expect("descriptors");
        let mut poller = net::Poller::new().expect("descriptors");
        poller.add(&udp.sockets()[0], 0).expect("a poller");
        let mut troubles = Troubles::new(udp.clone());
        let mut receiver = net::Receiver::default();
        let start = Instant::now();
        for round in 0..5 {
            let now = start + round * REST;
            troubles.end(&poller, now);
            assert_eq!(reported(&mut poller), [0]);
            let error = receiver.receive(&udp.sockets()[0], |_, _| {});
            troubles.note(&poller, 0, &error.expect_err("no socket"), now);
            assert_eq!(reported(&mut poller), []);
            assert_eq!(troubles.until(), Some(now + REST));
        }
        assert!(udp.counts().contains(&("receive_errors", 5)));
    }

    #[test]
    fn what_the_kernel_does_not_take_or_give_is_counted() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (bound, sockets) = bind([address, address].into_iter()).expect("two ports");
        let udp = Udp::new(sockets).expect("descriptors");
        let tcp = crate::tcp::Tcp::new(Vec::new()).expect("descriptors");
        let mut kernel = KernelTransmit {
            udp: udp.clone(),
            tcp: tcp.sender(),
        };
        let arena = [0; 1200];
        let places = [0..600, 600..1200];
        let message = |to| Message {
            socket: 0,
            to,
            datagrams: &places,
        };
        // Nobody reads: at some time the receiving socket's queue is full.
        let count = |name| {
            let counts = udp.counts();
            let (_, count) = *counts.iter().find(|(is, _)| *is == name).expect(name);
            count
        };
        while count("discarded_receive_buffer") == 0 {
            let messages = [message(bound[1]); 64];
            kernel.transmit(&mut messages.into_iter(), &arena);
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9));
        for _ in 0..2 {
            kernel.transmit(&mut [message(nowhere)].into_iter(), &arena);
            assert!(count("discarded_not_sendable") > 0);
        }
        assert_eq!(count("discarded_not_sendable"), 4);
        assert_eq!(count("discarded_send_buffer"), 0);
    }
}
