//! The platform's account at Stripe, from which tenants buy their plans and through which they are paid out.
//!
//! What is said there is `domain::stripe::call`; here it is sent: in a pinned version, with the operator's key, opened for the call,
//! and whatever makes something under a key of its own, so that it is made once however often it is asked. How things stand is
//! never asked: webhooks tell that.

use std::time::Duration;

use freehold_domain::integration::bearer;
use freehold_domain::plan::{Plan, Plans};
use freehold_domain::secret::Secret;
use freehold_domain::stripe::PriceId;
use freehold_domain::stripe::call::{self, API_VERSION, Call, Method, NotAnAnswer, refused};
use freehold_storage::Chain;
use hyper::StatusCode;
use tokio::time::sleep;
use uuid::Uuid;

use crate::integrations::{Guarded, Health};
use crate::outbound::{Answered, Bounds, CallFailed, Outbound};
use crate::providers::ServiceUrl;

/// The breaker before it: one for each tenant, so that nobody's account closes it for others.
pub(crate) const GUARDED: Guarded = Guarded { name: "stripe", breaker: "stripe:api" };
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(10), bytes_max: 512 * 1_024 };
const FORM: &str = "application/x-www-form-urlencoded";
/// How long another try waits after a connection that broke off, or while Stripe is still at the first one.
const AGAIN: Duration = Duration::from_millis(300);

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeRule {
    /// Where Stripe is.
    pub api_url: ServiceUrl,
    /// The key of the platform's account.
    pub secret_key: Secret<String>,
    /// What is sold.
    pub plans: Plans,
    /// Whether tenants can be paid out: the platform's account has Connect.
    pub pays_out: bool,
}

/// The way to it.
pub struct Stripe {
    api: Outbound,
    secret_key: Secret<String>,
    pub(crate) plans: Plans,
    pub(crate) pays_out: bool,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// Nobody knows what became of it.
    #[error("Stripe did not answer")]
    Away(#[source] CallFailed),
    /// It is still at the same thing.
    #[error("Stripe is still at it")]
    InProgress,
    /// It failed, or asks for time.
    #[error("Stripe failed with {0}")]
    Ill(StatusCode, Option<Duration>),
    /// It did not do it.
    #[error("Stripe refused with {0}: {1}")]
    Refused(StatusCode, String),
    /// It answered with something else.
    #[error(transparent)]
    Nonsense(#[from] NotAnAnswer),
}

impl Failed {
    /// What that says of Stripe.
    pub(crate) const fn health(&self) -> Health {
        match self {
            Self::Away(_) | Self::Nonsense(_) => Health::Ill(None),
            Self::Ill(_, retry_after) => Health::Ill(*retry_after),
            Self::Refused(..) | Self::InProgress => Health::Well,
        }
    }

    /// Whether it was refused with this word.
    pub(crate) fn says(&self, word: &str) -> bool {
        matches!(self, Self::Refused(_, said) if said == word)
    }

    /// Whether Stripe would answer the same for ever under the same key: what it answered it keeps, and its own failures too.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(..) => true,
            Self::Ill(status, _) => *status == StatusCode::INTERNAL_SERVER_ERROR,
            Self::Away(_) | Self::InProgress | Self::Nonsense(_) => false,
        }
    }
}

impl Stripe {
    /// That of `rule`.
    ///
    /// # Errors
    /// When TLS cannot be had.
    pub fn new(rule: StripeRule) -> Result<Self, rustls::Error> {
        let StripeRule { api_url, secret_key, plans, pays_out } = rule;
        Ok(Self { api: Outbound::to(api_url)?, secret_key, plans, pays_out })
    }

    /// Whether each price that is sold can be, for a report to the operator: the plan, the price, and what is wrong.
    pub async fn examine(&self) -> Vec<(Plan, PriceId, Result<(), String>)> {
        let mut seen = vec![];
        for (plan, prices) in Plan::ALL.into_iter().filter_map(|plan| Some((plan, self.plans.prices(plan)?))) {
            let asked = self.ask(&Call::price(&prices.sold), Uuid::nil(), call::is_for_a_plan).await;
            let found = match asked {
                Ok(true) => Ok(()),
                Ok(false) => Err("it is not active, or not recurring".to_owned()),
                Err(failed) => Err(Chain(&failed).to_string()),
            };
            seen.push((plan, prices.sold.clone(), found));
        }
        seen
    }

    /// Makes a call, under a key where it makes or changes something, and reads the answer.
    ///
    /// # Errors
    /// [`Failed`]
    pub(crate) async fn ask<T>(
        &self,
        call: &Call,
        once: Uuid,
        read: impl Fn(&str) -> Result<T, NotAnAnswer>,
    ) -> Result<T, Failed> {
        let first = self.send(call, once).await;
        let answered = if matches!(
            first,
            Err(Failed::Away(CallFailed::Connection(_) | CallFailed::Exchange(_)) | Failed::InProgress)
        ) {
            sleep(AGAIN).await;
            self.send(call, once).await
        } else {
            first
        };
        Ok(read(answered?.expose())?)
    }

    async fn send(&self, call: &Call, once: Uuid) -> Result<Secret<String>, Failed> {
        let (opens, once) = (bearer(&self.secret_key), once.to_string());
        let mut headers = vec![("authorization", opens.expose().as_str()), ("stripe-version", API_VERSION)];
        if call.method == Method::Post {
            headers.push(("idempotency-key", &once));
        }
        headers.extend(call.account.as_ref().map(|account| ("stripe-account", account.as_str())));
        let form = call.encoded();
        let answered = match call.method {
            Method::Get => self.api.ask(&call.path, &headers, None, BOUNDS).await,
            Method::Post => self.api.ask(&call.path, &headers, Some((FORM, form.expose())), BOUNDS).await,
            Method::Delete => self.api.delete(&call.path, &headers, BOUNDS).await,
        };
        let Answered { status, retry_after, text } = answered.map_err(Failed::Away)?;
        match Health::of(status, retry_after) {
            Health::Ill(retry_after) => Err(Failed::Ill(status, retry_after)),
            Health::Well if status.is_success() => Ok(text),
            Health::Well if status == StatusCode::CONFLICT => Err(Failed::InProgress),
            Health::Well => {
                Err(Failed::Refused(status, refused(text.expose()).unwrap_or_else(|| "no word".to_owned())))
            }
        }
    }
}
