//! The API host, `api.{platform}`: who may enter there, and what browsers are told about it (CORS).
//!
//! `/v1/*` takes a key in `X-ND-Key`, which names its tenant: state → body → gate → key → origin, in this order, so that a
//! typo and a suspended tenant are answered without any store access. There are no cookies here: a page of another site acts
//! with nothing but what it knows.
//!
//! Source: WHATWG Fetch §3.2 (CORS protocol).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use freehold_actors::api_keys::LiveKey;
use freehold_actors::node::{Node, Unreachable};
use freehold_actors::ops::context::{Client, Context, Counted};
use freehold_actors::ops::key_use;
use freehold_actors::ops::refusal::Refusal;
use freehold_domain::api_key::ApiKey;
#[cfg(feature = "waf")]
use freehold_domain::{id::TenantId, waf::Mode};

use crate::access;
use crate::admission;
use crate::arrival::Arrival;
use crate::origin;
use crate::problem::{Kind, Problem};

/// The header that carries the key.
pub const X_ND_KEY: HeaderName = HeaderName::from_static("x-nd-key");

const VERSIONED: &str = "/v1/";

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue = HeaderValue::from_static("content-type, x-nd-key");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, x-request-id, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-ratelimit-tier",
);
/// How long a browser may remember the answer to a preflight: an hour.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("3600");

/// A request whose key is good where it was used: an extension of every request that is routed under `/v1/` here.
#[derive(Clone)]
pub(crate) struct Keyed {
    cx: Context,
    key: Arc<LiveKey>,
    /// The origin of the page that sent it, for a key that is used in pages.
    pub(crate) origin: Option<HeaderValue>,
}

#[cfg(feature = "waf")]
impl Keyed {
    /// Whose request it is, and what is done with it where rules match.
    pub(crate) fn waf_mode(&self) -> (TenantId, Mode) {
        (self.cx.slot.id, Mode::in_force(self.cx.node.settings.waf, self.cx.live.settings.waf))
    }
}

/// Whether the request must come with a key.
pub(crate) fn takes_key(request: &Parts) -> bool {
    request.uri.path().starts_with(VERSIONED)
}

/// Whether a browser asks if it may send a request.
pub(crate) fn is_preflight(request: &Parts) -> bool {
    let asks = request.headers.contains_key(ORIGIN) && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    request.method == Method::OPTIONS && asks
}

/// The answer to a preflight. It comes without the key, so it cannot say which pages may use that: every page may ask,
/// and the request itself is answered by the key's own origins.
pub(crate) fn preflight() -> Response<Body> {
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets the page that sent the request read its answer.
pub(crate) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Admits a request by its key.
pub(crate) async fn enter(
    node: Arc<Node>,
    (request, body): (&Parts, &mut Body),
    client: Client,
    counted: &Counted,
) -> Result<Keyed, Problem> {
    let presented = presented(&request.headers).ok_or_else(refused)?;
    let slot = match node.slot_of(presented.tenant).await {
        Ok(slot) if !slot.slug.is_reserved() => slot,
        Ok(_) | Err(Unreachable::Unknown) => return Err(refused()),
        Err(Unreachable::Store(error)) => return Err(Refusal::from_store(&error).into()),
    };
    let passes = admission::enter_tenant(&node, &slot, request, body).await?;
    let live = node.live(&slot).await?;
    let cx = Context { node, slot, live, client, counted: counted.clone(), passes };
    let key = match key_use::present(&cx, &presented.hash()).await {
        Err(Refusal::Unauthenticated) => return Err(refused()),
        key => key?,
    };
    let origin = origin::of_key(&key.known, &request.headers)?;
    Arrival::of(&request.extensions)?.note_authenticated();
    Ok(Keyed { cx, key, origin })
}

/// The key of the request, if it is one.
fn presented(headers: &HeaderMap) -> Option<ApiKey> {
    let mut lines = headers.get_all(X_ND_KEY).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    line.to_str().ok()?.parse().ok()
}

/// One answer for all that is no good key: missing, mistyped, unknown, revoked, expired.
fn refused() -> Problem {
    Problem::new(Kind::Unauthenticated).detail("This takes an API key that is good, in the header X-ND-Key.")
}

/// The holder of a key that has the scope which the route asks for; another is refused with 403.
pub struct KeyHolder {
    /// What operations act on.
    pub cx: Context,
    /// The key.
    pub key: Arc<LiveKey>,
}

impl<S: Sync> FromRequestParts<S> for KeyHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let keyed = parts.extensions.get::<Keyed>().cloned();
        let Keyed { cx, key, .. } = keyed.ok_or_else(|| Problem::new(Kind::Internal))?;
        access::check_key(&parts.extensions, key.known.scopes)?;
        Ok(Self { cx, key })
    }
}
