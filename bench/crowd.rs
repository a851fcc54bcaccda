//! For the network laboratory: endpoints that need no core each, as a browser does. They run until standard
//! input ends.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use switchyard_engine::dtls::Certificate;
use switchyard_engine::wire::demux::{DatagramKind, classify};
use switchyard_engine::wire::rtp::Header;

use crate::api::Api;
use crate::endpoint::{Endpoint, FEEDBACK_INTERVAL};
use crate::room::{self, Stream};
use crate::sdp;
use crate::sockets::{Sockets, text};

pub const USAGE: &str = "\
       switchyard-bench watch --base URL --app ID --secret SECRET --track SESSION/NAME --count N
                   N sessions pull the track; each second a line tells what they got
       switchyard-bench room --base URL --app ID --secret SECRET --count N --bits A,B,C
                   N participants publish audio and a video of encodings of so many bit/s, the best one
                   first; a line names the tracks";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What one subscriber saw since the last line.
#[derive(Default)]
struct Seen {
    packets: u64,
    missing: i64,
    /// Of the media: the first one that comes. Others are padding.
    ssrc: Option<u32>,
    last: Option<(u16, Instant)>,
    pause: Duration,
}

impl Seen {
    fn packet(&mut self, ssrc: u32, sequence_number: u16, now: Instant) {
        if *self.ssrc.get_or_insert(ssrc) != ssrc {
            return;
        }
        self.packets += 1;
        if let Some((last, at)) = self.last {
            self.pause = self.pause.max(now - at);
            match sequence_number.wrapping_sub(last) {
                ahead @ 1..0x8000 => self.missing += i64::from(ahead) - 1,
                // It was counted when a later one came.
                _ => {
                    self.missing -= 1;
                    return;
                }
            }
        }
        self.last = Some((sequence_number, now));
    }
}

struct Member {
    endpoint: Endpoint,
    streams: Vec<Stream>,
    seen: Seen,
}

pub struct Crowd {
    api: Api,
    certificate: Certificate,
    members: Vec<Member>,
    sockets: Sockets,
    feedbacks: VecDeque<(Instant, usize)>,
    rtcp: Vec<u8>,
    started: Instant,
}

/// Runs `watch` or `room`.
pub fn run(kind: &str, mut given: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut base, mut app, mut secret) = Default::default();
    let (mut track, mut count, mut bits) = Default::default();
    while let Some(name) = given.next() {
        let place: &mut Option<String> = match name.as_str() {
            "--base" => &mut base,
            "--app" => &mut app,
            "--secret" => &mut secret,
            "--track" => &mut track,
            "--count" => &mut count,
            "--bits" => &mut bits,
            _ => return Err(format!("cannot use {name}")),
        };
        *place = given.next();
    }
    let api = Api {
        base: base.ok_or("--base is missing")?,
        app: app.ok_or("--app is missing")?,
        secret: secret.ok_or("--secret is missing")?,
        agent: ureq::Agent::new_with_defaults(),
    };
    let count: usize = count
        .and_then(|count| count.parse().ok())
        .ok_or("--count is missing")?;
    let mut crowd = Crowd::new(api)?;
    if kind == "room" {
        let bits: Result<Vec<u64>, _> = bits
            .unwrap_or_default()
            .split(',')
            .map(str::parse)
            .collect();
        let fits = |bits: &Vec<u64>| bits.len() <= room::MAX_ENCODINGS;
        let bits = bits.ok().filter(fits).ok_or("--bits is no short list")?;
        crowd.publish(count, &bits)?;
    } else {
        let track = track.ok_or("--track is missing")?;
        let (session, name) = track.split_once('/').ok_or("--track lacks a slash")?;
        crowd.watch(session, name, count)?;
    }
    crowd.run()
}

impl Crowd {
    fn new(api: Api) -> Result<Crowd, String> {
        Ok(Crowd {
            api,
            certificate: Certificate::generate()?,
            members: Vec::new(),
            sockets: Sockets::new()?,
            feedbacks: VecDeque::new(),
            rtcp: Vec::new(),
            started: Instant::now(),
        })
    }

    fn watch(&mut self, publisher: &str, name: &str, count: usize) -> Result<(), String> {
        let fingerprint = self.certificate.sha256();
        for _ in 0..count {
            let session = self.api.new_session()?;
            let offered = sdp::read(&self.api.pull(&session, publisher, name, None, None)?)?;
            let endpoint = self.add_endpoint(Vec::new())?;
            let answer = sdp::answer(&endpoint.own(&fingerprint), &offered);
            self.api.renegotiate(&session, &answer)?;
            self.begin(&offered, false)?;
        }
        println!("{}", json!({ "watching": count }));
        Ok(())
    }

    /// A session for each medium, as a session has one m-line here.
    fn publish(&mut self, count: usize, bits: &[u64]) -> Result<(), String> {
        let fingerprint = self.certificate.sha256();
        let mut tracks = Vec::new();
        for participant in 0..count as u32 {
            for (name, streams) in room::tracks(participant, bits, Instant::now()) {
                let session = self.api.new_session()?;
                let endpoint = self.add_endpoint(streams)?;
                let offer = room::offer(&endpoint.own(&fingerprint), name, participant, bits.len());
                let answer = sdp::read(&self.api.push(&session, &offer, &[(sdp::MID, name)])?)?;
                self.begin(&answer, true)?;
                tracks.push(json!({ "sessionId": session, "trackName": name }));
            }
        }
        println!("{}", json!({ "tracks": tracks }));
        Ok(())
    }

    fn add_endpoint(&mut self, streams: Vec<Stream>) -> Result<&Endpoint, String> {
        let index = self.members.len();
        let endpoint = Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), index).map_err(text)?;
        self.sockets.add(&endpoint.socket, index)?;
        self.members.push(Member {
            endpoint,
            streams,
            seen: Seen::default(),
        });
        Ok(&self.members[index].endpoint)
    }

    /// Connects the newest endpoint while the others go on.
    fn begin(&mut self, described: &sdp::Described, offered: bool) -> Result<(), String> {
        let index = self.members.len() - 1;
        let certificate = &self.certificate;
        let endpoint = &mut self.members[index].endpoint;
        endpoint.connect(certificate, described, offered);
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !self.members[index].endpoint.is_connected() {
            if Instant::now() > deadline {
                return Err(format!("endpoint {index} did not connect"));
            }
            let endpoint = &mut self.members[index].endpoint;
            endpoint.drive(Instant::now()).map_err(text)?;
            self.turn()?;
        }
        let first = Instant::now() + FEEDBACK_INTERVAL;
        self.feedbacks.push_back((first, index));
        Ok(())
    }

    fn run(&mut self) -> Result<(), String> {
        let ended = input_end();
        let start = Instant::now();
        let mut next_report = start;
        while !ended.load(Ordering::Relaxed) {
            self.turn()?;
            if Instant::now() >= next_report {
                next_report += REPORT_INTERVAL;
                self.report(start.elapsed());
            }
        }
        Ok(())
    }

    /// The worst of the members counts.
    fn report(&mut self, time: Duration) {
        let seen: Vec<Seen> = (self.members.iter_mut())
            .map(|member| {
                let Seen { ssrc, last, .. } = member.seen;
                let next = Seen {
                    ssrc,
                    last,
                    ..Seen::default()
                };
                std::mem::replace(&mut member.seen, next)
            })
            .collect();
        let line = json!({
            "time": time.as_secs_f64(),
            "packets": seen.iter().map(|seen| seen.packets).sum::<u64>(),
            "fewest": seen.iter().map(|seen| seen.packets).min(),
            "missing": seen.iter().map(|seen| seen.missing).sum::<i64>(),
            "pauseMs": seen.iter().map(|seen| seen.pause.as_millis() as u64).max(),
        });
        println!("{line}");
    }

    fn turn(&mut self) -> Result<(), String> {
        for index in self.sockets.wait(Duration::from_millis(2))? {
            self.receive(index)?;
        }
        let now = Instant::now();
        for member in &mut self.members {
            for stream in &mut member.streams {
                stream.drive(&member.endpoint, now).map_err(text)?;
            }
        }
        while let Some(&(_, index)) = self.feedbacks.front().filter(|(due, _)| *due <= now) {
            self.feedbacks.pop_front();
            self.feedbacks.push_back((now + FEEDBACK_INTERVAL, index));
            let endpoint = &mut self.members[index].endpoint;
            endpoint.feed_back(&mut self.rtcp).map_err(text)?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<(), String> {
        let now = Instant::now();
        let at_us = (now - self.started).as_micros() as u64;
        let Member {
            endpoint,
            streams,
            seen,
        } = &mut self.members[index];
        let socket = endpoint.socket.clone();
        let certificate = &self.certificate;
        let taken =
            self.sockets
                .receiver
                .receive(&socket, |source, datagram| match classify(datagram) {
                    DatagramKind::Rtp => {
                        let Ok(header) = Header::parse(datagram) else {
                            return;
                        };
                        endpoint.arrived(&header, datagram, at_us);
                        seen.packet(header.ssrc, header.sequence_number, now);
                    }
                    DatagramKind::Rtcp => endpoint.key_frames_wanted(datagram, |ssrc| {
                        let asked = streams.iter_mut().filter(|stream| stream.ssrc == ssrc);
                        asked.for_each(Stream::want_key_frame);
                    }),
                    DatagramKind::Stun => endpoint.take_stun(datagram, source),
                    DatagramKind::Dtls => endpoint.take_dtls(certificate, now, datagram),
                    _ => {}
                });
        taken.map(drop).map_err(text)
    }
}

/// Becomes true when standard input ends.
fn input_end() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let seen = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        seen.store(true, Ordering::Relaxed);
    });
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_how_long_nothing_came() {
        let mut now = Instant::now();
        let mut seen = Seen::default();
        for number in [65_534, 65_535, 2, 0, 3] {
            seen.packet(7, number, now);
            seen.packet(8, 500, now);
            now += Duration::from_millis(u64::from(number == 2) * 40 + 10);
        }
        assert_eq!((seen.packets, seen.missing), (5, 1), "number 1");
        assert_eq!(seen.pause, Duration::from_millis(60));
    }
}
