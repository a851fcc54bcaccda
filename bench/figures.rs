//! The figures of one measurement.

use serde_json::{Value, json};

use crate::process::Cpu;

/// What a measurement found.
pub struct Figures {
    pub publishers: usize,
    pub subscribers: usize,
    pub seconds: f64,
    /// What the publishers sent, times their subscribers.
    pub expected: u64,
    /// What subscribers received.
    pub packets: u64,
    pub unreadable: u64,
    pub server: Cpu,
    pub generator: Cpu,
    pub bytes_per_subscriber: u64,
    /// p50, p99, p99.9 and the worst, in microseconds.
    pub latency: [u32; 4],
}

impl Figures {
    /// Packets that never came, as a part of all; more may come than were expected, when some are sent twice.
    pub fn loss(&self) -> f64 {
        let lost = self.expected.saturating_sub(self.packets);
        lost as f64 / self.expected.max(1) as f64
    }

    pub fn rate(&self) -> f64 {
        self.packets as f64 / self.seconds
    }

    /// One line.
    pub fn json(&self) -> Value {
        let each = |seconds: f64| round(seconds * 1e6 / self.packets.max(1) as f64, 1000.0);
        let [p50, p99, p999, worst] = self.latency;
        json!({
            "publishers": self.publishers,
            "subscribersEach": self.subscribers,
            "seconds": round(self.seconds, 100.0),
            "packetsPerSecond": self.rate().round(),
            "lossPercent": round(self.loss() * 100.0, 1000.0),
            "unreadable": self.unreadable,
            "cpuUsPerPacket": each(self.server.all()),
            "cpuUserUsPerPacket": each(self.server.user),
            "serverCorePercent": round(self.server.all() / self.seconds * 100.0, 10.0),
            "generatorUsPerPacket": each(self.generator.all()),
            "generatorCorePercent": round(self.generator.all() / self.seconds * 100.0, 10.0),
            "kilobytesPerSubscriber": self.bytes_per_subscriber / 1024,
            "latencyUs": { "p50": p50, "p99": p99, "p999": p999, "worst": worst },
        })
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
