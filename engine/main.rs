//! The engine's program: reads its arguments and runs.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use switchyard_engine::dtls::Answers;
use switchyard_engine::panics;
use switchyard_engine::process::{Arguments, run};
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

/// More than any machine has cores for.
const MAX_WORKERS: u16 = 256;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    panics::log_places();
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
    switchyard_net::create_private_files();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            ExitCode::FAILURE
        }
    }
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
}
