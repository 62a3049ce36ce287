//! Tokens that work once, for one purpose: whoever has one can read mail at an address, or was shown a secret before.
//!
//! `{three letters of the purpose}_{43 characters of base64url}`: 256 random bits, of which the store keeps a SHA-256
//! under a prefix of the purpose, so that a token for one thing is nothing for another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::Place;
use crate::secret::Secret;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Becoming a member.
    Invitation,
    /// Choosing another password without the old one.
    PasswordReset,
    /// Showing that the address of a registration is one's own.
    Registration,
    /// Showing that the address that an account is to have is one's own.
    EmailChange,
    /// Telling a browser in which a sign-in at a provider began: the value of a cookie.
    OauthBrowser,
    /// Coming back from a provider to the tenant's own host.
    OauthHandoff,
    /// The same, to connect an integration.
    IntegrationHandoff,
}

impl Purpose {
    /// Its name in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::Registration => "registration",
            Self::EmailChange => "email_change",
            Self::OauthBrowser => "oauth_browser",
            Self::OauthHandoff => "oauth_handoff",
            Self::IntegrationHandoff => "integration_handoff",
        }
    }

    /// What the text of a token begins with.
    const fn front(self) -> &'static str {
        match self {
            Self::Invitation => "fhi_",
            Self::PasswordReset => "fhr_",
            Self::Registration => "fhv_",
            Self::EmailChange => "fhe_",
            Self::OauthBrowser => "fhb_",
            Self::OauthHandoff => "fho_",
            Self::IntegrationHandoff => "fhc_",
        }
    }

    /// What is hashed before a token.
    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Invitation => b"freehold/v1/invitation/",
            Self::PasswordReset => b"freehold/v1/password-reset/",
            Self::Registration => b"freehold/v1/registration/",
            Self::EmailChange => b"freehold/v1/email-change/",
            Self::OauthBrowser => b"freehold/v1/oauth-browser/",
            Self::OauthHandoff => b"freehold/v1/oauth-handoff/",
            Self::IntegrationHandoff => b"freehold/v1/integration-handoff/",
        }
    }
}

/// A token for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeToken {
    purpose: Purpose,
    secret: Secret<[u8; 32]>,
}

impl OneTimeToken {
    /// A token from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(purpose: Purpose, random: [u8; 32]) -> Self {
        Self { purpose, secret: Secret::new(random) }
    }

    /// The token with this text; `None` when the text is none for this purpose. Each token has one text.
    #[must_use]
    pub fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.strip_prefix(purpose.front())?).ok()?);
        Some(Self::from_random(purpose, secret.as_slice().try_into().ok()?))
    }

    /// What it is for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The token as it is handed out.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.expose()));
        Secret::new(format!("{}{}", self.purpose.front(), secret.as_str()))
    }

    /// Where what takes effect with the token of this hash is sealed.
    #[must_use]
    pub const fn pending_place(hash: &[u8; 32]) -> Place<'_> {
        Place { table: "one_time_token", column: "pending_sealed", row: hash }
    }

    /// What it is found by. A plain hash is enough for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new_with_prefix(self.purpose.domain()).chain_update(self.secret.expose()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_text_and_a_hash_of_its_purpose() {
        let token = OneTimeToken::from_random(Purpose::Invitation, [7; 32]);
        let text = token.text();
        let text = text.expose();
        assert_eq!((text.len(), text.get(..4)), (47, Some("fhi_")));
        assert_eq!(OneTimeToken::parse(Purpose::Invitation, text).as_ref(), Some(&token));
        let plain: [u8; 32] = Sha256::digest([7; 32]).into();
        assert_ne!(token.hash(), plain, "the purpose is in it");
        let other = text.replacen("fhi_", "fhc_", 1);
        for no in ["", "fhi_", &text[..46], &format!("{text}A"), &format!("{text}="), &other, &text.to_uppercase()] {
            assert_eq!(OneTimeToken::parse(Purpose::Invitation, no), None, "{no}");
        }
        let purposes = [Purpose::Invitation, Purpose::PasswordReset, Purpose::Registration, Purpose::EmailChange];
        let hashes = purposes.map(|purpose| OneTimeToken::from_random(purpose, [7; 32]).hash());
        assert_eq!(std::collections::BTreeSet::from(hashes).len(), purposes.len());
        assert_eq!(OneTimeToken::parse(Purpose::PasswordReset, text), None, "it is for one purpose");
        assert_eq!(format!("{token:?}"), "OneTimeToken { purpose: Invitation, secret: [secret] }");
    }
}
