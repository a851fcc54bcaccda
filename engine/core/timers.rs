//! What falls due when. Whoever makes work due puts it here, so nothing walks all sessions to ask.

use std::time::Instant;

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
    /// Which encodings are live, and what they carry.
    Layers(PublicationKey),
    /// Whether media still comes.
    Silence(PublicationKey),
    /// SCTP of a session.
    Data(SessionKey),
    /// A subscriber's first message, which is waited for.
    ChannelAck(ChannelKey),
}

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

    /// The next work that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.0.pop_due(now)
    }

    /// When the next work is due.
    pub fn next(&self) -> Option<Instant> {
        self.0.next()
    }
}
