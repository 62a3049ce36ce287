//! Who is signed in, and where: `/v1/me` and `/v1/sessions`.

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use freehold_actors::ops::logout::end_session;
use freehold_actors::ops::session_list::{SessionItem, list_sessions};
use freehold_domain::id::FamilyId;
use freehold_domain::time::UnixMs;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::caller::{Member, run};
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};

/// The routes.
#[must_use]
pub fn routes() -> Router {
    Router::new()
        .route("/v1/me", get(me))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{id}", delete(end))
}

/// `GET /v1/me`: answered from the token and the slot, never from the store.
async fn me(member: Member, Query(()): Query<()>) -> Result<Response, Problem> {
    let (cx, claims) = (member.cx(), &member.claims);
    cx.admit_member(claims).await?;
    let slot = &cx.slot;
    let body = json!({
        "member": { "id": claims.sub, "role": claims.role },
        "tenant": { "id": slot.id, "slug": slot.slug.as_str(), "name": slot.name },
        "session_id": claims.sid,
        "expires_at": rfc3339(UnixMs::new(claims.exp * 1_000)),
    });
    Ok(Json(body).into_response())
}

/// `GET /v1/sessions`: the caller's own, oldest first.
async fn sessions(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<FamilyId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = list_sessions(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items: Vec<Value> = page.items.iter().map(item).collect();
    Ok(Json(json!({ "items": items, "next_cursor": page.next })).into_response())
}

fn item(session: &SessionItem) -> Value {
    json!({
        "id": session.id,
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.last_used_at),
        "address": session.address,
        "user_agent": session.user_agent,
        "current": session.current,
    })
}

/// `DELETE /v1/sessions/{id}`: gone, or somebody else's: 404.
async fn end(member: Member, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id: FamilyId = id.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { end_session(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// RFC 3339 in UTC, with milliseconds where there are any.
fn rfc3339(at: UnixMs) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.get()) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}
