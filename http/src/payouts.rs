//! `/v1/payouts`: the account at which the platform pays the tenant out, and what was paid.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use freehold_actors::ops::payouts::{self as ops, PayoutAccountItem};
use freehold_domain::policy::Permission;
use freehold_domain::rfc3339;
use freehold_domain::stripe::PayoutId;
use freehold_domain::stripe::call::Payout;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::caller::{Member, run};
use crate::headers::no_store;
use crate::openapi::ListParams;
use crate::plan::{HostedPage, hosted};
use crate::problem::Problem;
use crate::query::{ListPart, Query};

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let change = || May(Permission::BillingChange);
    Routes::default()
        .get("/v1/payouts", May(Permission::BillingRead), payouts)
        .get("/v1/payouts/account", May(Permission::BillingRead), payout_account)
        .post("/v1/payouts/account/onboarding", change(), payout_onboarding)
        .post("/v1/payouts/account/dashboard", change(), payout_dashboard)
        .delete("/v1/payouts/account", change(), close_payout_account)
}

/// The account.
#[derive(Serialize, ToSchema)]
pub(crate) struct PayoutAccount {
    /// `acct_…`
    id: String,
    /// Whether it can be paid; `null` until an event told of it, like what follows.
    #[schema(required)]
    charges_enabled: Option<bool>,
    /// Whether what it was paid is paid out.
    #[schema(required)]
    payouts_enabled: Option<bool>,
    /// Whether its owner has told Stripe what Stripe wants to know.
    #[schema(required)]
    details_submitted: Option<bool>,
    /// When that happened which the newest event tells, to the second.
    #[schema(required, format = DateTime)]
    as_of: Option<String>,
}

impl From<PayoutAccountItem> for PayoutAccount {
    fn from(item: PayoutAccountItem) -> Self {
        let (account, as_of) = item.standing.unzip();
        Self {
            id: item.id.to_string(),
            charges_enabled: account.map(|account| account.charges_enabled),
            payouts_enabled: account.map(|account| account.payouts_enabled),
            details_submitted: account.map(|account| account.details_submitted),
            as_of: as_of.map(rfc3339::text),
        }
    }
}

/// A part of the payouts, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payouts {
    items: Vec<PayoutBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What was, or is to be, paid to the account's bank. To which is at Stripe.
#[derive(Serialize, ToSchema)]
#[schema(as = Payout)]
struct PayoutBody {
    /// `po_…`
    id: String,
    /// In the smallest unit of the currency; below zero where it was taken back.
    amount: i64,
    /// Three letters (ISO 4217), in lower case.
    currency: String,
    /// In Stripe's words: `pending`, `in_transit`, `paid`, `failed`, `canceled`.
    status: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it arrives, or did.
    #[schema(format = DateTime)]
    arrives_at: String,
}

impl From<Payout> for PayoutBody {
    fn from(payout: Payout) -> Self {
        let Payout { id, amount, currency, status, created, arrives } = payout;
        let (created_at, arrives_at) = (rfc3339::text(created), rfc3339::text(arrives));
        Self { id: id.to_string(), amount, currency, status, created_at, arrives_at }
    }
}

/// `GET /v1/payouts`: what the tenant was, or is to be, paid out, as Stripe tells it now; at most a hundred at once.
#[utoipa::path(get, path = "/v1/payouts", tag = "billing", operation_id = "payouts", security(("bearer" = [])),
    params(ListParams), responses((status = 200, description = "A part of them.", body = Payouts)),
)]
pub(crate) async fn payouts(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let after: Option<PayoutId> = match part.cursor {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?),
    };
    let (cx, claims, limit) = (member.tenant.cx, member.claims, part.limit.into());
    let page = run(async move { ops::page(&cx, &claims, after.as_ref(), limit).await }).await?;
    let next_cursor = page.next.map(|id| id.to_string());
    Ok(no_store(Json(Payouts { items: page.items.into_iter().map(PayoutBody::from).collect(), next_cursor })))
}

/// `GET /v1/payouts/account`: the account at which the tenant is paid out; 404 where there is none, or the operator pays nobody out.
#[utoipa::path(get, path = "/v1/payouts/account", tag = "billing", operation_id = "payout_account",
    security(("bearer" = [])), responses((status = 200, description = "The account.", body = PayoutAccount)),
)]
pub(crate) async fn payout_account(member: Member) -> Result<Response, Problem> {
    Ok(no_store(Json(PayoutAccount::from(ops::show(member.cx(), &member.claims).await?))))
}

/// `POST /v1/payouts/account/onboarding`: opens the page at which the owner of the account tells Stripe what it wants to know; makes
/// the account where there is none. The page works once and for some minutes: whoever needs it longer asks again.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/payouts/account/onboarding", tag = "billing", operation_id = "payout_onboarding",
    security(("bearer" = [])), responses((status = 200, description = "Where to go.", body = HostedPage)),
)]
pub(crate) async fn payout_onboarding(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    Ok(hosted(&run(async move { ops::onboard(&cx, &claims).await }).await?))
}

/// `POST /v1/payouts/account/dashboard`: opens the page at which the owner of the account sees what was paid, and changes its bank;
/// 409 before Stripe knows its owner.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/payouts/account/dashboard", tag = "billing", operation_id = "payout_dashboard",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Where to go.", body = HostedPage),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn payout_dashboard(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    Ok(hosted(&run(async move { ops::dashboard(&cx, &claims).await }).await?))
}

/// `DELETE /v1/payouts/account`: closes the account, at Stripe and here; 409 while there is money in it. There is no way back: another
/// one is made by onboarding again.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(delete, path = "/v1/payouts/account", tag = "billing", operation_id = "close_payout_account",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "It is closed."),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn close_payout_account(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { ops::close(&cx, &claims).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
