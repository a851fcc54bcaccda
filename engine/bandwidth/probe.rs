//! Short bursts above the current rate that show whether the way carries more (draft-ietf-rmcat-gcc-02
//! section 5.5, "probing"; behaviour after libwebrtc). Media counts, padding fills up.

use std::time::{Duration, Instant};

use super::sent_packets::SentPacket;

/// A probe lasts at least so long and has at least so many packets. A shorter one fits between two frames of
/// someone else on the way, and would take their room for free.
const MIN_TIME: Duration = Duration::from_millis(40);
const MIN_PACKETS: u32 = 5;
/// A probe that cannot be filled ends.
const MAX_TIME: Duration = Duration::from_millis(150);
/// Feedback after this is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two probes, while the session wants more than it has.
const INTERVAL: Duration = Duration::from_secs(3);
/// Of the probe's packets and bytes, must have come.
const MIN_ARRIVED: f64 = 0.8;
/// A peer cannot get packets faster than they were sent, but for jitter.
const MAX_COMPRESSION: f64 = 2.0;
/// Below this part of the sending rate the way was full: a little less than what came is what it carries.
const SATURATED: f64 = 0.9;
const SATURATED_FACTOR: f64 = 0.95;
/// A probe that shows this part of its target is followed by a larger one.
const GO_ON: f64 = 0.7;

struct Sending {
    target: f64,
    began: Instant,
}

#[derive(Clone, Copy, Default)]
struct Cluster {
    packets: u32,
    bytes: u64,
    came: Option<Came>,
}

#[derive(Clone, Copy)]
struct Came {
    packets: u32,
    bytes: u64,
    first_sent: Instant,
    last_sent: (Instant, u16),
    /// In ms of the peer's clock, with the packet's size.
    first_arrival: (f64, u16),
    last_arrival: f64,
}

impl Came {
    fn of(packet: &SentPacket, arrival_ms: f64) -> Came {
        Came {
            packets: 0,
            bytes: 0,
            first_sent: packet.sent,
            last_sent: (packet.sent, packet.size),
            first_arrival: (arrival_ms, packet.size),
            last_arrival: arrival_ms,
        }
    }

    fn add(&mut self, packet: &SentPacket, arrival_ms: f64) {
        self.packets += 1;
        self.bytes += u64::from(packet.size);
        self.first_sent = self.first_sent.min(packet.sent);
        if packet.sent >= self.last_sent.0 {
            self.last_sent = (packet.sent, packet.size);
        }
        if arrival_ms < self.first_arrival.0 {
            self.first_arrival = (arrival_ms, packet.size);
        }
        self.last_arrival = self.last_arrival.max(arrival_ms);
    }
}

/// The probes of one session; one at a time.
pub struct Probing {
    sending: Option<Sending>,
    cluster: Cluster,
    /// Of the last probe; zero means none.
    id: u8,
    target: f64,
    answered: bool,
    last: Option<Instant>,
}

impl Probing {
    /// No probe yet.
    pub fn new() -> Probing {
        Probing {
            sending: None,
            cluster: Cluster::default(),
            id: 0,
            target: 0.0,
            answered: true,
            last: None,
        }
    }

    /// Whether a probe is being sent.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Begins a probe where it is time: the first ones at once, later ones while there is no sign that the way is full.
    pub fn consider(&mut self, rate: f64, wanted: f64, calm: bool, now: Instant) {
        let waiting = !self.answered && self.last.is_some_and(|last| now < last + PATIENCE);
        if self.sending.is_some() || waiting || wanted <= rate {
            return;
        }
        match self.last {
            None => self.begin(3.0 * rate, wanted, now),
            Some(last) if calm && now >= last + INTERVAL => self.begin(2.0 * rate, wanted, now),
            Some(_) => {}
        }
    }

    fn begin(&mut self, target: f64, wanted: f64, now: Instant) {
        // A little more than what is wanted, so that the estimate can reach it.
        let target = target.min(1.2 * wanted + 50e3);
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.cluster = Cluster::default();
        self.target = target;
        self.answered = false;
        self.last = Some(now);
        self.sending = Some(Sending { target, began: now });
    }

    /// Notes a packet that leaves; the probe's number where it is part of one.
    #[inline]
    pub fn sent(&mut self, size: u16) -> u8 {
        if self.sending.is_none() {
            return 0;
        }
        let cluster = &mut self.cluster;
        cluster.packets += 1;
        cluster.bytes += u64::from(size);
        self.id
    }

    /// Has fetched what `sent` reads.
    #[inline]
    pub fn fetch_sending(&self) {
        switchyard_net::prefetch(&self.sending);
    }

    /// Bytes of padding that are due. Ends the probe when it is complete.
    pub fn padding(&mut self, now: Instant) -> usize {
        let Some(sending) = &self.sending else {
            return 0;
        };
        let elapsed = now.saturating_duration_since(sending.began);
        let complete = elapsed >= MIN_TIME && self.cluster.packets >= MIN_PACKETS;
        if complete || elapsed >= MAX_TIME {
            self.sending = None;
            return 0;
        }
        // The first packets begin the clock: a millisecond's worth is due at once.
        let due = sending.target / 8.0 * (elapsed.as_secs_f64() + 0.001);
        (due as u64).saturating_sub(self.cluster.bytes) as usize
    }

    /// Takes an arrival; what the probe shows in bit/s, once enough came.
    pub fn arrived(&mut self, packet: &SentPacket, arrival_ms: f64) -> Option<f64> {
        if packet.probe == 0 || packet.probe != self.id {
            return None;
        }
        let cluster = &mut self.cluster;
        let came = cluster
            .came
            .get_or_insert_with(|| Came::of(packet, arrival_ms));
        came.add(packet, arrival_ms);
        if self.sending.is_some() || self.answered {
            return None;
        }
        let enough = f64::from(came.packets) >= MIN_ARRIVED * f64::from(cluster.packets)
            && came.bytes as f64 >= MIN_ARRIVED * cluster.bytes as f64
            && came.packets >= MIN_PACKETS - 1;
        if !enough {
            return None;
        }
        self.answered = true;
        measure(came)
    }

    /// Follows a probe that found room with a larger one.
    pub fn go_on(&mut self, shown: f64, wanted: f64, now: Instant) {
        if shown >= GO_ON * self.target && wanted > shown && self.target < 1.2 * wanted {
            self.begin(2.0 * shown, wanted, now);
        }
    }
}

fn measure(came: &Came) -> Option<f64> {
    let (last_sent, last_size) = came.last_sent;
    let sent_time = last_sent
        .saturating_duration_since(came.first_sent)
        .as_secs_f64();
    let arrived_time = (came.last_arrival - came.first_arrival.0) / 1e3;
    if !(0.001..1.0).contains(&sent_time) || !(0.001..1.0).contains(&arrived_time) {
        return None;
    }
    let bytes = came.bytes as f64;
    let sent_rate = (bytes - f64::from(last_size)) * 8.0 / sent_time;
    let came_rate = (bytes - f64::from(came.first_arrival.1)) * 8.0 / arrived_time;
    if came_rate > MAX_COMPRESSION * sent_rate {
        return None;
    }
    Some(if came_rate < SATURATED * sent_rate {
        SATURATED_FACTOR * came_rate
    } else {
        sent_rate.min(came_rate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe over a way that passes one packet in `service_ms`; what it shows.
    fn probe(target: f64, service_ms: f64) -> Option<f64> {
        let start = Instant::now();
        let mut probing = Probing::new();
        probing.consider(target / 3.0, 1e9, true, start);
        let mut packets = Vec::new();
        let mut now = start;
        while probing.is_sending() {
            while probing.padding(now) > 0 {
                let probe = probing.sent(1000);
                packets.push(SentPacket {
                    sent: now,
                    size: 1000,
                    probe,
                });
            }
            now += Duration::from_millis(1);
        }
        let mut free = 0.0_f64;
        packets.iter().fold(None, |shown, packet| {
            let sent = packet.sent.duration_since(start).as_secs_f64() * 1e3;
            free = free.max(sent) + service_ms;
            shown.or(probing.arrived(packet, free))
        })
    }

    #[test]
    fn a_probe_shows_what_was_sent_or_what_the_way_carries() {
        let free = probe(3e6, 0.01).expect("shown");
        assert!((2.2e6..4e6).contains(&free), "{free}");
        // 8000 bits in 8 ms.
        let full = probe(3e6, 8.0).expect("shown");
        assert!((0.85e6..1.1e6).contains(&full), "{full}");
    }

    #[test]
    fn nobody_probes_for_what_is_not_wanted() {
        let mut probing = Probing::new();
        probing.consider(1e6, 1e6, true, Instant::now());
        assert!(!probing.is_sending());
    }

    #[test]
    fn arrivals_that_cannot_be_show_nothing() {
        let now = Instant::now();
        let mut probing = Probing::new();
        probing.consider(1e6, 1e9, true, now);
        let packet = SentPacket {
            sent: now,
            size: 1000,
            probe: 1,
        };
        for _ in 0..20 {
            probing.sent(1000);
        }
        probing.padding(now + MAX_TIME);
        for _ in 0..20 {
            assert_eq!(probing.arrived(&packet, -1e18), None);
        }
    }
}
