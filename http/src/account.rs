//! Accounts by mail: `/v1/auth/password/forgot`, `/v1/auth/password/reset`, `/v1/auth/email/change` and
//! `/v1/auth/email/verify`, and the pages that the letters lead to.
//!
//! A token comes in the fragment of a page's address, which no server is told, and is posted when somebody presses the
//! button: getting the page spends nothing.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use freehold_actors::ops::{email_change, recovery, registration};
use freehold_domain::email::Email;
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::policy::Permission;
use freehold_domain::text::escape_html;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, May, Public, Routes};
use crate::advice;
use crate::auth::{new_password, parsed};
use crate::body::{Valid, Validate};
use crate::caller::{Member, Tenant, run};
use crate::faults::Faults;
use crate::headers::{Nonce, no_store};
use crate::pages::page_with_script;
use crate::problem::Problem;

/// Most characters of what may be a token.
const TOKEN_CHARS_MAX: usize = 128;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .post("/v1/auth/password/forgot", Public, forgot)
        .post("/v1/auth/password/reset", Credential, reset)
        .post("/v1/auth/email/change", May(Permission::OwnCredentialsChange), change_email)
        .post("/v1/auth/email/verify", Credential, verify)
        .get("/auth/reset", Public, reset_page)
        .get("/auth/verify", Public, verify_page)
}

/// `{}`: what is answered whatever there is to tell.
#[derive(Serialize, ToSchema)]
pub(crate) struct Taken {}

/// 202 with nothing to be learned from it.
pub(crate) fn taken() -> Response {
    no_store((StatusCode::ACCEPTED, Json(Taken {})))
}

/// `{email}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgot {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    email: Option<String>,
}

impl Validate for Forgot {
    type Checked = Email;

    fn check(self, faults: &mut Faults) -> Option<Email> {
        let text = faults.required("email", self.email)?;
        parsed(faults, "email", text.parse())
    }
}

/// `POST /v1/auth/password/forgot`: a letter with a link to choose a new password.
///
/// The answer is the same whether or not the address has an account; an address without one gets a letter that says so.
#[utoipa::path(post, path = "/v1/auth/password/forgot", tag = "auth", operation_id = "forgot_password",
    request_body = Forgot, responses((status = 202, description = "A letter is on its way.", body = Taken)),
)]
pub(crate) async fn forgot(tenant: Tenant, Valid(email): Valid<Forgot>) -> Result<Response, Problem> {
    let cx = tenant.cx;
    run(async move { recovery::forgot(&cx, &email).await }).await?;
    Ok(taken())
}

/// `{token, new_password}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// From the link in the letter.
    #[schema(
        required,
        nullable = false,
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"
    )]
    token: Option<String>,
    /// As long as the tenant's settings demand.
    #[schema(required, nullable = false, format = Password, pattern = r"^[^\u0000\r\n]*$", min_length = 8, max_length = 1024)]
    new_password: Option<String>,
}

impl Validate for Reset {
    type Checked = (Presented, Password);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let token = token(faults, Purpose::PasswordReset, self.token);
        let new = new_password(faults, "new_password", self.new_password);
        token.zip(new)
    }
}

/// `POST /v1/auth/password/reset`: a token of a letter for a new password; it works once, for an hour.
///
/// Starts no session; every session of the member is dead on its next request. A token that is not good is 401
/// `invalid-credentials`, whatever is wrong with it.
#[utoipa::path(post, path = "/v1/auth/password/reset", tag = "auth", operation_id = "reset_password",
    request_body = Reset, responses(
        (status = 204, description = "The password is changed."),
        (status = 401, description = "problem"),
    ),
)]
pub(crate) async fn reset(tenant: Tenant, Valid((token, new)): Valid<Reset>) -> Result<Response, Problem> {
    let cx = tenant.cx;
    let advised = advice::with(&new);
    run(async move { recovery::reset(&cx, token.0.as_ref(), new).await }).await.map_err(advised)?;
    Ok(no_store(StatusCode::NO_CONTENT))
}

/// `{new_email}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEmail {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    new_email: Option<String>,
}

impl Validate for ChangeEmail {
    type Checked = Email;

    fn check(self, faults: &mut Faults) -> Option<Email> {
        let text = faults.required("new_email", self.new_email)?;
        parsed(faults, "new_email", text.parse())
    }
}

/// `POST /v1/auth/email/change`: a letter with a link to the address that the account is to have.
///
/// Needs a session that was started within five minutes. Nothing is changed before the token of the link is posted to
/// `/v1/auth/email/verify`; then every session of the member is dead on its next request, and the old address is written to.
/// The answer is the same whether or not the new address has an account.
#[utoipa::path(post, path = "/v1/auth/email/change", tag = "auth", operation_id = "change_email",
    request_body = ChangeEmail, security(("bearer" = [])),
    responses((status = 202, description = "A letter is on its way.", body = Taken)),
)]
pub(crate) async fn change_email(member: Member, Valid(new): Valid<ChangeEmail>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { email_change::ask(&cx, &claims, new).await }).await?;
    Ok(taken())
}

/// `{token}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// From the link in the letter.
    #[schema(
        required,
        nullable = false,
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"
    )]
    token: Option<String>,
}

/// What an address is confirmed for, as the token says.
#[derive(Debug)]
pub enum Confirmed {
    /// An account that was registered, if it is a token at all.
    Registration(Presented),
    /// The account of a member, which is to have it.
    Change(OneTimeToken),
}

impl Validate for Verify {
    type Checked = Confirmed;

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let text = one_line_token(faults, self.token)?;
        let change = OneTimeToken::parse(Purpose::EmailChange, &text).map(Confirmed::Change);
        let registration = || Confirmed::Registration(Presented(OneTimeToken::parse(Purpose::Registration, &text)));
        Some(change.unwrap_or_else(registration))
    }
}

/// `POST /v1/auth/email/verify`: a token of a letter; the account that was registered with its address is open, or the
/// member's account has it from now on.
///
/// Starts no session. A token that is not good is 401 `invalid-credentials`, whatever is wrong with it.
#[utoipa::path(post, path = "/v1/auth/email/verify", tag = "auth", operation_id = "verify_email", request_body = Verify,
    responses(
        (status = 204, description = "The address is confirmed."),
        (status = 401, description = "problem"),
        (status = 403, description = "problem"),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn verify(tenant: Tenant, Valid(confirmed): Valid<Verify>) -> Result<Response, Problem> {
    let cx = tenant.cx;
    run(async move {
        match confirmed {
            Confirmed::Registration(Presented(token)) => registration::verify(&cx, token.as_ref()).await,
            Confirmed::Change(token) => email_change::confirm(&cx, &token).await,
        }
    })
    .await?;
    Ok(no_store(StatusCode::NO_CONTENT))
}

/// A token as it was presented: whether the text is one is not for the shape of a body to say.
#[derive(Debug)]
pub struct Presented(pub Option<OneTimeToken>);

/// The token of a body: one line.
fn token(faults: &mut Faults, purpose: Purpose, text: Option<String>) -> Option<Presented> {
    let text = one_line_token(faults, text)?;
    Some(Presented(OneTimeToken::parse(purpose, &text)))
}

fn one_line_token(faults: &mut Faults, text: Option<String>) -> Option<String> {
    let text = faults.required("token", text)?;
    faults.one_line("token", text, 1..=TOKEN_CHARS_MAX)
}

/// Takes the token out of the address, so that it is in no history, and posts it with what the form has. Another link of the
/// same kind that is opened in the same tab changes the fragment alone, so the page is loaded anew.
const SCRIPT: &str = "const token=new URLSearchParams(location.hash.slice(1)).get('token');\
    history.replaceState(null,'',location.pathname);\
    const form=document.querySelector('form'),said=document.querySelector('output');\
    addEventListener('hashchange',()=>location.reload());\
    if(!token){said.textContent='This page works by the link in your letter.';\
    form.querySelector('button').disabled=true}\
    form.addEventListener('submit',async event=>{event.preventDefault();\
    const button=form.querySelector('button');button.disabled=true;\
    const body={[form.dataset.token]:token,...Object.fromEntries(new FormData(form))};\
    try{const answer=await fetch(form.dataset.post,{method:'POST',headers:{'content-type':'application/json'},\
    body:JSON.stringify(body)});\
    if(answer.ok){said.textContent=form.dataset.done;form.querySelector('fieldset').hidden=true;return}\
    const problem=await answer.json();\
    said.textContent=problem.errors?problem.errors.map(e=>e.message).join(', '):\
    answer.status===401?'The link was used before, or its time is over. Ask for another.':problem.detail||problem.title}\
    catch{said.textContent='There is no answer. Try again.'}button.disabled=false});";

/// `GET /auth/reset`: where the letter of a forgotten password leads.
///
/// # Errors
/// What the tenant's activation refuses.
#[utoipa::path(get, path = "/auth/reset", tag = "public", operation_id = "reset_page", responses(
    (status = 200, description = "A page for people: choose a new password.", content_type = "text/html", body = String),
))]
pub async fn reset_page(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    let fields = "<p><label>New password <input type=\"password\" name=\"new_password\" autocomplete=\"new-password\" \
                  required></label></p><p><button>Change the password</button></p>";
    let post =
        Post { path: "/v1/auth/password/reset", token: "token", done: "The password is changed. Sign in with it." };
    Ok(form(nonce, &tenant, "A new password", post, fields))
}

/// `GET /auth/verify`: where the letters lead that ask whether an address is one's own.
///
/// # Errors
/// What the tenant's activation refuses.
#[utoipa::path(get, path = "/auth/verify", tag = "public", operation_id = "verify_page", responses(
    (status = 200, description = "A page for people: confirm an address.", content_type = "text/html", body = String),
))]
pub async fn verify_page(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    let fields = "<p>Only confirm what you asked for yourself.</p><p><button>Confirm the address</button></p>";
    let done = "The address is confirmed. Sign in with it.";
    let post = Post { path: "/v1/auth/email/verify", token: "token", done };
    Ok(form(nonce, &tenant, "Confirm your address", post, fields))
}

/// Where a form is posted to.
#[derive(Clone, Copy)]
pub(crate) struct Post {
    /// The route.
    pub(crate) path: &'static str,
    /// The field of its body that takes the token.
    pub(crate) token: &'static str,
    /// What is said when it is done.
    pub(crate) done: &'static str,
}

/// A page with a form that posts the token of its address.
pub(crate) fn form(nonce: Nonce, tenant: &Tenant, title: &str, post: Post, fields: &str) -> Response {
    let Post { path, token, done } = post;
    let name = escape_html(&tenant.cx.slot.name);
    let body = format!(
        "<h1>{title}</h1><p>{name}</p><form data-post=\"{path}\" data-token=\"{token}\" data-done=\"{done}\"><fieldset>{fields}</fieldset></form>\
         <p><output></output></p><noscript>This page needs JavaScript.</noscript>"
    );
    no_store(page_with_script(nonce, title, &body, SCRIPT))
}
