//! All endpoints in one thread: connect them, let them run, count what arrives.

use std::fmt;
use std::time::{Duration, Instant};

use switchyard_engine::dtls::Certificate;
use switchyard_engine::wire::demux::DatagramKind;
use switchyard_engine::wire::rtcp::{self, Packet};
use switchyard_engine::wire::rtp::Header;
use switchyard_net as net;

use crate::api::Api;
use crate::endpoint::Endpoint;
use crate::process;
use crate::publisher::{Publisher, SSRC, STAMP_OFFSET};
use crate::sdp;

/// What to run.
pub struct Plan {
    pub subscribers: usize,
    pub seconds: u64,
    pub bits_per_second: u64,
    pub engine: u32,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Endpoint 0 publishes, the others subscribe.
pub struct Load {
    certificate: Certificate,
    endpoints: Vec<Endpoint>,
    publisher: Publisher,
    poller: net::Poller,
    receiver: net::Receiver,
    epoch: Instant,
    next_report: Instant,
    packets: u64,
    unreadable: u64,
    latencies: Vec<u32>,
    bytes_per_subscriber: u64,
}

/// The figures of a run.
pub struct Figures {
    subscribers: usize,
    seconds: f64,
    packets: u64,
    unreadable: u64,
    cpu_us_per_packet: f64,
    cpu_share: f64,
    bytes_per_subscriber: u64,
    latency_us: [u32; 3],
}

impl Load {
    /// Publishes and subscribes through the API, and waits until media can flow everywhere.
    pub fn connect(api: &Api, plan: &Plan) -> Result<Load, String> {
        let certificate = Certificate::generate()?;
        let fingerprint = certificate.sha256();
        let now = Instant::now();
        let mut load = Load {
            certificate,
            endpoints: Vec::new(),
            publisher: Publisher::new(plan.bits_per_second, now),
            poller: net::Poller::new().map_err(text)?,
            receiver: net::Receiver::default(),
            epoch: now,
            next_report: now,
            packets: 0,
            unreadable: 0,
            latencies: Vec::new(),
            bytes_per_subscriber: 0,
        };

        let publishing = api.new_session()?;
        let offer = sdp::offer(&load.add_endpoint()?.own(&fingerprint), SSRC);
        let answer = sdp::read(&api.push(&publishing, &offer, sdp::MID, "video")?)?;
        load.begin(0, &answer)?;
        let before = process::resident_bytes(plan.engine)?;
        for index in 1..=plan.subscribers {
            let session = api.new_session()?;
            let offered = sdp::read(&api.pull(&session, &publishing, "video")?)?;
            let answer = sdp::answer(&load.add_endpoint()?.own(&fingerprint), &offered);
            api.renegotiate(&session, &answer)?;
            load.begin(index, &offered)?;
        }
        load.run(Duration::from_secs(1))?;
        let grown = process::resident_bytes(plan.engine)?.saturating_sub(before);
        load.bytes_per_subscriber = grown / plan.subscribers.max(1) as u64;
        Ok(load)
    }

    /// Runs for the plan's time.
    pub fn measure(mut self, plan: &Plan) -> Result<Figures, String> {
        (self.packets, self.unreadable) = (0, 0);
        self.latencies.clear();
        let (start, cpu) = (Instant::now(), process::cpu_seconds(plan.engine)?);
        self.run(Duration::from_secs(plan.seconds))?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = process::cpu_seconds(plan.engine)? - cpu;
        self.latencies.sort_unstable();
        let share = |part: f64| {
            let index = (self.latencies.len() as f64 * part) as usize;
            self.latencies.get(index).copied().unwrap_or_default()
        };
        Ok(Figures {
            subscribers: plan.subscribers,
            seconds,
            packets: self.packets,
            unreadable: self.unreadable,
            cpu_us_per_packet: cpu * 1e6 / self.packets.max(1) as f64,
            cpu_share: cpu / seconds,
            bytes_per_subscriber: self.bytes_per_subscriber,
            latency_us: [share(0.5), share(0.99), share(0.999)],
        })
    }

    fn add_endpoint(&mut self) -> Result<&Endpoint, String> {
        let index = self.endpoints.len();
        let endpoint = Endpoint::new(index).map_err(text)?;
        self.poller.add(&endpoint.socket, index).map_err(text)?;
        self.endpoints.push(endpoint);
        Ok(&self.endpoints[index])
    }

    /// Connects an endpoint while the others go on: the API waits for first media.
    fn begin(&mut self, index: usize, described: &sdp::Described) -> Result<(), String> {
        self.endpoints[index].connect(&self.certificate, described);
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !self.endpoints[index].is_connected() {
            if Instant::now() > deadline {
                return Err(format!("endpoint {index} did not connect"));
            }
            self.turn()?;
        }
        self.run(Duration::from_millis(if index == 0 { 200 } else { 0 }))
    }

    fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), String> {
        let mut ready = Vec::new();
        let wait = Some(Duration::from_millis(1));
        self.poller
            .wait(wait, |index| ready.push(index))
            .map_err(text)?;
        for index in ready {
            self.receive(index)?;
        }
        let now = Instant::now();
        for endpoint in &mut self.endpoints {
            endpoint.drive(now).map_err(text)?;
        }
        self.publisher
            .drive(&self.endpoints[0], now, self.epoch)
            .map_err(text)?;
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.report().map_err(text)?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<(), String> {
        let now = Instant::now();
        let arrived = self.epoch.elapsed().as_nanos() as u64;
        let socket = self.endpoints[index].socket.try_clone().map_err(text)?;
        let endpoint = &mut self.endpoints[index];
        let (certificate, publisher) = (&self.certificate, &mut self.publisher);
        let (packets, unreadable) = (&mut self.packets, &mut self.unreadable);
        let latencies = &mut self.latencies;
        self.receiver
            .receive(&socket, |_, datagram| {
                let kind = endpoint.take(certificate, now, datagram);
                let Some(receiver) = &mut endpoint.receiver else {
                    return;
                };
                match kind {
                    DatagramKind::Rtp => {
                        let Ok(header) = Header::parse(datagram) else {
                            *unreadable += 1;
                            return;
                        };
                        match receiver.unprotect_rtp(datagram, &header) {
                            Ok(length) => {
                                *packets += 1;
                                let at = header.header_len + STAMP_OFFSET;
                                if let Some(stamp) = datagram[..length].get(at..at + 8) {
                                    let sent =
                                        u64::from_be_bytes(stamp.try_into().unwrap_or_default());
                                    latencies.push((arrived.saturating_sub(sent) / 1000) as u32);
                                }
                            }
                            Err(_) => *unreadable += 1,
                        }
                    }
                    DatagramKind::Rtcp => {
                        if let Ok(length) = receiver.unprotect_rtcp(datagram) {
                            let asked = rtcp::parse(&datagram[..length])
                                .any(|packet| matches!(packet, Ok(Packet::Pli { .. })));
                            publisher.key_frame_wanted |= asked;
                        }
                    }
                    _ => {}
                }
            })
            .map_err(text)?;
        Ok(())
    }

    /// Receiver reports, as every subscriber sends them.
    fn report(&mut self) -> std::io::Result<()> {
        let mut packet = Vec::new();
        for endpoint in &mut self.endpoints[1..] {
            if let Some(sender) = &mut endpoint.sender {
                packet.clear();
                rtcp::push_receiver_report(&mut packet, 1, &[]);
                if sender.protect_rtcp(&mut packet).is_some() {
                    endpoint.send(&packet)?;
                }
            }
        }
        Ok(())
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = self.latency_us;
        let rate = self.packets as f64 / self.seconds;
        writeln!(f, "| figure | value |\n| --- | --- |")?;
        writeln!(f, "| subscribers of one publisher | {} |", self.subscribers)?;
        writeln!(f, "| packets received a second | {rate:.0} |")?;
        writeln!(
            f,
            "| packets that could not be read | {} |",
            self.unreadable
        )?;
        writeln!(
            f,
            "| engine CPU us per forwarded packet | {:.2} |",
            self.cpu_us_per_packet
        )?;
        writeln!(
            f,
            "| engine CPU share of a core | {:.1} % |",
            self.cpu_share * 100.0
        )?;
        writeln!(
            f,
            "| engine memory per subscriber | {} KB |",
            self.bytes_per_subscriber / 1024
        )?;
        write!(
            f,
            "| latency p50 / p99 / p99.9, generator included | {p50} / {p99} / {p999} us |"
        )
    }
}
