//! One line per request: what was asked, what was answered, how long it took. Never a body, a query, a cookie or a
//! credential; the address only as the key that limits are counted by.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::client_address::Client;
use crate::request_id::RequestTag;

/// What is learned about a request on its way in: an extension of every request behind the edge. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Learned>);

#[derive(Debug, Default)]
struct Learned {
    route: OnceLock<MatchedPath>,
    tenant: OnceLock<String>,
    authenticated: AtomicBool,
}

impl Notes {
    /// The request is for the tenant with this slug. The first call counts.
    pub fn tenant(&self, slug: impl Into<String>) {
        self.0.tenant.get_or_init(|| slug.into());
    }

    /// A credential was accepted: the answer is `Cache-Control: no-store`, whatever it says.
    pub fn authenticated(&self) {
        self.0.authenticated.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.0.authenticated.load(Ordering::Relaxed)
    }
}

/// Notes the route that was matched; a layer of every face.
pub(crate) async fn note_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    if let (Some(notes), Some(route)) = (request.extensions().get::<Notes>(), route) {
        notes.0.route.get_or_init(|| route.clone());
    }
    next.run(request).await
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) id: &'a RequestTag,
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) client: Option<Client>,
    pub(crate) notes: &'a Notes,
}

/// Writes the line and counts the request.
pub(crate) fn write(entry: &Entry<'_>) {
    let learned = &*entry.notes.0;
    let route = learned.route.get().map_or("-", MatchedPath::as_str);
    // Any token is a method; only the usual ones may name a series of the metric or fill the log.
    let method = if is_usual(entry.method) { entry.method.as_str() } else { "other" };
    let status = entry.status.as_u16();
    tracing::info!(
        target: "freehold::access",
        {
            request.id = entry.id.as_str(),
            http.method = method,
            http.route = route,
            http.status = status,
            duration_ms = u64::try_from(entry.took.as_millis()).unwrap_or(u64::MAX),
            tenant.slug = learned.tenant.get().map(String::as_str),
            client.key = entry.client.map(|client| tracing::field::display(client.key())),
        },
        "request"
    );
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    metrics::counter!("freehold_http_requests_total", &labels).increment(1);
    metrics::histogram!("freehold_http_request_seconds", "route" => route.to_owned()).record(entry.took.as_secs_f64());
}

fn is_usual(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS")
}
