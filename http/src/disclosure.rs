//! `GET /.well-known/security.txt`: where to tell of a weakness (RFC 9116).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use freehold_actors::node::Node;
use freehold_domain::disclosure::Disclosure;
use freehold_domain::time::UnixMs;

use crate::access::{Public, Routes};
use crate::arrival::Arrival;
use crate::host::Place;
use crate::problem::{Kind, Problem};
use crate::security::Deployment;
use freehold_domain::rfc3339;

const PATH: &str = "/.well-known/security.txt";

/// The route; it takes a [`Node`] and a [`Deployment`].
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get(PATH, Public, security_txt)
}

/// The name that the request asks for, if it is the platform's or one under it: an extractor.
pub struct Here(Option<String>);

impl<S: Sync> FromRequestParts<S> for Here {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let arrival = Arrival::of(&parts.extensions)?;
        let host = arrival.host.as_ref().filter(|(_, place)| *place != Place::Unknown);
        Ok(Self(host.map(|(host, _)| host.host().to_owned())))
    }
}

/// `GET /.well-known/security.txt`: where to tell of a weakness (RFC 9116).
///
/// Not there where the operator names nobody. `Expires` is counted anew with each answer.
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "public", operation_id = "security_txt", responses(
    (status = 200, description = "Who to tell, and until when that holds.", content_type = "text/plain", body = String),
))]
pub(crate) async fn security_txt(
    here: Here,
    Extension(node): Extension<Arc<Node>>,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Result<Response, Problem> {
    let disclosure = deployment.disclosure.as_ref().ok_or_else(|| Problem::new(Kind::NotFound))?;
    let canonical = canonical(here, node.settings.public_scheme, node.settings.public_port);
    let text = text(disclosure, node.ambient.now(), canonical.as_deref());
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    Ok((headers, text).into_response())
}

/// Where this is found: an https address, or none that the file may name (RFC 9116 §2.5.2).
fn canonical(Here(host): Here, scheme: &str, port: Option<u16>) -> Option<String> {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    host.filter(|_| scheme == "https").map(|host| format!("https://{host}{port}{PATH}"))
}

fn text(disclosure: &Disclosure, now: UnixMs, canonical: Option<&str>) -> String {
    let Disclosure { contacts, policy, languages, .. } = disclosure;
    let mut text = String::new();
    for contact in contacts {
        let _ = writeln!(text, "Contact: {contact}"); // into a string: cannot fail
    }
    let fields = [
        ("Expires", Some(rfc3339::text(disclosure.expires(now)))),
        ("Canonical", canonical.map(str::to_owned)),
        ("Policy", policy.as_ref().map(ToString::to_string)),
        ("Preferred-Languages", languages.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in fields {
        let _ = value.map(|value| writeln!(text, "{name}: {value}")); // the same
    }
    text
}
