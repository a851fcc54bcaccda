//! RED of video (RFC 2198): what came in RED is known by what is in it, and goes out in RED to those who take that.

use super::counters::Discard;
use super::extensions::PassedValues;
use super::session::ExtensionIds;
use super::{EncodingKey, Engine};
use crate::codec::{Codec, red};
use crate::forward::publication::{Format, Publication};
use crate::wire::rtp::Header;

/// What is in a packet: its own payload, or the primary block of its RED.
#[derive(Clone, Copy)]
pub(super) struct Content<'p, 'a> {
    pub format: &'p Format,
    pub payload: &'a [u8],
    /// The publisher's payload type of the RED around it.
    pub red: Option<u8>,
}

impl<'p, 'a> Content<'p, 'a> {
    #[inline]
    pub fn read(
        publication: &'p Publication,
        header: &Header,
        packet: &'a [u8],
    ) -> Result<Content<'p, 'a>, Discard> {
        let payload = header.payload(packet).map_err(|_| Discard::Malformed)?;
        let format = publication
            .format(header.payload_type)
            .ok_or(Discard::UnknownPayloadType)?;
        if format.codec == Codec::VideoRed {
            return Content::unwrap(publication, format, payload);
        }
        Ok(Content {
            format,
            payload,
            red: None,
        })
    }

    /// What passes on from the header; what protects others has their frame's values, but is no part of it.
    #[inline]
    pub fn passed_values(
        &self,
        header: &Header,
        packet: &'a [u8],
        extensions: &ExtensionIds,
    ) -> PassedValues<'a> {
        match self.format.codec {
            Codec::UlpFec => PassedValues::default(),
            _ => PassedValues::read(header, packet, extensions),
        }
    }

    /// Blocks before the primary one repeat older packets, under no number by which they could be told: they are left.
    fn unwrap(
        publication: &'p Publication,
        wrapper: &Format,
        payload: &'a [u8],
    ) -> Result<Content<'p, 'a>, Discard> {
        let red = Some(wrapper.payload_type);
        let mut formats = publication.settings.formats.iter();
        let (format, payload) = if payload.is_empty() {
            // Padding, which may come in any format.
            (formats.find(|format| format.codec.is_media()), payload)
        } else {
            let (inner, block) = red::primary(payload).ok_or(Discard::Malformed)?;
            (publication.format(inner), block)
        };
        let format = format
            .filter(|format| format.codec != Codec::VideoRed)
            .ok_or(Discard::UnknownPayloadType)?;
        Ok(Content {
            format,
            payload,
            red,
        })
    }
}

impl Engine {
    /// A packet that was lost and has come again: a peer that protects its packets does so by what is lost before that.
    pub(super) fn report_as_lost(&mut self, key: EncodingKey) {
        let encoding = &mut self.encodings[key];
        let publication = &self.publications[encoding.publication];
        if let Some(reception) = &mut encoding.reception
            && publication.protection().is_some()
        {
            reception.uncount();
        }
    }
}
