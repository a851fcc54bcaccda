//! RTP header extensions (RFC 8285) of a packet on its way: some pass as they are, some are the subscriber's own.

use super::session::ExtensionIds;
use crate::codec::dependency_descriptor;
use crate::wire::rtp::{Header, HeaderWriter};

/// Bytes of an element's value in the one-byte form, at most (RFC 8285 section 4.2).
const ONE_BYTE_VALUE_LEN: usize = 16;

/// Values that pass from the publisher to the subscribers.
#[derive(Clone, Copy, Default)]
pub struct PassedValues<'a> {
    audio_level: Option<&'a [u8]>,
    video_orientation: Option<&'a [u8]>,
    playout_delay: Option<&'a [u8]>,
    /// For the frame's number and whether it can be joined at.
    pub dependency_descriptor: Option<&'a [u8]>,
}

impl<'a> PassedValues<'a> {
    /// Reads them by the publisher's IDs.
    #[inline]
    pub fn read(header: &Header, packet: &'a [u8], ids: &ExtensionIds) -> PassedValues<'a> {
        let mut values = PassedValues::default();
        for (id, value) in header.extensions(packet) {
            let slot = match id {
                0 => continue,
                id if id == ids.audio_level => &mut values.audio_level,
                id if id == ids.video_orientation => &mut values.video_orientation,
                id if id == ids.playout_delay => &mut values.playout_delay,
                id if id == ids.dependency_descriptor => &mut values.dependency_descriptor,
                _ => continue,
            };
            *slot = Some(value);
        }
        values
    }

    /// Selects the form that the values need; to be called before anything is written.
    #[inline]
    pub fn select_form(&self, writer: &mut HeaderWriter<'_>, ids: &ExtensionIds) {
        if self
            .descriptor_for(ids)
            .is_some_and(|value| value.len() > ONE_BYTE_VALUE_LEN)
        {
            writer.two_byte();
        }
    }

    /// Writes them by the subscriber's IDs; `frame_offset` makes frame numbers continuous.
    #[inline]
    pub fn write(&self, writer: &mut HeaderWriter<'_>, ids: &ExtensionIds, frame_offset: u16) {
        for (id, value) in [
            (ids.audio_level, self.audio_level),
            (ids.video_orientation, self.video_orientation),
            (ids.playout_delay, self.playout_delay),
        ] {
            if let (true, Some(value)) = (id != 0, value) {
                writer.extension(id, value);
            }
        }
        if let Some(value) = self.descriptor_for(ids) {
            let written = writer.extension(ids.dependency_descriptor, value);
            dependency_descriptor::renumber(written, frame_offset);
        }
    }

    /// All of a stream's descriptors or none: without those that bring a structure the others say nothing.
    fn descriptor_for(&self, ids: &ExtensionIds) -> Option<&'a [u8]> {
        self.dependency_descriptor
            .filter(|_| ids.mixed && ids.dependency_descriptor != 0)
    }
}
