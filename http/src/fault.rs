//! `POST /debug/fault` on the private listener: injected failures. Compiled in with the feature `test-faults` only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use freehold_actors::fault::{self, Fault};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::private::Private;
use crate::problem::{Kind, Problem};

/// What shall fail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "fault")]
enum Ask {
    /// The process ends when it reaches this point next.
    AbortAt { point: String },
    /// The process clock jumps ahead, and with it whatever a rule waits for; the wall clock of tokens stays.
    ClockAhead { ahead_ms: u64 },
    /// What is done at this point for the thing of this name fails so often, from now on.
    Fail { point: String, of: String, times: u32 },
    /// The actor of a tenant panics.
    Panic { slug: String, actor: String },
    /// Whatever is asked of the public listener panics, until it is said not to.
    PanicOnRequests { on: bool },
    /// The actor of a tenant does nothing else for this long.
    Stall { slug: String, actor: String, stall_ms: u64 },
}

static PANICS: AtomicBool = AtomicBool::new(false);

/// Panics, where that was asked for.
pub(crate) fn request() {
    assert!(!PANICS.load(Ordering::Relaxed), "injected failure");
}

pub(crate) fn routes() -> Router<Private> {
    Router::new().route("/debug/fault", post(strike)).route("/debug/counts", get(counts))
}

async fn strike(State(private): State<Private>, Json(ask): Json<Ask>) -> Result<StatusCode, Problem> {
    let (slug, actor, fault) = match ask {
        Ask::AbortAt { point } => {
            fault::abort_at(&point);
            return Ok(StatusCode::NO_CONTENT);
        }
        Ask::ClockAhead { ahead_ms } => {
            fault::jump_ahead(Duration::from_millis(ahead_ms));
            private.node.look_at_the_clock();
            return Ok(StatusCode::NO_CONTENT);
        }
        Ask::Fail { point, of, times } => {
            fault::fail(point, of, times);
            return Ok(StatusCode::NO_CONTENT);
        }
        Ask::PanicOnRequests { on } => {
            PANICS.store(on, Ordering::Relaxed);
            return Ok(StatusCode::NO_CONTENT);
        }
        Ask::Panic { slug, actor } => (slug, actor, Fault::Panic),
        Ask::Stall { slug, actor, stall_ms } => (slug, actor, Fault::Stall(Duration::from_millis(stall_ms))),
    };
    let slug = slug.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let slot = private.node.slot(&slug).await.map_err(|_| Problem::new(Kind::NotFound))?;
    if private.node.strike(&slot, &actor, fault).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(Kind::NotFound))
    }
}

/// What tests count and metrics do not: transactions begun and passwords hashed since the start, and for each tenant the most
/// passwords that were begun while one of its own waited.
async fn counts(State(private): State<Private>) -> Json<Value> {
    let node = &private.node;
    let overtaken: serde_json::Map<_, _> =
        node.pool.overtaken().into_iter().map(|(tenant, most)| (tenant.to_string(), most.into())).collect();
    Json(json!({
        "transactions": node.store.transactions_begun(),
        "hashes": node.pool.hashed(),
        "overtaken": overtaken,
    }))
}
