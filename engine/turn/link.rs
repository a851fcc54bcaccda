//! The Unix socket on which control speaks: a line asks, a line answers.
//!
//! The server greets with `switchyard-turn <version> pid <pid> settings <label>`. Then control may send
//! `media ADDRESS...` (where the engine receives media), `revoke NAME UNTIL` (a username or a key ID, refused until
//! that second since 1970), `revocations` (the file of them is read again), `status`, and `leave`. Each is answered with `ok ...` or `error ...` once it is true.

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::revoked::{Revocation, RevokedFile};

/// The longest line; control sends one command in each.
const LINE_MAX: u64 = 64 * 1024;

/// What control wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// The engine receives media there.
    Media(Vec<SocketAddr>),
    /// These are refused from now on.
    Revoke(Vec<Revocation>),
    /// Counts.
    Status,
    /// The process is to end, with all relays.
    Leave,
}

/// A command and where its answer goes.
pub struct Inbound {
    /// What is wanted.
    pub command: Command,
    /// Takes the answer, a line without its end.
    pub answer: Sender<String>,
}

/// Listens at a path; `wake` is called when a command has come. A socket that a dead process left is replaced.
///
/// # Errors
/// The path is in use, or is no socket.
pub fn listen(
    path: &Path,
    label: &str,
    revoked: RevokedFile,
    wake: impl Fn() + Send + Clone + 'static,
) -> io::Result<Receiver<Inbound>> {
    if let Ok(about) = path.symlink_metadata()
        && about.file_type().is_socket()
        && UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let revoked = Arc::new(revoked);
    let greeting = format!(
        "switchyard-turn {} pid {} settings {label}\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    let (sender, receiver) = channel();
    std::thread::Builder::new()
        .name("link".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, wake, greeting) = (sender.clone(), wake.clone(), greeting.clone());
                let revoked = revoked.clone();
                let serve = move || serve(&stream, &greeting, &revoked, &sender, &wake);
                // Without a thread the connection is closed, and control tries again.
                let _ = std::thread::Builder::new()
                    .name("control".into())
                    .spawn(serve);
            }
        })?;
    Ok(receiver)
}

fn serve(
    stream: &UnixStream,
    greeting: &str,
    revoked: &RevokedFile,
    commands: &Sender<Inbound>,
    wake: &impl Fn(),
) {
    let mut writer = stream;
    if writer.write_all(greeting.as_bytes()).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_MAX).read_line(&mut line) {
            Ok(1..) if line.ends_with('\n') => {}
            _ => return,
        }
        let answer = match parse(line.trim_end(), revoked) {
            Ok(command) => {
                let (answer, answered) = channel();
                if commands.send(Inbound { command, answer }).is_err() {
                    return;
                }
                wake();
                answered.recv().unwrap_or_else(|_| "ok".into())
            }
            Err(problem) => format!("error {problem}"),
        };
        if writer.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a command. The file of revocations is read here, so that the thread which relays does not wait for it.
fn parse(line: &str, revoked: &RevokedFile) -> Result<Command, &'static str> {
    let mut words = line.split_ascii_whitespace();
    let command = match words.next() {
        Some("media") => {
            let addresses: Result<Vec<SocketAddr>, _> = words.by_ref().map(str::parse).collect();
            Command::Media(addresses.map_err(|_| "not an address with a port")?)
        }
        Some("revoke") => {
            let name = words.next().ok_or("revoke needs a name")?;
            let until = words.next().and_then(|until| until.parse().ok());
            let until = until.ok_or("revoke needs a time")?;
            Command::Revoke(vec![Revocation {
                name: name.into(),
                until,
            }])
        }
        Some("revocations") => {
            let all = revoked.read();
            Command::Revoke(all.map_err(|_| "the file of revocations cannot be read")?)
        }
        Some("status") => Command::Status,
        Some("leave") => Command::Leave,
        _ => return Err("unknown command"),
    };
    match words.next() {
        None => Ok(command),
        Some(_) => Err("too many words"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_mistakes_named() {
        let file = RevokedFile::new(None);
        let parse = |line| parse(line, &file);
        let media = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(
            parse("media 127.0.0.1:1 [::1]:2"),
            Ok(Command::Media(media))
        );
        assert_eq!(
            parse("revoke a.b.c 7"),
            Ok(Command::Revoke(vec![Revocation {
                name: "a.b.c".into(),
                until: 7
            }]))
        );
        assert_eq!(parse("leave"), Ok(Command::Leave));
        for bad in [
            "",
            "media 127.0.0.1",
            "revoke",
            "revoke a",
            "revoke a b",
            "leave now",
            "dance",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn control_is_greeted_and_answered_and_a_dead_socket_replaced() {
        let path =
            std::env::temp_dir().join(format!("switchyard-turn-{}.sock", std::process::id()));
        drop(UnixListener::bind(&path).unwrap());
        let nothing = || RevokedFile::new(None);
        let commands = listen(&path, "abc", nothing(), || ()).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(listen(&path, "abc", nothing(), || ()).is_err());
        let stream = UnixStream::connect(&path).unwrap();
        (&stream).write_all(b"status\nnonsense\n").unwrap();
        let inbound = commands.recv().unwrap();
        assert_eq!(inbound.command, Command::Status);
        inbound.answer.send("ok all well".into()).unwrap();
        let lines: Vec<String> = BufReader::new(&stream)
            .lines()
            .take(3)
            .map(Result::unwrap)
            .collect();
        assert!(lines[0].ends_with("settings abc"));
        assert_eq!(&lines[1..], ["ok all well", "error unknown command"]);
        std::fs::remove_file(&path).unwrap();
    }
}
