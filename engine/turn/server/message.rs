//! STUN messages (RFC 8489) beyond what the crate `stun-types` does: integrity by our keys, and answers.

use std::net::SocketAddr;

use aws_lc_rs::{constant_time, hmac};
use stun_types::AddressFamily;
use stun_types::attribute::{
    ErrorCode, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithmValue,
    PasswordAlgorithms, Realm, UnknownAttributes, XorMappedAddress,
};
use stun_types::message::{
    Message, MessageClass, MessageType, MessageWriteMutSlice, StunParseError, TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, Data, DontFragment, EvenPort,
    Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
    XorRelayedAddress,
};

use crate::credentials::REALM;

/// An attribute that is there and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a datagram that is one whole message and nothing behind it.
pub fn parse(datagram: &[u8]) -> Option<Message<'_>> {
    let length = usize::from(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
    if datagram.len() != 20 + length || !length.is_multiple_of(4) {
        return None;
    }
    Message::from_bytes(datagram).ok()
}

/// The first attribute of a kind (RFC 8489 section 14: others of it are ignored).
pub fn optional<'a, A>(message: &'a Message<'a>) -> Result<Option<A>, Malformed>
where
    A: AttributeFromRaw<'a> + AttributeStaticType,
{
    match message.attribute::<A>() {
        Ok(attribute) => Ok(Some(attribute)),
        Err(StunParseError::MissingAttribute(_)) => Ok(None),
        Err(_) => Err(Malformed),
    }
}

/// Which integrity a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityKind {
    /// MESSAGE-INTEGRITY (RFC 8489 section 14.5).
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256 (RFC 8489 section 14.6).
    Sha256,
}

/// How to sign an answer: as the request was.
#[derive(Clone)]
pub struct SigningKey {
    kind: IntegrityKind,
    key: hmac::Key,
}

impl SigningKey {
    /// A key of a credential for one kind of integrity.
    pub fn new(kind: IntegrityKind, key: &[u8]) -> SigningKey {
        let algorithm = match kind {
            IntegrityKind::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            IntegrityKind::Sha256 => hmac::HMAC_SHA256,
        };
        SigningKey {
            kind,
            key: hmac::Key::new(algorithm, key),
        }
    }

    /// The MAC over a message up to its integrity, whose length field counts the integrity (RFC 8489 section 14.5).
    fn mac(&self, before: &[u8], integrity_len: usize) -> hmac::Tag {
        let length = (before.len() + integrity_len - 20) as u16;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&before[..2]);
        context.update(&length.to_be_bytes());
        context.update(&before[4..]);
        context.sign()
    }
}

/// The integrity of a message: its kind, where it starts, and its MAC.
#[derive(Clone, Copy)]
pub struct Integrity<'a> {
    before: &'a [u8],
    mac: &'a [u8],
    /// Which one it is; the stronger one where both are there.
    pub kind: IntegrityKind,
}

/// Finds the integrity of a message.
pub fn integrity<'a>(message: &'a Message<'a>) -> Result<Option<Integrity<'a>>, Malformed> {
    let bytes = message.as_bytes();
    let mut found = None;
    for (offset, attribute) in message.iter_attributes() {
        let length = usize::from(attribute.length());
        let kind = match attribute.get_type() {
            MessageIntegrity::TYPE if length == 20 => IntegrityKind::Sha1,
            // RFC 8489 section 14.6: may be shortened to 16 bytes.
            MessageIntegritySha256::TYPE
                if (16..=32).contains(&length) && length.is_multiple_of(4) =>
            {
                IntegrityKind::Sha256
            }
            MessageIntegrity::TYPE | MessageIntegritySha256::TYPE => return Err(Malformed),
            _ => continue,
        };
        let (before, mac) = bytes.split_at_checked(offset).ok_or(Malformed)?;
        let mac = mac.get(4..4 + length).ok_or(Malformed)?;
        found = Some(Integrity { before, mac, kind });
    }
    Ok(found)
}

impl Integrity<'_> {
    /// Whether it was made with this key, in time that tells nothing.
    pub fn is_by(&self, key: &SigningKey) -> bool {
        let computed = key.mac(self.before, 4 + self.mac.len());
        let computed = &computed.as_ref()[..self.mac.len()];
        constant_time::verify_slices_are_equal(computed, self.mac).is_ok()
    }
}

/// Types of attributes that must be understood and are (RFC 8489 section 14, below 0x8000).
const UNDERSTOOD: [u16; 17] = [
    0x0006, 0x0008, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014, 0x0015, 0x0017, 0x0018, 0x0019, 0x001c,
    0x001d, 0x001e, 0x0022, 0x0024, 0x0025,
];
/// More unknown attributes than these are not listed: an answer has an end.
const UNKNOWN_MAX: usize = 8;

/// Attributes that a client insists on and we do not know.
pub fn unknown_attributes(message: &Message<'_>) -> Option<UnknownAttributes> {
    let mut unknown = message
        .iter_attributes()
        .map(|(_, attribute)| attribute.get_type())
        .filter(|kind| kind.comprehension_required() && !UNDERSTOOD.contains(&kind.value()))
        .take(UNKNOWN_MAX)
        .peekable();
    unknown.peek()?;
    let mut list = UnknownAttributes::new(&[]);
    for kind in unknown {
        list.add_attribute(kind);
    }
    Some(list)
}

/// What an answer of success says; absent parts are not written.
#[derive(Debug, Default)]
pub struct Success {
    /// Where the client seems to be.
    pub mapped: Option<SocketAddr>,
    /// The relayed addresses, of one or both families.
    pub relayed: [Option<SocketAddr>; 2],
    /// Seconds until an allocation ends.
    pub lifetime: Option<u32>,
    /// For the port above (RFC 8656 section 18.7).
    pub token: Option<u64>,
    /// The second family could not be had, and why (RFC 8656 section 18.12).
    pub family_error: Option<(AddressFamily, u16)>,
}

/// Why a request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// An error code.
    Code(u16),
    /// An error code with what a client needs to try again: realm, nonce, password algorithms.
    Challenge(u16),
    /// 420 with the list.
    Unknown(UnknownAttributes),
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Refusal {
        Refusal::Code(ErrorCode::BAD_REQUEST)
    }
}

/// Writes an answer into `buffer` and gives its length. The buffer has room for the longest.
pub fn write_success(
    request: &Message<'_>,
    success: &Success,
    key: Option<&SigningKey>,
    buffer: &mut [u8],
) -> usize {
    let transaction = request.transaction_id();
    let mut writer = begin(request, MessageClass::Success, buffer);
    for relayed in success.relayed.iter().flatten() {
        put(&mut writer, &XorRelayedAddress::new(*relayed, transaction));
    }
    if let Some(seconds) = success.lifetime {
        put(&mut writer, &Lifetime::new(seconds));
    }
    if let Some(token) = success.token {
        put(&mut writer, &ReservationToken::new(token));
    }
    if let Some((family, code)) = success.family_error
        && let Ok(error) = ErrorCode::new(code, "")
    {
        put(&mut writer, &AddressErrorCode::new(family, error));
    }
    if let Some(mapped) = success.mapped {
        put(&mut writer, &XorMappedAddress::new(mapped, transaction));
    }
    let length = writer.finish();
    sign(buffer, length, key)
}

/// As `write_success`, for a refusal; `nonce` goes into a challenge.
pub fn write_refusal(
    request: &Message<'_>,
    refusal: &Refusal,
    nonce: &str,
    key: Option<&SigningKey>,
    buffer: &mut [u8],
) -> usize {
    let code = match refusal {
        Refusal::Code(code) | Refusal::Challenge(code) => *code,
        Refusal::Unknown(_) => ErrorCode::UNKNOWN_ATTRIBUTE,
    };
    let mut writer = begin(request, MessageClass::Error, buffer);
    // No reason phrase: it is for people, and people read codes; strangers' answers stay small.
    if let Ok(error) = ErrorCode::new(code, "") {
        put(&mut writer, &error);
    }
    match refusal {
        Refusal::Challenge(_) => {
            if let (Ok(realm), Ok(nonce)) = (Realm::new(REALM), Nonce::new(nonce)) {
                put(&mut writer, &realm);
                put(&mut writer, &nonce);
                put(&mut writer, &PasswordAlgorithms::new(&ALGORITHMS));
            }
        }
        Refusal::Unknown(list) => put(&mut writer, list),
        _ => {}
    }
    let length = writer.finish();
    sign(buffer, length, key)
}

/// What we offer, the better one first (RFC 8489 section 14.11).
const ALGORITHMS: [PasswordAlgorithmValue; 2] =
    [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];

/// Whether a client repeats our offer as it was: anything else may be an attacker's (RFC 8489 section 9.2.1).
pub fn repeats_offer(offer: &PasswordAlgorithms) -> bool {
    offer.algorithms() == ALGORITHMS
}

/// Writes a Data indication (RFC 8656 section 11.6) and gives its length; none where it has no room.
pub fn write_data(
    transaction: u128,
    peer: SocketAddr,
    payload: &[u8],
    buffer: &mut [u8],
) -> Option<usize> {
    let transaction = TransactionId::from(transaction);
    let kind = MessageType::from_class_method(MessageClass::Indication, turn_types::message::DATA);
    let mut writer = Message::builder(kind, transaction, MessageWriteMutSlice::new(buffer));
    let peer = XorPeerAddress::new(peer, transaction);
    writer.add_attribute(&peer).ok()?;
    writer.add_attribute(&Data::new(payload)).ok()?;
    Some(writer.finish())
}

fn begin<'b>(
    request: &Message<'_>,
    class: MessageClass,
    buffer: &'b mut [u8],
) -> MessageWriteMutSlice<'b> {
    let kind = MessageType::from_class_method(class, request.method());
    let writer = MessageWriteMutSlice::new(buffer);
    Message::builder(kind, request.transaction_id(), writer)
}

fn put(writer: &mut MessageWriteMutSlice<'_>, attribute: &dyn AttributeWrite) {
    // It fails only without room, and the longest answer is a fraction of the buffer.
    let _ = writer.add_attribute(attribute);
}

/// Adds the integrity to a message of `length` bytes and gives the length with it.
pub fn sign(buffer: &mut [u8], length: usize, key: Option<&SigningKey>) -> usize {
    let Some(key) = key else {
        return length;
    };
    let (kind, mac_len) = match key.kind {
        IntegrityKind::Sha1 => (MessageIntegrity::TYPE, 20),
        IntegrityKind::Sha256 => (MessageIntegritySha256::TYPE, 32),
    };
    let mac = key.mac(&buffer[..length], 4 + mac_len);
    let end = length + 4 + mac_len;
    buffer[2..4].copy_from_slice(&((end - 20) as u16).to_be_bytes());
    buffer[length..length + 2].copy_from_slice(&kind.value().to_be_bytes());
    buffer[length + 2..length + 4].copy_from_slice(&(mac_len as u16).to_be_bytes());
    buffer[length + 4..end].copy_from_slice(mac.as_ref());
    end
}

/// What an Allocate request asks for (RFC 8656 section 7.2), each part as it stands.
pub struct AllocateRequest {
    /// Protocol number of the relay.
    pub transport: Option<u8>,
    /// Seconds.
    pub lifetime: Option<u32>,
    /// The family of the relay.
    pub family: Option<AddressFamily>,
    /// A second family beside IPv4.
    pub additional: Option<AddressFamily>,
    /// An even port, and whether the next one is to be kept.
    pub even_port: Option<bool>,
    /// A port that was kept.
    pub token: Option<u64>,
}

impl AllocateRequest {
    /// Reads the attributes.
    pub fn of(message: &Message<'_>) -> Result<AllocateRequest, Malformed> {
        Ok(AllocateRequest {
            transport: optional::<RequestedTransport>(message)?.map(|it| it.protocol()),
            lifetime: lifetime(message)?,
            family: family(message)?,
            additional: optional::<AdditionalAddressFamily>(message)?.map(|it| it.family()),
            even_port: optional::<EvenPort>(message)?.map(|it| it.requested()),
            token: optional::<ReservationToken>(message)?.map(|it| it.token()),
        })
    }
}

/// The lifetime that a request asks for, in seconds.
pub fn lifetime(message: &Message<'_>) -> Result<Option<u32>, Malformed> {
    Ok(optional::<Lifetime>(message)?.map(|it| it.seconds()))
}

/// The family that a request names.
pub fn family(message: &Message<'_>) -> Result<Option<AddressFamily>, Malformed> {
    Ok(optional::<RequestedAddressFamily>(message)?.map(|it| it.family()))
}

/// The first peer of a message.
pub fn peer(message: &Message<'_>) -> Result<Option<SocketAddr>, Malformed> {
    Ok(optional::<XorPeerAddress>(message)?.map(|it| it.addr(message.transaction_id())))
}

/// All peers of a message.
pub fn peers<'a>(
    message: &'a Message<'a>,
) -> impl Iterator<Item = Result<SocketAddr, Malformed>> + 'a {
    message
        .iter_attributes()
        .filter(|(_, raw)| raw.get_type() == XorPeerAddress::TYPE)
        .map(|(_, raw)| {
            let peer = XorPeerAddress::from_raw(raw).map_err(|_| Malformed)?;
            Ok(peer.addr(message.transaction_id()))
        })
}

/// The channel of a message.
pub fn channel(message: &Message<'_>) -> Result<Option<u16>, Malformed> {
    Ok(optional::<ChannelNumber>(message)?.map(|it| it.channel()))
}

/// The payload of a Send indication, where it stands in the datagram. DONT-FRAGMENT is not supported, and an
/// indication with it is dropped (RFC 8656 section 11.2).
pub fn payload<'a>(message: &Message<'a>, datagram: &'a [u8]) -> Option<&'a [u8]> {
    if message.has_attribute(DontFragment::TYPE) {
        return None;
    }
    let (offset, raw) = message
        .iter_attributes()
        .find(|(_, raw)| raw.get_type() == Data::TYPE)?;
    datagram.get(offset + 4..offset + 4 + usize::from(raw.length()))
}
