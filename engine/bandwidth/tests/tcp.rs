//! Windows of TCP flows that share a way: CUBIC (RFC 9438) and BBR (draft-cardwell-iccrg-bbr-congestion-control-00).
//! Packets are all of one size. A loss is known by the acknowledgement of the packet after it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(2);

/// The congestion control of a flow.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    Cubic,
    Bbr,
}

struct InFlight {
    number: u16,
    sent: Instant,
    /// Acknowledged packets by then.
    delivered: u64,
}

/// One flow that always has something to send.
pub struct TcpFlow {
    in_flight: VecDeque<InFlight>,
    delivered: u64,
    /// Losses of what was sent before were answered.
    answered: Instant,
    window: Window,
}

enum Window {
    Cubic(Cubic),
    Bbr(Bbr),
}

impl TcpFlow {
    pub fn new(control: Control, now: Instant) -> TcpFlow {
        TcpFlow {
            in_flight: VecDeque::new(),
            delivered: 0,
            answered: now,
            window: match control {
                Control::Cubic => Window::Cubic(Cubic::new()),
                Control::Bbr => Window::Bbr(Bbr::new(now)),
            },
        }
    }

    /// Packets that may leave now, the first of them with this number.
    pub fn send(&mut self, first: u16, now: Instant) -> u16 {
        self.give_up(now);
        let in_flight = self.in_flight.len() as f64;
        let count = match &mut self.window {
            Window::Cubic(cubic) => cubic.window - in_flight,
            Window::Bbr(bbr) => bbr.paced(now).min(bbr.window() - in_flight),
        };
        let count = count.max(0.0) as u16;
        if let Window::Bbr(bbr) = &mut self.window {
            bbr.credit -= f64::from(count);
        }
        self.in_flight.extend((0..count).map(|at| InFlight {
            number: first.wrapping_add(at),
            sent: now,
            delivered: self.delivered,
        }));
        count
    }

    /// Begins anew where nothing has come back for long (RFC 6298).
    fn give_up(&mut self, now: Instant) {
        let is_late = |packet: &InFlight| now.saturating_duration_since(packet.sent) > TIMEOUT;
        if self.in_flight.front().is_some_and(is_late) {
            self.in_flight.clear();
            if let Window::Cubic(cubic) = &mut self.window {
                cubic.lose();
                cubic.window = 2.0;
            }
        }
    }

    /// Takes an acknowledgement; what was sent before that packet and is not acknowledged is lost.
    pub fn take_ack(&mut self, number: u16, now: Instant) {
        let mut lost = false;
        while let Some(packet) = self.in_flight.pop_front() {
            if packet.number != number {
                lost |= packet.sent >= self.answered;
                continue;
            }
            self.delivered += 1;
            let rtt = now.saturating_duration_since(packet.sent).as_secs_f64();
            match &mut self.window {
                Window::Cubic(cubic) if lost => {
                    cubic.lose();
                    self.answered = now;
                }
                Window::Cubic(cubic) => cubic.take_ack(rtt, now),
                Window::Bbr(bbr) => {
                    let rate = (self.delivered - packet.delivered) as f64 / rtt;
                    bbr.take_ack(rtt, rate, packet.delivered, self.delivered, now);
                }
            }
            return;
        }
    }
}

struct Cubic {
    /// Packets.
    window: f64,
    /// Of slow start.
    threshold: f64,
    most: f64,
    /// Of this congestion avoidance: its begin, the window then, and seconds from then until the window is `most`.
    epoch: Option<(Instant, f64, f64)>,
    least_rtt: f64,
}

impl Cubic {
    const C: f64 = 0.4;
    const BETA: f64 = 0.7;

    fn new() -> Cubic {
        Cubic {
            window: 10.0,
            threshold: f64::INFINITY,
            most: 0.0,
            epoch: None,
            least_rtt: f64::INFINITY,
        }
    }

    fn take_ack(&mut self, rtt: f64, now: Instant) {
        self.least_rtt = self.least_rtt.min(rtt);
        if self.window < self.threshold {
            self.window += 1.0;
            // HyStart (RFC 9406 section 4.2).
            if rtt > self.least_rtt + (self.least_rtt / 8.0).clamp(0.004, 0.016) {
                self.threshold = self.window;
            }
            return;
        }
        let (began, first, until_most) = *self.epoch.get_or_insert_with(|| {
            self.most = self.most.max(self.window);
            let until_most = ((self.most - self.window) / Self::C).cbrt();
            (now, self.window, until_most)
        });
        let since = now.saturating_duration_since(began).as_secs_f64();
        let cubic = Self::C * (since + rtt - until_most).powi(3) + self.most;
        let reno = first + 3.0 * (1.0 - Self::BETA) / (1.0 + Self::BETA) * since / rtt;
        let target = cubic.max(reno).min(1.5 * self.window);
        self.window += (target - self.window).max(0.01) / self.window;
    }

    fn lose(&mut self) {
        self.most = if self.window < self.most {
            self.window * (1.0 + Self::BETA) / 2.0
        } else {
            self.window
        };
        self.window = (self.window * Self::BETA).max(2.0);
        self.threshold = self.window;
        self.epoch = None;
    }
}

/// Rates are in packets per second.
struct Bbr {
    /// Each round trip's best.
    rates: VecDeque<f64>,
    /// What is acknowledged once the round has ended.
    round_ends: u64,
    least_rtt: f64,
    least_at: Instant,
    probes_until: Option<Instant>,
    /// Of the start: the best rate before, and rounds without a better one.
    full: Option<(f64, u32)>,
    cycle_began: Instant,
    cycle: usize,
    credit: f64,
    last: Instant,
}

impl Bbr {
    const GAINS: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    const START_GAIN: f64 = 2.89;
    const WINDOW_GAIN: f64 = 2.0;
    const ROUNDS: usize = 10;
    const LEAST_FOR: Duration = Duration::from_secs(10);
    const PROBE_RTT: Duration = Duration::from_millis(200);

    fn new(now: Instant) -> Bbr {
        Bbr {
            rates: VecDeque::new(),
            round_ends: 0,
            least_rtt: f64::INFINITY,
            least_at: now,
            probes_until: None,
            full: Some((0.0, 0)),
            cycle_began: now,
            cycle: 2,
            credit: 10.0,
            last: now,
        }
    }

    fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    fn window(&self) -> f64 {
        if self.probes_until.is_some() {
            return 4.0;
        }
        let product = self.rate() * self.least_rtt;
        let gain = if self.full.is_some() {
            Self::START_GAIN
        } else {
            Self::WINDOW_GAIN
        };
        if product.is_finite() {
            (gain * product).max(10.0)
        } else {
            10.0
        }
    }

    fn paced(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        let gain = if self.full.is_some() {
            Self::START_GAIN
        } else {
            Self::GAINS[self.cycle]
        };
        self.credit = (self.credit + gain * self.rate() * elapsed).min(10.0);
        self.credit
    }

    fn take_ack(&mut self, rtt: f64, rate: f64, sent_at: u64, delivered: u64, now: Instant) {
        if sent_at >= self.round_ends {
            self.round_ends = delivered;
            self.end_round();
        }
        if let Some(best) = self.rates.back_mut() {
            *best = best.max(rate);
        }
        let is_old = now.saturating_duration_since(self.least_at) > Self::LEAST_FOR;
        if rtt <= self.least_rtt || is_old {
            if is_old && self.probes_until.is_none() && rtt > self.least_rtt {
                self.probes_until = Some(now + Self::PROBE_RTT + Duration::from_secs_f64(rtt));
            }
            self.least_rtt = rtt;
            self.least_at = now;
        }
        if self.probes_until.is_some_and(|until| now >= until) {
            self.probes_until = None;
        }
        if now
            .saturating_duration_since(self.cycle_began)
            .as_secs_f64()
            > self.least_rtt
        {
            self.cycle_began = now;
            self.cycle = (self.cycle + 1) % Self::GAINS.len();
        }
    }

    fn end_round(&mut self) {
        if let Some((best, rounds)) = self.full {
            let rate = self.rate();
            self.full = if rate > 1.25 * best {
                Some((rate, 0))
            } else if rounds >= 2 {
                self.cycle = 1;
                None
            } else {
                Some((best, rounds + 1))
            };
        }
        if self.rates.len() == Self::ROUNDS {
            self.rates.pop_front();
        }
        self.rates.push_back(0.0);
    }
}
