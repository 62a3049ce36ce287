//! Signing in at a provider, and the accounts that a member has linked: `/v1/auth/oauth/*`, `/v1/auth/identities`.

pub mod callback;
mod page;

use axum::Json;
use axum::extract::Path;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::identities::{self, IdentityItem};
use freehold_actors::ops::oauth::handoff::{Home, come_home};
use freehold_actors::ops::oauth::{self as ops, Beginning, Begun};
use freehold_domain::id::IdentityId;
use freehold_domain::oauth::Provider;
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::policy::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, May, Public, Routes};
use crate::admission;
use crate::auth::{Transport, session_started};
use crate::body::{Valid, Validate, word};
use crate::caller::{Member, Tenant, run, set_oauth_cookie};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::openapi;
use crate::problem::{Kind, Problem};
use crate::query::Query;
use crate::totp::Nothing;
use freehold_domain::rfc3339;

pub(crate) use self::page::{__path_handoff, handoff};

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let own = || May(Permission::OwnCredentialsChange);
    Routes::default()
        .get("/v1/auth/oauth/{provider}/start", Public, start)
        .post("/v1/auth/oauth/{provider}/link", own(), link)
        .post("/v1/auth/oauth/handoff", Credential, come)
        .get("/v1/auth/identities", May(Permission::OwnProfileRead), list)
        .delete("/v1/auth/identities/{id}", own(), unlink)
        .get("/auth/handoff", Public, handoff)
}

/// `GET /v1/auth/oauth/{provider}/start`: to the provider, in a browser.
///
/// Sets a cookie that the browser must show at the end. The provider sends it back to the platform, which sends it to
/// `/auth/handoff#code=…` on this host, or to `/auth/handoff#error=…` with the last part of a problem's type.
#[utoipa::path(get, path = "/v1/auth/oauth/{provider}/start", tag = "auth", operation_id = "start_oauth",
    params(("provider" = inline(openapi::ProviderName), Path, description = "The provider.")),
    responses((status = 303, description = "To the provider.", headers(
        ("Location" = String, description = "Where to sign in."),
        ("Set-Cookie" = String, description = "Tells this browser for ten minutes."),
    ))),
)]
pub(crate) async fn start(
    tenant: Tenant,
    Path(provider): Path<String>,
    Query(()): Query<()>,
) -> Result<Response, Problem> {
    let provider = known(&provider)?;
    let Tenant { cx, oauth, domain, .. } = tenant;
    // A navigation, and yet it writes: a tenant that cannot be changed lets nobody in by it.
    admission::served(&cx.slot, &Method::POST, cx.node.ambient.now())?;
    let begun = run(async move {
        let from = Beginning { browser: oauth.as_deref(), domain: domain.as_deref() };
        ops::start(&cx, provider, from).await
    })
    .await?;
    let mut response = see_other(begun.url.expose())?;
    response.headers_mut().insert(SET_COOKIE, set_oauth_cookie(begun.browser.expose()));
    Ok(response)
}

/// Where a member goes to link an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkStarted<'a> {
    /// To be opened in this browser, which has been given a cookie for it.
    authorization_url: &'a str,
}

/// `POST /v1/auth/oauth/{provider}/link`: begins to link an account at a provider to the member.
///
/// Takes a session that was started within five minutes, else 403. It ends like a sign-in, with `POST
/// /v1/auth/oauth/handoff`, which then links the account.
#[utoipa::path(post, path = "/v1/auth/oauth/{provider}/link", tag = "me", operation_id = "link_identity",
    params(("provider" = inline(openapi::ProviderName), Path, description = "The provider.")),
    request_body = Option<Nothing>, security(("bearer" = [])),
    responses((status = 200, description = "Where to go.", body = LinkStarted, headers(
        ("Set-Cookie" = String, description = "Tells this browser for ten minutes."),
    ))),
)]
pub(crate) async fn link(member: Member, Path(provider): Path<String>, _: Valid<Nothing>) -> Result<Response, Problem> {
    let provider = known(&provider)?;
    let (Tenant { cx, oauth, domain, .. }, claims) = (member.tenant, member.claims);
    let linking = async move {
        let from = Beginning { browser: oauth.as_deref(), domain: domain.as_deref() };
        ops::link(&cx, &claims, provider, from).await
    };
    let Begun { url, browser } = run(linking).await?;
    let mut response = no_store(Json(LinkStarted { authorization_url: url.expose() }));
    response.headers_mut().insert(SET_COOKIE, set_oauth_cookie(browser.expose()));
    Ok(response)
}

/// `{code, transport?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    /// From the fragment of `/auth/handoff`. Good once, for thirty seconds, in the browser that began.
    #[schema(required, nullable = false, min_length = 1, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    code: Option<String>,
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false)]
    transport: Option<Transport>,
}

impl Validate for Handoff {
    type Checked = (Option<OneTimeToken>, Transport);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let code = faults.required("code", self.code);
        // Whether it is a code is not for the shape to say, but one line it must be.
        let code = code.and_then(|text| faults.one_line("code", text, 1..=usize::MAX))?;
        Some((OneTimeToken::parse(Purpose::OauthHandoff, &code), self.transport.unwrap_or_default()))
    }
}

/// `POST /v1/auth/oauth/handoff`: the end of a sign-in at a provider, or of linking an account.
///
/// The cookie of the beginning must come with it. With a second factor it is answered with 401 `second-factor-required` and
/// a `challenge`, like the right password.
#[utoipa::path(post, path = "/v1/auth/oauth/handoff", tag = "auth", operation_id = "finish_oauth",
    request_body = Handoff, security(("oauth_cookie" = [])),
    responses(
        (status = 200, description = "A new session.", body = crate::auth::TokenPairBody, headers(
            ("Set-Cookie" = String, description = "The refresh token, with `transport: \"cookie\"`."),
        )),
        (status = 201, description = "An account was linked.", body = Identity),
        (status = 401, description = "problem"),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn come(tenant: Tenant, Valid((code, transport)): Valid<Handoff>) -> Result<Response, Problem> {
    if transport == Transport::Cookie {
        tenant.from_own_page()?;
    }
    let (cx, browser) = (tenant.cx, tenant.oauth);
    let browser = browser.and_then(|text| OneTimeToken::parse(Purpose::OauthBrowser, &text));
    let home = run(async move { come_home(&cx, code.as_ref(), browser.as_ref()).await }).await?;
    Ok(match home {
        Home::SignedIn(signed_in) => session_started(&signed_in, transport),
        Home::Linked(linked) => no_store((StatusCode::CREATED, Json(Identity::from(linked)))),
    })
}

/// An account at a provider that the member signs in with.
#[derive(Serialize, ToSchema)]
pub(crate) struct Identity {
    #[schema(value_type = Uuid)]
    id: IdentityId,
    #[schema(schema_with = openapi::provider)]
    provider: &'static str,
    /// What the account is called there, as it was told when it was linked.
    #[schema(required)]
    account: Option<String>,
    #[schema(format = DateTime)]
    linked_at: String,
}

impl From<IdentityItem> for Identity {
    fn from(identity: IdentityItem) -> Self {
        Self {
            id: identity.id,
            provider: identity.provider.as_str(),
            account: identity.account.map(String::from),
            linked_at: rfc3339::text(identity.linked_at),
        }
    }
}

/// The member's accounts at providers.
#[derive(Serialize, ToSchema)]
pub(crate) struct IdentityList {
    items: Vec<Identity>,
    /// Always `null`: there are twenty at most.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `GET /v1/auth/identities`: the caller's own accounts at providers, oldest first.
#[utoipa::path(get, path = "/v1/auth/identities", tag = "me", operation_id = "identities", security(("bearer" = [])),
    responses((status = 200, description = "All of them.", body = IdentityList)),
)]
pub(crate) async fn list(member: Member, Query(()): Query<()>) -> Result<Response, Problem> {
    let items = identities::list(member.cx(), &member.claims).await?;
    let items = items.into_iter().map(Identity::from).collect();
    Ok(Json(IdentityList { items, next_cursor: None }).into_response())
}

/// `DELETE /v1/auth/identities/{id}`: the account signs in no longer.
///
/// Takes a session that was started within five minutes, else 403. Every other session is dead on its next request; this
/// one goes on with its refresh token. 409 for the only way in, when there is no password.
#[utoipa::path(delete, path = "/v1/auth/identities/{id}", tag = "me", operation_id = "unlink_identity",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The identity.")),
    responses((status = 204, description = "It is unlinked."), (status = 409, description = "problem")),
)]
pub(crate) async fn unlink(member: Member, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: IdentityId = id.parse().map_err(|_| Problem::new(Kind::NotFound))?;
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { identities::unlink(&cx, &claims, id).await }).await?;
    Ok(no_store(StatusCode::NO_CONTENT.into_response()))
}

fn known(provider: &str) -> Result<Provider, Problem> {
    provider.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// To another page, which is fetched with GET whatever came here.
pub(crate) fn see_other(url: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(url).map_err(|_| Problem::new(Kind::Internal))?;
    let mut response = no_store(StatusCode::SEE_OTHER);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
