//! Points in time, as every rule takes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Never before the epoch, never past the year 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(i64);

impl UnixMs {
    /// The last millisecond of the year 9999, the largest value.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The point `ms` milliseconds after the epoch, clamped to what the type can hold.
    #[must_use]
    pub const fn new(ms: i64) -> Self {
        if ms < 0 {
            Self(0)
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0 / 1_000
    }

    /// This point and `wait` more, clamped.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self::new(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This point and `wait` less, clamped.
    #[must_use]
    pub fn minus(self, wait: Duration) -> Self {
        Self::new(self.0.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this point; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How far the clocks of nodes that share a store may be apart.
pub const CLOCKS_APART_MAX: Duration = Duration::from_mins(5);

/// `wait` in whole seconds, rounded up and at least one: what `Retry-After` carries.
#[must_use]
pub fn retry_after_s(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_in_bounds() {
        assert_eq!(UnixMs::new(-5), UnixMs::new(0));
        assert_eq!(UnixMs::new(i64::MAX), UnixMs::MAX);
        assert_eq!(UnixMs::MAX.plus(Duration::from_secs(1)), UnixMs::MAX);
        assert_eq!(UnixMs::new(10).minus(Duration::from_millis(20)), UnixMs::new(0));
        assert_eq!(UnixMs::new(10).since(UnixMs::new(30)), Duration::ZERO);
    }

    #[test]
    fn retry_after_rounds_up_and_is_never_zero() {
        assert_eq!(retry_after_s(Duration::ZERO), 1);
        assert_eq!(retry_after_s(Duration::from_secs(1)), 1);
        assert_eq!(retry_after_s(Duration::from_millis(1_001)), 2);
    }
}
