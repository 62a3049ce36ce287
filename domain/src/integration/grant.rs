//! What token endpoints answer (RFC 6749 §5), as QuickBooks, Square and Shopify do, and what comes back from them in a browser.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Integration;
use crate::keys::{Place, Sealable};
use crate::rfc3339;
use crate::secret::Secret;
use crate::time::UnixMs;

/// Characters of a token, and of what names an account.
const TOKEN_CHARS_MAX: usize = 8_192;
const ACCOUNT_CHARS_MAX: usize = 128;
/// What a token lasts at most, whatever is said: a year.
const LASTS_MAX: Duration = Duration::from_hours(366 * 24);

/// What a token lasts of which one must be refreshed and nobody says for how long: an hour, as Shopify's documents do.
pub const LASTS_UNTOLD: Duration = Duration::from_hours(1);

/// Tokens that a provider gave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// With which it is called.
    pub access: Secret<String>,
    /// With which the next ones are asked for; `None` where the one that is known stays.
    pub refresh: Option<Secret<String>>,
    /// How long the access token is good; `None` for one of Shopify's that does not end, and has no refresh token.
    pub lasts: Option<Duration>,
    /// Whose account it is, where the answer says so.
    pub account: Option<String>,
}

/// The answer is none that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an answer with tokens")]
pub struct NotAGrant;

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
    expires_at: Option<String>,
    merchant_id: Option<String>,
}

impl Grant {
    /// The tokens of an answer of this one's that came at the wall clock `wall`: `expires_in` in seconds or `expires_at` says
    /// how long they are good. Shopify may say nothing.
    ///
    /// # Errors
    /// [`NotAGrant`], also for a token that a header cannot carry, and one that has ended.
    pub fn read(of: Integration, text: &str, wall: UnixMs) -> Result<Self, NotAGrant> {
        let Answer { access_token, refresh_token, expires_in, expires_at, merchant_id } =
            serde_json::from_str(text).map_err(|_| NotAGrant)?;
        let (access, refresh) = (Secret::new(access_token), refresh_token.map(Secret::new));
        let until = expires_at.as_deref().and_then(rfc3339::parse);
        let told = expires_in.map(Duration::from_secs).or(until.map(|until| until.since(wall)));
        let lasts = match (told, &refresh) {
            (Some(told), _) => Some(told.min(LASTS_MAX)),
            (None, _) if of != Integration::Shopify => return Err(NotAGrant),
            (None, Some(_)) => Some(LASTS_UNTOLD),
            (None, None) => None,
        };
        let is_token = |token: &Secret<String>| is_visible(token.expose(), TOKEN_CHARS_MAX);
        let account = merchant_id.filter(|id| is_account(id));
        if lasts.is_some_and(|lasts| lasts.is_zero())
            || !is_token(&access)
            || refresh.as_ref().is_some_and(|token| !is_token(token))
        {
            return Err(NotAGrant);
        }
        Ok(Self { access, refresh, lasts, account })
    }
}

/// Whether this names an account, as paths can carry it.
#[must_use]
pub fn is_account(text: &str) -> bool {
    let fits = (1..=ACCOUNT_CHARS_MAX).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_visible(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
}

/// Whether an answer to a refresh says that the grant is over (RFC 6749 §5.2): nothing but a new consent helps.
#[must_use]
pub fn is_over(text: &str) -> bool {
    serde_json::from_str::<ErrorAnswer>(text).is_ok_and(|answer| answer.error.as_deref() == Some("invalid_grant"))
}

/// What a browser brought back from a provider, until the browser that began shows its cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Whose it is.
    pub integration: Integration,
    /// What is exchanged for tokens.
    pub code: Secret<String>,
    /// The account, where the provider says it here.
    pub account: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    integration: String,
    code: String,
    account: Option<String>,
}

impl Returned {
    /// Where that of the handoff with this hash is sealed.
    #[must_use]
    pub const fn place(code_hash: &[u8; 32]) -> Place<'_> {
        Place { table: "oauth_handoff", column: "profile_sealed", row: code_hash }
    }
}

impl Sealable for Returned {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        let (integration, code) = (self.integration.to_string(), self.code.expose().clone());
        let stored = Stored { integration, code, account: self.account.clone() };
        let text = Secret::new(serde_json::to_vec(&stored).unwrap_or_default()); // texts alone: cannot fail
        drop(Secret::new(stored.code));
        text
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let Stored { integration, code, account } = serde_json::from_slice(plaintext).ok()?;
        Some(Self { integration: integration.parse().ok()?, code: Secret::new(code), account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_answer_are_read() {
        let wall = rfc3339::parse("2026-01-01T00:00:00Z").unwrap();
        let text = r#"{"access_token":"a.b","token_type":"bearer","expires_in":3600,"refresh_token":"r","x":1}"#;
        let grant = Grant::read(Integration::QuickBooks, text, wall).unwrap();
        assert_eq!((grant.access.expose().as_str(), grant.lasts), ("a.b", Some(Duration::from_hours(1))));
        assert_eq!((grant.refresh, grant.account), (Some(Secret::new("r".to_owned())), None));
        let text = r#"{"access_token":"a","expires_at":"2026-01-31T00:00:00Z","merchant_id":"M-1"}"#;
        let grant = Grant::read(Integration::Square, text, wall).unwrap();
        assert_eq!((grant.lasts, grant.account.as_deref()), (Some(Duration::from_hours(30 * 24)), Some("M-1")));
        for wrong in [
            "",
            "{}",
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"a b","expires_in":1}"#,
            r#"{"access_token":"a","expires_in":0}"#,
            r#"{"access_token":"a","expires_at":"2025-12-31T00:00:00Z"}"#,
            r#"{"access_token":"a","expires_in":1,"refresh_token":"b\r\n"}"#,
        ] {
            assert_eq!(Grant::read(Integration::Square, wrong, wall), Err(NotAGrant), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_shopifys_may_not_end_and_one_that_is_refreshed_does() {
        let lasts = |text| Grant::read(Integration::Shopify, text, UnixMs::new(0)).map(|grant| grant.lasts);
        let text = r#"{"access_token":"shpat_1","scope":"read_products"}"#;
        assert_eq!(lasts(text), Ok(None));
        let text = r#"{"access_token":"shpat_1","refresh_token":"shprt_1","refresh_token_expires_in":7776000}"#;
        assert_eq!(lasts(text), Ok(Some(LASTS_UNTOLD)));
        let text = r#"{"access_token":"shpat_1","expires_in":3599,"refresh_token":"shprt_1"}"#;
        assert_eq!(lasts(text), Ok(Some(Duration::from_secs(3_599))));
        let text = r#"{"access_token":"shpat_1","expires_in":99999999999}"#;
        assert_eq!(lasts(text), Ok(Some(LASTS_MAX)));
        for wrong in ["{}", r#"{"access_token":"","scope":""}"#, r#"{"access_token":"a","expires_in":0}"#] {
            assert_eq!(lasts(wrong), Err(NotAGrant), "{wrong}");
        }
    }

    #[test]
    fn only_one_error_says_that_the_grant_is_over() {
        assert!(is_over(r#"{"error":"invalid_grant","error_description":"Token invalid"}"#));
        for other in ["", "invalid_grant", r#"{"error":"invalid_client"}"#, r#"{"errors":[{"code":"invalid_grant"}]}"#]
        {
            assert!(!is_over(other), "{other}");
        }
    }

    #[test]
    fn what_came_back_reads_back_and_is_not_shown() {
        let code = Secret::new("c\"1".to_owned());
        let returned = Returned { integration: Integration::QuickBooks, code, account: Some("9130".to_owned()) };
        assert_eq!(Returned::from_plaintext(returned.to_plaintext().expose()), Some(returned.clone()));
        assert!(!format!("{returned:?}").contains("c\\\"1"));
        assert_eq!(Returned::from_plaintext(br#"{"integration":"x","code":"c"}"#), None);
        for (text, wanted) in [("9130-A_b", true), ("", false), ("a/b", false), ("a b", false)] {
            assert_eq!(is_account(text), wanted, "{text}");
        }
    }
}
