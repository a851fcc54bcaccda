//! All endpoints in one thread: connect them, let them run, count what arrives.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use switchyard_engine::dtls::Certificate;
use switchyard_engine::wire::demux::{DatagramKind, classify};
use switchyard_engine::wire::rtp::Header;

use crate::api::Api;
use crate::arguments::Plan;
use crate::endpoint::{Endpoint, FEEDBACK_INTERVAL};
use crate::publisher::{self, Media, Publisher};
use crate::sdp;
use crate::sockets::{self, Sockets, text, turns};

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a session's m-lines that publish.
const MIDS: [&str; 2] = [sdp::MID, "1"];
/// Before a measurement, and after it for what is still on its way.
pub const SETTLE: Duration = Duration::from_millis(500);

/// Of those that are not measured: seldom enough to cost nothing, often enough that their tracks are kept.
const SILENT_INTERVAL: Duration = Duration::from_secs(10);
/// Who takes turns looks after each whether it has to end.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

/// The first endpoints publish, the others subscribe.
pub struct Load {
    pub certificate: Certificate,
    pub endpoints: Vec<Endpoint>,
    pub publishers: Vec<Publisher>,
    /// How many of the endpoints publish.
    publishing: usize,
    sockets: Sockets,
    /// What arrival times count from, by the kernel's clock.
    epoch: Duration,
    /// Publishers receive as well.
    pub is_meeting: bool,
    /// Instead of all that an endpoint feeds back: only checks, so often.
    pub only_checks: Option<Duration>,
    /// Who feeds back when.
    feedbacks: VecDeque<(Instant, usize)>,
    rtcp: Vec<u8>,
    sample: u64,
    bind: IpAddr,
    pub pid: u32,
    /// Subscribers take congestion control.
    pub congestion: bool,
    /// Of each track.
    pub subscribers: usize,
    /// Of the measurement that is under way: packets, and microseconds.
    pub unreadable: u64,
    /// Packets of another encoding than the subscriber asked for, of those that were decrypted.
    pub astray: u64,
    pub latencies: Vec<u32>,
    /// By how much frames were sent too late.
    pub late: Vec<u32>,
    pub bytes_per_subscriber: u64,
}

impl Load {
    /// A load without endpoints.
    pub fn new(plan: &Plan) -> Result<Load, String> {
        Ok(Load {
            certificate: Certificate::generate()?,
            endpoints: Vec::new(),
            publishers: Vec::new(),
            publishing: 0,
            sockets: Sockets::new()?,
            epoch: sockets::clock(),
            is_meeting: false,
            only_checks: None,
            feedbacks: VecDeque::new(),
            rtcp: Vec::new(),
            sample: plan.sample,
            bind: plan.bind,
            pid: plan.pid,
            congestion: plan.congestion,
            subscribers: plan.subscribers,
            unreadable: 0,
            astray: 0,
            latencies: Vec::new(),
            late: Vec::new(),
            bytes_per_subscriber: 0,
        })
    }

    /// Connects all subscribers of the publishers' tracks.
    pub fn subscribe_to_all(
        &mut self,
        api: &Api,
        publishers: &[String],
        plan: &Plan,
    ) -> Result<(), String> {
        for publisher in publishers {
            self.subscribe(api, publisher, plan.subscribers, plan.media, plan.offers)?;
        }
        self.run(SETTLE)?;
        for publisher in &mut self.publishers {
            publisher.idle_interval = SILENT_INTERVAL;
        }
        Ok(())
    }

    /// Another session that publishes a track of each of these kinds, named after it, connected; gives its ID. Subscribers
    /// may be added only after all of them.
    pub fn publish(&mut self, api: &Api, media: &[Media]) -> Result<String, String> {
        let session = api.new_session()?;
        let (index, first) = (self.endpoints.len(), self.publishers.len());
        let tracks = (first..).zip(MIDS).zip(media);
        let tracks = tracks.map(|((track, mid), &media)| Publisher::new(track, index, mid, media));
        self.publishers.extend(tracks);
        self.add_endpoint()?;
        self.publishing += 1;
        let sending = self.sending(index);
        let fingerprint = self.certificate.sha256();
        let offer = sdp::offer(&self.endpoints[index].own(&fingerprint), &sending);
        let names: Vec<_> = (sending.iter())
            .map(|line| (line.mid, line.kind.name()))
            .collect();
        let answer = sdp::read(&api.push(&session, &offer, &names)?)?;
        self.begin(index, &answer, true);
        self.finish(index)?;
        Ok(session)
    }

    /// The m-lines with which an endpoint publishes.
    pub fn sending(&self, index: usize) -> Vec<sdp::Sending<'static>> {
        let tracks = self.publishers.iter();
        let tracks = tracks.filter(|track| track.endpoint == index);
        let repeats = self.is_meeting;
        tracks
            .map(|track| sdp::Sending {
                repeats,
                ..track.sending()
            })
            .collect()
    }

    /// The index of the first endpoint that receives media.
    pub fn first_receiver(&self) -> usize {
        if self.is_meeting { 0 } else { self.publishing }
    }

    pub fn add_endpoint(&mut self) -> Result<&mut Endpoint, String> {
        let index = self.endpoints.len();
        let endpoint = Endpoint::new(self.bind, index).map_err(text)?;
        self.sockets.add(&endpoint.socket, index)?;
        self.endpoints.push(endpoint);
        Ok(&mut self.endpoints[index])
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
        self.run_until(Instant::now() + time)
    }

    pub fn run_until(&mut self, end: Instant) -> Result<(), String> {
        turns(end, || self.turn())
    }

    pub fn turn(&mut self) -> Result<(), String> {
        let frames = self.publishers.iter().map(Publisher::next_frame);
        let next_feedback = self.feedbacks.front().map(|&(due, _)| due);
        let wait = (frames.chain(next_feedback).min()).map_or(LONGEST_WAIT, |due| {
            due.saturating_duration_since(Instant::now())
        });
        for index in self.sockets.wait(wait.min(LONGEST_WAIT))? {
            self.receive(index)?;
        }
        let now = Instant::now();
        for publisher in &mut self.publishers {
            let endpoint = &self.endpoints[publisher.endpoint];
            let late = publisher.drive(endpoint, now).map_err(text)?;
            if publisher.is_active {
                self.late.extend(late.map(|late| late.as_micros() as u32));
            }
        }
        self.feed_back_what_is_due(now)
    }

    fn feed_back_what_is_due(&mut self, now: Instant) -> Result<(), String> {
        while let Some(&(due, index)) = self.feedbacks.front().filter(|(due, _)| *due <= now) {
            self.feedbacks.pop_front();
            let interval = self.only_checks.unwrap_or(FEEDBACK_INTERVAL);
            // Those that are late keep their distance: they would stay in step for ever.
            let next = due + interval;
            let next = if next > now { next } else { now + interval };
            self.feedbacks.push_back((next, index));
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
        let (now, read_at) = (Instant::now(), sockets::clock());
        let is_publisher = index < self.publishing;
        let is_receiver = index >= self.first_receiver();
        let endpoint = &mut self.endpoints[index];
        let socket = endpoint.socket.clone();
        let receiver = &mut self.sockets.receiver;
        let taken = receiver.receive_stamped(&socket, |source, datagram, stamp| {
            let at = stamp.unwrap_or(read_at);
            match classify(datagram) {
                DatagramKind::Rtp if is_receiver => {
                    let Ok(header) = Header::parse(datagram) else {
                        self.unreadable += 1;
                        return;
                    };
                    let at_us = at.saturating_sub(self.epoch).as_micros() as u64;
                    let is_media = endpoint.arrived(&header, datagram, at_us);
                    if is_media && endpoint.packets.is_multiple_of(self.sample) {
                        match read_stamp(endpoint, &header, datagram) {
                            Some((encoding, sent)) => {
                                let latency = at.saturating_sub(sent).as_micros() as u32;
                                self.latencies.push(latency);
                                self.astray += u64::from(encoding != endpoint.encoding);
                            }
                            None => self.unreadable += 1,
                        }
                    }
                }
                DatagramKind::Rtcp if is_publisher => {
                    endpoint.key_frames_wanted(datagram, |ssrc| {
                        let tracks = self.publishers.iter_mut();
                        let own = tracks.filter(|track| track.endpoint == index);
                        own.for_each(|track| track.want_key_frame(ssrc));
                    })
                }
                DatagramKind::Stun => endpoint.take_stun(datagram, source),
                DatagramKind::Dtls => endpoint.take_dtls(&self.certificate, now, datagram),
                _ => {}
            }
        });
        taken.map(drop).map_err(text)
    }
}

/// Which encoding a packet of media is of, and when it left; none where it cannot be read.
fn read_stamp(
    endpoint: &mut Endpoint,
    header: &Header,
    datagram: &mut [u8],
) -> Option<(usize, Duration)> {
    let receiver = endpoint.receiver.as_mut()?;
    let length = receiver.unprotect_rtp(datagram, header).ok()?;
    publisher::read_stamp(&datagram[header.header_len..length])
}
