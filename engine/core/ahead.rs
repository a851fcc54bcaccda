//! What sending a packet to the next subscribers will need is fetched into the cache while the one before has its turn.
//!
//! With hundreds of sessions none of them is in a near cache when a packet comes, and each has a dozen lines of it to be
//! read: waiting for them one after another would take as long as encrypting.

use slotmap::SlotMap;
use switchyard_net::prefetch;

use super::session::Session;
use super::{SessionKey, SubscriptionKey};
use crate::forward::subscription::Subscription;

/// Of the subscribers whose turn comes, the first is next. Each step needs what the one before has fetched: the
/// subscription says which session, and the session where its memory of sent packets is.
#[inline]
pub fn fetch(
    turns: &[SubscriptionKey],
    subscriptions: &SlotMap<SubscriptionKey, Subscription>,
    sessions: &SlotMap<SessionKey, Session>,
) {
    let of = |turn: usize| turns.get(turn).and_then(|&key| subscriptions.get(key));
    if let Some(third) = of(3) {
        prefetch(third);
    }
    if let Some(second) = of(2) {
        second.fetch_formats();
        if let Some(session) = sessions.get(second.session) {
            session.fetch_sending();
        }
    }
    if let Some(session) = of(1).and_then(|next| sessions.get(next.session)) {
        session.estimator.fetch(session.transport_sequence);
    }
}
