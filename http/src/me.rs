//! Who is signed in, and where: `/v1/me` and `/v1/sessions`.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::logout::end_session;
use freehold_actors::ops::session_list::{SessionItem, list_sessions};
use freehold_domain::id::{FamilyId, MemberId, TenantId};
use freehold_domain::policy::Permission;
use freehold_domain::role::Role;
use freehold_domain::time::UnixMs;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::caller::{Member, run};
use crate::openapi::{self, ListParams};
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/me", May(Permission::OwnProfileRead), me)
        .get("/v1/sessions", May(Permission::OwnSessionsList), sessions)
        .delete("/v1/sessions/{id}", May(Permission::OwnSessionsEnd), end)
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me<'a> {
    member: MeMember,
    /// Which operator acts as the member, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Uuid)]
    operator: Option<MemberId>,
    tenant: MeTenant<'a>,
    #[schema(value_type = Uuid)]
    session_id: FamilyId,
    /// When the access token expires.
    #[schema(format = DateTime)]
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
struct MeMember {
    #[schema(value_type = Uuid)]
    id: MemberId,
    #[schema(schema_with = openapi::role)]
    role: Role,
}

#[derive(Serialize, ToSchema)]
struct MeTenant<'a> {
    #[schema(value_type = Uuid)]
    id: TenantId,
    slug: &'a str,
    name: &'a str,
}

/// `GET /v1/me`: who is signed in, answered from the token and the slot, never from the store.
#[utoipa::path(get, path = "/v1/me", tag = "me", security(("bearer" = [])), responses(
    (status = 200, description = "The member, the tenant and the session.", body = Me),
))]
pub(crate) async fn me(member: Member, Query(()): Query<()>) -> Result<Response, Problem> {
    let (cx, claims) = (member.cx(), &member.claims);
    cx.admit_member(claims).await?;
    let slot = &cx.slot;
    let body = Me {
        member: MeMember { id: claims.sub, role: claims.role },
        operator: claims.act.as_ref().map(|acting| acting.sub),
        tenant: MeTenant { id: slot.id, slug: slot.slug.as_str(), name: &slot.name },
        session_id: claims.sid,
        expires_at: rfc3339::text(UnixMs::new(claims.exp * 1_000)),
    };
    Ok(Json(body).into_response())
}

/// A part of the member's sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionPage {
    items: Vec<Session>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<FamilyId>,
}

/// One session of the member.
#[derive(Serialize, ToSchema)]
struct Session {
    #[schema(value_type = Uuid)]
    id: FamilyId,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last refreshed.
    #[schema(format = DateTime)]
    last_used_at: String,
    /// The address it was started from.
    address: String,
    /// The user agent it was started with.
    user_agent: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl From<SessionItem> for Session {
    fn from(session: SessionItem) -> Self {
        Self {
            id: session.id,
            created_at: rfc3339::text(session.created_at),
            last_used_at: rfc3339::text(session.last_used_at),
            address: session.address,
            user_agent: session.user_agent,
            current: session.current,
        }
    }
}

/// `GET /v1/sessions`: the caller's own, oldest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "me", security(("bearer" = [])), params(ListParams), responses(
    (status = 200, description = "A part of the caller's sessions.", body = SessionPage),
))]
pub(crate) async fn sessions(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<FamilyId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = list_sessions(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(Session::from).collect();
    Ok(Json(SessionPage { items, next_cursor: page.next }).into_response())
}

/// `DELETE /v1/sessions/{id}`: ends one of the caller's sessions; gone, or somebody else's: 404.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "me", operation_id = "end_session", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The session.")),
    responses((status = 204, description = "Ended: its tokens are dead on their next use.")),
)]
pub(crate) async fn end(member: Member, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id: FamilyId = id.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { end_session(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
