//! `/v1/plan`: the tenant's plan, for its admins; and `/billing/return`, where everybody ends who was sent to Stripe.

use axum::Json;
use axum::response::Response;
use freehold_actors::ops::plan::{self as ops, Bought, PlanItem, QuotaItem};
use freehold_domain::plan::Plan;
use freehold_domain::policy::Permission;
use freehold_domain::rfc3339;
use freehold_domain::secret::Secret;
use freehold_domain::text::escape_html;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, May, Routes};
use crate::body::{Valid, Validate};
use crate::caller::{Member, Tenant, run};
use crate::faults::Faults;
use crate::headers::{Nonce, no_store};
use crate::openapi;
use crate::pages::page;
use crate::problem::Problem;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/plan", May(Permission::BillingRead), plan)
        .post("/v1/plan/checkout", May(Permission::BillingChange), checkout)
        .post("/v1/plan/portal", May(Permission::BillingChange), portal)
        .get("/billing/return", Credential, came_back)
}

/// The plan that is in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanBody {
    /// Which; `null` where the operator sells none, and nothing is bounded by one.
    #[schema(required)]
    plan: Option<&'static str>,
    /// What plans bound.
    quotas: Vec<QuotaBody>,
    /// What was bought of the operator, of which last something changed first; what has ended too.
    subscriptions: Vec<PlanSubscription>,
}

/// How much of something there is, and may be.
#[derive(Serialize, ToSchema)]
struct QuotaBody {
    /// Of what: `members` who are active, `api_keys` that are good, `webhook_endpoints`.
    #[schema(schema_with = openapi::quota)]
    quota: &'static str,
    /// How much there is. It can be more than the plan allows, after a change to a lesser one: then there is no more.
    used: u32,
    /// How much the plan allows; `null`: as much as you like.
    #[schema(required)]
    limit: Option<u32>,
}

/// A subscription, by the newest event that told of it.
#[derive(Serialize, ToSchema)]
struct PlanSubscription {
    /// `sub_…`
    id: String,
    /// The plan that it is of; `null` for a price that the operator sells no plan for.
    #[schema(required)]
    plan: Option<&'static str>,
    /// As Stripe says it. One that is `past_due` gives its plan for some days more, and `unpaid` and `paused` give none.
    #[schema(schema_with = openapi::subscription_status)]
    status: &'static str,
    /// When what is paid for ends.
    #[schema(required, format = DateTime)]
    current_period_end: Option<String>,
    /// Whether it ends with that.
    cancel_at_period_end: bool,
    /// When that happened which the newest event tells, to the second.
    #[schema(format = DateTime)]
    as_of: String,
}

impl From<PlanItem> for PlanBody {
    fn from(item: PlanItem) -> Self {
        let PlanItem { plan, quotas, bought } = item;
        let quota = |QuotaItem { quota, used, limit }| QuotaBody { quota: quota.as_str(), used, limit };
        Self {
            plan: plan.map(Plan::as_str),
            quotas: quotas.into_iter().map(quota).collect(),
            subscriptions: bought.into_iter().map(PlanSubscription::from).collect(),
        }
    }
}

impl From<Bought> for PlanSubscription {
    fn from(bought: Bought) -> Self {
        let Bought { id, state, plan, as_of } = bought;
        Self {
            id: id.to_string(),
            plan: plan.map(Plan::as_str),
            status: state.status.as_str(),
            current_period_end: state.period_end.map(rfc3339::text),
            cancel_at_period_end: state.cancels_at_end,
            as_of: rfc3339::text(as_of),
        }
    }
}

/// Where to go.
#[derive(Serialize, ToSchema)]
#[schema(as = HostedPage)]
pub(crate) struct HostedPage<'a> {
    /// At Stripe, for whoever asked, for a while. Whoever has the address can use it.
    url: &'a str,
}

/// A page at Stripe, as an answer.
pub(crate) fn hosted(url: &Secret<String>) -> Response {
    no_store(Json(HostedPage { url: url.expose() }))
}

/// `GET /v1/plan`: the plan that is in force, what it bounds, and what was bought.
#[utoipa::path(get, path = "/v1/plan", tag = "billing", operation_id = "plan", security(("bearer" = [])),
    responses((status = 200, description = "The plan.", body = PlanBody)),
)]
pub(crate) async fn plan(member: Member) -> Result<Response, Problem> {
    Ok(no_store(Json(PlanBody::from(ops::show(member.cx(), &member.claims).await?))))
}

/// Which plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Buy {
    /// `pro` or `business`.
    #[schema(schema_with = openapi::paid_plan)]
    plan: String,
}

impl Validate for Buy {
    type Checked = Plan;

    fn check(self, faults: &mut Faults) -> Option<Plan> {
        match self.plan.parse() {
            Ok(plan @ (Plan::Pro | Plan::Business)) => Some(plan),
            Ok(Plan::Free) | Err(_) => {
                faults.add("plan", "must be one of pro, business");
                None
            }
        }
    }
}

/// `POST /v1/plan/checkout`: opens a page at Stripe at which the plan is paid for; for whoever may change the billing. What was paid is
/// told by Stripe and not by the browser: the plan is in force when its webhook has come, some seconds later.
#[utoipa::path(post, path = "/v1/plan/checkout", tag = "billing", operation_id = "plan_checkout", request_body = Buy,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Where to pay, for 35 minutes. Pages that were opened before are closed.", body = HostedPage),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn checkout(member: Member, Valid(plan): Valid<Buy>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    Ok(hosted(&run(async move { ops::checkout(&cx, &claims, plan).await }).await?))
}

/// `POST /v1/plan/portal`: opens the page at Stripe where what is paid for is changed, paid and cancelled; for whoever may change the
/// billing.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/plan/portal", tag = "billing", operation_id = "plan_portal", security(("bearer" = [])),
    responses((status = 200, description = "Where to go.", body = HostedPage)),
)]
pub(crate) async fn portal(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    Ok(hosted(&run(async move { ops::portal(&cx, &claims).await }).await?))
}

/// `GET /billing/return`: where a browser ends that was sent to Stripe. Nothing that it brings along is read.
#[utoipa::path(get, path = "/billing/return", tag = "public", operation_id = "billing_return",
    responses((status = 200, description = "A page that says so.", content_type = "text/html", body = String)),
)]
pub(crate) async fn came_back(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    tenant.cx.admit(&[tenant.cx.tenant_layer()]).await?;
    let name = escape_html(&tenant.cx.slot.name);
    let body = format!(
        "<h1>{name}</h1><p>You were at Stripe. What you did there is told by Stripe; you can close this page.</p>"
    );
    Ok(no_store(page(nonce, &name, &body)))
}
