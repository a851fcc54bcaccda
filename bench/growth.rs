//! What grows with the number of participants of a meeting, and with the number of sessions that do nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::{Api, MAX_TRACKS};
use crate::arguments::Plan;
use crate::figures::round;
use crate::load::{Load, SETTLE};
use crate::measuring::{CLIMB, WARM_UP, Window};
use crate::process;
use crate::publisher::Media;
use crate::sdp;

/// Long enough not to disturb, short enough that the track is not collected.
const IDLE_FRAME: Duration = Duration::from_secs(10);
/// How often a client that keeps its path alive checks it: never, as RFC 7675 section 5.1 says, and as Chromium does.
const CHECKS: [(&str, Duration); 3] = [
    ("never", Duration::from_secs(3600)),
    ("5 s", Duration::from_secs(5)),
    ("2.5 s", Duration::from_millis(2500)),
];

/// A meeting of `plan.subscribers` participants: each publishes audio, or audio and video, and pulls everybody else's, in
/// one session.
pub fn meeting(plan: &Plan) -> Result<(), String> {
    let api = Api::new(plan);
    let mut load = Load::new(plan)?;
    load.is_meeting = true;
    let before = process::resident_bytes(plan.pid)?;
    let participants = plan.subscribers;
    let media = match plan.media {
        Media::Audio { .. } => vec![plan.media],
        Media::Video { .. } => {
            let interval = plan.interval;
            vec![Media::Audio { interval }, plan.media]
        }
    };
    let sessions = (0..participants)
        .map(|_| load.publish(&api, &media))
        .collect::<Result<Vec<_>, _>>()?;
    load.run(SETTLE)?;
    let fingerprint = load.certificate.sha256();
    for (index, session) in sessions.iter().enumerate() {
        let others = sessions.iter().filter(|&other| other != session);
        let tracks: Vec<(&str, &str)> = others
            .flat_map(|other| media.iter().map(move |one| (&**other, one.kind().name())))
            .collect();
        for tracks in tracks.chunks(MAX_TRACKS) {
            let offer = api.pull_all(session, tracks)?;
            load.endpoints[index].expect(&sdp::read(&offer)?);
            let own = load.endpoints[index].own(&fingerprint);
            let answer = sdp::answer_all(&own, &offer, &load.sending(index));
            api.renegotiate(session, &answer)?;
            // The publishers' packets must not stop for long.
            load.turn()?;
        }
    }
    load.subscribers = participants - 1;
    load.run(SETTLE)?;
    let grown = process::resident_bytes(plan.pid)?.saturating_sub(before);
    load.bytes_per_subscriber = grown / participants as u64;
    let tracks = load.publishers.len();
    let warm_up = if media.len() > 1 { CLIMB } else { WARM_UP };
    let window = Window::after(warm_up, plan.seconds);
    let mut line = load.measure(tracks, window)?.json();
    line["participants"] = participants.into();
    line["intervalMs"] = plan.interval.into();
    if let Media::Video { bits, fps, .. } = plan.media {
        line["videoBits"] = bits.into();
        line["videoFps"] = fps.into();
    }
    println!("{line}");
    Ok(())
}

/// Sessions that are connected and hold a track of a publisher that is muted: more and more of them.
pub fn idle(plan: &Plan, sizes: &[usize]) -> Result<(), String> {
    let control = plan.control_pid.ok_or("--control-pid is missing")?;
    let api = Api::new(plan);
    let mut load = Load::new(plan)?;
    load.only_checks = Some(Duration::from_secs(5));
    let media = Media::Video {
        bits: 500_000,
        fps: 30,
        simulcast: false,
    };
    let publisher = load.publish(&api, &[media])?;
    load.run(SETTLE)?;
    load.publishers[0].idle_interval = IDLE_FRAME;
    let begun = Instant::now();
    for &size in sizes {
        let more = (size + 1).saturating_sub(load.endpoints.len());
        load.subscribe(&api, &publisher, more, media, false)?;
        for (checks, interval) in CHECKS {
            load.only_checks = Some(interval);
            load.spread_checks(interval);
            let time = Duration::from_secs(plan.seconds);
            // What everybody waits for comes now, and is fed back, so that nothing is left to wait for.
            load.publishers[0].pause(Instant::now(), Duration::ZERO);
            load.run(SETTLE)?;
            load.publishers[0].pause(Instant::now(), IDLE_FRAME + time);
            load.feed_back_all()?;
            load.run(SETTLE)?;
            let cpu = || Ok::<_, String>((process::cpu(plan.pid)?, process::cpu(control)?));
            let (engine, controls) = cpu()?;
            let start = Instant::now();
            load.run(time)?;
            let (engine_end, control_end) = cpu()?;
            let elapsed = start.elapsed().as_secs_f64();
            let percent = |seconds: f64| round(seconds / elapsed * 100.0, 100.0);
            let megabytes = |pid| process::resident_bytes(pid).map(|bytes| bytes >> 20);
            println!(
                "{}",
                json!({
                    "sessions": size,
                    "checksEvery": checks,
                    "engineMB": megabytes(plan.pid)?,
                    "controlMB": megabytes(control)?,
                    "engineCorePercent": percent((engine_end - engine).all()),
                    "controlCorePercent": percent((control_end - controls).all()),
                    "connectedAfterSeconds": begun.elapsed().as_secs(),
                })
            );
        }
        load.only_checks = Some(Duration::from_secs(5));
        load.spread_checks(Duration::from_secs(5));
    }
    Ok(())
}
