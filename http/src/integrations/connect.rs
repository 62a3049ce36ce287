//! Connecting a service by OAuth: `POST /v1/integrations/{name}/connect` at home, `GET /integrations/callback` on the platform's
//! own domain, and `GET /integrations/return` at home again.

use axum::extract::Path;
use axum::http::Method;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use axum::{Extension, Json};
use freehold_actors::ops::integrations::connect::{self as ops, Back, Brought, CameBack};
use freehold_actors::ops::oauth::{Beginning, Begun};
use freehold_domain::integration::grant::is_account;
use freehold_domain::integration::shopify::callback::Callback as Signed;
use freehold_domain::oauth::state::State;
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::secret::Secret;
use freehold_domain::text::escape_html;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::named;
use crate::admission::{self, Entered};
use crate::body::{Valid, Validate, given};
use crate::caller::{Member, Tenant, run, set_oauth_cookie};
use crate::faults::Faults;
use crate::headers::{Nonce, no_store};
use crate::oauth::see_other;
use crate::pages::page;
use crate::problem::{Kind, Problem};
use crate::query::{FromParams, Params, Query};

/// Most characters of a code.
const CODE_CHARS_MAX: usize = 2_048;
/// The problems that a callback can end with.
const ENDS: [Kind; 3] = [Kind::OauthDenied, Kind::OauthFailed, Kind::OauthExpired];

/// `{}`, or `{shop}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    /// Of Shopify: the shop, such as `example.myshopify.com` or `example`. It must be there, and with no other service.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = r"^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$", max_length = 253)]
    shop: Option<String>,
}

impl Validate for Connect {
    type Checked = Option<String>;

    const MAY_BE_EMPTY: bool = true;

    fn check(self, _: &mut Faults) -> Option<Option<String>> {
        Some(self.shop)
    }
}

/// Where a member goes to allow it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectStarted<'a> {
    /// To be opened in this browser, which has been given a cookie for it.
    authorization_url: &'a str,
}

/// `POST /v1/integrations/{name}/connect`: begins to connect a service by OAuth; admins alone. The provider sends the browser
/// back within ten minutes, and the page it ends at says whether the service is connected.
///
/// Takes a session that was started within five minutes, else 403.
#[utoipa::path(post, path = "/v1/integrations/{name}/connect", tag = "integrations", operation_id = "connect_integration",
    request_body = Option<Connect>, security(("bearer" = [])),
    params(("name" = String, Path, description = "`quickbooks`, `square` or `shopify`.")),
    responses((status = 200, description = "Where to go.", body = ConnectStarted, headers(
        ("Set-Cookie" = String, description = "Tells this browser for ten minutes."),
    ))),
)]
pub(crate) async fn connect(
    member: Member,
    Path(text): Path<String>,
    Valid(shop): Valid<Connect>,
) -> Result<Response, Problem> {
    let integration = named(&text)?;
    let (Tenant { cx, oauth, domain, .. }, claims) = (member.tenant, member.claims);
    let connecting = async move {
        let from = Beginning { browser: oauth.as_deref(), domain: domain.as_deref() };
        ops::begin(&cx, &claims, (integration, shop.as_deref()), from).await
    };
    let Begun { url, browser } = run(connecting).await?;
    let mut response = no_store(Json(ConnectStarted { authorization_url: url.expose() }));
    response.headers_mut().insert(SET_COOKIE, set_oauth_cookie(browser.expose()));
    Ok(response)
}

/// What a provider sends back (RFC 6749 §4.1.2), and QuickBooks' `realmId`. What it sends besides is looked at where Shopify has
/// signed it.
#[derive(Debug)]
pub(crate) struct Callback {
    state: Option<State>,
    back: Back,
}

impl FromParams for Callback {
    fn from_params(params: &mut Params, _: &mut Faults) -> Option<Self> {
        let signed = Signed::new(params.pairs().iter().cloned());
        let state = params.take("state").and_then(|text| text.parse().ok());
        let fits = |code: &String| {
            (1..=CODE_CHARS_MAX).contains(&code.len()) && code.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let realm = params.take("realmId").filter(|id| is_account(id));
        let back = match (params.take("error").as_deref(), params.take("code").filter(fits)) {
            (None, Some(code)) => Back::Code(Brought { code: Secret::new(code), realm, signed }),
            (Some("access_denied"), None) => Back::Denied,
            (_, _) => Back::Failed,
        };
        params.ignore_rest();
        Some(Self { state, back })
    }
}

/// Takes down what came back, and sends the browser home with it.
pub(crate) async fn callback(
    Extension(entered): Extension<Entered>,
    Query(Callback { state, back }): Query<Callback>,
) -> Result<Response, Problem> {
    let expired = || Problem::new(Kind::OauthExpired);
    let state = state.ok_or_else(expired)?;
    let tenant = entered.admit_to(state.tenant, &Method::POST).await;
    // Whether there is such a tenant is not for strangers to learn.
    let cx = tenant.map_err(|problem| if problem.kind() == Kind::NotFound { expired() } else { problem })?;
    let CameBack { ended, home } = run(async move { ops::callback(&cx, &state, back).await }).await?;
    let query = match ended {
        Ok(code) => format!("code={}", code.expose()),
        Err(refusal) => format!("error={}", Problem::from(refusal).kind().slug()),
    };
    see_other(&format!("{home}/integrations/return?{query}"))
}

/// With what a browser comes home.
#[derive(Debug)]
pub(crate) struct Home {
    /// `None` where there is no such parameter.
    code: Option<Secret<String>>,
    error: Option<Kind>,
}

impl FromParams for Home {
    fn from_params(params: &mut Params, _: &mut Faults) -> Option<Self> {
        let code = params.take("code").map(Secret::new);
        let error = params.take("error").and_then(|slug| ENDS.into_iter().find(|kind| kind.slug() == slug));
        params.ignore_rest();
        Some(Self { code, error })
    }
}

/// `GET /integrations/return`: where a browser ends that was sent to connect a service. With the code of the way back, which works
/// once, and the cookie of the beginning the service is connected; without either nothing happens.
#[utoipa::path(get, path = "/integrations/return", tag = "public", operation_id = "integration_return",
    params(
        ("code" = Option<String>, Query, nullable = false, description = "Good once, for thirty seconds, in the browser that began."),
        ("error" = Option<String>, Query, nullable = false, description = "The problem that it ended with at the provider."),
    ),
    responses(
        (status = 200, description = "A page that says that it is connected, or that nothing was brought along.", content_type = "text/html", body = String),
        (status = 400, description = "problem"),
    ),
)]
pub(crate) async fn finish(
    nonce: Nonce,
    tenant: Tenant,
    Query(Home { code, error }): Query<Home>,
) -> Result<Response, Problem> {
    if let Some(kind) = error {
        tenant.cx.admit(&[tenant.cx.tenant_layer()]).await?;
        return Err(Problem::new(kind));
    }
    let name = escape_html(&tenant.cx.slot.name);
    let Some(code) = code else {
        tenant.cx.admit(&[tenant.cx.tenant_layer()]).await?;
        let body = format!("<h1>{name}</h1><p>Whoever connects a service ends here. Nothing was brought along.</p>");
        return Ok(no_store(page(nonce, &name, &body)));
    };
    let Tenant { cx, oauth, .. } = tenant;
    // A navigation, and yet it writes.
    admission::served(&cx.slot, &Method::POST, cx.node.ambient.now())?;
    let code = OneTimeToken::parse(Purpose::IntegrationHandoff, code.expose());
    let browser = oauth.and_then(|text| OneTimeToken::parse(Purpose::OauthBrowser, &text));
    let connected = run(async move { ops::come_home(&cx, code.as_ref(), browser.as_ref()).await }).await?;
    let body = format!("<h1>{name}</h1><p><code>{connected}</code> is connected. You can close this page.</p>");
    Ok(no_store(page(nonce, &name, &body)))
}
