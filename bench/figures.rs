//! The figures of one measurement.

use serde_json::{Value, json};

use crate::measuring::Used;

/// What the endpoints of one thread, or of all, saw in a measurement.
#[derive(Default)]
pub struct Part {
    /// What the publishers sent, times the subscribers that asked for it.
    pub expected: u64,
    /// What subscribers received of it.
    pub packets: u64,
    /// What they received again: a server fills its probes with it.
    pub repeated: u64,
    /// Messages for which the generator's own sockets had no room.
    pub dropped: u64,
    pub unreadable: u64,
    /// Packets of another encoding than their subscriber asked for, of those that were decrypted.
    pub astray: u64,
    /// Microseconds from a packet's leaving to its arrival.
    pub latencies: Vec<u32>,
    /// Microseconds by which the generator sent frames too late.
    pub late: Vec<u32>,
}

impl Part {
    /// Takes in what another thread saw.
    pub fn add(&mut self, other: Part) {
        self.expected += other.expected;
        self.packets += other.packets;
        self.repeated += other.repeated;
        self.dropped += other.dropped;
        self.unreadable += other.unreadable;
        self.astray += other.astray;
        self.latencies.extend(other.latencies);
        self.late.extend(other.late);
    }
}

/// What a measurement found.
pub struct Figures {
    pub publishers: usize,
    pub subscribers: usize,
    /// Of each track.
    pub encodings: usize,
    pub part: Part,
    pub used: Used,
    pub bytes_per_subscriber: u64,
}

impl Figures {
    /// Packets that never came, as a part of all; more may come than were expected, of those that were sent before.
    pub fn loss(&self) -> f64 {
        let lost = self.part.expected.saturating_sub(self.part.packets);
        lost as f64 / self.part.expected.max(1) as f64
    }

    /// An error where subscribers did not get the encoding that they asked for: the figures are of another load then.
    pub fn settled(&self) -> Result<(), String> {
        let Part {
            astray, latencies, ..
        } = &self.part;
        match astray {
            0 => Ok(()),
            _ => Err(format!(
                "{astray} of {} packets are not of the encoding that their subscriber asked for",
                latencies.len()
            )),
        }
    }

    /// In microseconds.
    pub fn p99(&mut self) -> u32 {
        percentiles(&mut self.part.latencies)[1]
    }

    /// One line.
    pub fn json(&mut self) -> Value {
        let [p50, p99, p999, worst] = percentiles(&mut self.part.latencies);
        let [late50, late99, ..] = percentiles(&mut self.part.late);
        let Used {
            server,
            generator,
            seconds,
            counts: _,
        } = &self.used;
        let packets = self.part.packets;
        let each = |seconds: f64| round(seconds * 1e6 / packets.max(1) as f64, 1000.0);
        let core = |used: f64| round(used / seconds * 100.0, 10.0);
        let repeated = self.part.repeated as f64 / packets.max(1) as f64;
        let mut line = json!({
            "publishers": self.publishers,
            "subscribersEach": self.subscribers,
            "seconds": round(*seconds, 100.0),
            "packetsPerSecond": (packets as f64 / seconds).round(),
            "lossPercent": round(self.loss() * 100.0, 1000.0),
            "repeatedPercent": round(repeated * 100.0, 10.0),
            "unreadable": self.part.unreadable,
            "cpuUsPerPacket": each(server.all()),
            "cpuUserUsPerPacket": each(server.user),
            "serverCorePercent": core(server.all()),
            "generatorUsPerPacket": each(generator.all()),
            "generatorCorePercent": core(generator.all()),
            "generatorDropped": self.part.dropped,
            "generatorLateUs": { "p50": late50, "p99": late99 },
            "kilobytesPerSubscriber": self.bytes_per_subscriber / 1024,
            "latencyUs": { "p50": p50, "p99": p99, "p999": p999, "worst": worst },
        });
        if self.encodings > 1 {
            line["encodings"] = self.encodings.into();
            line["otherEncoding"] = self.part.astray.into();
        }
        line
    }

    /// What was counted while calls were looked at. CPU figures are not among it: looking costs the server time.
    pub fn counted(&self) -> Option<Value> {
        let (used, counts) = (&self.used, self.used.counts.as_ref()?);
        let packets = self.part.packets.max(1) as f64;
        Some(json!({
            "step": "closer look",
            "publishers": self.publishers,
            "packetsPerSecond": (packets / used.seconds).round(),
            "systemCallsPerPacket": round(counts.system_calls as f64 / packets, 10_000.0),
            "contextSwitchesPerSecond": (counts.switches as f64 / used.seconds).round(),
        }))
    }
}

/// To so many steps of one.
pub fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// p50, p99, p99.9 and the worst; sorts what it is given.
pub fn percentiles(samples: &mut [u32]) -> [u32; 4] {
    samples.sort_unstable();
    let at = |part: f64| {
        let index = (samples.len() as f64 * part) as usize;
        samples.get(index).or(samples.last()).copied().unwrap_or(0)
    };
    [at(0.5), at(0.99), at(0.999), at(1.0)]
}

#[cfg(test)]
mod tests {
    use super::percentiles;

    #[test]
    fn percentiles_are_of_the_samples_that_there_are() {
        let mut samples: Vec<u32> = (0..1000).rev().collect();
        assert_eq!(percentiles(&mut samples), [500, 990, 999, 999]);
        assert_eq!(percentiles(&mut [7]), [7; 4]);
        assert_eq!(percentiles(&mut []), [0; 4]);
    }
}
