//! What is due: after each batch of datagrams, and when a timer says so.

use std::time::Instant;

use super::Engine;
use super::outbox::Outbox;
use super::timers::Timer;
use super::turn::Turn;

impl Engine {
    /// Does what is due, and what follows from the datagrams since the last call, the last packets' leaving among it: to be
    /// called after each batch.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.handle_timeout_in_turns(now, &|| now, outbox);
    }

    /// The same, but what would take longer than a turn waits: `next_timeout` is over then.
    pub fn handle_timeout_in_turns(
        &mut self,
        now: Instant,
        clock: &dyn Fn() -> Instant,
        outbox: &mut Outbox,
    ) {
        self.fan_out_burst(now, outbox);
        self.protected_before = self.counters.packets_protected;
        self.handle_told(now, outbox);
        let turn = Turn::begin(clock);
        while let Some(timer) = self.timers.pop_due(now) {
            match self.owner_of(timer) {
                Some(owner) => {
                    self.within_walls(|engine| {
                        engine.at_work = Some(owner);
                        engine.timer_due(timer, now, outbox);
                    });
                }
                None => self.timer_due(timer, now, outbox),
            }
            if turn.is_over() {
                break;
            }
        }
        self.take_turns(now, &Turn::begin(clock), outbox);
    }

    fn timer_due(&mut self, timer: Timer, now: Instant, outbox: &mut Outbox) {
        match timer {
            Timer::Transport(key) => self.transport_due(key, now, outbox),
            Timer::Report(key) => self.report_due(key, now, outbox),
            Timer::Arrivals(key) => self.arrivals_due(key, now, outbox),
            Timer::Encoding(key) => self.encoding_due(key, now, outbox),
            Timer::Cache(key) => self.cache_due(key, now),
            Timer::Bandwidth(key) => self.bandwidth_due(key, now, outbox),
            Timer::Layers(key) => self.layers_due(key, now),
            Timer::Silence(key) => self.silence_due(key, now),
            Timer::Data(key) => self.data_due(key, now),
            Timer::ChannelAck(key) => self.ack_due(key),
        }
        #[cfg(test)]
        if let Some(session) = self.at_work.and_then(|key| self.sessions.get(key)) {
            crate::faults::trip(crate::faults::Point::Timer, &session.id);
        }
    }

    /// When `handle_timeout` is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.has_turns() {
            return Some(self.started);
        }
        self.timers.next()
    }
}
