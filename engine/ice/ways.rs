//! Which of the peer's addresses are proven. A check proves who made it, but not that it came from where it says: whoever
//! forges its source would have us send media to somebody who never asked. So a lite agent answers a new address with a check
//! of its own, and uses the address once the peer has answered that (as QUIC validates paths, RFC 9000 section 8.2). Addresses
//! change hands, so the proof is renewed while the address is used (RFC 7675).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::TransId;

use super::Protocol;

/// Protocol, our address, the peer's.
pub type Way = (Protocol, SocketAddr, SocketAddr);

/// An unproven address gets at most so many times the bytes that came from there (RFC 9000 section 8.1).
const AMPLIFICATION: usize = 3;
/// Addresses that await their proof; a browser with many interfaces has fewer.
const MAX_UNPROVEN: usize = 16;
/// As many as the agent keeps pairs.
const MAX_PROVEN: usize = 64;
/// How often one check is sent while no answer comes. The peer's next check begins anew.
const MAX_ATTEMPTS: u32 = 5;
/// Until the first repeat, which is doubled each time (RFC 8489 section 6.2.1).
const FIRST_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a proof counts (RFC 7675 section 5.1).
const PROOF_LASTS: Duration = Duration::from_secs(30);
/// From when on the peer is asked for another one, with each of its checks but not more often than this.
const RENEWAL: Duration = Duration::from_secs(10);
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// The addresses of one peer.
#[derive(Default)]
pub struct Ways {
    /// That of the last check is the last.
    proven: Vec<Proven>,
    unproven: VecDeque<Unproven>,
}

struct Proven {
    way: Way,
    /// When the peer answered.
    since: Instant,
    /// The last check that is to renew it.
    renewal: Option<(TransId, Instant)>,
}

struct Unproven {
    way: Way,
    received: usize,
    sent: usize,
    /// The peer's check, which counts once the address is proven.
    request: Vec<u8>,
    nominates: bool,
    transaction: Option<TransId>,
    attempts: u32,
    last_attempt: Option<Instant>,
    due: Option<Instant>,
}

impl Ways {
    /// Whether the peer receives at its end of the way. A TCP connection proves that by itself.
    pub fn is_proven(&self, way: Way, now: Instant) -> bool {
        let known = self.proven.iter().find(|known| known.way == way);
        way.0 != Protocol::Udp || known.is_some_and(|known| now < known.since + PROOF_LASTS)
    }

    /// A check of the peer came on a proven way; whether one of ours is to renew the proof.
    pub fn used(&mut self, way: Way, now: Instant) -> bool {
        let Some(index) = self.proven.iter().position(|known| known.way == way) else {
            return false;
        };
        self.proven[index..].rotate_left(1);
        self.proven.last().is_some_and(|known| {
            let pause = known
                .renewal
                .is_none_or(|(_, at)| now >= at + RENEWAL_PAUSE);
            pause && now >= known.since + RENEWAL
        })
    }

    /// A check with this transaction is sent to renew the proof.
    pub fn renewing(&mut self, way: Way, transaction: TransId, now: Instant) {
        if let Some(known) = self.proven.iter_mut().find(|known| known.way == way) {
            known.renewal = Some((transaction, now));
        }
    }

    /// Takes an answer that the peer has given; whether it renews a proof.
    pub fn renew(&mut self, way: Way, transaction: TransId, now: Instant) -> bool {
        let is_awaited = |known: &&mut Proven| {
            let awaited = known.renewal.map(|(awaited, _)| awaited);
            known.way == way && awaited == Some(transaction)
        };
        let Some(known) = self.proven.iter_mut().find(is_awaited) else {
            return false;
        };
        known.since = now;
        known.renewal = None;
        true
    }

    /// A check of the peer came on an unproven way: one of ours is due. `transaction` is for a new one.
    pub fn checked(
        &mut self,
        way: Way,
        request: &[u8],
        nominates: bool,
        transaction: TransId,
        now: Instant,
    ) {
        let unproven = self.entry(way);
        unproven.received += request.len();
        unproven.transaction.get_or_insert(transaction);
        if nominates || !unproven.nominates {
            unproven.request = request.to_vec();
            unproven.nominates = nominates;
        }
        // It has paid for another one, which need not wait for long.
        let last = unproven.last_attempt;
        if last.is_none_or(|last| now >= last + FIRST_TIMEOUT) {
            unproven.attempts = 0;
            unproven.due = Some(now);
        }
    }

    /// A check came from an address that only the peer's checks name: it pays for what a full agent sends there.
    pub fn credit(&mut self, way: Way, bytes: usize) {
        self.entry(way).received += bytes;
    }

    /// The next check that is due, with its transaction.
    pub fn next_check(&mut self, now: Instant) -> Option<(Way, TransId)> {
        let is_due = |unproven: &&mut Unproven| unproven.due.is_some_and(|due| due <= now);
        let unproven = self.unproven.iter_mut().find(is_due)?;
        let pause = FIRST_TIMEOUT * 2_u32.pow(unproven.attempts);
        unproven.attempts += 1;
        unproven.last_attempt = Some(now);
        unproven.due = (unproven.attempts < MAX_ATTEMPTS).then_some(now + pause);
        Some((unproven.way, unproven.transaction?))
    }

    /// A check that was due cannot be sent before the peer has paid for it.
    pub fn hold(&mut self, way: Way) {
        if let Some(unproven) = self.unproven.iter_mut().find(|known| known.way == way) {
            unproven.last_attempt = None;
            unproven.due = None;
        }
    }

    /// When the next check is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.unproven.iter().filter_map(|known| known.due).min()
    }

    fn entry(&mut self, way: Way) -> &mut Unproven {
        let known = self.unproven.iter().position(|known| known.way == way);
        let index = known.unwrap_or_else(|| {
            if self.unproven.len() == MAX_UNPROVEN {
                self.unproven.pop_front();
            }
            self.unproven.push_back(Unproven {
                way,
                received: 0,
                sent: 0,
                request: Vec::new(),
                nominates: false,
                transaction: None,
                attempts: 0,
                last_attempt: None,
                due: None,
            });
            self.unproven.len() - 1
        });
        &mut self.unproven[index]
    }

    /// Takes a message out of what an unproven way may still get; false when that is used up.
    pub fn pay(&mut self, way: Way, bytes: usize) -> bool {
        let Some(unproven) = self.unproven.iter_mut().find(|known| known.way == way) else {
            return false;
        };
        let may = unproven.sent + bytes <= unproven.received * AMPLIFICATION;
        if may {
            unproven.sent += bytes;
        }
        may
    }

    /// Whether an answer to this check is awaited from there.
    pub fn awaits(&self, way: Way, transaction: TransId) -> bool {
        self.unproven.iter().any(|known| {
            known.way == way && known.transaction == Some(transaction) && known.sent > 0
        })
    }

    /// The peer has answered: gives its check.
    pub fn prove(&mut self, way: Way, now: Instant) -> Option<Vec<u8>> {
        let index = self.unproven.iter().position(|known| known.way == way)?;
        let unproven = self.unproven.remove(index)?;
        self.proven.retain(|known| known.way != way);
        if self.proven.len() == MAX_PROVEN {
            self.proven.remove(0);
        }
        self.proven.push(Proven {
            way,
            since: now,
            renewal: None,
        });
        Some(unproven.request)
    }

    /// The credentials are others: the checks of before count no more. Who has proved an address still has it.
    pub fn restart(&mut self) {
        self.unproven.clear();
        for known in &mut self.proven {
            known.renewal = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(port: u16) -> Way {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        (Protocol::Udp, address(7000), address(port))
    }

    #[test]
    fn an_unproven_way_is_paid_for_by_what_came_from_it() {
        let now = Instant::now();
        let mut ways = Ways::default();
        assert!(!ways.pay(way(1), 1), "nothing came");
        ways.checked(way(1), &[0; 100], false, TransId::new(), now);
        assert!(ways.pay(way(1), 200));
        assert!(!ways.pay(way(1), 101));
        assert!(ways.pay(way(1), 100));
        assert!(!ways.pay(way(1), 1));
        assert!(ways.next_check(now).is_some());
        ways.hold(way(1));
        assert_eq!(ways.next_timeout(), None);
        ways.checked(way(1), &[0; 10], false, TransId::new(), now);
        assert_eq!(ways.next_timeout(), Some(now));
        assert!(!ways.pay(way(1), 31));
        assert!(ways.pay(way(1), 30));
        assert!(!ways.pay(way(2), 1), "another's bytes");
    }

    #[test]
    fn a_check_is_repeated_a_few_times_and_again_after_the_peers_next_one() {
        let mut now = Instant::now();
        let begun = now;
        let mut ways = Ways::default();
        ways.checked(way(1), b"request", true, TransId::new(), now);
        let mut times = Vec::new();
        while let Some(due) = ways.next_timeout() {
            now = due;
            assert!(ways.next_check(now).is_some());
            assert!(ways.next_check(now).is_none(), "one at a time");
            times.push((now - begun).as_millis());
        }
        assert_eq!(times, [0, 100, 300, 700, 1500]);
        now += FIRST_TIMEOUT;
        ways.checked(way(1), b"request", true, TransId::new(), now);
        assert_eq!(ways.next_timeout(), Some(now));
    }

    #[test]
    fn the_peers_checks_bring_ours_at_a_pace() {
        let begun = Instant::now();
        let mut ways = Ways::default();
        let mut sent = 0;
        for millisecond in 0..1000 {
            let now = begun + Duration::from_millis(millisecond);
            ways.checked(way(1), b"request", true, TransId::new(), now);
            while ways.next_check(now).is_some() {
                sent += 1;
            }
        }
        assert_eq!(sent, 10);
    }

    #[test]
    fn only_the_awaited_answer_proves_and_a_nominating_check_is_kept() {
        let now = Instant::now();
        let mut ways = Ways::default();
        let transaction = TransId::new();
        ways.checked(way(1), b"nominates", true, transaction, now);
        ways.checked(way(1), b"does not", false, TransId::new(), now);
        assert!(!ways.awaits(way(1), transaction), "nothing was sent yet");
        assert!(ways.pay(way(1), 10));
        assert!(!ways.awaits(way(1), TransId::new()));
        assert!(!ways.awaits(way(2), transaction));
        assert!(ways.awaits(way(1), transaction));
        assert!(!ways.is_proven(way(1), now));
        assert_eq!(ways.prove(way(1), now).as_deref(), Some(&b"nominates"[..]));
        assert!(ways.is_proven(way(1), now));
        assert!(!ways.is_proven(way(1), now + PROOF_LASTS));
        assert_eq!(ways.prove(way(1), now), None);
    }

    #[test]
    fn a_proof_is_renewed_by_the_answer_to_the_last_check() {
        let mut now = Instant::now();
        let mut ways = Ways::default();
        ways.checked(way(1), b"request", true, TransId::new(), now);
        ways.prove(way(1), now);
        assert!(!ways.used(way(1), now));
        now += RENEWAL;
        assert!(ways.used(way(1), now));
        let transaction = TransId::new();
        ways.renewing(way(1), transaction, now);
        assert!(!ways.used(way(1), now), "one at a time");
        assert!(ways.used(way(1), now + RENEWAL_PAUSE));
        assert!(!ways.renew(way(1), TransId::new(), now));
        assert!(!ways.renew(way(2), transaction, now));
        assert!(ways.renew(way(1), transaction, now));
        assert!(!ways.renew(way(1), transaction, now), "once");
        assert!(ways.is_proven(way(1), now + PROOF_LASTS - RENEWAL));
        assert!(!ways.is_proven(way(1), now + PROOF_LASTS));
    }

    #[test]
    fn the_lists_are_bounded() {
        let now = Instant::now();
        let mut ways = Ways::default();
        for port in 1..=1000 {
            ways.checked(way(port), b"request", true, TransId::new(), now);
        }
        assert_eq!(ways.unproven.len(), MAX_UNPROVEN);
        for port in 1..=1000 {
            ways.checked(way(port), b"request", true, TransId::new(), now);
            ways.prove(way(port), now);
        }
        assert_eq!(ways.proven.len(), MAX_PROVEN);
    }
}
