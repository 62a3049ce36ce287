//! What somebody may have set in the place of a provider's signing secret, as far as its text tells.

use super::Provider;
use crate::secret::Secret;

/// Another thing than a signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongKind {
    /// Nothing but white space, or nothing.
    #[error("blank")]
    Blank,
    /// It has white space before or behind it, or in it: that is signed with, too.
    #[error("with white space in it")]
    WhiteSpace,
    /// A key or token for the provider's interface.
    #[error("a key of the provider's interface, not the secret of the webhook")]
    ApiKey,
    /// The secret of an OAuth application.
    #[error("the client secret of an OAuth application, not the secret of the webhook")]
    ClientSecret,
    /// The name of something, which is no secret at all.
    #[error("the id of something at the provider, not the secret of the webhook")]
    Id,
}

impl WrongKind {
    /// What is wrong with this text as the secret of a provider's webhooks; `None` where nothing is known to be.
    #[must_use]
    pub fn of(provider: Provider, secret: &Secret<String>) -> Option<Self> {
        let text = secret.expose().as_str();
        if text.trim().is_empty() {
            return Some(Self::Blank);
        }
        if text.contains(char::is_whitespace) {
            return Some(Self::WhiteSpace);
        }
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        let is_alphanumeric = |bytes| text.len() == bytes && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let sid = |prefix| text.starts_with(prefix) && text.len() == 34;
        match provider {
            Provider::Stripe if begins(&["sk_", "rk_", "pk_"]) => Some(Self::ApiKey),
            Provider::Stripe if begins(&["we_", "acct_"]) => Some(Self::Id),
            Provider::Twilio if sid("AC") || sid("SK") => Some(Self::Id),
            Provider::QuickBooks if is_alphanumeric(40) => Some(Self::ClientSecret),
            Provider::QuickBooks if is_alphanumeric(50) => Some(Self::Id),
            Provider::Shopify if begins(&["shpat_", "shpca_", "shppa_", "shpua_", "atkn_"]) => Some(Self::ApiKey),
            Provider::Square if begins(&["sq0atp-", "EAAA"]) => Some(Self::ApiKey),
            Provider::Square if begins(&["sq0csp-"]) => Some(Self::ClientSecret),
            Provider::Square if begins(&["sq0idp-", "wbhk_"]) => Some(Self::Id),
            Provider::Stripe | Provider::Twilio | Provider::QuickBooks | Provider::Shopify | Provider::Square => None,
        }
    }
}
