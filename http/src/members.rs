//! The members of a tenant: `/v1/members`, for its admins; a member's own entry is the member's too.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::members::{self, MemberChange, MemberItem};
use freehold_actors::ops::tenants::Name;
use freehold_domain::id::MemberId;
use freehold_domain::policy::Permission;
use freehold_domain::role::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, MayOwn, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate, given};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::openapi::{self, ListParams};
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use crate::totp::Nothing;
use freehold_domain::rfc3339;
use freehold_domain::text::free;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let one = MayOwn { own: Permission::OwnProfileRead, others: Permission::MembersRead };
    Routes::default()
        .get("/v1/members", May(Permission::MembersList), list)
        .get("/v1/members/{id}", one, read)
        .patch("/v1/members/{id}", May(Permission::MembersChange), change)
        .delete("/v1/members/{id}", May(Permission::MembersDelete), remove)
        .post("/v1/members/{id}/deactivate", May(Permission::MembersDeactivate), deactivate)
        .post("/v1/members/{id}/reactivate", May(Permission::MembersDeactivate), reactivate)
        .post("/v1/members/{id}/reset-second-factor", May(Permission::MembersResetSecondFactor), reset_second_factor)
}

/// A part of the tenant's members.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberPage)]
pub(crate) struct MemberPageBody {
    items: Vec<MemberBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<MemberId>,
}

/// A member.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberBody {
    #[schema(value_type = Uuid)]
    id: MemberId,
    #[schema(format = Email)]
    email: String,
    name: String,
    #[schema(schema_with = openapi::role)]
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
    /// Whether the member may sign in.
    active: bool,
    /// Since when not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    deactivated_at: Option<String>,
    /// Whether a second factor is confirmed.
    second_factor: bool,
}

impl From<MemberItem> for MemberBody {
    fn from(member: MemberItem) -> Self {
        Self {
            id: member.id,
            email: member.email.as_str().to_owned(),
            name: member.name.as_str().to_owned(),
            role: member.role,
            created_at: rfc3339::text(member.created_at),
            active: member.deactivated_at.is_none(),
            deactivated_at: member.deactivated_at.map(rfc3339::text),
            second_factor: member.has_second_factor,
        }
    }
}

/// `{name?, role?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = openapi::one_line::<200>)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = openapi::role)]
    role: Option<String>,
}

impl Validate for ChangeMember {
    type Checked = MemberChange;

    fn check(self, faults: &mut Faults) -> Option<MemberChange> {
        let name = self.name.map(|text| parsed(faults, "name", free::<Name>(text)));
        let role = self.role.map(|text| parsed(faults, "role", text.parse::<Role>()));
        Some(MemberChange { name: name.flatten(), role: role.flatten() })
    }
}

/// The member that a path names; what is no id is nobody's.
fn id(text: &str) -> Result<MemberId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

fn shown(member: MemberItem) -> Response {
    Json(MemberBody::from(member)).into_response()
}

/// `GET /v1/members`: every member, oldest first, deactivated ones too; admins alone.
#[utoipa::path(get, path = "/v1/members", tag = "members", operation_id = "list_members", security(("bearer" = [])),
    params(ListParams), responses((status = 200, description = "A part of the members.", body = MemberPageBody)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<MemberId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = members::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(MemberBody::from).collect();
    Ok(Json(MemberPageBody { items, next_cursor: page.next }).into_response())
}

/// `GET /v1/members/{id}`: one member. Everybody reads the own entry, admins every one.
#[utoipa::path(get, path = "/v1/members/{id}", tag = "members", operation_id = "read_member",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The member.")),
    responses((status = 200, description = "The member.", body = MemberBody)),
)]
pub(crate) async fn read(member: Member, Path(text): Path<String>, Query(()): Query<()>) -> Result<Response, Problem> {
    Ok(shown(members::read(member.cx(), &member.claims, id(&text)?).await?))
}

/// `PATCH /v1/members/{id}`: another name or role, in force on the member's next request; admins alone.
///
/// The last active admin keeps the role: 409 `conflict`.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "members", operation_id = "change_member",
    request_body = ChangeMember, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The member.")),
    responses(
        (status = 200, description = "The member, as it is now.", body = MemberBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn change(
    member: Member,
    Path(text): Path<String>,
    Valid(change): Valid<ChangeMember>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    Ok(shown(run(async move { members::change(&cx, &claims, id, change).await }).await?))
}

/// `DELETE /v1/members/{id}`: deletes a member with all that is personal; admins alone, in a fresh session.
///
/// The audit log keeps the id. The last active admin stays: 409 `conflict`.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "members", operation_id = "delete_member",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The member.")),
    responses((status = 204, description = "Deleted."), (status = 409, description = "problem")),
)]
pub(crate) async fn remove(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    run(async move { members::delete(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/members/{id}/deactivate`: no sign-in any more, and every session is dead on its next request; admins alone.
///
/// Repeating is the same. The last active admin stays: 409 `conflict`.
#[utoipa::path(post, path = "/v1/members/{id}/deactivate", tag = "members", operation_id = "deactivate_member",
    request_body = Option<Nothing>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The member.")),
    responses(
        (status = 200, description = "The member, as it is now.", body = MemberBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn deactivate(
    member: Member,
    Path(text): Path<String>,
    Valid(()): Valid<Nothing>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    Ok(shown(run(async move { members::deactivate(&cx, &claims, id).await }).await?))
}

/// `POST /v1/members/{id}/reactivate`: the member may sign in again; admins alone. Repeating is the same.
#[utoipa::path(post, path = "/v1/members/{id}/reactivate", tag = "members", operation_id = "reactivate_member",
    request_body = Option<Nothing>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The member.")),
    responses((status = 200, description = "The member, as it is now.", body = MemberBody)),
)]
pub(crate) async fn reactivate(
    member: Member,
    Path(text): Path<String>,
    Valid(()): Valid<Nothing>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    Ok(shown(run(async move { members::reactivate(&cx, &claims, id).await }).await?))
}

/// `POST /v1/members/{id}/reset-second-factor`: for a member who has lost it; admins alone, in a fresh session.
///
/// Every session of the member is dead on its next request. 404 also when there is no second factor.
#[utoipa::path(post, path = "/v1/members/{id}/reset-second-factor", tag = "members",
    operation_id = "reset_second_factor", request_body = Option<Nothing>, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The member.")),
    responses((status = 204, description = "The member signs in without one, and can enrol another.")),
)]
pub(crate) async fn reset_second_factor(
    member: Member,
    Path(text): Path<String>,
    Valid(()): Valid<Nothing>,
) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    run(async move { members::reset_second_factor(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
