//! All endpoints in one thread: connect them, let them run, count what arrives.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use switchyard_engine::dtls::Certificate;
use switchyard_engine::wire::demux::{DatagramKind, classify};
use switchyard_engine::wire::rtcp::{self, Packet};
use switchyard_engine::wire::rtp::Header;
use switchyard_net as net;

use crate::api::Api;
use crate::arguments::Plan;
use crate::endpoint::{Endpoint, FEEDBACK_INTERVAL};
use crate::figures::{Figures, percentiles};
use crate::process;
use crate::publisher::{Media, Publisher, STAMP};
use crate::sdp;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The name of each publisher's only track.
pub const TRACK: &str = "track";
/// Before a measurement, and after it for what is still on its way.
pub const SETTLE: Duration = Duration::from_millis(500);

/// The first endpoints publish, the others subscribe.
pub struct Load {
    pub certificate: Certificate,
    pub endpoints: Vec<Endpoint>,
    pub publishers: Vec<Publisher>,
    poller: net::Poller,
    receiver: net::Receiver,
    epoch: Instant,
    /// Publishers receive as well.
    pub is_meeting: bool,
    /// Instead of all that an endpoint feeds back: only checks, so often.
    pub only_checks: Option<Duration>,
    /// Who feeds back when.
    feedbacks: VecDeque<(Instant, usize)>,
    rtcp: Vec<u8>,
    sample: u64,
    bind: IpAddr,
    pid: u32,
    /// Of each track.
    pub subscribers: usize,
    unreadable: u64,
    latencies: Vec<u32>,
    pub bytes_per_subscriber: u64,
}

impl Load {
    /// A load without endpoints.
    pub fn new(plan: &Plan) -> Result<Load, String> {
        Ok(Load {
            certificate: Certificate::generate()?,
            endpoints: Vec::new(),
            publishers: Vec::new(),
            poller: net::Poller::new().map_err(text)?,
            receiver: net::Receiver::default(),
            epoch: Instant::now(),
            is_meeting: false,
            only_checks: None,
            feedbacks: VecDeque::new(),
            rtcp: Vec::new(),
            sample: plan.sample,
            bind: plan.bind,
            pid: plan.pid,
            subscribers: plan.subscribers,
            unreadable: 0,
            latencies: Vec::new(),
            bytes_per_subscriber: 0,
        })
    }

    /// Publishes and subscribes through the API, and waits until media can flow everywhere.
    pub fn connect(plan: &Plan) -> Result<Load, String> {
        let api = Api::new(plan);
        let mut load = Load::new(plan)?;
        let sessions = (0..plan.publishers)
            .map(|_| load.publish(&api, plan.media))
            .collect::<Result<Vec<_>, _>>()?;
        load.run(SETTLE)?;
        let before = process::resident_bytes(plan.pid)?;
        let receive = plan.offers.then_some(plan.media);
        for publisher in &sessions {
            load.subscribe(&api, publisher, plan.subscribers, receive)?;
        }
        load.run(SETTLE)?;
        let grown = process::resident_bytes(plan.pid)?.saturating_sub(before);
        load.bytes_per_subscriber = grown / (plan.publishers * plan.subscribers).max(1) as u64;
        Ok(load)
    }

    /// Another publisher, connected; gives its session. Only subscribers may be added after it.
    pub fn publish(&mut self, api: &Api, media: Media) -> Result<String, String> {
        let index = self.publishers.len();
        let session = api.new_session()?;
        let fingerprint = self.certificate.sha256();
        let own = self.add_endpoint()?.own(&fingerprint);
        let offer = sdp::offer(&own, media, Publisher::ssrc(index));
        let answer = sdp::read(&api.push(&session, &offer, sdp::MID, TRACK)?)?;
        let first = Instant::now() + Duration::from_micros(index as u64 * 7919 % 33_333);
        self.publishers.push(Publisher::new(media, first));
        self.begin(index, &answer, true);
        self.finish(index)?;
        Ok(session)
    }

    /// Lets so many of the publishers send for so long.
    pub fn measure(&mut self, publishers: usize, seconds: u64) -> Result<Figures, String> {
        for publisher in &mut self.publishers[..publishers] {
            publisher.is_active = true;
        }
        self.run(SETTLE)?;
        self.unreadable = 0;
        self.latencies.clear();
        let (sent, received) = (self.sent(), self.received());
        let start = Instant::now();
        let (server, generator) = self.cpu()?;
        self.run(Duration::from_secs(seconds))?;
        let (server_end, generator_end) = self.cpu()?;
        let seconds = start.elapsed().as_secs_f64();
        let sent = self.sent() - sent;
        let latency = percentiles(&mut self.latencies);
        for publisher in &mut self.publishers {
            publisher.is_active = false;
        }
        // What was still on its way before is as much as what is still on its way now, where it flows.
        let packets = self.received() - received;
        self.run(SETTLE)?;
        Ok(Figures {
            publishers,
            subscribers: self.subscribers,
            seconds,
            expected: sent * self.subscribers as u64,
            packets,
            unreadable: self.unreadable,
            server: server_end - server,
            generator: generator_end - generator,
            bytes_per_subscriber: self.bytes_per_subscriber,
            latency,
        })
    }

    fn cpu(&self) -> Result<(process::Cpu, process::Cpu), String> {
        Ok((process::cpu(self.pid)?, process::cpu(std::process::id())?))
    }

    fn sent(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.sent).sum()
    }

    fn received(&self) -> u64 {
        let first = self.first_receiver();
        let subscribers = &self.endpoints[first..];
        subscribers.iter().map(|endpoint| endpoint.packets).sum()
    }

    fn first_receiver(&self) -> usize {
        if self.is_meeting {
            0
        } else {
            self.publishers.len()
        }
    }

    pub fn add_endpoint(&mut self) -> Result<&Endpoint, String> {
        let index = self.endpoints.len();
        let endpoint = Endpoint::new(self.bind, index).map_err(text)?;
        self.poller.add(&endpoint.socket, index).map_err(text)?;
        self.endpoints.push(endpoint);
        Ok(&self.endpoints[index])
    }

    /// Lets the endpoints' feedback fall due evenly over an interval.
    pub fn spread_checks(&mut self, interval: Duration) {
        let (now, count) = (Instant::now(), self.feedbacks.len().max(1) as u32);
        for (place, (due, _)) in self.feedbacks.iter_mut().enumerate() {
            *due = now + interval * place as u32 / count;
        }
    }

    /// Lets all endpoints feed back now.
    pub fn feed_back_all(&mut self) -> Result<(), String> {
        for endpoint in &mut self.endpoints {
            endpoint.feed_back(&mut self.rtcp).map_err(text)?;
        }
        Ok(())
    }

    /// Begins to connect an endpoint.
    pub fn begin(&mut self, index: usize, described: &sdp::Described, offered: bool) {
        self.endpoints[index].connect(&self.certificate, described, offered);
        self.feedbacks
            .push_back((Instant::now() + FEEDBACK_INTERVAL, index));
    }

    /// Connects an endpoint while the others go on: the API waits for first media.
    pub fn finish(&mut self, index: usize) -> Result<(), String> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !self.endpoints[index].is_connected() {
            if Instant::now() > deadline {
                return Err(format!("endpoint {index} did not connect"));
            }
            self.endpoints[index].drive(Instant::now()).map_err(text)?;
            self.turn()?;
        }
        Ok(())
    }

    pub fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    pub fn turn(&mut self) -> Result<(), String> {
        let mut ready = [0; 64];
        let mut count = 0;
        self.poller
            .wait(Some(Duration::from_millis(1)), |index| {
                ready[count] = index;
                count += 1;
            })
            .map_err(text)?;
        for &index in &ready[..count] {
            self.receive(index)?;
        }
        let now = Instant::now();
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            publisher
                .drive(
                    Publisher::ssrc(index),
                    &self.endpoints[index],
                    now,
                    self.epoch,
                )
                .map_err(text)?;
        }
        while let Some(&(_, index)) = self.feedbacks.front().filter(|(due, _)| *due <= now) {
            self.feedbacks.pop_front();
            let interval = self.only_checks.unwrap_or(FEEDBACK_INTERVAL);
            self.feedbacks.push_back((now + interval, index));
            let endpoint = &mut self.endpoints[index];
            match self.only_checks {
                None => endpoint.feed_back(&mut self.rtcp),
                Some(_) => endpoint.check(),
            }
            .map_err(text)?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<(), String> {
        let now = Instant::now();
        let at_us = (now - self.epoch).as_micros() as u64;
        let publisher_count = self.publishers.len();
        let first_receiver = self.first_receiver();
        let endpoint = &mut self.endpoints[index];
        let socket = endpoint.socket.clone();
        let taken = self
            .receiver
            .receive(&socket, |source, datagram| match classify(datagram) {
                DatagramKind::Rtp if index >= first_receiver => {
                    let Ok(header) = Header::parse(datagram) else {
                        self.unreadable += 1;
                        return;
                    };
                    endpoint.arrived(&header, datagram, at_us);
                    if !header.has_padding
                        && endpoint.packets.is_multiple_of(self.sample)
                        && let Some(receiver) = &mut endpoint.receiver
                    {
                        match receiver.unprotect_rtp(datagram, &header) {
                            Ok(length) => {
                                let payload = &datagram[header.header_len..length];
                                if let Some(&stamp) = payload.last_chunk::<STAMP>() {
                                    let sent = u64::from_be_bytes(stamp);
                                    self.latencies
                                        .push(at_us.saturating_sub(sent / 1000) as u32);
                                }
                            }
                            Err(_) => self.unreadable += 1,
                        }
                    }
                }
                DatagramKind::Rtcp if index < publisher_count => {
                    if let Some(receiver) = &mut endpoint.receiver
                        && let Ok(length) = receiver.unprotect_rtcp(datagram)
                    {
                        let asked = rtcp::parse(&datagram[..length]).any(|packet| {
                            matches!(packet, Ok(Packet::Pli { .. } | Packet::Fir { .. }))
                        });
                        self.publishers[index].key_frame_wanted |= asked;
                    }
                }
                DatagramKind::Stun => endpoint.take_stun(datagram, source),
                DatagramKind::Dtls => endpoint.take_dtls(&self.certificate, now, datagram),
                _ => {}
            });
        taken.map(drop).map_err(text)
    }
}

pub fn text(error: std::io::Error) -> String {
    error.to_string()
}
