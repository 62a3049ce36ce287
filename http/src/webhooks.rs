//! `POST /webhooks/{provider}`, where providers post; and below it what a tenant's admins set and see of that.
//!
//! Nothing counts here but the signature: no origin, no cookie, no form of the body. What is refused is 401 without a body, so
//! that nobody learns why; the tenant's admins do, at `/v1/webhooks/refusals`.

mod endpoints;
mod events;
mod messages;
mod sources;

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::context::Context;
use freehold_actors::ops::webhooks::{self as ops, NotReceived, Posted};
use freehold_domain::policy::Permission;
use freehold_domain::secret::Secret;
use freehold_domain::webhook::Provider;

pub(crate) use self::endpoints::{
    __path_change_endpoint, __path_create_endpoint, __path_disable_endpoint, __path_enable_endpoint, __path_endpoint,
    __path_endpoints, __path_remove_endpoint, __path_rotate_endpoint, __path_test_endpoint, change_endpoint,
    create_endpoint, disable_endpoint, enable_endpoint, endpoint, endpoints, remove_endpoint, rotate_endpoint,
    test_endpoint,
};
pub(crate) use self::events::{
    __path_event, __path_events, __path_refusals, __path_replay, event, events, refusals, replay,
};
pub(crate) use self::messages::{
    __path_message, __path_messages, __path_replay_message, __path_replay_since, message, messages, replay_message,
    replay_since,
};
pub(crate) use self::sources::{
    __path_remove_source, __path_set_source, __path_sources, remove_source, set_source, sources,
};
use crate::access::{Credential, May, Routes};
use crate::admission::Admitted;
use crate::arrival::Arrival;
use crate::body::Raw;
use crate::caller::run;
use crate::problem::{Kind, Problem};

/// The beginning of every path that providers post to.
pub(crate) const PATHS: &str = "/webhooks/";

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .post("/webhooks/{provider}", Credential, receive)
        .get("/v1/webhooks/sources", May(Permission::WebhooksRead), sources)
        .put("/v1/webhooks/sources/{source}", May(Permission::WebhooksChange), set_source)
        .delete("/v1/webhooks/sources/{source}", May(Permission::WebhooksChange), remove_source)
        .get("/v1/webhooks/events", May(Permission::WebhooksRead), events)
        .get("/v1/webhooks/events/{id}", May(Permission::WebhooksRead), event)
        .post("/v1/webhooks/events/{id}/replay", May(Permission::WebhooksChange), replay)
        .get("/v1/webhooks/refusals", May(Permission::WebhooksRead), refusals)
        .get("/v1/webhooks/endpoints", May(Permission::WebhooksRead), endpoints)
        .post("/v1/webhooks/endpoints", May(Permission::WebhooksChange), create_endpoint)
        .get("/v1/webhooks/endpoints/{id}", May(Permission::WebhooksRead), endpoint)
        .patch("/v1/webhooks/endpoints/{id}", May(Permission::WebhooksChange), change_endpoint)
        .delete("/v1/webhooks/endpoints/{id}", May(Permission::WebhooksChange), remove_endpoint)
        .post("/v1/webhooks/endpoints/{id}/rotate", May(Permission::WebhooksChange), rotate_endpoint)
        .post("/v1/webhooks/endpoints/{id}/enable", May(Permission::WebhooksChange), enable_endpoint)
        .post("/v1/webhooks/endpoints/{id}/disable", May(Permission::WebhooksChange), disable_endpoint)
        .post("/v1/webhooks/endpoints/{id}/test", May(Permission::WebhooksChange), test_endpoint)
        .post("/v1/webhooks/endpoints/{id}/replay", May(Permission::WebhooksChange), replay_since)
        .get("/v1/webhooks/endpoints/{id}/messages", May(Permission::WebhooksRead), messages)
        .get("/v1/webhooks/endpoints/{id}/messages/{number}", May(Permission::WebhooksRead), message)
        .post("/v1/webhooks/endpoints/{id}/messages/{number}/replay", May(Permission::WebhooksChange), replay_message)
}

/// A request to where providers post, byte by byte: an extractor.
pub struct Delivered {
    cx: Context,
    posted: Posted,
}

impl<S: Send + Sync> FromRequest<S> for Delivered {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Path(name) = provider(&mut parts, state).await?;
        let provider: Provider = name.parse().map_err(|_| Problem::new(Kind::NotFound))?;
        let admitted = parts.extensions.get::<Admitted>().ok_or_else(|| Problem::new(Kind::Internal))?.clone();
        let Admitted { node, slot, caller: client, counted, passes } = admitted;
        let live = node.live(&slot).await?;
        let cx = Context { node, slot, live, client, counted, passes };
        let url = own_url(&cx, &parts)?;
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let (method, headers) = (parts.method.as_str().to_owned(), headers.collect());
        let Raw(bytes) = Raw::from_request(Request::from_parts(parts, body), state).await?;
        let posted = Posted { provider, method, url, headers, body: Secret::new(bytes.to_vec()) };
        Ok(Self { cx, posted })
    }
}

async fn provider<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Path<String>, Problem> {
    use axum::extract::FromRequestParts as _;
    Path::from_request_parts(parts, state).await.map_err(|_| Problem::new(Kind::NotFound))
}

/// The URL that the request came to, by what the tenant has proved to be its own: the custom domain that leads here, or the
/// platform's host. Path and query are as they came.
fn own_url(cx: &Context, parts: &Parts) -> Result<String, Problem> {
    let domain = Arrival::of(&parts.extensions)?.domain().map(Arc::clone);
    let origin = domain.map_or_else(|| cx.live.issuer.to_string(), |own| cx.node.settings.origin(own.name.as_str()));
    let target = parts.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    Ok(format!("{origin}{target}"))
}

/// `POST /webhooks/{provider}`: what a provider tells of. It is verified with the secrets that the tenant has set for the
/// provider, and kept before the answer: 200 for what is new and for what is known, 401 for what is not signed, or tells of
/// nothing that could be kept once, all without a body. What is not kept for another reason shall come again: 429 and 503 say when.
#[utoipa::path(post, path = "/webhooks/{provider}", tag = "webhooks", operation_id = "receive_webhook",
    params(("provider" = String, Path, description = "Who posts: `stripe`, `twilio`, `quickbooks`, `shopify` or `square`.")),
    request_body(content((Object = "application/json"), (Object = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "It is kept."),
        (status = 401, description = "It is not signed by who holds the secret, or tells of nothing that could be kept once. There is no body."),
    ),
)]
pub(crate) async fn receive(delivered: Delivered) -> Result<Response, Problem> {
    let Delivered { cx, posted } = delivered;
    let received = run(async move {
        match ops::receive(&cx, &posted).await {
            Ok(received) => Ok(Some(received)),
            Err(NotReceived::Refused) => Ok(None),
            Err(NotReceived::Later(refusal)) => Err(refusal),
        }
    });
    Ok(if received.await?.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }.into_response())
}
