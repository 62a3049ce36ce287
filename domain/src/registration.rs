//! A registration that waits until its address is confirmed.
//!
//! Until then there is no member: nobody can sign in, no invitation meets an address that is taken, and whoever registers
//! with the address of somebody else has taken nothing from them. What was given waits sealed beside its token for an hour;
//! a newer registration of the same address takes its place.
//!
//! Whoever opens the link opens an account with the password that was given with the registration. That is why the letter
//! tells those who did not ask to do nothing, and why a new password can be asked for at any time by whoever reads the mail.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::keys::Sealable;
use crate::letter::Name;
use crate::secret::Secret;

/// A member to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Pending {
    /// The address to be confirmed.
    pub email: Email,
    /// The name.
    pub name: Name,
    /// The hash of the password, as it is stored.
    pub password_hash: Secret<String>,
    /// Whether nobody could say if the password was breached.
    pub unchecked: bool,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[registration]")
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    email: String,
    name: Name,
    password_hash: String,
    #[serde(default)]
    unchecked: bool,
}

impl Sealable for Pending {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        let wire = Wire {
            email: self.email.as_str().to_owned(),
            name: self.name.clone(),
            password_hash: self.password_hash.expose().clone(),
            unchecked: self.unchecked,
        };
        Secret::new(serde_json::to_vec(&wire).unwrap_or_default()) // texts alone: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let Wire { email, name, password_hash, unchecked } = serde_json::from_slice(plaintext).ok()?;
        Some(Self { email: email.parse().ok()?, name, password_hash: Secret::new(password_hash), unchecked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_survives_its_seal_and_is_not_shown() {
        let pending = Pending {
            email: "ada@example.com".parse().unwrap(),
            name: "Ada \"Countess\"".parse().unwrap(),
            password_hash: Secret::new("$argon2id$".to_owned()),
            unchecked: true,
        };
        assert_eq!(Pending::from_plaintext(pending.to_plaintext().expose()).as_ref(), Some(&pending));
        assert_eq!(format!("{pending:?}"), "[registration]");
        assert!(Pending::from_plaintext(b"{}").is_none());
    }
}
