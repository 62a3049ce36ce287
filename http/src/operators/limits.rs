//! `/v1/tenants/{id}/rate-limits`: a limit of a tenant's own.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::limits as ops;
use freehold_domain::id::TenantId;
use freehold_domain::tier::{Allowance, Limit, Tier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id;
use super::shadow::{named_tier, tier};
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::problem::Problem;

/// `{tier, limit}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetLimit {
    /// Which tier.
    #[schema(required, schema_with = tier)]
    tier: Option<String>,
    /// `N/s`, `N/min` or `N/h`; `default` gives back what everybody has who was given no other.
    #[schema(required, nullable = false, pattern = "^(default|(1000000|[1-9][0-9]{0,5})/(s|min|h))$")]
    limit: Option<String>,
}

impl Validate for SetLimit {
    type Checked = (Tier, Allowance);

    fn check(self, faults: &mut Faults) -> Option<(Tier, Allowance)> {
        const NO_LIMIT: &str = "must be N/s, N/min or N/h with N from 1 to 1000000, or default";
        let tier = named_tier(faults, self.tier);
        let limit = faults.required("limit", self.limit).and_then(|text| {
            // As it is written back: without leading zeros. Nobody's protection is taken away from afar.
            let read = text.parse::<Allowance>().ok().filter(|read| read.to_string() == text);
            faults.some("limit", read.filter(|read| *read != Allowance::Own(Limit::Off)), NO_LIMIT)
        });
        tier.zip(limit)
    }
}

/// The limit of a tenant in one tier.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantLimit)]
pub(crate) struct LimitBody {
    #[schema(value_type = Uuid)]
    id: TenantId,
    /// Its name in host names.
    slug: String,
    /// Which tier.
    tier: &'static str,
    /// What is in force now: `N/s`, `N/min`, `N/h`, or `off`.
    limit: String,
    /// Whether it is the tenant's own.
    own: bool,
}

/// `POST /v1/tenants/{id}/rate-limits`: gives the tenant a limit of its own, or the default again. In force on its next
/// request; repeating is the same. Only the command line can turn one off.
#[utoipa::path(post, path = "/v1/tenants/{id}/rate-limits", tag = "tenants", operation_id = "set_tenant_limit",
    request_body = SetLimit, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses((status = 200, description = "The limit in force.", body = LimitBody)),
)]
pub(crate) async fn set_limit(
    member: Member,
    Path(text): Path<String>,
    Valid((tier, allowance)): Valid<SetLimit>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let (slug, limit) = run(async move { ops::set_by_operator(&cx, &claims, id, (tier, allowance)).await }).await?;
    let (slug, limit, own) = (slug.to_string(), limit.to_string(), allowance != Allowance::Default);
    Ok(Json(LimitBody { id, slug, tier: tier.as_str(), limit, own }).into_response())
}
