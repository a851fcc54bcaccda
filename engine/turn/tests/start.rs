//! What the process does before it serves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("secret"), "secret").unwrap();
    directory
}

/// Starts a server that inherits a mask under which everything is open to everybody.
fn start(directory: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "umask 000 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_switchyard-turn"))
        .args(["--listen", "127.0.0.1", "--port", "0", "--tls-port", "0"])
        .arg("--socket")
        .arg(directory.join("turn.sock"))
        .arg("--secret-file")
        .arg(directory.join("secret"))
        .arg("--revoked-file")
        .arg(directory.join("turn.revoked"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_control_socket_is_private_whatever_mask_was_inherited() {
    let directory = directory("private");
    let socket = directory.join("turn.sock");
    let mut server = start(&directory);
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("serving")));
    // The socket comes after the ports.
    while !socket.exists() {
        std::thread::yield_now();
    }
    let mode = socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "mode {mode:o}");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_list_of_revocations_that_cannot_be_read_is_an_error_before_anybody_is_served() {
    let directory = directory("revoked");
    fs::write(directory.join("turn.revoked"), "1.key.a 1\nnonsense\n").unwrap();
    let output = start(&directory).wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(log.contains("turn.revoked has a line that is no revocation"));
    assert!(!log.contains("serving"));
}
