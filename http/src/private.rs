//! The private listener: metrics, probes and the tree. It answers only a `Host` that is a loopback name or an IP
//! literal, so that no web page can reach it by rebinding a name of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use freehold_actors::node::Node;
use freehold_actors::{jobs, node::tree};
use serde_json::json;
use tower::Layer as _;

use crate::arrival::Arrival;
use crate::edge::{Edge, EdgeLayer, EdgeOptions};
use crate::fallback::finish;
use crate::problem::{Kind, Problem};
use crate::readiness::Readiness;

/// How many tenants `/debug/tree` shows.
const TREE_TENANTS_MAX: usize = 200;

/// What the private listener shows.
#[derive(Clone)]
pub struct Private {
    /// The node.
    pub node: Arc<Node>,
    /// Whether it is ready.
    pub readiness: Readiness,
    /// Renders the metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Everything the private listener serves.
#[must_use]
pub fn service(private: Private, edge: EdgeOptions) -> Edge<Router> {
    EdgeLayer::new(edge).layer(router(private))
}

fn router(private: Private) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || StatusCode::OK))
        .route("/readyz", get(ready))
        .route("/debug/tree", get(debug_tree));
    #[cfg(feature = "test-faults")]
    let routes = routes.merge(crate::fault::routes());
    finish(routes.with_state(private)).layer(from_fn(direct))
}

/// Refuses a `Host` that is a name in the DNS.
async fn direct(request: Request, next: Next) -> Result<Response, Problem> {
    match &Arrival::of(request.extensions())?.host {
        Some((host, _)) if host.host() == "localhost" || host.literal().is_some() => Ok(next.run(request).await),
        _ => Err(Problem::new(Kind::NotFound)),
    }
}

async fn metrics(State(private): State<Private>) -> Response {
    jobs::set_gauges(&private.node);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], (private.metrics)()).into_response()
}

async fn ready(State(private): State<Private>) -> Response {
    let reasons = private.readiness.reasons().await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "reasons": reasons }))).into_response()
}

async fn debug_tree(State(private): State<Private>) -> Response {
    Json(tree::snapshot(&private.node, TREE_TENANTS_MAX).await).into_response()
}
