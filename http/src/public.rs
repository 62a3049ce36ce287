//! The public listener: which host serves which routes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use freehold_actors::node::Node;
use tower::{Layer, Service, service_fn};

use crate::access::{Credential, Public, Routes};
use crate::admission;
use crate::caller::Tenant;
use crate::edge::{EdgeLayer, EdgeOptions};
use crate::faces::Faces;
use crate::problem::{self, Kind, Problem};
use crate::readiness::Readiness;
use crate::security::Deployment;
use crate::{
    account, api_keys, audit, auth, billing, breakers, config, csp_reports, disclosure, domains, forward, help,
    integrations, invitations, me, members, oauth, openapi, operators, pages, payouts, plan, rate_limits, registration,
    second_factor, security, security_reports, settings, signing_keys, totp, webhooks,
};

pub(crate) const READYZ: &str = "/readyz";

/// How long the published keys may be kept, at most: a new one is published for twice as long before it signs.
const JWKS_CACHED_MAX: Duration = Duration::from_mins(5);

/// Everything the public listener serves.
pub fn service(
    node: Arc<Node>,
    edge: EdgeOptions,
    deployment: Deployment,
    readiness: &Readiness,
) -> impl Service<Request, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let deployment = Arc::new(deployment);
    let shared = || shared().with(readiness.clone());
    let given = |routes: Routes| routes.with(Arc::clone(&node)).with(Arc::clone(&deployment));
    let faces = Faces::default()
        .apex(given(apex(shared())))
        .tenant(given(tenant_host(shared())))
        .api(given(api(shared())))
        .admin(given(operators_host(shared())))
        .unknown(shared()); // a load balancer asks by address
    let admitted = service_fn(move |request| {
        let (node, faces, deployment) = (Arc::clone(&node), faces.clone(), Arc::clone(&deployment));
        async move { Ok(admission::answer(node, faces, &deployment, request).await) }
    });
    EdgeLayer::new(edge).layer(admitted)
}

/// What happens to a request that came without TLS, by the word of a trusted proxy where one brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleartext {
    /// It is served: for development.
    Served,
    /// It is sent to HTTPS.
    Redirected,
}

/// What every host serves; it takes a [`Readiness`].
pub(crate) fn shared() -> Routes {
    Routes::default().get("/problems/{slug}", Public, problem::page).get(READYZ, Public, ready)
}

/// What the platform's own domain serves, besides what every host does; like the others it takes a [`Node`] and a
/// [`Deployment`].
fn apex(shared: Routes) -> Routes {
    shared
        .get("/", Public, pages::apex)
        .merge(security::routes())
        .merge(disclosure::routes())
        .merge(security_reports::routes())
        .get("/oauth/callback", Credential, oauth::callback::callback)
        .get("/integrations/callback", Credential, integrations::connect::callback)
}

/// What a tenant's host serves, besides what every host does. Its own domains, a plan and payouts are for tenants alone: they are
/// the platform's to give.
pub(crate) fn tenant_host(shared: Routes) -> Routes {
    tenant(shared).merge(domains::routes()).merge(plan::routes()).merge(payouts::routes()).get(
        "/openapi.json",
        Public,
        openapi::tenant,
    )
}

/// What the operators' host serves: what a tenant's does, for the platform is one, and what is for operators alone.
pub(crate) fn operators_host(shared: Routes) -> Routes {
    tenant(shared)
        .merge(operators::routes())
        .merge(security_reports::operators_routes())
        .merge(rate_limits::operators_routes())
        .get("/openapi.json", Public, openapi::platform)
}

fn tenant(shared: Routes) -> Routes {
    shared
        .get("/", Public, pages::tenant)
        .get("/.well-known/jwks.json", Public, jwks)
        .merge(security::tenant_routes())
        .merge(disclosure::routes())
        .merge(security_reports::routes())
        .merge(help::routes())
        .merge(auth::routes())
        .merge(account::routes())
        .merge(second_factor::routes())
        .merge(totp::routes())
        .merge(forward::routes())
        .merge(oauth::routes())
        .merge(me::routes())
        .merge(registration::routes())
        .merge(members::routes())
        .merge(invitations::routes())
        .merge(settings::routes())
        .merge(audit::routes())
        .merge(api_keys::routes())
        .merge(signing_keys::routes())
        .merge(csp_reports::routes())
        .merge(webhooks::routes())
        .merge(breakers::routes())
        .merge(integrations::routes())
        .merge(billing::routes())
        .merge(rate_limits::routes())
}

/// What the API host serves, besides what every host does.
pub(crate) fn api(shared: Routes) -> Routes {
    shared
        .get("/openapi.json", Public, openapi::api)
        .merge(config::routes())
        .merge(security::routes())
        .merge(disclosure::routes())
}

/// `GET /readyz`: whether the node is ready, and not a word why.
#[utoipa::path(get, path = "/readyz", tag = "public", responses(
    (status = 200, description = "The node is ready."),
    (status = 503, description = "It is not, or not for this tenant."),
))]
pub(crate) async fn ready(Extension(readiness): Extension<Readiness>) -> StatusCode {
    if readiness.reasons().await.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /.well-known/jwks.json`: the keys that verify the tenant's access tokens (RFC 7517 §5).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "public", responses(
    (status = 200, description = "The keys.", content_type = "application/jwk-set+json", body = openapi::Jwks),
))]
pub(crate) async fn jwks(tenant: Tenant) -> Result<Response<Body>, Problem> {
    tenant.cx.admit(&[tenant.cx.tenant_layer()]).await?;
    let jwks = tenant.cx.live.keys.jwks(tenant.cx.node.ambient.now());
    let max_age = JWKS_CACHED_MAX.min(tenant.cx.node.settings.signing_announced / 2).as_secs();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (
            CACHE_CONTROL,
            HeaderValue::from_str(&format!("public, max-age={max_age}")).map_err(|_| Problem::new(Kind::Internal))?,
        ),
    ];
    Ok((headers, Json(jwks)).into_response())
}
