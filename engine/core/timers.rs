//! What falls due when. Whoever makes work due puts it here, so nothing walks all sessions to ask.

use std::time::{Duration, Instant};

use super::{ChannelKey, EncodingKey, PublicationKey, SessionKey};

mod wheel;

use wheel::Wheel;

/// Work that falls due. What has ended by then is ignored by its handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// ICE and DTLS of a session.
    Transport(SessionKey),
    /// Receiver reports to a publishing peer.
    Report(SessionKey),
    /// Transport-wide feedback to a publishing peer.
    Arrivals(SessionKey),
    /// Repairs, padding and the estimate of a receiving peer.
    Bandwidth(SessionKey),
    /// Requests for packets and key frames.
    Encoding(EncodingKey),
    /// Whether an encoding's cache is still used.
    Cache(EncodingKey),
    /// Which encodings are live, and what they carry.
    Layers(PublicationKey),
    /// Whether media still comes.
    Silence(PublicationKey),
    /// SCTP of a session.
    Data(SessionKey),
    /// A subscriber's first message, which is waited for.
    ChannelAck(ChannelKey),
}

/// What is further away than this may fall due with others, up to `TOGETHER` later.
const LOOSE: Duration = Duration::from_secs(2);
const TOGETHER: u128 = 1 << 28;

/// All timers.
pub struct Timers(Wheel<Timer>);

impl Timers {
    /// None yet.
    pub fn new(now: Instant) -> Timers {
        Timers(Wheel::new(now))
    }

    /// Adds work.
    pub fn add(&mut self, at: Instant, timer: Timer) {
        self.0.add(at, timer);
    }

    /// Adds work that has one place of its own: an earlier time replaces a later one.
    pub fn arm(&mut self, armed: &mut Option<Instant>, at: Option<Instant>, timer: Timer) {
        if let Some(at) = at
            && armed.is_none_or(|earlier| at < earlier)
        {
            *armed = Some(at);
            self.add(at, timer);
        }
    }

    /// The same for work that may be a little late when it is far away: thousands of sessions that look once in a while
    /// whether their peers are still there do not wake the worker a thousand times.
    pub fn arm_loosely(
        &mut self,
        armed: &mut Option<Instant>,
        at: Option<Instant>,
        now: Instant,
        timer: Timer,
    ) {
        let at = at.map(|at| {
            if at.saturating_duration_since(now) < LOOSE {
                return at;
            }
            let since = at.saturating_duration_since(self.0.started()).as_nanos();
            let late = (since.wrapping_neg() & (TOGETHER - 1)) as u64;
            at + Duration::from_nanos(late)
        });
        self.arm(armed, at, timer);
    }

    /// The next work that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.0.pop_due(now)
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next work is due.
    pub fn next(&self) -> Option<Instant> {
        self.0.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_away_falls_due_together_and_what_is_near_is_exact() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let session = Timer::Transport(SessionKey::default());
        let mut wakes = std::collections::BTreeSet::new();
        for number in 0..1000 {
            let at = start + LOOSE + Duration::from_millis(number);
            let mut armed = None;
            timers.arm_loosely(&mut armed, Some(at), start, session);
            let late = armed.expect("a timer") - at;
            assert!(late.as_nanos() < TOGETHER);
            wakes.extend(armed);
        }
        assert!(wakes.len() <= 5, "{} wakes in a second", wakes.len());
        let near = Some(start + LOOSE - Duration::from_nanos(1));
        let mut armed = None;
        timers.arm_loosely(&mut armed, near, start, session);
        assert_eq!(armed, near);
    }
}
