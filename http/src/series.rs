//! The metrics of one route: looked up once, so that counting a request costs no more than adding to a number.

use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use metrics::{Counter, Histogram};
use tower::{Layer, Service};

use crate::arrival::Arrival;

/// Requests that matched no route.
pub(crate) static UNROUTED: LazyLock<Arc<Series>> = LazyLock::new(|| Arc::new(Series::new("-")));

/// The series of one route.
#[derive(Debug)]
pub(crate) struct Series {
    route: Box<str>,
    seconds: Histogram,
    /// One for each method and status that occurred: a handful.
    requests: RwLock<Vec<(&'static str, u16, Counter)>>,
}

impl Series {
    fn new(route: &str) -> Self {
        let seconds = metrics::histogram!("freehold_http_request_seconds", "route" => route.to_owned());
        Self { route: route.into(), seconds, requests: RwLock::default() }
    }

    /// The path as it was routed, `-` for none.
    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// Counts one request that was answered with this status after so long.
    pub(crate) fn count(&self, method: &'static str, status: u16, took: Duration) {
        self.seconds.record(took);
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let counter = known.iter().find(|(m, s, _)| (*m, *s) == (method, status)).map(|(_, _, counter)| counter);
        if let Some(counter) = counter {
            return counter.increment(1);
        }
        drop(known);
        let labels = [("route", self.route.to_string()), ("method", method.to_owned()), ("status", status.to_string())];
        let counter = metrics::counter!("freehold_http_requests_total", &labels);
        counter.increment(1);
        self.requests.write().unwrap_or_else(PoisonError::into_inner).push((method, status, counter));
    }
}

/// The name of a method in metrics and logs. Any token is a method; only the usual ones may name a series or fill a log.
pub(crate) fn method_name(method: &Method) -> &'static str {
    const USUAL: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    USUAL.into_iter().find(|usual| *usual == method.as_str()).unwrap_or("other")
}

/// Notes for each request which route was matched. axum makes one for each route.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoteRoute;

impl<S> Layer<S> for NoteRoute {
    type Service = Routed<S>;

    fn layer(&self, inner: S) -> Routed<S> {
        Routed { inner, series: Arc::default() }
    }
}

/// A route that notes that it was matched.
#[derive(Clone, Debug)]
pub(crate) struct Routed<S> {
    inner: S,
    series: Arc<OnceLock<Arc<Series>>>,
}

impl<S: Service<Request>> Service<Request> for Routed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let extensions = request.extensions();
        if let (Ok(arrival), Some(path)) = (Arrival::of(extensions), extensions.get::<MatchedPath>()) {
            let series = self.series.get_or_init(|| Arc::new(Series::new(path.as_str())));
            arrival.series.get_or_init(|| Arc::clone(series));
        }
        self.inner.call(request)
    }
}
