//! The long-term credential mechanism (RFC 8489 section 9.2.4), without memory of who asked before.

use stun_types::attribute::{
    Nonce, PasswordAlgorithm as ChosenAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms, Realm,
    Userhash, Username,
};
use stun_types::message::Message;
use stun_types::prelude::*;
use turn_types::attribute::RequestedTransport;
use turn_types::message::ALLOCATE;

use super::message::{Refusal, SigningKey, integrity, optional, repeats_offer};
use super::{Client, Now, Server};
use crate::credentials::{self, PasswordAlgorithm, REALM};

/// What a genuine request proves.
pub struct Genuine {
    /// By whom it is.
    pub username: Username,
    /// Seconds since 1970 at which the credential ends.
    pub expires: u64,
    /// What the answer is signed with.
    pub key: SigningKey,
}

const BAD_REQUEST: Refusal = Refusal::Code(400);
const UNAUTHORIZED: Refusal = Refusal::Challenge(401);
const STALE_NONCE: Refusal = Refusal::Challenge(438);

impl Server {
    /// The checks of RFC 8489 section 9.2.4. The nonce comes before the password: a flood of replayed requests
    /// costs one MAC each.
    pub(super) fn authenticate(
        &self,
        now: Now,
        client: Client,
        request: &Message<'_>,
    ) -> Result<Genuine, Refusal> {
        let Some(integrity) = integrity(request)? else {
            return Err(self.challenge(client, request));
        };
        let username = optional::<Username>(request)?;
        let hashed = request.has_attribute(Userhash::TYPE);
        let (Some(realm), Some(nonce)) = (optional::<Realm>(request)?, optional::<Nonce>(request)?)
        else {
            return Err(BAD_REQUEST);
        };
        // A hash cannot be turned back, and we do not offer that feature (RFC 8489 section 9.2.1).
        let Some(username) = username else {
            return Err(if hashed { UNAUTHORIZED } else { BAD_REQUEST });
        };
        let algorithm = algorithm(request)?;
        if !self
            .nonces
            .is_fresh(nonce.nonce(), client.address, now.unix)
        {
            return Err(STALE_NONCE);
        }
        let name = username.username();
        let claim = credentials::claim(name).ok_or(UNAUTHORIZED)?;
        if realm.realm() != REALM
            || claim.expires <= now.unix
            || self.table.is_revoked(name, claim.key_id)
        {
            return Err(UNAUTHORIZED);
        }
        let password = credentials::password(&self.secret, name);
        let key = credentials::key(algorithm, name, &password);
        let key = SigningKey::new(integrity.kind, &key);
        if !integrity.is_by(&key) {
            return Err(UNAUTHORIZED);
        }
        Ok(Genuine {
            expires: claim.expires,
            username,
            key,
        })
    }

    /// The answer to a request without integrity. A challenge is longer than the shortest requests, so only those
    /// get it that a client would really send without: others get a bare code (amplification stays under 2).
    fn challenge(&self, client: Client, request: &Message<'_>) -> Refusal {
        let begins =
            request.method() == ALLOCATE && request.has_attribute(RequestedTransport::TYPE);
        if begins || self.table.of_client(client).is_some() {
            UNAUTHORIZED
        } else if request.method() == ALLOCATE {
            BAD_REQUEST
        } else {
            Refusal::Code(437)
        }
    }
}

/// RFC 8489 section 9.2.4: none chosen is MD5; a choice must come with our offer, unchanged.
fn algorithm(request: &Message<'_>) -> Result<PasswordAlgorithm, Refusal> {
    let offer = optional::<PasswordAlgorithms>(request)?;
    let chosen = optional::<ChosenAlgorithm>(request)?;
    match (offer, chosen) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(offer), Some(chosen)) if repeats_offer(&offer) => Ok(match chosen.algorithm() {
            PasswordAlgorithmValue::MD5 => PasswordAlgorithm::Md5,
            PasswordAlgorithmValue::SHA256 => PasswordAlgorithm::Sha256,
        }),
        _ => Err(BAD_REQUEST),
    }
}
