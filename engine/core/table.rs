//! A session's table as control writes it, checked and turned into the engine's words.
//! The only place that reads `ApplySession`.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::channel_table::{self, ChannelSettings, DataTransportSettings};
use super::session::ExtensionIds;
use crate::codec::Codec;
use crate::dtls::{Fingerprint, HashAlgorithm, Role};
use crate::forward::layer_choice::EncodingChoice;
use crate::forward::publication::{EncodingSettings, Format, MediaKind, PublicationSettings};
use crate::forward::subscription::{FormatMapping, SubscriptionSettings};
use crate::ice::{Credentials, IceRole, MAX_REMOTE_CANDIDATES, RemoteCandidate};
use crate::link::proto;
use crate::transport::TransportSettings;

/// Publications and subscriptions of a session, each of which is a section of its description. Control allows fewer.
const MAX_SECTIONS: usize = 256;
/// Payload types have seven bits.
const MAX_FORMATS: usize = 128;
/// SSRCs of a publication: those of each encoding, of its retransmissions, and of streams that began anew.
const MAX_SSRCS: usize = 64;
/// More than any endpoint sends.
const MAX_ENCODINGS: usize = 8;

/// A table that can be applied.
pub struct Table {
    pub transport: Option<(TransportSettings, ExtensionIds)>,
    pub publications: Vec<PublicationSettings>,
    pub subscriptions: Vec<SubscriptionSettings>,
    pub data_transport: Option<DataTransportSettings>,
    pub channels: Vec<ChannelSettings>,
}

/// Bytes that control may keep with a session.
const MAX_CONTROL_STATE: usize = 64 << 10;

fn check_control_state(state: &[u8]) -> Result<(), String> {
    match state.len() {
        ..=MAX_CONTROL_STATE => Ok(()),
        length => Err(format!(
            "control_state has {length} bytes, of which {MAX_CONTROL_STATE} are allowed"
        )),
    }
}

/// Reads a table.
///
/// # Errors
/// What is wrong with it, for control's developers.
pub fn read(request: &proto::ApplySession) -> Result<Table, String> {
    if request.session_id.is_empty() || request.session_id.len() > 64 {
        return Err("session_id must have 1 to 64 bytes".into());
    }
    if request.publications.len() + request.subscriptions.len() > MAX_SECTIONS {
        return Err(format!(
            "a session has at most {MAX_SECTIONS} publications and subscriptions together"
        ));
    }
    check_control_state(&request.control_state)?;
    let table = Table {
        transport: request.transport.as_ref().map(transport).transpose()?,
        publications: request
            .publications
            .iter()
            .map(publication)
            .collect::<Result<_, _>>()?,
        subscriptions: request
            .subscriptions
            .iter()
            .map(subscription)
            .collect::<Result<_, _>>()?,
        data_transport: (request.data_transport.as_ref())
            .map(channel_table::transport)
            .transpose()?,
        channels: (request.data_channels.iter())
            .map(channel_table::channel)
            .collect::<Result<_, _>>()?,
    };
    let incoming = table.publications.iter().flat_map(|publication| {
        let rtx = publication.rtx_ssrcs.iter().map(|&(rtx, _)| rtx);
        let encodings = publication.encodings.iter();
        encodings
            .flat_map(|encoding| encoding.ssrcs.iter().copied())
            .chain(rtx)
    });
    distinct(incoming, "an incoming SSRC")?;
    let outgoing = table
        .subscriptions
        .iter()
        .flat_map(|subscription| [Some(subscription.ssrc), subscription.rtx_ssrc])
        .flatten();
    distinct(outgoing, "an outgoing SSRC")?;
    distinct(table.publications.iter().map(|p| p.id), "a publication_id")?;
    distinct(
        table.subscriptions.iter().map(|s| s.id),
        "a subscription_id",
    )?;
    distinct(table.channels.iter().map(|c| c.id), "a channel_id")?;
    distinct(
        table.channels.iter().map(|c| c.stream.into()),
        "a stream_id",
    )?;
    Ok(table)
}

fn distinct(numbers: impl Iterator<Item = u32>, what: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for number in numbers {
        if !seen.insert(number) {
            return Err(format!("{what} stands twice: {number}"));
        }
    }
    Ok(())
}

fn transport(transport: &proto::Transport) -> Result<(TransportSettings, ExtensionIds), String> {
    let fingerprint = transport
        .remote_fingerprint
        .as_ref()
        .ok_or("remote_fingerprint is missing")?;
    let (algorithm, length) = match fingerprint.algorithm() {
        proto::HashAlgorithm::Sha256 => (HashAlgorithm::Sha256, 32),
        proto::HashAlgorithm::Sha384 => (HashAlgorithm::Sha384, 48),
        proto::HashAlgorithm::Sha512 => (HashAlgorithm::Sha512, 64),
        proto::HashAlgorithm::Unspecified => return Err("fingerprint has no algorithm".into()),
    };
    if fingerprint.digest.len() != length {
        return Err("fingerprint's digest has another length than its algorithm".into());
    }
    let role = match transport.dtls_role() {
        proto::DtlsRole::Passive => Role::Passive,
        proto::DtlsRole::Active => Role::Active,
        proto::DtlsRole::Unspecified => return Err("dtls_role is missing".into()),
    };
    let ice_role = match transport.ice_role() {
        proto::IceRole::Unspecified => IceRole::Lite,
        proto::IceRole::Full => IceRole::Full,
    };
    if transport.remote_candidates.len() > MAX_REMOTE_CANDIDATES {
        return Err("there are too many remote_candidates".into());
    }
    let settings = TransportSettings {
        local: credentials(&transport.local_ufrag, &transport.local_password)?,
        remote: credentials(&transport.remote_ufrag, &transport.remote_password)?,
        fingerprint: Fingerprint {
            algorithm,
            digest: fingerprint.digest.clone(),
        },
        role,
        ice_role,
        remote_candidates: transport
            .remote_candidates
            .iter()
            .map(remote_candidate)
            .collect::<Result<_, _>>()?,
    };
    let mut extensions = extensions(&transport.header_extensions)?;
    extensions.mixed = transport.mixed_header_extensions;
    Ok((settings, extensions))
}

/// Lengths after RFC 8839 section 5.4.
fn credentials(ufrag: &str, password: &str) -> Result<Credentials, String> {
    if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&password.len()) {
        return Err("an ICE ufrag has 4 to 256 characters, a password 22 to 256".into());
    }
    Ok(Credentials {
        ufrag: ufrag.to_owned(),
        password: password.to_owned(),
    })
}

fn remote_candidate(candidate: &proto::RemoteCandidate) -> Result<RemoteCandidate, String> {
    let ip: IpAddr = candidate
        .ip
        .parse()
        .map_err(|_| "a remote candidate has no IP address")?;
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) {
        return Err("a remote candidate is no unicast address".into());
    }
    let port = match u16::try_from(candidate.port) {
        Ok(port @ 1..) => port,
        _ => return Err("a remote candidate's port must be 1 to 65535".into()),
    };
    // RFC 8445 section 5.1.2.
    if !(1..1 << 31).contains(&candidate.priority) {
        return Err("a remote candidate's priority must be 1 to 2^31 - 1".into());
    }
    Ok(RemoteCandidate {
        address: SocketAddr::new(ip, port),
        priority: candidate.priority,
    })
}

fn extensions(list: &[proto::HeaderExtension]) -> Result<ExtensionIds, String> {
    use proto::HeaderExtensionKind as Kind;
    let mut ids = ExtensionIds::default();
    distinct(
        list.iter().map(|extension| extension.id),
        "a header extension's ID",
    )?;
    for extension in list {
        let id = match u8::try_from(extension.id) {
            Ok(id @ 1..=14) => id,
            _ => return Err("a header extension's ID must be 1 to 14".into()),
        };
        let field = match extension.kind() {
            Kind::Mid => &mut ids.mid,
            Kind::Rid => &mut ids.rid,
            Kind::RepairedRid => &mut ids.repaired_rid,
            Kind::AbsoluteSendTime => &mut ids.absolute_send_time,
            Kind::TransportWideCc => &mut ids.transport_wide_cc,
            Kind::AudioLevel => &mut ids.audio_level,
            Kind::VideoOrientation => &mut ids.video_orientation,
            Kind::PlayoutDelay => &mut ids.playout_delay,
            Kind::DependencyDescriptor => &mut ids.dependency_descriptor,
            Kind::Unspecified => return Err("a header extension has no kind".into()),
        };
        *field = id;
    }
    Ok(ids)
}

fn publication(publication: &proto::Publication) -> Result<PublicationSettings, String> {
    let kind = match publication.kind() {
        proto::MediaKind::Audio => MediaKind::Audio,
        proto::MediaKind::Video => MediaKind::Video,
        proto::MediaKind::Unspecified => return Err("a publication has no kind".into()),
    };
    let of_encodings = publication.encodings.iter().map(|one| one.ssrcs.len());
    let ssrcs = publication.ssrcs.len() + publication.rtx_ssrcs.len() + of_encodings.sum::<usize>();
    if ssrcs > MAX_SSRCS || publication.formats.len() > MAX_FORMATS {
        return Err(format!(
            "a publication has at most {MAX_SSRCS} SSRCs and {MAX_FORMATS} formats"
        ));
    }
    Ok(PublicationSettings {
        id: publication.publication_id,
        kind,
        mid: publication.mid.clone(),
        encodings: encodings(publication)?,
        rtx_ssrcs: publication
            .rtx_ssrcs
            .iter()
            .map(|pair| (pair.rtx_ssrc, pair.ssrc))
            .collect(),
        formats: publication
            .formats
            .iter()
            .map(format)
            .collect::<Result<_, _>>()?,
        silent_after: Duration::from_millis(u64::from(publication.silent_after_ms.max(1000))),
    })
}

fn encodings(publication: &proto::Publication) -> Result<Vec<EncodingSettings>, String> {
    if publication.encodings.is_empty() {
        return Ok(vec![EncodingSettings {
            rid: String::new(),
            ssrcs: publication.ssrcs.clone(),
        }]);
    }
    let encodings = &publication.encodings;
    if !publication.ssrcs.is_empty() || encodings.len() > MAX_ENCODINGS {
        return Err(format!(
            "a publication with encodings has no ssrcs of its own, and at most {MAX_ENCODINGS}"
        ));
    }
    let mut rids: Vec<&str> = encodings.iter().map(|encoding| &encoding.rid[..]).collect();
    rids.sort_unstable();
    rids.dedup();
    if rids.len() < encodings.len() || rids.iter().any(|rid| rid.is_empty() || rid.len() > 255) {
        return Err("each encoding needs a rid of its own, of 1 to 255 bytes".into());
    }
    let settings = encodings.iter().map(|encoding| EncodingSettings {
        rid: encoding.rid.clone(),
        ssrcs: encoding.ssrcs.clone(),
    });
    Ok(settings.collect())
}

fn format(format: &proto::PublicationFormat) -> Result<Format, String> {
    let codec = match format.codec() {
        proto::Codec::Opus => Codec::Opus,
        proto::Codec::Pcmu => Codec::Pcmu,
        proto::Codec::Pcma => Codec::Pcma,
        proto::Codec::Red => Codec::Red,
        proto::Codec::Vp8 => Codec::Vp8,
        proto::Codec::Vp9 => Codec::Vp9,
        proto::Codec::H264 => Codec::H264,
        proto::Codec::H265 => Codec::H265,
        proto::Codec::Av1 => Codec::Av1,
        proto::Codec::VideoRed => Codec::VideoRed,
        proto::Codec::Ulpfec => Codec::UlpFec,
        proto::Codec::Unspecified => return Err("a format has no codec".into()),
    };
    if format.clock_rate == 0 {
        return Err("a format has no clock rate".into());
    }
    let feedback = format.feedback.unwrap_or_default();
    Ok(Format {
        payload_type: payload_type(format.payload_type)?,
        codec,
        clock_rate: format.clock_rate,
        rtx_payload_type: format.rtx_payload_type.map(payload_type).transpose()?,
        nack: feedback.nack,
        pli: feedback.nack_pli,
        fir: feedback.ccm_fir,
    })
}

fn subscription(subscription: &proto::Subscription) -> Result<SubscriptionSettings, String> {
    if subscription.publisher_session_id.len() > 64 || subscription.mid.len() > 255 {
        return Err("a subscription's session ID or mid is too long".into());
    }
    if subscription.formats.len() > MAX_FORMATS {
        return Err(format!("a subscription has at most {MAX_FORMATS} formats"));
    }
    Ok(SubscriptionSettings {
        id: subscription.subscription_id,
        publisher_session_id: subscription.publisher_session_id.clone(),
        publication_id: subscription.publication_id,
        publisher_worker: worker(subscription.publisher_worker)?,
        mid: subscription.mid.clone(),
        ssrc: subscription.ssrc,
        rtx_ssrc: subscription.rtx_ssrc,
        formats: subscription
            .formats
            .iter()
            .map(|format| {
                Ok(FormatMapping {
                    publication_payload_type: payload_type(format.publication_payload_type)?,
                    payload_type: payload_type(format.payload_type)?,
                    rtx_payload_type: format.rtx_payload_type.map(payload_type).transpose()?,
                })
            })
            .collect::<Result<_, String>>()?,
        choice: subscription
            .encoding_choice
            .as_ref()
            .map(|choice| EncodingChoice {
                preferred_rid: choice.preferred_rid.clone(),
                follow_bandwidth: choice.follow_bandwidth,
                replace_unavailable: choice.replace_unavailable,
            }),
    })
}

/// Whether there is such a worker is the engine's to check.
pub fn worker(number: u32) -> Result<u16, String> {
    u16::try_from(number).map_err(|_| format!("there is no worker {number}"))
}

fn payload_type(number: u32) -> Result<u8, String> {
    match u8::try_from(number) {
        Ok(number @ 0..=127) => Ok(number),
        _ => Err("a payload type must be 0 to 127".into()),
    }
}
