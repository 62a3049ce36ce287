//! Passwords: what one may be, and how it is kept.
//!
//! Normalised once to NFC, 1 to 1,024 characters, every one of them hashed: no truncation, no composition rules.
//! New ones need 15 characters, or 8 where a second factor is asked for too (NIST SP 800-63B-4 §3.1.1.2). Kept as
//! Argon2id in PHC text; the parameters default to OWASP's minimum (Password Storage Cheat Sheet: 19 MiB, 2 passes,
//! 1 lane) and a hash made with others, or imported from another system, is verified with its own.

use serde::de::{Deserialize, Deserializer, Visitor};
use unicode_normalization::UnicodeNormalization;

use crate::secret::Secret;

mod hash;
mod imported;
mod memory;

pub use hash::{Argon2Params, HashError, NotAPasswordHash, PasswordHash, hash, verify};
pub use memory::HashMemory;

/// Most characters (code points after NFC) of a password.
pub const PASSWORD_CHARS_MAX: usize = 1_024;
/// Fewest characters of a new password that alone opens an account.
pub const MIN_WITHOUT_SECOND_FACTOR: usize = 15;
/// Fewest characters of a new password that opens an account only with a second factor.
pub const MIN_WITH_SECOND_FACTOR: usize = 8;

/// No accepted password has more bytes before NFC: 4 bytes a character, and room for what NFC joins.
const RAW_BYTES_MAX: usize = 4 * 4 * PASSWORD_CHARS_MAX;

/// A password as somebody typed it, in NFC. Wiped when dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password(Secret<String>);

/// The text is no password. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAPassword {
    /// There is no text.
    #[error("must not be empty")]
    Empty,
    /// It has more than [`PASSWORD_CHARS_MAX`] characters.
    #[error("must have at most 1024 characters")]
    TooLong,
    /// It holds NUL, CR or LF. Every other character is accepted.
    #[error("must not contain line breaks or NUL")]
    LineBreak,
}

/// A new password has fewer characters than this.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must have at least {0} characters")]
pub struct TooShort(pub usize);

impl Password {
    /// Takes a password as it was typed. Spaces count, at both ends too.
    ///
    /// # Errors
    /// [`NotAPassword`] outside the bounds.
    pub fn new(typed: &str) -> Result<Self, NotAPassword> {
        if typed.len() > RAW_BYTES_MAX {
            return Err(NotAPassword::TooLong);
        }
        // Room for the longest NFC (three times the bytes), so that growing leaves no copy behind.
        let mut password = Secret::new(String::with_capacity(3 * typed.len()));
        password.expose_mut().extend(typed.nfc());
        let mut count = 0;
        for c in password.expose().chars() {
            if matches!(c, '\0' | '\r' | '\n') {
                return Err(NotAPassword::LineBreak);
            }
            count += 1;
        }
        match count {
            0 => Err(NotAPassword::Empty),
            1..=PASSWORD_CHARS_MAX => Ok(Self(password)),
            _ => Err(NotAPassword::TooLong),
        }
    }

    /// Whether it has so many characters, as a new password needs.
    ///
    /// # Errors
    /// [`TooShort`] when it has fewer.
    pub fn at_least(&self, chars: usize) -> Result<(), TooShort> {
        if self.0.expose().chars().count() < chars { Err(TooShort(chars)) } else { Ok(()) }
    }

    /// The normalised text, for the list of breached passwords. Do not copy it, log it or keep it.
    #[must_use]
    pub const fn expose(&self) -> &Secret<String> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Typed;

        impl Visitor<'_> for Typed {
            type Value = Password;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a password")
            }

            fn visit_str<E: serde::de::Error>(self, typed: &str) -> Result<Password, E> {
                Password::new(typed).map_err(E::custom)
            }

            fn visit_string<E: serde::de::Error>(self, typed: String) -> Result<Password, E> {
                self.visit_str(Secret::new(typed).expose())
            }
        }

        deserializer.deserialize_str(Typed)
    }
}

#[cfg(test)]
mod tests;
