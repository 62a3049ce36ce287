//! `[signing]`: how long a key signs access tokens, and how long its successor is published before.

use std::time::Duration;

use super::values::Values;

const ROTATE_DAYS: &str = "signing.rotate_days";
const ANNOUNCED_S: &str = "signing.announced_s";
pub(super) const SETTINGS: &[&str] = &[ROTATE_DAYS, ANNOUNCED_S];

const DAY: Duration = Duration::from_hours(24);

/// The times of signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signing {
    /// How long a key is in use before another follows it, up to ten years; `None` for ever.
    pub rotate: Option<Duration>,
    /// How long a key is published before it signs: one second to a week.
    pub announced: Duration,
}

pub(super) fn read(values: &mut Values) -> Option<Signing> {
    let rotate_days = values.number(ROTATE_DAYS, "days", 0..=3_650);
    let announced_s = values.number(ANNOUNCED_S, "seconds", 1..=604_800);
    Some(Signing {
        rotate: rotate_days.map(|days| (days > 0).then_some(DAY * days))?,
        announced: Duration::from_secs(u64::from(announced_s?)),
    })
}
