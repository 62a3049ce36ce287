//! The services outside that tenants have connected: where they are, and what is asked of them.
//!
//! What opens one is opened in the call and wiped after it. Every call takes one of the tenant's places for such and stands
//! behind the tenant's breaker of that service; [`access`] gives the tokens of those that have some, refreshed.

pub(crate) mod access;
mod app;
mod keeper;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::integration::key::Key;
use freehold_domain::integration::shopify::ShopDomain;
use freehold_domain::integration::{Integration, basic, bearer};
use freehold_domain::public_url::PublicUrl;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use hyper::StatusCode;

pub(crate) use self::app::{App, Failed, Whose};
pub use self::keeper::run;
use self::turns::Turns;
use crate::breakers;
pub(crate) use crate::breakers::Health;
use crate::gate;
use crate::metric;
use crate::node::Node;
use crate::ops::refusal::Refusal;
use crate::outbound::{Answered, Bounds, CallFailed, Outbound};
use crate::providers::{ClientRule, ServiceUrl};
use crate::public_client::{NoAnswer, PublicClient};
use crate::queue::Queue;
use crate::slot::TenantSlot;

/// One call.
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(10), bytes_max: 256 * 1_024 };
const JSON: (&str, &str) = ("accept", "application/json");

/// What this server is to a provider that gives out tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRule {
    /// Its id and its secret, where people are sent, and where tokens are given out.
    pub client: ClientRule,
    /// Where tokens are taken back.
    pub revoke_url: ServiceUrl,
    /// What is called with them.
    pub api_url: ServiceUrl,
}

/// What this server is to every shop of Shopify's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopifyRule {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// What it asks to be allowed, with commas between.
    pub scopes: String,
    /// Where all shops are.
    pub domain: ShopDomain,
}

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationsRule {
    /// QuickBooks Online.
    pub quickbooks: Option<AppRule>,
    /// Square.
    pub square: Option<AppRule>,
    /// Shopify.
    pub shopify: Option<ShopifyRule>,
    /// Where Twilio is.
    pub twilio_api_url: ServiceUrl,
}

/// The way to those services.
pub struct Integrations {
    twilio: Outbound,
    quickbooks: Option<App>,
    square: Option<App>,
    shopify: Option<App>,
    turns: Turns,
    tenants: Queue<TenantId>,
}

/// How a call ended whose answer nobody reads but for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// In a word: `ok`, `refused`, `failed` or why there was no answer.
    pub outcome: &'static str,
    /// The status, where there was an answer.
    pub status: Option<u16>,
}

impl Tried {
    /// Whether the service took what it was shown.
    #[must_use]
    pub fn works(&self) -> bool {
        self.outcome == OK
    }
}

const OK: &str = "ok";

impl Integrations {
    /// Those of `rule`.
    ///
    /// # Errors
    /// When TLS cannot be had.
    pub fn new(rule: IntegrationsRule) -> Result<Self, rustls::Error> {
        let twilio = Outbound::to(rule.twilio_api_url)?;
        let app = |integration, rule: Option<AppRule>| rule.map(|rule| App::hosted(integration, rule, &twilio));
        let (quickbooks, square) =
            (app(Integration::QuickBooks, rule.quickbooks), app(Integration::Square, rule.square));
        let shopify = rule.shopify.map(App::shopify);
        Ok(Self { twilio, quickbooks, square, shopify, turns: Turns::default(), tenants: Queue::default() })
    }

    /// What this server is to the provider of this one; `None` where that is nothing.
    pub(crate) const fn app(&self, integration: Integration) -> Option<&App> {
        match integration {
            Integration::QuickBooks => self.quickbooks.as_ref(),
            Integration::Square => self.square.as_ref(),
            Integration::Shopify => self.shopify.as_ref(),
            Integration::Twilio | Integration::OpenAi => None,
        }
    }

    /// The tenant has tokens that are to be refreshed at `at`.
    pub(crate) fn wake(&self, tenant: TenantId, at: UnixMs) {
        self.tenants.wake(tenant, at);
    }

    /// The clock has jumped: what has become due is found.
    #[cfg(feature = "test-faults")]
    pub(crate) fn look_at_the_clock(&self) {
        self.tenants.look_at_the_clock();
    }

    /// Shows a service its key, in a call that changes nothing there.
    pub(crate) async fn try_key(&self, client: &PublicClient, key: &Key) -> (Tried, Health) {
        match key {
            Key::Twilio { account_sid, auth_token } => {
                let path = format!("/2010-04-01/Accounts/{account_sid}.json");
                let opens = basic(account_sid, auth_token);
                let headers = [JSON, ("authorization", opens.expose().as_str())];
                tried(self.twilio.ask(&path, &headers, None, BOUNDS).await)
            }
            Key::OpenAi { base_url, api_key } => try_models(client, base_url, &bearer(api_key)).await,
        }
    }
}

async fn try_models(client: &PublicClient, base_url: &str, opens: &Secret<String>) -> (Tried, Health) {
    let Ok(url) = PublicUrl::parse(&format!("{base_url}/models"), client.reach()) else {
        return unanswered("url-not-allowed"); // the operator allows less than it did
    };
    let headers = [("accept", "application/json".to_owned()), ("authorization", opens.expose().clone())];
    let answered: Result<_, NoAnswer> = client.get(&url, &headers, BOUNDS.within).await;
    match answered {
        Ok(answer) => of_status(answer.status, answer.retry_after),
        Err(no) => unanswered(no.as_str()),
    }
}

fn tried(answered: Result<Answered, CallFailed>) -> (Tried, Health) {
    match answered {
        Ok(answered) => of_status(answered.status, answered.retry_after),
        Err(failed) => unanswered(word(&failed)),
    }
}

fn of_status(status: StatusCode, retry_after: Option<Duration>) -> (Tried, Health) {
    let health = Health::of(status, retry_after);
    let outcome = match health {
        Health::Well if status.is_success() => OK,
        Health::Well => "refused",
        Health::Ill(_) => "failed",
    };
    (Tried { outcome, status: Some(status.as_u16()) }, health)
}

const fn unanswered(outcome: &'static str) -> (Tried, Health) {
    (Tried { outcome, status: None }, Health::Ill(None))
}

const fn word(failed: &CallFailed) -> &'static str {
    match failed {
        CallFailed::Late => "late",
        CallFailed::Connection(_) => "connection",
        CallFailed::Exchange(_) | CallFailed::Status(_) | CallFailed::TooLong | CallFailed::Malformed => "exchange",
    }
}

/// A service as it is guarded: by which name it is counted, and which of the tenant's breakers stands before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded {
    pub(crate) name: &'static str,
    pub(crate) breaker: &'static str,
}

impl From<Integration> for Guarded {
    fn from(integration: Integration) -> Self {
        Self { name: integration.as_str(), breaker: integration.breaker() }
    }
}

/// Makes a call to a service of the tenant's: with one of its places for such, behind its breaker. It is to be run to its end.
///
/// # Errors
/// [`Refusal::Overloaded`] where there is no place; [`Refusal::Unavailable`] while the breaker is open; nothing was called then.
pub(crate) async fn guarded<T>(
    node: &Arc<Node>,
    slot: &Arc<TenantSlot>,
    service: impl Into<Guarded>,
    call: impl Future<Output = (T, Health)>,
) -> Result<T, Refusal> {
    let service = service.into();
    let _place = slot.call_outside(gate::OUTBOUND_MAX)?;
    let name = breakers::Integration::from(service.breaker);
    let begun = breakers::begin(node, slot, &name).await?.map_err(|_| {
        count(service, "left_alone");
        Refusal::Unavailable
    })?;
    let (outcome, health) = call.await;
    let [spread] = node.ambient.random();
    let word = if health == Health::Well { "answered" } else { "failed" };
    breakers::end_call(node, slot, &name, (&begun, health.outcome(spread))).await;
    count(service, word);
    Ok(outcome)
}

fn count(service: Guarded, outcome: &'static str) {
    metrics::counter!(metric::INTEGRATION_CALLS, "integration" => service.name, "outcome" => outcome).increment(1);
}
