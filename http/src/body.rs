//! Request bodies: bounded in size and time before any handler sees them, then JSON that is exactly what was asked for.

mod bounded;
mod json;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use freehold_actors::node::Node;
use freehold_actors::ops::refusal::Refusal;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use self::bounded::RECEIVED_BYTES_MAX;
pub(crate) use self::bounded::{BodyFault, announced, bound, limit_of, too_large};
pub(crate) use self::json::{given, shown, whole, word};
use crate::faults::Faults;
use crate::problem::{Kind, Problem};

/// The shape of a JSON body and the rules for its values. The type is `#[serde(deny_unknown_fields)]`; fields that are
/// `Option` and checked by [`Faults::required`] let all missing ones be told at once.
pub trait Validate: DeserializeOwned {
    /// The values once they are known to be right.
    type Checked;

    /// Whether no body at all means `{}`.
    const MAY_BE_EMPTY: bool = false;

    /// Checks every field, noting all that is wrong. `None` only together with a fault.
    fn check(self, faults: &mut Faults) -> Option<Self::Checked>;
}

/// A JSON body that was checked: an extractor.
#[derive(Debug)]
pub struct Valid<T: Validate>(pub T::Checked);

/// A body as it came, for signatures over its bytes: an extractor. The limits of size and time hold.
#[derive(Clone, Debug)]
pub struct Raw(pub Bytes);

impl<S: Sync, T: Validate> FromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let typed = is_json(&parts.headers);
        if typed == Some(false) || (typed.is_none() && !T::MAY_BE_EMPTY) {
            return Err(Problem::new(Kind::UnsupportedMediaType));
        }
        let bytes = collect(body).await?;
        let text: &[u8] = if bytes.is_empty() && T::MAY_BE_EMPTY { b"{}" } else { &bytes };
        if typed.is_none() && !bytes.is_empty() {
            return Err(Problem::new(Kind::UnsupportedMediaType));
        }
        check::<T>(text).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request.into_body()).await.map(Self)
    }
}

fn check<T: Validate>(text: &[u8]) -> Result<T::Checked, Problem> {
    let mut faults = Faults::default();
    match json::parse::<T>(text)?.check(&mut faults) {
        Some(checked) if faults.is_empty() => Ok(checked),
        None if faults.is_empty() => {
            tracing::error!(body = std::any::type_name::<T>(), "a check failed without naming a fault");
            Err(Problem::new(Kind::Internal))
        }
        Some(_) | None => Err(faults.into()),
    }
}

/// Takes in the whole body of a request if it is small, by its route or by its own word; a larger one is read by its
/// handler, and the answer is false. No client that is slow to send a small one keeps a place that another could use, and
/// the memory of all that are being sent is bounded.
pub(crate) async fn receive(node: &Node, request: &Parts, body: &mut Body) -> Result<bool, Problem> {
    let is_small = limit_of(request.uri.path()) <= RECEIVED_BYTES_MAX
        || announced(&request.headers).is_some_and(|bytes| bytes <= RECEIVED_BYTES_MAX);
    if body.is_end_stream() || !is_small {
        return Ok(body.is_end_stream());
    }
    let _sending = node.receive().map_err(Refusal::from)?;
    *body = collect(std::mem::take(body)).await?.into();
    Ok(true)
}

/// The whole body.
pub(crate) async fn collect(body: Body) -> Result<Bytes, Problem> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(BodyFault::within(&error)
            .map_or_else(|| Problem::invalid("(body)", "could not be read to its end"), BodyFault::problem)),
    }
}

/// Whether the body says that it is JSON in UTF-8 and not encoded further; `None` when it says nothing.
fn is_json(headers: &HeaderMap) -> Option<bool> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (line, None) = (lines.next(), lines.next()) else { return Some(false) };
    let plain =
        headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    line.map(HeaderValue::to_str).map(|text| plain && text.is_ok_and(is_json_type))
}

/// `application/json`, with at most a `charset` of UTF-8.
fn is_json_type(text: &str) -> bool {
    let mut pieces = text.split(';').map(str::trim);
    let essence = pieces.next().unwrap_or_default();
    let utf8 = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
    };
    essence.eq_ignore_ascii_case("application/json") && pieces.next().is_none_or(utf8) && pieces.next().is_none()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SignIn {
        email: Option<String>,
        password: Option<String>,
    }

    impl Validate for SignIn {
        type Checked = (String, String);

        fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
            let email = faults.required("email", self.email).and_then(|text| faults.one_line("email", text, 3..=254));
            let password =
                faults.required("password", self.password).and_then(|text| faults.one_line("password", text, 1..=256));
            Some((email?, password?))
        }
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for yes in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json_type(yes), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json; charset=latin1",
            "application/json; a=b",
            "text/json",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json, text/plain",
            "application/vnd.api+json",
            "application/json;",
        ] {
            assert!(!is_json_type(no), "{no}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(is_json(&headers), None);
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert_eq!(is_json(&headers), Some(true));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(is_json(&headers), Some(false));
        headers.remove(CONTENT_ENCODING);
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert_eq!(is_json(&headers), Some(false));
    }

    #[test]
    fn all_faults_of_a_body_are_told_at_once() {
        let problem = check::<SignIn>(br#"{"email": "a\r\nb"}"#).expect_err("invalid");
        let text = String::from_utf8(problem.render("-")).expect("text");
        assert!(text.contains(r#""field":"email""#) && text.contains(r#""field":"password""#), "{text}");
        assert!(check::<SignIn>(br#"{"email": "a@b", "password": "x"}"#).is_ok());
    }
}
