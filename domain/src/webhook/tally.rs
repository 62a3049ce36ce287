//! Refused deliveries, counted so that they can be told without a write for each: anybody can send them.
//!
//! The first one of a provider and a cause is told at once; those that follow within [`PAUSE`] are told together with the next
//! one after that. What is not told when the process ends is lost: it is a number, and nobody's event.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Provider;
use crate::time::UnixMs;

/// Between two times at which one cause is told.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The refusals of one tenant. Bounded: there are so many providers and so many causes.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(Provider, &'static str), Counted>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    told_at: UnixMs,
    since: i64,
}

impl Tally {
    /// Whether a refusal for this cause would be told now.
    #[must_use]
    pub fn is_due(&self, provider: Provider, cause: &'static str, now: UnixMs) -> bool {
        self.0.get(&(provider, cause)).is_none_or(|counted| now < counted.told_at || now >= counted.told_at.plus(PAUSE))
    }

    /// Counts a refusal: how many are to be told now, this one among them; `None` to tell them later.
    pub fn note(&mut self, provider: Provider, cause: &'static str, now: UnixMs) -> Option<i64> {
        let is_due = self.is_due(provider, cause, now);
        let counted = self.0.entry((provider, cause)).or_insert(Counted { told_at: now, since: 0 });
        counted.since += 1;
        is_due.then(|| {
            counted.told_at = now;
            std::mem::replace(&mut counted.since, 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together() {
        let mut tally = Tally::default();
        let mut note = |after_s: u64, cause| tally.note(Provider::Square, cause, T0.plus(Duration::from_secs(after_s)));
        assert_eq!(note(0, "a"), Some(1));
        assert_eq!([note(0, "a"), note(9, "a")], [None, None]);
        assert_eq!(note(9, "b"), Some(1), "another cause");
        assert_eq!(note(10, "a"), Some(3));
        assert_eq!(note(11, "a"), None);
        assert_eq!(note(30, "a"), Some(2));
    }

    #[test]
    fn a_clock_that_goes_back_silences_nothing() {
        let mut tally = Tally::default();
        assert_eq!(tally.note(Provider::Stripe, "a", T0), Some(1));
        assert_eq!(tally.note(Provider::Stripe, "a", T0.minus(Duration::from_hours(1))), Some(1));
    }
}
