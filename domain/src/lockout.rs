//! Account lockout: five consecutive failures close an account for fifteen minutes.
//!
//! ```text
//! Open(n) --attempt, n < max-1--> Open(n+1)   Open(max-1) --attempt--> Locked(now + lock)
//! any     --right password-----> Open(0)      Locked --attempt, now >= until--> Open(1)
//! ```
//!
//! An attempt is charged *before* its password is checked, so that parallel guesses cannot slip past the limit.
//!
//! Source: NIST SP 800-63B (rev. 3) §5.2.2; OWASP ASVS 5.0 §6.3.1.

use std::time::Duration;

use crate::time::UnixMs;

/// What the operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutRule {
    /// Consecutive failures that lock. At least 1.
    pub failures_max: u32,
    /// How long a lock holds.
    pub lock: Duration,
}

impl Default for LockoutRule {
    fn default() -> Self {
        Self { failures_max: 5, lock: Duration::from_mins(15) }
    }
}

/// What is known of one account's failures. The default is an account without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lockout {
    /// Attempts charged since the last right password or the last lock's end.
    pub failures: u32,
    /// Until when every attempt is refused.
    pub locked_until: Option<UnixMs>,
}

/// The account is locked; the attempt must not be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is locked")]
pub struct Locked {
    /// How long the lock still holds.
    pub retry_after: Duration,
}

impl Lockout {
    /// Charges one attempt. The caller must make the answer durable before it checks the password; the right
    /// password then resets the account to `Lockout::default()`.
    ///
    /// # Errors
    /// [`Locked`] while the lock holds; the state does not change.
    pub fn begin_attempt(self, rule: LockoutRule, now: UnixMs) -> Result<Self, Locked> {
        let failures = match self.locked_until {
            Some(until) if now < until => return Err(Locked { retry_after: until.since(now) }),
            Some(_) => 1,
            None => self.failures.saturating_add(1),
        };
        Ok(Self { failures, locked_until: (failures >= rule.failures_max).then(|| now.plus(rule.lock)) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: LockoutRule = LockoutRule { failures_max: 5, lock: Duration::from_mins(15) };
    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    fn after(attempts: u32, rule: LockoutRule) -> Lockout {
        (0..attempts).fold(Lockout::default(), |state, _| state.begin_attempt(rule, T0).unwrap())
    }

    #[test]
    fn the_fifth_failure_locks_for_fifteen_minutes() {
        assert_eq!(after(4, RULE), Lockout { failures: 4, locked_until: None });
        let locked = after(5, RULE);
        assert_eq!(locked.begin_attempt(RULE, T0), Err(Locked { retry_after: RULE.lock }));
        let last = T0.plus(RULE.lock).minus(Duration::from_millis(1));
        assert_eq!(locked.begin_attempt(RULE, last), Err(Locked { retry_after: Duration::from_millis(1) }));
        let again = locked.begin_attempt(RULE, T0.plus(RULE.lock)).unwrap();
        assert_eq!(again, Lockout { failures: 1, locked_until: None });
    }

    #[test]
    fn a_limit_of_one_locks_at_once() {
        let rule = LockoutRule { failures_max: 1, ..RULE };
        assert!(after(1, rule).begin_attempt(rule, T0).is_err());
        assert!(after(1, rule).begin_attempt(rule, T0.plus(rule.lock)).unwrap().locked_until.is_some());
    }

    proptest! {
        /// Whatever the pauses, no window as long as the lock admits more than `failures_max` attempts that follow
        /// one another without a right password, plus those before it opened.
        #[test]
        fn never_more_than_max_between_locks(pauses in prop::collection::vec(0_u64..2_000_000, 1..100)) {
            let (mut state, mut now, mut run) = (Lockout::default(), T0, 0);
            for pause in pauses {
                now = now.plus(Duration::from_millis(pause));
                let was_locked = state.locked_until;
                match state.begin_attempt(RULE, now) {
                    Ok(next) => {
                        run = if was_locked.is_some() { 1 } else { run + 1 };
                        prop_assert!(run <= RULE.failures_max);
                        prop_assert_eq!(next.locked_until.is_some(), run == RULE.failures_max);
                        state = next;
                    }
                    Err(locked) => {
                        prop_assert!(was_locked.is_some_and(|until| until == now.plus(locked.retry_after)));
                    }
                }
            }
        }
    }
}
