//! A subscription as control wrote it.

use crate::forward::layer_choice::EncodingChoice;

/// How one of the publication's payload types is called by the receiving peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormatMapping {
    /// The publisher's number.
    pub publication_payload_type: u8,
    /// The subscriber's.
    pub payload_type: u8,
    /// The subscriber's number for retransmissions.
    pub rtx_payload_type: Option<u8>,
}

/// What control wrote about a subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionSettings {
    /// Given by control.
    pub id: u32,
    /// Whose publication.
    pub publisher_session_id: String,
    /// Which of its publications.
    pub publication_id: u32,
    /// Where the publisher is.
    pub publisher_worker: u16,
    /// The subscriber's mid.
    pub mid: String,
    /// Of the stream that it receives.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Others are not forwarded.
    pub formats: Vec<FormatMapping>,
    /// Which encoding of a simulcast publication; none: the best that the link carries.
    pub choice: Option<EncodingChoice>,
}

impl SubscriptionSettings {
    /// Whether `next` goes on with the same stream, so that its numbers must go on too.
    pub fn continues_as(&self, next: &SubscriptionSettings) -> bool {
        self.id == next.id && self.ssrc == next.ssrc && self.mid == next.mid
    }
}

/// How the peer calls the publisher's payload type.
pub(super) fn find_format(
    formats: &[FormatMapping],
    publication_payload_type: u8,
) -> Option<FormatMapping> {
    formats
        .iter()
        .find(|format| format.publication_payload_type == publication_payload_type)
        .copied()
}
