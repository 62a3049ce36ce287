//! From where a member is known to sign in: whoever comes from elsewhere is told of by mail.
//!
//! A browser is known by its device cookie, while the credential is the one that it was issued for. Any other client, and a
//! browser that has lost its cookie, is known by what it says that it is together with the network that it comes from, for as
//! long as it comes at least once in three months, and until the member has another password. Who joined today and signs in
//! for the first time is not written to.
//!
//! Source: ASVS 5.0 §6.3.5.

use std::time::Duration;

use crate::time::UnixMs;

/// How long a client is known that does not come.
pub const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);
/// How long after a member joined the first sign-in is expected.
pub const FIRST_SIGN_IN: Duration = Duration::from_hours(24);

/// Whether to write of a sign-in from a client that is not known, by a member who joined at `joined`.
#[must_use]
pub fn is_worth_a_letter(is_another_known: bool, joined: UnixMs, now: UnixMs) -> bool {
    is_another_known || now.since(joined) >= FIRST_SIGN_IN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_sign_in_of_a_new_member_goes_without_a_letter() {
        let joined = UnixMs::new(1_000);
        for (is_another_known, hours, expected) in
            [(false, 0, false), (false, 23, false), (false, 24, true), (false, 5_000, true), (true, 0, true)]
        {
            let now = joined.plus(Duration::from_hours(hours));
            assert_eq!(is_worth_a_letter(is_another_known, joined, now), expected, "{is_another_known}, {hours} h");
        }
    }
}
