//! Whether the queue on the way is another's, who fills any queue as TCP does. A queue of our own empties when less is
//! sent, and until it has, as much comes as before. Where less comes and the queue stays, somebody else has taken the room:
//! yielding more only starves. Then loss decides, and not the delay (as Copa's competitive mode, NSDI 2018, section 2.2).

use std::time::{Duration, Instant};

/// A queue in which each packet waits so long stands, until one waits less than the other time.
const STANDS_MS: f64 = 50.0;
const ENDS_MS: f64 = 25.0;
/// Another's may be empty for a moment: BBR looks for the round trip's least each 10 s.
const EMPTY_FOR: Duration = Duration::from_secs(1);
/// What came before so much of a standing queue may be of the time before it.
const SETTLES: Duration = Duration::from_millis(300);
/// Less came for so long: at most this part of the most before.
const YIELDED: Duration = Duration::from_secs(1);
const LESS: f64 = 0.8;
/// The queue stayed within these parts of what it was, and nearly nothing was lost.
const STAYS: (f64, f64) = (0.9, 1.5);
const MOST_LOST: f64 = 0.02;
/// With more loss for so long, the way has become too narrow for what is sent.
const HEAVY_LOSS: f64 = 0.15;
const HEAVY_FOR: Duration = Duration::from_secs(1);
/// It has to show again after so long: the way itself may have become longer.
const LONGEST: Duration = Duration::from_secs(60);

/// What happened since.
struct Span {
    since: Instant,
    queue_ms: f64,
    packets: usize,
    lost: usize,
}

impl Span {
    fn new(queue_ms: f64, now: Instant) -> Span {
        Span {
            since: now,
            queue_ms,
            packets: 0,
            lost: 0,
        }
    }

    fn add(&mut self, packets: usize, lost: usize) {
        self.packets += packets;
        self.lost += lost;
    }

    fn lost_share(&self) -> f64 {
        self.lost as f64 / self.packets.max(1) as f64
    }

    fn lasted(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= time
    }
}

/// What the queue and the acknowledged rate say together.
#[derive(Default)]
pub struct Competition {
    standing_since: Option<Instant>,
    /// bit/s: the most that came while it stands.
    most: f64,
    /// A time in which less comes.
    yielded: Option<Span>,
    /// Since when the queue is another's.
    since: Option<Instant>,
    losses: Option<Span>,
    empty_since: Option<Instant>,
}

impl Competition {
    /// Takes a feedback: ms that its packet waited which waited least, bit/s that come, packets and those lost of them.
    pub fn note(&mut self, least_ms: f64, acked: f64, packets: usize, lost: usize, now: Instant) {
        if !least_ms.is_finite() {
            return;
        }
        if self.is_on() {
            self.may_end(least_ms, packets, lost, now);
            return;
        }
        if least_ms < ENDS_MS {
            *self = Competition::default();
            return;
        }
        if self.standing_since.is_none() && least_ms < STANDS_MS {
            return;
        }
        let standing_since = *self.standing_since.get_or_insert(now);
        if now.saturating_duration_since(standing_since) < SETTLES {
            return;
        }
        self.most = self.most.max(acked);
        if acked > LESS * self.most {
            self.yielded = None;
            return;
        }
        let yielded = self.yielded.get_or_insert_with(|| Span::new(least_ms, now));
        yielded.add(packets, lost);
        let part = least_ms / yielded.queue_ms;
        if !(STAYS.0..STAYS.1).contains(&part) || yielded.lost_share() > MOST_LOST {
            self.yielded = None;
        } else if yielded.lasted(YIELDED, now) {
            self.since = Some(now);
            self.yielded = None;
        }
    }

    fn may_end(&mut self, least_ms: f64, packets: usize, lost: usize, now: Instant) {
        let losses = self.losses.get_or_insert_with(|| Span::new(0.0, now));
        losses.add(packets, lost);
        let lasts = |since, time| now.saturating_duration_since(since) >= time;
        let mut is_over = self.since.is_some_and(|since| lasts(since, LONGEST));
        if least_ms < ENDS_MS {
            let since = *self.empty_since.get_or_insert(now);
            is_over |= lasts(since, EMPTY_FOR);
        } else {
            self.empty_since = None;
        }
        if losses.lasted(HEAVY_FOR, now) {
            is_over |= losses.lost_share() > HEAVY_LOSS;
            self.losses = None;
        }
        if is_over {
            *self = Competition::default();
        }
    }

    /// Whether the queue is another's.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }
}
