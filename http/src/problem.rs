//! Every refusal and failure as `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] answers with its status and headers and travels on in the answer's extensions; the edge writes the
//! body when it knows the request's id, so that no handler carries it. What is 500 or above says nothing but that id.

mod kind;
pub(crate) mod page;

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use freehold_domain::time::retry_after_s;
use serde::Serialize;
use serde_json::{Map, Value};

pub use self::kind::Kind;
pub use self::page::page;
use crate::advice::Advice;
use crate::faults::{Fault, Faults};

/// Where the pages are that problems' types lead to, whatever the host.
pub(crate) const PAGES: &str = "/problems/";

/// A refusal or failure, ready to be an answer.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    faults: Vec<Fault>,
    extras: Map<String, Value>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    token_refused: bool,
}

/// The members of RFC 9457 §3.1, our two, and what the kind adds.
#[derive(Serialize)]
struct Rendered<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(flatten)]
    extras: Option<&'a Map<String, Value>>,
}

impl Problem {
    /// A problem of this kind and nothing more.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let mut extras = Map::new();
        if kind == Kind::TenantSuspended {
            extras.insert("error".into(), "TenantSuspendedError".into());
        }
        Self(Box::new(Parts {
            kind,
            detail: None,
            faults: Vec::new(),
            extras,
            retry_after: None,
            allow: None,
            token_refused: false,
        }))
    }

    /// A [`Kind::Validation`] with one fault.
    #[must_use]
    pub fn invalid(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let mut faults = Faults::default();
        faults.add(field, message);
        faults.into()
    }

    /// A [`Kind::RateLimited`]: by which tier, how severely, and how long until it admits again (told in whole seconds,
    /// rounded up).
    #[must_use]
    pub fn rate_limited(tier: &'static str, stage: &'static str, wait: Duration) -> Self {
        Self::new(Kind::RateLimited).with("tier", tier).with("stage", stage).retry_after(wait)
    }

    /// A [`Kind::Unauthenticated`] for a token that was given and refused: `error="invalid_token"` (RFC 6750 §3.1).
    #[must_use]
    pub fn invalid_token() -> Self {
        let mut problem = Self::new(Kind::Unauthenticated);
        problem.0.token_refused = true;
        problem
    }

    /// What happened this time, for people; without it, what the kind means. Left out of every answer of 500 and above.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// One more member of the body; the name carries the unit. Left out of every answer of 500 and above.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.extras.insert(name.to_owned(), value.into());
        self
    }

    /// What would be a better password, if there is something to say.
    #[must_use]
    pub fn advise(self, advice: Option<Advice>) -> Self {
        match advice.map(serde_json::to_value) {
            Some(Ok(advice)) => self.with("advice", advice),
            Some(Err(_)) | None => self,
        }
    }

    /// How long to wait: `Retry-After` in whole seconds, at least 1, and `retry_after_s` in a body below 500.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self.with("retry_after_s", retry_after_s(wait))
    }

    /// The methods that the address has, for a [`Kind::MethodNotAllowed`].
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(HeaderValue::from_static(methods));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The body, for the request with this id.
    #[must_use]
    pub(crate) fn render(&self, request_id: &str) -> Vec<u8> {
        let parts = &*self.0;
        let status = parts.kind.status();
        let quiet = status.is_server_error();
        let rendered = Rendered {
            r#type: format!("{PAGES}{}", parts.kind.slug()),
            title: parts.kind.title(),
            status: status.as_u16(),
            detail: if quiet { None } else { parts.detail.as_deref().or(Some(parts.kind.explanation())) },
            request_id,
            errors: if quiet { &[] } else { &parts.faults },
            extras: (!quiet).then_some(&parts.extras),
        };
        serde_json::to_vec(&rendered).unwrap_or_default() // text keys and plain values: cannot fail
    }

    /// Whether the connection is of no more use: the rest of the body is still on its way.
    #[must_use]
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self.0.kind, Kind::PayloadTooLarge | Kind::RequestTimeout)
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let mut problem = Self::new(Kind::Validation);
        problem.0.faults = faults.into_vec();
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let parts = &*self.0;
        let status = parts.kind.status();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let must_tell = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if let Some(wait) = parts.retry_after.or(must_tell.then_some(Duration::ZERO)) {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s(wait)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = if parts.token_refused { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(methods) = &parts.allow {
            headers.insert(ALLOW, methods.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.render("r-1")).expect("problems are JSON")
    }

    #[test]
    fn a_validation_problem_names_its_fields() {
        let seen = body(&Problem::invalid("email", "is required"));
        let wanted = serde_json::json!({
            "type": "/problems/validation", "title": "The request is not valid", "status": 400, "request_id": "r-1",
            "detail": Kind::Validation.explanation(), "errors": [{"field": "email", "message": "is required"}],
        });
        assert_eq!(seen, wanted);
    }

    #[test]
    fn server_errors_say_nothing_but_the_request_id() {
        for kind in Kind::ALL.iter().filter(|kind| kind.status().is_server_error()) {
            let problem =
                Problem::new(*kind).detail("the disk is on fire").with("path", "/x").retry_after(Duration::ZERO);
            let seen = body(&problem);
            let keys: Vec<_> = seen.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(keys, ["request_id", "status", "title", "type"], "{kind:?}");
        }
    }

    #[test]
    fn busy_answers_always_say_when_to_come_back() {
        for kind in Kind::ALL.iter().filter(|kind| matches!(kind.status().as_u16(), 429 | 503)) {
            let answer = Problem::new(*kind).into_response();
            assert_eq!(answer.headers().get(RETRY_AFTER).expect("Retry-After"), "1", "{kind:?}");
        }
        let limited = Problem::rate_limited("refresh", "limit", Duration::from_millis(1_200));
        assert_eq!(body(&limited).get("retry_after_s"), Some(&Value::from(2)));
        assert_eq!(body(&limited).get("tier"), Some(&Value::from("refresh")));
        assert_eq!(limited.into_response().headers().get(RETRY_AFTER).expect("Retry-After"), "2");
    }

    #[test]
    fn every_401_challenges() {
        for kind in Kind::ALL.iter().filter(|kind| kind.status() == StatusCode::UNAUTHORIZED) {
            let answer = Problem::new(*kind).into_response();
            assert_eq!(answer.headers().get(WWW_AUTHENTICATE).expect("a challenge"), "Bearer", "{kind:?}");
        }
        let answer = Problem::invalid_token().into_response();
        assert_eq!(answer.headers().get(WWW_AUTHENTICATE).expect("a challenge"), "Bearer error=\"invalid_token\"");
    }

    #[test]
    fn a_suspended_tenant_is_named_as_promised() {
        let seen = body(&Problem::new(Kind::TenantSuspended));
        assert_eq!(seen.get("error"), Some(&Value::from("TenantSuspendedError")));
    }
}
