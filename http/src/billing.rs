//! `/v1/billing/…`: how subscriptions and connected accounts at Stripe stand, as webhooks told.

use axum::Json;
use axum::response::Response;
use freehold_actors::ops::billing::{self as ops, After, Item};
use freehold_domain::policy::Permission;
use freehold_domain::stripe::{Account, AccountId, Fact, Subscription, SubscriptionId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::caller::Member;
use crate::headers::no_store;
use crate::openapi::{self, ListParams};
use crate::problem::Problem;
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/billing/subscriptions", May(Permission::BillingRead), subscriptions).get(
        "/v1/billing/accounts",
        May(Permission::BillingRead),
        accounts,
    )
}

/// A part of the subscriptions.
#[derive(Serialize, ToSchema)]
pub(crate) struct BillingSubscriptions {
    items: Vec<BillingSubscription>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// How a subscription stands, by the newest event that told of it.
#[derive(Serialize, ToSchema)]
struct BillingSubscription {
    /// At which connected account, `acct_…`; `null` at the tenant's own. Together with `id` it is unique.
    #[schema(required)]
    account: Option<String>,
    /// `sub_…`
    id: String,
    /// `cus_…`
    customer: String,
    /// As Stripe says it. What is `canceled` or `incomplete_expired` stays so.
    #[schema(schema_with = openapi::subscription_status)]
    status: &'static str,
    /// `price_…`, of several the first.
    #[schema(required)]
    price: Option<String>,
    /// When what is paid for ends, of several the first.
    #[schema(required, format = DateTime)]
    current_period_end: Option<String>,
    /// Whether it ends with that.
    cancel_at_period_end: bool,
    #[serde(flatten)]
    known: BillingKnown,
}

/// A part of the accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct BillingAccounts {
    items: Vec<BillingAccount>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// How an account stands, by the newest event that told of it.
#[derive(Serialize, ToSchema)]
struct BillingAccount {
    /// Which connected account the event was of, `acct_…`; `null` for the tenant's own. Together with `id` it is unique.
    #[schema(required)]
    account: Option<String>,
    /// `acct_…`
    id: String,
    /// Whether it can be paid.
    charges_enabled: bool,
    /// Whether what it was paid is paid out.
    payouts_enabled: bool,
    /// Whether it has told Stripe what Stripe wants to know.
    details_submitted: bool,
    #[serde(flatten)]
    known: BillingKnown,
}

/// From where something is known.
#[derive(Serialize, ToSchema)]
struct BillingKnown {
    /// When that happened which the newest event tells, to the second.
    #[schema(format = DateTime)]
    as_of: String,
    /// The newest event, at Stripe: `evt_…`.
    event_id: String,
    /// How many events told of it, each counted once, however often it came and whether or not it was news.
    events: i64,
    /// When what is known of it changed here last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl BillingKnown {
    fn of<I, S>(item: &Item<I, S>) -> Self {
        let version = &item.fact.version;
        Self {
            as_of: rfc3339::text(version.at),
            event_id: version.event_id.clone(),
            events: item.events,
            updated_at: rfc3339::text(item.updated_at),
        }
    }
}

impl From<Item<SubscriptionId, Subscription>> for BillingSubscription {
    fn from(item: Item<SubscriptionId, Subscription>) -> Self {
        let known = BillingKnown::of(&item);
        let Fact { seller, id, state, .. } = item.fact;
        Self {
            account: seller.connected().map(ToString::to_string),
            id: id.to_string(),
            customer: state.customer.to_string(),
            status: state.status.as_str(),
            price: state.price.map(|price| price.to_string()),
            current_period_end: state.period_end.map(rfc3339::text),
            cancel_at_period_end: state.cancels_at_end,
            known,
        }
    }
}

impl From<Item<AccountId, Account>> for BillingAccount {
    fn from(item: Item<AccountId, Account>) -> Self {
        let known = BillingKnown::of(&item);
        let Fact { seller, id, state, .. } = item.fact;
        let Account { charges_enabled, payouts_enabled, details_submitted } = state;
        let account = seller.connected().map(ToString::to_string);
        Self { account, id: id.to_string(), charges_enabled, payouts_enabled, details_submitted, known }
    }
}

/// `GET /v1/billing/subscriptions`: how each subscription stands that an event of Stripe's told of, those of the tenant's own
/// account first. Events that come late, twice or in another order change nothing of it.
#[utoipa::path(get, path = "/v1/billing/subscriptions", tag = "billing", operation_id = "billing_subscriptions",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A part of them.", body = BillingSubscriptions)),
)]
pub(crate) async fn subscriptions(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let after = after(part.cursor.as_deref())?;
    let page = ops::subscriptions(member.cx(), &member.claims, &after, part.limit.into()).await?;
    let next_cursor = page.items.last().filter(|_| page.more).map(|item| cursor(&item.fact));
    let items = page.items.into_iter().map(BillingSubscription::from).collect();
    Ok(no_store(Json(BillingSubscriptions { items, next_cursor })))
}

/// `GET /v1/billing/accounts`: how each account stands that an event of Stripe's told of, the tenant's own first.
#[utoipa::path(get, path = "/v1/billing/accounts", tag = "billing", operation_id = "billing_accounts",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A part of them.", body = BillingAccounts)),
)]
pub(crate) async fn accounts(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let after = after(part.cursor.as_deref())?;
    let page = ops::accounts(member.cx(), &member.claims, &after, part.limit.into()).await?;
    let next_cursor = page.items.last().filter(|_| page.more).map(|item| cursor(&item.fact));
    let items = page.items.into_iter().map(BillingAccount::from).collect();
    Ok(no_store(Json(BillingAccounts { items, next_cursor })))
}

/// `{account}.{id}`: neither has a full stop.
fn cursor<I: ToString, S>(fact: &Fact<I, S>) -> String {
    format!("{}.{}", fact.seller, fact.id.to_string())
}

fn after<I: std::str::FromStr>(cursor: Option<&str>) -> Result<After<I>, Problem> {
    let Some(text) = cursor else { return Ok(None) };
    let read = || {
        let (account, id) = text.split_once('.')?;
        Some((account.parse().ok()?, id.parse().ok()?))
    };
    read().map(Some).ok_or_else(|| Problem::invalid("cursor", "is not one that was given out"))
}
