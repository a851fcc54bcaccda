//! Data channels (RFC 8831) as far as one session needs them: messages on the streams of an SCTP association.
//!
//! Who gets whose messages is `core`'s business. Only `sctp` knows the crate that speaks the protocol.

use std::time::Instant;

use bytes::Bytes;

mod gate;
mod queue;
mod sctp;

pub use queue::{Pushed, Queue};
pub use sctp::SctpAssociation;

/// Streams of an association, in each direction: more than control gives out, and few enough that a peer
/// which opens all of them costs nothing.
pub const STREAMS: u16 = 512;
/// Our own SCTP port (a=sctp-port), as in our descriptions.
pub const SCTP_PORT: u16 = 5000;
/// The largest message that passes, as our descriptions say (a=max-message-size).
pub const MAX_MESSAGE: usize = 262_144;

/// Text and binary are told apart by the payload protocol identifier (RFC 8831 section 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// One message, shared by all that it is queued for. Empty ones are messages too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What the bytes are.
    pub kind: MessageKind,
    /// At most `MAX_MESSAGE`.
    pub bytes: Bytes,
}

/// How hard it is tried to bring a message to the peer (RFC 3758).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reliability {
    /// Until it is there.
    Reliable,
    /// It is sent again at most so often.
    MaxRetransmits(u32),
    /// It is sent again for so many milliseconds.
    MaxLifetime(u32),
}

/// How messages on a stream are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamSettings {
    /// Whether a lost message holds up the later ones.
    pub ordered: bool,
    /// How hard it is tried.
    pub reliability: Reliability,
}

/// What happened on an association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssociationEvent {
    /// Messages can be sent.
    Connected,
    /// It will carry nothing any more.
    Closed,
    /// The peer closed the stream (RFC 8831 section 6.7).
    StreamClosed(u16),
}

/// What came on a stream.
#[derive(PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// Something of the channel establishment protocol, of an unknown protocol, or too long.
    Unusable,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejected;

/// One SCTP association over one DTLS connection. Either side may begin it (RFC 8831 section 5).
pub trait Association: Send {
    /// DTLS is up: begins by itself, unless the peer does so soon. Browsers do.
    fn begin(&mut self, now: Instant);
    /// Takes a packet of the peer.
    ///
    /// # Errors
    /// It is not well formed, or would cost more than any honest peer's packet.
    fn handle_packet(&mut self, now: Instant, packet: Bytes) -> Result<(), Rejected>;
    /// Lets time pass.
    fn handle_timeout(&mut self, now: Instant);
    /// When `handle_timeout` is due.
    fn next_timeout(&self) -> Option<Instant>;
    /// The next thing that happened.
    fn poll_event(&mut self) -> Option<AssociationEvent>;
    /// The next packet for the peer.
    fn poll_packet(&mut self, now: Instant) -> Option<Bytes>;
    /// Opens a stream, at once or as soon as an old one with its number is gone.
    fn open(&mut self, stream: u16, settings: StreamSettings);
    /// Closes a stream once the peer has acknowledged what is on its way.
    fn close(&mut self, stream: u16);
    /// What came next, and on which stream. What is not read keeps the peer from sending more.
    fn read(&mut self) -> Option<(u16, Incoming)>;
    /// Sends a message on a stream; false when the stream is not open.
    fn write(&mut self, stream: u16, message: &Message) -> bool;
    /// Bytes of the stream's messages that the peer has not acknowledged; none while it is not open.
    fn buffered(&mut self, stream: u16) -> Option<usize>;
}

#[cfg(test)]
mod tests;
