//! What the engine counts, and why a packet goes no further. Each reason is counted in one place, once.

macro_rules! discards {
    ($($(#[$doc:meta])* $variant:ident => $name:literal),* $(,)?) => {
        /// Why a packet goes no further.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Discard {
            $($(#[$doc])* $variant,)*
        }

        impl Discard {
            const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

discards! {
    /// None of the protocols of RFC 7983.
    UnknownProtocol => "discarded_unknown_protocol",
    /// No session has this user name.
    UnknownUfrag => "discarded_unknown_ufrag",
    /// An answer to no check that we sent to there, or to one that has been answered.
    UnknownTransaction => "discarded_unknown_transaction",
    /// A check of our own to an unproven address, over the pace of all of them.
    CheckOverPace => "discarded_check_over_pace",
    /// A STUN message without the password.
    StunNotAuthentic => "discarded_stun_not_authentic",
    /// A check from the address of another session's peer, which is heard there.
    AddressHeld => "discarded_address_held",
    /// From an address that no peer proved to be its own.
    UnknownAddress => "discarded_unknown_address",
    /// Before the handshake is done.
    NoKeys => "discarded_no_keys",
    /// Not what its format says.
    Malformed => "discarded_malformed",
    /// Seen before, or too old to tell.
    Replayed => "discarded_replayed",
    /// Wrong authentication tag.
    NotAuthentic => "discarded_not_authentic",
    /// No publication fits.
    UnknownStream => "discarded_unknown_stream",
    /// Feedback that costs more than what the peer was sent allows for.
    FeedbackFlood => "discarded_feedback_flood",
    /// Not among the agreed formats.
    UnknownPayloadType => "discarded_unknown_payload_type",
    /// A packet that came before, by retransmission.
    Duplicate => "discarded_duplicate",
    /// Older than all packets that are kept, so that it may have come before.
    TooOld => "discarded_too_old",
    /// A retransmission stream's packet without a packet in it.
    PaddingOnly => "discarded_padding_only",
    /// The subscriber has no such format.
    FormatNotSubscribed => "discarded_format_not_subscribed",
    /// The subscriber gets another encoding by now.
    OtherEncoding => "discarded_other_encoding",
    /// A key frame of a dearer encoding than the one that the subscriber waits for.
    GaveWay => "discarded_gave_way",
    /// Of a layer that the subscriber does not get.
    LayerNotWanted => "discarded_layer_not_wanted",
    /// It only protects others, and the subscriber takes no such packets, or none that it protects.
    ProtectionNotWanted => "discarded_protection_not_wanted",
    /// It only protects others, and is more than the publisher's media or the moment allows for.
    ProtectionFlood => "discarded_protection_flood",
    /// The subscriber waits for a key frame.
    BeforeKeyFrame => "discarded_before_key_frame",
    /// Older than the first packet that the subscriber got.
    BeforeFirst => "discarded_before_first",
    /// The subscriber is not connected.
    SubscriberNotConnected => "discarded_subscriber_not_connected",
    /// It waited for its turn on a narrow way when another encoding's key frame came, or its video was paused.
    Overtaken => "discarded_overtaken",
    /// It waited for its turn on a narrow way, and was not there any more or had other keys by then.
    HeldTooLong => "discarded_held_too_long",
    /// Too many wait for their turn on a narrow way.
    TooManyHeld => "discarded_too_many_held",
    /// It does not fit, or the cipher refused.
    NotProtected => "discarded_not_protected",
    /// Another worker has not taken what it was handed over: more would be memory without end.
    WorkerBehind => "discarded_worker_behind",
    /// Handed over for a subscription that has just ended.
    MirrorEnded => "discarded_mirror_ended",
    /// Application data that is no SCTP packet which a session expects.
    SctpRejected => "discarded_sctp_rejected",
    /// Not a message as our descriptions allow them: channel establishment, unknown protocol, too long.
    MessageUnusable => "discarded_message_unusable",
    /// No channel has this stream.
    MessageUnknownChannel => "discarded_message_unknown_channel",
    /// From a subscriber that may not reply.
    MessageMayNotReply => "discarded_message_may_not_reply",
    /// For a subscriber whose first message has not come.
    MessageBeforeAck => "discarded_message_before_ack",
    /// Longer than the subscriber takes.
    MessageTooLong => "discarded_message_too_long",
    /// The oldest in an unreliable channel's full queue.
    MessageOvertaken => "discarded_message_overtaken",
    /// The stream was just being closed.
    MessageNotSent => "discarded_message_not_sent",
    /// The oldest that waited for a peer which does not read its TCP connection, and all for a connection that is over.
    Unread => "discarded_unread",
}

/// Counts since the engine's start.
#[derive(Default)]
pub struct Counters {
    /// RTP packets that came, authentic.
    pub packets_received: u64,
    /// RTP packets that went to subscribers, retransmissions not counted.
    pub packets_forwarded: u64,
    /// RTP packets that went to other workers, each worker counted.
    pub packets_handed_over: u64,
    /// Packets sent again.
    pub packets_retransmitted: u64,
    /// Packets asked for again that are not there any more.
    pub packets_asked_in_vain: u64,
    /// Packets asked for again of an encoding that was just left, by peers whose way is full.
    pub packets_not_repaired: u64,
    /// Packets sent again to fill a probe.
    pub packets_padded: u64,
    /// Packets written again, though not sent, to protect them for a subscriber.
    pub packets_protected: u64,
    /// Key frames asked for.
    pub key_frames_requested: u64,
    /// Messages that came on data channels.
    pub messages_received: u64,
    /// Messages that went out on data channels, each subscriber's counted.
    pub messages_delivered: u64,
    /// Panics that ended a session or a worker's sessions, and nothing else.
    pub panics_caught: u64,
    /// Sessions that such a panic ended.
    pub sessions_ended_by_panic: u64,
    /// How often the worker began anew.
    pub worker_restarts: u64,
    discards: Tally,
}

struct Tally([u64; Discard::NAMES.len()]);

// Arrays of over 32 derive no default.
impl Default for Tally {
    fn default() -> Tally {
        Tally([0; Discard::NAMES.len()])
    }
}

impl Counters {
    /// Counts a packet that goes no further.
    #[inline]
    pub fn discard(&mut self, reason: Discard) {
        self.discards.0[reason as usize] += 1;
    }

    /// Counts several.
    pub fn discard_many(&mut self, reason: Discard, count: u64) {
        self.discards.0[reason as usize] += count;
    }

    /// All counts with their names.
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        let mut list = vec![
            ("packets_received", self.packets_received),
            ("packets_forwarded", self.packets_forwarded),
            ("packets_handed_over", self.packets_handed_over),
            ("packets_retransmitted", self.packets_retransmitted),
            ("packets_asked_in_vain", self.packets_asked_in_vain),
            ("packets_not_repaired", self.packets_not_repaired),
            ("packets_padded", self.packets_padded),
            ("packets_protected", self.packets_protected),
            ("key_frames_requested", self.key_frames_requested),
            ("messages_received", self.messages_received),
            ("messages_delivered", self.messages_delivered),
            ("panics_caught", self.panics_caught),
            ("sessions_ended_by_panic", self.sessions_ended_by_panic),
            ("worker_restarts", self.worker_restarts),
        ];
        list.extend(Discard::NAMES.iter().copied().zip(self.discards.0));
        list
    }
}
