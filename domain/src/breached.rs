//! Passwords that have appeared in a breach, by the k-anonymity range protocol: a password's SHA-1 in upper-case hex is
//! cut after five digits; whoever knows the range of those five is told nothing more, and the other thirty-five are
//! looked for in it here.
//!
//! SHA-1 is the protocol's name for a password, and protects nothing.
//!
//! Sources: NIST SP 800-63B-4 §3.1.1.2 (new passwords are compared with breached ones); the range search of Have I Been
//! Pwned.

use sha1::{Digest, Sha1};

use crate::password::Password;
use crate::secret::Secret;

/// Hex digits that name a range.
const RANGE_DIGITS: usize = 5;

/// A password as the protocol names it. `Debug` hides it.
#[derive(Debug)]
pub struct BreachName(Secret<String>);

impl BreachName {
    /// The name of `password`.
    #[must_use]
    pub fn of(password: &Password) -> Self {
        let digest = Secret::new(<[u8; 20]>::from(Sha1::digest(password.expose().expose())));
        let mut name = Secret::new(String::with_capacity(2 * digest.expose().len()));
        for byte in digest.expose() {
            for digit in [byte >> 4, byte & 15] {
                name.expose_mut().extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
        Self(name)
    }

    /// The five digits of its range: all that anybody else may be told.
    #[must_use]
    pub fn range(&self) -> &str {
        self.0.expose().get(..RANGE_DIGITS).unwrap_or_default()
    }

    /// How often it was seen, by the lines `SUFFIX:COUNT` of its range; `None` for a text that is no such range. Padding
    /// lines have the count 0. The whole range is read whatever it holds.
    #[must_use]
    pub fn count_in(&self, range: &str) -> Option<u64> {
        let mine = self.0.expose().get(RANGE_DIGITS..)?;
        let (mut seen, mut lines) = (0, 0_u32);
        for line in range.lines() {
            let (suffix, count) = line.split_once(':')?;
            let count: u64 = count.trim_end().parse().ok()?;
            if suffix.len() != mine.len() || !suffix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            if suffix.eq_ignore_ascii_case(mine) {
                seen = count;
            }
            lines += 1;
        }
        (lines > 0).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf password | sha1sum`: 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    fn name() -> BreachName {
        BreachName::of(&Password::new("password").unwrap())
    }

    #[test]
    fn the_name_is_the_sha_1_of_the_password_and_is_not_shown() {
        assert_eq!((name().range(), name().0.expose().get(5..).unwrap()), ("5BAA6", SUFFIX));
        assert!(!format!("{:?}", name()).contains("5BAA6"));
    }

    #[test]
    fn it_is_found_in_its_range_wherever_it_stands() {
        let other = "0018A45C4D1DEF81644B54AB7F969B88D65";
        let lower = SUFFIX.to_lowercase();
        for (range, count) in [
            (format!("{other}:3\r\n{SUFFIX}:9545824\r\n"), 9_545_824),
            (format!("{lower}:7\n{other}:3"), 7),
            (format!("{other}:3\r\n"), 0),
            (format!("{SUFFIX}:0\r\n{other}:12\r\n"), 0),
        ] {
            assert_eq!(name().count_in(&range), Some(count), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_says_nothing() {
        let long = format!("{SUFFIX}0:1");
        for text in ["", "<html>", "no such range", ":", "zzz:1", &long, &format!("{SUFFIX}:many"), SUFFIX] {
            assert_eq!(name().count_in(text), None, "{text}");
        }
        assert_eq!(name().count_in(&format!("{SUFFIX}:5\n<html>")), None);
    }
}
