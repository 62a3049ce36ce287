//! A member's own second factor: `/v1/auth/totp` and `/v1/auth/backup-codes`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::totp as ops;
use freehold_domain::policy::Permission;
use freehold_domain::secret::Secret;
use freehold_domain::totp::Code;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};

/// Fewest pixels of a QR code in each direction.
const QR_PIXELS_MIN: u32 = 240;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let own = || May(Permission::OwnCredentialsChange);
    Routes::default()
        .delete("/v1/auth/totp", own(), disable)
        .post("/v1/auth/totp/enrol", own(), enrol)
        .post("/v1/auth/totp/confirm", own(), confirm)
        .post("/v1/auth/backup-codes", own(), renew_backup_codes)
}

/// `{}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Validate for Nothing {
    type Checked = ();
    const MAY_BE_EMPTY: bool = true;

    fn check(self, _: &mut Faults) -> Option<()> {
        Some(())
    }
}

/// What an authenticator must be given.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolment<'a> {
    /// The secret in base 32, to be typed in.
    secret: &'a str,
    /// The same with issuer and account.
    otpauth_uri: &'a str,
    /// `otpauth_uri` as a QR code: an SVG document.
    qr_svg: String,
}

/// `POST /v1/auth/totp/enrol`: an authenticator for the member, asked for at sign-in once it is confirmed.
///
/// Takes a session that was started within five minutes, else 403. Replaces one that was not confirmed; 409 when one is.
#[utoipa::path(post, path = "/v1/auth/totp/enrol", tag = "me", operation_id = "enrol_totp",
    request_body = Option<Nothing>, security(("bearer" = [])),
    responses((status = 200, description = "What to give the authenticator.", body = Enrolment),
        (status = 409, description = "problem")),
)]
pub(crate) async fn enrol(member: Member, _: Valid<Nothing>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let enrolment = run(async move { ops::enrol(&cx, &claims).await }).await?;
    let (secret, otpauth_uri) = (enrolment.secret.expose(), enrolment.uri.expose());
    Ok(no_store(Json(Enrolment { secret, otpauth_uri, qr_svg: qr_svg(otpauth_uri)? })))
}

/// `{code}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    #[schema(required, nullable = false, pattern = "^[0-9]{6}$")]
    code: Option<String>,
}

impl Validate for Confirm {
    type Checked = Code;

    fn check(self, faults: &mut Faults) -> Option<Code> {
        let code = faults.required("code", self.code)?;
        parsed(faults, "code", code.parse())
    }
}

/// Backup codes; they are shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackupCodes<'a> {
    /// Each signs in once in the place of a code of the authenticator.
    #[schema(min_items = 10, max_items = 10)]
    backup_codes: Vec<&'a str>,
}

/// `POST /v1/auth/totp/confirm`: the authenticator works, and is asked for from now on.
///
/// Every other session is dead on its next request. This one goes on with its refresh token: the access token is dead.
#[utoipa::path(post, path = "/v1/auth/totp/confirm", tag = "me", operation_id = "confirm_totp",
    request_body = Confirm, security(("bearer" = [])),
    responses((status = 200, description = "The backup codes.", body = BackupCodes),
        (status = 409, description = "problem")),
)]
pub(crate) async fn confirm(member: Member, Valid(code): Valid<Confirm>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let codes = run(async move { ops::confirm(&cx, &claims, &code).await }).await?;
    Ok(backup_codes(&codes))
}

/// `DELETE /v1/auth/totp`: no second factor any more, and no backup codes.
///
/// Takes a session that was started within five minutes, else 403. Ends the other sessions as confirming does.
#[utoipa::path(delete, path = "/v1/auth/totp", tag = "me", operation_id = "disable_totp", security(("bearer" = [])),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn disable(member: Member) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { ops::disable(&cx, &claims).await }).await?;
    Ok(no_store(StatusCode::NO_CONTENT.into_response()))
}

/// `POST /v1/auth/backup-codes`: new backup codes; those before are void.
///
/// Takes a session that was started within five minutes, else 403, and a confirmed authenticator, else 409.
#[utoipa::path(post, path = "/v1/auth/backup-codes", tag = "me", operation_id = "renew_backup_codes",
    request_body = Option<Nothing>, security(("bearer" = [])),
    responses((status = 200, description = "The backup codes.", body = BackupCodes),
        (status = 409, description = "problem")),
)]
pub(crate) async fn renew_backup_codes(member: Member, _: Valid<Nothing>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let codes = run(async move { ops::renew_backup_codes(&cx, &claims).await }).await?;
    Ok(backup_codes(&codes))
}

fn backup_codes(codes: &[Secret<String>]) -> Response {
    no_store(Json(BackupCodes { backup_codes: codes.iter().map(|code| code.expose().as_str()).collect() }))
}

fn qr_svg(text: &str) -> Result<String, Problem> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|error| {
        tracing::error!(%error, "an enrolment does not fit a QR code");
        Problem::new(Kind::Internal)
    })?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN).build())
}
