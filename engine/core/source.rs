//! A packet on its way to its subscribers: what is the same for all of them.

use std::time::{Duration, Instant};

use super::extensions::PassedValues;
use super::redundancy::Content;
use super::session::ExtensionIds;
use crate::codec::Codec;
use crate::forward::publication::Publication;
use crate::forward::subscription::Subscription;
use crate::wire::rtp::Header;

/// A packet on its way to its subscribers.
pub(super) struct Source<'a> {
    pub header: &'a Header,
    /// The publisher's, of what is in `payload`.
    pub payload_type: u8,
    pub payload: &'a [u8],
    pub codec: Codec,
    /// The publisher's payload type of the RED that it came in.
    pub red: Option<u8>,
    pub clock_rate: u32,
    pub values: PassedValues<'a>,
    pub send_time: [u8; 3],
    pub now: Instant,
}

impl<'a> Source<'a> {
    #[inline]
    pub fn new(
        header: &'a Header,
        packet: &'a [u8],
        content: &Content<'_, 'a>,
        extensions: &ExtensionIds,
        started: Instant,
        now: Instant,
    ) -> Source<'a> {
        Source {
            header,
            payload_type: content.format.payload_type,
            payload: content.payload,
            codec: content.format.codec,
            red: content.red,
            clock_rate: content.format.clock_rate,
            values: content.passed_values(header, packet, extensions),
            send_time: absolute_send_time(now.duration_since(started)),
            now,
        }
    }

    /// A packet of the cache, as it came.
    pub fn kept(
        header: &'a Header,
        packet: &'a [u8],
        publication: &Publication,
        extensions: &ExtensionIds,
        started: Instant,
        now: Instant,
    ) -> Option<Source<'a>> {
        let content = Content::read(publication, header, packet).ok()?;
        Some(Source::new(
            header, packet, &content, extensions, started, now,
        ))
    }

    /// The same with something else in it.
    pub fn with_payload<'b>(&self, payload: &'b [u8]) -> Source<'b>
    where
        'a: 'b,
    {
        Source { payload, ..*self }
    }

    /// The payload type of the RED that it goes out in, where it came in RED and the peer takes that.
    #[inline]
    pub fn red_for(&self, subscription: &Subscription) -> Option<u8> {
        let red = self.red.and_then(|red| subscription.format(red));
        red.map(|red| red.payload_type)
    }
}

/// 24 bits of seconds in 6.18 fixed point (the abs-send-time extension of WebRTC).
pub(super) fn absolute_send_time(since_start: Duration) -> [u8; 3] {
    let fixed = (since_start.as_micros() << 18) / 1_000_000;
    let [_, a, b, c] = (fixed as u32).to_be_bytes();
    [a, b, c]
}
