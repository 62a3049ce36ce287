//! `[lockout]`: when an account closes, and for how long.

use std::ops::RangeInclusive;
use std::time::Duration;

use freehold_domain::lockout::LockoutRule;

use super::values::Values;

const FAILURES_MAX: &str = "lockout.failures_max";
const LOCK_S: &str = "lockout.lock_s";
pub(super) const SETTINGS: &[&str] = &[FAILURES_MAX, LOCK_S];

/// Failures that close an account; NIST SP 800-63B §5.2.2 allows no more than 100.
const FAILURES: RangeInclusive<u32> = 1..=100;

pub(super) fn read(values: &mut Values) -> Option<LockoutRule> {
    let failures_max = values.number(FAILURES_MAX, "failures", FAILURES);
    let lock_s = values.number(LOCK_S, "seconds", 1..=86_400);
    Some(LockoutRule { failures_max: failures_max?, lock: Duration::from_secs(u64::from(lock_s?)) })
}
