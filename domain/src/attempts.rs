//! Sign-in attempts of one tenant that are under way: who is charged next, and who waits.
//!
//! ```text
//! Idle --begin--> Charging --charged, nobody waits--> Idle        Charging --charged, somebody waits--> Charging
//!                    |--locked, none being hashed--> all refused, Idle
//!                    '--locked, some being hashed--> Parked --one of them is done--> Charging
//! ```
//!
//! Charges of one account run one at a time. A lock that is only due to attempts whose passwords are still being hashed
//! may dissolve with the first right one: until they are done nobody who comes after them is told that the account is
//! locked, and nobody is charged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::time::UnixMs;

/// A charge or a hash that is this late is taken for lost: whoever waited behind it is let go.
pub const LOST_AFTER: Duration = Duration::from_secs(10);

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is committed: the password may be hashed. [`Attempts::finished`] must follow.
    Committed,
    /// The account is locked; nothing was charged.
    Locked,
    /// It could not be made, or nobody knows.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Charging,
    Parked,
}

#[derive(Debug)]
struct Account<W> {
    phase: Phase,
    hashing: u32,
    touched_at: UnixMs,
    waiting: VecDeque<W>,
}

/// The attempts under way: `K` names an account, `W` is a waiting request.
#[derive(Debug)]
pub struct Attempts<K, W>(BTreeMap<K, Account<W>>);

impl<K, W> Default for Attempts<K, W> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, W> Attempts<K, W> {
    /// Queues an attempt; `true` when a charge must begin.
    #[must_use]
    pub fn begin(&mut self, account: K, waiter: W, now: UnixMs) -> bool {
        let fresh = || Account { phase: Phase::Idle, hashing: 0, touched_at: now, waiting: VecDeque::new() };
        let entry = self.0.entry(account).or_insert_with(fresh);
        if now.since(entry.touched_at) >= LOST_AFTER {
            *entry = fresh();
        }
        entry.waiting.push_back(waiter);
        let begins = entry.phase == Phase::Idle;
        if begins {
            entry.phase = Phase::Charging;
        }
        begins
    }

    /// The first who waits for a charge of this account.
    #[must_use]
    pub fn first(&self, account: &K) -> Option<&W> {
        self.0.get(account).and_then(|entry| entry.waiting.front())
    }

    /// The charge of the first who waits has come out: those it answers, and whether another charge must begin.
    #[must_use]
    pub fn settled(&mut self, account: &K, charge: Charge, now: UnixMs) -> (Vec<W>, bool) {
        let Some(entry) = self.0.get_mut(account).filter(|entry| entry.phase == Phase::Charging) else {
            return (vec![], false);
        };
        entry.touched_at = now;
        if charge == Charge::Locked && entry.hashing > 0 {
            entry.phase = Phase::Parked;
            return (vec![], false);
        }
        let answered = match charge {
            Charge::Locked => entry.waiting.drain(..).collect(),
            Charge::Committed | Charge::Failed => entry.waiting.pop_front().into_iter().collect(),
        };
        entry.hashing += u32::from(charge == Charge::Committed);
        let more = !entry.waiting.is_empty();
        entry.phase = if more { Phase::Charging } else { Phase::Idle };
        self.forget_if_idle(account);
        (answered, more)
    }

    /// The password of a charged attempt has been hashed, and a right one has reset the account; `true` when a charge
    /// must begin for somebody who waited for that.
    #[must_use]
    pub fn finished(&mut self, account: &K, now: UnixMs) -> bool {
        let Some(entry) = self.0.get_mut(account) else { return false };
        entry.touched_at = now;
        entry.hashing = entry.hashing.saturating_sub(1);
        let begins = entry.phase == Phase::Parked;
        if begins {
            entry.phase = Phase::Charging;
        }
        self.forget_if_idle(account);
        begins
    }

    /// How many accounts have attempts under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn forget_if_idle(&mut self, account: &K) {
        if self.0.get(account).is_some_and(|entry| entry.phase == Phase::Idle && entry.hashing == 0) {
            self.0.remove(account);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lockout::{Lockout, LockoutRule};

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);
    const ADA: &str = "ada";

    /// A tenant with one account: its row, what is being hashed, and who got which answer.
    #[derive(Default)]
    struct World {
        attempts: Attempts<&'static str, u32>,
        row: Lockout,
        hashing: Vec<u32>,
        hashed: usize,
        refused: Vec<u32>,
    }

    impl World {
        fn begin(&mut self, who: u32) {
            if self.attempts.begin(ADA, who, T0) {
                self.charge();
            }
        }

        fn charge(&mut self) {
            loop {
                let charged = self.row.begin_attempt(LockoutRule::default(), T0);
                let charge = if charged.is_ok() { Charge::Committed } else { Charge::Locked };
                self.row = charged.unwrap_or(self.row);
                let (answered, more) = self.attempts.settled(&ADA, charge, T0);
                match charge {
                    Charge::Committed => self.hashing.extend(answered),
                    Charge::Locked | Charge::Failed => self.refused.extend(answered),
                }
                if !more {
                    return;
                }
            }
        }

        /// The first that is being hashed comes out.
        fn hash(&mut self, right: bool) {
            self.hashing.remove(0);
            self.hashed += 1;
            if right {
                self.row = Lockout::default();
            }
            if self.attempts.finished(&ADA, T0) {
                self.charge();
            }
        }
    }

    #[test]
    fn of_many_wrong_ones_at_once_five_are_hashed_and_the_rest_refused_when_they_are() {
        let mut world = World::default();
        (0..64).for_each(|who| world.begin(who));
        assert_eq!((world.hashing.len(), world.refused.len()), (5, 0));
        while !world.hashing.is_empty() {
            world.hash(false);
        }
        assert_eq!((world.hashed, world.refused.len()), (5, 59));
        assert!(world.attempts.is_empty());
    }

    #[test]
    fn of_many_right_ones_at_once_all_are_hashed() {
        let mut world = World::default();
        (0..64).for_each(|who| world.begin(who));
        while !world.hashing.is_empty() {
            world.hash(true);
        }
        assert_eq!((world.hashed, world.refused.len()), (64, 0));
        assert!(world.attempts.is_empty());
    }

    #[test]
    fn a_failed_charge_answers_its_own_attempt_alone() {
        let mut attempts = Attempts::default();
        assert!(attempts.begin(ADA, 1, T0));
        assert!(!attempts.begin(ADA, 2, T0));
        assert_eq!(attempts.settled(&ADA, Charge::Failed, T0), (vec![1], true));
        assert_eq!(attempts.settled(&ADA, Charge::Committed, T0), (vec![2], false));
        assert!(!attempts.finished(&ADA, T0));
        assert!(attempts.is_empty());
    }

    #[test]
    fn what_is_lost_is_let_go() {
        let mut attempts = Attempts::default();
        assert!(attempts.begin(ADA, 1, T0));
        assert!(!attempts.begin(ADA, 2, T0.plus(LOST_AFTER / 2)));
        assert!(attempts.begin(ADA, 3, T0.plus(LOST_AFTER)));
    }

    proptest! {
        /// Whatever the order: nobody is forgotten, and each right password makes room for five wrong ones at most.
        #[test]
        fn everybody_is_answered(script in prop::collection::vec(0_u8..10, 1..200)) {
            let (mut world, mut begun, mut wrong, mut right) = (World::default(), 0, 0, 0);
            for what in script {
                if what < 6 {
                    world.begin(begun);
                    begun += 1;
                } else if !world.hashing.is_empty() {
                    world.hash(what == 9);
                    right += u32::from(what == 9);
                    wrong += u32::from(what != 9);
                    prop_assert!(wrong <= 5 * (right + 1));
                }
            }
            while !world.hashing.is_empty() {
                world.hash(false);
            }
            prop_assert_eq!(world.hashed + world.refused.len(), begun as usize);
            prop_assert!(world.attempts.is_empty());
        }
    }
}
