//! Whole estimators on simulated networks. Each minute of simulated time takes a fraction of a second.

mod choice;
mod network;
mod sharing;
mod tcp;

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::estimator::Estimator;
use crate::wire::rtcp::{Packet, parse};
use network::{Link, Network, Source};
use tcp::Control;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_constant_link_is_used_without_loss_of_its_own() {
    for rate in [500e3, 1e6, 2e6, 5e6] {
        let mut network = Network::new(Link::of(rate), 1);
        let flow = network.add(Source::elastic(rate * 2.0));
        network.run(seconds(20));
        network.reset_figures();
        network.run(seconds(40));
        let figures = network.figures(flow);
        let used = figures.received_bits / 40.0 / rate;
        assert!(used >= 0.85, "{rate}: {figures:?}");
        assert!(figures.lost_share() < 0.02, "{rate}: {figures:?}");
    }
}

const LAYERS: [f64; 3] = [150e3, 500e3, 1.5e6];

#[test]
fn it_goes_down_at_once_with_the_link_and_up_again_when_that_comes_back() {
    let mut network = Network::new(Link::of(3e6), 2);
    let flow = network.add(Source::layered(&LAYERS));
    let to_top = network.run_until(seconds(30), |network| network.sending(flow) == 1.5e6);
    assert!(to_top < seconds(5), "{to_top:?}");
    network.run(seconds(20));
    assert_eq!(network.sending(flow), 1.5e6);

    network.link.rate = 600e3;
    let down = network.run_until(seconds(30), |network| network.sending(flow) < 600e3);
    assert!(down < seconds(2), "{down:?}");
    network.run(seconds(3) - down.min(seconds(3)));
    network.reset_figures();
    network.run(seconds(17));
    let figures = network.figures(flow);
    assert!(figures.longest_queue_ms < 150.0, "{figures:?}");
    let received = figures.received_bits / 17.0;
    assert!(received > 300e3, "{received}");

    network.link.rate = 3e6;
    let up = network.run_until(seconds(30), |network| network.sending(flow) == 1.5e6);
    assert!(up < seconds(15), "{up:?}");
    network.reset_figures();
    network.run(seconds(20));
    let figures = network.figures(flow);
    assert!(figures.lost_share() < 0.02, "{figures:?}");
}

#[test]
fn two_flows_share_a_queue() {
    for seed in 1..4 {
        let mut network = Network::new(Link::of(2e6), seed);
        let first = network.add(Source::elastic(4e6));
        network.run(seconds(10));
        let second = network.add(Source::elastic(4e6));
        network.run(seconds(30));
        network.reset_figures();
        network.run(seconds(60));
        let bits = [first, second].map(|flow| network.figures(flow).received_bits);
        let share = bits[0] / (bits[0] + bits[1]);
        assert!((0.35..0.65).contains(&share), "{share}");
        assert!(bits[0] + bits[1] > 0.8 * 2e6 * 60.0, "{bits:?}");
    }
}

#[test]
fn traffic_that_comes_and_goes_is_given_way_and_followed() {
    let mut network = Network::new(Link::of(2e6), 3);
    let flow = network.add(Source::elastic(4e6));
    network.run(seconds(20));
    let cross = network.add(Source::constant(1e6));
    network.run(seconds(10));
    network.reset_figures();
    network.run(seconds(20));
    let figures = network.figures(flow);
    let beside = figures.received_bits / 20.0;
    assert!((0.6e6..1.05e6).contains(&beside), "{beside}");
    assert!(figures.lost_share() < 0.02, "{figures:?}");
    network.stop(cross);
    network.run(seconds(20));
    network.reset_figures();
    network.run(seconds(10));
    let alone = network.figures(flow).received_bits / 10.0;
    assert!(alone > 1.5e6, "{alone}");
}

#[test]
fn loss_that_is_the_links_own_does_not_starve() {
    for (loss, least) in [(0.05, 1.2e6), (0.1, 0.6e6), (0.2, 0.3e6)] {
        let link = Link {
            loss,
            ..Link::of(2e6)
        };
        let mut network = Network::new(link, 4);
        let flow = network.add(Source::elastic(4e6));
        network.run(seconds(20));
        network.reset_figures();
        network.run(seconds(40));
        let received = network.figures(flow).received_bits / 40.0;
        assert!(received > least, "{loss}: {received}");
    }
}

/// A probe may be among what is lost: the next one finds the room.
#[test]
fn loss_that_is_the_links_own_does_not_keep_a_call_down() {
    for seed in 1..=20 {
        let link = Link {
            loss: 0.05,
            ..Link::of(10e6)
        };
        let mut network = Network::new(link, seed);
        let flow = network.add(Source::call(&LAYERS));
        let up = network.run_until(seconds(20), |network| network.sending(flow) == 1.5e6);
        assert!(up < seconds(12), "{seed}: {up:?}");
        network.run(seconds(10));
        network.reset_figures();
        network.run(seconds(20));
        let received = network.figures(flow).received_bits / 20.0;
        assert!(received > 1.2e6, "{seed}: {received}");
    }
}

#[test]
fn jitter_and_a_short_queue_are_no_congestion() {
    for (jitter, queue) in [(20, 500), (0, 50), (10, 50)] {
        let link = Link {
            jitter: Duration::from_millis(jitter),
            queue: Duration::from_millis(queue),
            ..Link::of(2e6)
        };
        let mut network = Network::new(link, 5);
        let flow = network.add(Source::elastic(4e6));
        network.run(seconds(20));
        network.reset_figures();
        network.run(seconds(40));
        let figures = network.figures(flow);
        let used = figures.received_bits / 40.0 / 2e6;
        assert!(used > 0.7, "{jitter} ms, queue {queue} ms: {used}");
        assert!(
            figures.lost_share() < 0.02,
            "{jitter}, {queue}: {figures:?}"
        );
    }
}

#[test]
fn room_is_found_with_little_padding() {
    let mut network = Network::new(Link::of(1e6), 6);
    let flow = network.add(Source::layered(&LAYERS));
    network.run(seconds(60));
    let figures = network.figures(flow);
    assert_eq!(network.sending(flow), 500e3);
    let padding = figures.padding_bits / figures.received_bits;
    assert!(padding < 0.1, "{figures:?}");
}

#[test]
fn a_tcp_flow_does_not_starve_it() {
    for control in [Control::Cubic, Control::Bbr] {
        for queue in [100, 300] {
            let link = Link {
                queue: Duration::from_millis(queue),
                ..Link::of(4e6)
            };
            let mut network = Network::new(link, 7);
            let flow = network.add(Source::elastic(8e6));
            network.run(seconds(10));
            let tcp = network.add(Source::tcp(control));
            network.run(seconds(20));
            network.reset_figures();
            network.run(seconds(60));
            let rates = [flow, tcp].map(|flow| network.figures(flow).received_bits / 60.0);
            assert!(rates[0] > 0.25 * 2e6, "{control:?}, {queue}: {rates:?}");
            assert!(rates[1] > 0.25 * 2e6, "{control:?}, {queue}: {rates:?}");
        }
    }
}

/// Encodings cannot follow the estimate, and nobody sends more than the best one: what is used depends on whether
/// that is found to fit, and held.
#[test]
fn a_call_gets_the_best_encoding_that_a_constant_link_carries() {
    for rate in [500e3, 1e6, 2e6, 5e6] {
        for part in [0.5, 0.6, 0.7, 0.8, 0.85, 0.9] {
            let best = part * rate - 50e3;
            let mut network = Network::new(Link::of(rate), 1);
            let flow = network.add(Source::call(&[0.1 * rate, 0.3 * rate, best]));
            let up = network.run_until(seconds(10), |network| network.sending(flow) == best);
            assert!(up < seconds(3), "{rate}, {part}: {up:?}");
            network.run(seconds(10));
            network.reset_figures();
            network.run(seconds(30));
            let figures = network.figures(flow);
            let used = figures.received_bits / 30.0 / rate;
            assert!(used > 0.98 * part, "{rate}, {part}: {used}, {figures:?}");
            assert!(figures.lost_share() < 0.02, "{rate}, {part}: {figures:?}");
            assert!(figures.longest_queue_ms < 150.0, "{figures:?}");
        }
    }
}

/// One that the link does not carry is tried at times, and left before its queue is long.
#[test]
fn an_encoding_that_does_not_fit_makes_no_loss() {
    for rate in [500e3, 1e6, 2e6, 5e6] {
        for part in [0.95, 1.0, 1.1, 1.5] {
            let mut network = Network::new(Link::of(rate), 1);
            let ladder = [0.1 * rate, 0.3 * rate, part * rate - 50e3];
            let flow = network.add(Source::call(&ladder));
            network.run(seconds(60));
            let figures = network.figures(flow);
            assert!(figures.received_bits / 60.0 > 0.3 * rate, "{figures:?}");
            assert!(figures.lost_share() < 0.02, "{rate}, {part}: {figures:?}");
            assert!(
                figures.longest_queue_ms < 300.0,
                "{rate}, {part}: {figures:?}"
            );
        }
    }
}

/// A viewer on a slow link begins with what that carries, and one on a fast link is soon at the best.
#[test]
fn the_first_seconds_fit_any_link() {
    for (rate, expected) in [(300e3, 150e3), (700e3, 500e3), (3e6, 1.5e6), (20e6, 1.5e6)] {
        let mut network = Network::new(Link::of(rate), 1);
        let flow = network.add(Source::call(&LAYERS));
        assert_eq!(network.sending(flow), 150e3, "the least one first");
        let reached = network.run_until(seconds(5), |n| n.sending(flow) == expected);
        assert!(reached < seconds(2), "{rate}: {reached:?}");
        network.run(seconds(10));
        assert_eq!(network.sending(flow), expected);
        let figures = network.figures(flow);
        assert!(figures.lost_share() < 0.01, "{rate}: {figures:?}");
        assert!(figures.longest_queue_ms < 350.0, "{rate}: {figures:?}");
    }
}

/// Feedback with any statuses, as bytes.
fn lie(base: u16, count: u16, reference: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    packet.extend_from_slice(&base.to_be_bytes());
    packet.extend_from_slice(&count.to_be_bytes());
    packet.extend_from_slice(&(reference << 8).to_be_bytes());
    packet.extend_from_slice(body);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}

proptest! {
    #[test]
    fn feedback_that_lies_moves_the_estimate_within_bounds_and_makes_little_padding(
        lies in prop::collection::vec(
            (any::<u16>(), 0..2000_u16, any::<u32>(), prop::collection::vec(any::<u8>(), 0..200), any::<u64>(), 0..2000_u64),
            1..60,
        ),
    ) {
        let mut now = Instant::now();
        let mut estimator = Estimator::new(now);
        estimator.set_wanted(5_000_000);
        let mut number = 0_u16;
        let (mut media, mut padding) = (0_usize, 0);
        for (base, count, reference, body, remb, wait) in lies {
            for _ in 0..wait / 10 {
                now += Duration::from_millis(10);
                estimator.sent(number, 1000, now);
                number = number.wrapping_add(1);
                media += 1000;
                padding += estimator.padding(now).min(5000);
            }
            let near = number.wrapping_sub(base % 512);
            let bytes = lie(near, count, reference, &body);
            for packet in parse(&bytes) {
                match packet {
                    Ok(Packet::TransportFeedback(feedback)) => estimator.feedback(&feedback, now),
                    _ => prop_assert!(false, "not read"),
                }
            }
            if remb % 7 == 0 {
                estimator.remb(remb);
            }
            estimator.tick(now);
            if let Some(rate) = estimator.bits_per_second(now) {
                prop_assert!((30_000..=1_000_000_000).contains(&rate));
            }
        }
        prop_assert!(padding <= media + 32 * 1024, "{padding} of {media}");
    }
}
