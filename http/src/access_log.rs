//! One line per request: what was asked, what was answered, how long it took. Never a body, a query, a cookie or a
//! credential; the address only as the key that limits are counted by. A request whose client hung up before the answer
//! has its line too, with the status 499: what it asked for may have happened.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use tokio::time::Instant;

use crate::arrival::Arrival;
use crate::series;

/// Nobody was left to answer (nginx's number; there is no standard one).
const CLIENT_GONE: u16 = 499;

/// The line of one request. Dropped before it is written, it says that there was nobody left to answer.
#[derive(Debug)]
pub(crate) struct Line {
    at: Instant,
    method: &'static str,
    arrival: Arc<Arrival>,
    written: bool,
}

impl Line {
    pub(crate) fn new(at: Instant, method: &Method, arrival: Arc<Arrival>) -> Self {
        Self { at, method: series::method_name(method), arrival, written: false }
    }

    /// Writes the line of a request that is answered with this status.
    pub(crate) fn write(mut self, status: StatusCode) {
        self.log(status.as_u16());
    }

    /// Writes the line and counts the request.
    fn log(&mut self, status: u16) {
        self.written = true;
        let (arrival, took) = (&self.arrival, self.at.elapsed());
        let series = arrival.series.get().unwrap_or(&series::UNROUTED);
        tracing::info!(
            target: "freehold::access",
            {
                request.id = arrival.id.as_str(),
                http.method = self.method,
                http.route = series.route(),
                http.status = status,
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                tenant.slug = arrival.tenant(),
                client.key = arrival.client.map(|client| tracing::field::display(client.key())),
            },
            "request"
        );
        series.count(self.method, status, took);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            self.log(CLIENT_GONE);
        }
    }
}
