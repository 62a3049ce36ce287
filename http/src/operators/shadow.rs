//! `/v1/tenants/{id}/rate-limits/shadow`: limits that are tried on a tenant's traffic and refuse nothing.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::shadow::{self as ops, Trial};
use freehold_domain::id::TenantId;
use freehold_domain::tier::{Limit, Tier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::id;
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::problem::Problem;

/// The tiers of tenants: that of addresses is the node's.
fn tiers() -> impl Iterator<Item = Tier> {
    Tier::ALL.into_iter().filter(|tier| *tier != Tier::Address)
}

/// The schema of a tier's name.
pub(super) fn tier() -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::String);
    object.enum_values(Some(tiers().map(Tier::as_str))).description(Some("Which tier."))
}

/// The tier of this name.
pub(super) fn named_tier(faults: &mut Faults, text: Option<String>) -> Option<Tier> {
    let text = faults.required("tier", text)?;
    let named = tiers().find(|tier| tier.as_str() == text);
    faults.some("tier", named, "must be the name of a tier of tenants")
}

/// `{tier, limit}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetShadow {
    /// Which tier.
    #[schema(required, schema_with = tier)]
    tier: Option<String>,
    /// `N/s`, `N/min` or `N/h`; `off` ends the trial of this tier.
    #[schema(required, nullable = false, pattern = "^(off|(1000000|[1-9][0-9]{0,5})/(s|min|h))$")]
    limit: Option<String>,
}

impl Validate for SetShadow {
    type Checked = (Tier, Limit);

    fn check(self, faults: &mut Faults) -> Option<(Tier, Limit)> {
        const NO_LIMIT: &str = "must be N/s, N/min or N/h with N from 1 to 1000000, or off";
        let tier = named_tier(faults, self.tier);
        let limit = faults.required("limit", self.limit).and_then(|text| {
            // As it is written back: without leading zeros.
            let limit = text.parse::<Limit>().ok().filter(|limit| limit.to_string() == text);
            faults.some("limit", limit, NO_LIMIT)
        });
        tier.zip(limit)
    }
}

/// What is tried in one tier of a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantShadow)]
pub(crate) struct ShadowBody {
    #[schema(value_type = Uuid)]
    id: TenantId,
    /// Its name in host names.
    slug: String,
    /// Which tier.
    tier: &'static str,
    /// `N/s`, `N/min`, `N/h`, or `off` where none is tried.
    limit: String,
}

/// `POST /v1/tenants/{id}/rate-limits/shadow`: tries a limit on the tenant's traffic. It refuses nothing and tells nobody but
/// admins and operators, at `rate-limits`, what it would have refused. In force on the tenant's next request. Another limit
/// begins to count anew; repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/rate-limits/shadow", tag = "tenants", operation_id = "set_tenant_shadow",
    request_body = SetShadow, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses(
        (status = 200, description = "What is tried in this tier now.", body = ShadowBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn set_shadow(
    member: Member,
    Path(text): Path<String>,
    Valid((tier, limit)): Valid<SetShadow>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let slug = run(async move { ops::set_by_operator(&cx, &claims, id, Trial::Of(tier, limit)).await }).await?;
    let body = ShadowBody { id, slug: slug.to_string(), tier: tier.as_str(), limit: limit.to_string() };
    Ok(Json(body).into_response())
}

/// `DELETE /v1/tenants/{id}/rate-limits/shadow`: ends every such trial of the tenant, and forgets what was counted. Repeating
/// is the same.
#[utoipa::path(delete, path = "/v1/tenants/{id}/rate-limits/shadow", tag = "tenants", operation_id = "end_tenant_shadow",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 204, description = "Nothing is tried."), (status = 409, description = "problem")),
)]
pub(crate) async fn end_shadow(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::set_by_operator(&cx, &claims, id, Trial::End).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
