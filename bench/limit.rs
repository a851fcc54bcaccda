//! The bare limit: a loop that only encrypts and sends, to compare a server with.

use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde_json::json;
use switchyard_engine::srtp;
use switchyard_net as net;

/// Destinations, as many as a large room has.
const DESTINATIONS: usize = 200;
/// Bytes of a packet before its tag, of video and of Opus, and from one to the next in memory.
const VIDEO: usize = 1180;
const AUDIO: usize = 100;
const STRIDE: usize = 1216;
const HEADER: usize = 12;
/// Bytes of a packet, and how many of one destination leave together; 1 is sendmmsg alone.
const SHAPES: [(usize, usize); 5] = [(AUDIO, 1), (VIDEO, 1), (VIDEO, 3), (VIDEO, 8), (VIDEO, 10)];
const MOST_TOGETHER: usize = 10;

/// Between two times that the receivers are emptied, which is not measured.
const ROUNDS: usize = 8;
/// Between two packets of a publisher of audio.
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// How long a thread that receives waits before it looks whether it is needed.
const IDLE: Duration = Duration::from_millis(50);

/// Measures each shape, and prints a line for each.
pub fn run(seconds: u64) -> Result<(), String> {
    let receivers = (0..DESTINATIONS)
        .map(|_| bind())
        .collect::<Result<Vec<_>, _>>()?;
    let destinations = receivers
        .iter()
        .map(|receiver| receiver.local_addr().map_err(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut room = Room {
        socket: bind()?,
        destinations,
        keys: (0..DESTINATIONS).map(|n| keys(n as u8)).collect(),
        arena: vec![0x80; DESTINATIONS * MOST_TOGETHER * STRIDE],
        sender: net::Sender::new().map_err(text)?,
        index: 0,
    };
    let mut reader = net::Receiver::default();
    for (packet, together) in SHAPES {
        let (mut packets, mut own) = (0, 0.0);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            let before = ThreadTime::now();
            for _ in 0..ROUNDS {
                packets += room.round(packet, together);
            }
            own += before.elapsed().as_secs_f64();
            for receiver in &receivers {
                while reader.receive(receiver, |_, _| {}).unwrap_or(0) > 0 {}
            }
        }
        print(&name(together), packet, packets, own);
    }
    let (packets, own) = at_pace(&mut room, &receivers, Duration::from_secs(seconds))?;
    print(
        "sendmmsg, each 20 ms, received meanwhile",
        AUDIO,
        packets,
        own,
    );
    Ok(())
}

fn name(together: usize) -> String {
    if together == 1 {
        "sendmmsg".to_owned()
    } else {
        format!("GSO of {together}")
    }
}

fn print(limit: &str, bytes: usize, packets: usize, seconds: f64) {
    let line = json!({
        "limit": limit,
        "packetBytes": bytes,
        "packetsPerSecondOfACore": (packets as f64 / seconds).round(),
        "cpuUsPerPacket": (seconds * 1e9 / packets as f64).round() / 1000.0,
    });
    println!("{line}");
}

/// The same loop with the work of a single audio room: a core that is idle between two rounds, and receivers that are
/// waiting for each packet. Gives the packets and the CPU seconds of the loop.
fn at_pace(
    room: &mut Room,
    receivers: &[UdpSocket],
    time: Duration,
) -> Result<(usize, f64), String> {
    let is_over = AtomicBool::new(false);
    let mut poller = net::Poller::new().map_err(text)?;
    for (index, receiver) in receivers.iter().enumerate() {
        poller.add(receiver, index).map_err(text)?;
    }
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let mut reader = net::Receiver::default();
            while !is_over.load(Ordering::Relaxed) {
                poller.wait(Some(IDLE), |index| {
                    let _ = reader.receive(&receivers[index], |_, _| {});
                })?;
            }
            Ok(())
        });
        let (start, before) = (Instant::now(), ThreadTime::now());
        let (mut packets, mut next) = (0, start);
        while start.elapsed() < time {
            packets += room.round(AUDIO, 1);
            next += AUDIO_INTERVAL;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let own = before.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let received = receiving.join().map_err(|_| "the receiver panicked")?;
        received.map(|()| (packets, own)).map_err(text)
    })
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

struct Room {
    socket: UdpSocket,
    destinations: Vec<SocketAddr>,
    keys: Vec<srtp::Sender>,
    arena: Vec<u8>,
    sender: net::Sender,
    index: u64,
}

impl Room {
    /// Encrypts and sends so many packets of `bytes` for each destination; gives how many were sent in all.
    fn round(&mut self, bytes: usize, together: usize) -> usize {
        let mut places: Vec<Range<usize>> = Vec::with_capacity(together * DESTINATIONS);
        for (destination, keys) in self.keys.iter().enumerate() {
            for packet in 0..together {
                let start = (destination * together + packet) * STRIDE;
                let slot = &mut self.arena[start..start + STRIDE];
                let index = self.index + packet as u64;
                let length = keys.protect_rtp(slot, bytes, HEADER, index).unwrap_or(0);
                places.push(start..start + length);
            }
        }
        self.index += together as u64;
        let each = places.chunks(together).zip(&self.destinations);
        let messages = each.map(|(datagrams, &to)| net::Message { to, datagrams });
        self.sender.send(&self.socket, 0, &self.arena, messages)
    }
}

fn bind() -> Result<UdpSocket, String> {
    net::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(text)
}

fn keys(seed: u8) -> srtp::Sender {
    let profile = srtp::Profile::AeadAes128Gcm;
    let master = srtp::Master::new(profile, &[seed; 16], &[seed; 12]);
    srtp::Sender::new(profile, &master.expect("lengths of the profile"))
}
