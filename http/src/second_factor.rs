//! The second step of a sign-in: `/v1/auth/second-factor`.

use axum::response::Response;
use freehold_actors::ops::second_factor::{Factor, finish_sign_in};
use freehold_domain::challenge::Challenge;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::{Credential, Routes};
use crate::auth::{Transport, parsed, session_started};
use crate::body::{Valid, Validate, given, word};
use crate::caller::{Tenant, run};
use crate::faults::Faults;
use crate::problem::{Kind, Problem};

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().post("/v1/auth/second-factor", Credential, finish)
}

/// `{challenge, totp, transport?}` or `{challenge, backup_code, transport?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    /// From the answer to the sign-in.
    #[schema(required, nullable = false, min_length = 1, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    challenge: Option<String>,
    /// The code that the authenticator shows; or else a backup code.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = "^[0-9]{6}$")]
    totp: Option<String>,
    /// A backup code; or else a code of the authenticator.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    backup_code: Option<String>,
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false)]
    transport: Option<Transport>,
}

impl Validate for SecondFactor {
    type Checked = (Option<Challenge>, Factor, Transport);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let challenge = faults.required("challenge", self.challenge);
        // Whether it is a challenge is not for the shape to say, but one line it must be.
        let challenge = challenge.and_then(|text| faults.one_line("challenge", text, 1..=usize::MAX));
        let factor = match (self.totp, self.backup_code) {
            (Some(text), None) => parsed(faults, "totp", text.parse()).map(Factor::Totp),
            (None, Some(text)) => parsed(faults, "backup_code", text.parse()).map(Factor::BackupCode),
            (Some(_), Some(_)) => faults.some("backup_code", None, "must not be given beside `totp`"),
            (None, None) => faults.some("totp", None, "is required, or else `backup_code`"),
        };
        Some((challenge?.parse().ok(), factor?, self.transport.unwrap_or_default()))
    }
}

/// `POST /v1/auth/second-factor`: a challenge and a code for a new session.
///
/// A code works once. Five wrong ones void the challenge, and in a row lock the member's second factor: 429
/// `account-locked`.
#[utoipa::path(post, path = "/v1/auth/second-factor", tag = "auth", operation_id = "second_factor",
    request_body = SecondFactor, responses(
        (status = 200, description = "A new session.", body = crate::auth::TokenPairBody, headers(
            ("Set-Cookie" = String, description = "The refresh token, with `transport: \"cookie\"`."),
        )),
        (status = 401, description = "problem"),
    ),
)]
pub(crate) async fn finish(
    tenant: Tenant,
    Valid((challenge, factor, transport)): Valid<SecondFactor>,
) -> Result<Response, Problem> {
    if transport == Transport::Cookie {
        tenant.from_own_page()?;
    }
    let challenge = challenge.ok_or_else(|| Problem::new(Kind::InvalidCredentials))?;
    let cx = tenant.cx;
    let signed_in = run(async move { finish_sign_in(&cx, &challenge, &factor).await }).await?;
    Ok(session_started(&signed_in, transport))
}
