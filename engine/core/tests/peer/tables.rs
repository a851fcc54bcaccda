//! What control would write of a session's transport, publications and subscriptions.

use super::{PASSWORD, PUBLISHER_SSRC, SUBSCRIBER_SSRC};
use crate::codec::Codec;
use crate::dtls::Certificate;
use crate::link::proto::{self, request};

pub fn apply(table: proto::ApplySession) -> request::Body {
    request::Body::ApplySession(table)
}

pub(super) fn transport(name: &str, certificate: &Certificate) -> proto::Transport {
    proto::Transport {
        local_ufrag: format!("server-{name}"),
        local_password: PASSWORD.into(),
        remote_ufrag: format!("peer-{name}"),
        remote_password: PASSWORD.into(),
        remote_fingerprint: Some(proto::Fingerprint {
            algorithm: proto::HashAlgorithm::Sha256.into(),
            digest: certificate.sha256(),
        }),
        dtls_role: proto::DtlsRole::Passive.into(),
        header_extensions: Vec::new(),
        ..Default::default()
    }
}

pub fn publication(codec: Codec) -> proto::Publication {
    let (kind, codec, clock_rate) = match codec {
        Codec::Opus => (proto::MediaKind::Audio, proto::Codec::Opus, 48_000),
        _ => (proto::MediaKind::Video, proto::Codec::Vp8, 90_000),
    };
    let video = kind == proto::MediaKind::Video;
    proto::Publication {
        publication_id: 1,
        kind: kind.into(),
        mid: "0".into(),
        ssrcs: vec![PUBLISHER_SSRC],
        rtx_ssrcs: Vec::new(),
        formats: vec![proto::PublicationFormat {
            payload_type: 96,
            codec: codec.into(),
            clock_rate,
            rtx_payload_type: None,
            feedback: Some(proto::Feedback {
                nack: video,
                nack_pli: video,
                ccm_fir: false,
                transport_cc: false,
            }),
        }],
        silent_after_ms: 5000,
        encodings: Vec::new(),
    }
}

pub fn subscription() -> proto::Subscription {
    proto::Subscription {
        subscription_id: 1,
        publisher_session_id: "publisher".into(),
        publisher_worker: 0,
        publication_id: 1,
        mid: "0".into(),
        ssrc: SUBSCRIBER_SSRC,
        rtx_ssrc: Some(SUBSCRIBER_SSRC + 1),
        formats: vec![proto::SubscriptionFormat {
            publication_payload_type: 96,
            payload_type: 109,
            rtx_payload_type: Some(121),
        }],
        encoding_choice: None,
    }
}
