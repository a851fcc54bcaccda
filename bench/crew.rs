//! A load of several threads: each has publishers of its own and all their subscribers.

use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use crate::api::Api;
use crate::arguments::Plan;
use crate::figures::{Figures, Part};
use crate::load::{Load, SETTLE};
use crate::measuring::{CLIMB, Look, Share, WARM_UP, Window, seen, watch};
use crate::process;

enum Job {
    Subscribe,
    Measure(Share, Window),
}

/// A thread.
struct Member {
    jobs: Sender<Job>,
    /// One for each job, and one before all, once its publishers are connected.
    done: Receiver<Result<Part, String>>,
}

pub struct Crew {
    members: Vec<Member>,
    pid: u32,
    subscribers: usize,
    encodings: usize,
    samples: Option<String>,
    bytes_per_subscriber: u64,
}

impl Crew {
    /// Publishes and subscribes through the API, and waits until media can flow everywhere.
    pub fn connect(plan: &Plan) -> Result<Crew, String> {
        let threads = plan.threads.clamp(1, plan.publishers.max(1));
        let members = (0..threads).map(|first| {
            let publishers = (first..plan.publishers).step_by(threads).len();
            Member::start(plan.clone(), publishers)
        });
        let mut crew = Crew {
            members: members.collect(),
            pid: plan.pid,
            subscribers: plan.subscribers,
            encodings: plan.media.encodings(),
            samples: plan.profile.clone(),
            bytes_per_subscriber: 0,
        };
        crew.wait()?;
        let before = process::resident_bytes(plan.pid)?;
        crew.members
            .iter()
            .try_for_each(|one| one.give(Job::Subscribe))?;
        crew.wait()?;
        let grown = process::resident_bytes(plan.pid)?.saturating_sub(before);
        crew.bytes_per_subscriber = grown / (plan.publishers * plan.subscribers).max(1) as u64;
        Ok(crew)
    }

    /// Lets so many of the publishers send for so long.
    pub fn measure(&mut self, publishers: usize, seconds: u64) -> Result<Figures, String> {
        let look = self.samples.clone().map_or(Look::None, Look::Samples);
        self.look(publishers, seconds, look)
    }

    /// The same while somebody looks.
    pub fn look(&mut self, publishers: usize, seconds: u64, look: Look) -> Result<Figures, String> {
        let warm_up = if self.encodings > 1 { CLIMB } else { WARM_UP };
        let window = Window::after(warm_up, seconds);
        let watch = watch(self.pid, window, look);
        for (first, member) in self.members.iter().enumerate() {
            let share = Share {
                first,
                step: self.members.len(),
                of: publishers,
            };
            member.give(Job::Measure(share, window))?;
        }
        let part = self.wait()?;
        Ok(Figures {
            publishers,
            subscribers: self.subscribers,
            encodings: self.encodings,
            used: seen(watch)?,
            bytes_per_subscriber: self.bytes_per_subscriber,
            part,
        })
    }

    /// Until all have done what they were given.
    fn wait(&self) -> Result<Part, String> {
        let mut sum = Part::default();
        for member in &self.members {
            let done = member.done.recv();
            sum.add(done.map_err(|_| "a thread of the load has failed")??);
        }
        Ok(sum)
    }
}

impl Member {
    fn start(plan: Plan, publishers: usize) -> Member {
        let (jobs, taken) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        thread::spawn(move || {
            if let Err(problem) = work(&plan, publishers, &taken, &tell) {
                // Nobody listens once the others have failed.
                let _ = tell.send(Err(problem));
            }
        });
        Member { jobs, done }
    }

    fn give(&self, job: Job) -> Result<(), String> {
        let given = self.jobs.send(job);
        given.map_err(|_| "a thread of the load has ended".into())
    }
}

/// Until nobody has anything more to do for it. Its endpoints go on between two jobs.
fn work(
    plan: &Plan,
    publishers: usize,
    jobs: &Receiver<Job>,
    tell: &Sender<Result<Part, String>>,
) -> Result<(), String> {
    let api = Api::new(plan);
    let mut load = Load::new(plan)?;
    let sessions = (0..publishers)
        .map(|_| load.publish(&api, &[plan.media]))
        .collect::<Result<Vec<_>, _>>()?;
    load.run(SETTLE)?;
    let mut done = Some(Part::default());
    loop {
        if let Some(part) = done.take()
            && tell.send(Ok(part)).is_err()
        {
            return Ok(());
        }
        done = match jobs.try_recv() {
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                load.turn()?;
                None
            }
            Ok(Job::Subscribe) => {
                load.subscribe_to_all(&api, &sessions, plan)?;
                Some(Part::default())
            }
            Ok(Job::Measure(share, window)) => Some(load.take_part(share, window)?),
        };
    }
}
