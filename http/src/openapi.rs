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
    AuditParams, Jwks, ListParams, ProviderName, WebhookEventParams, action, actor_kind, connection_state, inbox_state,
    integration, key_kind, lines, one_line, opened_by, paid_plan, provider, quota, registration, require_second_factor,
    rich_text, role, roles, scopes, subscription_status, tenant_state,
};
use crate::access::Routes;
use crate::caller::{OAUTH_COOKIE, REFRESH_COOKIE};
use crate::{
    account, api_host, api_keys, audit, auth, billing, breakers, config, csp_reports, disclosure, domains, forward,
    help, integrations, invitations, me, members, oauth, operators, pages, payouts, plan, problem, public, rate_limits,
    registration, second_factor, security, security_reports, settings, signing_keys, totp, webhooks,
};

/// The document of a tenant's host, as it is served.
static TENANT: LazyLock<String> = LazyLock::new(|| text(&document()));
/// The document of the API host, as it is served.
static API: LazyLock<String> = LazyLock::new(|| text(&api_document()));
/// The document of the operators' host, as it is served.
static PLATFORM: LazyLock<String> = LazyLock::new(|| text(&platform_document()));

/// `GET /openapi.json`: this document.
#[utoipa::path(get, path = "/openapi.json", tag = "public", operation_id = "openapi", responses(
    (status = 200, description = "This document.", content_type = "application/json", body = Object),
))]
pub async fn tenant() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TENANT.as_str())
}

/// `GET /openapi.json` at the API host: this document.
#[utoipa::path(get, path = "/openapi.json", tag = "public", operation_id = "openapi", responses(
    (status = 200, description = "This document.", content_type = "application/json", body = Object),
))]
pub async fn api() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], API.as_str())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Freehold: the API host", description = "Every answer below is given at `api.{platform}`."),
    servers((url = "/")),
    tags((name = "sdk", description = "For the embedded SDK, and for servers."), (name = "public", description = "For everybody.")),
    paths(config::config, security::page, security::told, disclosure::security_txt, public::ready, problem::page::page, api),
    components(schemas(schemas::Problem)),
)]
struct Api;

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
        (name = "integrations", description = "Services outside that are called for the tenant."),
        (name = "api keys", description = "The keys of the API host."),
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
        account::change_email,
        account::verify,
        account::reset_page,
        account::verify_page,
        second_factor::finish,
        totp::enrol,
        totp::confirm,
        totp::disable,
        totp::renew_backup_codes,
        forward::forward,
        oauth::start,
        oauth::come,
        oauth::link,
        oauth::list,
        oauth::unlink,
        me::me,
        me::sessions,
        me::end,
        registration::register,
        registration::invitation_page,
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
        api_keys::list,
        api_keys::create,
        api_keys::rotate,
        api_keys::revoke,
        integrations::integrations,
        integrations::set_key,
        integrations::connect,
        integrations::check,
        integrations::remove,
        integrations::finish,
        webhooks::receive,
        webhooks::sources,
        webhooks::set_source,
        webhooks::remove_source,
        webhooks::events,
        webhooks::event,
        webhooks::replay,
        webhooks::refusals,
        webhooks::endpoints,
        webhooks::endpoint,
        webhooks::create_endpoint,
        webhooks::change_endpoint,
        webhooks::rotate_endpoint,
        webhooks::enable_endpoint,
        webhooks::disable_endpoint,
        webhooks::test_endpoint,
        webhooks::remove_endpoint,
        webhooks::replay_since,
        webhooks::messages,
        webhooks::message,
        webhooks::replay_message,
        breakers::breakers,
        breakers::open_breaker,
        breakers::reset_breaker,
        billing::subscriptions,
        billing::accounts,
        csp_reports::take,
        csp_reports::list,
        csp_reports::clear,
        rate_limits::read,
        rate_limits::lift,
        signing_keys::list,
        signing_keys::rotate,
        public::jwks,
        public::ready,
        problem::page::page,
        pages::tenant,
        help::roles,
        security::tenant_page,
        security::tenant_told,
        security::status,
        security_reports::form,
        security_reports::receive,
        disclosure::security_txt,
        oauth::handoff,
        tenant,
    ),
    components(schemas(schemas::Problem)),
)]
struct Tenant;

/// `GET /openapi.json` of the operators' host: a tenant's document, and what is there alone.
pub async fn platform() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], PLATFORM.as_str())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Freehold: the operators' host", description = "Every answer below is given at `admin.{platform}`."),
    servers((url = "/")),
    tags(
        (name = "tenants", description = "What operators see and do."),
        (name = "security reports", description = "What anybody told of weaknesses."),
    ),
    paths(
        operators::list,
        operators::create,
        operators::suspend,
        operators::freeze,
        operators::drain,
        operators::hold,
        operators::resume,
        operators::set_weight,
        operators::set_limit,
        operators::set_shadow,
        operators::end_shadow,
        operators::impersonate,
        operators::tree,
        rate_limits::read_tenant,
        rate_limits::lift_of_tenant,
        rate_limits::read_addresses,
        rate_limits::lift_address,
        security_reports::list,
        security_reports::read,
        security_reports::answer,
    ),
)]
struct Operators;

/// The document of a tenant's host.
fn document() -> utoipa::openapi::OpenApi {
    let mut document = Tenant::openapi();
    document.merge(Domains::openapi());
    completed(document, &public::tenant_host(public::shared()))
}

/// A tenant's own domains, its plan, and where it is paid out: what the operators' host has not.
#[derive(OpenApi)]
#[openapi(paths(
    domains::list,
    domains::claim,
    domains::read,
    domains::change,
    domains::remove,
    domains::verify,
    plan::plan,
    plan::checkout,
    plan::portal,
    plan::came_back,
    payouts::payouts,
    payouts::payout_account,
    payouts::payout_onboarding,
    payouts::payout_dashboard,
    payouts::close_payout_account,
))]
struct Domains;

/// The document of the operators' host.
fn platform_document() -> utoipa::openapi::OpenApi {
    let mut document = Operators::openapi();
    document.merge(Tenant::openapi());
    completed(document, &public::operators_host(public::shared()))
}

/// With what holds for every operation, and what each asks for.
fn completed(mut document: utoipa::openapi::OpenApi, routes: &Routes) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(REFRESH_COOKIE)));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("refresh_cookie", cookie);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(OAUTH_COOKIE)));
    components.add_security_scheme("oauth_cookie", cookie);
    common::add(&mut document);
    common::add_access(&mut document, routes.declared());
    document
}

fn api_document() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(api_host::X_ND_KEY.as_str())));
    document.components.get_or_insert_default().add_security_scheme("api_key", key);
    common::add(&mut document);
    common::add_access(&mut document, public::api(public::shared()).declared());
    document
}

fn text(document: &utoipa::openapi::OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default() + "\n" // texts alone: cannot fail
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use utoipa::openapi::path::PathItem;

    use super::*;

    #[test]
    fn every_route_is_described_with_what_it_asks_for_and_nothing_else_is() {
        agree(&public::tenant_host(public::shared()), document(), 15);
        agree(&public::operators_host(public::shared()), platform_document(), 24);
        agree(&public::api(public::shared()), api_document(), 3);
    }

    /// Asserts that the document describes these routes, of which there are more than so many.
    #[track_caller]
    fn agree(declared: &Routes, document: utoipa::openapi::OpenApi, more_than: usize) {
        let declared = declared.declared().iter();
        let declared: BTreeMap<_, _> = declared
            .map(|route| ((route.path.to_owned(), route.method.to_string()), Some(route.access.as_str().to_owned())))
            .collect();
        let mut described = BTreeMap::new();
        for (path, item) in document.paths.paths {
            let PathItem { get, post, put, patch, delete, .. } = item;
            for (method, operation) in
                [("GET", get), ("POST", post), ("PUT", put), ("PATCH", patch), ("DELETE", delete)]
            {
                let Some(operation) = operation else { continue };
                let told = operation.extensions.and_then(|extensions| extensions.get("x-permission").cloned());
                let told = told.as_ref().and_then(|told| told.as_str()).map(str::to_owned);
                described.insert((path.clone(), method.to_owned()), told);
            }
        }
        assert_eq!(declared, described);
        assert!(declared.len() > more_than, "{} routes", declared.len());
    }
}
