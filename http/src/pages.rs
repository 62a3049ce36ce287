//! The small pages at `GET /`: what this host is, and how to begin.

use std::sync::Arc;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use freehold_actors::node::Node;
use freehold_domain::text::escape_html;

use crate::caller::Tenant;
use crate::headers::{Nonce, Page};
use crate::problem::Problem;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem;\
    color-scheme:light dark}pre,.wide{overflow:auto;padding:1rem;border:1px solid #8884;border-radius:.5rem}\
    caption{text-align:left;font-weight:bold}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}";

/// Ours have no icon. A browser that is not told so asks for `/favicon.ico` and complains that there is none.
pub(crate) const ICON: &str = "<link rel=\"icon\" href=\"data:,\">";

/// `GET /` of the platform's own domain.
pub async fn apex(nonce: Nonce, Extension(node): Extension<Arc<Node>>) -> Response {
    let domain = escape_html(&node.settings.platform_domain);
    let body = format!(
        "<h1>Freehold</h1><p>A server on which a multi-tenant service stands: every tenant owns its state.</p>\
         <p>Tenants live at <code>{{tenant}}.{domain}</code>.</p>"
    );
    page(nonce, "Freehold", &body)
}

/// `GET /` of a tenant.
///
/// # Errors
/// What the tenant's activation refuses.
#[utoipa::path(get, path = "/", tag = "public", operation_id = "home",
    responses((status = 200, description = "A page for people: how to begin.", content_type = "text/html", body = String)),
)]
pub async fn tenant(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    let (slot, notice) = (&tenant.cx.slot, tenant.cx.live.settings.notice_html.as_html());
    let (name, origin) = (escape_html(&slot.name), escape_html(&tenant.cx.node.settings.issuer(&slot.slug)));
    let body = format!(
        "<h1>{name}</h1>{notice}<p>Served by Freehold. Sign in:</p>\
         <pre>curl -s {origin}/v1/auth/login \\\n  -H 'content-type: application/json' \\\n  \
         -d '{{\"email\": \"…\", \"password\": \"…\"}}'</pre>\
         <p>and ask who you are, with the access token of the answer:</p>\
         <pre>curl -s {origin}/v1/me -H \"authorization: Bearer $TOKEN\"</pre>\
         <p>The whole interface is described at <a href=\"/openapi.json\">/openapi.json</a>; \
         the keys that verify tokens are at <a href=\"/.well-known/jwks.json\">/.well-known/jwks.json</a>; \
         what each role may do is at <a href=\"/help/roles\">/help/roles</a>.</p>"
    );
    Ok(page(nonce, &name, &body))
}

/// A page that ends with a script of ours; what is not ours in `title` and `body` is escaped already.
pub(crate) fn page_with_script(nonce: Nonce, title: &str, body: &str, script: &'static str) -> Response {
    let body = format!("{body}<script nonce=\"{nonce}\">{script}</script>");
    page(nonce, title, &body)
}

/// A page for people. Title and body are HTML.
pub(crate) fn page(nonce: Nonce, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">{ICON}<style nonce=\"{nonce}\">{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n"
    );
    Page::new(nonce, html).into_response()
}
