//! `[refresh]`: how long a new pair is held for requests that came with the same token.

use std::time::Duration;

use super::values::Values;

const COALESCE_MS: &str = "refresh.coalesce_ms";
pub(super) const SETTINGS: &[&str] = &[COALESCE_MS];

/// The time of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// How long after the first arrival others with the same token still join it: at most five seconds, 0 for those
    /// that arrive before it is committed.
    pub coalesce: Duration,
}

pub(super) fn read(values: &mut Values) -> Option<Refresh> {
    let coalesce_ms = values.number(COALESCE_MS, "milliseconds", 0..=5_000)?;
    Some(Refresh { coalesce: Duration::from_millis(u64::from(coalesce_ms)) })
}
