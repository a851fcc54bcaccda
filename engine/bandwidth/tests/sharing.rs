//! Viewers behind one queue: encodings are steps, so shares are what each holds over time.

use std::time::Duration;

use super::network::{Link, Network, Source};
use super::seconds;
use super::tcp::Control;

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

/// The network laboratory's ladder beside a TCP flow, with headers; its best one is nearly the fair share.
const BESIDE_TCP: [f64; 3] = [320e3, 960e3, 1.92e6];

/// What a call and a TCP flow got on 4 Mbit/s, as parts of the fair share, from 12 s after both had begun.
#[derive(Debug)]
struct BesideTcp {
    call: f64,
    tcp: f64,
}

/// Who begins; the other comes after some seconds.
#[derive(Clone, Copy, Debug)]
enum First {
    Call,
    Tcp,
}

fn beside_tcp(
    (control, first): (Control, First),
    queue_ms: u64,
    ladder: &[f64],
    seed: u64,
) -> BesideTcp {
    let link = Link {
        queue: Duration::from_millis(queue_ms),
        jitter: Duration::from_millis(1),
        ..Link::of(4e6)
    };
    let mut network = Network::new(link, seed);
    let wait = Duration::from_millis(3_000 + seed * 130);
    let add = |network: &mut Network, is_call: bool| {
        let source = if is_call {
            Source::call(ladder)
        } else {
            Source::tcp(control)
        };
        let flow = network.add(source);
        network.run(wait);
        flow
    };
    let (call, tcp) = match first {
        First::Call => (add(&mut network, true), add(&mut network, false)),
        First::Tcp => {
            let tcp = add(&mut network, false);
            (add(&mut network, true), tcp)
        }
    };
    network.run(seconds(12));
    network.reset_figures();
    network.run(seconds(36));
    let part = |flow| network.figures(flow).received_bits / 36.0 / 2e6;
    BesideTcp {
        call: part(call),
        tcp: part(tcp),
    }
}

/// Who comes to a queue that is full already does not know how long the way is without it.
#[test]
fn a_call_has_its_share_beside_a_tcp_flow_and_leaves_that_its_own() {
    let larger = [&BESIDE_TCP[..], &[3.6e6]].concat();
    for control in [Control::Cubic, Control::Bbr] {
        for (first, least, mean) in [(First::Call, 0.4, 0.5), (First::Tcp, 0.23, 0.38)] {
            for queue_ms in [100, 200, 300] {
                let what = (control, first);
                let mut calls = 0.0;
                for seed in 1..=20 {
                    let shares = beside_tcp(what, queue_ms, &BESIDE_TCP, seed);
                    let is_fair = shares.call > least && shares.tcp > 0.7;
                    assert!(is_fair, "{what:?}, {queue_ms} ms, {seed}: {shares:?}");
                    calls += shares.call;
                    let shares = beside_tcp(what, queue_ms, &larger, seed);
                    assert!(
                        shares.tcp > 0.6,
                        "{what:?}, {queue_ms} ms, {seed}: {shares:?}"
                    );
                }
                let call = calls / 20.0;
                assert!(call > mean, "{what:?}, {queue_ms} ms: {call}");
            }
        }
    }
}

/// For minutes: it shows again and again that the queue is not the call's own.
#[test]
fn a_call_keeps_its_share_beside_a_long_tcp_flow() {
    for control in [Control::Cubic, Control::Bbr] {
        for seed in 1..=5 {
            let link = Link {
                queue: Duration::from_millis(200),
                ..Link::of(4e6)
            };
            let mut network = Network::new(link, seed);
            let call = network.add(Source::call(&BESIDE_TCP));
            network.run(Duration::from_millis(seed * 1000));
            network.add(Source::tcp(control));
            network.run(seconds(12));
            for minute in 0..5 {
                network.reset_figures();
                network.run(seconds(60));
                let share = network.figures(call).received_bits / 60.0 / 2e6;
                assert!(share > 0.5, "{control:?}, {seed}, minute {minute}: {share}");
            }
        }
    }
}

/// Then the delay decides again: no queue of its own stands, and two calls do not hold each other in the mode.
#[test]
fn a_tcp_flow_that_ends_leaves_a_short_queue() {
    for calls in [1, 2] {
        for seed in 1..=20 {
            let rate = 2.2e6 * f64::from(calls);
            let mut network = Network::new(Link::of(rate), seed);
            // The best one does not fit.
            let ladder = [320e3, 960e3, 2.3e6];
            let calls: Vec<usize> = (0..calls)
                .map(|_| network.add(Source::call(&ladder)))
                .collect();
            network.run(Duration::from_millis(5_000 + seed * 100));
            let tcp = network.add(Source::tcp(Control::Cubic));
            network.run(seconds(20));
            network.stop(tcp);
            network.run(seconds(3));
            network.reset_figures();
            network.run(seconds(30));
            for call in &calls {
                let figures = network.figures(*call);
                let text = format!("{} calls, {seed}: {figures:?}", calls.len());
                // Two that try the best one at the same time fill it for a moment.
                let is_short = figures.longest_queue_ms < 250.0 || calls.len() > 1;
                assert!(is_short, "{text}");
                assert!(figures.lost_share() < 0.01, "{text}");
                assert!(!network.is_competitive(*call), "{text}");
            }
        }
    }
}

/// Less comes there too, and a queue stands; but it is the call's own.
#[test]
fn a_link_that_fades_is_not_taken_for_a_tcp_flow() {
    for (step_ms, queue_ms) in [(400, 500), (400, 1500), (1000, 500), (2500, 1500)] {
        for seed in 1..=20 {
            let link = Link {
                queue: Duration::from_millis(queue_ms),
                jitter: Duration::from_millis(2),
                ..Link::of(3e6)
            };
            let mut network = Network::new(link, seed);
            let call = network.add(Source::call(&[160e3, 530e3, 1.6e6]));
            network.run(Duration::from_millis(10_000 + seed * 100));
            while network.link.rate > 230e3 {
                network.link.rate *= 0.8;
                for _ in 0..step_ms / 100 {
                    network.run(Duration::from_millis(100));
                    assert!(
                        !network.is_competitive(call),
                        "{step_ms}, {queue_ms}, {seed}: {}",
                        network.link.rate
                    );
                }
            }
        }
    }
}

/// A handover makes it: the delay grows at once and for good, as beside a flow that fills a queue.
#[test]
fn a_way_that_becomes_longer_is_learned() {
    for seed in 1..=20 {
        let link = Link {
            jitter: Duration::from_millis(2),
            ..Link::of(5e6)
        };
        let mut network = Network::new(link, seed);
        let call = network.add(Source::call(&[160e3, 530e3, 1.6e6]));
        network.run(Duration::from_millis(10_000 + seed * 300));
        network.link.delay += Duration::from_millis(65);
        network.run(seconds(25));
        assert!(!network.is_competitive(call), "{seed}");
        assert_eq!(network.sending(call), 1.6e6, "{seed}");
        network.run(seconds(60));
        assert!(!network.is_competitive(call), "{seed}");
    }
}
