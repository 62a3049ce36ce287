//! When a letter is tried, tried again and given up; and whose turn it is to have looked at what waits.
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

/// Who has something that waits, and when the first of it is due. What is one key's is looked at by one at a time.
#[derive(Debug)]
pub struct Rounds<K> {
    /// When it is due, and its place in the line.
    waiting: BTreeMap<K, (UnixMs, u64)>,
    under_way: BTreeSet<K>,
    places: u64,
}

impl<K> Default for Rounds<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), under_way: BTreeSet::new(), places: 0 }
    }
}

impl<K: Copy + Ord> Rounds<K> {
    /// The key has something that is due at `at`. One that waits keeps its place in the line; another comes behind all others.
    pub fn wake(&mut self, key: K, at: UnixMs) {
        self.places += 1;
        self.waiting.entry(key).and_modify(|(known, _)| *known = at.min(*known)).or_insert((at, self.places));
    }

    /// At most `max` keys whose time has come and that are not being looked at, in the order of the line, and of no group more
    /// than `group_max` with those that are. [`Rounds::finished`] must follow for each.
    #[must_use]
    pub fn take_due<G: Ord>(
        &mut self,
        now: UnixMs,
        max: usize,
        (group, group_max): (impl Fn(&K) -> G, usize),
    ) -> Vec<K> {
        let due = self.waiting.iter().filter(|(key, (at, _))| *at <= now && !self.under_way.contains(*key));
        let mut line: Vec<(u64, K)> = due.map(|(key, (_, place))| (*place, *key)).collect();
        line.sort_unstable();
        let mut of_group: BTreeMap<G, usize> = BTreeMap::new();
        for key in &self.under_way {
            *of_group.entry(group(key)).or_default() += 1;
        }
        let mut taken = vec![];
        for (_, key) in line {
            let count = of_group.entry(group(&key)).or_default();
            if taken.len() < max && *count < group_max {
                *count += 1;
                taken.push(key);
            }
        }
        for key in &taken {
            self.waiting.remove(key);
            self.under_way.insert(*key);
        }
        taken
    }

    /// What was the key's was looked at; the next is due at `next`, or sooner when some came meanwhile.
    pub fn finished(&mut self, key: K, next: Option<UnixMs>) {
        self.under_way.remove(&key);
        if let Some(at) = next {
            self.wake(key, at);
        }
    }

    /// When the next key's time comes after `now`: those whose time has come wait for others.
    #[must_use]
    pub fn next_after(&self, now: UnixMs) -> Option<UnixMs> {
        let later = self.waiting.iter().filter(|(key, (at, _))| *at > now && !self.under_way.contains(*key));
        later.map(|(_, (at, _))| *at).min()
    }

    /// How many keys have something.
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

    const ALL: (fn(&&str) -> (), usize) = (|_| (), usize::MAX);

    #[test]
    fn a_tenant_is_looked_at_when_it_is_due_and_by_one() {
        let mut rounds = Rounds::default();
        let later = T0.plus(Duration::from_secs(1));
        rounds.wake("acme", later);
        rounds.wake("globex", T0);
        assert_eq!((rounds.next_after(T0), rounds.len()), (Some(later), 2));
        assert_eq!(rounds.take_due(T0, 9, ALL), ["globex"]);
        assert_eq!((rounds.next_after(T0), rounds.take_due(T0, 9, ALL)), (Some(later), vec![]));

        rounds.wake("globex", T0); // a letter that comes meanwhile is not forgotten, and not looked at twice at once
        assert_eq!((rounds.take_due(T0, 9, ALL), rounds.next_after(T0)), (vec![], Some(later)));
        rounds.finished("globex", Some(later));
        assert_eq!(rounds.take_due(later, 1, ALL), ["acme"], "no more than asked for");
        assert_eq!(rounds.take_due(T0, 9, ALL), ["globex"]);
        rounds.finished("globex", None);
        rounds.finished("acme", None);
        assert!(rounds.is_empty() && rounds.next_after(T0).is_none());
    }

    #[test]
    fn who_was_looked_at_goes_behind_the_others_however_old_what_it_has() {
        let mut rounds = Rounds::default();
        for key in ["b", "a", "c"] {
            rounds.wake(key, T0);
        }
        let later = T0.plus(Duration::from_secs(9));
        let mut seen = vec![];
        for _ in 0..7 {
            let [key] = rounds.take_due(later, 1, ALL)[..] else { panic!("nobody") };
            seen.push(key);
            rounds.finished(key, Some(T0)); // it has more, of long ago
            rounds.wake(key, T0);
        }
        assert_eq!(seen, ["b", "a", "c", "b", "a", "c", "b"]);
    }

    #[test]
    fn a_group_has_no_more_than_its_share() {
        let mut rounds = Rounds::default();
        for key in ["a1", "a2", "a3", "b1"] {
            rounds.wake(key, T0);
        }
        let groups = |key: &&str| key.as_bytes()[0];
        assert_eq!(rounds.take_due(T0, 9, (groups, 2)), ["a1", "a2", "b1"]);
        assert!(rounds.take_due(T0, 9, (groups, 2)).is_empty(), "those under way count");
        rounds.finished("a1", Some(T0));
        assert_eq!(rounds.take_due(T0, 9, (groups, 2)), ["a3"], "who waited comes first");
    }
}
