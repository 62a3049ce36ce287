//! `/v1/rate-limits`: the limits in force and who is blocked for having kept on, for a tenant's admins; and the same of every
//! tenant, and of the node's addresses, for operators.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use freehold_actors::ops::rate_limits::{self as ops, BlockItem, Part, RateLimitsPage, TierItem};
use freehold_domain::id::{BlockId, TenantId};
use freehold_domain::penalty::Stage;
use freehold_domain::policy::Permission;
use freehold_domain::shadow::Seen;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::caller::{Member, run};
use crate::headers::no_store;
use crate::openapi::ListParams;
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;

/// The routes of a tenant's host.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/rate-limits", May(Permission::RateLimitsRead), read).delete(
        "/v1/rate-limits/blocks/{id}",
        May(Permission::RateLimitsLift),
        lift,
    )
}

/// What operators may do besides.
#[must_use]
pub fn operators_routes() -> Routes {
    Routes::default()
        .get("/v1/tenants/{id}/rate-limits", May(Permission::TenantsReadRateLimits), read_tenant)
        .delete("/v1/tenants/{id}/rate-limits/blocks/{block}", May(Permission::TenantsLiftBlock), lift_of_tenant)
        .get("/v1/rate-limits/addresses", May(Permission::AddressesList), read_addresses)
        .delete("/v1/rate-limits/addresses/blocks/{id}", May(Permission::AddressesLift), lift_address)
}

/// The limits in force, and a part of who is blocked.
#[derive(Serialize, ToSchema)]
pub(crate) struct RateLimits {
    /// Every tier, in each part.
    tiers: Vec<RateTier>,
    /// Who is blocked or banned now, by this node: each node of several knows whom it refused itself.
    items: Vec<RateBlock>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<BlockId>,
}

/// A tier, as it is in force.
#[derive(Serialize, ToSchema)]
struct RateTier {
    tier: &'static str,
    /// `N/s`, `N/min`, `N/h`, or `off`.
    limit: String,
    /// What is in force where a tenant was given nothing else; left out where that is the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default: Option<String>,
    /// Whom it counts, such as `address` or `member`.
    subject: &'static str,
    /// What becomes of whoever keeps on: `limit`, a 429; `block`; `ban`.
    stages: Vec<&'static str>,
    /// Refused so often within one period of the limit, each time before the wait is over, blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    block_after: Option<u32>,
    /// For so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    block_s: Option<u64>,
    /// Refused so often while blocked bans.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ban_after: Option<u32>,
    /// For so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ban_s: Option<u64>,
    /// The limit that operators try on the tenant's traffic, if they do. It refuses nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shadow: Option<RateShadow>,
}

/// A limit that is tried, and what it came to on the node that answers, in memory: each node of several tells of the requests
/// that it admitted itself.
#[derive(Serialize, ToSchema)]
struct RateShadow {
    /// `N/s`, `N/min` or `N/h`.
    limit: String,
    /// When it was set.
    #[schema(format = DateTime)]
    since: String,
    /// Since when the node counts: later than `since` if it was started later.
    #[schema(format = DateTime)]
    counted_since: String,
    /// Requests that the limits in force admitted, and that were counted against this one.
    counted: u64,
    /// How many of them it would have refused.
    would_refuse: u64,
    /// How many subjects it would have refused; 1000 stands for that many or more.
    #[schema(maximum = 1000)]
    would_refuse_subjects: usize,
    /// When it would have refused last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    would_refuse_last_at: Option<String>,
    /// Requests that were left out, because 16384 subjects had a bucket in the shadow already.
    not_counted: u64,
}

impl From<Seen> for RateShadow {
    fn from(seen: Seen) -> Self {
        Self {
            limit: seen.limit.to_string(),
            since: rfc3339::text(seen.since),
            counted_since: rfc3339::text(seen.counted_since),
            counted: seen.counted,
            would_refuse: seen.refused,
            would_refuse_subjects: seen.subjects,
            would_refuse_last_at: seen.last.map(rfc3339::text),
            not_counted: seen.uncounted,
        }
    }
}

/// Somebody who is blocked or banned in one tier.
#[derive(Serialize, ToSchema)]
struct RateBlock {
    #[schema(value_type = Uuid)]
    id: BlockId,
    tier: &'static str,
    /// Who, in words: an address, or the id of a member, a session or an API key.
    subject: String,
    stage: RateStage,
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
}

/// How severe it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RateStage {
    Block,
    Ban,
}

impl From<TierItem> for RateTier {
    fn from(item: TierItem) -> Self {
        let terms = item.terms;
        let stages =
            if terms.is_some() { [Stage::Limit, Stage::Block, Stage::Ban].as_slice() } else { &[Stage::Limit] };
        Self {
            tier: item.tier.as_str(),
            limit: item.limit.to_string(),
            default: item.default.map(|limit| limit.to_string()),
            subject: item.counts.as_str(),
            stages: stages.iter().map(|stage| stage.as_str()).collect(),
            block_after: terms.map(|terms| terms.block_after),
            block_s: terms.map(|terms| terms.block.as_secs()),
            ban_after: terms.map(|terms| terms.ban_after),
            ban_s: terms.map(|terms| terms.ban.as_secs()),
            shadow: item.shadow.map(RateShadow::from),
        }
    }
}

impl From<BlockItem> for RateBlock {
    fn from(item: BlockItem) -> Self {
        Self {
            id: item.id,
            tier: item.tier.as_str(),
            subject: item.whom,
            stage: if item.stage == Stage::Ban { RateStage::Ban } else { RateStage::Block },
            since: rfc3339::text(item.since),
            until: rfc3339::text(item.until),
        }
    }
}

fn shown(page: RateLimitsPage) -> Response {
    no_store(Json(RateLimits {
        tiers: page.tiers.into_iter().map(RateTier::from).collect(),
        items: page.items.into_iter().map(RateBlock::from).collect(),
        next_cursor: page.next,
    }))
}

fn part(asked: ListPart) -> Result<Part, Problem> {
    let cursor = asked.cursor.map(|text| text.parse::<BlockId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    Ok(Part { after, limit: asked.limit.into() })
}

/// The block that a path names; what is no id is no block's.
fn block(text: &str) -> Result<BlockId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

fn tenant(text: &str) -> Result<TenantId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `GET /v1/rate-limits`: the limits of this tenant, and who is blocked for having kept on; admins alone.
#[utoipa::path(get, path = "/v1/rate-limits", tag = "rate limits", operation_id = "read_rate_limits",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "The tiers, and a part of who is blocked.", body = RateLimits)),
)]
pub(crate) async fn read(member: Member, Query(asked): Query<ListPart>) -> Result<Response, Problem> {
    Ok(shown(ops::read(member.cx(), &member.claims, part(asked)?).await?))
}

/// `DELETE /v1/rate-limits/blocks/{id}`: lifts a block or a ban at once; admins alone. The limit itself goes on.
#[utoipa::path(delete, path = "/v1/rate-limits/blocks/{id}", tag = "rate limits", operation_id = "lift_block",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The block.")),
    responses((status = 204, description = "Lifted.")),
)]
pub(crate) async fn lift(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (block(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::lift(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/tenants/{id}/rate-limits`: the limits of a tenant, and who is blocked there.
#[utoipa::path(get, path = "/v1/tenants/{id}/rate-limits", tag = "tenants", operation_id = "tenant_rate_limits",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant."), ListParams),
    responses((status = 200, description = "The tiers, and a part of who is blocked.", body = RateLimits)),
)]
pub(crate) async fn read_tenant(
    member: Member,
    Path(text): Path<String>,
    Query(asked): Query<ListPart>,
) -> Result<Response, Problem> {
    let page = ops::read_tenant(member.cx(), &member.claims, tenant(&text)?, part(asked)?).await?;
    Ok(shown(page))
}

/// `DELETE /v1/tenants/{id}/rate-limits/blocks/{block}`: lifts a block or a ban of a tenant at once.
#[utoipa::path(delete, path = "/v1/tenants/{id}/rate-limits/blocks/{block}", tag = "tenants",
    operation_id = "lift_tenant_block", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The tenant."), ("block" = Uuid, Path, description = "The block.")),
    responses((status = 204, description = "Lifted.")),
)]
pub(crate) async fn lift_of_tenant(
    member: Member,
    Path((of, text)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (tenant, id, cx, claims) = (tenant(&of)?, block(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::lift_of_tenant(&cx, &claims, tenant, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/rate-limits/addresses`: the limit of addresses, and which of them this node blocks whatever they ask for.
#[utoipa::path(get, path = "/v1/rate-limits/addresses", tag = "tenants", operation_id = "address_rate_limits",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "The tier, and a part of who is blocked.", body = RateLimits)),
)]
pub(crate) async fn read_addresses(member: Member, Query(asked): Query<ListPart>) -> Result<Response, Problem> {
    Ok(shown(ops::read_addresses(member.cx(), &member.claims, part(asked)?).await?))
}

/// `DELETE /v1/rate-limits/addresses/blocks/{id}`: lifts the block or the ban of an address at once.
#[utoipa::path(delete, path = "/v1/rate-limits/addresses/blocks/{id}", tag = "tenants",
    operation_id = "lift_address_block", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The block.")), responses((status = 204, description = "Lifted.")),
)]
pub(crate) async fn lift_address(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (block(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::lift_address(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
