//! `/v1/webhooks/endpoints/{id}/messages`: what an endpoint was told and how each try went, for a tenant's admins.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::webhook_messages::{self as ops, AttemptItem, MessageItem, State};
use freehold_domain::id::AuditId;
use freehold_domain::rfc3339;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook_out::message_id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoints::id_of;
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};
use crate::query::{FromParams, ListPart, Params, Query};

/// A part of what an endpoint was told.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookMessages {
    items: Vec<WebhookMessage>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A message to an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookMessage {
    /// The number of the event in the audit log.
    number: i64,
    /// What happened.
    kind: String,
    /// `waiting`, `delivered` or `failed`.
    state: String,
    /// How often it was tried.
    attempts: i64,
    /// When it is tried next, while it waits and its endpoint is told.
    #[schema(required, format = DateTime)]
    next_try_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A message, what was sent, and how each try went.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookMessageWithAttempts {
    #[serde(flatten)]
    message: WebhookMessage,
    /// Its id: the same with every try and to every endpoint.
    message_id: String,
    /// The event in the audit log.
    #[schema(value_type = Uuid)]
    event: AuditId,
    /// The body, byte by byte, as the endpoint's profile has it now.
    body: String,
    /// The last hundred tries, the newest first.
    tries: Vec<WebhookAttempt>,
}

/// One try.
#[derive(Serialize, ToSchema)]
struct WebhookAttempt {
    /// Its number, from 1.
    attempt: i64,
    #[schema(format = DateTime)]
    at: String,
    took_ms: i64,
    /// `delivered`; `status` or `redirect` for another answer; else why there was none: `late`, `connection`, `tls`, `exchange`,
    /// `no-address`, `name-server`, `private-address`, `url-not-allowed` or `sealed`.
    outcome: String,
    /// The status of the answer.
    #[schema(required)]
    status: Option<i64>,
    /// The first thousand characters of it.
    #[schema(required)]
    answer: Option<String>,
}

impl From<MessageItem> for WebhookMessage {
    fn from(item: MessageItem) -> Self {
        Self {
            number: item.number,
            kind: item.kind,
            state: item.state,
            attempts: item.attempts,
            next_try_at: item.next_try_at.map(rfc3339::text),
            created_at: rfc3339::text(item.created_at),
        }
    }
}

impl From<AttemptItem> for WebhookAttempt {
    fn from(item: AttemptItem) -> Self {
        let AttemptItem { attempt, at, took_ms, outcome, status, answer } = item;
        Self { attempt, at: rfc3339::text(at), took_ms, outcome, status, answer }
    }
}

/// `limit`, `cursor` and `state`.
pub(crate) struct MessagePart {
    list: ListPart,
    before: Option<i64>,
    state: State,
}

impl FromParams for MessagePart {
    fn from_params(params: &mut Params, faults: &mut Faults) -> Option<Self> {
        let list = ListPart::from_params(params, faults);
        let state = params.take("state").map(|text| text.parse().ok());
        let state = state.and_then(|state| faults.some("state", state, "must be one of waiting, delivered, failed"));
        let list = list?;
        let cursor = list.cursor.as_deref().map(|text| text.parse().ok().filter(|before: &i64| *before > 0));
        let before = cursor.and_then(|before| faults.some("cursor", before, "is not one that was given out"));
        Some(Self { list, before, state: state.unwrap_or_default() })
    }
}

fn number(text: &str) -> Result<i64, Problem> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| Problem::new(Kind::NotFound))
}

/// `GET /v1/webhooks/endpoints/{id}/messages`: what it was told in the last 90 days, the newest first; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}/messages", tag = "webhooks", operation_id = "webhook_messages",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The endpoint."),
        crate::openapi::ListParams,
        ("state" = Option<String>, Query, description = "Only these: `waiting`, `delivered` or `failed`."),
    ),
    responses((status = 200, description = "A part of it.", body = WebhookMessages)),
)]
pub(crate) async fn messages(
    member: Member,
    Path(text): Path<String>,
    Query(part): Query<MessagePart>,
) -> Result<Response, Problem> {
    let (id, MessagePart { list, before, state }) = (id_of(&text)?, part);
    let page = ops::list(member.cx(), &member.claims, id, (before, state), list.limit.into()).await?;
    let items = page.items.into_iter().map(WebhookMessage::from).collect();
    Ok(no_store(Json(WebhookMessages { items, next_cursor: page.next.map(|before| before.to_string()) })))
}

/// `GET /v1/webhooks/endpoints/{id}/messages/{number}`: one of them with its body and its tries; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}/messages/{number}", tag = "webhooks",
    operation_id = "webhook_message",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The endpoint."),
        ("number" = i64, Path, description = "The message."),
    ),
    responses((status = 200, description = "The message.", body = WebhookMessageWithAttempts)),
)]
pub(crate) async fn message(member: Member, Path((id, text)): Path<(String, String)>) -> Result<Response, Problem> {
    let whole = ops::one(member.cx(), &member.claims, (id_of(&id)?, number(&text)?)).await?;
    let (message_id, tries) = (message_id(whole.event), whole.tries.into_iter().map(WebhookAttempt::from).collect());
    let message = whole.item.into();
    Ok(no_store(Json(WebhookMessageWithAttempts { message, message_id, event: whole.event, body: whole.body, tries })))
}

/// `POST /v1/webhooks/endpoints/{id}/messages/{number}/replay`: has it sent again, now and by the whole schedule; admins alone.
/// One that waits stays as it is.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/messages/{number}/replay", tag = "webhooks",
    operation_id = "replay_webhook_message",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The endpoint."),
        ("number" = i64, Path, description = "The message."),
    ),
    responses(
        (status = 202, description = "It is going to be sent."),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn replay_message(
    member: Member,
    Path((id, text)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (which, cx, claims) = ((id_of(&id)?, number(&text)?), member.tenant.cx, member.claims);
    run(async move { ops::replay(&cx, &claims, which).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `{since}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaySince {
    /// From when on, in the last 90 days.
    #[schema(required, nullable = false, format = DateTime)]
    since: Option<String>,
}

impl Validate for ReplaySince {
    type Checked = UnixMs;

    fn check(self, faults: &mut Faults) -> Option<UnixMs> {
        let since = faults.required("since", self.since)?;
        faults.some("since", rfc3339::parse(&since), "must be a time like 2026-11-26T21:47:00Z")
    }
}

/// How many messages are going to be sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replayed {
    queued: u64,
}

/// `POST /v1/webhooks/endpoints/{id}/replay`: has it told of everything since then that it wants and was not told, as its topics
/// are now: what failed or waits, and what happened while it was disabled; admins alone. What was delivered is not sent again.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/replay", tag = "webhooks", operation_id = "replay_webhooks",
    request_body = ReplaySince, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 202, description = "They are going to be sent.", body = Replayed),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn replay_since(
    member: Member,
    Path(text): Path<String>,
    Valid(since): Valid<ReplaySince>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id_of(&text)?, member.tenant.cx, member.claims);
    let queued = run(async move { ops::replay_since(&cx, &claims, id, since).await }).await?;
    Ok((StatusCode::ACCEPTED, no_store(Json(Replayed { queued }))).into_response())
}
