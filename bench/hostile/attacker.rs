//! Two sessions that do not behave: one publishes to ten viewers, one subscribes to a track of those that are measured.

use std::time::{Duration, Instant};

use super::attack::{self, Attack, RED, Stream, ULPFEC};
use crate::api::Api;
use crate::arguments::Plan;
use crate::load::{Load, SETTLE};
use crate::publisher::{Media, Publisher};
use crate::sdp;
use crate::sockets::text;

/// Of an attack, in bytes a second of UDP payload.
const BYTES: u64 = 10_000_000 / 8;
/// Who also pays for what one packet costs.
const VIEWERS: usize = 10;
/// The track is kept with one.
const PICTURE_INTERVAL: Duration = Duration::from_secs(1);
/// After a pause, datagrams of so long are sent at once.
const LONGEST_BURST: Duration = Duration::from_millis(5);

/// Of the endpoints.
const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;

pub struct Attacker {
    load: Load,
    stream: Stream,
    next_picture: Instant,
    /// When the next datagram is due.
    due: Instant,
    datagrams: u64,
}

impl Attacker {
    pub fn connect(plan: &Plan, publisher: &str) -> Result<Attacker, String> {
        let api = Api::new(plan);
        let mut load = Load::new(plan)?;
        let session = publish(&mut load, &api)?;
        load.subscribe(&api, publisher, 1, plan.media, false)?;
        let media = Media::Video {
            bits: 100_000,
            fps: 10,
            simulcast: false,
        };
        load.subscribe(&api, &session, VIEWERS, media, false)?;
        load.run(SETTLE)?;
        // From now on it sends what the attacks are.
        load.publishers.clear();
        let now = Instant::now();
        Ok(Attacker {
            load,
            stream: Stream::default(),
            next_picture: now,
            due: now,
            datagrams: 0,
        })
    }

    /// Sends what is due of an attack, and what keeps the track.
    pub fn turn(&mut self, attack: Option<Attack>) -> Result<(), String> {
        self.load.turn()?;
        let now = Instant::now();
        if now >= self.next_picture {
            self.next_picture = now + PICTURE_INTERVAL;
            let sender = self.load.endpoints[PUBLISHER].sender.as_ref();
            let picture = sender.and_then(|sender| self.stream.picture(sender));
            self.send(PUBLISHER, picture.as_deref())?;
        }
        let Some(attack) = attack else {
            return Ok(());
        };
        self.due = self.due.max(now - LONGEST_BURST);
        while self.due <= now {
            let bytes = self.send_attack(attack)?;
            self.due += Duration::from_nanos(bytes * 1_000_000_000 / BYTES);
            self.datagrams += 1;
        }
        Ok(())
    }

    /// How many datagrams it had.
    pub fn end_attack(&mut self) -> u64 {
        std::mem::take(&mut self.datagrams)
    }

    /// Sends a datagram; its bytes.
    fn send_attack(&mut self, attack: Attack) -> Result<u64, String> {
        let index = if attack.is_media() {
            PUBLISHER
        } else {
            SUBSCRIBER
        };
        let endpoint = &mut self.load.endpoints[index];
        let ssrc = endpoint.media_ssrc();
        let datagram = match (attack, &mut endpoint.sender) {
            (Attack::Checks, _) => Some(endpoint.check_message()),
            (Attack::Records, _) => Some(attack::record(self.datagrams)),
            (attack, Some(sender)) if attack.is_media() => self.stream.attack(attack, sender),
            (attack, Some(sender)) => {
                let mut packet = attack::feedback(attack, ssrc);
                sender.protect_rtcp(&mut packet).map(|()| packet)
            }
            (_, None) => None,
        };
        self.send(index, datagram.as_deref())
    }

    fn send(&self, index: usize, datagram: Option<&[u8]>) -> Result<u64, String> {
        let datagram = datagram.ok_or("a datagram could not be made")?;
        match self.load.endpoints[index].send(datagram) {
            Ok(()) => {}
            // Its own socket is full: the attack is as large as it can be.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(text(error)),
        }
        Ok(datagram.len() as u64)
    }
}

/// A session with a video track that may be protected.
fn publish(load: &mut Load, api: &Api) -> Result<String, String> {
    let media = Media::Video {
        bits: 100_000,
        fps: 10,
        simulcast: false,
    };
    let session = api.new_session()?;
    load.add_endpoint()?;
    load.publishers
        .push(Publisher::new(0, PUBLISHER, sdp::MID, media));
    let sending = load.sending(PUBLISHER);
    let sending = sending.into_iter().map(|line| sdp::Sending {
        repeats: true,
        ..line
    });
    let fingerprint = load.certificate.sha256();
    let own = load.endpoints[PUBLISHER].own(&fingerprint);
    let offer = sdp::offer(&own, &sending.collect::<Vec<_>>());
    // What comes first is sent.
    let formats = format!("SAVPF {RED} {} {} {ULPFEC}\r\n", attack::VP8, attack::RTX);
    let plain = format!("SAVPF {} {}\r\n", attack::VP8, attack::RTX);
    let protected = format!("a=rtpmap:{RED} red/90000\r\na=rtpmap:{ULPFEC} ulpfec/90000\r\n");
    let offer = offer.replace(&plain, &formats) + &protected;
    let answer = sdp::read(&api.push(&session, &offer, &[(sdp::MID, media.kind().name())])?)?;
    load.begin(PUBLISHER, &answer, true);
    load.finish(PUBLISHER)?;
    Ok(session)
}
