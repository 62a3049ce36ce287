//! Rotation of the keys that sign access tokens: a key is published before it signs, and verifies after it signed last.
//!
//! ```text
//! announced --the end of the one before it--> signing --rotated, and the announced time over--> verifying --the last token expired--> gone
//! ```
//!
//! The keys of a tenant stand in the order in which they sign. Each but the last has an end, until when it signs; the last
//! signs on. So nobody has to switch anything at a moment: every node and everybody who has fetched the published keys
//! within the announced time goes by the clock, and one that is a little late still signs with a key that verifies.
//!
//! Withdrawing is for a key that is not secret any more: the new one signs at once and the others are gone, with every
//! token that they signed.
//!
//! Source: OpenID Connect Core 1.0 §10.1.1; NIST SP 800-57 part 1, §5.3.

use std::time::Duration;

use crate::access_token::ACCESS_TOKEN_S;
use crate::time::{CLOCKS_APART_MAX, UnixMs};

/// How long a key verifies after it signed last: the last token has expired, whatever clock it was issued by.
pub const KEPT: Duration = Duration::from_secs(ACCESS_TOKEN_S.unsigned_abs()).saturating_add(CLOCKS_APART_MAX);

/// A key is on its way already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another key is announced already")]
pub struct Announced;

/// Which of the keys signs at `now`: the first whose end has not come. The last one has none.
#[must_use]
pub fn signs(ends: &[Option<UnixMs>], now: UnixMs) -> usize {
    ends.iter().position(|end| end.is_none_or(|end| now < end)).unwrap_or(ends.len().saturating_sub(1))
}

/// Whether a key that signs until `end` is published at `now`.
#[must_use]
pub fn is_published(end: Option<UnixMs>, now: UnixMs) -> bool {
    end.is_none_or(|end| now < end.plus(KEPT))
}

/// Until when the last key signs if another is added at `now`, to be published for `announced` before it signs.
///
/// # Errors
/// [`Announced`] when the last one does not sign yet.
pub fn end_of_last(ends: &[Option<UnixMs>], now: UnixMs, announced: Duration) -> Result<UnixMs, Announced> {
    let is_signing = signs(ends, now) + 1 == ends.len();
    if is_signing { Ok(now.plus(announced)) } else { Err(Announced) }
}

/// Whether the last key, made at `made`, should have a successor. `period` is how long a key may be in use; `None` is for
/// ever.
#[must_use]
pub fn is_due(ends: &[Option<UnixMs>], made: UnixMs, now: UnixMs, period: Option<Duration>) -> bool {
    period.is_some_and(|period| now.since(made) >= period) && signs(ends, now) + 1 == ends.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANNOUNCED: Duration = Duration::from_hours(1);

    fn at(s: u64) -> UnixMs {
        UnixMs::new(1_000_000).plus(Duration::from_secs(s))
    }

    #[test]
    fn a_key_is_announced_then_signs_then_verifies() {
        let ends = [Some(end_of_last(&[None], at(0), ANNOUNCED).unwrap()), None];
        for (s, signing) in [(0, 0), (3_599, 0), (3_600, 1), (9_999, 1)] {
            assert_eq!(signs(&ends, at(s)), signing, "{s}");
        }
        assert_eq!(end_of_last(&ends, at(3_599), ANNOUNCED), Err(Announced));
        assert!(end_of_last(&ends, at(3_600), ANNOUNCED).is_ok());
        assert!(is_published(ends[0], at(3_600 + 1_199)) && !is_published(ends[0], at(3_600 + 1_200)));
        assert!(is_published(None, at(999_999)));
    }

    #[test]
    fn a_successor_is_due_once_after_the_period() {
        let period = Some(Duration::from_hours(24));
        assert!(!is_due(&[None], at(0), at(86_399), period));
        assert!(is_due(&[None], at(0), at(86_400), period));
        assert!(!is_due(&[Some(at(90_000)), None], at(0), at(86_400), period), "one is on its way");
        assert!(!is_due(&[None], at(0), at(999_999_999), None));
    }

    proptest! {
        /// Whenever anybody rotates: what a key signs at any time, by a clock that is up to five minutes off, verifies until
        /// it expires with keys that were published from the announced time before.
        #[test]
        fn what_is_signed_verifies_until_it_expires(waits in prop::collection::vec(0_u64..20_000, 1..8), signed in 0_u64..90_000, off in -300_i64..300) {
            // The keys as rows, with when each was added.
            let mut rows: Vec<(UnixMs, Option<UnixMs>)> = vec![(at(0), None)];
            let mut now = at(0);
            for wait in waits {
                now = now.plus(Duration::from_secs(wait));
                let ends: Vec<_> = rows.iter().map(|(_, end)| *end).collect();
                if let Ok(end) = end_of_last(&ends, now, ANNOUNCED) {
                    rows.last_mut().unwrap().1 = Some(end);
                    rows.push((now, None));
                }
            }
            let now = at(signed);
            let clock = UnixMs::new(now.get() + off * 1_000);
            let known: Vec<_> = rows.iter().filter(|(added, _)| *added <= now).collect();
            let ends: Vec<_> = known.iter().map(|(_, end)| *end).collect();
            let (added, end) = known[signs(&ends, clock)];
            let expires = clock.plus(Duration::from_mins(15));
            prop_assert!(is_published(*end, UnixMs::new(expires.get() - 1)));
            let published_for = now.since(*added);
            prop_assert!(*added == at(0) || published_for + Duration::from_mins(5) >= ANNOUNCED, "{published_for:?}");
        }
    }
}
