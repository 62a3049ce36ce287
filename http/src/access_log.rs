//! One line per request: what was asked, what was answered, how long it took. Never a body, a query, a cookie or a
//! credential; the address only as the key that limits are counted by. A request whose client hung up before the answer
//! has its line too, with the status 499: what it asked for may have happened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::client_address::Client;
use crate::request_id::RequestTag;

/// Nobody was left to answer (nginx's number; there is no standard one).
const CLIENT_GONE: u16 = 499;

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

/// The line of one request. Dropped before it is written, it says that there was nobody left to answer.
#[derive(Debug)]
pub(crate) struct Line {
    at: Instant,
    pub(crate) id: RequestTag,
    method: Method,
    pub(crate) client: Option<Client>,
    pub(crate) notes: Notes,
    written: bool,
}

impl Line {
    pub(crate) fn new(at: Instant, id: RequestTag, method: Method, client: Option<Client>) -> Self {
        Self { at, id, method, client, notes: Notes::default(), written: false }
    }

    /// Writes the line of a request that is answered with this status.
    pub(crate) fn write(&mut self, status: StatusCode) {
        self.log(status.as_u16());
    }

    /// Writes the line and counts the request.
    fn log(&mut self, status: u16) {
        self.written = true;
        let (learned, took) = (&*self.notes.0, self.at.elapsed());
        let route = learned.route.get().map_or("-", MatchedPath::as_str);
        // Any token is a method; only the usual ones may name a series of the metric or fill the log.
        let method = if is_usual(&self.method) { self.method.as_str() } else { "other" };
        tracing::info!(
            target: "freehold::access",
            {
                request.id = self.id.as_str(),
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                tenant.slug = learned.tenant.get().map(String::as_str),
                client.key = self.client.map(|client| tracing::field::display(client.key())),
            },
            "request"
        );
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        metrics::counter!("freehold_http_requests_total", &labels).increment(1);
        metrics::histogram!("freehold_http_request_seconds", "route" => route.to_owned()).record(took.as_secs_f64());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            self.log(CLIENT_GONE);
        }
    }
}

fn is_usual(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS")
}
