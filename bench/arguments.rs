//! What to run, from the command line.

use std::net::{IpAddr, Ipv4Addr};

use crate::publisher::Media;

pub const USAGE: &str = "\
usage: switchyard-bench --base URL --app ID --secret SECRET --pid PID [options]
       switchyard-bench --limit [--seconds N]

Prints a line of JSON for each measurement.

  --pid N          the server's process: its CPU and memory are measured
  --publishers N   sessions that publish one track each (1)
  --subscribers N  sessions that pull each of these tracks (50)
  --media KIND     video or audio (video)
  --bits N         bits a second of a video track (2500000)
  --fps N          frames a second of it (30)
  --interval N     milliseconds of an audio packet (20)
  --simulcast K    on: each publishes three encodings, of all, a quarter and a sixteenth of the bits, and of its
                   subscribers each asks for one of them, by turns; ends with an error where they get another one (off)
  --seconds N      of each measurement (10)
  --sample N       decrypt every Nth packet of a subscriber, and take its latency (1)
  --bind IP        the address of publishers and subscribers (127.0.0.1)
  --congestion K   on: subscribers take congestion control, off: their answers refuse it (on)
  --profile FILE   samples of the server's process while it is measured, by perf
  --calls FILE     after the last measurement another one of the same load, without CPU figures: samples with the calls that
                   led there, and counts of system calls and context switches
  --threads N      of the load, which its publishers are shared out over with their subscribers (1)
  --offers         subscribers send the offer (the server does)
  --search         find how many of the publishers can send before packets are lost or late,
                   then measure 10, 50 and 90 % of that
  --datachannels   instead: messages of one publisher to more and more subscribers, and some that stop reading
  --hostile        instead: latency of this load alone, and while a session of somebody else sends 10 Mbit/s of the
                   worst input, each kind by itself
  --meeting        instead: --subscribers participants, who publish audio, with --media video both, and pull
                   everybody else's, in one session each
  --idle N,N       instead: sessions that hold a track of a muted publisher, first so many, then so many
  --control-pid N  control's process: its memory and CPU count for idle sessions
  --limit          instead: how fast this machine encrypts and sends with no server around it";

/// A run.
#[derive(Clone)]
pub struct Plan {
    pub base: String,
    pub app: String,
    pub secret: String,
    pub pid: u32,
    pub publishers: usize,
    pub subscribers: usize,
    pub media: Media,
    pub seconds: u64,
    pub sample: u64,
    pub search: bool,
    /// Where publishers and subscribers have their sockets.
    pub bind: IpAddr,
    /// Subscribers take transport-wide feedback.
    pub congestion: bool,
    /// Threads that the endpoints are shared out over, by publishers.
    pub threads: usize,
    /// Where samples of the server go.
    pub profile: Option<String>,
    /// Where samples with calls go, of a window of their own.
    pub calls: Option<String>,
    /// Subscribers offer, not the server.
    pub offers: bool,
    /// Of an audio packet, in milliseconds.
    pub interval: u32,
    pub control_pid: Option<u32>,
}

pub enum Arguments {
    Run(Plan),
    DataChannels(Plan),
    Meeting(Plan),
    Hostile(Plan),
    Idle(Plan, Vec<usize>),
    Limit { seconds: u64 },
}

pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut base, mut app, mut secret, mut pid) = (None, None, None, None);
    let (mut publishers, mut subscribers, mut seconds, mut sample) = (1, 50, 10, 1);
    let (mut bits, mut audio, mut search, mut limit) = (2_500_000, false, false, false);
    let (mut fps, mut simulcast) = (30, false);
    let (mut offers, mut congestion) = (false, true);
    let mut bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut interval, mut control_pid) = (20, None);
    let mut idle = Vec::new();
    let (mut profile, mut calls, mut threads) = (None, None, 1);
    let mut run: fn(Plan) -> Arguments = Arguments::Run;
    while let Some(name) = given.next() {
        match name.as_str() {
            "--search" => search = true,
            "--limit" => limit = true,
            "--offers" => offers = true,
            "--datachannels" => run = Arguments::DataChannels,
            "--hostile" => run = Arguments::Hostile,
            "--meeting" => run = Arguments::Meeting,
            _ => {
                let value = given.next().ok_or(format!("{name} needs a value"))?;
                match name.as_str() {
                    "--base" => base = Some(value),
                    "--app" => app = Some(value),
                    "--secret" => secret = Some(value),
                    "--pid" => pid = Some(number(&value)? as u32),
                    "--control-pid" => control_pid = Some(number(&value)? as u32),
                    "--interval" => interval = number(&value)?.clamp(1, 120) as u32,
                    "--publishers" => publishers = number(&value)? as usize,
                    "--subscribers" => subscribers = number(&value)? as usize,
                    "--seconds" => seconds = number(&value)?,
                    "--sample" => sample = number(&value)?.max(1),
                    "--bind" => {
                        bind = value
                            .parse()
                            .map_err(|_| format!("no IP address: {value}"))?
                    }
                    "--idle" => idle = numbers(&value)?,
                    "--congestion" if value == "on" => congestion = true,
                    "--congestion" if value == "off" => congestion = false,
                    "--threads" => threads = number(&value)? as usize,
                    "--profile" => profile = Some(value),
                    "--calls" => calls = Some(value),
                    "--bits" => bits = number(&value)?,
                    "--fps" => fps = number(&value)?.clamp(1, 90) as u32,
                    "--simulcast" if value == "on" => simulcast = true,
                    "--simulcast" if value == "off" => simulcast = false,
                    "--media" if value == "audio" => audio = true,
                    "--media" if value == "video" => audio = false,
                    _ => return Err(format!("cannot use {name} {value}")),
                }
            }
        }
    }
    if simulcast && (audio || sample > u64::from(fps)) {
        // Subscribers of the least encoding have a packet a frame.
        return Err("--simulcast is of video, and needs a --sample each second".into());
    }
    if limit {
        return Ok(Arguments::Limit { seconds });
    }
    let plan = Plan {
        base: base.ok_or("--base is missing")?,
        app: app.ok_or("--app is missing")?,
        secret: secret.ok_or("--secret is missing")?,
        pid: pid.ok_or("--pid is missing")?,
        publishers,
        subscribers,
        media: if audio {
            Media::Audio { interval }
        } else {
            Media::Video {
                bits,
                fps,
                simulcast,
            }
        },
        seconds,
        sample,
        search,
        bind,
        congestion,
        threads,
        profile,
        calls,
        offers,
        interval,
        control_pid,
    };
    Ok(if idle.is_empty() {
        run(plan)
    } else {
        Arguments::Idle(plan, idle)
    })
}

fn numbers(text: &str) -> Result<Vec<usize>, String> {
    let numbers = text.split(',');
    numbers.map(|text| Ok(number(text)? as usize)).collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}
