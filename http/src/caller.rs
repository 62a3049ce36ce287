//! Extractors that say on whose behalf a handler acts: a tenant, a signed-in member, a holder of a refresh token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use freehold_actors::node::Attached;
use freehold_actors::ops::context::{Client, Context};
use freehold_actors::ops::refusal::Refusal;
use freehold_actors::ops::support;
use freehold_domain::access_token::AccessClaims;
use freehold_domain::secret::Secret;

use crate::access;
use crate::admission::Admitted;
use crate::arrival::Arrival;
use crate::origin::{self, Carries, Origin};
use crate::problem::{Kind, Problem};

/// The cookie that carries a refresh token.
pub const REFRESH_COOKIE: &str = "__Host-freehold-refresh";
/// The cookie that tells a device that has signed in before.
pub const DEVICE_COOKIE: &str = "__Host-freehold-device";

/// The cookie that tells a browser in which a sign-in at a provider began.
pub const OAUTH_COOKIE: &str = "__Host-freehold-oauth";

/// How long a browser keeps the device cookie.
const DEVICE_COOKIE_S: u64 = 400 * 24 * 3_600;
/// And the other: as long as a sign-in at a provider may take.
const OAUTH_COOKIE_S: u64 = 10 * 60;

/// The tenant of the request's host, active.
pub struct Tenant {
    /// What operations act on.
    pub cx: Context,
    /// The refresh token in our cookie, if there is one.
    pub cookie: Option<String>,
    /// The cookie of a sign-in at a provider, if there is one.
    pub oauth: Option<String>,
    /// The custom domain by which it was found, if it was.
    pub domain: Option<Arc<Attached>>,
    is_from_own_page: bool,
}

impl Tenant {
    /// Refuses a request that asks for a cookie and does not come from a page of this tenant.
    ///
    /// # Errors
    /// A [`Kind::Csrf`] problem.
    pub fn from_own_page(&self) -> Result<(), Problem> {
        if self.is_from_own_page { Ok(()) } else { Err(Problem::new(Kind::Csrf)) }
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    /// What the browser adds by itself decides the rule: with our cookie the origin must be ours, without it an origin
    /// that is given must be.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let admitted = parts.extensions.get::<Admitted>().ok_or_else(|| Problem::new(Kind::Internal))?;
        let is_from_own_page = parts.method.is_safe() || is_from_own_page(parts, &parts.method)?;
        let device = cookie(&parts.headers, DEVICE_COOKIE)?;
        let oauth = cookie(&parts.headers, OAUTH_COOKIE)?;
        let cookie = cookie(&parts.headers, REFRESH_COOKIE)?;
        if !is_from_own_page && (cookie.is_some() || device.is_some() || oauth.is_some()) {
            return Err(Problem::new(Kind::Csrf));
        }
        let Admitted { node, slot, caller, counted, passes } = admitted.clone();
        let domain = Arrival::of(&parts.extensions)?.domain().cloned();
        let live = node.live(&slot).await?;
        let client = Client { device_cookie: device.map(Secret::new), ..caller };
        let cx = Context { node, slot, live, client, counted, passes };
        Ok(Self { cx, cookie, oauth, domain, is_from_own_page })
    }
}

/// Whether a request with this unsafe method is proved to come from a page of this tenant; one that is proved not to is
/// refused.
pub(crate) fn is_from_own_page(parts: &Parts, method: &Method) -> Result<bool, Problem> {
    let internal = || Problem::new(Kind::Internal);
    let admitted = parts.extensions.get::<Admitted>().ok_or_else(internal)?;
    let arrival = Arrival::of(&parts.extensions)?;
    let client = arrival.client.ok_or_else(internal)?;
    let (host, _) = arrival.host.as_ref().ok_or_else(internal)?;
    let public = Origin::parse(&admitted.node.settings.issuer(&admitted.slot.slug));
    let of_host = Origin::parse(&admitted.node.settings.origin(host.host()));
    let own: Vec<_> = public.into_iter().chain(of_host).chain([Origin::of_host(client.scheme, host)]).collect();
    let check = |carries| origin::check(method, carries, &parts.headers, &own, &[]);
    check(Carries::Nothing)?;
    Ok(check(Carries::Cookie).is_ok())
}

/// The bearer token, if one is given. Another scheme, or nothing after the scheme, is no credential (RFC 6750 §3.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next(), lines.next()) else { return Err(Problem::invalid_token()) };
    let Some(line) = line else { return Ok(None) };
    let text = line.to_str().map_err(|_| Problem::invalid_token())?;
    let given = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(given.map(|(_, token)| token.trim_start_matches(' ')).filter(|token| !token.is_empty()))
}

/// A cookie's value. A second one of the same name cannot be ours: the `__Host-` prefix allows one (RFC 6265bis).
///
/// # Errors
/// A validation [`Problem`] for that.
pub fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(known, _)| *known == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value.to_owned())),
        (Some(_), Some(_)) => Err(Problem::invalid("(cookie)", "is given twice")),
    }
}

/// A signed-in member who may do what the route asks for: the access token is good on this host, now, and the policy allows
/// its role this. No credential is 401, before anything is told of the role; a role that may not is 403.
pub struct Member {
    /// The tenant.
    pub tenant: Tenant,
    /// What the token says.
    pub claims: Arc<AccessClaims>,
}

impl Member {
    /// What operations act on.
    #[must_use]
    pub fn cx(&self) -> &Context {
        &self.tenant.cx
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Visitor { tenant, claims } = Visitor::from_request_parts(parts, state).await?;
        let claims = claims.ok_or_else(|| Problem::new(Kind::Unauthenticated))?;
        access::check(parts, &tenant.cx.node.settings.policy, &claims).await?;
        Ok(Self { tenant, claims })
    }
}

/// Anybody at a tenant's host: a member if an access token is given; one that is refused is still a refusal.
pub struct Visitor {
    /// The tenant.
    pub tenant: Tenant,
    /// What the token says.
    pub claims: Option<Arc<AccessClaims>>,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenant = Tenant::from_request_parts(parts, state).await?;
        let Some(token) = bearer(&parts.headers)? else { return Ok(Self { tenant, claims: None }) };
        let cx = &tenant.cx;
        let claims = cx.node.authenticate(&cx.slot, &cx.live, token)?;
        cx.node.confirm(&cx.slot, &claims).await?;
        if let Some(acting) = &claims.act {
            support::stands(&cx.node, &cx.live, acting).await?;
        }
        Arrival::of(&parts.extensions)?.note_authenticated();
        Ok(Self { tenant, claims: Some(claims) })
    }
}

/// Runs an operation in a task of its own, so that a client that hangs up changes nothing.
///
/// # Errors
/// What the operation refuses; [`Kind::Internal`] when it panicked.
pub async fn run<T: Send + 'static>(
    operation: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Problem> {
    use tracing::Instrument as _;
    match tokio::spawn(operation.in_current_span()).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Problem::new(Kind::Internal)),
    }
}

/// The `Set-Cookie` that hands a refresh token to a browser, or with no token takes it back.
#[must_use]
pub fn set_refresh_cookie(token: Option<(&str, u64)>) -> HeaderValue {
    let (value, max_age_s) = token.unwrap_or(("", 0));
    set_cookie(REFRESH_COOKIE, value, max_age_s, "Strict")
}

/// The `Set-Cookie` that lets a browser be told as a device that has signed in.
#[must_use]
pub fn set_device_cookie(value: &str) -> HeaderValue {
    set_cookie(DEVICE_COOKIE, value, DEVICE_COOKIE_S, "Strict")
}

/// The `Set-Cookie` that lets a browser be told as the one in which a sign-in at a provider began. Lax: another site sends
/// the browser back.
#[must_use]
pub fn set_oauth_cookie(value: &str) -> HeaderValue {
    set_cookie(OAUTH_COOKIE, value, OAUTH_COOKIE_S, "Lax")
}

fn set_cookie(name: &str, value: &str, max_age_s: u64, same_site: &str) -> HeaderValue {
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; Secure; HttpOnly; SameSite={same_site}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}
