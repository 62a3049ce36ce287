//! `GET /auth/handoff`: the page that a browser comes home to. Its script takes the code out of the address, posts it from
//! this origin, asks for a second factor where there is one, and goes to `/`. Whatever it shows is put in as text.

use axum::response::Response;
use freehold_domain::text::escape_html;

use crate::caller::Tenant;
use crate::headers::{Nonce, no_store};
use crate::pages::page_with_script;
use crate::problem::{Kind, Problem};
use crate::query::Query;

/// The problems that a callback can end with.
const ENDS: [Kind; 5] =
    [Kind::OauthDenied, Kind::OauthFailed, Kind::OauthExpired, Kind::OauthNotAdmitted, Kind::Unavailable];

const SCRIPT: &str = include_str!("handoff.js");

/// The page.
#[utoipa::path(get, path = "/auth/handoff", tag = "public", operation_id = "handoff",
    responses((status = 200, description = "A page for browsers that come from a provider.", content_type = "text/html", body = String)),
)]
pub(crate) async fn handoff(nonce: Nonce, tenant: Tenant, Query(()): Query<()>) -> Result<Response, Problem> {
    tenant.cx.admit(&[tenant.cx.tenant_layer()]).await?;
    let titles: serde_json::Map<String, serde_json::Value> =
        ENDS.iter().map(|kind| (kind.slug().to_owned(), kind.title().into())).collect();
    let titles = escape_in_script(&serde_json::Value::from(titles).to_string());
    let unavailable = escape_html(Kind::Unavailable.title());
    let name = escape_html(&tenant.cx.slot.name);
    let body = format!(
        "<h1>{name}</h1><p role=\"status\" data-unavailable=\"{unavailable}\">Signing in\u{2026}</p>\
         <form hidden><label>Code of your authenticator, or a backup code <input name=\"code\" autocomplete=\"one-time-code\" \
         required></label> <button>Continue</button></form>\
         <noscript><p>This page needs JavaScript.</p></noscript>\
         <script nonce=\"{nonce}\" type=\"application/json\" id=\"titles\">{titles}</script>"
    );
    Ok(no_store(page_with_script(nonce, &name, &body, SCRIPT)))
}

/// JSON as it may stand in a script element.
fn escape_in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script_early() {
        assert_eq!(escape_in_script("{\"a\":\"</script><b>\"}"), "{\"a\":\"\\u003c/script>\\u003cb>\"}");
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--") && !SCRIPT.contains("innerHTML"));
    }
}
