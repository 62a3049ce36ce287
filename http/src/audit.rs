//! What happened at a tenant: `/v1/audit`, for its admins.

use axum::Json;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::audit::{AuditItem, Filter, list_audit};
use freehold_domain::audit::{Actor, Changed};
use freehold_domain::id::AuditId;
use freehold_domain::policy::Permission;
use freehold_domain::time::UnixMs;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{May, Routes};
use crate::caller::Member;
use crate::faults::Faults;
use crate::openapi::{self, AuditParams, ListParams};
use crate::problem::Problem;
use crate::query::{FromParams, ListPart, Params, Query};
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/audit", May(Permission::AuditRead), audit)
}

/// Which part of the log, and which events of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPart {
    list: ListPart,
    filter: Filter,
    before: Option<i64>,
}

impl FromParams for AuditPart {
    fn from_params(params: &mut Params, faults: &mut Faults) -> Option<Self> {
        let list = ListPart::from_params(params, faults);
        let filter = Filter {
            actor: filtered(params, faults, "actor", "must be a member's id, operator, system or unknown"),
            action: filtered(params, faults, "action", "is not a known action"),
            since: time(params, faults, "since"),
            until: time(params, faults, "until"),
        };
        if filter.since.zip(filter.until).is_some_and(|(since, until)| since >= until) {
            faults.add("until", "must be later than since");
        }
        let list = list?;
        let cursor = list.cursor.as_deref().map(|text| text.parse().ok().filter(|before: &i64| *before > 0));
        let before = cursor.and_then(|before| faults.some("cursor", before, "is not one that was given out"));
        Some(Self { list, filter, before })
    }
}

fn filtered<T: std::str::FromStr>(
    params: &mut Params,
    faults: &mut Faults,
    name: &'static str,
    message: &'static str,
) -> Option<T> {
    let text = params.take(name)?;
    faults.some(name, text.parse().ok(), message)
}

fn time(params: &mut Params, faults: &mut Faults, name: &'static str) -> Option<UnixMs> {
    let text = params.take(name)?;
    faults.some(name, rfc3339::parse(&text), "must be a time as in RFC 3339, such as 2026-11-22T08:00:00Z")
}

/// A part of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(crate) struct AuditPageBody {
    items: Vec<AuditEvent>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One event.
#[derive(Serialize, ToSchema)]
struct AuditEvent {
    #[schema(value_type = Uuid)]
    id: AuditId,
    #[schema(format = DateTime)]
    at: String,
    #[schema(schema_with = openapi::action)]
    action: String,
    actor: AuditActor,
    /// Whom or what it was done to: a session, a member, the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<Uuid>,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// The `x-request-id` of the request's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
    /// Why, in an operator's words; with `webhook_endpoint.disabled`: `failing` or `gone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// With `tenant.limited`: which limit was set. With `rate_limit.…`: by which limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tier: Option<String>,
    /// With `tenant.limited`: what it was set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limit: Option<String>,
    /// With `rate_limit.…`: who was banned or is no more, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    whom: Option<String>,
    /// With `domain.…`: which custom domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    domain: Option<String>,
    /// With `webhook_secret.…`: which source; with `breaker.…` and `integration.…`: which integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source: Option<String>,
    /// What was changed, from what to what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    changes: Vec<AuditChange>,
}

/// One thing that an event changed.
#[derive(Serialize, ToSchema)]
struct AuditChange {
    field: String,
    from: String,
    to: String,
}

impl From<Changed> for AuditChange {
    fn from(Changed { field, from, to }: Changed) -> Self {
        Self { field, from, to }
    }
}

/// Who did it.
#[derive(Serialize, ToSchema)]
struct AuditActor {
    #[schema(schema_with = openapi::actor_kind)]
    kind: String,
    /// Which member, where `kind` is `member`; which operator, where it is `operator` and not the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<Uuid>,
}

impl From<AuditItem> for AuditEvent {
    fn from(item: AuditItem) -> Self {
        let detail = item.detail;
        Self {
            id: item.id,
            at: rfc3339::text(item.at),
            action: item.action,
            actor: AuditActor { kind: item.actor_kind, id: item.actor },
            subject: item.subject,
            address: detail.address,
            request_id: detail.request_id,
            reason: detail.reason,
            tier: detail.tier,
            limit: detail.limit,
            whom: detail.whom,
            domain: detail.domain,
            source: detail.source,
            changes: detail.changes.into_iter().map(AuditChange::from).collect(),
        }
    }
}

/// `GET /v1/audit`: what happened at the tenant, newest first; admins alone.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", security(("bearer" = [])), params(ListParams, AuditParams),
    responses((status = 200, description = "A part of the audit log.", body = AuditPageBody)),
)]
pub(crate) async fn audit(member: Member, Query(part): Query<AuditPart>) -> Result<Response, Problem> {
    let AuditPart { list, filter, before } = part;
    let page = list_audit(member.cx(), &member.claims, filter, before, list.limit.into()).await?;
    let items = page.items.into_iter().map(AuditEvent::from).collect();
    Ok(Json(AuditPageBody { items, next_cursor: page.next.map(|before| before.to_string()) }).into_response())
}

/// The kinds of actors.
pub(crate) fn actor_kinds() -> [&'static str; 4] {
    ["member", Actor::Operator(None).kind(), Actor::System.kind(), Actor::Unknown.kind()]
}
