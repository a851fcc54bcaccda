//! The engine's process: reads its arguments, builds the parts, connects them.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use switchyard_engine::core::{Engine, EngineConfig};
use switchyard_engine::dtls::Certificate;
use switchyard_engine::ice::Protocol;
use switchyard_engine::link::Server;
use switchyard_engine::tcp::{self, Tcp};
use switchyard_engine::worker;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
usage: switchyard-engine --socket PATH --port N --listen IP[,IP...] [--announce IP[,IP...]]
                         [--tcp on|off]

  --socket    Unix socket on which control attaches
  --port      UDP port for media; 0 lets the kernel choose
  --listen    addresses to receive media on
  --announce  addresses that peers are told instead, where a NAT stands before the machine
  --tcp       whether peers may connect by TCP to the same ports (ICE-TCP); off unless said";

const PORT_ATTEMPTS: usize = 16;

struct Arguments {
    socket: PathBuf,
    port: u16,
    listen: Vec<IpAddr>,
    announce: Vec<IpAddr>,
    tcp: bool,
}

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

fn run(arguments: &Arguments) -> Result<(), String> {
    let wanted: Vec<SocketAddr> = arguments
        .listen
        .iter()
        .map(|&ip| SocketAddr::new(ip, arguments.port))
        .collect();
    let (sockets, bound, listeners) = bind(&wanted, arguments.tcp)?;
    let candidates = if arguments.announce.is_empty() {
        bound.clone()
    } else {
        let port = bound[0].port();
        let announced = arguments.announce.iter();
        announced.map(|&ip| SocketAddr::new(ip, port)).collect()
    };
    tracing::info!(?bound, ?candidates, "receiving media");
    let (more, listen) = (sockets.clone(), arguments.listen.clone());
    let config = EngineConfig {
        sockets: bound,
        open_sockets: Box::new(move || more.bind(listen.iter().map(|&ip| SocketAddr::new(ip, 0)))),
        candidates,
        protocols: if arguments.tcp {
            &[Protocol::Udp, Protocol::Tcp]
        } else {
            &[Protocol::Udp]
        },
        certificate: Certificate::generate()?,
    };
    let poller = switchyard_net::Poller::new().map_err(|error| error.to_string())?;
    let waker = poller.waker();
    let (server, requests) = Server::listen(&arguments.socket, move || waker.wake())
        .map_err(|error| format!("{}: {error}", arguments.socket.display()))?;
    let engine = Engine::new(config, Instant::now());
    let tcp = Tcp::new(listeners).map_err(|error| error.to_string())?;
    worker::run(engine, &sockets, tcp, poller, &server, &requests)
        .map_err(|error| error.to_string())
}

type Bound = (worker::Sockets, Vec<SocketAddr>, Vec<(u16, TcpListener)>);

/// Opens the UDP sockets and, if wanted, the TCP listeners of the same ports.
fn bind(wanted: &[SocketAddr], tcp: bool) -> Result<Bound, String> {
    // A port of the kernel's choice may be taken for TCP.
    let mut attempts = if wanted.iter().all(|address| address.port() == 0) {
        PORT_ATTEMPTS
    } else {
        1
    };
    loop {
        let sockets = worker::Sockets::default();
        let bound = sockets.bind(wanted.iter().copied())?;
        let listeners = if tcp {
            tcp::listen(&bound)
        } else {
            Ok(Vec::new())
        };
        attempts -= 1;
        match listeners {
            Ok(listeners) => return Ok((sockets, bound, listeners)),
            Err(problem) if attempts == 0 => return Err(problem),
            Err(_) => {}
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut socket, mut port, mut listen, mut announce) = (None, None, Vec::new(), Vec::new());
    let mut tcp = false;
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
            _ => return Err(format!("unknown argument: {name}")),
        }
    }
    if listen.is_empty() {
        return Err("--listen is missing".into());
    }
    if announce.is_empty() && listen.iter().any(IpAddr::is_unspecified) {
        return Err("--listen on all addresses needs --announce".into());
    }
    Ok(Arguments {
        socket: socket.ok_or("--socket is missing")?,
        port: port.ok_or("--port is missing")?,
        listen,
        announce,
        tcp,
    })
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
        for (line, problem) in [
            ("--socket /tmp/x --port 70000 --listen ::1", "--port"),
            ("--socket /tmp/x --port 7 --listen here", "here"),
            ("--port 7 --listen ::1", "--socket"),
            ("--socket /tmp/x --port 7 --listen ::1 --tcp yes", "--tcp"),
            ("--colour blue", "--colour"),
            ("--port", "--port"),
            ("--socket /tmp/x --port 7 --listen ::", "--announce"),
        ] {
            assert!(parsed(line).err().unwrap().contains(problem), "{line}");
        }
    }
}
