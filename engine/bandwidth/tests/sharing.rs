//! Viewers behind one queue: encodings are steps, so shares are what each holds over time.

use std::time::Duration;

use super::network::{Link, Network, Source};
use super::seconds;

/// Of the network laboratory's `two viewers behind 2 Mbit/s`, with headers.
const LADDER: [f64; 3] = [426e3, 852e3, 1.6e6];

/// What two viewers got, from 12 to 36 s after the second one came.
#[derive(Debug)]
struct Shares {
    least: f64,
    bits_per_second: f64,
    dropped: f64,
}

fn two_viewers(seed: u64, queue_ms: u64, apart: Duration) -> Shares {
    let link = Link {
        queue: Duration::from_millis(queue_ms),
        jitter: Duration::from_millis(1),
        ..Link::of(2e6)
    };
    let mut network = Network::new(link, seed);
    let first = network.add(Source::call(&LADDER));
    network.run(apart);
    let second = network.add(Source::call(&LADDER));
    network.run(seconds(12));
    network.reset_figures();
    network.run(seconds(24));
    let figures = [first, second].map(|flow| network.figures(flow));
    let bits = figures.map(|figures| figures.received_bits);
    let sent: u64 = figures.iter().map(|figures| figures.sent).sum();
    let lost: u64 = figures.iter().map(|figures| figures.lost).sum();
    Shares {
        least: bits[0].min(bits[1]) / (bits[0] + bits[1]),
        bits_per_second: (bits[0] + bits[1]) / 24.0,
        dropped: lost as f64 / sent as f64,
    }
}

/// Both fit with the middle encoding. Who got the better one first must not keep it from the other.
#[test]
fn two_viewers_of_encodings_share_a_queue() {
    for queue_ms in [200, 500] {
        let mut used = 0.0;
        for seed in 1..=20 {
            let apart = Duration::from_millis((seed - 1) * 10_000 / 19);
            let shares = two_viewers(seed, queue_ms, apart);
            assert!(
                shares.least >= 0.4 && shares.dropped < 0.04,
                "{queue_ms} ms, {seed}: {shares:?}"
            );
            used += shares.bits_per_second / 2e6 / 20.0;
        }
        assert!(used > 0.8, "{queue_ms} ms: {used}");
    }
}
