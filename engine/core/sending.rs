//! A packet as one subscriber is to see it: written into the outbox and protected.

use super::counters::Discard;
use super::outbox::{Outbox, SLOT_LEN};
use super::session::{ExtensionIds, Session};
use super::source::Source;
use crate::codec::{self, Codec, PictureOffsets};
use crate::forward::repeats::{Leaving, Seal, Sent};
use crate::forward::subscription::{Rewritten, Subscription};
use crate::srtp;
use crate::wire::rtp::HeaderWriter;

/// Which copy of a packet a peer is sent.
pub(super) enum Copy {
    First,
    /// Again, in the stream of retransmissions.
    Rtx(Rtx),
    /// Again, as it was.
    Plain(Sent),
}

/// The stream of a retransmission (RFC 4588 section 4).
pub(super) struct Rtx {
    pub payload_type: u8,
    pub ssrc: u32,
    pub index: u64,
}

/// What a header says beside what comes from the packet and its rewriting.
pub(super) struct Shape<'a> {
    pub payload_type: u8,
    pub ssrc: u32,
    pub number: u16,
    pub mid: &'a str,
    pub leaving: &'a Leaving,
    pub extensions: &'a ExtensionIds,
}

/// Writes the header as a subscriber is to see it and gives its length.
#[inline]
pub(super) fn write_header(
    slot: &mut [u8],
    source: &Source<'_>,
    rewritten: &Rewritten,
    shape: &Shape<'_>,
) -> usize {
    let Shape {
        extensions,
        leaving,
        ..
    } = *shape;
    let mut writer = HeaderWriter::new(
        slot,
        source.header.marker || rewritten.ends_picture,
        shape.payload_type,
        shape.number,
        rewritten.timestamp,
        shape.ssrc,
    );
    source.values.select_form(&mut writer, extensions);
    if extensions.mid != 0 && leaving.names_mid {
        writer.extension(extensions.mid, shape.mid.as_bytes());
    }
    if extensions.absolute_send_time != 0 {
        writer.extension(extensions.absolute_send_time, &leaving.send_time);
    }
    if extensions.transport_wide_cc != 0 {
        writer.extension(extensions.transport_wide_cc, &leaving.number.to_be_bytes());
    }
    source.values.write(
        &mut writer,
        extensions,
        rewritten.picture_offsets.frame_number,
    );
    writer.finish()
}

/// Writes the payload with the subscriber's picture numbers.
#[inline]
pub(super) fn write_payload(slot: &mut [u8], payload: &[u8], codec: Codec, rewritten: &Rewritten) {
    slot.copy_from_slice(payload);
    if rewritten.picture_offsets != PictureOffsets::default() {
        codec::renumber(codec, slot, rewritten.picture_offsets);
    }
}

/// Writes the packet as this subscriber is to see it into the outbox, protected.
#[inline]
pub(super) fn send(
    source: &Source<'_>,
    rewritten: &Rewritten,
    copy: Copy,
    subscription: &mut Subscription,
    session: &mut Session,
    outbox: &mut Outbox,
) -> Result<(), Discard> {
    let extensions = session.extensions;
    let (path, sender) = session
        .transport
        .as_mut()
        .and_then(|transport| transport.outgoing())
        .ok_or(Discard::SubscriberNotConnected)?;
    let is_rtx = matches!(copy, Copy::Rtx(_));
    let (payload_type, ssrc, index) = match &copy {
        Copy::Rtx(rtx) => (rtx.payload_type, rtx.ssrc, rtx.index),
        Copy::First | Copy::Plain(_) => (
            rewritten.red.unwrap_or(rewritten.payload_type),
            subscription.settings.ssrc,
            rewritten.index,
        ),
    };
    let leaving = match &copy {
        Copy::Plain(sent) => sent.leaving,
        Copy::First | Copy::Rtx(_) => {
            let number = session.transport_sequence;
            session.transport_sequence = number.wrapping_add(1);
            Leaving {
                number,
                send_time: source.send_time,
                names_mid: subscription.names_mid() || is_rtx,
            }
        }
    };
    let slot = outbox.slot();
    let shape = Shape {
        payload_type,
        ssrc,
        number: index as u16,
        mid: &subscription.settings.mid,
        leaving: &leaving,
        extensions: &extensions,
    };
    let header_len = write_header(slot, source, rewritten, &shape);
    let mut length = header_len;
    if is_rtx {
        let original = (rewritten.index as u16).to_be_bytes();
        slot[length..length + 2].copy_from_slice(&original);
        length += 2;
    }
    let payload = if rewritten.is_empty {
        &[]
    } else {
        source.payload
    };
    if rewritten.red.is_some() && !payload.is_empty() {
        // A RED header of one block (RFC 2198 section 3).
        slot[length] = rewritten.payload_type;
        length += 1;
    }
    let end = length + payload.len();
    if end + srtp::MAX_OVERHEAD > SLOT_LEN {
        return Err(Discard::NotProtected);
    }
    let is_as_it_was = length == header_len
        && rewritten.picture_offsets == PictureOffsets::default()
        && source.codec != Codec::Red;
    let protected = if is_as_it_was {
        // Encrypted from where it lies.
        sender.protect_rtp_from(slot, header_len, payload, index)
    } else {
        write_payload(&mut slot[length..end], payload, source.codec, rewritten);
        if source.codec == Codec::Red {
            codec::red::rewrite_block_payload_types(&mut slot[length..end], |block| {
                Some(subscription.format(block)?.payload_type)
            });
        }
        sender.protect_rtp(slot, end, header_len, index)
    };
    let protected = protected.ok_or(Discard::NotProtected)?;
    let is_first = matches!(copy, Copy::First);
    let seal = slot[..protected]
        .last_chunk::<{ size_of::<Seal>() }>()
        .copied()
        .unwrap_or_default();
    if let Copy::Plain(sent) = &copy
        && sent.seal != seal
    {
        // Something else than was sent under this nonce.
        return Err(Discard::NotProtected);
    }
    #[cfg(test)]
    sender.note_sent(&slot[..protected], index);
    outbox.commit_near(&mut session.chain, path.socket, path.remote, protected);
    let size = protected as u16;
    if is_first {
        session.pacer.media_sent(size);
        if let Some(repeats) = &mut subscription.repeats {
            repeats.sent(extensions, index, Sent { leaving, seal });
        }
    } else {
        session.pacer.extra_sent(size);
    }
    // A plain repeat arrives, if at all, under the number of the packet that it repeats.
    if extensions.transport_wide_cc != 0 && (is_first || is_rtx) {
        session.estimator.sent(leaving.number, size, source.now);
    }
    if !is_rtx {
        subscription.packet_count = subscription.packet_count.wrapping_add(1);
        let octets = payload.len() as u32;
        subscription.octet_count = subscription.octet_count.wrapping_add(octets);
    }
    Ok(())
}
