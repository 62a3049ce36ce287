//! Another e-mail address for an account, which waits until it is confirmed. It belongs to the session that asked for it, and
//! ends with that: whoever is thrown out takes no account along.

use std::fmt;

use crate::email::Email;
use crate::id::FamilyId;
use crate::keys::Sealable;
use crate::secret::Secret;

/// What was asked for, and by which session.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingChange {
    /// The address that the account is to have.
    pub email: Email,
    /// The session.
    pub session: FamilyId,
}

impl fmt::Debug for PendingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[e-mail change]")
    }
}

/// The session, a line break, which neither of them has, and the address.
impl Sealable for PendingChange {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(format!("{}\n{}", self.session, self.email.as_str()).into_bytes())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let (session, email) = std::str::from_utf8(plaintext).ok()?.split_once('\n')?;
        Some(Self { email: email.parse().ok()?, session: session.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMs;

    #[test]
    fn a_change_survives_its_seal_and_is_not_shown() {
        let session = FamilyId::new(UnixMs::new(1), [7; 10]);
        let pending = PendingChange { email: "ada@example.com".parse().unwrap(), session };
        assert_eq!(PendingChange::from_plaintext(pending.to_plaintext().expose()).as_ref(), Some(&pending));
        assert_eq!(format!("{pending:?}"), "[e-mail change]");
        assert!(PendingChange::from_plaintext(b"{}").is_none());
    }
}
