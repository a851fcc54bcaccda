//! The process while the kernel has no descriptors for it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// Enough to start with, and less than half of them for connections, which is what the server would take.
const DESCRIPTORS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    process: Child,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let secret = directory.join("secret");
        fs::write(&secret, "secret").unwrap();
        let mut process = Command::new("sh")
            .args(["-c", "ulimit -n $0 && exec \"$@\""])
            .arg(DESCRIPTORS.to_string())
            .arg(env!("CARGO_BIN_EXE_switchyard-turn"))
            .args(["--listen", "127.0.0.1", "--port", "0", "--tls-port", "0"])
            .arg("--socket")
            .arg(directory.join("turn.sock"))
            .arg("--secret-file")
            .arg(&secret)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        Server { process, log }
    }

    /// The next line of the log that has these words.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended");
        }
        line
    }

    fn address(&mut self) -> SocketAddr {
        let line = self.says("serving");
        let (_, rest) = line.split_once("plain=[").unwrap();
        rest.split_once(']').unwrap().0.parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_served(address: SocketAddr) -> bool {
    let mut request = [0; 20];
    // RFC 8489 section 5: a binding request without attributes.
    request[1] = 1;
    request[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&request).unwrap();
    let mut answer = [0; 20];
    stream.read_exact(&mut answer).is_ok() && answer[..2] == [1, 1]
}

#[test]
fn a_listener_rests_while_there_are_no_descriptors_and_goes_on_after() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("descriptors");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let mut server = Server::start(&directory);
    let address = server.address();
    let start = Instant::now();
    let connections: Vec<_> = (0..DESCRIPTORS)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for _ in 0..3 {
        server.says("accepting");
    }
    // Once, and again after each of two rests.
    assert!(start.elapsed() >= Duration::from_secs(2));
    drop(connections);
    assert!(is_served(address));
}
