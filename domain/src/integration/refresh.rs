//! When an access token is refreshed: ahead of its end, so that no call waits for it, and not again at once where that failed.
//!
//! ```text
//! granted --life less a sixth, at most 5 min--> due --refreshed--> granted
//!                                               due --failed--> rests --> due      due --the grant is over--> expired
//! ```
//!
//! While it rests, and while somebody refreshes it, a token that has not ended is good.

use std::time::Duration;

use crate::time::UnixMs;

/// Most of the end of a token's life in which it is refreshed.
pub const MARGIN_MAX: Duration = Duration::from_mins(5);
/// How long nobody else refreshes what somebody has begun to refresh: longer than that can take.
pub const LEASE: Duration = Duration::from_secs(30);
/// How long a refresh that failed rests.
pub const REST: Duration = Duration::from_secs(15);

const PARTS: u32 = 6;

/// When a token is to be refreshed that was obtained at `now` and lasts this long: never before it was obtained.
#[must_use]
pub fn due_at(now: UnixMs, lasts: Duration) -> UnixMs {
    now.plus(lasts.saturating_sub((lasts / PARTS).min(MARGIN_MAX)))
}

/// What is done for somebody who needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is used as it is.
    Use,
    /// It is refreshed first.
    Refresh,
    /// It has ended, and refreshing it rests: nothing can be done now.
    Wait,
}

/// What is done at `now` with a token that is due at `due` and ends at `ends`.
#[must_use]
pub fn step(due: UnixMs, ends: UnixMs, now: UnixMs) -> Step {
    match (now < due, now < ends) {
        (true, true) => Step::Use,
        (true, false) => Step::Wait,
        (false, _) => Step::Refresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixth_of_its_life_is_left_and_never_more_than_five_minutes() {
        let at = |lasts: u64| due_at(UnixMs::new(0), Duration::from_secs(lasts)).get() / 1_000;
        assert_eq!((at(3_600), at(30 * 86_400), at(60), at(0)), (3_300, 30 * 86_400 - 300, 50, 0));
    }

    #[test]
    fn a_token_is_used_until_it_is_due_and_what_failed_rests() {
        let at = UnixMs::new;
        for (due, ends, now, wanted) in [
            (10, 20, 9, Step::Use),
            (10, 20, 10, Step::Refresh),
            (10, 20, 25, Step::Refresh),
            (30, 20, 19, Step::Use),
            (30, 20, 20, Step::Wait),
            (30, 20, 30, Step::Refresh),
        ] {
            assert_eq!(step(at(due), at(ends), at(now)), wanted, "{due} {ends} {now}");
        }
    }
}
