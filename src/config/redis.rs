//! `[redis]`: shared counters, which this version does not have.

use super::values::Values;

pub(super) const URL: &str = "redis.url";
pub(super) const SETTINGS: &[&str] = &[URL];

/// Refuses the setting rather than count in memory what was meant to be shared.
pub(super) fn read(values: &mut Values) {
    if values.is_set(URL) {
        values.fault(URL, "shared counters are not in this version", "unset it: this node counts in memory");
    }
}
