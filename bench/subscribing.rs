//! Many subscribers at once: the API is asked by several threads, while the one thread of all endpoints connects them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use crate::api::Api;
use crate::load::{CONNECT_TIMEOUT, Load, TRACK};
use crate::publisher::Media;
use crate::sdp::{self, Described, Own};
use crate::sockets::text;

/// Sessions that are being made at once.
const THREADS: usize = 8;
/// Handshakes under way at once.
const CONNECTING: usize = 32;

/// An endpoint, by its index, that wants a session: its user name and address.
type Job = (usize, String, SocketAddr);
type Made = (usize, Result<Described, String>);

impl Load {
    /// Connects so many sessions that pull a publisher's track; `offers` what to receive, where the offer is theirs.
    pub fn subscribe(
        &mut self,
        api: &Api,
        publisher: &str,
        count: usize,
        offers: Option<Media>,
    ) -> Result<(), String> {
        let fingerprint = self.certificate.sha256();
        let (jobs, taken) = mpsc::channel::<Job>();
        let (tell, made) = mpsc::channel::<Made>();
        let taken = Arc::new(Mutex::new(taken));
        let congestion = self.congestion;
        thread::scope(|scope| {
            // A server that takes offers is another SFU, which need not take several at once.
            let threads = if offers.is_some() { 1 } else { THREADS };
            for _ in 0..threads.min(count) {
                let (taken, tell) = (taken.clone(), tell.clone());
                let (api, fingerprint) = (api.clone(), &fingerprint);
                scope.spawn(move || {
                    while let Some((index, ufrag, address)) = next(&taken) {
                        let own = Own::new(&ufrag, fingerprint, address);
                        let made = pull(&api, publisher, &own, offers, congestion);
                        if tell.send((index, made)).is_err() {
                            return;
                        }
                    }
                });
            }
            // Ends the threads on every way out.
            self.connect_all(jobs, &made, count, offers.is_some())
        })
    }

    fn connect_all(
        &mut self,
        jobs: mpsc::Sender<Job>,
        made: &mpsc::Receiver<Made>,
        count: usize,
        offered: bool,
    ) -> Result<(), String> {
        let (mut asked, mut connected) = (0, 0);
        let mut connecting: Vec<usize> = Vec::new();
        let mut deadline = Instant::now() + CONNECT_TIMEOUT;
        while connected < count {
            while asked < count && asked - connected < CONNECTING {
                let index = self.endpoints.len();
                let endpoint = self.add_endpoint()?;
                let job = (index, endpoint.ufrag.clone(), endpoint.address);
                jobs.send(job).map_err(|error| error.to_string())?;
                asked += 1;
            }
            while let Ok((index, described)) = made.try_recv() {
                self.begin(index, &described?, offered);
                connecting.push(index);
            }
            self.turn()?;
            let now = Instant::now();
            let before = connected;
            for &index in &connecting {
                self.endpoints[index].drive(now).map_err(text)?;
            }
            connecting.retain(|&index| {
                let is_connected = self.endpoints[index].is_connected();
                connected += usize::from(is_connected);
                !is_connected
            });
            if connected > before {
                deadline = now + CONNECT_TIMEOUT;
            } else if now > deadline {
                return Err(format!("endpoints {connecting:?} did not connect"));
            }
        }
        Ok(())
    }
}

fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    jobs.lock().ok()?.recv().ok()
}

fn pull(
    api: &Api,
    publisher: &str,
    own: &Own<'_>,
    offers: Option<Media>,
    congestion: bool,
) -> Result<Described, String> {
    let session = api.new_session()?;
    let offer = offers.map(|media| sdp::offer_to_receive(own, media, congestion));
    let mut described = sdp::read(&api.pull(&session, publisher, TRACK, offer.as_deref())?)?;
    if !congestion {
        described.refuse_congestion_control();
    }
    if offer.is_none() {
        api.renegotiate(&session, &sdp::answer(own, &described))?;
    }
    Ok(described)
}
