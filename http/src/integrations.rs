//! `/v1/integrations`: the services outside that a tenant has connected, for its admins.

pub mod connect;

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use freehold_actors::ops::integrations::{self as ops, ConnectedItem, IntegrationItem, Tried};
use freehold_domain::integration::key::{Key, NotAKey};
use freehold_domain::integration::{Integration, Kind as OpenedBy};
use freehold_domain::policy::Permission;
use freehold_domain::rfc3339;
use freehold_domain::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, May, Routes};
use crate::body::{Valid, Validate, given};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::openapi;
use crate::problem::{Kind, Problem};

pub(crate) use self::connect::{__path_connect, __path_finish, connect, finish};

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let change = || May(Permission::IntegrationsChange);
    Routes::default()
        .get("/v1/integrations", May(Permission::IntegrationsRead), integrations)
        .put("/v1/integrations/{name}/key", change(), set_key)
        .post("/v1/integrations/{name}/connect", change(), connect)
        .post("/v1/integrations/{name}/check", change(), check)
        .delete("/v1/integrations/{name}", change(), remove)
        .get("/integrations/return", Credential, finish)
}

/// Every integration.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntegrationList {
    items: Vec<IntegrationBody>,
    /// `null`: there is one part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A service outside.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
struct IntegrationBody {
    #[schema(schema_with = openapi::integration)]
    name: &'static str,
    /// By what it is opened: a `key` that is pasted, or by `oauth`.
    #[schema(schema_with = openapi::opened_by)]
    opened_by: &'static str,
    /// Whether it can be connected here: for `oauth` the operator has to have made this server known to the provider.
    available: bool,
    /// What is connected; `null` where nothing is.
    #[schema(required)]
    connected: Option<Connected>,
}

/// What is connected. What opens it is never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct Connected {
    /// `connected`, or `expired` once the provider has said that what it gave out is not good any more.
    #[schema(schema_with = openapi::connection_state)]
    state: &'static str,
    /// Whose account it is there, or where the service is.
    account: String,
    /// The last characters of the key or the access token.
    last4: String,
    /// Since when.
    #[schema(format = DateTime)]
    set_at: String,
    /// When the access token ends; it is refreshed before. `null` for a key, and for a token that does not end.
    #[schema(required, format = DateTime)]
    ends_at: Option<String>,
    /// When the provider said that it is over.
    #[schema(required, format = DateTime)]
    expired_at: Option<String>,
}

impl From<ConnectedItem> for Connected {
    fn from(item: ConnectedItem) -> Self {
        let ConnectedItem { account, last4, set_at, ends_at, expired_at } = item;
        Self {
            state: if expired_at.is_some() { "expired" } else { "connected" },
            account,
            last4,
            set_at: rfc3339::text(set_at),
            ends_at: ends_at.map(rfc3339::text),
            expired_at: expired_at.map(rfc3339::text),
        }
    }
}

impl From<IntegrationItem> for IntegrationBody {
    fn from(item: IntegrationItem) -> Self {
        Self {
            name: item.integration.as_str(),
            opened_by: item.integration.kind().as_str(),
            available: item.is_available,
            connected: item.connected.map(Connected::from),
        }
    }
}

/// `GET /v1/integrations`: the services that can be connected, and what is; admins alone.
#[utoipa::path(get, path = "/v1/integrations", tag = "integrations", operation_id = "integrations",
    security(("bearer" = [])),
    responses((status = 200, description = "Every one that there can be.", body = IntegrationList)),
)]
pub(crate) async fn integrations(member: Member) -> Result<Response, Problem> {
    let items = ops::list(member.cx(), &member.claims).await?.into_iter().map(IntegrationBody::from).collect();
    Ok(no_store(Json(IntegrationList { items, next_cursor: None })))
}

/// `{account_sid, auth_token}` or `{base_url, api_key}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetKey {
    /// Of Twilio: the account.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = "^AC[0-9a-fA-F]{32}$")]
    account_sid: Option<String>,
    /// Of Twilio: its auth token.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = Password, pattern = "^[0-9a-fA-F]{32}$")]
    auth_token: Option<String>,
    /// Of a service that speaks like `OpenAI`'s: where it is, with the version, such as `https://api.openai.com/v1`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = r"^https://[\u0021-\u007e]+$", max_length = 2048)]
    base_url: Option<String>,
    /// And its key.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = Password, pattern = r"^[\u0021-\u007e]*$", min_length = 8, max_length = 512)]
    api_key: Option<String>,
}

/// What was sent, whatever it is a key of.
pub(crate) struct Pasted {
    account_sid: Option<String>,
    auth_token: Option<Secret<String>>,
    base_url: Option<String>,
    api_key: Option<Secret<String>>,
}

impl Validate for SetKey {
    type Checked = Pasted;

    fn check(self, _: &mut Faults) -> Option<Pasted> {
        let Self { account_sid, auth_token, base_url, api_key } = self;
        Some(Pasted {
            account_sid,
            auth_token: auth_token.map(Secret::new),
            base_url,
            api_key: api_key.map(Secret::new),
        })
    }
}

impl Pasted {
    /// The key that it is of this one.
    fn of(self, integration: Integration) -> Result<Key, Problem> {
        let Self { account_sid, auth_token, base_url, api_key } = self;
        let mut faults = Faults::default();
        let is_twilio = integration == Integration::Twilio;
        let strange = if is_twilio {
            [("base_url", base_url.is_some()), ("api_key", api_key.is_some())]
        } else {
            [("account_sid", account_sid.is_some()), ("auth_token", auth_token.is_some())]
        };
        for (field, _) in strange.into_iter().filter(|(_, is_given)| *is_given) {
            faults.add(field, "is not a part of this key");
        }
        let (account, secret) = if is_twilio {
            (faults.required("account_sid", account_sid), faults.required("auth_token", auth_token))
        } else {
            (faults.required("base_url", base_url), faults.required("api_key", api_key))
        };
        let (Some((account, secret)), true) = (account.zip(secret), faults.is_empty()) else {
            return Err(faults.into());
        };
        let key = if is_twilio { Key::twilio(account, secret) } else { Key::open_ai(&account, secret) };
        key.map_err(|not: NotAKey| Problem::invalid(not.field(), not.to_string()))
    }
}

fn named(text: &str) -> Result<Integration, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `PUT /v1/integrations/{name}/key`: sets the key of a service that has one, in the place of the one that was there; admins alone.
/// Whether it is good is not asked: `POST …/check` does.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(put, path = "/v1/integrations/{name}/key", tag = "integrations", operation_id = "set_integration_key",
    request_body = SetKey, security(("bearer" = [])),
    params(("name" = String, Path, description = "`twilio` or `openai`.")),
    responses((status = 200, description = "What is connected now.", body = Connected)),
)]
pub(crate) async fn set_key(
    member: Member,
    Path(text): Path<String>,
    Valid(pasted): Valid<SetKey>,
) -> Result<Response, Problem> {
    let integration = named(&text)?;
    if integration.kind() != OpenedBy::Key {
        return Err(Problem::new(Kind::NotFound));
    }
    let key = pasted.of(integration)?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    let set = run(async move { ops::set_key(&cx, &claims, key).await }).await?;
    Ok(no_store(Json(Connected::from(set))))
}

/// How a call went that changes nothing at the service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether the service took what opens it.
    works: bool,
    /// `ok`, `refused`, `failed`, or why there was no answer, such as `late` or `connection`.
    outcome: &'static str,
    /// The status of its answer; `null` without one.
    #[schema(required, minimum = 100, maximum = 999)]
    status: Option<u16>,
}

impl From<Tried> for Checked {
    fn from(tried: Tried) -> Self {
        Self { works: tried.works(), outcome: tried.outcome, status: tried.status }
    }
}

/// `POST /v1/integrations/{name}/check`: makes a call that changes nothing there, and says how it went; admins alone.
#[utoipa::path(post, path = "/v1/integrations/{name}/check", tag = "integrations", operation_id = "check_integration",
    security(("bearer" = [])),
    params(("name" = String, Path, description = "`twilio`, `openai`, `quickbooks`, `square` or `shopify`.")),
    responses(
        (status = 200, description = "How it went.", body = Checked),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn check(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    let (integration, cx, claims) = (named(&text)?, member.tenant.cx, member.claims);
    let tried = run(async move { ops::check(&cx, &claims, integration).await }).await?;
    Ok(no_store(Json(Checked::from(tried))))
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Disconnected {
    /// Whether the provider took back what it had given out; Shopify takes the app away from the shop with it. `false`: it did not, and that may be good there until it ends;
    /// `null` for a key, which is taken back at its service.
    #[schema(required)]
    revoked: Option<bool>,
}

/// `DELETE /v1/integrations/{name}`: disconnects a service; admins alone. What opened it is gone here in any case.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(delete, path = "/v1/integrations/{name}", tag = "integrations", operation_id = "disconnect_integration",
    security(("bearer" = [])),
    params(("name" = String, Path, description = "`twilio`, `openai`, `quickbooks`, `square` or `shopify`.")),
    responses((status = 200, description = "It is gone.", body = Disconnected)),
)]
pub(crate) async fn remove(member: Member, Path(text): Path<String>) -> Result<Response, Problem> {
    let (integration, cx, claims) = (named(&text)?, member.tenant.cx, member.claims);
    let removed = run(async move { ops::remove(&cx, &claims, integration).await }).await?;
    Ok(no_store(Json(Disconnected { revoked: removed.revoked })))
}
