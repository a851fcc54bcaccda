//! Whether the queue on the way is cross traffic's, which fills any queue as TCP does. A queue of our own empties when less
//! is sent than it lets through. Where it should be empty by now and is not, someone else fills it, and who yields more
//! only starves. In this competitive mode losses decide and not the delay (after Copa, NSDI 2018, section 2.2).

use std::time::{Duration, Instant};

/// A queue stands from where each packet waits so long until one waits less than the second time.
const STANDS_MS: f64 = 40.0;
const ENDS_MS: f64 = 20.0;
/// What a standing queue lets through is measured over so long.
const WINDOW: Duration = Duration::from_secs(1);
/// Less than it is sent: at least a fifth of the time would empty it. To be seen over so long.
const YIELDS: f64 = 0.2;
const SHORTEST_MS: f64 = 300.0;
/// Until twice what stood, and this, would be gone.
const TWICE: f64 = 2.0;
const MARGIN_MS: f64 = 100.0;
/// And all the time the queue hardly empties, grows by no more than this and a part of the time, and loses nearly nothing:
/// else the way has changed.
const STAYS: f64 = 0.85;
const GROWS_MS: f64 = 20.0;
const GROWS: f64 = 0.1;
const LITTLE_LOSS: f64 = 0.02;
/// Cross traffic's queue may be empty for a moment: BBR looks for the least round trip each 10 s.
const EMPTY_FOR: Duration = Duration::from_secs(1);
/// A queue that is so much longer than it was is our own after all, and so are losses of this share for so long.
const LONGER: f64 = 2.0;
const LONGER_MS: f64 = 200.0;
const HEAVY_LOSS: f64 = 0.1;
const HEAVY_FOR: Duration = Duration::from_secs(2);
const HEAVY_PACKETS: usize = 20;
/// TCP's queues vary by more in so long. One that does not is none: the way has become longer.
const VARIES_MS: f64 = 20.0;
const VARIES_WITHIN: Duration = Duration::from_secs(10);
/// It has to show again after so long: others like us may hold each other in the mode.
const LONGEST: Duration = Duration::from_secs(120);
/// Nothing is known of what happened in a longer pause.
const PAUSE: Duration = Duration::from_secs(2);

/// What a feedback tells of the packets between the last one and it.
#[derive(Clone, Copy)]
pub struct Observation {
    /// ms that the packet waited which waited least; infinite where none came.
    pub queue_ms: f64,
    /// When the last of them was sent.
    pub last_sent: Instant,
    /// Of all that were sent, and of those that came.
    pub sent_bits: f64,
    pub came_bits: f64,
    /// Packets, and those of them that were lost.
    pub packets: usize,
    pub lost: usize,
}

/// What an observation says of the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    AsBefore,
    /// The queue was none: the way itself takes longer than before.
    LongerWay,
}

/// What is known of the queue.
#[derive(Default)]
pub struct Competition {
    state: State,
    last: Option<Instant>,
}

#[derive(Default)]
enum State {
    #[default]
    Short,
    /// Each packet waits, by whomever.
    Standing(Standing),
    Competitive(Competitive),
}

impl Competition {
    /// Whether the queue is cross traffic's.
    pub fn is_competitive(&self) -> bool {
        matches!(self.state, State::Competitive(_))
    }

    /// Takes a feedback.
    pub fn note(&mut self, seen: &Observation, now: Instant) -> Verdict {
        let last = self.last.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) >= PAUSE) {
            self.state = State::Short;
        }
        let next = match &mut self.state {
            State::Short => (seen.queue_ms.is_finite() && seen.queue_ms >= STANDS_MS)
                .then(|| State::Standing(Standing::begin(now))),
            State::Standing(_) if seen.queue_ms < ENDS_MS => Some(State::Short),
            State::Standing(standing) => standing
                .is_cross_traffic(seen, now)
                .then(|| State::Competitive(Competitive::begin(seen, now))),
            State::Competitive(competitive) => {
                let Some(verdict) = competitive.end(seen, now) else {
                    return Verdict::AsBefore;
                };
                self.state = State::Short;
                return verdict;
            }
        };
        if let Some(next) = next {
            self.state = next;
        }
        Verdict::AsBefore
    }
}

/// Packets and losses of a time.
#[derive(Default)]
struct Losses {
    packets: usize,
    lost: usize,
}

impl Losses {
    fn add(&mut self, seen: &Observation) {
        self.packets += seen.packets;
        self.lost += seen.lost;
    }

    fn share(&self) -> f64 {
        self.lost as f64 / self.packets.max(1) as f64
    }
}

/// A queue that may be our own.
struct Standing {
    window_began: Instant,
    window_bits: f64,
    /// bit/s that the queue let through last.
    through: Option<f64>,
    yielding: Option<Yielding>,
}

impl Standing {
    fn begin(now: Instant) -> Standing {
        Standing {
            window_began: now,
            window_bits: 0.0,
            through: None,
            yielding: None,
        }
    }

    fn is_cross_traffic(&mut self, seen: &Observation, now: Instant) -> bool {
        self.window_bits += seen.came_bits;
        let lasted = now.saturating_duration_since(self.window_began);
        if lasted >= WINDOW {
            self.through = Some(self.window_bits / lasted.as_secs_f64());
            self.window_began = now;
            self.window_bits = 0.0;
        }
        let has_queue = seen.queue_ms.is_finite();
        let Some(yielding) = &mut self.yielding else {
            self.yielding = self
                .through
                .filter(|_| has_queue)
                .map(|through| Yielding::begin(seen, through));
            return false;
        };
        yielding.add(seen);
        if has_queue && !yielding.holds(seen) {
            self.yielding = None;
            return false;
        }
        has_queue && yielding.should_be_empty()
    }
}

/// A time in which less is sent than the queue let through before.
struct Yielding {
    since: Instant,
    queue_ms: f64,
    through: f64,
    /// ms of it, and ms that would have been left for the rest of the queue if it were ours.
    elapsed_ms: f64,
    sent_bits: f64,
    losses: Losses,
}

impl Yielding {
    fn begin(seen: &Observation, through: f64) -> Yielding {
        Yielding {
            since: seen.last_sent,
            queue_ms: seen.queue_ms,
            through,
            elapsed_ms: 0.0,
            sent_bits: 0.0,
            losses: Losses::default(),
        }
    }

    fn add(&mut self, seen: &Observation) {
        let elapsed = seen.last_sent.saturating_duration_since(self.since);
        self.elapsed_ms = elapsed.as_secs_f64() * 1e3;
        self.sent_bits += seen.sent_bits;
        self.losses.add(seen);
    }

    /// ms of a queue of our own that would have left.
    fn emptied_ms(&self) -> f64 {
        self.elapsed_ms - self.sent_bits / self.through.max(1.0) * 1e3
    }

    fn holds(&self, seen: &Observation) -> bool {
        let longest_ms = self.queue_ms + GROWS_MS + GROWS * self.elapsed_ms;
        let stays = seen.queue_ms >= STAYS * self.queue_ms && seen.queue_ms <= longest_ms;
        let yields = self.elapsed_ms < SHORTEST_MS || self.emptied_ms() >= YIELDS * self.elapsed_ms;
        stays && yields && self.losses.share() <= LITTLE_LOSS
    }

    fn should_be_empty(&self) -> bool {
        self.elapsed_ms >= SHORTEST_MS && self.emptied_ms() >= TWICE * self.queue_ms + MARGIN_MS
    }
}

/// In cross traffic's queue.
struct Competitive {
    since: Instant,
    longest_ms: f64,
    empty_since: Option<Instant>,
    losses: (Instant, Losses),
    /// The least and the most of the queue in ms, since.
    varies: (Instant, f64, f64),
}

impl Competitive {
    fn begin(seen: &Observation, now: Instant) -> Competitive {
        Competitive {
            since: now,
            longest_ms: (LONGER * seen.queue_ms).max(seen.queue_ms + LONGER_MS),
            empty_since: None,
            losses: (now, Losses::default()),
            varies: (now, f64::INFINITY, 0.0),
        }
    }

    /// What is known of the way at its end, once that is due.
    fn end(&mut self, seen: &Observation, now: Instant) -> Option<Verdict> {
        let lasted = |since, time| now.saturating_duration_since(since) >= time;
        let (since, losses) = &mut self.losses;
        losses.add(seen);
        let mut is_over = lasted(self.since, LONGEST);
        if losses.packets >= HEAVY_PACKETS && lasted(*since, HEAVY_FOR) {
            is_over |= losses.share() > HEAVY_LOSS;
            self.losses = (now, Losses::default());
        }
        if seen.queue_ms.is_finite() {
            is_over |= seen.queue_ms > self.longest_ms;
            let is_empty = seen.queue_ms < ENDS_MS;
            self.empty_since = is_empty.then(|| self.empty_since.unwrap_or(now));
            is_over |= self.empty_since.is_some_and(|at| lasted(at, EMPTY_FOR));
            if !is_over && self.is_constant(seen.queue_ms, now) {
                return Some(Verdict::LongerWay);
            }
        }
        is_over.then_some(Verdict::AsBefore)
    }

    fn is_constant(&mut self, queue_ms: f64, now: Instant) -> bool {
        let (since, least, most) = &mut self.varies;
        *least = least.min(queue_ms);
        *most = most.max(queue_ms);
        if now.saturating_duration_since(*since) < VARIES_WITHIN {
            return false;
        }
        let is_constant = *most - *least < VARIES_MS;
        self.varies = (now, f64::INFINITY, 0.0);
        is_constant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way on which feedback comes each 50 ms.
    struct Way {
        competition: Competition,
        now: Instant,
    }

    /// For so many ms: the queue in ms at the begin and the end, bit/s sent and of them come, and packets lost of 20.
    #[derive(Clone, Copy)]
    struct Goes {
        ms: u32,
        queue: (f64, f64),
        sent: f64,
        came: f64,
        lost: usize,
    }

    impl Goes {
        fn on(self, way: &mut Way) -> bool {
            let count = self.ms / 50;
            for at in 0..count {
                way.now += Duration::from_millis(50);
                let part = f64::from(at) / f64::from(count);
                let seen = Observation {
                    queue_ms: self.queue.0 + part * (self.queue.1 - self.queue.0),
                    last_sent: way.now,
                    sent_bits: self.sent / 20.0,
                    came_bits: self.came / 20.0,
                    packets: 20,
                    lost: self.lost,
                };
                way.competition.note(&seen, way.now);
            }
            way.competition.is_competitive()
        }
    }

    fn goes(ms: u32, queue: (f64, f64), rate: f64) -> Goes {
        Goes {
            ms,
            queue,
            sent: rate,
            came: rate,
            lost: 0,
        }
    }

    fn new_way() -> Way {
        Way {
            competition: Competition::default(),
            now: Instant::now(),
        }
    }

    /// 1 Mbit/s comes through a queue of 100 ms.
    fn standing() -> Way {
        let mut way = new_way();
        assert!(!goes(1500, (90.0, 100.0), 1e6).on(&mut way));
        way
    }

    /// The queue stays though only 0.4 Mbit/s are sent.
    fn beside_tcp() -> Way {
        let mut way = standing();
        assert!(goes(800, (100.0, 120.0), 0.4e6).on(&mut way));
        way
    }

    #[test]
    fn a_queue_that_should_be_empty_by_now_is_cross_traffics() {
        let mut way = standing();
        assert!(!goes(3000, (100.0, 130.0), 1e6).on(&mut way), "it may be");
        assert!(!goes(400, (130.0, 130.0), 0.4e6).on(&mut way), "not yet");
        assert!(goes(500, (130.0, 140.0), 0.4e6).on(&mut way));
    }

    #[test]
    fn a_queue_of_our_own_is_not() {
        for queue in [(100.0, 0.0), (100.0, 30.0), (100.0, 400.0)] {
            let mut way = standing();
            assert!(!goes(900, queue, 0.4e6).on(&mut way), "{queue:?}");
        }
        let mut way = standing();
        let overflows = Goes {
            lost: 4,
            ..goes(3000, (100.0, 100.0), 0.4e6)
        };
        assert!(!overflows.on(&mut way), "too narrow");
        let mut way = new_way();
        let short = (0..5).any(|_| goes(1000, (30.0, 30.0), 0.4e6).on(&mut way));
        assert!(!short);
    }

    #[test]
    fn nothing_is_concluded_from_nothing() {
        let mut way = standing();
        way.now += 2 * PAUSE;
        assert!(!goes(900, (100.0, 100.0), 0.4e6).on(&mut way), "a pause");
        let mut way = standing();
        let all_lost = Goes {
            lost: 20,
            came: 0.0,
            ..goes(3000, (f64::INFINITY, f64::INFINITY), 0.4e6)
        };
        assert!(!all_lost.on(&mut way));
    }

    #[test]
    fn it_ends_with_the_queue_with_heavy_loss_and_where_the_queue_is_our_own_after_all() {
        let mut way = beside_tcp();
        assert!(goes(400, (0.0, 0.0), 1e6).on(&mut way), "for a moment");
        let overflows = Goes {
            lost: 1,
            ..goes(5000, (150.0, 200.0), 1e6)
        };
        assert!(overflows.on(&mut way));
        assert!(!goes(1200, (5.0, 5.0), 1e6).on(&mut way), "it has ended");
        let too_narrow = Goes {
            lost: 6,
            ..goes(2500, (200.0, 200.0), 1e6)
        };
        assert!(!too_narrow.on(&mut beside_tcp()));
        let longer = goes(2000, (150.0, 350.0), 1e6);
        assert!(!longer.on(&mut beside_tcp()));
    }

    #[test]
    fn a_queue_that_never_varies_is_a_longer_way() {
        let mut way = beside_tcp();
        let varies = (0..10).all(|_| goes(5000, (100.0, 150.0), 1e6).on(&mut way));
        assert!(varies);
        assert!(!goes(21_000, (100.0, 105.0), 1e6).on(&mut way));
    }
}
