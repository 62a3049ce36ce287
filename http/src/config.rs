//! `GET /v1/config` at the API host: whose key this is, and what it may do.

use axum::Json;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::key_use;
use freehold_domain::api_key::Scope;
use freehold_domain::id::ApiKeyId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Routes, WithKey};
use crate::api_host::KeyHolder;
use crate::openapi;
use crate::problem::Problem;
use crate::query::Query;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/config", WithKey(Scope::Config), config)
}

/// Whose key it is, and what it may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Config<'a> {
    tenant: ConfigTenant<'a>,
    key: ConfigKey,
}

#[derive(Serialize, ToSchema)]
struct ConfigTenant<'a> {
    slug: &'a str,
    name: &'a str,
}

#[derive(Serialize, ToSchema)]
struct ConfigKey {
    #[schema(value_type = Uuid)]
    id: ApiKeyId,
    #[schema(schema_with = openapi::key_kind)]
    kind: &'static str,
    #[schema(schema_with = openapi::scopes)]
    scopes: Vec<&'static str>,
}

/// `GET /v1/config`: whose key this is, and what it may do. Takes the scope `config`.
#[utoipa::path(get, path = "/v1/config", tag = "sdk", security(("api_key" = [])), responses(
    (status = 200, description = "The tenant and the key.", body = Config),
))]
pub(crate) async fn config(caller: KeyHolder, Query(()): Query<()>) -> Result<Response, Problem> {
    let KeyHolder { cx, key } = caller;
    key_use::admit(&cx, &key).await?;
    let known = &key.known;
    let body = Config {
        tenant: ConfigTenant { slug: cx.slot.slug.as_str(), name: &cx.slot.name },
        key: ConfigKey {
            id: known.id,
            kind: known.kind.as_str(),
            scopes: known.scopes.iter().map(Scope::as_str).collect(),
        },
    };
    Ok(Json(body).into_response())
}
