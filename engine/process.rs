//! The engine's process: builds the parts and connects them.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use switchyard_net::Poller;

use crate::core::{Engine, EngineConfig};
use crate::dispatch::dispatch;
use crate::dtls::{Answers, Certificate};
use crate::ice::Protocol;
use crate::link::Server;
use crate::tcp::{self, Tcp};
use crate::udp::{self, Udp};
use crate::worker::{self, Surroundings};
use crate::workers::{self, Inbox};

/// The kernel's choice of a port for UDP may be taken for TCP.
const PORT_ATTEMPTS: usize = 16;
/// How long the farewells and the last answer may take to leave.
const LEAVE_GRACE: Duration = Duration::from_millis(100);

/// What the process is started with.
#[derive(Clone)]
pub struct Arguments {
    /// Unix socket on which control attaches.
    pub socket: PathBuf,
    /// UDP port of the first worker; 0: the kernel's choice.
    pub port: u16,
    /// Addresses to receive media on.
    pub listen: Vec<IpAddr>,
    /// Addresses that peers are told instead.
    pub announce: Vec<IpAddr>,
    /// Whether peers may connect by TCP.
    pub tcp: bool,
    /// Threads that forward.
    pub workers: u16,
    /// In which version of DTLS clients are answered.
    pub answers: Answers,
}

/// A worker before its thread begins.
struct Prepared {
    number: u16,
    bound: Vec<SocketAddr>,
    sockets: Vec<UdpSocket>,
    listeners: Vec<(u16, TcpListener)>,
    candidates: Vec<SocketAddr>,
    poller: Poller,
    inbox: Inbox,
}

/// Runs until control has the engine leave.
///
/// # Errors
/// What cannot be used, or what a worker could not go on after.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let certificate = Certificate::generate()?.answering(arguments.answers);
    let mut posts = Vec::new();
    let mut prepared = Vec::new();
    for number in 0..arguments.workers {
        let (bound, sockets, listeners) = bind(arguments, number)?;
        let candidates = announced(arguments, &bound);
        tracing::info!(number, ?bound, ?candidates, "receiving media");
        if number == 0 {
            let sentences = sockets.first().map(switchyard_net::missing_buffers);
            for sentence in sentences.into_iter().flatten() {
                tracing::warn!("{sentence}");
            }
        }
        let poller = Poller::new().map_err(|error| error.to_string())?;
        let (post, inbox) = workers::inbox(poller.waker());
        posts.push(post);
        prepared.push(Prepared {
            number,
            bound,
            sockets,
            listeners,
            candidates,
            poller,
            inbox,
        });
    }
    let posts: Arc<[_]> = posts.into();
    let to_workers = posts.clone();
    let control = Server::listen(&arguments.socket, move |inbound| {
        dispatch(inbound, &to_workers);
    })
    .map_err(|error| format!("{}: {error}", arguments.socket.display()))?;
    let control = Arc::new(control);

    let (ended, ends) = channel();
    for worker in prepared {
        let (ended, posts, control) = (ended.clone(), posts.clone(), control.clone());
        let (arguments, certificate) = (arguments.clone(), certificate.clone());
        thread::Builder::new()
            .name(format!("worker-{}", worker.number))
            .spawn(move || {
                let work = || forward(worker, &arguments, certificate, &posts, &control);
                let end = catch_unwind(AssertUnwindSafe(work));
                let _ = ended.send(end.unwrap_or_else(|_| Err("a worker panicked".into())));
            })
            .map_err(|error| error.to_string())?;
    }
    // One that fails ends the process: control starts another, and no session is left without anybody knowing.
    for _ in 0..arguments.workers {
        ends.recv().map_err(|error| error.to_string())??;
    }
    control.remove();
    thread::sleep(LEAVE_GRACE);
    Ok(())
}

/// The worker's thread.
fn forward(
    worker: Prepared,
    arguments: &Arguments,
    certificate: Certificate,
    workers: &[workers::Post],
    control: &Server,
) -> Result<(), String> {
    let udp = Udp::new(worker.sockets).map_err(|error| error.to_string())?;
    let (more, listen) = (udp.clone(), arguments.listen.clone());
    let counted = udp.clone();
    let config = EngineConfig {
        worker: worker.number,
        workers: workers.len() as u16,
        sockets: worker.bound,
        open_sockets: Box::new(move || more.open(listen.iter().map(|&ip| SocketAddr::new(ip, 0)))),
        kernel_counts: Box::new(move || counted.counts()),
        candidates: worker.candidates,
        protocols: if arguments.tcp {
            &[Protocol::Udp, Protocol::Tcp]
        } else {
            &[Protocol::Udp]
        },
        certificate,
    };
    let engine = Engine::new(config, Instant::now());
    let tcp = Tcp::new(worker.listeners).map_err(|error| error.to_string())?;
    let surroundings = Surroundings {
        inbox: worker.inbox,
        workers,
        control,
    };
    worker::run(engine, &udp, tcp, worker.poller, surroundings).map_err(|error| error.to_string())
}

type Bound = (Vec<SocketAddr>, Vec<UdpSocket>, Vec<(u16, TcpListener)>);

/// Opens a worker's UDP sockets and, if wanted, the TCP listeners of the same ports.
fn bind(arguments: &Arguments, worker: u16) -> Result<Bound, String> {
    let port = match arguments.port {
        0 => 0,
        first => first
            .checked_add(worker)
            .ok_or("there is no port after 65535: --port and --workers are too high")?,
    };
    // A port of the kernel's choice may be taken for TCP.
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        let listen = arguments.listen.iter();
        let (bound, sockets) = udp::bind(listen.map(|&ip| SocketAddr::new(ip, port)))?;
        let listeners = if arguments.tcp {
            tcp::listen(&bound)
        } else {
            Ok(Vec::new())
        };
        attempts -= 1;
        match listeners {
            Ok(listeners) => return Ok((bound, sockets, listeners)),
            Err(problem) if attempts == 0 => return Err(problem),
            Err(_) => {}
        }
    }
}

/// Where peers reach what is bound.
fn announced(arguments: &Arguments, bound: &[SocketAddr]) -> Vec<SocketAddr> {
    if arguments.announce.is_empty() {
        return bound.to_vec();
    }
    let port_for = |ip: &IpAddr| {
        // Of the same family, whose port is another one where the kernel chose it.
        let of_family = bound.iter().find(|socket| socket.is_ipv4() == ip.is_ipv4());
        of_family.unwrap_or(&bound[0]).port()
    };
    let announced = arguments.announce.iter();
    announced
        .map(|ip| SocketAddr::new(*ip, port_for(ip)))
        .collect()
}

#[cfg(test)]
mod tests;
