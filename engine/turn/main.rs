//! The process of STUN and TURN: reads its arguments, builds the parts, connects them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use switchyard_turn::io::{Options, Worker, run};
use switchyard_turn::link;
use switchyard_turn::peer_policy::{Network, PeerPolicy};
use switchyard_turn::revoked::RevokedFile;
use switchyard_turn::server::Settings;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
usage: switchyard-turn --socket PATH --secret-file PATH --listen IP[,IP...] [options]

  --socket PATH             Unix socket on which control attaches
  --secret-file PATH        the secret that credentials are made with
  --listen IP[,IP...]       addresses to serve on and to relay from
  --revoked-file PATH       usernames and key IDs that are refused, each with a space and the time of its end
  --announce IP[,IP...]     addresses that peers see instead, where a NAT stands before the machine
  --port N                  UDP and TCP port (3478)
  --tls-port N              TLS port (5349)
  --relay-ports FIRST-LAST  UDP ports of relays (49152-65535)
  --certificate PATH        certificate chain, PEM; without one a self-signed one is made
  --private-key PATH        its key, PEM
  --host NAME               name in a self-signed certificate
  --allow NET[,NET...]      networks that relays may reach though they are not public
  --allocations N           allocations at once of one credential (100)
  --bandwidth KBITS         of one allocation in each direction, in kbit/s; 0 is no limit (50000)
  --label TEXT              told to who attaches, so that it knows these settings";

/// Connections at once, below what descriptors allow, and of one address.
const CONNECTIONS: u64 = 16_384;
const CONNECTIONS_PER_ADDRESS: usize = 1024;
/// RFC 8656 section 5 leaves it open; long enough for a call's refreshes to need few new ones.
const NONCE_LIFETIME: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    // The crate of STUN's messages warns of everything that strangers send.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,stun_types=error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match std::env::args().nth(1).as_deref() {
        Some("--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("switchyard-turn {}", env!("CARGO_PKG_VERSION"));
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
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    socket: PathBuf,
    secret_file: PathBuf,
    revoked_file: Option<PathBuf>,
    label: String,
    options: Options,
}

fn serve(mut arguments: Arguments) -> Result<(), String> {
    let limit = switchyard_net::raise_descriptor_limit().map_err(|error| error.to_string())?;
    arguments.options.connections = CONNECTIONS.min(limit / 2) as usize;
    let path = &arguments.secret_file;
    let secret = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    arguments.options.settings.secret = secret.trim_ascii().to_vec();
    if arguments.options.settings.secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    let revoked = RevokedFile::new(arguments.revoked_file);
    // Before anybody is served: a revoked credential must not relay for a moment.
    arguments.options.revoked = revoked.read().map_err(|error| error.to_string())?;
    let (mut worker, bound) = Worker::open(arguments.options)?;
    tracing::info!(plain = ?bound.plain, tls = ?bound.tls, "serving STUN and TURN");
    let waker = worker.waker();
    let greeting = arguments.label;
    let commands = link::listen(&arguments.socket, &greeting, revoked, move || waker.wake())
        .map_err(|error| format!("{}: {error}", arguments.socket.display()))?;
    let result = run(worker, &commands).map_err(|error| error.to_string());
    // Who starts next must not wait for us.
    let _ = std::fs::remove_file(&arguments.socket);
    result
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut socket, mut secret_file, mut certificate, mut private_key) = (None, None, None, None);
    let mut revoked_file = None;
    let mut label = "none".to_owned();
    let mut options = defaults();
    let policy = &mut options.settings.policy;
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--socket" => socket = Some(PathBuf::from(value)),
            "--secret-file" => secret_file = Some(PathBuf::from(value)),
            "--revoked-file" => revoked_file = Some(PathBuf::from(value)),
            "--certificate" => certificate = Some(PathBuf::from(value)),
            "--private-key" => private_key = Some(PathBuf::from(value)),
            "--listen" => options.listen = list(&name, &value)?,
            "--announce" => options.announce = list(&name, &value)?,
            "--allow" => policy.allowed = list::<Network>(&name, &value)?,
            "--port" => options.port = number(&name, &value)?,
            "--tls-port" => options.tls_port = number(&name, &value)?,
            "--relay-ports" => options.relay_ports = range(&name, &value)?,
            "--host" => options.host = value,
            "--allocations" => {
                options.settings.allocations_per_credential = number(&name, &value)?;
            }
            "--bandwidth" => {
                let kilobits: u64 = number(&name, &value)?;
                options.settings.bytes_per_second = kilobits.saturating_mul(125);
            }
            "--label" => label = value,
            _ => return Err(format!("unknown argument: {name}")),
        }
    }
    if options.listen.is_empty() {
        return Err("--listen is missing".into());
    }
    if options.announce.is_empty() && options.listen.iter().any(IpAddr::is_unspecified) {
        return Err("--listen on all addresses needs --announce".into());
    }
    policy.own = [&options.listen[..], &options.announce[..]].concat();
    policy.relays = Some(options.relay_ports);
    options.certificate = match (certificate, private_key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("--certificate and --private-key belong together".into()),
    };
    Ok(Arguments {
        socket: socket.ok_or("--socket is missing")?,
        secret_file: secret_file.ok_or("--secret-file is missing")?,
        revoked_file,
        label,
        options,
    })
}

fn defaults() -> Options {
    Options {
        settings: Settings {
            secret: Vec::new(),
            policy: PeerPolicy::default(),
            allocations_per_credential: 100,
            bytes_per_second: 50_000 * 125,
            nonce_lifetime: NONCE_LIFETIME,
        },
        listen: Vec::new(),
        announce: Vec::new(),
        port: 3478,
        tls_port: 5349,
        relay_ports: (49_152, 65_535),
        certificate: None,
        revoked: Vec::new(),
        host: "localhost".into(),
        connections: 0,
        connections_per_address: CONNECTIONS_PER_ADDRESS,
    }
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    let problem = |_| format!("{name}: not a number in range: {text}");
    text.parse().map_err(problem)
}

fn range(name: &str, text: &str) -> Result<(u16, u16), String> {
    let problem = || format!("{name}: not a range of ports: {text}");
    let (first, last) = text.split_once('-').ok_or_else(problem)?;
    let (first, last) = (number(name, first)?, number(name, last)?);
    if first == 0 || first > last {
        return Err(problem());
    }
    Ok((first, last))
}

fn list<T: FromStr>(name: &str, text: &str) -> Result<Vec<T>, String> {
    let parse = |part: &str| {
        let part = part.trim();
        part.parse()
            .map_err(|_| format!("{name}: cannot be read: {part}"))
    };
    text.split(',').map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "--socket /tmp/x --secret-file /tmp/y --listen 127.0.0.1,::1";

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_and_mistakes_named() {
        let line = format!("{GOOD} --relay-ports 50000-50009 --bandwidth 8 --allow 10.0.0.0/8");
        let options = parsed(&line).unwrap().options;
        assert_eq!((options.port, options.tls_port), (3478, 5349));
        assert_eq!(options.relay_ports, (50_000, 50_009));
        assert_eq!(options.settings.bytes_per_second, 1000);
        assert_eq!(options.settings.policy.own.len(), 2);
        for (more, problem) in [
            ("--port 70000", "--port"),
            ("--relay-ports 9-8", "--relay-ports"),
            ("--relay-ports 0-8", "--relay-ports"),
            ("--allow 10.0.0.0", "--allow"),
            ("--listen here", "here"),
            ("--listen ::", "--announce"),
            ("--certificate /tmp/c", "--private-key"),
            ("--colour blue", "--colour"),
            ("--port", "--port"),
        ] {
            let problem_found = parsed(&format!("{GOOD} {more}")).err().unwrap();
            assert!(problem_found.contains(problem), "{more}: {problem_found}");
        }
        assert!(
            parsed("--listen ::1 --socket /x")
                .err()
                .unwrap()
                .contains("--secret-file")
        );
    }
}
