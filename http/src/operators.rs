//! The operators' view of the tenants: `/v1/tenants`, on the platform's own host alone.

mod limits;
mod shadow;
mod weight;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::operators::{self, TenantItem};
use freehold_actors::ops::support;
use freehold_actors::ops::tenants::{Name, Term};
use freehold_domain::access_token::ACCESS_TOKEN_S;
use freehold_domain::email::Email;
use freehold_domain::id::{FamilyId, MemberId, TenantId};
use freehold_domain::policy::Permission;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::text::{OneLine, free};
use freehold_domain::time::UnixMs;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;

pub(crate) use self::limits::{__path_set_limit, set_limit};
pub(crate) use self::shadow::{__path_end_shadow, __path_set_shadow, end_shadow, set_shadow};
pub(crate) use self::weight::{__path_set_weight, set_weight};
use crate::access::{May, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate, given};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::openapi::{self, ListParams};
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;

/// Why a tenant's state was set, in the operator's words.
type Reason = OneLine<500>;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/tenants", May(Permission::TenantsList), list)
        .post("/v1/tenants", May(Permission::TenantsCreate), create)
        .post("/v1/tenants/{id}/suspend", May(Permission::TenantsSetState), suspend)
        .post("/v1/tenants/{id}/freeze", May(Permission::TenantsSetState), freeze)
        .post("/v1/tenants/{id}/drain", May(Permission::TenantsSetState), drain)
        .post("/v1/tenants/{id}/hold", May(Permission::TenantsSetState), hold)
        .post("/v1/tenants/{id}/resume", May(Permission::TenantsSetState), resume)
        .post("/v1/tenants/{id}/weight", May(Permission::TenantsSetWeight), set_weight)
        .post("/v1/tenants/{id}/rate-limits", May(Permission::TenantsSetLimit), set_limit)
        .post("/v1/tenants/{id}/rate-limits/shadow", May(Permission::TenantsSetShadow), set_shadow)
        .delete("/v1/tenants/{id}/rate-limits/shadow", May(Permission::TenantsSetShadow), end_shadow)
        .post("/v1/tenants/{id}/impersonate", May(Permission::TenantsImpersonate), impersonate)
        .get("/v1/tenants/{id}/tree", May(Permission::TenantsReadTree), tree)
}

/// A part of the tenants.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantPage)]
pub(crate) struct TenantPageBody {
    items: Vec<TenantBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantBody {
    #[schema(value_type = Uuid)]
    id: TenantId,
    /// Its name in host names.
    slug: String,
    /// Its name for people.
    name: String,
    /// Its public origin.
    url: String,
    #[schema(schema_with = openapi::tenant_state)]
    state: &'static str,
    /// Why, in an operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// When the state ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<TenantItem> for TenantBody {
    fn from(tenant: TenantItem) -> Self {
        Self {
            id: tenant.id,
            slug: tenant.slug.to_string(),
            name: tenant.name,
            url: tenant.url,
            state: tenant.state.as_str(),
            reason: tenant.reason,
            until: tenant.until.map(rfc3339::text),
            created_at: rfc3339::text(tenant.created_at),
        }
    }
}

/// `{slug, name, admin: {email}}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    #[schema(required, nullable = false, pattern = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
    slug: Option<String>,
    #[schema(required, schema_with = openapi::one_line::<200>)]
    name: Option<String>,
    #[schema(required, nullable = false)]
    admin: Option<FirstAdmin>,
}

/// Who is invited to look after the tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstAdmin {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    email: Option<String>,
}

impl Validate for CreateTenant {
    type Checked = (Slug, Name, Email);

    fn check(self, faults: &mut Faults) -> Option<(Slug, Name, Email)> {
        let slug = faults.required("slug", self.slug).and_then(|text| parsed(faults, "slug", text.parse()));
        let name = faults.required("name", self.name).and_then(|text| parsed(faults, "name", free(text)));
        let admin = faults.required("admin", self.admin);
        let email = admin.and_then(|admin| faults.required("admin.email", admin.email));
        let email = email.and_then(|text| parsed(faults, "admin.email", text.parse()));
        Some((slug?, name?, email?))
    }
}

fn reason() -> ObjectBuilder {
    openapi::one_line::<500>().description(Some("Why, on one line."))
}

fn reason_shown() -> ObjectBuilder {
    openapi::one_line::<500>().description(Some("Why, on one line; the member sees it."))
}

/// `{reason?, until?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    /// Why, on one line.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = reason)]
    reason: Option<String>,
    /// When the state ends by itself: a time to come.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
}

/// Why, and until when.
pub struct Stated {
    reason: Option<Reason>,
    until: Option<UnixMs>,
}

impl Validate for SetState {
    type Checked = Stated;
    const MAY_BE_EMPTY: bool = true;

    fn check(self, faults: &mut Faults) -> Option<Stated> {
        const NO_TIME: &str = "must be a time as in RFC 3339, such as 2026-11-22T08:00:00Z";
        let reason = self.reason.and_then(|text| parsed(faults, "reason", free(text)));
        let until = self.until.and_then(|text| faults.some("until", rfc3339::parse(&text), NO_TIME));
        Some(Stated { reason, until })
    }
}

/// The tenant that a path names; what is no id is nobody's.
fn id(text: &str) -> Result<TenantId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `GET /v1/tenants`: every tenant, by slug.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants", security(("bearer" = [])),
    params(ListParams), responses((status = 200, description = "A part of the tenants.", body = TenantPageBody)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<Slug>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let after = after.as_ref().map_or("", Slug::as_str);
    let page = operators::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(TenantBody::from).collect();
    Ok(Json(TenantPageBody { items, next_cursor: page.next }).into_response())
}

/// `POST /v1/tenants`: makes a tenant; its first admin is invited by mail.
///
/// 409 `conflict` for a slug that is reserved or taken.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", operation_id = "create_tenant", request_body = CreateTenant,
    security(("bearer" = [])), responses(
        (status = 201, description = "The tenant, which is served.", body = TenantBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn create(member: Member, Valid(new): Valid<CreateTenant>) -> Result<Response, Problem> {
    let (cx, claims, (slug, name, email)) = (member.tenant.cx, member.claims, new);
    let made = run(async move { operators::create_tenant(&cx, &claims, (slug, name), email).await }).await?;
    Ok((StatusCode::CREATED, Json(TenantBody::from(made))).into_response())
}

async fn set(member: Member, text: &str, state: TenantState, stated: Stated) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(text)?, member.tenant.cx, member.claims);
    let now = cx.node.ambient.now();
    if stated.until.is_some_and(|until| until <= now) {
        return Err(Problem::invalid("until", "must be a time to come"));
    }
    let tenant = run(async move {
        let term = Term { reason: stated.reason.as_ref().map(Reason::as_str), until: stated.until };
        operators::set_state(&cx, &claims, id, state, term).await
    });
    Ok(Json(TenantBody::from(tenant.await?)).into_response())
}

/// `POST /v1/tenants/{id}/suspend`: refuses every request of the tenant from now on. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/suspend", tag = "tenants", operation_id = "suspend_tenant",
    request_body = Option<SetState>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant, as it is now.", body = TenantBody)),
)]
pub(crate) async fn suspend(
    member: Member,
    Path(text): Path<String>,
    Valid(stated): Valid<SetState>,
) -> Result<Response, Problem> {
    set(member, &text, TenantState::Suspended, stated).await
}

/// `POST /v1/tenants/{id}/freeze`: the tenant can be read, not changed. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/freeze", tag = "tenants", operation_id = "freeze_tenant",
    request_body = Option<SetState>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant, as it is now.", body = TenantBody)),
)]
pub(crate) async fn freeze(
    member: Member,
    Path(text): Path<String>,
    Valid(stated): Valid<SetState>,
) -> Result<Response, Problem> {
    set(member, &text, TenantState::ReadOnly, stated).await
}

/// `POST /v1/tenants/{id}/drain`: the tenant finishes what it has and takes nothing new. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/drain", tag = "tenants", operation_id = "drain_tenant",
    request_body = Option<SetState>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant, as it is now.", body = TenantBody)),
)]
pub(crate) async fn drain(
    member: Member,
    Path(text): Path<String>,
    Valid(stated): Valid<SetState>,
) -> Result<Response, Problem> {
    set(member, &text, TenantState::Draining, stated).await
}

/// `POST /v1/tenants/{id}/hold`: the tenant is out of service for a while. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/hold", tag = "tenants", operation_id = "hold_tenant",
    request_body = Option<SetState>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant, as it is now.", body = TenantBody)),
)]
pub(crate) async fn hold(
    member: Member,
    Path(text): Path<String>,
    Valid(stated): Valid<SetState>,
) -> Result<Response, Problem> {
    set(member, &text, TenantState::Held, stated).await
}

/// `POST /v1/tenants/{id}/resume`: the tenant is served again. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/resume", tag = "tenants", operation_id = "resume_tenant",
    request_body = Option<SetState>, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant, as it is now.", body = TenantBody)),
)]
pub(crate) async fn resume(
    member: Member,
    Path(text): Path<String>,
    Valid(stated): Valid<SetState>,
) -> Result<Response, Problem> {
    set(member, &text, TenantState::Active, stated).await
}

/// `GET /v1/tenants/{id}/tree`: the actors that serve a tenant on this node.
#[utoipa::path(get, path = "/v1/tenants/{id}/tree", tag = "tenants", operation_id = "tenant_tree",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The actors; `null` while the tenant is parked.", body = Option<Object>)),
)]
pub(crate) async fn tree(member: Member, Path(text): Path<String>, Query(()): Query<()>) -> Result<Response, Problem> {
    let tree = operators::tree(member.cx(), &member.claims, id(&text)?).await?;
    Ok(Json(tree).into_response())
}

/// `{member_id, reason}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Impersonate {
    /// As whom.
    #[schema(required, nullable = false, format = Uuid)]
    member_id: Option<String>,
    /// Why, on one line; the member sees it.
    #[schema(required, schema_with = reason_shown)]
    reason: Option<String>,
}

impl Validate for Impersonate {
    type Checked = (MemberId, Reason);

    fn check(self, faults: &mut Faults) -> Option<(MemberId, Reason)> {
        let id =
            faults.required("member_id", self.member_id).and_then(|text| parsed(faults, "member_id", text.parse()));
        let reason = faults.required("reason", self.reason).and_then(|text| parsed(faults, "reason", free(text)));
        id.zip(reason)
    }
}

/// A session of an operator who acts as a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct SupportSessionBody {
    /// A JWT with an `act` claim (RFC 8693 §4.1), for the tenant's host.
    access_token: String,
    token_type: &'static str,
    /// Seconds the access token is good for; nothing follows it.
    expires_in: i64,
    #[schema(value_type = Uuid)]
    session_id: FamilyId,
    /// The tenant's public origin.
    url: String,
}

/// `POST /v1/tenants/{id}/impersonate`: acts as a member for fifteen minutes, where the tenant allows support access.
///
/// Takes a session that was started within the last five minutes. Nothing that touches credentials, members, keys or
/// exports is allowed with the token; the member sees the session and its reason, and can end it.
#[utoipa::path(post, path = "/v1/tenants/{id}/impersonate", tag = "tenants", operation_id = "impersonate",
    request_body = Impersonate, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "An access token for the tenant's host.", body = SupportSessionBody)),
)]
pub(crate) async fn impersonate(
    member: Member,
    Path(text): Path<String>,
    Valid((as_member, reason)): Valid<Impersonate>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let session = run(async move { support::start(&cx, &claims, id, as_member, reason.as_str()).await }).await?;
    let body = SupportSessionBody {
        access_token: session.access_token.expose().clone(),
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_S,
        session_id: session.session,
        url: session.url,
    };
    Ok(no_store(Json(body).into_response()))
}
