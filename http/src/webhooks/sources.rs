//! `/v1/webhooks/sources`: with what deliveries of providers are verified, for a tenant's admins.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use freehold_actors::ops::webhook_sources::{self as ops, SecretItem, SourceItem};
use freehold_domain::secret::Secret;
use freehold_domain::webhook::{OVERLAP_MAX, Source};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Valid, Validate, whole};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};
use freehold_domain::rfc3339;

/// Every source of webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSources {
    items: Vec<WebhookSource>,
    /// `null`: there is one part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A source of webhooks.
#[derive(Serialize, ToSchema)]
struct WebhookSource {
    source: &'static str,
    provider: &'static str,
    /// The URLs that can be given to the provider: any of them, as it stands here.
    urls: Vec<String>,
    /// What deliveries are verified with; `null` while nothing is set.
    #[schema(required)]
    secret: Option<WebhookSecret>,
}

/// A secret with which deliveries are verified. It is never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    /// Its last characters.
    last4: String,
    /// Since when it is in force.
    #[schema(format = DateTime)]
    set_at: String,
    /// Until when the one before it is good too, if it is.
    #[schema(required, format = DateTime)]
    previous_until: Option<String>,
}

impl From<SecretItem> for WebhookSecret {
    fn from(item: SecretItem) -> Self {
        let SecretItem { last4, set_at, previous_until } = item;
        Self { last4, set_at: rfc3339::text(set_at), previous_until: previous_until.map(rfc3339::text) }
    }
}

impl From<SourceItem> for WebhookSource {
    fn from(item: SourceItem) -> Self {
        let SourceItem { source, urls, set } = item;
        Self {
            source: source.as_str(),
            provider: source.provider().as_str(),
            urls,
            secret: set.map(WebhookSecret::from),
        }
    }
}

/// `GET /v1/webhooks/sources`: from where webhooks can come, and with what they are verified; admins alone.
#[utoipa::path(get, path = "/v1/webhooks/sources", tag = "webhooks", operation_id = "webhook_sources",
    security(("bearer" = [])),
    responses((status = 200, description = "Every source that there can be.", body = WebhookSources)),
)]
pub(crate) async fn sources(member: Member) -> Result<Response, Problem> {
    let items = ops::list(member.cx(), &member.claims).await?.into_iter().map(WebhookSource::from).collect();
    Ok(no_store(Json(WebhookSources { items, next_cursor: None })))
}

/// `{secret, overlap_s?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetWebhookSecret {
    /// As the provider shows it: of Stripe the signing secret of the endpoint with its `whsec_`, of Twilio the auth token, of
    /// QuickBooks the verifier token, of Shopify the app's client secret, of Square the signature key.
    #[schema(required, nullable = false, format = Password, pattern = r"^[\u0021-\u007e]*$", min_length = 16, max_length = 255)]
    secret: Option<String>,
    /// For how many seconds the one that was in force is good too; a day where this is left out, and 0 ends that at once.
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 0, maximum = 604_800)]
    overlap_s: Option<u64>,
}

impl Validate for SetWebhookSecret {
    type Checked = (Secret<String>, Option<Duration>);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let secret = faults.required("secret", self.secret).map(Secret::new);
        let overlap = self.overlap_s.map(Duration::from_secs);
        if overlap.is_some_and(|overlap| overlap > OVERLAP_MAX) {
            faults.add("overlap_s", "must be at most 604800");
        }
        secret.map(|secret| (secret, overlap))
    }
}

fn named(text: &str) -> Result<Source, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `PUT /v1/webhooks/sources/{source}`: sets the secret that a source's deliveries are verified with; admins alone. The one
/// that was in force is good for `overlap_s` more, and one before that not any more. Repeating changes nothing, but that a smaller
/// `overlap_s` ends the time of the one before earlier.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(put, path = "/v1/webhooks/sources/{source}", tag = "webhooks", operation_id = "set_webhook_secret",
    request_body = SetWebhookSecret, security(("bearer" = [])),
    params(("source" = String, Path, description = "`stripe`, `stripe-connect`, `twilio`, `quickbooks`, `shopify` or `square`.")),
    responses((status = 200, description = "What is in force now.", body = WebhookSecret), (status = 409, description = "problem")),
)]
pub(crate) async fn set_source(
    member: Member,
    Path(text): Path<String>,
    Valid((secret, overlap)): Valid<SetWebhookSecret>,
) -> Result<Response, Problem> {
    let source = named(&text)?;
    source.check(&secret).map_err(|not| Problem::invalid("secret", not.to_string()))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    let set = run(async move { ops::set(&cx, &claims, source, (secret, overlap)).await }).await?;
    Ok(no_store(Json(WebhookSecret::from(set))))
}

/// `DELETE /v1/webhooks/sources/{source}`: takes the secret away, and the one before it; admins alone. Deliveries are refused
/// from now on; what was kept stays.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(delete, path = "/v1/webhooks/sources/{source}", tag = "webhooks", operation_id = "remove_webhook_secret",
    security(("bearer" = [])),
    params(("source" = String, Path, description = "`stripe`, `stripe-connect`, `twilio`, `quickbooks`, `shopify` or `square`.")),
    responses((status = 204, description = "Nothing is set.")),
)]
pub(crate) async fn remove_source(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (source, cx, claims) = (named(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::remove(&cx, &claims, source).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
