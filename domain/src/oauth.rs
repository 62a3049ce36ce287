//! Signing in by the word of another: OAuth 2.0 with the authorization code, PKCE and, where it is spoken, OpenID Connect.
//!
//! ```text
//! start --> state (10 min) --callback, once--> handoff (30 s) --code and the same browser, once--> who it is
//! ```
//!
//! A state is what a provider gives back; it names its tenant, and that tenant's store knows its hash. A handoff carries
//! what the provider vouched for to the tenant's own host. Both are bound to the browser that began, which shows the
//! cookie it was given there; nothing is decided before it has.
//!
//! Who somebody is, is (provider, subject), never an e-mail address: addresses change hands. An address that the provider
//! has verified opens a new account where registration is open, and never one that is there.
//!
//! Sources: RFC 6749, RFC 7636, RFC 9207, RFC 9700 §2.1 and §4.7, OpenID Connect Core 1.0 §3.1.

pub mod form;
pub mod github;
pub mod id_token;
pub mod key_set;
pub mod pkce;
pub mod state;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::keys::{Place, Sealable};
use crate::secret::Secret;
use crate::settings::Registration;
use crate::text::OneLine;

/// How long somebody may take at the provider.
pub const STATE_TTL: Duration = Duration::from_mins(10);
/// How long the way back to the tenant's host may take.
pub const HANDOFF_TTL: Duration = Duration::from_secs(30);
/// Most identities that one member may sign in with.
pub const IDENTITIES_MAX: u32 = 20;
/// Most characters of what an account is called at its provider.
pub const ACCOUNT_CHARS_MAX: usize = 254;

const SUBJECT_CHARS_MAX: usize = 255;
const NAME_CHARS_MAX: usize = 200;

/// Whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// GitHub: OAuth 2.0 and an API that tells who it is.
    GitHub,
    /// Google: OpenID Connect.
    Google,
}

/// The text names no provider.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be github or google")]
pub struct NotAProvider;

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::GitHub, Self::Google];

    /// Its name in paths, rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Google => "google",
        }
    }
}

impl FromStr for Provider {
    type Err = NotAProvider;

    fn from_str(text: &str) -> Result<Self, NotAProvider> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(NotAProvider)
    }
}

/// Who somebody is at a provider: never empty, never longer than OpenID Connect allows, visible ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// The subject with this text, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= SUBJECT_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It tells people apart: not for logs.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[subject]")
    }
}

/// What an account is called at its provider, for its owner to know it by.
pub type Account = OneLine<ACCOUNT_CHARS_MAX>;

/// What a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who it is.
    pub subject: Subject,
    /// What the account is called there.
    pub account: Option<Account>,
    /// An e-mail address that the provider has verified; any other is none.
    pub email: Option<Email>,
    /// The person's name, as it was given there.
    pub name: Option<OneLine<NAME_CHARS_MAX>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    subject: String,
    account: Option<String>,
    email: Option<String>,
    name: Option<String>,
}

impl Profile {
    /// Where the profile of the handoff with this hash is sealed.
    #[must_use]
    pub const fn place(code_hash: &[u8; 32]) -> Place<'_> {
        Place { table: "oauth_handoff", column: "profile_sealed", row: code_hash }
    }
}

impl Sealable for Profile {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        let stored = Stored {
            subject: self.subject.0.clone(),
            account: self.account.as_ref().map(|account| account.as_str().to_owned()),
            email: self.email.as_ref().map(|email| email.as_str().to_owned()),
            name: self.name.as_ref().map(|name| name.as_str().to_owned()),
        };
        Secret::new(serde_json::to_vec(&stored).unwrap_or_default()) // texts alone: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let Stored { subject, account, email, name } = serde_json::from_slice(plaintext).ok()?;
        let account = account.map(|text| text.parse()).transpose().ok()?;
        let email = email.map(|text| text.parse()).transpose().ok()?;
        let name = name.map(|text| text.parse()).transpose().ok()?;
        Some(Self { subject: Subject::parse(&subject)?, account, email, name })
    }
}

/// What the tenant knows of somebody whom a provider vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The identity is a member's, who is active or not.
    Identity {
        /// Whether the member may sign in.
        is_active: bool,
    },
    /// The identity is nobody's; the address that the provider verified is a member's.
    Email,
    /// Neither is known, but there is a verified address.
    Nobody,
    /// The identity is nobody's, and the provider verified no address.
    NoEmail,
}

/// What happens to one who may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The first factor was right.
    SignIn,
    /// A member is made first.
    Register,
}

/// Why nobody enters. Nothing of it says more than its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The sign-in was not allowed at the provider.
    #[error("consent was denied")]
    Denied,
    /// What the provider answered cannot be believed.
    #[error("the provider's answer was not accepted")]
    Failed,
    /// State or code is unknown, used or too old, or the browser is another.
    #[error("the sign-in is over")]
    Expired,
    /// An account has this address: sign in to it, and link.
    #[error("the account is not linked")]
    NotLinked,
    /// Nobody here has this identity, and there is no way in for others.
    #[error("the account is not admitted")]
    NotAdmitted,
    /// A new account needs an address that the provider has verified.
    #[error("no verified e-mail address")]
    Unverified,
}

/// Whether somebody enters, and how.
///
/// # Errors
/// [`Refused`] as the module says: an address alone never opens the account of another.
pub const fn enter(known: Known, registration: Registration) -> Result<Entry, Refused> {
    match (known, registration) {
        (Known::Identity { is_active: true }, _) => Ok(Entry::SignIn),
        (Known::Nobody, Registration::Open) => Ok(Entry::Register),
        (Known::NoEmail, Registration::Open) => Err(Refused::Unverified),
        (Known::Email, _) => Err(Refused::NotLinked),
        (Known::Identity { is_active: false }, _) | (Known::Nobody | Known::NoEmail, Registration::Closed) => {
            Err(Refused::NotAdmitted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(provider));
        }
        for other in ["", "GitHub", "gitlab", "google "] {
            assert_eq!(other.parse::<Provider>(), Err(NotAProvider), "{other}");
        }
    }

    #[test]
    fn only_the_identity_opens_an_account() {
        use Registration::{Closed, Open};
        for (known, registration, wanted) in [
            (Known::Identity { is_active: true }, Closed, Ok(Entry::SignIn)),
            (Known::Identity { is_active: true }, Open, Ok(Entry::SignIn)),
            (Known::Identity { is_active: false }, Open, Err(Refused::NotAdmitted)),
            (Known::Email, Open, Err(Refused::NotLinked)),
            (Known::Email, Closed, Err(Refused::NotLinked)),
            (Known::Nobody, Open, Ok(Entry::Register)),
            (Known::Nobody, Closed, Err(Refused::NotAdmitted)),
            (Known::NoEmail, Open, Err(Refused::Unverified)),
            (Known::NoEmail, Closed, Err(Refused::NotAdmitted)),
        ] {
            assert_eq!(enter(known, registration), wanted, "{known:?} {registration:?}");
        }
    }

    #[test]
    fn a_profile_reads_back_and_is_not_shown() {
        let profile = Profile {
            subject: Subject::parse("1234567890").unwrap(),
            account: Some("ada".parse().unwrap()),
            email: Some("ada@example.com".parse().unwrap()),
            name: Some("Ada \"L\"".parse().unwrap()),
        };
        assert_eq!(Profile::from_plaintext(profile.to_plaintext().expose()), Some(profile.clone()));
        let bare = Profile { account: None, email: None, name: None, ..profile.clone() };
        assert_eq!(Profile::from_plaintext(bare.to_plaintext().expose()), Some(bare));
        assert_eq!(Profile::from_plaintext(br#"{"subject": ""}"#), None);
        let shown = format!("{profile:?}");
        assert!(!shown.contains("123") && !shown.to_lowercase().contains("ada"), "{shown}");
        for no in ["", "a b", "\u{e4}", "a\n", &"a".repeat(256)] {
            assert_eq!(Subject::parse(no), None, "{no:?}");
        }
    }
}
