//! The engine's process: reads its arguments, builds the parts, connects them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use switchyard_engine::core::{Engine, EngineConfig};
use switchyard_engine::dispatch::dispatch;
use switchyard_engine::dtls::{Answers, Certificate};
use switchyard_engine::ice::Protocol;
use switchyard_engine::link::Server;
use switchyard_engine::tcp::{self, Tcp};
use switchyard_engine::udp::{self, Udp};
use switchyard_engine::worker::{self, Surroundings};
use switchyard_engine::workers::{self, Inbox};
use switchyard_net::Poller;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
usage: switchyard-engine --socket PATH --port N --listen IP[,IP...] [--announce IP[,IP...]]
                         [--tcp on|off] [--dtls newest|cheapest] [--workers N]

  --socket    Unix socket on which control attaches
  --port      UDP port for media, of the first worker: the next one has the next port; 0 lets the kernel choose
  --listen    addresses to receive media on
  --announce  addresses that peers are told instead, where a NAT stands before the machine
  --tcp       whether peers may connect by TCP to the same ports (ICE-TCP); off unless said
  --dtls      in which version clients are answered: the newest, or (unless said) the one in which AES-GCM wins
  --workers   threads that forward, each with ports of its own; 1 unless said";

const PORT_ATTEMPTS: usize = 16;

#[derive(Clone)]
struct Arguments {
    socket: PathBuf,
    port: u16,
    listen: Vec<IpAddr>,
    announce: Vec<IpAddr>,
    tcp: bool,
    workers: u16,
    answers: Answers,
}

/// More than any machine has cores for.
const MAX_WORKERS: u16 = 256;
/// How long the farewells and the last answer may take to leave.
const LEAVE_GRACE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match std::env::args().nth(1).as_deref() {
        Some("--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("switchyard-engine {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            ExitCode::FAILURE
        }
    }
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

fn run(arguments: &Arguments) -> Result<(), String> {
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

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut socket, mut port, mut listen, mut announce) = (None, None, Vec::new(), Vec::new());
    let mut tcp = false;
    let mut workers = 1;
    let mut answers = Answers::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--socket" => socket = Some(PathBuf::from(value)),
            "--port" => {
                let number = value.parse();
                port = Some(number.map_err(|_| format!("--port: not a port: {value}"))?);
            }
            "--listen" => listen = addresses(&value)?,
            "--announce" => announce = addresses(&value)?,
            "--tcp" => {
                tcp = match value.as_str() {
                    "on" => true,
                    "off" => false,
                    _ => return Err(format!("--tcp: neither on nor off: {value}")),
                }
            }
            "--dtls" => {
                answers = match value.as_str() {
                    "newest" => Answers::Newest,
                    "cheapest" => Answers::Cheapest,
                    _ => return Err(format!("--dtls: neither newest nor cheapest: {value}")),
                }
            }
            "--workers" => {
                workers = match value.parse() {
                    Ok(number @ 1..=MAX_WORKERS) => number,
                    _ => return Err(format!("--workers: not 1 to {MAX_WORKERS}: {value}")),
                }
            }
            _ => return Err(format!("unknown argument: {name}")),
        }
    }
    if listen.is_empty() {
        return Err("--listen is missing".into());
    }
    if announce.is_empty() && listen.iter().any(IpAddr::is_unspecified) {
        return Err("--listen on all addresses needs --announce".into());
    }
    if let Some(ip) = listen.iter().find(|ip| is_of_a_group(ip)) {
        return Err(format!("--listen: not one host's address: {ip}"));
    }
    let unusable = |ip: &&IpAddr| ip.is_unspecified() || is_of_a_group(ip);
    if let Some(ip) = announce.iter().find(unusable) {
        return Err(format!("--announce: nobody can send to {ip}"));
    }
    Ok(Arguments {
        socket: socket.ok_or("--socket is missing")?,
        port: port.ok_or("--port is missing")?,
        listen,
        announce,
        tcp,
        workers,
        answers,
    })
}

fn is_of_a_group(ip: &IpAddr) -> bool {
    ip.is_multicast() || *ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn addresses(list: &str) -> Result<Vec<IpAddr>, String> {
    let parse = |part: &str| {
        part.trim()
            .parse()
            .map_err(|_| format!("not an IP address: {part}"))
    };
    list.split(',').map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_and_mistakes_named() {
        let arguments = parsed("--socket /tmp/x --port 7 --listen 127.0.0.1,::1").unwrap();
        assert_eq!((arguments.port, arguments.listen.len()), (7, 2));
        assert_eq!(arguments.workers, 1);
        for (line, problem) in [
            ("--socket /tmp/x --port 70000 --listen ::1", "--port"),
            ("--socket /tmp/x --port 7 --listen here", "here"),
            ("--port 7 --listen ::1", "--socket"),
            ("--socket /tmp/x --port 7 --listen ::1 --tcp yes", "--tcp"),
            ("--socket /tmp/x --port 7 --listen ::1 --dtls 1.2", "--dtls"),
            ("--colour blue", "--colour"),
            ("--port", "--port"),
            (
                "--socket /tmp/x --port 7 --listen ::1 --workers 0",
                "--workers",
            ),
            ("--socket /tmp/x --port 7 --listen ::", "--announce"),
            ("--socket /tmp/x --port 7 --listen ff02::1", "ff02::1"),
            (
                "--socket /tmp/x --port 7 --listen ::1 --announce 0.0.0.0",
                "--announce",
            ),
        ] {
            assert!(parsed(line).err().unwrap().contains(problem), "{line}");
        }
    }

    #[test]
    fn announced_addresses_have_the_port_of_their_family() {
        let told = |announce: &str, bound: &[&str]| {
            let line =
                format!("--socket /tmp/x --port 0 --listen 0.0.0.0,:: --announce {announce}");
            let bound: Vec<_> = bound.iter().map(|text| text.parse().unwrap()).collect();
            let told = announced(&parsed(&line).unwrap(), &bound).into_iter();
            told.map(|address| address.to_string()).collect::<Vec<_>>()
        };
        let both = ["0.0.0.0:5000", "[::]:6000"];
        let announce = "2001:db8::1,203.0.113.1,203.0.113.2";
        let expected = ["[2001:db8::1]:6000", "203.0.113.1:5000", "203.0.113.2:5000"];
        assert_eq!(told(announce, &both), expected);
        // A proxy of the other family stands before the machine.
        assert_eq!(
            told("2001:db8::1", &["0.0.0.0:5000"]),
            ["[2001:db8::1]:5000"]
        );
    }
}
