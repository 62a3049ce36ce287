//! Invitations to become a member: `/v1/invitations`, for a tenant's admins.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::invitations::{self, InvitationItem};
use freehold_domain::email::Email;
use freehold_domain::id::{InvitationId, MemberId};
use freehold_domain::policy::Permission;
use freehold_domain::role::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::openapi::{self, ListParams};
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use crate::totp::Nothing;
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/invitations", May(Permission::InvitationsList), list)
        .post("/v1/invitations", May(Permission::MembersInvite), invite)
        .delete("/v1/invitations/{id}", May(Permission::InvitationsRevoke), revoke)
        .post("/v1/invitations/{id}/resend", May(Permission::InvitationsResend), resend)
}

/// A part of the invitations.
#[derive(Serialize, ToSchema)]
#[schema(as = InvitationPage)]
pub(crate) struct InvitationPageBody {
    items: Vec<InvitationBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<InvitationId>,
}

/// An invitation that was not accepted yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(crate) struct InvitationBody {
    #[schema(value_type = Uuid)]
    id: InvitationId,
    #[schema(format = Email)]
    email: String,
    #[schema(schema_with = openapi::role)]
    role: Role,
    /// Who invited.
    #[schema(value_type = Uuid)]
    invited_by: MemberId,
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it can be accepted.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<InvitationItem> for InvitationBody {
    fn from(invitation: InvitationItem) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.as_str().to_owned(),
            role: invitation.role,
            invited_by: invitation.invited_by,
            created_at: rfc3339::text(invitation.created_at),
            expires_at: rfc3339::text(invitation.expires_at),
        }
    }
}

/// `{email, role}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    email: Option<String>,
    #[schema(required, nullable = false, schema_with = openapi::role)]
    role: Option<String>,
}

impl Validate for Invite {
    type Checked = (Email, Role);

    fn check(self, faults: &mut Faults) -> Option<(Email, Role)> {
        let email = faults.required("email", self.email).and_then(|text| parsed(faults, "email", text.parse()));
        let role = faults.required("role", self.role).and_then(|text| parsed(faults, "role", text.parse()));
        email.zip(role)
    }
}

/// The invitation that a path names; what is no id is nobody's.
fn id(text: &str) -> Result<InvitationId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `GET /v1/invitations`: those that were not accepted, oldest first; admins alone.
#[utoipa::path(get, path = "/v1/invitations", tag = "members", operation_id = "list_invitations",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A part of the invitations.", body = InvitationPageBody)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<InvitationId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = invitations::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(InvitationBody::from).collect();
    Ok(Json(InvitationPageBody { items, next_cursor: page.next }).into_response())
}

/// `POST /v1/invitations`: invites an address by mail, in the place of an earlier invitation of it; admins alone.
///
/// The answer does not tell whether the address is a member's already: its letter does.
#[utoipa::path(post, path = "/v1/invitations", tag = "members", operation_id = "invite", request_body = Invite,
    security(("bearer" = [])), responses(
        (status = 201, description = "The invitation.", body = InvitationBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn invite(member: Member, Valid((email, role)): Valid<Invite>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let invitation = run(async move { invitations::invite(&cx, &claims, email, role).await }).await?;
    Ok((StatusCode::CREATED, Json(InvitationBody::from(invitation))).into_response())
}

/// `POST /v1/invitations/{id}/resend`: another letter with another token, which voids the one before; admins alone.
#[utoipa::path(post, path = "/v1/invitations/{id}/resend", tag = "members", operation_id = "resend_invitation",
    request_body = Option<Nothing>, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The invitation.")),
    responses((status = 200, description = "The invitation, good for another week.", body = InvitationBody)),
)]
pub(crate) async fn resend(
    member: Member,
    Path(text): Path<String>,
    Valid(()): Valid<Nothing>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let invitation = run(async move { invitations::resend(&cx, &claims, id).await }).await?;
    Ok(Json(InvitationBody::from(invitation)).into_response())
}

/// `DELETE /v1/invitations/{id}`: takes an invitation back; admins alone.
#[utoipa::path(delete, path = "/v1/invitations/{id}", tag = "members", operation_id = "revoke_invitation",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The invitation.")),
    responses((status = 204, description = "Its token is void.")),
)]
pub(crate) async fn revoke(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    run(async move { invitations::revoke(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
