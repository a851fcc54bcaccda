//! Which relay ports of one address are ours, and which is next.

/// Bind calls for one relay: others' sockets may stand in the range, but one request must not try it all.
const ATTEMPTS: usize = 32;

/// The relay ports of one address.
pub struct Ports {
    first: u16,
    used: Vec<bool>,
}

impl Ports {
    /// All ports of a range, free.
    pub fn new((first, last): (u16, u16)) -> Ports {
        let count = usize::from(last.saturating_sub(first)) + 1;
        Ports {
            first,
            used: vec![false; count],
        }
    }

    /// Takes a free port for which `open` gives something, looking from a random place: the next port must not be
    /// a guess. `even` takes even ones only. `open` is told whether the next port is in the range and free too.
    pub fn take<T>(
        &mut self,
        random: u16,
        even: bool,
        mut open: impl FnMut(u16, bool) -> Option<T>,
    ) -> Option<(u16, T)> {
        let count = self.used.len();
        let mut attempts = 0;
        for step in 0..count {
            let index = (usize::from(random) + step) % count;
            let port = self.first + index as u16;
            if self.used[index] || (even && !port.is_multiple_of(2)) {
                continue;
            }
            let next_is_free = self.used.get(index + 1) == Some(&false);
            if let Some(opened) = open(port, next_is_free) {
                self.used[index] = true;
                return Some((port, opened));
            }
            attempts += 1;
            if attempts == ATTEMPTS {
                break;
            }
        }
        None
    }

    /// Takes this very port, or gives it back.
    pub fn set_used(&mut self, port: u16, used: bool) {
        let index = port.checked_sub(self.first).map(usize::from);
        if let Some(slot) = index.and_then(|index| self.used.get_mut(index)) {
            *slot = used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_used_up_and_given_back() {
        let mut ports = Ports::new((50_000, 50_003));
        let mut taken: Vec<u16> = (0..4)
            .map(|_| ports.take(7, false, |_, _| Some(())).unwrap().0)
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, [50_000, 50_001, 50_002, 50_003]);
        assert!(ports.take(7, false, |_, _| Some(())).is_none());
        ports.set_used(50_001, false);
        assert!(ports.take(0, true, |_, _| Some(())).is_none());
        assert_eq!(ports.take(0, false, |_, _| Some(())).unwrap().0, 50_001);
    }

    #[test]
    fn a_port_that_cannot_be_opened_is_passed_over() {
        let mut ports = Ports::new((50_000, 50_009));
        let opened = ports.take(0, true, |port, _| (port > 50_004).then_some(()));
        assert_eq!(opened.unwrap().0, 50_006);
        let last =
            Ports::new((50_000, 50_001)).take(1, false, |_, next_is_free| Some(next_is_free));
        assert_eq!(last, Some((50_001, false)));
        let mut tried = 0;
        let mut many = Ports::new((1024, 65_535));
        assert!(
            many.take(0, false, |_, _| {
                tried += 1;
                None::<()>
            })
            .is_none()
        );
        assert_eq!(tried, ATTEMPTS);
    }
}
