//! Signing in and out: `/v1/auth/*`.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::context::Context;
use freehold_actors::ops::logout::{self, Session};
use freehold_actors::ops::refusal::Refusal;
use freehold_actors::ops::sign_in::SignedIn;
use freehold_actors::ops::token_pair::TokenPair;
use freehold_actors::ops::{password, refresh, sign_in};
use freehold_domain::access_token::{ACCESS_TOKEN_S, AccessClaims};
use freehold_domain::email::Email;
use freehold_domain::id::FamilyId;
use freehold_domain::password::Password;
use freehold_domain::policy::Permission;
use freehold_domain::refresh_token::RefreshToken;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, May, Routes};
use crate::advice;
use crate::body::{Valid, Validate, word};
use crate::caller::{Member, Tenant, Visitor, run, set_device_cookie, set_refresh_cookie};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .post("/v1/auth/login", Credential, login)
        .post("/v1/auth/refresh", Credential, refresh_pair)
        .post("/v1/auth/logout", Credential, log_out)
        .post("/v1/auth/logout-all", Credential, log_out_all)
        .post("/v1/auth/password", May(Permission::OwnCredentialsChange), change_password)
}

/// How the refresh token travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// In the body, both ways.
    #[default]
    Body,
    /// In a cookie that scripts cannot read.
    Cookie,
}

/// `{email, password, transport?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    email: Option<String>,
    #[schema(required, nullable = false, format = Password, pattern = r"^[^\u0000\r\n]*$", min_length = 1, max_length = 1024)]
    password: Option<String>,
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false)]
    transport: Option<Transport>,
}

impl Validate for Login {
    type Checked = (Email, Password, Transport);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let email = faults.required("email", self.email).and_then(|text| parsed(faults, "email", text.parse()));
        let password = new_password(faults, "password", self.password);
        Some((email?, password?, self.transport.unwrap_or_default()))
    }
}

/// `POST /v1/auth/login`: e-mail and password for a new session.
///
/// From the sixth wrong password in a row the account is locked and the answer is 429 `account-locked`. With a second
/// factor the right password is answered with 401 `second-factor-required` and a `challenge`.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", request_body = Login, responses(
    (status = 200, description = "A new session.", body = TokenPairBody, headers(
        ("Set-Cookie" = String, description = "The refresh token, with `transport: \"cookie\"`."),
    )),
    (status = 401, description = "problem"),
))]
pub(crate) async fn login(
    tenant: Tenant,
    Valid((email, password, transport)): Valid<Login>,
) -> Result<Response, Problem> {
    if transport == Transport::Cookie {
        tenant.from_own_page()?;
    }
    let cx = tenant.cx;
    let signed_in = run(async move { sign_in::sign_in(&cx, &email, password).await }).await?;
    Ok(session_started(&signed_in, transport))
}

/// `{refresh_token}`, or nothing when the cookie carries it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    #[schema(pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    refresh_token: Option<String>,
}

impl Validate for Refresh {
    type Checked = Option<String>;
    const MAY_BE_EMPTY: bool = true;

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        match self.refresh_token {
            // Whether it is a token is not for the shape to say, but one line it must be.
            Some(text) => faults.one_line("refresh_token", text, 0..=usize::MAX).map(Some),
            None => Some(None),
        }
    }
}

/// The refresh token of a request, and how it came.
fn presented(cookie: Option<String>, body: Option<String>) -> Result<Option<(RefreshToken, Transport)>, Problem> {
    let (text, transport) = match (body, cookie) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("refresh_token", "is given twice: in the body and in the cookie"));
        }
        (Some(text), None) => (text, Transport::Body),
        (None, Some(text)) => (text, Transport::Cookie),
        (None, None) => return Ok(None),
    };
    // What is not a token at all is answered like one that is not ours: a prober learns nothing.
    let token = text.parse().map_err(|_| Problem::invalid_token())?;
    Ok(Some((token, transport)))
}

/// `POST /v1/auth/refresh`: a refresh token for a new pair; one seen twice revokes its family (RFC 9700 §4.14.2).
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", operation_id = "refresh", request_body = Option<Refresh>,
    security((), ("refresh_cookie" = [])),
    responses(
        (status = 200, description = "The next token pair of the session.", body = TokenPairBody, headers(
            ("Set-Cookie" = String, description = "The new refresh token, when the cookie carried the old one."),
        )),
        (status = 401, description = "problem"),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn refresh_pair(tenant: Tenant, Valid(body): Valid<Refresh>) -> Result<Response, Problem> {
    let Some((token, transport)) = presented(tenant.cookie, body)? else {
        return Err(Problem::invalid("refresh_token", "is required"));
    };
    let cx = tenant.cx;
    let pair = run(async move { refresh::refresh(&cx, &token).await }).await?;
    Ok(token_pair(&pair, transport))
}

/// `POST /v1/auth/logout`: ends the session of the bearer or of the refresh token, which may be spent.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth", request_body = Option<Refresh>,
    security(("bearer" = []), ("refresh_cookie" = []), ()),
    responses((status = 204, description = "Signed out.", headers(
        ("Set-Cookie" = String, description = "Takes the refresh cookie back."),
    ))),
)]
pub(crate) async fn log_out(visitor: Visitor, Valid(body): Valid<Refresh>) -> Result<Response, Problem> {
    let (cx, leaving) = leaving(visitor, body)?;
    run(async move { logout::logout(&cx, session(&cx, leaving).await?).await }).await?;
    Ok(signed_out())
}

/// `POST /v1/auth/logout-all`: ends every session of the member.
#[utoipa::path(post, path = "/v1/auth/logout-all", tag = "auth", request_body = Option<Refresh>,
    security(("bearer" = []), ("refresh_cookie" = []), ()),
    responses((status = 204, description = "Signed out.", headers(
        ("Set-Cookie" = String, description = "Takes the refresh cookie back."),
    ))),
)]
pub(crate) async fn log_out_all(visitor: Visitor, Valid(body): Valid<Refresh>) -> Result<Response, Problem> {
    let (cx, leaving) = leaving(visitor, body)?;
    if matches!(&leaving, Leaving::Bearer(claims) if claims.act.is_some()) {
        return Err(Problem::new(Kind::Forbidden).detail("An operator who acts as a member ends that session alone."));
    }
    run(async move { logout::logout_all(&cx, session(&cx, leaving).await?).await }).await?;
    Ok(signed_out())
}

/// What proves whose session is to end.
enum Leaving {
    Bearer(Arc<AccessClaims>),
    Token(RefreshToken),
}

/// The bearer token, or else the refresh token.
fn leaving(visitor: Visitor, body: Option<String>) -> Result<(Context, Leaving), Problem> {
    let Tenant { cx, cookie, .. } = visitor.tenant;
    match (visitor.claims, presented(cookie, body)?) {
        (Some(claims), _) => Ok((cx, Leaving::Bearer(claims))),
        (None, Some((token, _))) => Ok((cx, Leaving::Token(token))),
        (None, None) => Err(Problem::new(Kind::Unauthenticated)),
    }
}

async fn session(cx: &Context, leaving: Leaving) -> Result<Session, Refusal> {
    match leaving {
        Leaving::Bearer(claims) => {
            cx.admit_enrolling(&claims).await?;
            Ok(Session::from(&*claims))
        }
        Leaving::Token(token) => logout::session_of(cx, &token).await,
    }
}

/// `{current_password, new_password}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    #[schema(required, nullable = false, format = Password, pattern = r"^[^\u0000\r\n]*$", min_length = 1, max_length = 1024)]
    current_password: Option<String>,
    /// As long as the tenant's settings demand: 15 characters at least, or 8 where a second factor is always asked for.
    #[schema(required, nullable = false, format = Password, pattern = r"^[^\u0000\r\n]*$", min_length = 8, max_length = 1024)]
    new_password: Option<String>,
}

impl Validate for ChangePassword {
    type Checked = (Password, Password);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let current = new_password(faults, "current_password", self.current_password);
        let new = new_password(faults, "new_password", self.new_password);
        current.zip(new)
    }
}

/// `POST /v1/auth/password`: a new password and a new session; every earlier one is dead on its next request.
///
/// A new password that is too short, among the commonest or breached is 400 `validation`, with `advice` where there is some.
#[utoipa::path(post, path = "/v1/auth/password", tag = "auth", request_body = ChangePassword,
    security(("bearer" = [])),
    responses((status = 200, description = "A new session.", body = TokenPairBody, headers(
        ("Set-Cookie" = String, description = "The new refresh token, when a refresh cookie came with the request."),
    ))),
)]
pub(crate) async fn change_password(
    member: Member,
    Valid((current, new)): Valid<ChangePassword>,
) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let transport = if member.tenant.cookie.is_some() { Transport::Cookie } else { Transport::Body };
    let advised = advice::with(&new);
    let pair =
        run(async move { password::change_password(&cx, &claims, current, new).await }).await.map_err(advised)?;
    Ok(token_pair(&pair, transport))
}

/// A password of a body, whatever its length.
pub(crate) fn new_password(faults: &mut Faults, field: &'static str, text: Option<String>) -> Option<Password> {
    let text = faults.required(field, text)?;
    parsed(faults, field, Password::new(&text))
}

/// The value, or a fault in the words of its error.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    faults: &mut Faults,
    field: &'static str,
    read: Result<T, E>,
) -> Option<T> {
    read.map_err(|error| faults.add(field, error.to_string())).ok()
}

/// An access token and the refresh token that follows it.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPair)]
pub(crate) struct TokenPairBody<'a> {
    /// A JWT (RFC 9068), signed with the tenant's key.
    access_token: &'a str,
    token_type: TokenType,
    /// Seconds the access token is good for.
    expires_in: i64,
    /// For one refresh. Left out when it travels in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<&'a str>,
    /// Seconds until the session ends, however often it is refreshed.
    refresh_expires_in: u64,
    #[schema(value_type = Uuid)]
    session_id: FamilyId,
    /// With a member who must have a second factor and has none: from when on the session can do nothing but enrol one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    second_factor_due_at: Option<String>,
}

/// How the access token is sent.
#[derive(Serialize, ToSchema)]
enum TokenType {
    Bearer,
}

/// A session that was started: its tokens, and for a browser the cookie by which it is known from now on.
pub(crate) fn session_started(signed_in: &SignedIn, transport: Transport) -> Response {
    let mut response = token_pair(&signed_in.pair, transport);
    if transport == Transport::Cookie {
        response.headers_mut().append(SET_COOKIE, set_device_cookie(signed_in.device_cookie.expose()));
    }
    response
}

fn token_pair(pair: &TokenPair, transport: Transport) -> Response {
    let refresh = pair.refresh_token.expose().as_str();
    let mut response = no_store(Json(TokenPairBody {
        access_token: pair.access_token.expose(),
        token_type: TokenType::Bearer,
        expires_in: ACCESS_TOKEN_S,
        refresh_token: (transport == Transport::Body).then_some(refresh),
        refresh_expires_in: pair.refresh_expires_in_s,
        session_id: pair.session,
        second_factor_due_at: pair.second_factor_due.map(rfc3339::text),
    }));
    if transport == Transport::Cookie {
        let cookie = set_refresh_cookie(Some((refresh, pair.refresh_expires_in_s)));
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn signed_out() -> Response {
    let mut response = no_store(StatusCode::NO_CONTENT.into_response());
    response.headers_mut().insert(SET_COOKIE, set_refresh_cookie(None));
    response
}
