//! The security headers of every answer, errors included (OWASP Secure Headers Project).

use std::fmt;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SERVER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::arrival::Arrival;
use crate::client_address::Scheme;
use crate::host::{Authority, Place, Platform};
use crate::problem::Problem;
use freehold_actors::ambient::Ambient;
use freehold_actors::node::Attached;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What no page of ours needs, nor anything that is framed by one: sensors, devices and money.
const NOTHING_PERMITTED: &str = "camera=(), microphone=(), geolocation=(), accelerometer=(), display-capture=(), \
                                 gyroscope=(), hid=(), magnetometer=(), midi=(), payment=(), serial=(), usb=()";

/// The policy of everything that is not a page: nothing may be loaded, framed or posted from it.
const API_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; upgrade-insecure-requests",
);

const HSTS_WHOLE: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains; preload");
/// A customer's domain, unless its tenant says more: whether its other names have TLS is not ours to promise.
const HSTS_HOST: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// A fresh nonce of 128 bits for the inline style and script of one page: an extractor.
#[derive(Clone, Debug)]
pub struct Nonce(String);

impl Nonce {
    /// A new one.
    #[must_use]
    pub fn new(ambient: Ambient) -> Self {
        Self(STANDARD_NO_PAD.encode(ambient.random::<16>()))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for Nonce {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::new(Arrival::of(&parts.extensions)?.ambient))
    }
}

/// An HTML page. Its policy allows inline style and script with its nonce, requests to its own origin, and nothing else.
#[derive(Debug)]
pub struct Page {
    nonce: Nonce,
    html: String,
}

impl Page {
    /// The page whose inline `style` and `script` elements carry this nonce. Whatever is not ours in `html` is escaped already.
    #[must_use]
    pub fn new(nonce: Nonce, html: String) -> Self {
        Self { nonce, html }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.html));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response.extensions_mut().insert(PagePolicy(self.nonce));
        response
    }
}

/// Marks an answer that must not be kept: `Cache-Control: no-store`. Answers to a caller whose credential was accepted
/// are marked by themselves ([`Arrival::note_authenticated`]), and so is every problem.
#[derive(Clone, Copy, Debug)]
pub struct NoStore;

/// Marks an answer that pages of other sites may embed, such as the SDK's script.
#[derive(Clone, Copy, Debug)]
pub struct ForAnySite;

/// The answer, marked with [`NoStore`].
pub fn no_store(answer: impl IntoResponse) -> Response<Body> {
    let mut response = answer.into_response();
    response.extensions_mut().insert(NoStore);
    response
}

#[derive(Clone, Debug)]
struct PagePolicy(Nonce);

/// How a page says where to report. Over plain HTTP browsers do not take the newer way, and that it is named keeps them from
/// the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reporting {
    Nowhere,
    ByUri,
    ByBoth,
}

/// Where browsers report of the pages of a tenant's host.
pub(crate) const CSP_REPORT: &str = "/csp-report";
/// What the policy calls that place (Reporting API §3.1).
const REPORTING_ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");

impl PagePolicy {
    fn header(&self, reporting: Reporting) -> HeaderValue {
        let reported = match reporting {
            Reporting::Nowhere => "",
            Reporting::ByUri => "; report-uri /csp-report",
            Reporting::ByBoth => "; report-uri /csp-report; report-to csp",
        };
        let policy = page_policy(&self.0.0) + reported;
        HeaderValue::from_str(&policy).unwrap_or(API_POLICY) // base64 is visible ASCII: cannot fail
    }
}

/// What the request says about its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) scheme: Scheme,
    /// `None` when the request had no readable one.
    pub(crate) host: Option<(&'a Authority, &'a Place)>,
    /// The custom domain that the host is.
    pub(crate) domain: Option<&'a Attached>,
    pub(crate) no_store: bool,
}

/// The headers that say the same on every answer.
pub(crate) fn fixed() -> [(HeaderName, &'static str); 5] {
    [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (PERMISSIONS_POLICY, NOTHING_PERMITTED),
        (OPENER_POLICY, "same-origin"),
    ]
}

/// The policy of pages with this nonce, and that of every other answer.
pub(crate) fn policies(nonce: &str) -> [String; 2] {
    [page_policy(nonce), API_POLICY.to_str().unwrap_or_default().to_owned()]
}

/// What is told over TLS to whoever asks this host.
pub(crate) fn hsts_at(host: &str, place: &Place) -> Option<String> {
    let host = Authority::parse(host).ok()?;
    let value = hsts(Context { scheme: Scheme::Https, host: Some((&host, place)), domain: None, no_store: false })?;
    value.to_str().ok().map(str::to_owned)
}

/// `upgrade-insecure-requests` does no harm on `http://localhost`: its requests are potentially trustworthy already and
/// are not upgraded (Upgrade Insecure Requests §4.1).
fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'; img-src 'self' data:; \
         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
         require-trusted-types-for 'script'; upgrade-insecure-requests"
    )
}

/// Puts every security header on the answer.
pub(crate) fn secure(response: &mut Response<Body>, context: Context<'_>) {
    // Only a host that is a tenant's has somebody to report to.
    let is_tenants = context.host.is_some_and(|(_, place)| matches!(place, Place::Tenant(_) | Place::Admin));
    let has_reports = is_tenants || context.domain.is_some();
    let reporting = match context.scheme {
        _ if !has_reports => Reporting::Nowhere,
        Scheme::Http => Reporting::ByUri,
        Scheme::Https => Reporting::ByBoth,
    };
    let page = response.extensions().get::<PagePolicy>();
    let is_endpoint_told = page.is_some() && reporting == Reporting::ByBoth;
    let policy = page.map_or(API_POLICY, |page| page.header(reporting));
    let any_site = response.extensions().get::<ForAnySite>().is_some();
    let no_store = context.no_store || response.extensions().get::<NoStore>().is_some();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    for (name, value) in fixed() {
        set(name, value);
    }
    set(RESOURCE_POLICY, if any_site { "cross-origin" } else { "same-origin" });
    if no_store {
        set(CACHE_CONTROL, "no-store");
    }
    if is_endpoint_told {
        headers.insert(REPORTING_ENDPOINTS, HeaderValue::from_static("csp=\"/csp-report\""));
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.remove(SERVER);
    if let Some(value) = hsts(context) {
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
}

/// The names of those security headers that an answer of `host`, no page, does not have as it should; `said` are its headers,
/// their names in lower case.
#[must_use]
pub fn amiss(said: &[(String, String)], scheme: Scheme, host: &str, platform: &Platform) -> Vec<String> {
    let host = Authority::parse(host).ok();
    let place = host.as_ref().map(|host| platform.place(host));
    let host = host.as_ref().zip(place.as_ref());
    let mut promised = Response::new(Body::empty());
    secure(&mut promised, Context { scheme, host, domain: None, no_store: false });
    let is_amiss = |name: &HeaderName| {
        let said = said.iter().filter(|(known, _)| known == name.as_str()).map(|(_, value)| value.as_bytes());
        !said.eq(promised.headers().get(name).map(HeaderValue::as_bytes))
    };
    let set = fixed().map(|(name, _)| name);
    let others = [RESOURCE_POLICY, CONTENT_SECURITY_POLICY, SERVER, STRICT_TRANSPORT_SECURITY];
    set.into_iter().chain(others).filter(is_amiss).map(|name| name.as_str().to_owned()).collect()
}

/// RFC 6797: only over TLS, and never for a local name or an address.
fn hsts(context: Context<'_>) -> Option<HeaderValue> {
    let (host, place) = context.host?;
    if context.scheme != Scheme::Https || host.is_local() || host.literal().is_some() {
        return None;
    }
    let is_whole = *place != Place::Unknown || context.domain.is_some_and(|domain| domain.hsts_subdomains);
    Some(if is_whole { HSTS_WHOLE } else { HSTS_HOST })
}

#[cfg(test)]
mod tests {
    use freehold_domain::time::UnixMs;

    use super::*;

    fn headers_of(answer: impl IntoResponse, scheme: Scheme, host: &str) -> Vec<(String, String)> {
        let host = Authority::parse(host).expect("a host");
        let place = Platform::new("example.com").expect("a domain").place(&host);
        let mut response = answer.into_response();
        secure(&mut response, Context { scheme, host: Some((&host, &place)), domain: None, no_store: false });
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn value(headers: &[(String, String)], name: &str) -> Option<String> {
        headers.iter().find(|(seen, _)| seen == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn hsts_only_over_tls_and_never_locally() {
        let hsts = |scheme, host| value(&headers_of((), scheme, host), "strict-transport-security");
        assert_eq!(hsts(Scheme::Http, "acme.example.com"), None);
        assert_eq!(hsts(Scheme::Https, "localhost"), None);
        assert_eq!(hsts(Scheme::Https, "acme.localhost"), None);
        assert_eq!(hsts(Scheme::Https, "10.0.0.1"), None);
        let platform = hsts(Scheme::Https, "acme.example.com:8443");
        assert_eq!(platform.as_deref(), Some("max-age=63072000; includeSubDomains; preload"));
        assert_eq!(hsts(Scheme::Https, "shop.test").as_deref(), Some("max-age=63072000"));
    }

    #[test]
    fn every_answer_has_the_headers() {
        let headers = headers_of((), Scheme::Http, "acme.example.com");
        for (name, wanted) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("permissions-policy", NOTHING_PERMITTED),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(value(&headers, name).as_deref(), Some(wanted));
        }
        assert!(
            value(&headers, "content-security-policy")
                .expect("a policy")
                .starts_with("default-src 'none'; frame-ancestors 'none'")
        );
        assert_eq!(value(&headers, "cache-control"), None);
        assert_eq!(
            value(&headers_of(no_store(()), Scheme::Http, "a.test"), "cache-control").as_deref(),
            Some("no-store")
        );
    }

    #[test]
    fn what_is_missing_or_otherwise_is_named() {
        let platform = Platform::new("example.com").expect("a domain");
        let named = |said: &[(String, String)], scheme| amiss(said, scheme, "acme.example.com", &platform).join(" ");
        let mut said = headers_of(no_store(()), Scheme::Https, "acme.example.com");
        assert_eq!(named(&said, Scheme::Https), "");
        assert_eq!(named(&said, Scheme::Http), "strict-transport-security", "which is not told over HTTP");
        said.retain(|(name, _)| name != "x-frame-options");
        for (name, value) in &mut said {
            if name == "referrer-policy" {
                "unsafe-url".clone_into(value);
            }
        }
        said.extend(
            [("x-content-type-options", "nosniff"), ("server", "nginx")]
                .map(|(name, value)| (name.into(), value.into())),
        );
        assert_eq!(named(&said, Scheme::Https), "x-content-type-options x-frame-options referrer-policy server");
    }

    #[test]
    fn a_page_allows_its_nonce_and_nothing_inline_besides() {
        let nonce =
            Nonce::new(Ambient { now: || UnixMs::new(0), wall: || UnixMs::new(0), fill: |bytes| bytes.fill(255) });
        let headers = headers_of(Page::new(nonce, String::new()), Scheme::Http, "localhost");
        let policy = value(&headers, "content-security-policy").expect("a policy");
        assert!(policy.contains("style-src 'nonce-/////////////////////w'") && !policy.contains("unsafe-"), "{policy}");
        for wanted in ["'strict-dynamic'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"] {
            assert!(policy.contains(wanted), "{policy}");
        }
        assert!(!policy.contains("report") && value(&headers, "reporting-endpoints").is_none(), "to nobody: {policy}");
    }

    #[test]
    fn a_tenants_page_says_where_to_report() {
        let nonce =
            Nonce::new(Ambient { now: || UnixMs::new(0), wall: || UnixMs::new(0), fill: |bytes| bytes.fill(255) });
        let headers = headers_of(Page::new(nonce, String::new()), Scheme::Https, "acme.example.com");
        let policy = value(&headers, "content-security-policy").expect("a policy");
        assert!(policy.ends_with("; report-uri /csp-report; report-to csp"), "{policy}");
        assert_eq!(value(&headers, "reporting-endpoints").as_deref(), Some("csp=\"/csp-report\""));
        assert_eq!(value(&headers_of((), Scheme::Https, "acme.example.com"), "reporting-endpoints"), None);
    }
}
