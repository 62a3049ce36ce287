//! `GET /openapi.json`: the reference, generated from the code. The committed `openapi.json` is this document.
//!
//! Handlers describe what is their own; what holds for every operation (problems, rate headers, the request id) is
//! added here once.

mod common;
mod schemas;

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

pub(crate) use self::schemas::{
    AuditParams, Jwks, ListParams, action, actor_kind, registration, require_second_factor, role, roles,
};
use crate::caller::REFRESH_COOKIE;
use crate::{
    account, audit, auth, invitations, me, members, pages, problem, public, registration, second_factor, settings, totp,
};

/// The document of a tenant's host, as it is served.
static TENANT: LazyLock<String> = LazyLock::new(|| document().to_pretty_json().unwrap_or_default() + "\n"); // texts alone: cannot fail

/// `GET /openapi.json`: this document.
#[utoipa::path(get, path = "/openapi.json", tag = "public", operation_id = "openapi", responses(
    (status = 200, description = "This document.", content_type = "application/json", body = Object),
))]
pub async fn tenant() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TENANT.as_str())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Freehold: a tenant's host", description = "Every answer below is given at `{tenant}.{platform}`."),
    servers((url = "/")),
    tags(
        (name = "auth", description = "Signing in and out."),
        (name = "me", description = "Who is signed in, and where."),
        (name = "members", description = "Who belongs to the tenant."),
        (name = "settings", description = "What the tenant has decided for itself."),
        (name = "audit", description = "What happened at the tenant."),
        (name = "public", description = "For everybody."),
    ),
    paths(
        auth::login,
        auth::refresh_pair,
        auth::log_out,
        auth::log_out_all,
        auth::change_password,
        account::forgot,
        account::reset,
        account::verify,
        account::reset_page,
        account::verify_page,
        second_factor::finish,
        totp::enrol,
        totp::confirm,
        totp::disable,
        totp::renew_backup_codes,
        me::me,
        me::sessions,
        me::end,
        registration::register,
        members::list,
        members::read,
        members::change,
        members::remove,
        members::deactivate,
        members::reactivate,
        members::reset_second_factor,
        invitations::list,
        invitations::invite,
        invitations::resend,
        invitations::revoke,
        settings::settings,
        settings::change,
        audit::audit,
        public::jwks,
        public::ready,
        problem::page::page,
        pages::tenant,
        tenant,
    ),
    components(schemas(schemas::Problem)),
)]
struct Tenant;

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Tenant::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(REFRESH_COOKIE)));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("refresh_cookie", cookie);
    common::add(&mut document);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let sources = [
            include_str!("account.rs"),
            include_str!("auth.rs"),
            include_str!("second_factor.rs"),
            include_str!("totp.rs"),
            include_str!("me.rs"),
            include_str!("members.rs"),
            include_str!("invitations.rs"),
            include_str!("registration.rs"),
            include_str!("settings.rs"),
            include_str!("audit.rs"),
            include_str!("public.rs").split_once("fn tenant(").map_or("", |(_, rest)| rest),
        ];
        let document = document();
        let routes = sources.iter().flat_map(|source| source.split(".route(\"").skip(1));
        let mut seen = 0;
        for route in routes.filter_map(|rest| rest.split('"').next()) {
            assert!(document.paths.paths.contains_key(route), "{route}");
            seen += 1;
        }
        assert!(seen > 10, "{seen} routes were found");
    }
}
