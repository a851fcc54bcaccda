//! Data channels: one publisher of small messages, more and more subscribers, and some that stop reading.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchyard_engine::dtls::Certificate;
use switchyard_engine::wire::demux::{DatagramKind, classify};

use crate::api::Api;
use crate::arguments::Plan;
use crate::association::Association;
use crate::endpoint::Endpoint;
use crate::figures::{percentiles, round};
use crate::load::{CONNECT_TIMEOUT, SETTLE};
use crate::process;
use crate::sdp;
use crate::sockets::{Sockets, text, turns};

/// Subscribers of the reliable channel, one measurement each.
const SIZES: [usize; 4] = [1, 10, 100, 500];
/// How many there are when some stop reading.
const STALL_AT: usize = 100;
/// Beside them, subscribers of the unreliable channel while some stop reading.
const UNRELIABLE: usize = 10;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);
const MESSAGE_LEN: usize = 100;
/// Of the two channels; the second is unordered and never sends again.
const CHANNELS: [(&str, Option<u32>); 2] = [("reliable", None), ("unreliable", Some(0))];
const RELIABLE: usize = 0;
const LOSSY: usize = 1;
const WINDOW: u32 = 1 << 20;
/// Of those that stop reading: what a peer has room for is not the server's to choose, and a small room fills soon.
const SMALL_WINDOW: u32 = 8192;
/// With a small window, the server's 64 KB on the way and its queue of 64 messages it takes half of that.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const CHECK_INTERVAL: Duration = Duration::from_millis(2500);
/// Between two looks at SCTP's timers, of which the shortest is its delayed acknowledgement.
const TIMERS_INTERVAL: Duration = Duration::from_millis(10);
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

struct Client {
    endpoint: Endpoint,
    session: String,
    channel: usize,
    /// False: messages stay in its association.
    reads: bool,
}

struct Publisher {
    streams: [u16; 2],
    is_active: [bool; 2],
    next: Instant,
    sent: [u64; 2],
}

/// The first client publishes, the others subscribe.
struct Messages {
    api: Api,
    certificate: Certificate,
    fingerprint: Vec<u8>,
    clients: Vec<Client>,
    publisher: Option<Publisher>,
    sockets: Sockets,
    epoch: Instant,
    next_check: Instant,
    next_timers: Instant,
    /// Microseconds on the way, of each message of a channel that was read.
    latencies: [Vec<u32>; 2],
    bind: IpAddr,
    pid: u32,
}

/// Prints a line of JSON for each number of subscribers, and one for each channel on which a subscriber stopped.
pub fn run(plan: &Plan) -> Result<(), String> {
    let mut messages = Messages::connect(plan)?;
    for size in SIZES {
        let before = process::resident_bytes(plan.pid)?;
        let added = size + 1 - messages.clients.len();
        for _ in 0..added {
            messages.subscribe(RELIABLE, WINDOW)?;
        }
        messages.run(SETTLE)?;
        let grown = process::resident_bytes(plan.pid)?.saturating_sub(before);
        let mut line = messages.measure(size, plan.seconds)?;
        line["kilobytesPerSubscriber"] = json!(grown / added as u64 / 1024);
        println!("{line}");
        if size == STALL_AT {
            stall(&mut messages, plan.seconds)?;
        }
    }
    Ok(())
}

/// What others get before, while and after one subscriber of each channel reads nothing.
fn stall(messages: &mut Messages, seconds: u64) -> Result<(), String> {
    let readers = messages.clients.len();
    for _ in 0..UNRELIABLE {
        messages.subscribe(LOSSY, WINDOW)?;
    }
    let stalled = messages.clients.len();
    messages.subscribe(RELIABLE, SMALL_WINDOW)?;
    messages.subscribe(LOSSY, SMALL_WINDOW)?;
    messages.send_on([true, true]);
    messages.run(SETTLE)?;
    let before = messages.observe(Duration::from_secs(seconds))?;

    for client in &mut messages.clients[stalled..] {
        client.reads = false;
    }
    let (watch, ended) = (Watch::begin(messages, stalled), Instant::now());
    messages.clear();
    while ended.elapsed() < STALL_TIMEOUT && !watch.is_over() {
        messages.turn()?;
    }
    let during = messages.percentiles();
    let (closed_after, dropped) = watch.result()?;
    let after = messages.observe(Duration::from_secs(seconds))?;
    messages.send_on([false, false]);
    for (channel, (name, _)) in CHANNELS.iter().enumerate() {
        println!(
            "{}",
            json!({
                "channel": name,
                "readers": if channel == RELIABLE { readers - 1 } else { UNRELIABLE },
                "stalled": 1,
                "closedAfterSeconds": (channel == RELIABLE).then_some(closed_after),
                "droppedOldest": (channel == LOSSY).then_some(dropped),
                "p99UsBefore": before[channel][1],
                "p99UsWhileStalled": during[channel][1],
                "p99UsAfter": after[channel][1],
            })
        );
    }
    messages.clients.truncate(readers);
    Ok(())
}

/// Asks the API from a thread of its own, so that its answers hold up no message.
struct Watch {
    is_over: Arc<AtomicBool>,
    result: mpsc::Receiver<Result<(f64, u64), String>>,
}

impl Watch {
    /// Until the client's channel is not active any more.
    fn begin(messages: &Messages, stalled: usize) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let (tell, result) = mpsc::channel();
        let api = messages.api.clone();
        let session = messages.clients[stalled].session.clone();
        let over = is_over.clone();
        thread::spawn(move || {
            let _ = tell.send(watch(&api, &session));
            over.store(true, Ordering::Relaxed);
        });
        Watch { is_over, result }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn result(&self) -> Result<(f64, u64), String> {
        let result = self.result.recv_timeout(STATUS_INTERVAL * 4);
        result.map_err(|_| "a subscriber that reads nothing was not closed")?
    }
}

/// Seconds until the channel was closed, and how many messages the other channel lost by then.
fn watch(api: &Api, session: &str) -> Result<(f64, u64), String> {
    let (name, _) = CHANNELS[RELIABLE];
    let begin = Instant::now();
    let before = api.count("discarded_message_overtaken")?;
    while api.channel_status(session, name)? == "active" {
        if begin.elapsed() > STALL_TIMEOUT {
            return Err("a subscriber that reads nothing was not closed".into());
        }
        thread::sleep(STATUS_INTERVAL);
    }
    let seconds = round(begin.elapsed().as_secs_f64(), 10.0);
    let dropped = api.count("discarded_message_overtaken")? - before;
    Ok((seconds, dropped))
}

impl Messages {
    fn connect(plan: &Plan) -> Result<Messages, String> {
        let certificate = Certificate::generate()?;
        let now = Instant::now();
        let mut messages = Messages {
            api: Api::new(plan),
            fingerprint: certificate.sha256(),
            certificate,
            clients: Vec::new(),
            publisher: None,
            sockets: Sockets::new()?,
            epoch: now,
            next_check: now + CHECK_INTERVAL,
            next_timers: now,
            latencies: [Vec::new(), Vec::new()],
            bind: plan.bind,
            pid: plan.pid,
        };
        let session = messages.add(WINDOW)?;
        let mut streams = [0; 2];
        for (stream, (name, retransmits)) in streams.iter_mut().zip(CHANNELS) {
            *stream = messages
                .api
                .new_channel(&session, None, name, retransmits)?;
            messages.open(0, *stream, retransmits)?;
        }
        messages.publisher = Some(Publisher {
            streams,
            is_active: [false; 2],
            next: now,
            sent: [0; 2],
        });
        Ok(messages)
    }

    fn subscribe(&mut self, channel: usize, window: u32) -> Result<(), String> {
        let session = self.add(window)?;
        let (name, retransmits) = CHANNELS[channel];
        let publisher = Some(self.clients[0].session.as_str());
        let stream = self
            .api
            .new_channel(&session, publisher, name, retransmits)?;
        let index = self.clients.len() - 1;
        self.clients[index].channel = channel;
        self.open(index, stream, retransmits)
    }

    /// A session that is connected; gives its ID.
    fn add(&mut self, window: u32) -> Result<String, String> {
        let index = self.clients.len();
        let mut endpoint = Endpoint::new(self.bind, index).map_err(text)?;
        self.sockets.add(&endpoint.socket, index)?;
        let session = self.api.new_session()?;
        let offer = sdp::data_offer(&endpoint.own(&self.fingerprint));
        let described = sdp::read(&self.api.establish(&session, &offer)?)?;
        endpoint.association = Some(Association::new(window)?);
        endpoint.connect(&self.certificate, &described, true);
        self.clients.push(Client {
            endpoint,
            session: session.clone(),
            channel: RELIABLE,
            reads: true,
        });
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !self.clients[index].endpoint.is_connected() {
            if Instant::now() > deadline {
                return Err(format!("endpoint {index} did not connect"));
            }
            let now = Instant::now();
            let endpoint = &mut self.clients[index].endpoint;
            endpoint.drive(now).map_err(text)?;
            endpoint.exchange(now);
            self.turn()?;
        }
        Ok(session)
    }

    fn open(&mut self, index: usize, stream: u16, retransmits: Option<u32>) -> Result<(), String> {
        let association = self.clients[index].endpoint.association.as_mut();
        association
            .ok_or("no association")?
            .open(stream, retransmits)
    }

    /// Lets the publisher send on the channels or not.
    fn send_on(&mut self, channels: [bool; 2]) {
        if let Some(publisher) = &mut self.publisher {
            publisher.is_active = channels;
            publisher.next = Instant::now();
        }
    }

    fn measure(&mut self, subscribers: usize, seconds: u64) -> Result<Value, String> {
        self.send_on([true, false]);
        self.run(SETTLE)?;
        let sent = self.sent();
        let start = Instant::now();
        let (server, own) = (process::cpu(self.pid)?, process::cpu(std::process::id())?);
        self.clear();
        self.run(Duration::from_secs(seconds))?;
        let (server, own) = (
            process::cpu(self.pid)? - server,
            process::cpu(std::process::id())? - own,
        );
        let elapsed = start.elapsed().as_secs_f64();
        let received = self.latencies[RELIABLE].len() as f64;
        let expected = (self.sent() - sent) as f64 * subscribers as f64;
        let [p50, p99, p999, worst] = self.percentiles()[RELIABLE];
        self.send_on([false, false]);
        self.run(SETTLE)?;
        let each = |seconds: f64| round(seconds * 1e6 / received.max(1.0), 100.0);
        Ok(json!({
            "subscribers": subscribers,
            "seconds": round(elapsed, 100.0),
            "messagesPerSecond": (received / elapsed).round(),
            "deliveredPercent": round(received / expected.max(1.0) * 100.0, 100.0),
            "cpuUsPerMessage": each(server.all()),
            "serverCorePercent": round(server.all() / elapsed * 100.0, 10.0),
            "generatorUsPerMessage": each(own.all()),
            "latencyUs": { "p50": p50, "p99": p99, "p999": p999, "worst": worst },
        }))
    }

    /// p50, p99, p99.9 and the worst of each channel over some time.
    fn observe(&mut self, time: Duration) -> Result<[[u32; 4]; 2], String> {
        self.clear();
        self.run(time)?;
        Ok(self.percentiles())
    }

    fn clear(&mut self) {
        self.latencies.iter_mut().for_each(Vec::clear);
    }

    fn percentiles(&mut self) -> [[u32; 4]; 2] {
        let [reliable, lossy] = &mut self.latencies;
        [percentiles(reliable), percentiles(lossy)]
    }

    fn sent(&self) -> u64 {
        (self.publisher.as_ref()).map_or(0, |publisher| publisher.sent[RELIABLE])
    }

    fn run(&mut self, time: Duration) -> Result<(), String> {
        turns(Instant::now() + time, || self.turn())
    }

    fn turn(&mut self) -> Result<(), String> {
        for index in self.sockets.wait(Duration::from_millis(1))? {
            // One that has been let go was there when the wait began.
            if index < self.clients.len() {
                self.receive(index)?;
            }
        }
        let now = Instant::now();
        self.publish(now)?;
        if now >= self.next_timers {
            self.next_timers = now + TIMERS_INTERVAL;
            for client in &mut self.clients {
                client.endpoint.exchange(now);
            }
        }
        if now >= self.next_check {
            self.next_check = now + CHECK_INTERVAL;
            for client in &self.clients {
                client.endpoint.check().map_err(text)?;
            }
        }
        Ok(())
    }

    /// Sends the messages that are due.
    fn publish(&mut self, now: Instant) -> Result<(), String> {
        let (Some(publisher), Some(client)) = (&mut self.publisher, self.clients.first_mut())
        else {
            return Ok(());
        };
        let Some(association) = &mut client.endpoint.association else {
            return Ok(());
        };
        if publisher.is_active == [false; 2] || now < publisher.next {
            return Ok(());
        }
        publisher.next += INTERVAL;
        for channel in [RELIABLE, LOSSY] {
            if publisher.is_active[channel] {
                let mut message = [0; MESSAGE_LEN];
                let stamp = self.epoch.elapsed().as_nanos() as u64;
                message[..8].copy_from_slice(&stamp.to_be_bytes());
                association.send(publisher.streams[channel], &message)?;
                publisher.sent[channel] += 1;
            }
        }
        client.endpoint.exchange(now);
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<(), String> {
        let now = Instant::now();
        let client = &mut self.clients[index];
        let socket = client.endpoint.socket.clone();
        let endpoint = &mut client.endpoint;
        let certificate = &self.certificate;
        self.sockets
            .receiver
            .receive(&socket, |source, datagram| match classify(datagram) {
                DatagramKind::Dtls => endpoint.take_dtls(certificate, now, datagram),
                DatagramKind::Stun => endpoint.take_stun(datagram, source),
                _ => {}
            })
            .map_err(text)?;
        endpoint.exchange(now);
        if client.reads
            && index > 0
            && let Some(association) = &mut endpoint.association
        {
            let latencies = &mut self.latencies[client.channel];
            let at = self.epoch.elapsed().as_nanos() as u64;
            association.read(|_, message| {
                // The server's own events are shorter or text; they have no stamp.
                if let (MESSAGE_LEN, Some(stamp)) = (message.len(), message.first_chunk::<8>()) {
                    let sent = u64::from_be_bytes(*stamp);
                    latencies.push((at.saturating_sub(sent) / 1000) as u32);
                }
            });
        }
        Ok(())
    }
}
