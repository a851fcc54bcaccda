//! One measurement: what the endpoints of a thread see, and what the processes use meanwhile.

use std::io;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchyard_net as net;

use crate::endpoint::FEEDBACK_INTERVAL;
use crate::figures::{Figures, Part};
use crate::load::{Load, SETTLE};
use crate::process::{self, Counts, Cpu};
use crate::sockets::text;

/// Before a measurement. Viewers of a publisher that was silent have to find again what their way carries.
pub const WARM_UP: Duration = Duration::from_secs(2);
/// The same where there is less than all to choose from meanwhile: smaller encodings, or only some of many videos.
pub const CLIMB: Duration = Duration::from_secs(10);

/// From when to when, for all threads alike.
#[derive(Clone, Copy)]
pub struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    /// So long, once what begins now has had time to settle.
    pub fn after(warm_up: Duration, seconds: u64) -> Window {
        let start = Instant::now() + warm_up;
        let end = start + Duration::from_secs(seconds);
        Window { start, end }
    }
}

/// Of all publishers that send, those of one thread: every `step`th, from `first` on.
#[derive(Clone, Copy)]
pub struct Share {
    pub first: usize,
    pub step: usize,
    pub of: usize,
}

/// What both processes used.
pub struct Used {
    pub server: Cpu,
    pub generator: Cpu,
    pub seconds: f64,
    /// Where calls were looked at.
    pub counts: Option<Counts>,
}

/// What else is looked at in a window. Samples go to the file.
pub enum Look {
    None,
    Samples(String),
    /// Samples with the calls that led there, and counts: both cost the server more than a sample alone.
    Calls(String),
}

/// What perf is doing for a look.
#[derive(Default)]
struct Looking {
    samples: Option<Child>,
    counts: Option<Child>,
}

impl Looking {
    fn begin(look: &Look, pid: u32, time: Duration) -> Result<Looking, String> {
        Ok(match look {
            Look::None => Looking::default(),
            Look::Samples(file) => Looking {
                samples: Some(process::sample(pid, time, file)?),
                counts: None,
            },
            Look::Calls(file) => Looking {
                samples: Some(process::sample_calls(pid, time, file)?),
                counts: Some(process::count(pid, time)?),
            },
        })
    }

    fn end(self) -> Result<Option<Counts>, String> {
        self.samples.map(process::end_sampling).transpose()?;
        self.counts.map(process::end_counting).transpose()
    }
}

/// Looks at the processes from a thread of its own: the others are busy.
pub fn watch(pid: u32, window: Window, look: Look) -> JoinHandle<Result<Used, String>> {
    let sleep = |until: Instant| thread::sleep(until.saturating_duration_since(Instant::now()));
    let cpu = move || Ok::<_, String>((process::cpu(pid)?, process::cpu(std::process::id())?));
    thread::spawn(move || {
        sleep(window.start);
        let looking = Looking::begin(&look, pid, window.end - window.start)?;
        let (start, (server, generator)) = (Instant::now(), cpu()?);
        sleep(window.end);
        let (seconds, (server_end, generator_end)) = (start.elapsed().as_secs_f64(), cpu()?);
        let counts = looking.end()?;
        Ok(Used {
            server: server_end - server,
            generator: generator_end - generator,
            seconds,
            counts,
        })
    })
}

/// What it saw.
pub fn seen(watch: JoinHandle<Result<Used, String>>) -> Result<Used, String> {
    let result = watch.join();
    result.map_err(|_| "the thread that watches has failed")?
}

impl Load {
    /// Lets so many of the publishers send in the window, where no other thread has some.
    pub fn measure(&mut self, publishers: usize, window: Window) -> Result<Figures, String> {
        let watch = watch(self.pid, window, Look::None);
        let share = Share {
            first: 0,
            step: 1,
            of: publishers,
        };
        let part = self.take_part(share, window)?;
        Ok(Figures {
            publishers,
            subscribers: self.subscribers,
            encodings: 1,
            used: seen(watch)?,
            bytes_per_subscriber: self.bytes_per_subscriber,
            part,
        })
    }

    /// Lets its share of the publishers send, and sees what comes of it.
    pub fn take_part(&mut self, share: Share, window: Window) -> Result<Part, String> {
        self.begin_evenly(share);
        self.run_until(window.start)?;
        (self.unreadable, self.astray) = (0, 0);
        self.latencies.clear();
        self.late.clear();
        let dropped = self.dropped()?;
        let (expected, (received, repeated)) = (self.expected(), self.received());
        self.run_until(window.end)?;
        let expected = self.expected() - expected;
        let (latencies, late) = (self.latencies.split_off(0), self.late.split_off(0));
        // What was still on its way before is as much as what is still on its way now, where it flows.
        let (received_end, repeated_end) = self.received();
        for publisher in &mut self.publishers {
            publisher.is_active = false;
        }
        let (unreadable, astray) = (self.unreadable, self.astray);
        self.run(SETTLE)?;
        Ok(Part {
            expected,
            packets: received_end - received,
            repeated: repeated_end - repeated,
            dropped: self.dropped()? - dropped,
            unreadable,
            astray,
            latencies,
            late,
        })
    }

    /// Spreads the frames of all publishers evenly over the time between two frames, and all feedback likewise: who is
    /// independent of the others does not come in step with them.
    fn begin_evenly(&mut self, share: Share) {
        let now = Instant::now();
        let places = (share.first..share.of).step_by(share.step);
        for (publisher, place) in self.publishers.iter_mut().zip(places) {
            publisher.begin(now, place as u32, share.of as u32);
        }
        self.spread_checks(self.only_checks.unwrap_or(FEEDBACK_INTERVAL));
    }

    /// Messages that the kernel dropped at the endpoints' sockets.
    fn dropped(&self) -> Result<u64, String> {
        let counts = (self.endpoints.iter())
            .map(|endpoint| net::dropped_messages(&endpoint.socket).map(u64::from));
        counts.sum::<io::Result<u64>>().map_err(text)
    }

    /// Of what was sent so far, what subscribers are to have.
    fn expected(&self) -> u64 {
        let tracks = self.publishers.iter();
        tracks.map(|track| track.expected(self.subscribers)).sum()
    }

    /// Media, and what was repeated of it.
    fn received(&self) -> (u64, u64) {
        let first = self.first_receiver();
        let subscribers = &self.endpoints[first..];
        let counts = subscribers.iter().map(|one| (one.packets, one.repeated));
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
