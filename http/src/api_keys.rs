//! A tenant's API keys: `/v1/api-keys`, for its admins.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::api_keys::{self as ops, KeyItem, NewKey, Shown};
use freehold_domain::api_key::{KeyKind, OVERLAP_MAX, Scope, Scopes};
use freehold_domain::id::{ApiKeyId, MemberId};
use freehold_domain::policy::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate, given, whole};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::openapi::{self, ListParams};
use crate::origin::Origin;
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;
use freehold_domain::text::free;

/// How many origins a key may be used from.
const ORIGINS_MAX: usize = 20;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .get("/v1/api-keys", May(Permission::ApiKeysList), list)
        .post("/v1/api-keys", May(Permission::ApiKeysCreate), create)
        .delete("/v1/api-keys/{id}", May(Permission::ApiKeysRevoke), revoke)
        .post("/v1/api-keys/{id}/rotate", May(Permission::ApiKeysRotate), rotate)
}

/// A part of the tenant's keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyPage<'a> {
    items: Vec<ApiKey<'a>>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<ApiKeyId>,
}

/// One key.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey<'a> {
    #[schema(value_type = Uuid)]
    id: ApiKeyId,
    /// The key itself: in the answer that makes or rotates it, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<&'a str>,
    name: String,
    #[schema(schema_with = openapi::key_kind)]
    kind: &'static str,
    #[schema(schema_with = openapi::scopes)]
    scopes: Vec<&'static str>,
    /// Where the pages are served from that may use it; empty for a secret key.
    allowed_origins: Vec<String>,
    /// The last characters of the key.
    last4: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The member who made it.
    #[schema(value_type = Uuid)]
    created_by: MemberId,
    /// When it ends or has ended, if it does.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// When it was last used, to the minute.
    #[schema(required, format = DateTime)]
    last_used_at: Option<String>,
    /// Until when the text before the last rotation works, while it does.
    #[schema(required, format = DateTime)]
    previous_until: Option<String>,
}

impl<'a> ApiKey<'a> {
    fn of(item: KeyItem, key: Option<&'a str>) -> Self {
        Self {
            id: item.id,
            key,
            name: item.name,
            kind: item.kind.as_str(),
            scopes: item.scopes.iter().map(Scope::as_str).collect(),
            allowed_origins: item.allowed_origins,
            last4: item.last4,
            created_at: rfc3339::text(item.created_at),
            created_by: item.created_by,
            expires_at: item.expires_at.map(rfc3339::text),
            last_used_at: item.last_used_at.map(rfc3339::text),
            previous_until: item.previous_until.map(rfc3339::text),
        }
    }
}

/// `GET /v1/api-keys`: the tenant's keys that were not revoked, oldest first; admins alone.
#[utoipa::path(get, path = "/v1/api-keys", tag = "api keys", operation_id = "api_keys", security(("bearer" = [])),
    params(ListParams),
    responses((status = 200, description = "A part of the tenant's keys.", body = ApiKeyPage)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<ApiKeyId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = ops::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(|item| ApiKey::of(item, None)).collect();
    Ok(Json(ApiKeyPage { items, next_cursor: page.next }).into_response())
}

/// `{name, kind, scopes?, allowed_origins?, expires_at?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    #[schema(required, schema_with = openapi::one_line::<100>)]
    name: Option<String>,
    #[schema(required, nullable = false, schema_with = openapi::key_kind)]
    kind: Option<String>,
    /// What it may be used for; everything, where this is left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = openapi::scopes)]
    scopes: Option<Vec<String>>,
    /// `scheme://host[:port]` of the pages that may use it: for a publishable key at least one, for a secret one none.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 20)]
    allowed_origins: Option<Vec<String>>,
    /// When it ends; never, where this is left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
}

impl Validate for CreateApiKey {
    type Checked = NewKey;

    fn check(self, faults: &mut Faults) -> Option<NewKey> {
        let name = faults.required("name", self.name).and_then(|text| parsed(faults, "name", free(text)));
        let kind = faults.required("kind", self.kind).and_then(|text| parsed(faults, "kind", text.parse()));
        let scopes = self.scopes.map_or_else(|| Some(Scopes::all()), |names| scopes(faults, &names));
        let origins = origins(faults, kind, &self.allowed_origins.unwrap_or_default());
        let expires_at = self.expires_at.map(|text| {
            faults.some(
                "expires_at",
                rfc3339::parse(&text),
                "must be a time as in RFC 3339, such as 2026-11-22T08:00:00Z",
            )
        });
        let expires_at = expires_at.map_or(Some(None), |at| at.map(Some))?;
        Some(NewKey { name: name?, kind: kind?, scopes: scopes?, allowed_origins: origins?, expires_at })
    }
}

fn scopes(faults: &mut Faults, names: &[String]) -> Option<Scopes> {
    if names.is_empty() {
        faults.add("scopes", "must not be empty");
        return None;
    }
    let known =
        each(faults, "scopes", Scope::ALL.len(), names, |name| name.parse().map_err(|_| "is not a known scope"));
    known.map(|scopes| scopes.into_iter().collect())
}

/// The origins in their canonical text.
fn origins(faults: &mut Faults, kind: Option<KeyKind>, given: &[String]) -> Option<Vec<String>> {
    const FIELD: &str = "allowed_origins";
    match kind {
        Some(KeyKind::Publishable) if given.is_empty() => {
            faults.add(FIELD, "must have at least one origin for a publishable key");
            return None;
        }
        Some(KeyKind::Secret) if !given.is_empty() => {
            faults.add(FIELD, "must be left out for a secret key");
            return None;
        }
        Some(_) | None => {}
    }
    each(faults, FIELD, ORIGINS_MAX, given, |text| {
        let origin = Origin::parse(text).ok_or("must be scheme://host[:port] of http or https, without a path")?;
        Ok(origin.to_string())
    })
}

/// What every item is read as: at most `max`, each once.
fn each<T: PartialEq>(
    faults: &mut Faults,
    field: &'static str,
    max: usize,
    items: &[String],
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Option<Vec<T>> {
    if items.len() > max {
        faults.add(field, format!("must have at most {max} items"));
        return None;
    }
    let mut all: Vec<T> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(item) if all.contains(&item) => faults.add(format!("{field}[{index}]"), "is given twice"),
            Ok(item) => all.push(item),
            Err(message) => faults.add(format!("{field}[{index}]"), message),
        }
    }
    (all.len() == items.len()).then_some(all)
}

/// `POST /v1/api-keys`: a new key, which is shown this once; admins alone.
///
/// Takes a session that was started within five minutes, else 403. 409 when the tenant has 100 keys that are neither
/// revoked nor expired.
#[utoipa::path(post, path = "/v1/api-keys", tag = "api keys", operation_id = "create_api_key",
    request_body = CreateApiKey, security(("bearer" = [])),
    responses((status = 201, description = "The key.", body = ApiKey), (status = 409, description = "problem")),
)]
pub(crate) async fn create(member: Member, Valid(new): Valid<CreateApiKey>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    if new.expires_at.is_some_and(|at| at <= cx.node.ambient.now()) {
        return Err(Problem::invalid("expires_at", "must be in the future"));
    }
    let shown = run(async move { ops::create(&cx, &claims, new).await }).await?;
    Ok(answer(StatusCode::CREATED, shown))
}

/// `{overlap_s}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateApiKey {
    /// For how many seconds the key goes on working as it was; 0 ends that at once.
    #[serde(default, deserialize_with = "whole")]
    #[schema(required, nullable = false, minimum = 0, maximum = 604_800)]
    overlap_s: Option<u64>,
}

impl Validate for RotateApiKey {
    type Checked = Duration;

    fn check(self, faults: &mut Faults) -> Option<Duration> {
        let overlap = Duration::from_secs(faults.required("overlap_s", self.overlap_s)?);
        faults.some("overlap_s", Some(overlap).filter(|overlap| *overlap <= OVERLAP_MAX), "must be at most 604800")
    }
}

/// `POST /v1/api-keys/{id}/rotate`: another text for a key, which is shown this once; admins alone.
///
/// The text before works for `overlap_s` more; one before that not any more. Takes a session that was started within five
/// minutes, else 403. 409 when the key has expired.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "api keys", operation_id = "rotate_api_key",
    request_body = RotateApiKey, security(("bearer" = [])), params(("id" = Uuid, Path, description = "The key.")),
    responses((status = 200, description = "The key.", body = ApiKey), (status = 409, description = "problem")),
)]
pub(crate) async fn rotate(
    member: Member,
    Path(id): Path<String>,
    Valid(overlap): Valid<RotateApiKey>,
) -> Result<Response, Problem> {
    let id: ApiKeyId = id.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    let shown = run(async move { ops::rotate(&cx, &claims, id, overlap).await }).await?;
    Ok(answer(StatusCode::OK, shown))
}

/// `DELETE /v1/api-keys/{id}`: revokes a key; admins alone. Gone, or somebody else's: 404.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "api keys", operation_id = "revoke_api_key",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The key.")),
    responses((status = 204, description = "Revoked: it is dead on its next use.")),
)]
pub(crate) async fn revoke(member: Member, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id: ApiKeyId = id.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { ops::revoke(&cx, &claims, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer(status: StatusCode, shown: Shown) -> Response {
    let Shown { item, text } = shown;
    no_store((status, Json(ApiKey::of(item, Some(text.expose())))))
}
