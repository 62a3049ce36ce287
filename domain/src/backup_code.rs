//! Backup codes: ten texts that each take the place of one code of an authenticator, once.
//!
//! `K7Q2-9MXF-…`: 24 characters of Crockford's base 32 in groups of four, 120 random bits. That many bits cannot be
//! guessed from a hash, so a SHA-256 is enough to store; with fewer it would not be (ASVS 5.0 §6.5.2).

use std::str::FromStr;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::base32::{self, CROCKFORD};
use crate::id::MemberId;
use crate::secret::Secret;
use crate::stored_hash::stored_hash;

/// How many codes a member has.
pub const CODES: usize = 10;
/// Random bytes of a code.
pub const CODE_BYTES: usize = 15;

const GROUP: usize = 4;
/// Longest text that is looked at: more than anybody types.
const TEXT_BYTES_MAX: usize = 64;
const HASH_DOMAIN: &[u8] = b"freehold/v1/backup-code/";

/// A backup code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCode(Secret<[u8; CODE_BYTES]>);

stored_hash! {
    /// What the store keeps of a backup code. Compared in constant time; `Debug` hides it.
    BackupCodeHash
}

/// The text is no backup code. The message is fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a backup code of 24 letters and digits")]
pub struct NotABackupCode;

impl BackupCode {
    /// A code from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(random: [u8; CODE_BYTES]) -> Self {
        Self(Secret::new(random))
    }

    /// The code as the member writes it down.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let letters = Zeroizing::new(base32::encode(CROCKFORD, self.0.expose()));
        let mut text = String::with_capacity(letters.len() + letters.len() / GROUP);
        for (index, letter) in letters.chars().enumerate() {
            if index > 0 && index.is_multiple_of(GROUP) {
                text.push('-');
            }
            text.push(letter);
        }
        Secret::new(text)
    }

    /// `SHA-256("freehold/v1/backup-code/" | member | code)`.
    #[must_use]
    pub fn hash(&self, member: MemberId) -> BackupCodeHash {
        let mut hash = Sha256::new_with_prefix(HASH_DOMAIN);
        hash.update(member.as_bytes());
        hash.update(self.0.expose());
        BackupCodeHash(hash.finalize().into())
    }
}

impl FromStr for BackupCode {
    type Err = NotABackupCode;

    /// As people copy it: in either case, with any hyphens and spaces, with I and L for 1 and O for 0.
    fn from_str(text: &str) -> Result<Self, NotABackupCode> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(NotABackupCode);
        }
        let typed = text.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let letters = typed.map(|byte| match byte.to_ascii_uppercase() {
            b'I' | b'L' => b'1',
            b'O' => b'0',
            other => other,
        });
        let letters = Zeroizing::new(letters.collect::<Vec<u8>>());
        base32::decode(CROCKFORD, &letters).map(Self::from_random).ok_or(NotABackupCode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(n: u8) -> MemberId {
        MemberId::from_uuid(uuid::Uuid::from_bytes([n; 16]))
    }

    #[test]
    fn a_code_has_at_least_112_bits_and_one_text() {
        const { assert!(CODE_BYTES * 8 >= 112) };
        let code = BackupCode::from_random([0xFF; CODE_BYTES]);
        assert_eq!(code.text().expose(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(format!("{code:?}"), "BackupCode([secret])");
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code = BackupCode::from_random([0; CODE_BYTES]);
        for text in ["0000-0000-0000-0000-0000-0000", "oooooooooooooooooooooooo", " OOOO 0000-0000 0000 0000 0000 "] {
            assert_eq!(text.parse(), Ok(code.clone()), "{text}");
        }
        for text in ["", "0000", "0000-0000-0000-0000-0000-000", "0000-0000-0000-0000-0000-0000-0", &"0".repeat(25)] {
            assert_eq!(text.parse::<BackupCode>(), Err(NotABackupCode), "{text}");
        }
        for wrong in ['U', '\0', '\n', '\u{e9}', '_', '='] {
            let text = format!("{}{wrong}", "0".repeat(23));
            assert_eq!(text.parse::<BackupCode>(), Err(NotABackupCode), "{text:?}");
        }
        assert_eq!((" ".repeat(41) + &"0".repeat(24)).parse::<BackupCode>(), Err(NotABackupCode));
    }

    #[test]
    fn the_hash_binds_member_and_code() {
        let code = BackupCode::from_random([2; CODE_BYTES]);
        assert_eq!(code.hash(member(1)), code.hash(member(1)));
        assert_ne!(code.hash(member(1)), code.hash(member(2)));
        assert_ne!(code.hash(member(1)), BackupCode::from_random([3; CODE_BYTES]).hash(member(1)));
        let mut input = b"freehold/v1/backup-code/".to_vec();
        input.extend([1; 16]);
        input.extend([2; CODE_BYTES]);
        assert_eq!(code.hash(member(1)).bytes().as_slice(), Sha256::digest(&input).as_slice());
    }

    proptest! {
        #[test]
        fn every_code_survives_its_text(random: [u8; CODE_BYTES]) {
            let code = BackupCode::from_random(random);
            prop_assert_eq!(code.text().expose().parse(), Ok(code.clone()));
            prop_assert_eq!(code.text().expose().to_lowercase().parse(), Ok(code));
        }
    }
}
