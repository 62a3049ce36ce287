//! The providers whose webhooks are known.

use std::fmt;
use std::str::FromStr;

use super::{Algorithm, Rule};

/// Who posts webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Payments.
    Stripe,
    /// Messages and calls.
    Twilio,
    /// Accounting, of Intuit.
    QuickBooks,
    /// Shops.
    Shopify,
    /// Payments at a till.
    Square,
}

/// Nobody of this name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of stripe, twilio, quickbooks, shopify, square")]
pub struct NoProvider;

impl Provider {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Stripe, Self::Twilio, Self::QuickBooks, Self::Shopify, Self::Square];

    /// The name in paths, rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Twilio => "twilio",
            Self::QuickBooks => "quickbooks",
            Self::Shopify => "shopify",
            Self::Square => "square",
        }
    }

    /// How its deliveries are verified where a tenant has stored nothing else: Twilio's with an auth token.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Self::Stripe => Rule::Stripe,
            Self::Twilio => Rule::Twilio(Algorithm::HmacSha1),
            Self::QuickBooks => Rule::QuickBooks,
            Self::Shopify => Rule::Shopify,
            Self::Square => Rule::Square,
        }
    }
}

impl FromStr for Provider {
    type Err = NoProvider;

    fn from_str(text: &str) -> Result<Self, NoProvider> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(NoProvider)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
