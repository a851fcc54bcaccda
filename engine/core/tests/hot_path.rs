//! The pure hot path: packets of video frames to several subscribers, and nothing around it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::super::outbox::{Message, Outbox, Transmit};
use super::super::{Engine, SocketAddr};
use super::peer::{Laboratory, publication, subscription};
use crate::codec::Codec;

const SUBSCRIBERS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const PACKETS_OF_A_FRAME: usize = 10;
/// Frames before the window: all memory that a running call uses has been made by then.
const WARM_UP: usize = 200;
/// Frames of the window: `scripts/count-instructions.mjs` counts on their number.
const FRAMES: usize = 20;
const FRAME_INTERVAL: Duration = Duration::from_millis(33);

struct Nowhere;

impl Transmit for Nowhere {
    fn transmit(&mut self, messages: &mut dyn Iterator<Item = Message<'_>>, arena: &[u8]) {
        for message in messages {
            black_box((message.to, message.datagrams, arena));
        }
    }
}

struct HotCall {
    laboratory: Laboratory,
    outbox: Outbox,
    publisher: SocketAddr,
    now: Instant,
    frames: Vec<Vec<Vec<u8>>>,
}

/// A call with its frames ready to come in.
fn hot_call() -> HotCall {
    let mut laboratory = Laboratory::new();
    let publisher = laboratory.join("publisher", |table| {
        table.publications.push(publication(Codec::Vp8));
    });
    for name in SUBSCRIBERS {
        laboratory.join(name, |table| table.subscriptions.push(subscription()));
    }
    let mut key = [0; 1150];
    key[..super::VP8_KEY.len()].copy_from_slice(super::VP8_KEY);
    let mut delta = [0; 1150];
    delta[..super::VP8_DELTA.len()].copy_from_slice(super::VP8_DELTA);
    let mut sequence = 0;
    let frames = (0..WARM_UP + FRAMES).map(|frame| {
        let packets = (0..PACKETS_OF_A_FRAME).map(|packet| {
            sequence += 1;
            let payload = if frame + packet == 0 { &key } else { &delta };
            laboratory.protect_media(publisher, sequence, frame as u32 * 3000, payload)
        });
        packets.collect()
    });
    let frames = frames.collect();
    HotCall {
        publisher: laboratory.address(publisher),
        now: laboratory.now(),
        laboratory,
        outbox: Outbox::new(Box::new(Nowhere)),
        frames,
    }
}

/// Takes the frames; callgrind counts what happens in here.
#[inline(never)]
fn hot_window(
    engine: &mut Engine,
    outbox: &mut Outbox,
    publisher: SocketAddr,
    start: Instant,
    frames: &mut [Vec<Vec<u8>>],
) {
    let mut now = start;
    for frame in frames {
        now += FRAME_INTERVAL;
        for datagram in frame {
            engine.handle_datagram(now, 0, publisher, datagram, outbox);
        }
        engine.fan_out_burst(now, outbox);
        outbox.flush();
    }
}

#[test]
fn forwarding_allocates_nothing() {
    let mut call = hot_call();
    let engine = &mut call.laboratory.engine;
    let (warm_up, frames) = call.frames.split_at_mut(WARM_UP);
    hot_window(engine, &mut call.outbox, call.publisher, call.now, warm_up);
    let forwarded = call.laboratory.counter("packets_forwarded");
    let start = call.now + FRAME_INTERVAL * WARM_UP as u32;
    let engine = &mut call.laboratory.engine;
    let allocations = allocation_counter::measure(|| {
        hot_window(engine, &mut call.outbox, call.publisher, start, frames);
    });
    let forwarded = call.laboratory.counter("packets_forwarded") - forwarded;
    let expected = FRAMES * PACKETS_OF_A_FRAME * SUBSCRIBERS.len();
    assert_eq!(forwarded, expected as u64);
    assert_eq!(allocations.count_total, 0, "allocations while forwarding");
}

/// For `scripts/count-instructions.mjs`: the window is entered once, with everything warm.
#[test]
fn instructions_are_counted() {
    let mut call = hot_call();
    let engine = &mut call.laboratory.engine;
    let (warm_up, frames) = call.frames.split_at_mut(WARM_UP);
    for frame in warm_up {
        call.now += FRAME_INTERVAL;
        for datagram in frame {
            engine.handle_datagram(call.now, 0, call.publisher, datagram, &mut call.outbox);
        }
        engine.fan_out_burst(call.now, &mut call.outbox);
        call.outbox.flush();
    }
    hot_window(engine, &mut call.outbox, call.publisher, call.now, frames);
}
