//! Packets that are sent to see whether the way carries them.

use std::time::Instant;

use super::outbox::Outbox;
use super::source::absolute_send_time;
use super::{Engine, SessionKey, SubscriptionKey};
use crate::forward::publication::MediaKind;
use crate::wire::rtp::HeaderWriter;

/// Packets of padding at once.
const MAX_PADDING: usize = 16;
/// Padding repeats the last so many packets in turn.
const PADDING_PACKETS: u64 = 16;
/// The most that a packet without a payload can hold (RFC 3550 section 5.1).
const EMPTY: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};
/// In an RTP header's first byte.
const HAS_PADDING: u8 = 0x20;

impl Engine {
    /// Fills a probe with repeated packets (RFC 4588 allows them at any time); a peer without RTX gets none.
    pub(super) fn send_padding(&mut self, key: SessionKey, now: Instant, outbox: &mut Outbox) {
        let session = &self.sessions[key];
        // What waits fills the probe.
        if !session.estimator.is_probing() || session.pacer.holds() {
            return;
        }
        let Some((subscription, is_sent)) = self.probe_filler(key) else {
            self.sessions[key].estimator.padding(now);
            return;
        };
        for turn in 0..MAX_PADDING as u64 {
            let session = &mut self.sessions[key];
            if session.estimator.padding(now) == 0 || !session.pacer.has_credit(now) {
                return;
            }
            let sent = if is_sent {
                self.pad(subscription, turn % PADDING_PACKETS, now, outbox)
            } else {
                self.pad_with_nothing(subscription, now, outbox)
            };
            if sent.is_none() {
                return;
            }
        }
    }

    /// Whose retransmissions fill a probe, and whether there is something to repeat; none for a peer without RTX.
    pub(super) fn probe_filler(&self, key: SessionKey) -> Option<(SubscriptionKey, bool)> {
        [true, false]
            .into_iter()
            .find_map(|is_sent| Some((self.padded_subscription(key, is_sent)?, is_sent)))
    }

    /// A video with retransmissions by RTX: one that the peer gets, or one that is paused.
    fn padded_subscription(&self, key: SessionKey, is_sent: bool) -> Option<SubscriptionKey> {
        let subscriptions = &self.sessions[key].subscriptions;
        subscriptions.iter().copied().find(|&key| {
            let subscription = &self.subscriptions[key];
            subscription.kind() == MediaKind::Video
                && subscription.settings.rtx_ssrc.is_some()
                && subscription.current().is_some() == is_sent
        })
    }

    /// A packet without a payload in the stream of retransmissions: while every video is paused there is nothing to repeat.
    fn pad_with_nothing(
        &mut self,
        subscriber: SubscriptionKey,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let subscription = &mut self.subscriptions[subscriber];
        let session = &mut self.sessions[subscription.session];
        let ssrc = subscription.settings.rtx_ssrc?;
        let formats = &subscription.settings.formats;
        let payload_type = formats.iter().find_map(|format| format.rtx_payload_type)?;
        let index = subscription.next_rtx_index();
        let timestamp = subscription.last_timestamp();
        let extensions = session.extensions;
        let (path, sender) = session.transport.as_mut()?.outgoing()?;
        let number = session.transport_sequence;
        let slot = outbox.slot();
        let mut writer =
            HeaderWriter::new(slot, false, payload_type, index as u16, timestamp, ssrc);
        if extensions.mid != 0 {
            writer.extension(extensions.mid, subscription.settings.mid.as_bytes());
        }
        if extensions.absolute_send_time != 0 {
            let send_time = absolute_send_time(now.duration_since(self.started));
            writer.extension(extensions.absolute_send_time, &send_time);
        }
        if extensions.transport_wide_cc != 0 {
            writer.extension(extensions.transport_wide_cc, &number.to_be_bytes());
        }
        let header_len = writer.finish();
        slot[0] |= HAS_PADDING;
        let end = header_len + EMPTY.len();
        slot[header_len..end].copy_from_slice(&EMPTY);
        let protected = sender.protect_rtp(slot, end, header_len, index)?;
        #[cfg(test)]
        sender.note_sent(&slot[..protected], index);
        outbox.commit(path.socket, path.remote, protected);
        session.transport_sequence = number.wrapping_add(1);
        session.pacer.extra_sent(protected as u16);
        if extensions.transport_wide_cc != 0 {
            session.estimator.sent(number, protected as u16, now);
        }
        self.counters.packets_padded += 1;
        Some(())
    }
}
