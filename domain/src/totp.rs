//! Time-based one-time passwords: six digits that change every thirty seconds, each good for one sign-in.
//!
//! ```text
//! last accepted step s --code of step t, now-1 <= t <= now+1, t > s--> accepted, last step t
//!                      --any other code------------------------------> refused, s stays
//! ```
//!
//! HMAC-SHA-1, which is what every authenticator understands; its collisions are no concern under a key. A code is taken
//! one step early or late, for clocks that differ. The caller keeps the accepted step and no step at or below it is ever
//! accepted again, so a code that was seen over a shoulder is worth nothing.
//!
//! Source: RFC 6238 §4 and §5.2, RFC 4226 §5.3 and §7; ASVS 5.0 §6.5.1.

use std::fmt;
use std::str::FromStr;

use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use crate::base32::{self, RFC_4648};
use crate::email::Email;
use crate::keys::Sealable;
use crate::secret::Secret;
use crate::time::UnixMs;

/// Bytes of a secret: as many as a SHA-1, as RFC 4226 §4 recommends.
pub const SECRET_BYTES: usize = 20;
/// Digits of a code.
pub const DIGITS: usize = 6;

/// Seconds that a code is shown.
pub const STEP_S: u64 = 30;
/// Steps before and after the current one whose codes are taken.
pub const WINDOW: u16 = 1;
/// Most characters of an issuer that an authenticator is told; together with an address it must fit a QR code.
const ISSUER_CHARS_MAX: usize = 64;

/// What a member's authenticator and the server share: 20 random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpSecret(Secret<[u8; SECRET_BYTES]>);

/// Thirty seconds, counted from 1970. The step 0 stands for none: no code of it is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(i64);

/// Six digits as somebody typed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(Secret<String>);

/// The text is no code. The message is fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be 6 digits")]
pub struct NotACode;

impl TotpSecret {
    /// A secret from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(random: [u8; SECRET_BYTES]) -> Self {
        Self(Secret::new(random))
    }

    /// The step whose code this is, if that step is one of the three around `now` and comes after `last`.
    #[must_use]
    pub fn verify(&self, code: &Code, last: Step, now: UnixMs) -> Option<Step> {
        let now_s = now.as_secs().unsigned_abs();
        let step = self.machine().check(code.0.expose(), now_s)?;
        i64::try_from(step).ok().map(Step).filter(|step| *step > last)
    }

    /// The code of the step that `at` lies in, as an authenticator shows it.
    #[must_use]
    pub fn code_at(&self, at: UnixMs) -> Code {
        Code(Secret::new(self.machine().generate(at.as_secs().unsigned_abs()).to_string()))
    }

    /// The secret for typing into an authenticator: 32 characters of base 32.
    #[must_use]
    pub fn base32(&self) -> Secret<String> {
        Secret::new(base32::encode(RFC_4648, self.0.expose()))
    }

    /// The secret for an authenticator to read, as `otpauth://totp/{issuer}:{account}` with everything it must know.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &Email) -> Secret<String> {
        let issuer: String = issuer.chars().filter(|c| *c != ':').take(ISSUER_CHARS_MAX).collect();
        let (issuer, account) = (percent_encoded(&issuer), percent_encoded(account.as_str()));
        let secret = Zeroizing::new(base32::encode(RFC_4648, self.0.expose()));
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}",
            secret.as_str()
        ))
    }

    fn machine(&self) -> Totp {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(WINDOW)
            .with_step_duration(STEP_S)
            .with_secret(self.0.expose().as_slice())
            .build_noncompliant() // nothing of it can be refused: digits and secret are of the right length
    }
}

impl Sealable for TotpSecret {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        self.0.to_plaintext()
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        Sealable::from_plaintext(plaintext).map(Self)
    }
}

impl Step {
    /// The step as it was stored.
    #[must_use]
    pub const fn new(step: i64) -> Self {
        Self(step)
    }

    /// The number for the column.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Code {
    /// The six digits.
    #[must_use]
    pub const fn expose(&self) -> &String {
        self.0.expose()
    }
}

impl FromStr for Code {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { Ok(Self(Secret::new(text.to_owned()))) } else { Err(NotACode) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // a String takes everything
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
