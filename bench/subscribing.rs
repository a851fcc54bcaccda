//! Many subscribers at once: the API is asked by several threads, while the one thread of all endpoints connects them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use crate::api::Api;
use crate::load::{CONNECT_TIMEOUT, Load};
use crate::publisher::Media;
use crate::sdp::{self, Described, Kind, Own};
use crate::sockets::text;

/// Sessions that are being made at once.
const THREADS: usize = 8;
/// Handshakes under way at once.
const CONNECTING: usize = 32;

/// An endpoint, by its index, that wants a session: its user name, its address and the encoding that it wants.
type Job = (usize, String, SocketAddr, usize);
type Made = (usize, Result<Described, String>);

impl Load {
    /// Connects so many sessions that pull a publisher's track, which is of this kind. Of several encodings they ask for each
    /// by turns. `offers`: the offer is theirs.
    pub fn subscribe(
        &mut self,
        api: &Api,
        publisher: &str,
        count: usize,
        media: Media,
        offers: bool,
    ) -> Result<(), String> {
        let fingerprint = self.certificate.sha256();
        let (jobs, taken) = mpsc::channel::<Job>();
        let (tell, made) = mpsc::channel::<Made>();
        let taken = Arc::new(Mutex::new(taken));
        let congestion = self.congestion;
        thread::scope(|scope| {
            // A server that takes offers is another SFU, which need not take several at once.
            let threads = if offers { 1 } else { THREADS };
            for _ in 0..threads.min(count) {
                let (taken, tell) = (taken.clone(), tell.clone());
                let (api, fingerprint) = (api.clone(), &fingerprint);
                scope.spawn(move || {
                    while let Some((index, ufrag, address, encoding)) = next(&taken) {
                        let own = Own::new(&ufrag, fingerprint, address);
                        let pull = Pull {
                            publisher,
                            kind: media.kind(),
                            rid: media.rids().get(encoding).copied(),
                            offers,
                            congestion,
                        };
                        let made = pull.by(&api, &own);
                        if tell.send((index, made)).is_err() {
                            return;
                        }
                    }
                });
            }
            // Ends the threads on every way out.
            self.connect_all(jobs, &made, count, media.encodings(), offers)
        })
    }

    fn connect_all(
        &mut self,
        jobs: mpsc::Sender<Job>,
        made: &mpsc::Receiver<Made>,
        count: usize,
        encodings: usize,
        offered: bool,
    ) -> Result<(), String> {
        let (mut asked, mut connected) = (0, 0);
        let mut connecting: Vec<usize> = Vec::new();
        let mut deadline = Instant::now() + CONNECT_TIMEOUT;
        while connected < count {
            while asked < count && asked - connected < CONNECTING {
                let index = self.endpoints.len();
                let encoding = asked % encodings;
                let endpoint = self.add_endpoint()?;
                endpoint.encoding = encoding;
                let job = (index, endpoint.ufrag.clone(), endpoint.address, encoding);
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

/// What a subscriber asks for.
struct Pull<'a> {
    publisher: &'a str,
    kind: Kind,
    rid: Option<&'a str>,
    offers: bool,
    congestion: bool,
}

impl Pull<'_> {
    /// In a new session.
    fn by(&self, api: &Api, own: &Own<'_>) -> Result<Described, String> {
        let session = api.new_session()?;
        let offer = (self.offers).then(|| sdp::offer_to_receive(own, self.kind, self.congestion));
        let (name, offer) = (self.kind.name(), offer.as_deref());
        let sdp = api.pull(&session, self.publisher, name, self.rid, offer)?;
        let mut described = sdp::read(&sdp)?;
        if !self.congestion {
            described.refuse_congestion_control();
        }
        if offer.is_none() {
            api.renegotiate(&session, &sdp::answer(own, &described))?;
        }
        Ok(described)
    }
}
