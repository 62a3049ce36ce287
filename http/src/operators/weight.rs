//! `POST /v1/tenants/{id}/weight`: a tenant's share of what tenants share.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::weight as ops;
use freehold_domain::id::TenantId;
use freehold_domain::weight::Weight;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id;
use crate::body::{Valid, Validate, whole};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::problem::Problem;

/// `{weight}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetWeight {
    /// How many times the share of an ordinary tenant.
    #[serde(default, deserialize_with = "whole")]
    #[schema(required, nullable = false, minimum = 1, maximum = 16)]
    weight: Option<u32>,
}

impl Validate for SetWeight {
    type Checked = Weight;

    fn check(self, faults: &mut Faults) -> Option<Weight> {
        let number = faults.required("weight", self.weight)?;
        faults.some("weight", Weight::new(number), "must be a whole number from 1 to 16")
    }
}

/// A tenant's weight.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantWeight)]
pub(crate) struct WeightBody {
    #[schema(value_type = Uuid)]
    id: TenantId,
    /// Its name in host names.
    slug: String,
    /// How many times the share of an ordinary tenant.
    #[schema(value_type = u32, minimum = 1, maximum = 16)]
    weight: Weight,
}

/// `POST /v1/tenants/{id}/weight`: gives the tenant so many times the share of an ordinary one: turns at the hashing threads,
/// and places for requests in flight. In force on its next request. Repeating is the same.
#[utoipa::path(post, path = "/v1/tenants/{id}/weight", tag = "tenants", operation_id = "set_tenant_weight",
    request_body = SetWeight, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The tenant.")),
    responses(
        (status = 200, description = "The tenant's weight, as it is now.", body = WeightBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn set_weight(
    member: Member,
    Path(text): Path<String>,
    Valid(weight): Valid<SetWeight>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let slug = run(async move { ops::set_by_operator(&cx, &claims, id, weight).await }).await?;
    Ok(Json(WeightBody { id, slug: slug.to_string(), weight }).into_response())
}
