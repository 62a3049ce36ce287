//! `/v1/breakers`: the circuit breakers before a tenant's integrations, for its admins.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use freehold_actors::breakers::{ByHand, Shown};
use freehold_actors::ops::breakers as ops;
use freehold_domain::audit::Action;
use freehold_domain::policy::Permission;
use freehold_domain::rfc3339;
use freehold_domain::time::UnixMs;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::caller::{Member, run};
use crate::headers::no_store;
use crate::problem::Problem;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/breakers", May(Permission::WebhooksRead), breakers)
        .post("/v1/breakers/{name}/open", May(Permission::WebhooksChange), open_breaker)
        .post("/v1/breakers/{name}/reset", May(Permission::WebhooksChange), reset_breaker)
}

/// Every breaker.
#[derive(Serialize, ToSchema)]
pub(crate) struct Breakers {
    items: Vec<Breaker>,
    /// `null`: there is one part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The breaker before one integration, on the server that answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Breaker {
    /// What kind of integration, a colon, and which: `webhook:{id}` for an endpoint, `{name}:api` for a service that was
    /// connected.
    name: String,
    /// `closed`, `open` or `half_open`.
    state: &'static str,
    /// Until when no call is made, or until when a probe may take; `null` while it is closed, or where it was opened by hand.
    #[schema(required, format = DateTime)]
    until: Option<String>,
    /// Whether it was opened by hand, and stays so until it is reset.
    by_hand: bool,
    /// How often it opened since it was last closed.
    openings: u32,
}

impl From<Shown> for Breaker {
    fn from(shown: Shown) -> Self {
        let by_hand = shown.until == Some(UnixMs::MAX);
        Self {
            name: shown.integration.to_string(),
            state: shown.circuit.as_str(),
            until: shown.until.filter(|_| !by_hand).map(rfc3339::text),
            by_hand,
            openings: shown.openings,
        }
    }
}

/// `GET /v1/breakers`: the breakers before the tenant's integrations; admins alone.
/// Each server has its own.
#[utoipa::path(get, path = "/v1/breakers", tag = "webhooks", operation_id = "breakers",
    security(("bearer" = [])),
    responses((status = 200, description = "The breakers.", body = Breakers)),
)]
pub(crate) async fn breakers(member: Member) -> Result<Response, Problem> {
    let items = ops::list(member.cx(), &member.claims).await?.into_iter().map(Breaker::from).collect();
    Ok(no_store(Json(Breakers { items, next_cursor: None })))
}

/// `POST /v1/breakers/{name}/open`: has no call made there until it is reset; admins alone.
#[utoipa::path(post, path = "/v1/breakers/{name}/open", tag = "webhooks", operation_id = "open_breaker",
    security(("bearer" = [])), params(("name" = String, Path, description = "The breaker.")),
    responses((status = 200, description = "What it is now.", body = Breaker)),
)]
pub(crate) async fn open_breaker(member: Member, Path(name): Path<String>) -> Result<Response, Problem> {
    by_hand(member, name, (ByHand::Open, Action::BreakerOpened)).await
}

/// `POST /v1/breakers/{name}/reset`: closes it, as if nothing had ever failed there; admins alone.
#[utoipa::path(post, path = "/v1/breakers/{name}/reset", tag = "webhooks", operation_id = "reset_breaker",
    security(("bearer" = [])), params(("name" = String, Path, description = "The breaker.")),
    responses((status = 200, description = "What it is now.", body = Breaker)),
)]
pub(crate) async fn reset_breaker(member: Member, Path(name): Path<String>) -> Result<Response, Problem> {
    by_hand(member, name, (ByHand::Reset, Action::BreakerReset)).await
}

async fn by_hand(member: Member, name: String, what: (ByHand, Action)) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let shown = run(async move { ops::by_hand(&cx, &claims, &name, what).await }).await?;
    Ok(no_store(Json(Breaker::from(shown))))
}
