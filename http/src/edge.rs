//! The outermost layer of every listener: what holds for each request and each answer, whatever the route.
//!
//! In: client address → request id → bounds of target, headers and body → one host, placed → the routes.
//! Out: panics become problems → problems get their body → security headers → `x-request-id` → one line of the log.

mod panics;
mod unreadable;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, Version};
use axum::response::IntoResponse;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use tracing::Instrument;

pub(crate) use self::unreadable::Unreadable;
use crate::access_log::Line;
use crate::arrival::Arrival;
use crate::body;
use crate::certificates::Shown;
use crate::client_address::{Client, FORWARDING, Peer, Scheme, TrustedProxies};
use crate::headers;
use crate::host::{Authority, Place, Platform};
use crate::problem::{Kind, Problem};
use crate::request_id::{RequestIds, RequestTag, X_REQUEST_ID};
use freehold_actors::ambient::Ambient;

const TARGET_BYTES_MAX: usize = 8 * 1024;
const HEADER_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;

/// What the edge needs to know.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// Time and randomness.
    pub ambient: Ambient,
    /// Whose forwarding headers and request ids are believed.
    pub proxies: TrustedProxies,
    /// The domain that hosts are placed against.
    pub platform: Platform,
    /// How long a request's body may take, from the end of its headers to its own. Default 15 s.
    pub body_read_max: Duration,
}

impl EdgeOptions {
    /// The default bounds.
    #[must_use]
    pub fn new(ambient: Ambient, proxies: TrustedProxies, platform: Platform) -> Self {
        Self { ambient, proxies, platform, body_read_max: Duration::from_secs(15) }
    }
}

/// Puts [`Edge`] around a service.
///
/// Behind it every request has the extension `Arc<`[`Arrival`]`>`.
#[derive(Clone, Debug)]
pub struct EdgeLayer(Arc<Shared>);

impl EdgeLayer {
    /// The layer with these options.
    #[must_use]
    pub fn new(options: EdgeOptions) -> Self {
        Self(Arc::new(Shared { ids: RequestIds::new(options.ambient), options, unasked: Once::new() }))
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { shared: Arc::clone(&self.0), inner }
    }
}

/// A service with the edge around it: it answers every request, and always with the promised headers.
#[derive(Clone, Debug)]
pub struct Edge<S> {
    shared: Arc<Shared>,
    inner: S,
}

/// What every request at this edge needs.
#[derive(Debug)]
struct Shared {
    options: EdgeOptions,
    ids: RequestIds,
    /// Somebody was told that forwarding headers come and are not read.
    unasked: Once,
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // the clone that serves the request waits for itself
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        Box::pin(async move { Ok(handle(&shared, inner, request).await) })
    }
}

async fn handle<S>(shared: &Shared, inner: S, request: Request) -> Response<Body>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let (at, Shared { options, ids, .. }) = (Instant::now(), shared);
    let (mut parts, body) = request.into_parts();
    let client = parts.extensions.get::<Peer>().map(|peer| Client::behind(*peer, &parts.headers, &options.proxies));
    if options.proxies.is_empty() && FORWARDING.iter().any(|name| parts.headers.contains_key(name)) {
        shared.unasked.call_once(|| {
            tracing::warn!("requests have forwarding headers, and no proxy is trusted: they are not read");
        });
    }
    let id = RequestTag::of(&parts.headers, client.is_some_and(|client| client.proxied), ids, options.ambient);
    let mut host = None;
    let admitted = admit(options, &parts, &mut host);
    let arrival = Arc::new(Arrival::new(id, client, host, options.ambient));
    let line = Line::new(at, &parts.method, Arc::clone(&arrival));
    let version = parts.version;
    let response = match admitted {
        Ok(bytes_max) => {
            parts.extensions.insert(Arc::clone(&arrival));
            let body = body::bound(body, bytes_max, at + options.body_read_max);
            let span = tracing::info_span!("request", request.id = arrival.id.as_str());
            let answer = panics::caught(async move { inner.oneshot(Request::from_parts(parts, body)).await });
            match answer.instrument(span).await {
                Ok(Ok(response)) => response,
                Err(panic) => {
                    let panic = panics::message(&*panic);
                    tracing::error!(request.id = arrival.id.as_str(), panic, "a handler panicked");
                    Problem::new(Kind::Internal).into_response()
                }
            }
        }
        Err(problem) => problem.into_response(),
    };
    let response = send_off(response, &arrival, version);
    line.write(response.status());
    response
}

/// Refuses what no route should see; otherwise says how large the body may be. Tells the host as soon as it is known.
fn admit(options: &EdgeOptions, parts: &Parts, told: &mut Option<(Authority, Place)>) -> Result<u64, Problem> {
    if let Some(unreadable) = parts.extensions.get::<Unreadable>() {
        return Err((*unreadable).into());
    }
    // Who asks too much is told as much of the host as everybody: HSTS.
    let host = Authority::of(parts);
    if let Ok(host) = &host {
        *told = Some((host.clone(), options.platform.place(host)));
    }
    let target_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > TARGET_BYTES_MAX {
        return Err(Problem::new(Kind::UriTooLong));
    }
    if parts.headers.len() > HEADERS_MAX || bytes_of(&parts.headers) > HEADER_BYTES_MAX {
        return Err(Problem::new(Kind::HeadersTooLarge));
    }
    let host = host?;
    if parts.extensions.get::<Shown>().is_some_and(|shown| !shown.speaks_for(host.host())) {
        return Err(Problem::new(Kind::Misdirected));
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let other = codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if other || codings.next().is_some() {
        return Err(Problem::invalid("(transfer-encoding)", "must be chunked, once"));
    }
    if parts.method == Method::CONNECT {
        return Err(Problem::new(Kind::MethodNotAllowed).allow("GET, HEAD, POST, PUT, PATCH, DELETE"));
    }
    let bytes_max = body::limit_of(parts.uri.path());
    if body::too_large(&parts.headers, bytes_max) {
        return Err(Problem::new(Kind::PayloadTooLarge));
    }
    Ok(bytes_max)
}

/// Gives the answer everything that each answer has.
fn send_off(mut response: Response<Body>, arrival: &Arrival, version: Version) -> Response<Body> {
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        // Written here, so whatever length the empty body had is gone.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(problem.render(arrival.id.as_str()));
        if version < Version::HTTP_2 && problem.ends_connection() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    let context = headers::Context {
        scheme: arrival.client.map_or(Scheme::Http, |client| client.scheme),
        host: arrival.host.as_ref().map(|(host, place)| (host, place)),
        domain: arrival.domain().map(|domain| &**domain),
        no_store: problem.is_some() || arrival.is_authenticated(),
    };
    headers::secure(&mut response, context);
    response.headers_mut().insert(X_REQUEST_ID, arrival.id.header());
    response
}

fn bytes_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
