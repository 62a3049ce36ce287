//! Certificates by ACME: when a host's is ordered, when it is renewed, and when an order that failed is tried again.
//!
//! ```text
//! none            --the host is wanted--> due
//! good            --two thirds of its time are over--> due
//! due             --ordered--> good
//! due             --the n-th failure in a row--> due after `first` * 2^(n - 1), at most six hours, a quarter more or less
//!                 --the authority says how long--> due no sooner than that, at most a week
//! ```
//!
//! Sources: RFC 8555 §6.6 (rate limits) and §8.3 (HTTP challenge).

use std::fmt;
use std::time::Duration;

use crate::time::UnixMs;

/// The longest pause between two orders for a host, unless the authority asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_hours(6);
/// The longest pause that an authority may ask for.
const ASKED_MAX: Duration = Duration::from_hours(7 * 24);
/// What is waited when an authority says that its limit is reached, and not for how long.
const LIMITED: Duration = Duration::from_hours(1);

/// Characters of a token: 128 bits in base64url are 22.
const TOKEN_CHARS_MIN: usize = 22;
const TOKEN_CHARS_MAX: usize = 128;

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub not_before: UnixMs,
    /// Until when.
    pub not_after: UnixMs,
}

impl Validity {
    /// When another should take its place: a certificate of ninety days has thirty left then.
    #[must_use]
    pub fn renew_at(self) -> UnixMs {
        self.not_after.minus(self.not_after.since(self.not_before) / 3)
    }
}

/// A host that is wanted, as far as its certificate goes.
#[derive(Clone, Copy, Debug)]
pub struct Want<K> {
    /// Which host.
    pub host: K,
    /// What it has.
    pub held: Option<Validity>,
    /// Before this it is not ordered.
    pub rests_until: UnixMs,
}

/// At most `room` hosts whose certificate is due, those first that have none, then those whose ends first. `now` is the
/// process clock's time, by which a host rests; `wall` is the time that certificates are in.
#[must_use]
pub fn due<K>(wants: impl IntoIterator<Item = Want<K>>, now: UnixMs, wall: UnixMs, room: usize) -> Vec<K> {
    let is_due = |want: &Want<K>| want.rests_until <= now && want.held.is_none_or(|held| held.renew_at() <= wall);
    let mut due: Vec<_> = wants.into_iter().filter(is_due).collect();
    due.sort_by_key(|want| want.held.map(|held| held.not_after));
    due.truncate(room);
    due.into_iter().map(|want| want.host).collect()
}

/// What an authority that refused said of when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// Its limit is reached.
    Limited,
    /// To wait this long (`Retry-After`).
    Wait(Duration),
}

/// How often a host is tried whose order failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
}

impl Retry {
    /// The pause after this many failures in a row. `random` spreads those who failed together.
    #[must_use]
    pub fn pause(self, failures: u32, asked: Asked, random: u8) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(doubled).min(PAUSE_MAX.max(self.first));
        let least = match asked {
            Asked::Nothing => Duration::ZERO,
            Asked::Limited => LIMITED,
            Asked::Wait(wait) => wait.min(ASKED_MAX),
        };
        // Three quarters of the pause, and up to half a pause more.
        let spread = pause / 4 * 3 + pause / 2 * u32::from(random) / u32::from(u8::MAX);
        // What is asked for is never cut short.
        spread.max(least + least / 4 * u32::from(random) / u32::from(u8::MAX))
    }
}

/// The token of an HTTP challenge: base64url, at least 128 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeToken(String);

/// The text is no token.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not the token of a challenge")]
pub struct NotAToken;

impl ChallengeToken {
    /// Reads one, as it stands in a path.
    ///
    /// # Errors
    /// [`NotAToken`] for other characters than `A-Z`, `a-z`, `0-9`, `-` and `_`, for fewer than 22 and more than 128.
    pub fn parse(text: &str) -> Result<Self, NotAToken> {
        let fits = (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(NotAToken) }
    }

    /// As the authority wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChallengeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn validity(days_gone: u32, days_left: u32) -> Validity {
        Validity { not_before: T0.minus(DAY * days_gone), not_after: T0.plus(DAY * days_left) }
    }

    fn want(host: &'static str, held: Option<Validity>) -> Want<&'static str> {
        Want { host, held, rests_until: T0 }
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_time_are_over() {
        assert_eq!(validity(60, 30).renew_at(), T0);
        let due_at = |held, wall| due([want("a", Some(held))], T0, wall, 9);
        assert_eq!(due_at(validity(60, 30), T0), ["a"]);
        assert!(due_at(validity(60, 30), T0.minus(Duration::from_millis(1))).is_empty());
        assert_eq!(due_at(validity(0, 0), T0), ["a"], "one that was never good");
    }

    #[test]
    fn those_without_one_come_first_then_those_that_end_first_and_no_more_than_there_is_room() {
        let wants = [
            want("good", Some(validity(1, 89))),
            want("soon", Some(validity(70, 20))),
            want("none", None),
            want("ended", Some(validity(91, 0))),
            Want { rests_until: T0.plus(Duration::from_millis(1)), ..want("rests", None) },
        ];
        assert_eq!(due(wants, T0, T0, 9), ["none", "ended", "soon"]);
        assert_eq!(due(wants, T0, T0, 2), ["none", "ended"]);
        assert!(due(wants, T0, T0, 0).is_empty());
    }

    #[test]
    fn pauses_double_to_six_hours() {
        let retry = Retry { first: Duration::from_mins(1) };
        let even = |failures| retry.pause(failures, Asked::Nothing, 128).as_secs() / 60;
        assert_eq!((0..12).map(even).collect::<Vec<_>>(), [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
        let hour = Retry { first: Duration::from_hours(8) };
        assert_eq!(hour.pause(9, Asked::Nothing, 0), Duration::from_hours(6), "the first pause is never cut: 8 - 8/4");
    }

    #[test]
    fn what_the_authority_asks_for_is_waited() {
        let retry = Retry { first: Duration::from_mins(1) };
        assert_eq!(retry.pause(1, Asked::Limited, 0), Duration::from_hours(1));
        assert_eq!(retry.pause(1, Asked::Wait(DAY), 0), DAY);
        assert_eq!(retry.pause(1, Asked::Wait(DAY * 900), 0), DAY * 7);
        assert_eq!(retry.pause(9, Asked::Wait(Duration::ZERO), 0), retry.pause(9, Asked::Nothing, 0));
    }

    proptest! {
        #[test]
        fn a_pause_has_its_bounds(first_s in 1_u64..=3_600, failures: u32, random: u8, asked_s: u64) {
            let retry = Retry { first: Duration::from_secs(first_s) };
            let pause = retry.pause(failures, Asked::Nothing, random);
            prop_assert!(pause >= retry.first * 3 / 4 && pause <= PAUSE_MAX + PAUSE_MAX / 4);
            let asked = Duration::from_secs(asked_s);
            let asked = retry.pause(failures, Asked::Wait(asked), random).cmp(&asked.min(ASKED_MAX));
            prop_assert!(asked.is_ge());
        }
    }

    #[test]
    fn a_token_is_base64url_of_128_bits_at_least() {
        for good in ["evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "IlirfxKKXAsHtmzK29Pj8A", &"_".repeat(128)] {
            assert_eq!(ChallengeToken::parse(good).unwrap().as_str(), good);
        }
        let (short, long) = ("a".repeat(21), "a".repeat(129));
        for bad in [
            "",
            &short,
            &long,
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ+PCt92wr/oA",
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA=",
            "../../../../../../etc/passwd",
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ%2dPCt92wr-oA",
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ\u{2d0}PCt92wr-oA",
        ] {
            assert_eq!(ChallengeToken::parse(bad), Err(NotAToken), "{bad}");
        }
    }
}
