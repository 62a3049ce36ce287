//! `/v1/webhooks/endpoints`: where a tenant is told of what happens at it, for its admins.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::webhook_endpoints::{self as ops, Change, EndpointItem, Wish};
use freehold_domain::id::WebhookEndpointId;
use freehold_domain::rfc3339;
use freehold_domain::secret::Secret;
use freehold_domain::text::free;
use freehold_domain::webhook_out::{DESCRIPTION_CHARS_MAX, OVERLAP_MAX, Profile, Topics};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::parsed;
use crate::body::{Valid, Validate, given, whole};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};

/// Every endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoints {
    items: Vec<WebhookEndpoint>,
    /// `null`: there is one part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// An endpoint that is told of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    #[schema(value_type = Uuid)]
    id: WebhookEndpointId,
    url: String,
    description: String,
    /// Names of audit actions, `session.*` for all that begin so, or `*`.
    topics: Vec<String>,
    /// `standard` or `kontraktr`.
    profile: String,
    /// The last characters of its secret.
    last4: String,
    /// Until when the secret before that signs too, if it does.
    #[schema(required, format = DateTime)]
    previous_until: Option<String>,
    /// Since when nothing was taken there; `null` when the last message was.
    #[schema(required, format = DateTime)]
    failing_since: Option<String>,
    /// Since when nothing is sent there; `null` while it is told.
    #[schema(required, format = DateTime)]
    disabled_at: Option<String>,
    /// Why: `by-hand`, `failing` for five days without a success, or `gone` for an answer of 410.
    #[schema(required)]
    disabled_why: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// An endpoint and its new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpointWithSecret {
    #[serde(flatten)]
    endpoint: WebhookEndpoint,
    /// What its messages are signed with, `whsec_…`: shown now and never again.
    secret: String,
}

impl From<EndpointItem> for WebhookEndpoint {
    fn from(item: EndpointItem) -> Self {
        let (disabled_at, disabled_why) = item.disabled.unzip();
        Self {
            id: item.id,
            url: item.url,
            description: item.description,
            topics: item.topics,
            profile: item.profile,
            last4: item.last4,
            previous_until: item.previous_until.map(rfc3339::text),
            failing_since: item.failing_since.map(rfc3339::text),
            disabled_at: disabled_at.map(rfc3339::text),
            disabled_why,
            created_at: rfc3339::text(item.created_at),
        }
    }
}

fn with_secret((item, secret): (EndpointItem, Secret<String>)) -> Json<WebhookEndpointWithSecret> {
    Json(WebhookEndpointWithSecret { endpoint: item.into(), secret: secret.expose().clone() })
}

pub(super) fn id_of(text: &str) -> Result<WebhookEndpointId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `{url, topics, description?, profile?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookEndpoint {
    /// `https`, a host in the Internet's DNS or a public address, one of the ports that the operator allows; no user, no fragment.
    #[schema(required, nullable = false, min_length = 1, max_length = 2048)]
    url: Option<String>,
    /// Names of audit actions, `session.*` for all that begin so, or `*` for every one.
    #[schema(required, nullable = false, min_items = 1, max_items = 50)]
    topics: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 200)]
    description: Option<String>,
    /// `standard` (Standard Webhooks), where this is left out, or `kontraktr`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    profile: Option<String>,
}

/// What a body says of an endpoint, checked as far as it is there.
fn checked(
    faults: &mut Faults,
    topics: Option<Vec<String>>,
    (description, profile): (Option<String>, Option<String>),
) -> (Option<Topics>, Option<String>, Option<Profile>) {
    let topics = topics.map(|texts| Topics::new(&texts).map_err(|not| faults.add("topics", not.to_string())));
    let topics = topics.and_then(Result::ok);
    let description = description.and_then(|text| faults.one_line("description", text, 0..=DESCRIPTION_CHARS_MAX));
    let description = description.and_then(|text| parsed(faults, "description", free(text)));
    let profile = profile.map(|text| text.parse::<Profile>().map_err(|not| faults.add("profile", not.to_string())));
    (topics, description, profile.and_then(Result::ok))
}

impl Validate for NewWebhookEndpoint {
    type Checked = Wish;

    fn check(self, faults: &mut Faults) -> Option<Wish> {
        let (url, texts) = (faults.required("url", self.url), faults.required("topics", self.topics));
        let (topics, description, profile) = checked(faults, texts, (self.description, self.profile));
        let (description, profile) = (description.unwrap_or_default(), profile.unwrap_or_default());
        Some(Wish { url: url?, topics: topics?, description, profile })
    }
}

/// `{url?, topics?, description?, profile?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEndpointChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 2048)]
    url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1, max_items = 50)]
    topics: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 200)]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    profile: Option<String>,
}

impl Validate for WebhookEndpointChange {
    type Checked = Change;

    fn check(self, faults: &mut Faults) -> Option<Change> {
        let (topics, description, profile) = checked(faults, self.topics, (self.description, self.profile));
        Some(Change { url: self.url, description, topics, profile })
    }
}

/// `{overlap_s?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateWebhookSecret {
    /// For how many seconds messages are signed with the secret before, too; a day where this is left out.
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 0, maximum = 604_800)]
    overlap_s: Option<u64>,
}

impl Validate for RotateWebhookSecret {
    type Checked = Option<Duration>;
    const MAY_BE_EMPTY: bool = true;

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let overlap = self.overlap_s.map(Duration::from_secs);
        if overlap.is_some_and(|overlap| overlap > OVERLAP_MAX) {
            faults.add("overlap_s", "must be at most 604800");
        }
        Some(overlap)
    }
}

/// `GET /v1/webhooks/endpoints`: where the tenant is told of what happens, the oldest first; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/endpoints", tag = "webhooks", operation_id = "webhook_endpoints",
    security(("bearer" = [])),
    responses((status = 200, description = "Every endpoint.", body = WebhookEndpoints)),
)]
pub(crate) async fn endpoints(member: Member) -> Result<Response, Problem> {
    let items = ops::list(member.cx(), &member.claims).await?.into_iter().map(WebhookEndpoint::from).collect();
    Ok(no_store(Json(WebhookEndpoints { items, next_cursor: None })))
}

/// `GET /v1/webhooks/endpoints/{id}`: one of them; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks", operation_id = "webhook_endpoint",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "The endpoint.", body = WebhookEndpoint)),
)]
pub(crate) async fn endpoint(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    let item = ops::one(member.cx(), &member.claims, id_of(&text)?).await?;
    Ok(no_store(Json(WebhookEndpoint::from(item))))
}

/// `POST /v1/webhooks/endpoints`: has an endpoint told of what happens from now on; admins alone. At most 20. The answer is the
/// only one that has its secret. A URL that must not be called is 400, and `rule` says by which rule.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/webhooks/endpoints", tag = "webhooks", operation_id = "create_webhook_endpoint",
    request_body = NewWebhookEndpoint, security(("bearer" = [])),
    responses(
        (status = 201, description = "It is made.", body = WebhookEndpointWithSecret),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn create_endpoint(
    member: Member,
    Valid(wish): Valid<NewWebhookEndpoint>,
) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let made = run(async move { ops::create(&cx, &claims, wish).await }).await?;
    Ok((StatusCode::CREATED, no_store(with_secret(made))).into_response())
}

/// `PATCH /v1/webhooks/endpoints/{id}`: changes where it is, what it is told or how; admins alone. Messages that wait go where
/// it is then.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(patch, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks", operation_id = "change_webhook_endpoint",
    request_body = WebhookEndpointChange, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "What it is now.", body = WebhookEndpoint)),
)]
pub(crate) async fn change_endpoint(
    member: Member,
    Path(text): Path<String>,
    Valid(change): Valid<WebhookEndpointChange>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id_of(&text)?, member.tenant.cx, member.claims);
    let item = run(async move { ops::change(&cx, &claims, id, change).await }).await?;
    Ok(no_store(Json(WebhookEndpoint::from(item))))
}

/// `POST /v1/webhooks/endpoints/{id}/rotate`: gives it another secret; admins alone. For `overlap_s` messages are signed with
/// both, in the profile `standard`; in `kontraktr` with the new one alone.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/rotate", tag = "webhooks", operation_id = "rotate_webhook_endpoint",
    request_body = RotateWebhookSecret, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 200, description = "Its new secret.", body = WebhookEndpointWithSecret),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn rotate_endpoint(
    member: Member,
    Path(text): Path<String>,
    Valid(overlap): Valid<RotateWebhookSecret>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id_of(&text)?, member.tenant.cx, member.claims);
    let rotated = run(async move { ops::rotate(&cx, &claims, id, overlap).await }).await?;
    Ok(no_store(with_secret(rotated)))
}

/// `POST /v1/webhooks/endpoints/{id}/enable`: has messages sent to it again, those that wait and those of what happens from now
/// on; admins alone. Of what happened meanwhile it is told by `replay`.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/enable", tag = "webhooks", operation_id = "enable_webhook_endpoint",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "What it is now.", body = WebhookEndpoint)),
)]
pub(crate) async fn enable_endpoint(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    set_enabled(member, &text, true).await
}

/// `POST /v1/webhooks/endpoints/{id}/disable`: has nothing sent to it until it is enabled; admins alone.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/disable", tag = "webhooks",
    operation_id = "disable_webhook_endpoint",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "What it is now.", body = WebhookEndpoint)),
)]
pub(crate) async fn disable_endpoint(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    set_enabled(member, &text, false).await
}

async fn set_enabled(member: Member, text: &str, is_enabled: bool) -> Result<Response, Problem> {
    let (id, cx, claims) = (id_of(text)?, member.tenant.cx, member.claims);
    let item = run(async move { ops::set_enabled(&cx, &claims, id, is_enabled).await }).await?;
    Ok(no_store(Json(WebhookEndpoint::from(item))))
}

/// `POST /v1/webhooks/endpoints/{id}/test`: has it told of `webhook_endpoint.tested`, whatever its topics are; admins alone. How
/// that went is in its messages.
#[utoipa::path(post, path = "/v1/webhooks/endpoints/{id}/test", tag = "webhooks", operation_id = "test_webhook_endpoint",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 202, description = "It is going to be told."),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn test_endpoint(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id_of(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::test(&cx, &claims, id).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `DELETE /v1/webhooks/endpoints/{id}`: takes it away, with its messages; admins alone.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(delete, path = "/v1/webhooks/endpoints/{id}", tag = "webhooks", operation_id = "remove_webhook_endpoint",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_endpoint(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id_of(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::remove(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
