//! The keys that sign a tenant's access tokens: `/v1/signing-keys`, for its admins. Their public halves are at
//! `/.well-known/jwks.json`.

use axum::Json;
use axum::response::Response;
use freehold_actors::ops::signing_keys::{self as ops, SigningKeyItem, Takeover};
use freehold_domain::id::SigningKeyId;
use freehold_domain::policy::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::body::{Valid, Validate, word};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::Problem;
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/signing-keys", May(Permission::SigningKeysList), list).post(
        "/v1/signing-keys/rotate",
        May(Permission::SigningKeysRotate),
        rotate,
    )
}

/// The keys that are published, in the order in which they sign: a handful.
#[derive(Serialize, ToSchema)]
pub(crate) struct SigningKeyList {
    items: Vec<SigningKey>,
    /// `null`: there is no other part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One key.
#[derive(Serialize, ToSchema)]
struct SigningKey {
    /// Its `kid`.
    #[schema(value_type = Uuid)]
    id: SigningKeyId,
    #[schema(format = DateTime)]
    created_at: String,
    /// Whether it signs now. One that does not will, or has.
    signing: bool,
    /// Until when it signs; `null` for the last one.
    #[schema(required, format = DateTime)]
    signs_until: Option<String>,
}

impl SigningKeyList {
    fn of(items: Vec<SigningKeyItem>) -> Self {
        let one = |item: SigningKeyItem| SigningKey {
            id: item.id,
            created_at: rfc3339::text(item.created_at),
            signing: item.is_signing,
            signs_until: item.signs_until.map(rfc3339::text),
        };
        Self { items: items.into_iter().map(one).collect(), next_cursor: None }
    }
}

/// `GET /v1/signing-keys`: the keys that are published; admins alone.
#[utoipa::path(get, path = "/v1/signing-keys", tag = "signing keys", operation_id = "list_signing_keys",
    security(("bearer" = [])), responses((status = 200, description = "The keys.", body = SigningKeyList)),
)]
pub(crate) async fn list(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let keys = run(async move { ops::list(&cx, &claims).await }).await?;
    Ok(no_store(Json(SigningKeyList::of(keys))))
}

/// How another key takes over.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakeoverWord {
    /// Published first; it signs when everybody knows it. No token dies.
    #[default]
    Announced,
    /// At once, and the others are withdrawn, with every access token that they signed.
    AtOnce,
}

/// `{takeover?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false)]
    takeover: Option<TakeoverWord>,
}

impl Validate for RotateSigningKey {
    type Checked = Takeover;
    const MAY_BE_EMPTY: bool = true;

    fn check(self, _: &mut Faults) -> Option<Takeover> {
        Some(match self.takeover.unwrap_or_default() {
            TakeoverWord::Announced => Takeover::Announced,
            TakeoverWord::AtOnce => Takeover::AtOnce,
        })
    }
}

/// `POST /v1/signing-keys/rotate`: another key; admins alone.
///
/// It is published at once and signs later, so that whoever keeps the published keys for a while knows it by then; with
/// `takeover` `at_once` it signs at once, and every access token that there is is dead: for a key that is not secret any
/// more. Takes a session that was started within five minutes, else 403. 409 when one is announced already.
#[utoipa::path(post, path = "/v1/signing-keys/rotate", tag = "signing keys", operation_id = "rotate_signing_key",
    request_body = Option<RotateSigningKey>, security(("bearer" = [])),
    responses(
        (status = 200, description = "The keys.", body = SigningKeyList),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn rotate(member: Member, Valid(takeover): Valid<RotateSigningKey>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let keys = run(async move { ops::rotate(&cx, &claims, takeover).await }).await?;
    Ok(no_store(Json(SigningKeyList::of(keys))))
}
