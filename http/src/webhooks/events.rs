//! `/v1/webhooks/events` and `/v1/webhooks/refusals`: what providers told of, and what was refused, for a tenant's admins.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_actors::ops::webhooks::{self as ops, EventItem, RefusalItem};
use freehold_domain::id::WebhookEventId;
use freehold_domain::inbox::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::openapi::{self, ListParams, WebhookEventParams};
use crate::problem::{Kind, Problem};
use crate::query::{FromParams, ListPart, Params, Query};
use freehold_domain::rfc3339;

/// Which part of the events, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventsPart {
    limit: u16,
    after: Option<WebhookEventId>,
    state: Option<State>,
}

impl FromParams for EventsPart {
    fn from_params(params: &mut Params, faults: &mut Faults) -> Option<Self> {
        let list = ListPart::from_params(params, faults);
        let state = params.take("state").map(|text| text.parse());
        let state = state.and_then(|state| faults.some("state", state.ok(), "must be waiting, done or parked"));
        let ListPart { limit, cursor } = list?;
        let after = cursor.map(|text| text.parse());
        let after = after.and_then(|after| faults.some("cursor", after.ok(), "is not one that was given out"));
        Some(Self { limit, after, state })
    }
}

/// A part of what providers told of.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEvents {
    items: Vec<WebhookEvent>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<WebhookEventId>,
}

/// Something that a provider told of.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEvent {
    #[schema(value_type = Uuid)]
    id: WebhookEventId,
    provider: String,
    /// By whose secret it was verified.
    source: String,
    /// Its id at the provider. It comes once, however often the provider tells of it.
    event_id: String,
    /// What happened, in the provider's words.
    kind: String,
    /// To whom: a connected account, a shop, a merchant, a company.
    #[schema(required)]
    account: Option<String>,
    /// When it happened, where the provider says so. It can come late: an older one can follow a newer one.
    #[schema(required, format = DateTime)]
    happened_at: Option<String>,
    #[schema(format = DateTime)]
    received_at: String,
    /// How often it was told of again.
    repeated: i64,
    /// The request that brought it first.
    request_id: String,
    /// `waiting` for its effect; `done` when it had it, or has none; `parked` when it could not have it, until it is replayed.
    #[schema(schema_with = openapi::inbox_state)]
    state: &'static str,
    /// How often its effect was tried in vain.
    tries: i64,
    /// When it is tried next, if it waits.
    #[schema(required, format = DateTime)]
    next_try_at: Option<String>,
    /// Why the last try was in vain, in a word.
    #[schema(required)]
    fault: Option<String>,
}

/// Something that a provider told of, and the whole delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEventWithBody {
    #[serde(flatten)]
    event: WebhookEvent,
    /// The body of the request that brought it first, byte by byte, in base64. It may tell of other events too.
    body_base64: String,
}

impl From<EventItem> for WebhookEvent {
    fn from(item: EventItem) -> Self {
        Self {
            id: item.id,
            provider: item.provider,
            source: item.source,
            event_id: item.event_id,
            kind: item.kind,
            account: item.account,
            happened_at: item.happened_at.map(rfc3339::text),
            received_at: rfc3339::text(item.received_at),
            repeated: item.repeated,
            request_id: item.request_id,
            state: item.state.as_str(),
            tries: item.tries,
            next_try_at: item.next_try_at.map(rfc3339::text),
            fault: item.fault,
        }
    }
}

/// `GET /v1/webhooks/events`: what providers told of in the last 90 days, each once, in the order in which it was received;
/// admins alone.
#[utoipa::path(get, path = "/v1/webhooks/events", tag = "webhooks", operation_id = "webhook_events",
    security(("bearer" = [])), params(ListParams, WebhookEventParams),
    responses((status = 200, description = "A part of it.", body = WebhookEvents)),
)]
pub(crate) async fn events(member: Member, Query(part): Query<EventsPart>) -> Result<Response, Problem> {
    let EventsPart { limit, after, state } = part;
    let page = ops::events(member.cx(), &member.claims, state, after, limit.into()).await?;
    let items = page.items.into_iter().map(WebhookEvent::from).collect();
    Ok(no_store(Json(WebhookEvents { items, next_cursor: page.next })))
}

/// `GET /v1/webhooks/events/{id}`: one of them with the body that told of it; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/events/{id}", tag = "webhooks", operation_id = "webhook_event",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The event.")),
    responses((status = 200, description = "The event.", body = WebhookEventWithBody)),
)]
pub(crate) async fn event(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    let id: WebhookEventId = text.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (item, body) = ops::event(member.cx(), &member.claims, id).await?;
    let body_base64 = STANDARD.encode(body.bytes());
    Ok(no_store(Json(WebhookEventWithBody { event: item.into(), body_base64 })))
}

/// `POST /v1/webhooks/events/{id}/replay`: lets an event that is parked have its effect after all; admins alone. It waits as if
/// it were new, and is looked at at once; so is one that waits for its next try.
///
/// 409 `conflict` when it had its effect, or has none: it has no second one.
#[utoipa::path(post, path = "/v1/webhooks/events/{id}/replay", tag = "webhooks", operation_id = "replay_webhook_event",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The event.")),
    responses(
        (status = 200, description = "The event, as it waits.", body = WebhookEvent),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn replay(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    let id: WebhookEventId = text.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    let item = run(async move { ops::replay(&cx, &claims, id).await }).await?;
    Ok(no_store(Json(WebhookEvent::from(item))))
}

/// What was refused.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookRefusals {
    items: Vec<WebhookRefusal>,
    /// `null`: there is one part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Deliveries that were refused for one cause. Nothing of it is believed: anybody can send them.
#[derive(Serialize, ToSchema)]
struct WebhookRefusal {
    provider: String,
    /// Why, in a word, such as `wrong-secret` or `too-old`.
    cause: String,
    /// Why the last one was, in words.
    detail: String,
    /// How often; those of the last ten seconds may be missing.
    times: i64,
    #[schema(format = DateTime)]
    first_seen_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// The request of the last one.
    request_id: String,
}

impl From<RefusalItem> for WebhookRefusal {
    fn from(item: RefusalItem) -> Self {
        Self {
            provider: item.provider,
            cause: item.cause,
            detail: item.detail,
            times: item.times,
            first_seen_at: rfc3339::text(item.first_seen_at),
            last_seen_at: rfc3339::text(item.last_seen_at),
            request_id: item.request_id,
        }
    }
}

/// `GET /v1/webhooks/refusals`: why deliveries were refused in the last 90 days, each cause of a provider once, the last one
/// first; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/refusals", tag = "webhooks", operation_id = "webhook_refusals",
    security(("bearer" = [])),
    responses((status = 200, description = "The causes.", body = WebhookRefusals)),
)]
pub(crate) async fn refusals(member: Member) -> Result<Response, Problem> {
    let items = ops::refusals(member.cx(), &member.claims).await?.into_iter().map(WebhookRefusal::from).collect();
    Ok(no_store(Json(WebhookRefusals { items, next_cursor: None })))
}
