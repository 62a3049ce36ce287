//! `GET /security` and `/security.json`: what this server promises and how it keeps it, from what it was started with and
//! what the tenant has set; no number here is written down twice.
//!
//! The two have an address each, so that what may be kept by caches does not depend on `Accept`. The JSON may be kept for a
//! minute; the page has a nonce and may not.

mod entry;
mod page;
mod promises;
mod status;

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_actors::node::Node;
use freehold_domain::disclosure::Disclosure;
use freehold_domain::policy::Permission;
use freehold_domain::settings::TenantSettings;
use freehold_domain::tier::{Limits, Tier};
use serde::Serialize;
use utoipa::ToSchema;

use self::entry::Entry;
pub(crate) use self::status::{__path_status, status};
use crate::access::{May, Public, Routes};
use crate::caller::Tenant;
use crate::headers::{Nonce, no_store};
use crate::pages;
use crate::problem::Problem;
use crate::public::Cleartext;
use crate::security_reports::FORM;
use crate::serve::Tls;
use freehold_domain::rfc3339;

const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// How the process is run, as far as its node does not know.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Whether it was started for real users.
    pub is_production: bool,
    /// Who speaks TLS.
    pub tls: TlsBy,
    /// What becomes of requests that came without.
    pub cleartext: Cleartext,
    /// Where to tell of a weakness, if anywhere.
    pub disclosure: Option<Disclosure>,
    /// The rules that requests of tenants are compared with, if there are any.
    #[cfg(feature = "waf")]
    pub waf: Option<Arc<crate::waf::Waf>>,
}

/// Who speaks TLS with clients.
#[derive(Clone, Debug)]
pub enum TlsBy {
    /// The server.
    Server(Arc<Tls>),
    /// A proxy in front of it that it trusts.
    Proxy,
    /// Nobody that it knows of.
    Nobody,
}

/// The routes of hosts that are no tenant's; they take a [`Node`] and a [`Deployment`].
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/security", Public, page).get("/security.json", Public, told)
}

/// The routes of a tenant's host; they take a [`Deployment`].
#[must_use]
pub fn tenant_routes() -> Routes {
    Routes::default().get("/security", Public, tenant_page).get("/security.json", Public, tenant_told).get(
        "/v1/security-status",
        May(Permission::SecurityRead),
        status,
    )
}

/// What the server promises, and what of it is kept here and now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Security<'a> {
    /// The server, and its version.
    server: &'static str,
    #[schema(format = DateTime)]
    answered_at: String,
    /// The tenant that this is about; `null` where it is about what holds for a tenant that has set nothing itself.
    #[schema(required)]
    tenant: Option<&'a str>,
    promises: Vec<Entry>,
}

/// What the promises are about.
#[derive(Clone, Copy)]
struct View<'a> {
    node: &'a Node,
    deployment: &'a Deployment,
    /// The tenant's, or everybody's.
    limits: &'a Limits,
    /// The tenant's, or the defaults.
    settings: &'a TenantSettings,
    tenant: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of_tenant(tenant: &'a Tenant, deployment: &'a Deployment) -> Self {
        let cx = &tenant.cx;
        let (limits, settings) = (&*cx.live.limits, &cx.live.settings);
        Self { node: &cx.node, deployment, limits, settings, tenant: Some(cx.slot.slug.as_str()) }
    }

    fn of_everybody(node: &'a Node, deployment: &'a Deployment, settings: &'a TenantSettings) -> Self {
        Self { node, deployment, limits: &node.settings.limits, settings, tenant: None }
    }

    /// What is said of it.
    fn told(self) -> Security<'a> {
        Security {
            server: concat!("freehold ", env!("CARGO_PKG_VERSION")),
            answered_at: rfc3339::text(self.node.ambient.now()),
            tenant: self.tenant,
            promises: promises::all(self),
        }
    }

    /// The limit of the tier: that of addresses is the node's, whatever the tenant.
    fn limit(self, tier: Tier) -> freehold_domain::tier::Limit {
        if tier == Tier::Address { self.node.settings.limits.get(tier) } else { self.limits.get(tier) }
    }
}

/// `GET /security`: a page for people: what this server promises, and what of it is kept here and now.
#[utoipa::path(get, path = "/security", tag = "public", operation_id = "security_page", responses(
    (status = 200, description = "Every promise: how it is kept, with which numbers, or why it is not.", content_type = "text/html", body = String),
))]
pub(crate) async fn page(
    nonce: Nonce,
    Extension(node): Extension<Arc<Node>>,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Response {
    // The API's host has no form, so it is the one of the platform's own, with the scheme of this page.
    let form = format!("{}{FORM}", node.settings.origin(&node.settings.platform_domain));
    let form = form.split_once(':').map_or(form.as_str(), |(_, rest)| rest);
    html(nonce, &View::of_everybody(&node, &deployment, &TenantSettings::default()).told(), form)
}

/// `GET /security.json`: what this server promises, and what of it is kept here and now.
#[utoipa::path(get, path = "/security.json", tag = "public", operation_id = "security", responses(
    (status = 200, description = "Every promise: how it is kept, with which numbers, or why it is not.", body = Security),
))]
pub(crate) async fn told(
    Extension(node): Extension<Arc<Node>>,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Response {
    json(&View::of_everybody(&node, &deployment, &TenantSettings::default()).told())
}

/// `GET /security`: a page for people: what this server promises this tenant, and what of it is kept here and now.
#[utoipa::path(get, path = "/security", tag = "public", operation_id = "security_page", responses(
    (status = 200, description = "Every promise: how it is kept, with which numbers, or why it is not.", content_type = "text/html", body = String),
))]
pub(crate) async fn tenant_page(
    nonce: Nonce,
    tenant: Tenant,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Result<Response, Problem> {
    Ok(html(nonce, &View::of_tenant(&tenant, &deployment).told(), FORM))
}

/// `GET /security.json`: what this server promises this tenant, and what of it is kept here and now.
#[utoipa::path(get, path = "/security.json", tag = "public", operation_id = "security", responses(
    (status = 200, description = "Every promise: how it is kept, with which numbers, or why it is not.", body = Security),
))]
pub(crate) async fn tenant_told(
    tenant: Tenant,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Result<Response, Problem> {
    Ok(json(&View::of_tenant(&tenant, &deployment).told()))
}

fn json(told: &Security<'_>) -> Response {
    ([(CACHE_CONTROL, CACHED)], Json(told)).into_response()
}

fn html(nonce: Nonce, told: &Security<'_>, form: &str) -> Response {
    no_store(pages::page(nonce, "Security", &page::body(told, form)))
}
