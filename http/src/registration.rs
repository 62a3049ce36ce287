//! Becoming a member: `/v1/auth/register`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::invitations::{self, Acceptance};
use freehold_actors::ops::refusal::Refusal;
use freehold_actors::ops::registration as ops;
use freehold_actors::ops::tenants::Name;
use freehold_domain::email::Email;
use freehold_domain::id::MemberId;
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::password::Password;
use freehold_domain::role::Role;
use freehold_domain::text::free;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Credential, Public, Routes};
use crate::account::{Post, Presented, Taken, form, taken};
use crate::admission::{BREACHED, COMMON};
use crate::advice;
use crate::auth::{new_password, parsed};
use crate::body::{Valid, Validate, given};
use crate::caller::{Tenant, run};
use crate::faults::Faults;
use crate::headers::{Nonce, no_store};
use crate::openapi;
use crate::problem::Problem;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().post("/v1/auth/register", Credential, register).get("/auth/invitation", Public, invitation_page)
}

/// `{email, password, name, invitation?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    #[schema(required, nullable = false, format = Email, min_length = 3, max_length = 254)]
    email: Option<String>,
    /// As long as the tenant's settings demand: 15 characters at least.
    #[schema(required, nullable = false, format = Password, pattern = r"^[^\u0000\r\n]*$", min_length = 15, max_length = 1024)]
    password: Option<String>,
    #[schema(required, schema_with = openapi::one_line::<200>)]
    name: Option<String>,
    /// The token of an invitation, from its letter.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    invitation: Option<String>,
}

/// Who wants to be a member.
pub struct Applicant {
    email: Email,
    password: Password,
    name: Name,
    /// The token of an invitation.
    invitation: Option<Presented>,
}

impl Validate for Register {
    type Checked = Applicant;

    fn check(self, faults: &mut Faults) -> Option<Applicant> {
        let email = faults.required("email", self.email).and_then(|text| parsed(faults, "email", text.parse()));
        let password = new_password(faults, "password", self.password);
        let name = faults.required("name", self.name).and_then(|text| parsed(faults, "name", free(text)));
        // Whether it is a token is not for the shape to say, but one line it must be.
        let invitation = self.invitation.map(|text| faults.one_line("invitation", text, 0..=usize::MAX));
        let parse = |text: String| OneTimeToken::parse(Purpose::Invitation, &text);
        let invitation = invitation.map(|text| Presented(text.and_then(parse)));
        Some(Applicant { email: email?, password: password?, name: name?, invitation })
    }
}

/// A member that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    member: RegisteredMember,
}

#[derive(Serialize, ToSchema)]
struct RegisteredMember {
    #[schema(value_type = Uuid)]
    id: MemberId,
    #[schema(schema_with = openapi::role)]
    role: Role,
}

/// `POST /v1/auth/register`: accepts an invitation, or asks for an account where the tenant is open to that.
///
/// It starts no session: sign in next. Without an invitation the answer is the same whether or not the address has an account:
/// a letter to it says how to go on.
#[utoipa::path(post, path = "/v1/auth/register", tag = "auth", operation_id = "register", request_body = Register,
    responses(
        (status = 201, description = "The invitation was accepted.", body = Registered),
        (status = 202, description = "A letter is on its way.", body = Taken),
        (status = 403, description = "problem"),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn register(tenant: Tenant, Valid(applicant): Valid<Register>) -> Result<Response, Problem> {
    let Applicant { email, password, name, invitation } = applicant;
    let cx = tenant.cx;
    let advised = advice::with(&password);
    let Some(Presented(token)) = invitation else {
        let asked = run(async move { Ok(ops::register(&cx, email, password, name).await) }).await?;
        return asked.map(|()| taken()).map_err(of_password).map_err(advised);
    };
    let token = token.ok_or(Refusal::NotInvited)?;
    let acceptance = Acceptance { token, email, name, password };
    let accepted = run(async move { Ok(invitations::accept(&cx, acceptance).await) }).await?;
    let (id, role) = accepted.map_err(of_password).map_err(advised)?;
    let body = Json(Registered { member: RegisteredMember { id, role } });
    Ok(no_store((StatusCode::CREATED, body).into_response()))
}

/// A refusal, in which the password is the field that this body calls so.
fn of_password(refusal: Refusal) -> Problem {
    if let Refusal::TooShort(short) = &refusal {
        return Problem::invalid("password", short.to_string());
    }
    let known = [(Refusal::Breached, BREACHED), (Refusal::Common, COMMON)];
    let message = known.into_iter().find_map(|(known, message)| (known == refusal).then_some(message));
    message.map_or_else(|| refusal.into(), |message| Problem::invalid("password", message))
}

/// `GET /auth/invitation`: where the letter of an invitation leads.
///
/// # Errors
/// What the tenant's activation refuses.
#[utoipa::path(get, path = "/auth/invitation", tag = "public", operation_id = "invitation_page", responses(
    (status = 200, description = "A page for people: accept an invitation.", content_type = "text/html", body = String),
))]
pub async fn invitation_page(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    let fields = "<p><label>E-mail address <input type=\"email\" name=\"email\" autocomplete=\"email\" required></label></p>\
                  <p><label>Name <input name=\"name\" autocomplete=\"name\" required></label></p>\
                  <p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"new-password\" required></label></p>\
                  <p><button>Accept the invitation</button></p>";
    let done = "Welcome. Sign in with your address and password.";
    let post = Post { path: "/v1/auth/register", token: "invitation", done };
    Ok(form(nonce, &tenant, "You are invited", post, fields))
}
