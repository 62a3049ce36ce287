//! Webhooks of five providers: whether who holds the tenant's secret signed the request as it was received.
//!
//! Every provider says the same in its own words: *one of these signatures is the MAC of one of these texts*. A file for each
//! reads that [claim](claim) from the raw bytes; here it is settled. Nothing of a body is read as JSON before that, and an
//! [`Event`] can be had of a [`Verified`] delivery alone.
//!
//! ```text
//! Delivery --not in its form--> Refusal
//!          --claim--> every MAC with every secret, in constant time --none fits--> Refusal --explain--> a better one
//!                                                                  --one fits, its time is near--> Verified --> Event
//! ```
//!
//! The URL is the tenant's own, from what it proved to be its domain: never from `Host` or what a proxy says. A [`Refusal`]
//! is for the tenant's log; whoever sent the request is told nothing but that it was refused.
//!
//! Sources: the official SDKs (stripe 23.1.0, twilio 6.2.0, square 46.0.0, @shopify/shopify-api 12.3.0) and Intuit's page
//! "Managing webhooks notifications"; where an SDK is lenient or its languages differ, the strictest is followed.

mod claim;
mod encoding;
mod event;
mod explain;
mod form;
mod instant;
mod kept;
mod provider;
mod quickbooks;
mod refusal;
mod shopify;
mod source;
mod square;
mod stripe;
mod tally;
mod twilio;
mod url;
mod wrong_kind;

use std::fmt;
use std::time::Duration;

use subtle::Choice;

pub(crate) use self::encoding::{hex as from_hex, to_hex};
pub use self::event::{EVENTS_MAX, Event, ID_BYTES_MAX, NoEvent, TEXT_BYTES_MAX, Told};
pub use self::kept::Body;
pub use self::provider::{NoProvider, Provider};
pub use self::refusal::Refusal;
pub use self::source::{
    NoSource, NotItsSecret, OVERLAP_DEFAULT, OVERLAP_MAX, SECRET_CHARS_MAX, SECRET_CHARS_MIN, Source,
};
pub use self::stripe::SIGNATURES_MAX;
pub use self::tally::Tally;
pub use self::twilio::Algorithm;
pub use self::url::URL_BYTES_MAX;
pub use self::wrong_kind::WrongKind;

use self::claim::Claim;
use crate::secret::Secret;
use crate::time::UnixMs;

/// How far the time of a signature may be from now, before and after; exactly as far is near enough.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// How long what providers told of is kept, and why deliveries were refused.
pub const KEPT: Duration = Duration::from_hours(90 * 24);

/// How a tenant's deliveries are verified: what it has stored says so, and no request can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `Stripe-Signature`, with a time.
    Stripe,
    /// `X-Twilio-Signature`, with this algorithm.
    Twilio(Algorithm),
    /// `intuit-signature`.
    QuickBooks,
    /// `X-Shopify-Hmac-Sha256`.
    Shopify,
    /// `x-square-hmacsha256-signature`.
    Square,
}

impl Rule {
    /// Whose deliveries it verifies.
    #[must_use]
    pub const fn provider(self) -> Provider {
        match self {
            Self::Stripe => Provider::Stripe,
            Self::Twilio(_) => Provider::Twilio,
            Self::QuickBooks => Provider::QuickBooks,
            Self::Shopify => Provider::Shopify,
            Self::Square => Provider::Square,
        }
    }
}

/// A request as it was received.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// Its method, in capital letters.
    pub method: &'a str,
    /// The URL that the provider called: scheme and host of the tenant, path and query as they came.
    pub url: &'a str,
    /// Each of its headers, those of one name too: name in any case, value without white space around it.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Its body, byte by byte.
    pub body: &'a [u8],
}

/// It holds what is signed with, and personal data.
impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[webhook]")
    }
}

/// What the tenant has stored of the provider. One that is blank signs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    /// The secret in force.
    pub newest: &'a Secret<String>,
    /// The one before it, while the provider may still sign with that.
    pub previous: Option<&'a Secret<String>>,
}

/// Which of the secrets a delivery was signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedWith {
    /// That in force.
    Newest,
    /// The one before it.
    Previous,
}

/// A delivery that who holds the secret has signed. [`verify`] alone makes one.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    rule: Rule,
    delivery: Delivery<'a>,
    signed_with: SignedWith,
    signed_at: Option<UnixMs>,
}

impl Verified<'_> {
    /// Which secret fitted; that in force, if both are the same.
    #[must_use]
    pub const fn signed_with(&self) -> SignedWith {
        self.signed_with
    }

    /// When it was signed; of the providers only Stripe says so.
    #[must_use]
    pub const fn signed_at(&self) -> Option<UnixMs> {
        self.signed_at
    }

    /// What it tells of: one event, or several in the order of a body of QuickBooks; at most [`EVENTS_MAX`].
    ///
    /// # Errors
    /// [`NoEvent`] where nothing names it, or a name is out of bounds.
    pub fn events(&self) -> Result<Vec<Event>, NoEvent> {
        match self.rule {
            Rule::Stripe => stripe::event(self.delivery.body).map(|event| vec![event]),
            Rule::Twilio(_) => twilio::event(&self.delivery).map(|event| vec![event]),
            Rule::QuickBooks => quickbooks::events(self.delivery.body),
            Rule::Shopify => shopify::event(&self.delivery).map(|event| vec![event]),
            Rule::Square => square::event(self.delivery.body).map(|event| vec![event]),
        }
    }
}

/// Whether `delivery` was signed with one of `secrets`. Every secret is tried for every signature, whichever fits, so that
/// the time it takes tells nothing of them.
///
/// # Errors
/// Why not, for the tenant's log; [`explain`] may know better.
pub fn verify<'a>(
    rule: Rule,
    delivery: &Delivery<'a>,
    secrets: &Secrets<'_>,
    now: UnixMs,
) -> Result<Verified<'a>, Refusal> {
    let claim = claim(rule, delivery)?;
    let signed_with = settle(&claim, secrets).ok_or(Refusal::WrongSecret)?;
    let signed_at = claim.signed_at_s.map(|at| near(at, now)).transpose()?;
    Ok(Verified { rule, delivery: *delivery, signed_with, signed_at })
}

/// Looks closer at a delivery that [`verify`] has refused: what a tenant may have set wrong, or what changed the request on
/// its way. Costs a few MACs of the body more; nothing that it finds makes the delivery good.
#[must_use]
pub fn explain(rule: Rule, delivery: &Delivery<'_>, secrets: &Secrets<'_>, refusal: Refusal) -> Refusal {
    explain::explain(rule, delivery, secrets).filter(|_| refusal == Refusal::WrongSecret).unwrap_or(refusal)
}

/// What the delivery says of itself.
fn claim<'a>(rule: Rule, delivery: &Delivery<'a>) -> Result<Claim<'a>, Refusal> {
    match rule {
        Rule::Stripe => stripe::claim(delivery),
        Rule::Twilio(algorithm) => twilio::claim(delivery, algorithm),
        Rule::QuickBooks => quickbooks::claim(delivery),
        Rule::Shopify => shopify::claim(delivery),
        Rule::Square => square::claim(delivery),
    }
}

/// Which secret it was signed with, if it was with one.
fn settle(claim: &Claim<'_>, secrets: &Secrets<'_>) -> Option<SignedWith> {
    let newest = claim.is_signed_with(secrets.newest);
    let previous = secrets.previous.map_or(Choice::from(0), |previous| claim.is_signed_with(previous));
    match (bool::from(newest), bool::from(previous)) {
        (true, _) => Some(SignedWith::Newest),
        (false, true) => Some(SignedWith::Previous),
        (false, false) => None,
    }
}

/// The time of a signature, in whole seconds as the providers count, if it is near `now`.
fn near(at_s: i64, now: UnixMs) -> Result<UnixMs, Refusal> {
    let tolerance_s = i64::try_from(TOLERANCE.as_secs()).unwrap_or(i64::MAX);
    match now.as_secs().saturating_sub(at_s) {
        age_s if age_s > tolerance_s => Err(Refusal::TooOld { age_s }),
        age_s if age_s < -tolerance_s => Err(Refusal::FromTheFuture { ahead_s: -age_s }),
        _ => Ok(UnixMs::new(at_s.saturating_mul(1_000))),
    }
}

#[cfg(test)]
mod tests;
