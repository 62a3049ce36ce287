//! From where deliveries come: a provider, or one of two ways in which it posts, each with a secret of its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Provider, WrongKind};
use crate::keys::Place;
use crate::secret::Secret;

/// How long the secret before the one in force stays good where nothing else is asked: a day.
pub const OVERLAP_DEFAULT: Duration = Duration::from_hours(24);
/// And at most: a week.
pub const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);
/// Characters of a secret.
pub const SECRET_CHARS_MAX: usize = 255;
/// And at least: shorter ones are guessed.
pub const SECRET_CHARS_MIN: usize = 16;

/// A source of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Stripe, of the tenant's own account.
    Stripe,
    /// Stripe, of the accounts that are connected to it: an endpoint of its own at Stripe, with a secret of its own.
    StripeConnect,
    /// Twilio.
    Twilio,
    /// QuickBooks.
    QuickBooks,
    /// Shopify.
    Shopify,
    /// Square.
    Square,
}

/// Nothing of this name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of stripe, stripe-connect, twilio, quickbooks, shopify, square")]
pub struct NoSource;

impl Source {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Stripe, Self::StripeConnect, Self::Twilio, Self::QuickBooks, Self::Shopify, Self::Square];

    /// The name in paths, rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StripeConnect => "stripe-connect",
            Self::Stripe | Self::Twilio | Self::QuickBooks | Self::Shopify | Self::Square => self.provider().as_str(),
        }
    }

    /// Who posts.
    #[must_use]
    pub const fn provider(self) -> Provider {
        match self {
            Self::Stripe | Self::StripeConnect => Provider::Stripe,
            Self::Twilio => Provider::Twilio,
            Self::QuickBooks => Provider::QuickBooks,
            Self::Shopify => Provider::Shopify,
            Self::Square => Provider::Square,
        }
    }

    /// What is wrong with this text as its secret.
    ///
    /// # Errors
    /// [`NotItsSecret`]; nothing of the text is told.
    pub fn check(self, secret: &Secret<String>) -> Result<(), NotItsSecret> {
        if let Some(kind) = WrongKind::of(self.provider(), secret) {
            return Err(NotItsSecret::Kind(kind));
        }
        let text = secret.expose();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotItsSecret::Characters);
        }
        if self.provider() == Provider::Stripe && !text.starts_with("whsec_") {
            return Err(NotItsSecret::Prefix);
        }
        let secret = text.strip_prefix("whsec_").unwrap_or(text);
        if secret.bytes().all(|byte| Some(byte) == secret.bytes().next()) {
            return Err(NotItsSecret::OneCharacter);
        }
        if (SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&secret.len()) { Ok(()) } else { Err(NotItsSecret::Length) }
    }

    /// Where its secret in force is sealed for.
    #[must_use]
    pub const fn secret_place(self) -> Place<'static> {
        Place { table: "webhook_source", column: "secret_sealed", row: self.as_str().as_bytes() }
    }

    /// And the one before it.
    #[must_use]
    pub const fn previous_place(self) -> Place<'static> {
        Place { table: "webhook_source", column: "previous_sealed", row: self.as_str().as_bytes() }
    }
}

/// A text cannot be the secret of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotItsSecret {
    /// It is something else.
    #[error("is {0}")]
    Kind(WrongKind),
    /// The same character again and again, such as what is shown in the place of a secret.
    #[error("is one character again and again, not a secret")]
    OneCharacter,
    /// Too short or too long, without the prefix of Stripe's.
    #[error("must have {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} characters, without a prefix")]
    Length,
    /// Not of ASCII that can be seen.
    #[error("must be of visible ASCII characters")]
    Characters,
    /// Stripe's begin like that.
    #[error("must begin with whsec_")]
    Prefix,
}

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        Self::ALL.into_iter().find(|source| source.as_str() == text).ok_or(NoSource)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_every_provider_has_a_source() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        for other in ["", "Stripe", "stripe_connect", "paypal"] {
            assert_eq!(other.parse::<Source>(), Err(NoSource));
        }
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse::<Source>().unwrap().provider(), provider);
        }
    }

    #[test]
    fn what_is_no_secret_of_the_source_is_named() {
        let check = |source: Source, text: &str| source.check(&Secret::new(text.to_owned()));
        assert_eq!(check(Source::StripeConnect, "whsec_0123456789abcdef"), Ok(()));
        assert_eq!(check(Source::Stripe, "sk_live_0123456789"), Err(NotItsSecret::Kind(WrongKind::ApiKey)));
        assert_eq!(check(Source::Stripe, "0123456789abcdef"), Err(NotItsSecret::Prefix));
        assert_eq!(check(Source::Square, "  "), Err(NotItsSecret::Kind(WrongKind::Blank)));
        assert_eq!(check(Source::Square, "0123456789abcde"), Err(NotItsSecret::Length));
        assert_eq!(check(Source::Square, "0123456789abcdef"), Ok(()));
        assert_eq!(check(Source::Stripe, "whsec_0123456789abcde"), Err(NotItsSecret::Length));
        assert_eq!(check(Source::Shopify, &"*".repeat(32)), Err(NotItsSecret::OneCharacter));
        assert_eq!(check(Source::Square, &"ab".repeat(128)), Err(NotItsSecret::Length));
        assert_eq!(check(Source::Square, "schlüssel-0123456789"), Err(NotItsSecret::Characters));
    }
}
