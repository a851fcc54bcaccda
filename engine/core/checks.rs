//! The checks that full ICE agents sent: whose they are, since answers name no user, and how many leave.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::SessionKey;
use crate::ice::TransactionId;
use crate::transport::Path;

/// Checks of a session whose answers are awaited: all that its agent still knows, being nine for each of 32 pairs.
const MAX_AWAITED: usize = 288;
/// Between two checks to unproven addresses, over all sessions in the long run (RFC 8445 section 14.2).
const PACE: Duration = Duration::from_millis(5);
/// What may leave at once after a rest.
const BURST: u32 = 40;

/// Checks that await their answers, and the budget for those to addresses from which no peer has answered: however many
/// sessions an application opens, the engine is no tool to flood or to scan with.
pub struct Checks {
    awaited: HashMap<TransactionId, Awaited>,
    /// When all that has left would have left at the pace.
    paid_until: Instant,
}

struct Awaited {
    session: SessionKey,
    path: Path,
}

impl Checks {
    /// None yet.
    pub fn new(now: Instant) -> Checks {
        Checks {
            awaited: HashMap::new(),
            paid_until: now,
        }
    }

    /// Takes one check out of the budget.
    pub fn has_budget(&mut self, now: Instant) -> bool {
        let next = self.paid_until.max(now) + PACE;
        let has = next <= now + PACE * BURST;
        if has {
            self.paid_until = next;
        }
        has
    }

    /// Awaits an answer to a check that was sent, for the first time or again; the session's oldest one is given up when
    /// there are too many.
    pub fn sent(
        &mut self,
        session: SessionKey,
        of_session: &mut VecDeque<TransactionId>,
        transaction: TransactionId,
        path: Path,
    ) {
        if self.awaited.contains_key(&transaction) {
            return;
        }
        if of_session.len() == MAX_AWAITED
            && let Some(oldest) = of_session.pop_front()
        {
            self.awaited.remove(&oldest);
        }
        of_session.push_back(transaction);
        self.awaited.insert(transaction, Awaited { session, path });
    }

    /// Whose the answered check was, if it went to where the answer comes from (RFC 8445 section 7.2.5.2.1).
    pub fn session_of(
        &self,
        transaction: &TransactionId,
        socket: u16,
        source: SocketAddr,
    ) -> Option<SessionKey> {
        let awaited = self.awaited.get(transaction)?;
        let path = Path {
            socket,
            remote: source,
        };
        (awaited.path == path).then_some(awaited.session)
    }

    /// Forgets the checks of sessions that are not there any more.
    pub fn retain(&mut self, is_there: impl Fn(&SessionKey) -> bool) {
        self.awaited.retain(|_, check| is_there(&check.session));
    }

    /// Whether no answer is awaited.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Awaits these no more.
    pub fn forget<'a>(&mut self, transactions: impl IntoIterator<Item = &'a TransactionId>) {
        for transaction in transactions {
            self.awaited.remove(transaction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_allows_a_burst_and_then_two_hundred_a_second() {
        let mut now = Instant::now();
        let mut checks = Checks::new(now);
        let mut left = |now| (0..10_000).filter(|_| checks.has_budget(now)).count();
        assert_eq!(left(now), BURST as usize);
        let mut in_a_second = 0;
        for _ in 0..1000 {
            now += Duration::from_millis(1);
            in_a_second += left(now);
        }
        assert_eq!(in_a_second, 200);
        assert_eq!(left(now + Duration::from_secs(3600)), BURST as usize);
    }

    #[test]
    fn answers_count_from_where_the_check_went_and_old_ones_are_given_up() {
        let mut checks = Checks::new(Instant::now());
        let mut of_session = VecDeque::new();
        let session = SessionKey::default();
        let remote: SocketAddr = ([127, 0, 0, 1], 9000).into();
        for number in 0..=MAX_AWAITED as u16 {
            let mut transaction = [0; 12];
            transaction[..2].copy_from_slice(&number.to_be_bytes());
            let path = Path { socket: 1, remote };
            checks.sent(session, &mut of_session, transaction, path);
        }
        assert_eq!(checks.awaited.len(), MAX_AWAITED);
        assert_eq!(checks.session_of(&[0; 12], 1, remote), None);
        let last = *of_session.back().expect("the last one");
        let other = SocketAddr::from(([127, 0, 0, 1], 9001));
        assert_eq!(checks.session_of(&last, 1, other), None);
        assert_eq!(checks.session_of(&last, 0, remote), None);
        assert_eq!(checks.session_of(&last, 1, remote), Some(session));
        checks.forget(&of_session);
        assert!(checks.awaited.is_empty());
    }
}
