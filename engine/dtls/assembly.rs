//! Puts handshake messages together. Whoever forges fragments can neither claim memory nor keep the peer's own out: what a message
//! claims to be only tells which fragments belong together, and a fragment that comes later counts.

use std::collections::VecDeque;

use super::records::{Fragment, Message};

/// No message of a WebRTC handshake is longer: a ClientHello with post-quantum keys has 2 KB, a chain of certificates 4 KB.
const MAX_MESSAGE: usize = 16_000;
/// Messages that are incomplete at a time. A flight has five; the rest are forged, or sent twice.
const MAX_PARTS: usize = 16;
/// Fragments of one of them; with more it begins anew.
const MAX_FRAGMENTS: usize = 64;
/// Bytes of all of them.
const MAX_BYTES: usize = 32_000;

/// The messages that are not whole yet, the one that grew last at the end.
#[derive(Default)]
pub struct Assembly {
    partial: VecDeque<Partial>,
}

struct Partial {
    kind: u8,
    number: u16,
    total: usize,
    /// Without overlaps, in order.
    parts: Vec<(usize, Vec<u8>)>,
}

impl Assembly {
    /// Adds a fragment; gives the message once it is whole.
    pub fn add(&mut self, fragment: &Fragment<'_>) -> Option<Message> {
        let end = fragment.offset + fragment.bytes.len();
        if fragment.total > MAX_MESSAGE || end > fragment.total {
            return None;
        }
        let is_whole = fragment.bytes.len() == fragment.total;
        if !is_whole && fragment.bytes.is_empty() {
            return None;
        }
        let same = |partial: &Partial| {
            partial.kind == fragment.kind
                && partial.number == fragment.number
                && partial.total == fragment.total
        };
        let known = self.partial.iter().position(same);
        let mut partial = known
            .and_then(|index| self.partial.remove(index))
            .unwrap_or_else(|| Partial {
                kind: fragment.kind,
                number: fragment.number,
                total: fragment.total,
                parts: Vec::new(),
            });
        partial.place(fragment.offset, fragment.bytes);
        if partial.size() < partial.total {
            self.partial.push_back(partial);
            self.shrink();
            return None;
        }
        let body = partial.parts.into_iter().flat_map(|(_, part)| part);
        Some(Message {
            kind: fragment.kind,
            number: fragment.number,
            body: body.collect(),
            record: fragment.record,
        })
    }

    /// What grew longest ago gives way.
    fn shrink(&mut self) {
        let size =
            |partial: &VecDeque<Partial>| -> usize { partial.iter().map(Partial::size).sum() };
        while self.partial.len() > MAX_PARTS || size(&self.partial) > MAX_BYTES {
            self.partial.pop_front();
        }
    }
}

impl Partial {
    fn size(&self) -> usize {
        self.parts.iter().map(|(_, part)| part.len()).sum()
    }

    /// Puts bytes into their place; what was there before goes.
    fn place(&mut self, offset: usize, bytes: &[u8]) {
        if self.parts.len() >= MAX_FRAGMENTS {
            self.parts.clear();
        }
        let end = offset + bytes.len();
        let mut parts = Vec::with_capacity(self.parts.len() + 1);
        for (at, part) in self.parts.drain(..) {
            let before = offset.saturating_sub(at).min(part.len());
            let after = end.saturating_sub(at).min(part.len());
            if before > 0 {
                parts.push((at, part[..before].to_vec()));
            }
            if after < part.len() {
                parts.push((at + after, part[after..].to_vec()));
            }
        }
        parts.push((offset, bytes.to_vec()));
        parts.sort_unstable_by_key(|(at, _)| *at);
        self.parts = parts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(total: usize, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment {
            kind: 1,
            number: 0,
            total,
            offset,
            bytes,
            record: [0; 6],
        }
    }

    #[test]
    fn fragments_come_in_any_order_and_overlap() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(&fragment(10, 6, b"6789")), None);
        assert_eq!(assembly.add(&fragment(10, 0, b"01234")), None);
        let whole = assembly.add(&fragment(10, 3, b"3456"));
        assert_eq!(whole.expect("whole").body, b"0123456789");
        assert!(assembly.partial.is_empty());
        let empty = assembly.add(&fragment(0, 0, b""));
        assert_eq!(empty.expect("whole").body, b"");
    }

    #[test]
    fn forged_fragments_keep_nothing_out_and_cost_what_they_weigh() {
        let mut assembly = Assembly::default();
        for total in 1..3000_usize {
            assembly.add(&fragment(0xff_ffff, 0, b"16 MB"));
            assembly.add(&fragment(total + 1, total, b"x"));
            assembly.add(&fragment(MAX_MESSAGE, 0, &[0; 1400]));
        }
        assert!(assembly.partial.len() <= MAX_PARTS);
        assembly.add(&fragment(10, 0, b"forged"));
        assert_eq!(assembly.add(&fragment(10, 0, b"01234")), None);
        let whole = assembly.add(&fragment(10, 5, b"56789"));
        assert_eq!(whole.expect("whole").body, b"0123456789");
        assert_eq!(assembly.add(&fragment(4, 2, b"too long")), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_cut_comes_together(body: Vec<u8>, cuts: Vec<(usize, usize)>) {
            let mut assembly = Assembly::default();
            let total = body.len();
            let mut last = None;
            for (from, to) in cuts.into_iter().map(|(a, b)| (a % (total + 1), b % (total + 1))) {
                let (from, to) = (from.min(to), from.max(to));
                last = assembly.add(&fragment(total, from, &body[from..to])).or(last);
            }
            last = assembly.add(&fragment(total, 0, &body)).or(last);
            proptest::prop_assert_eq!(last.expect("whole").body, body);
        }
    }
}
