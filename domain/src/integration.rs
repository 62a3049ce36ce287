//! The services outside that a tenant lets the server call for it: which there are, and where what opens them is sealed for.
//!
//! ```text
//! none --key set / connected--> connected --refused: the grant is over--> expired --connected again--> connected
//! any  --removed--> none
//! ```
//!
//! There is one of each for a tenant. A key is what an admin pasted; a grant is a pair of tokens that a provider gave out,
//! which [`refresh`] keeps good.

pub mod grant;
pub mod key;
pub mod refresh;
pub mod shopify;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::keys::Place;
use crate::secret::Secret;

/// A service outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Integration {
    /// Twilio, by account and auth token.
    Twilio,
    /// A service that speaks like `OpenAI`'s, by its address and a key.
    OpenAi,
    /// QuickBooks Online, by a grant.
    QuickBooks,
    /// Square, by a grant.
    Square,
    /// A shop of Shopify's, by a grant.
    Shopify,
}

/// By what a service is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key that an admin pastes.
    Key,
    /// Tokens that the provider gives out once somebody has allowed it there.
    Grant,
}

/// Nothing of this name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of twilio, openai, quickbooks, square, shopify")]
pub struct NoIntegration;

impl Integration {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Twilio, Self::OpenAi, Self::QuickBooks, Self::Square, Self::Shopify];

    /// The name in paths, rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::OpenAi => "openai",
            Self::QuickBooks => "quickbooks",
            Self::Square => "square",
            Self::Shopify => "shopify",
        }
    }

    /// By what it is opened.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Twilio | Self::OpenAi => Kind::Key,
            Self::QuickBooks | Self::Square | Self::Shopify => Kind::Grant,
        }
    }

    /// The name of the breaker before it: one for each tenant.
    #[must_use]
    pub const fn breaker(self) -> &'static str {
        match self {
            Self::Twilio => "twilio:api",
            Self::OpenAi => "openai:api",
            Self::QuickBooks => "quickbooks:api",
            Self::Square => "square:api",
            Self::Shopify => "shopify:api",
        }
    }

    /// Where what opens it is sealed for: the key, or the access token.
    #[must_use]
    pub const fn secret_place(self) -> Place<'static> {
        Place { table: "integration", column: "secret_sealed", row: self.as_str().as_bytes() }
    }

    /// Where its refresh token is sealed for.
    #[must_use]
    pub const fn refresh_place(self) -> Place<'static> {
        Place { table: "integration", column: "refresh_sealed", row: self.as_str().as_bytes() }
    }
}

impl Kind {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Grant => "oauth",
        }
    }
}

impl FromStr for Integration {
    type Err = NoIntegration;

    fn from_str(text: &str) -> Result<Self, NoIntegration> {
        Self::ALL.into_iter().find(|integration| integration.as_str() == text).ok_or(NoIntegration)
    }
}

impl fmt::Display for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of an `Authorization` header with a name and a secret (RFC 7617).
#[must_use]
pub fn basic(user: &str, secret: &Secret<String>) -> Secret<String> {
    let pair = Zeroizing::new(format!("{user}:{}", secret.expose()));
    Secret::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))))
}

/// The value of an `Authorization` header with a token (RFC 6750).
#[must_use]
pub fn bearer(token: &Secret<String>) -> Secret<String> {
    Secret::new(format!("Bearer {}", token.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_of_the_standard() {
        let secret = Secret::new("open sesame".to_owned());
        assert_eq!(basic("Aladdin", &secret).expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(bearer(&secret).expose(), "Bearer open sesame");
    }

    #[test]
    fn names_read_back_and_each_has_places_and_a_breaker_of_its_own() {
        for integration in Integration::ALL {
            assert_eq!(integration.as_str().parse(), Ok(integration));
            assert_eq!(integration.breaker(), format!("{integration}:api"));
            assert_eq!(integration.secret_place().row, integration.refresh_place().row);
            assert_ne!(integration.secret_place().column, integration.refresh_place().column);
        }
        for other in ["", "Twilio", "open_ai", "stripe"] {
            assert_eq!(other.parse::<Integration>(), Err(NoIntegration));
        }
    }
}
