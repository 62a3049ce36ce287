//! What of a request the rules are shown: all of it but its secrets.
//!
//! A password may be any text, so rules for attacks would find some; and what never reaches the rules cannot come out of
//! them. The server itself takes such values for nothing but what they are: they are hashed, or compared, and never run.

use axum::http::HeaderName;
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use axum::http::request::Parts;

use crate::api_host::X_ND_KEY;
use crate::arrival::Arrival;
use crate::headers::CSP_REPORT;
use crate::security_reports::REPORTS;

/// Headers that are not shown.
const SECRET_HEADERS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, X_ND_KEY];

/// Fields of JSON bodies whose text is shown as none: secrets, and HTML that has a policy of its own.
const SECRET_FIELDS: [&str; 11] = [
    "password", "current_password", "new_password", "token", "refresh_token", "challenge", "totp", "backup_code",
    "code", "invitation", "notice_html",
];

/// A request, as rules see it.
pub(super) struct Shown {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) version: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) client: String,
    pub(super) body: Vec<u8>,
}

impl Shown {
    pub(super) fn of(request: &Parts, arrival: &Arrival, body: &[u8]) -> Self {
        let shown = request.headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(name));
        let mut headers: Vec<(String, String)> = shown
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        if let Some(authority) = request.uri.authority().filter(|_| !request.headers.contains_key(HOST)) {
            headers.push((HOST.as_str().to_owned(), authority.as_str().to_owned())); // HTTP/2 has it elsewhere
        }
        if ![CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| request.headers.contains_key(name)) {
            headers.push((CONTENT_LENGTH.as_str().to_owned(), body.len().to_string())); // the end of it was found all the same
        }
        Self {
            method: request.method.as_str().to_owned(),
            target: request.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            version: format!("{:?}", request.version),
            headers,
            client: arrival.client.map(|client| client.address.to_string()).unwrap_or_default(),
            // Whoever tells of a weakness or of an injection shows it.
            body: if [REPORTS, CSP_REPORT].contains(&request.uri.path()) {
                b"{}".to_vec()
            } else {
                without_secrets(body)
            },
        }
    }
}

/// How many fields there are in query and body, or more: in JSON what commas part outside of its texts, elsewhere what
/// ampersands and lines do.
pub(super) fn parts(request: &Parts, body: &[u8]) -> usize {
    let count = |text: &[u8], marks: &[u8]| text.iter().filter(|byte| marks.contains(byte)).count();
    let query = count(request.uri.query().unwrap_or_default().as_bytes(), b"&");
    let is_json = request.headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        kind.split(';').next().unwrap_or_default().trim().ends_with("json")
    });
    let fields = if is_json { count(&without_texts(body), b",") } else { count(body, b"&\n") };
    query + fields
}

/// What of a JSON body stands outside of its texts.
fn without_texts(body: &[u8]) -> Vec<u8> {
    let (mut outside, mut rest) = (vec![], body);
    while let Some(begins) = rest.iter().position(|byte| *byte == b'"') {
        outside.extend_from_slice(rest.get(..begins).unwrap_or_default());
        let after = rest.get(begins + 1..).unwrap_or_default();
        rest = after.get(text_bytes(after) + 1..).unwrap_or_default();
    }
    outside.extend_from_slice(rest);
    outside
}

/// The body without the text of secret fields, if it is JSON; whatever it is, all else stays as it came.
fn without_secrets(body: &[u8]) -> Vec<u8> {
    let (mut shown, mut rest, mut is_secret) = (Vec::with_capacity(body.len()), body, false);
    while let Some((&first, after)) = rest.split_first() {
        if first != b'"' {
            is_secret &= first == b':' || first.is_ascii_whitespace();
            shown.push(first);
            rest = after;
            continue;
        }
        let text = after.get(..text_bytes(after)).unwrap_or_default();
        shown.push(b'"');
        if !is_secret {
            shown.extend_from_slice(text);
        }
        rest = after.get(text.len()..).unwrap_or_default();
        if let Some((_, after)) = rest.split_first() {
            shown.push(b'"');
            rest = after;
        }
        let is_name = rest.trim_ascii_start().first() == Some(&b':');
        is_secret = is_name && SECRET_FIELDS.iter().any(|field| field.as_bytes() == text);
    }
    shown
}

/// Bytes of a JSON string before the quote that ends it, or before the end.
fn text_bytes(after_quote: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = after_quote.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(after_quote.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> String {
        String::from_utf8(without_secrets(body.as_bytes())).expect("text")
    }

    #[test]
    fn fields_are_counted_where_they_can_be() {
        for (target, kind, body, count) in [
            ("/?a&b&c=1", "application/json", "", 2),
            ("/", "application/json; charset=utf-8", r#"{"a":"b,c,d","e":[1,2],"f\",":","}"#, 3),
            ("/", "application/reports+json", "[1,2,3", 2),
            ("/?a&b", "text/plain", "\"a&b&c\n\"", 4),
            ("/", "", "a&b,c", 1),
        ] {
            let request =
                axum::http::Request::builder().uri(target).header(CONTENT_TYPE, kind).body(()).expect("a request");
            assert_eq!(parts(&request.into_parts().0, body.as_bytes()), count, "{target} {body}");
        }
    }

    #[test]
    fn the_text_of_secret_fields_is_not_shown() {
        for (body, expected) in [
            (r#"{"email":"a@b.test","password":"' or 1=1 --"}"#, r#"{"email":"a@b.test","password":""}"#),
            (r#"{ "new_password" : "a\"b\\" , "name":"x"}"#, r#"{ "new_password" : "" , "name":"x"}"#),
            (r#"{"a":{"token":"x","b":["code","y"]}}"#, r#"{"a":{"token":"","b":["code","y"]}}"#),
            (r#"{"password":"x","password":"y"}"#, r#"{"password":"","password":""}"#),
            (r#"{"password":{"name":"<b>"},"totp":123}"#, r#"{"password":{"name":"<b>"},"totp":123}"#),
            (r#"{"name":"password","x":"<b>"}"#, r#"{"name":"password","x":"<b>"}"#),
            (r#"{"password":"not ended"#, r#"{"password":""#),
            (r#"{"password":""#, r#"{"password":""#),
            (r#"{"passw\u006frd":"x"}"#, r#"{"passw\u006frd":"x"}"#),
            ("a=b&password=\"c", "a=b&password=\"c"),
            ("", ""),
        ] {
            assert_eq!(shown(body), expected, "{body}");
        }
    }
}
