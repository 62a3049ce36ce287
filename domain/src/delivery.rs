//! When a letter is tried, tried again and given up, and which tenants' letters are looked at when.
//!
//! ```text
//! Waiting(n) --due, claimed--> Sending(n + 1) --taken--> gone
//!                              Sending(n) --not taken--> Waiting(n), due after `retry` * 2^(n - 1), at most an hour
//! Waiting(n > 0) --`give_up` old--> given up             Sending --nobody knows, after the lease--> Waiting
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::UnixMs;

/// The longest pause between two tries, unless the first is longer.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// How often a letter is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The pause after the first try; it doubles with each.
    pub retry: Duration,
    /// How old a letter may become that was tried in vain.
    pub give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retry: Duration::from_mins(1), give_up: Duration::from_hours(24) }
    }
}

impl Patience {
    /// The pause after this many tries, of which the last was in vain.
    #[must_use]
    pub fn pause(self, tries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry.saturating_mul(doubled).min(PAUSE_MAX.max(self.retry))
    }

    /// Whether a letter of this age is given up. One that was never tried is not: nobody has said no to it.
    #[must_use]
    pub fn is_over(self, tries: u32, created: UnixMs, now: UnixMs) -> bool {
        tries > 0 && now.since(created) >= self.give_up
    }
}

/// Which tenants have letters, and when the first of each is due. A tenant's letters are looked at by one at a time.
#[derive(Debug)]
pub struct Rounds<K> {
    waiting: BTreeMap<K, UnixMs>,
    under_way: BTreeSet<K>,
}

impl<K> Default for Rounds<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), under_way: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Rounds<K> {
    /// The tenant has a letter that is due at `at`.
    pub fn wake(&mut self, tenant: K, at: UnixMs) {
        self.waiting.entry(tenant).and_modify(|known| *known = at.min(*known)).or_insert(at);
    }

    /// At most `max` tenants whose letters are due, those that wait for longest, and are not being looked at. [`Rounds::finished`] must follow for each.
    #[must_use]
    pub fn take_due(&mut self, now: UnixMs, max: usize) -> Vec<K> {
        let due = self.waiting.iter().filter(|(tenant, at)| **at <= now && !self.under_way.contains(*tenant));
        let mut due: Vec<(UnixMs, K)> = due.map(|(tenant, at)| (*at, *tenant)).collect();
        due.sort_unstable();
        let due: Vec<K> = due.into_iter().take(max).map(|(_, tenant)| tenant).collect();
        for tenant in &due {
            self.waiting.remove(tenant);
            self.under_way.insert(*tenant);
        }
        due
    }

    /// The tenant's letters were looked at; the next is due at `next`, or sooner when one came meanwhile.
    pub fn finished(&mut self, tenant: K, next: Option<UnixMs>) {
        self.under_way.remove(&tenant);
        if let Some(at) = next {
            self.wake(tenant, at);
        }
    }

    /// When the next tenant is due.
    #[must_use]
    pub fn next_at(&self) -> Option<UnixMs> {
        self.waiting.iter().filter(|(tenant, _)| !self.under_way.contains(*tenant)).map(|(_, at)| *at).min()
    }

    /// How many tenants have letters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.keys().chain(&self.under_way).collect::<BTreeSet<_>>().len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    #[test]
    fn pauses_double_to_an_hour_and_a_day_is_the_end() {
        let patience = Patience::default();
        let minutes: Vec<_> = (0..9).map(|tries| patience.pause(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(patience.pause(u32::MAX), PAUSE_MAX);
        assert_eq!(Patience { retry: PAUSE_MAX * 2, ..patience }.pause(9), PAUSE_MAX * 2);

        let day = T0.plus(patience.give_up);
        assert!(patience.is_over(1, T0, day) && !patience.is_over(1, T0, day.minus(Duration::from_millis(1))));
        assert!(!patience.is_over(0, T0, day.plus(patience.give_up)), "it was never tried");
    }

    #[test]
    fn a_tenant_is_looked_at_when_it_is_due_and_by_one() {
        let mut rounds = Rounds::default();
        let later = T0.plus(Duration::from_secs(1));
        rounds.wake("acme", later);
        rounds.wake("globex", T0);
        assert_eq!((rounds.next_at(), rounds.len()), (Some(T0), 2));
        assert_eq!(rounds.take_due(T0, 9), ["globex"]);
        assert_eq!((rounds.next_at(), rounds.take_due(T0, 9)), (Some(later), vec![]));

        rounds.wake("globex", T0); // a letter that comes meanwhile is not forgotten, and not looked at twice at once
        assert_eq!((rounds.take_due(T0, 9), rounds.next_at()), (vec![], Some(later)));
        rounds.finished("globex", Some(later));
        assert_eq!(rounds.take_due(later, 1), ["acme"], "no more than asked for");
        assert_eq!(rounds.take_due(T0, 9), ["globex"]);
        rounds.finished("globex", None);
        rounds.finished("acme", None);
        assert!(rounds.is_empty() && rounds.next_at().is_none());
    }
}
