//! Which encoding of a publication a subscription is to get: control's wish, what there is, what the link carries.

/// Control's wish (the contract's "Simulcast").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodingChoice {
    /// The encoding that is wanted, and never a better one.
    pub preferred_rid: String,
    /// Without the bandwidth for it, the next one in a→z order that fits.
    pub follow_bandwidth: bool,
    /// While the peer does not send it, the next one in a→z order that it sends.
    pub replace_unavailable: bool,
}

/// An encoding, or a part of its layers, as far as the choice depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Of the encoding; empty without simulcast.
    pub rid: &'a str,
    /// Packets come.
    pub is_live: bool,
    /// Measured.
    pub bits_per_second: u64,
}

/// The place of what to send, or none: nothing is to be sent. Without a wish it is the best that
/// `budget` (bits a second; absent: not known) allows.
pub fn choose(
    offered: &[Offered<'_>],
    wish: Option<&EncodingChoice>,
    budget: Option<u64>,
) -> Option<usize> {
    let first = offered.first()?;
    if offered.iter().all(|other| other.rid == first.rid) {
        let mut all: Vec<usize> = (0..offered.len()).collect();
        all.sort_by_key(|&at| std::cmp::Reverse(offered[at].bits_per_second));
        return first_that_fits(offered, &all, budget);
    }
    match wish {
        None => best(offered, budget),
        Some(wish) => wished(offered, wish, budget),
    }
}

/// Whether the link decides among the encodings; otherwise it is always the wished one.
pub fn follows_bandwidth(wish: Option<&EncodingChoice>) -> bool {
    wish.is_none_or(|wish| wish.follow_bandwidth)
}

/// Whether a wish allows an encoding: never one before the preferred one in a→z order.
pub fn may_have(wish: Option<&EncodingChoice>, rid: &str) -> bool {
    wish.is_none_or(|wish| rid.is_empty() || rid >= wish.preferred_rid.as_str())
}

fn best(offered: &[Offered<'_>], budget: Option<u64>) -> Option<usize> {
    let mut live: Vec<usize> = (0..offered.len())
        .filter(|&at| offered[at].is_live)
        .collect();
    live.sort_by_key(|&at| std::cmp::Reverse(offered[at].bits_per_second));
    first_that_fits(offered, &live, budget)
}

fn wished(offered: &[Offered<'_>], wish: &EncodingChoice, budget: Option<u64>) -> Option<usize> {
    let mut sorted: Vec<usize> = (0..offered.len()).collect();
    // Of one encoding, the most of its layers first.
    sorted.sort_by_key(|&at| {
        (
            offered[at].rid,
            std::cmp::Reverse(offered[at].bits_per_second),
        )
    });
    let preferred = sorted
        .iter()
        .position(|&at| offered[at].rid == wish.preferred_rid);
    // An encoding that the publication never had: the list has no place to begin at but its start.
    let below = &sorted[preferred.unwrap_or(0)..];
    let known_and_live = preferred.is_some() && offered[below[0]].is_live;
    if !known_and_live && !wish.replace_unavailable {
        return None;
    }
    let live: Vec<usize> = below
        .iter()
        .copied()
        .filter(|&at| offered[at].is_live)
        .collect();
    let budget = budget.filter(|_| wish.follow_bandwidth);
    first_that_fits(offered, &live, budget)
}

/// The last one is sent even where it does not fit: a poor picture is better than none.
fn first_that_fits(offered: &[Offered<'_>], order: &[usize], budget: Option<u64>) -> Option<usize> {
    let fits = |&&at: &&usize| budget.is_none_or(|bits| offered[at].bits_per_second <= bits);
    order.iter().find(fits).or(order.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: usize = 0;
    const H: usize = 1;
    const Q: usize = 2;

    fn layers(live: [bool; 3]) -> [Offered<'static>; 3] {
        let rate = [2_000_000, 600_000, 150_000];
        let mut rids = ["f", "h", "q"].into_iter().zip(live).zip(rate);
        std::array::from_fn(|_| {
            let ((rid, is_live), bits_per_second) = rids.next().unwrap();
            Offered {
                rid,
                is_live,
                bits_per_second,
            }
        })
    }

    fn wish(rid: &str, follow_bandwidth: bool, replace_unavailable: bool) -> EncodingChoice {
        EncodingChoice {
            preferred_rid: rid.into(),
            follow_bandwidth,
            replace_unavailable,
        }
    }

    #[test]
    fn without_a_wish_the_best_that_fits_is_sent() {
        let all = layers([true; 3]);
        assert_eq!(choose(&all, None, None), Some(F));
        assert_eq!(choose(&all, None, Some(1_000_000)), Some(H));
        assert_eq!(choose(&all, None, Some(1_000)), Some(Q));
        assert_eq!(choose(&layers([false, true, true]), None, None), Some(H));
        assert_eq!(choose(&layers([false; 3]), None, None), None);
    }

    #[test]
    fn a_plain_publication_is_always_sent() {
        let only = [Offered {
            rid: "",
            is_live: false,
            bits_per_second: 9_000_000,
        }];
        assert_eq!(
            choose(&only, Some(&wish("h", false, false)), Some(1)),
            Some(0)
        );
    }

    #[test]
    fn a_wish_is_kept_without_bandwidth_unless_it_says_otherwise() {
        let all = layers([true; 3]);
        assert_eq!(
            choose(&all, Some(&wish("f", false, false)), Some(1)),
            Some(F)
        );
        assert_eq!(
            choose(&all, Some(&wish("f", true, false)), Some(700_000)),
            Some(H)
        );
        assert_eq!(
            choose(&all, Some(&wish("h", true, false)), Some(9_000_000)),
            Some(H)
        );
        assert_eq!(
            choose(&all, Some(&wish("h", true, false)), Some(1)),
            Some(Q)
        );
    }

    #[test]
    fn what_the_peer_stops_is_replaced_only_on_wish_and_never_by_a_better_one() {
        let stopped = layers([true, false, true]);
        assert_eq!(choose(&stopped, Some(&wish("h", false, false)), None), None);
        assert_eq!(
            choose(&stopped, Some(&wish("h", false, true)), None),
            Some(Q)
        );
        let lower = layers([true, true, false]);
        assert_eq!(choose(&lower, Some(&wish("q", false, true)), None), None);
    }

    #[test]
    fn an_unknown_rid_gets_nothing_or_the_first_there_is() {
        let all = layers([true; 3]);
        assert_eq!(choose(&all, Some(&wish("x", false, false)), None), None);
        assert_eq!(choose(&all, Some(&wish("x", false, true)), None), Some(F));
    }
}
