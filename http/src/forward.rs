//! `GET /v1/auth/forward`: who is signed in, for reverse proxies in front of applications that exist already.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::forward::{self as ops, Known};
use freehold_domain::refresh_token::RefreshToken;
use freehold_domain::tenant_state::TenantState;

use crate::access::{Credential, Routes};
use crate::caller::{Tenant, Visitor, is_from_own_page};
use crate::headers::no_store;
use crate::problem::{Kind, Problem};
use crate::query::Query;

/// How proxies say which method the request has that they ask about: Traefik and Caddy, and nginx by our example.
static METHOD: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];

const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLE: HeaderName = HeaderName::from_static("x-role");

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/auth/forward", Credential, forward)
}

/// A request about another one.
pub struct Asked {
    visitor: Visitor,
    /// Whether that one is safe.
    is_safe: bool,
    /// Whether it is, or is proved to come from a page of the tenant.
    may_use_cookie: bool,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let method = unsafe_method(&parts.headers);
        let may_use_cookie = match &method {
            Some(method) => is_from_own_page(parts, method).unwrap_or(false),
            None => true,
        };
        Ok(Self { visitor, is_safe: method.is_none(), may_use_cookie })
    }
}

/// The method of the request that is asked about, if the proxy says one that is not safe. What cannot be read is not.
fn unsafe_method(headers: &HeaderMap) -> Option<Method> {
    let said = METHOD.iter().flat_map(|name| headers.get_all(name));
    said.map(|text| Method::from_bytes(text.as_bytes()).unwrap_or(Method::POST)).find(|method| !method.is_safe())
}

/// `GET /v1/auth/forward`: who is signed in, for a reverse proxy that asks before it passes a request on.
///
/// By the access token, or else by the refresh cookie, which is looked at and not spent. Where the proxy says in
/// `X-Forwarded-Method` or `X-Original-Method` that the request is not safe, the cookie counts only with an `Origin` (else
/// `Referer`) of this tenant: 403 `csrf`. Such a request at a tenant that is read-only is 403 `tenant-read-only`. An operator
/// who acts as a member is nobody here, and so is a member who must enrol a second factor first.
#[utoipa::path(get, path = "/v1/auth/forward", tag = "auth", security(("bearer" = []), ("refresh_cookie" = [])),
    responses((status = 204, description = "Somebody is signed in.", headers(
        ("x-tenant-id" = Uuid, description = "The tenant."),
        ("x-user-id" = Uuid, description = "The member."),
        ("x-role" = String, description = "The member's role: `admin`, `sales_rep` or `employee`."),
    ))),
)]
pub(crate) async fn forward(asked: Asked, Query(()): Query<()>) -> Result<Response, Problem> {
    let Asked { visitor: Visitor { tenant, claims }, is_safe, may_use_cookie } = asked;
    let Tenant { cx, cookie, .. } = tenant;
    if !is_safe && cx.slot.standing().state_at(cx.node.ambient.now()) == TenantState::ReadOnly {
        return Err(Problem::new(Kind::TenantReadOnly));
    }
    // The application behind could not tell that an operator acts as the member.
    if claims.as_ref().is_some_and(|claims| claims.act.is_some()) {
        return Err(Problem::new(Kind::Unauthenticated));
    }
    let known = match (claims, cookie) {
        (Some(claims), _) => ops::by_token(&cx, &claims).await?,
        (None, Some(_)) if !may_use_cookie => return Err(Problem::new(Kind::Csrf)),
        (None, Some(cookie)) => {
            let token: RefreshToken = cookie.parse().map_err(|_| Problem::invalid_token())?;
            ops::by_cookie(&cx, &token).await?
        }
        (None, None) => return Err(Problem::new(Kind::Unauthenticated)),
    };
    let Known { member, role } = known;
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in [(TENANT, cx.slot.id.to_string()), (USER, member.to_string()), (ROLE, role.to_string())] {
        let value = HeaderValue::try_from(value).map_err(|_| Problem::new(Kind::Internal))?;
        response.headers_mut().insert(name, value);
    }
    Ok(no_store(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_not_known_to_be_safe_is_not() {
        let of = |lines: &[(&'static str, &[u8])]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
            }
            unsafe_method(&headers).is_some()
        };
        assert!(!of(&[]) && !of(&[("x-forwarded-method", b"GET")]) && !of(&[("x-original-method", b"HEAD")]));
        for method in [b"POST".as_slice(), b"DELETE", b"FROB", b"get", b"", b"GET POST", b"\xff"] {
            for name in ["x-forwarded-method", "x-original-method"] {
                assert!(of(&[(name, method)]), "{method:?}");
                assert!(of(&[("x-forwarded-method", b"GET"), (name, method)]), "{method:?}");
            }
        }
    }
}
