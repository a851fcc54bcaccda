//! Carries packets between two TUN interfaces as a bad network would.
//!
//! usage: switchyard-link NAME NAME
//!
//! The first packets written to the one come out of the other at once. Each line on standard input is a JSON
//! object with the shapes of both directions ("down" is from the first interface to the second) and applies
//! from then on; the end of the input ends the program. Each 100 ms a line with figures is printed.

mod direction;
mod shape;

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use direction::Direction;
use shape::Shapes;
use switchyard_net as net;

const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// Packets of one interface before the other has its turn.
const BATCH: usize = 64;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let [first, second] = &names[..] else {
        eprintln!("usage: switchyard-link NAME NAME");
        return ExitCode::FAILURE;
    };
    match run(first, second) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(first: &str, second: &str) -> io::Result<()> {
    let mut interfaces = [net::open_tun(first)?, net::open_tun(second)?];
    let poller = net::Poller::new()?;
    for (index, interface) in interfaces.iter().enumerate() {
        poller.add(interface, index)?;
    }
    println!("ready");
    let start = Instant::now();
    let shapes = shapes_of_input(poller.waker());
    let mut directions = [Direction::new(1, start), Direction::new(2, start)];
    let mut next_report = start + REPORT_INTERVAL;
    let mut poller = poller;
    loop {
        let due = directions
            .iter()
            .filter_map(Direction::next_due)
            .fold(next_report, Instant::min);
        poller.wait(Some(due.saturating_duration_since(Instant::now())), |_| {})?;
        loop {
            match shapes.try_recv() {
                Ok(shapes) => {
                    directions[0].shape = shapes.down;
                    directions[1].shape = shapes.up;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        for (index, direction) in directions.iter_mut().enumerate() {
            take(&mut interfaces[index], direction)?;
            give(&mut interfaces[1 - index], direction);
        }
        if Instant::now() >= next_report {
            next_report += REPORT_INTERVAL;
            let [down, up] = directions.each_mut().map(Direction::take_figures);
            let time = start.elapsed().as_secs_f64();
            println!(
                "{}",
                serde_json::json!({ "time": time, "down": down, "up": up })
            );
        }
    }
}

/// Reads standard input in a thread of its own; a line that is not a shape ends the program.
fn shapes_of_input(waker: net::Waker) -> Receiver<Shapes> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let sent = serde_json::from_str(&line).map(|shapes| sender.send(shapes).is_ok());
            match sent {
                Ok(true) => waker.wake(),
                Ok(false) => break,
                Err(error) => {
                    eprintln!("not a shape: {error}");
                    break;
                }
            }
        }
        drop(sender);
        waker.wake();
    });
    receiver
}

fn take(interface: &mut File, direction: &mut Direction) -> io::Result<()> {
    let mut packet = [0; 65_536];
    for _ in 0..BATCH {
        match interface.read(&mut packet) {
            Ok(length) => direction.offer(&packet[..length], Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // The interface is down until its address is set.
            Err(_) => break,
        }
    }
    Ok(())
}

fn give(interface: &mut File, direction: &mut Direction) {
    while let Some(packet) = direction.pop(Instant::now()) {
        // A full or downed interface loses packets, as any does.
        let _ = interface.write(&packet);
    }
}
