//! What the server writes to people: each letter in plain text and in HTML, under the name of their tenant.
//!
//! A link carries its token in the fragment, which no browser sends: the page behind it posts the token when somebody
//! presses its button, so a scanner that follows links spends nothing. Nothing of a letter is loaded from anywhere. What a
//! stranger can have sent to an address that is not theirs holds no text of the stranger's.
//!
//! Until it is sent a letter waits sealed, as a whole.

mod render;
mod wire;
mod words;

use std::fmt;
use std::net::IpAddr;

use crate::email::Email;
use crate::id::SecurityReportId;
use crate::keys::{Place, Sealable};
use crate::role::Role;
use crate::secret::Secret;
use crate::text::OneLine;
use crate::time::UnixMs;

pub use render::Rendered;

/// The name of a person or a tenant.
pub type Name = OneLine<200>;

/// A letter to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: Email,
    /// What it says.
    pub content: Content,
}

/// What letters say.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Somebody is asked to join.
    Invitation {
        /// Who asks.
        inviter: Name,
        /// As what.
        role: Role,
        /// What accepts it.
        link: Link,
    },
    /// Somebody who registers shows that the address is theirs.
    VerifyEmail(Link),
    /// Somebody who has forgotten the password chooses another.
    ResetPassword(Link),
    /// Somebody wanted the address of a member for another account.
    AlreadyMember,
    /// Somebody asked for a new password at an address that has no account.
    NoAccount,
    /// A member shows that the new address is theirs.
    ConfirmNewEmail(Link),
    /// The address of an account was changed: to the old one.
    EmailChanged(Occasion),
    /// Somebody signed in from where the member was not seen lately.
    NewDevice {
        /// When and from where.
        occasion: Occasion,
        /// What the browser says that it is, in its own words.
        user_agent: String,
    },
    /// Something that the member signs in with was changed.
    CredentialChanged {
        /// What was done.
        change: CredentialChange,
        /// When and from where.
        occasion: Occasion,
    },
    /// A refresh token was used twice, and its session ended.
    SessionReplayed(Occasion),
    /// An admin took the member's second factor away.
    SecondFactorReset(Occasion),
    /// Nothing is sent to an endpoint of webhooks any more: to the admins.
    WebhookDisabled {
        /// Where it is.
        url: String,
        /// Whether it said that it is gone; else it failed for too long.
        gone: bool,
    },
    /// Somebody told of a weakness of the server: to whoever runs it. What was told is not in the letter.
    SecurityReport {
        /// What it is found by.
        reference: SecurityReportId,
        /// Until when it is to be answered.
        due: UnixMs,
    },
}

/// A token to be used once, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The token's text: visible ASCII.
    pub token: Secret<String>,
    /// Until when it is good.
    pub until: UnixMs,
}

/// When something was done, and from which address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// When.
    pub at: UnixMs,
    /// From where.
    pub address: IpAddr,
}

macro_rules! credential_changes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A change of what a member signs in with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CredentialChange { $($(#[$doc])* $name,)* }

        impl CredentialChange {
            /// Every change.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

credential_changes! {
    /// Another password, by the member who knew the old one.
    Password = "password";
    /// Another password, by a link that was sent.
    PasswordReset = "password_reset";
    /// Another e-mail address was asked for, which waits to be confirmed.
    EmailAsked = "email_asked";
    /// A second factor is asked for from now on.
    SecondFactorConfirmed = "second_factor_confirmed";
    /// No second factor is asked for any more.
    SecondFactorRemoved = "second_factor_removed";
    /// New backup codes in the place of the old.
    BackupCodes = "backup_codes";
    /// An account at a provider signs in from now on.
    IdentityLinked = "identity_linked";
    /// And no longer.
    IdentityUnlinked = "identity_unlinked";
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The tenant's name.
    pub name: &'a str,
    /// The tenant's public origin: `https://acme.example.com`.
    pub origin: &'a str,
}

impl Letter {
    /// Where the letter of the row with this id is sealed.
    #[must_use]
    pub const fn place(row: &[u8; 16]) -> Place<'_> {
        Place { table: "mail", column: "letter_sealed", row }
    }
}

/// Shows what kind of letter it is: all else is personal or secret.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[letter: {}]", self.content.kind())
    }
}

impl Content {
    /// Its name in rows and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::VerifyEmail(_) => "verify_email",
            Self::ResetPassword(_) => "reset_password",
            Self::AlreadyMember => "already_member",
            Self::NoAccount => "no_account",
            Self::ConfirmNewEmail(_) => "confirm_new_email",
            Self::EmailChanged(_) => "email_changed",
            Self::NewDevice { .. } => "new_device",
            Self::CredentialChanged { .. } => "credential_changed",
            Self::SessionReplayed(_) => "session_replayed",
            Self::SecondFactorReset(_) => "second_factor_reset",
            Self::WebhookDisabled { .. } => "webhook_disabled",
            Self::SecurityReport { .. } => "security_report",
        }
    }

    /// The letter as `sender` sends it.
    #[must_use]
    pub fn render(&self, sender: Sender<'_>) -> Rendered {
        render::render(&words::draft(self, sender), sender)
    }
}

impl Sealable for Letter {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(&wire::Wire::from(self)).unwrap_or_default()) // texts and numbers: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        serde_json::from_slice::<wire::Wire<'_>>(plaintext).ok()?.into_letter()
    }
}

#[cfg(test)]
mod tests;
