//! Which stream an incoming packet belongs to: of an SSRC that nobody announced, and of a retransmission.

use super::counters::Discard;
use super::session::{IncomingStream, Session};
use super::{EncodingKey, PublicationKey};
use crate::forward::encoding::Encoding;
use crate::forward::publication::Publication;
use crate::wire::rtp::Header;

/// Finds the stream of an SSRC that was not announced: by its mid (RFC 9143 section 9.2), or by its payload
/// type where only one publication has it; with simulcast also by its rid (RFC 8852). `turn` is the packet's place among all.
pub(super) fn learn_stream(
    session: &mut Session,
    (publications, encodings): (
        &slotmap::SlotMap<PublicationKey, Publication>,
        &slotmap::SlotMap<EncodingKey, Encoding>,
    ),
    header: &Header,
    packet: &[u8],
    turn: u64,
) -> Result<IncomingStream, Discard> {
    let ids = session.extensions;
    let value_of = |wanted: u8| {
        let found = header.extensions(packet).find(|&(id, _)| id == wanted);
        found.filter(|_| wanted != 0).map(|(_, value)| value)
    };
    let mid = value_of(ids.mid);
    let sends = |publication: &Publication| {
        publication.format(header.payload_type).is_some()
            || publication.repaired_format(header.payload_type).is_some()
    };
    let mut fitting = session.publications.iter().copied().filter(|&key| {
        let publication = &publications[key];
        sends(publication) && mid.is_none_or(|mid| publication.settings.mid.as_bytes() == mid)
    });
    let key = fitting.next().ok_or(Discard::UnknownStream)?;
    if fitting.next().is_some() {
        return Err(Discard::UnknownStream);
    }
    let publication = &publications[key];
    let is_repair = publication.format(header.payload_type).is_none();
    let rid = value_of(if is_repair { ids.repaired_rid } else { ids.rid });
    let encoding = match &publication.encodings[..] {
        [only] => Some(*only),
        several => several
            .iter()
            .copied()
            .find(|&encoding| rid.is_some_and(|rid| encodings[encoding].rid.as_bytes() == rid)),
    };
    let stream = IncomingStream {
        encoding: encoding.ok_or(Discard::UnknownStream)?,
        repairs: is_repair.then_some(None),
        is_learned: true,
        newest: turn,
    };
    session.learn(header.ssrc, stream);
    Ok(stream)
}

/// Makes the original packet out of a retransmission, in place (RFC 4588 section 4).
pub(super) fn restore<'a>(
    publication: &Publication,
    repaired_ssrc: Option<u32>,
    mut header: Header,
    packet: &'a mut [u8],
) -> Result<(Header, &'a mut [u8]), Discard> {
    let ssrc = repaired_ssrc.ok_or(Discard::UnknownStream)?;
    let payload_type = publication
        .repaired_format(header.payload_type)
        .ok_or(Discard::UnknownPayloadType)?
        .payload_type;
    let payload = header.payload(packet).map_err(|_| Discard::Malformed)?;
    let Some((&[high, low], _)) = payload.split_first_chunk::<2>() else {
        return Err(Discard::PaddingOnly);
    };
    header.sequence_number = u16::from_be_bytes([high, low]);
    header.payload_type = payload_type;
    header.ssrc = ssrc;
    packet.copy_within(..header.header_len, 2);
    let packet = &mut packet[2..];
    packet[1] = packet[1] & 0x80 | payload_type;
    packet[2..4].copy_from_slice(&[high, low]);
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    Ok((header, packet))
}
