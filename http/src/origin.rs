//! The origin rule: a page of another site cannot make a browser act here in somebody's name.
//!
//! An unsafe request with one of our cookies, or one that asks for a cookie, must prove by `Origin` (else `Referer`)
//! that it comes from a host of this tenant. Without our cookies there is no ambient authority: a missing `Origin` is
//! fine, one that is present must match or be allowed by CORS. A request with an API key goes by the origins of the key
//! ([`of_key`]). There is no other rule and no exemption.
//!
//! Source: OWASP CSRF Prevention Cheat Sheet, "Verifying Origin With Standard Headers"; RFC 6454 §7.

use std::fmt;

use axum::http::header::{ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use freehold_domain::api_key::{KeyKind, KnownKey};

use crate::client_address::Scheme;
use crate::host::Authority;
use crate::problem::{Kind, Problem};

const LEAKED: &str =
    "This is a secret key, and a browser has sent it: revoke it, and use a publishable key in web pages.";
const NOT_ALLOWED: &str = "This key works from the pages of its allowed origins alone.";

/// What a browser would add to the request by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// One of our cookies, or the wish for one (a sign-in with `transport: "cookie"`).
    Cookie,
    /// Nothing: the caller had to know its credential.
    Nothing,
}

/// A web origin: scheme, host and port (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a page that this host serves.
    #[must_use]
    pub fn of_host(scheme: Scheme, host: &Authority) -> Self {
        let port = host.port().unwrap_or_else(|| scheme.default_port());
        Self { scheme, host: host.host().to_owned(), port }
    }

    /// Reads `scheme://host[:port]` and nothing after it. `None` for `null` and everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Some(Self::of_host(Scheme::parse(scheme)?, &Authority::parse(authority).ok()?))
    }

    /// The origin of a page with this address.
    #[must_use]
    fn of_page(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        Some(Self::of_host(Scheme::parse(scheme)?, &Authority::parse(authority).ok()?))
    }
}

/// `scheme://host[:port]`, without the scheme's own port, as browsers send it (RFC 6454 §6.2).
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{}://{host}", scheme.as_str())?;
        if *port == scheme.default_port() { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// The rule. `own` are the origins of this tenant's hosts, `cors` those it allows besides.
///
/// # Errors
/// A [`Kind::Csrf`] problem when the request must be refused.
pub fn check(
    method: &Method,
    carries: Carries,
    headers: &HeaderMap,
    own: &[Origin],
    cors: &[Origin],
) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let allowed = match (only(headers, &ORIGIN), carries) {
        (Seen::One(text), Carries::Cookie) => Origin::parse(text).is_some_and(|origin| own.contains(&origin)),
        (Seen::One(text), Carries::Nothing) => {
            Origin::parse(text).is_some_and(|origin| own.contains(&origin) || cors.contains(&origin))
        }
        (Seen::Several, _) => false,
        (Seen::None, Carries::Nothing) => true,
        (Seen::None, Carries::Cookie) => match only(headers, &REFERER) {
            Seen::One(url) => Origin::of_page(url).is_some_and(|origin| own.contains(&origin)),
            Seen::None | Seen::Several => false,
        },
    };
    if allowed { Ok(()) } else { Err(Problem::new(Kind::Csrf)) }
}

/// The rule of API keys, whatever the method: a publishable key is used by pages of its allowed origins, and a secret one
/// by no page at all. The answer is the origin whose page may read what is answered.
///
/// # Errors
/// A [`Kind::Csrf`] problem for another origin or none; a [`Kind::Forbidden`] one for a secret key in a browser.
pub fn of_key(key: &KnownKey, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    match (key.kind, only(headers, &ORIGIN)) {
        (KeyKind::Secret, Seen::None) => Ok(None),
        (KeyKind::Secret, Seen::One(_) | Seen::Several) => Err(Problem::new(Kind::Forbidden).detail(LEAKED)),
        (KeyKind::Publishable, Seen::One(text)) if allows(key, text) => Ok(headers.get(ORIGIN).cloned()),
        (KeyKind::Publishable, _) => Err(Problem::new(Kind::Csrf).detail(NOT_ALLOWED)),
    }
}

fn allows(key: &KnownKey, text: &str) -> bool {
    Origin::parse(text).is_some_and(|origin| key.allows(&origin.to_string()))
}

enum Seen<'a> {
    None,
    One(&'a str),
    /// Several lines, or one that is not text.
    Several,
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Seen<'a> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Seen::None,
        (Some(line), None) => line.to_str().map_or(Seen::Several, Seen::One),
        (Some(_), Some(_)) => Seen::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(method: &Method, carries: Carries, lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let own = [
            Origin::parse("https://acme.example.com").expect("ours"),
            Origin::parse("http://shop.test:8080").expect("ours"),
        ];
        let cors = [Origin::parse("https://partner.test").expect("theirs")];
        check(method, carries, &headers, &own, &cors).is_ok()
    }

    #[test]
    fn with_a_cookie_the_origin_must_be_ours() {
        let post = |value| allowed(&Method::POST, Carries::Cookie, &[("origin", value)]);
        for ours in [
            "https://acme.example.com",
            "https://ACME.example.com",
            "https://acme.example.com:443",
            "http://shop.test:8080",
        ] {
            assert!(post(ours), "{ours}");
        }
        for foreign in [
            "null",
            "",
            "https://evil.test",
            "http://acme.example.com",
            "https://acme.example.com:8443",
            "http://shop.test",
            "https://acme.example.com.evil.test",
            "https://evilacme.example.com",
            "https://evil.test#https://acme.example.com",
            "https://acme.example.com@evil.test",
            "https://evil.test@acme.example.com",
            "https://acme.example.com/",
            "https://acme.example.com https://evil.test",
            "acme.example.com",
            "//acme.example.com",
            "https://partner.test",
            "https://globex.example.com",
            "\u{e9}",
        ] {
            assert!(!post(foreign), "{foreign}");
        }
    }

    #[test]
    fn an_origin_has_one_text() {
        for (text, canonical) in [
            ("https://Shop.Example.", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:443", "http://shop.example:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:80", "http://localhost"),
        ] {
            assert_eq!(Origin::parse(text).expect("an origin").to_string(), canonical);
        }
        for bad in [
            "*",
            "https://*",
            "https://*.shop.example",
            "null",
            "",
            "shop.example",
            "https://",
            "ftp://shop.example",
            "https://shop.example/",
            "https://a@shop.example",
            "https://shop.example:0",
            "https://a b",
            "https://a?b",
        ] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn several_origins_are_none_of_ours() {
        let ours = ("origin", "https://acme.example.com");
        for carries in [Carries::Cookie, Carries::Nothing] {
            assert!(!allowed(&Method::POST, carries, &[ours, ours]));
        }
    }

    #[test]
    fn the_referer_speaks_only_where_there_is_no_origin() {
        let referer = |value| allowed(&Method::DELETE, Carries::Cookie, &[("referer", value)]);
        for ours in ["https://acme.example.com/a?b#c", "https://acme.example.com", "http://shop.test:8080/"] {
            assert!(referer(ours), "{ours}");
        }
        for foreign in [
            "https://evil.test/https://acme.example.com/",
            "https://acme.example.com@evil.test/",
            "https://acme.example.com.evil.test/",
            "https://evil.test\\@acme.example.com/",
            "about:blank",
            "",
            "/relative",
        ] {
            assert!(!referer(foreign), "{foreign}");
        }
        assert!(!allowed(&Method::POST, Carries::Cookie, &[]));
        let both = [("origin", "null"), ("referer", "https://acme.example.com/")];
        assert!(!allowed(&Method::POST, Carries::Cookie, &both));
    }

    #[test]
    fn without_a_cookie_only_a_foreign_origin_is_refused() {
        let post = |lines: &[_]| allowed(&Method::POST, Carries::Nothing, lines);
        assert!(post(&[]));
        assert!(post(&[("referer", "https://evil.test/")]));
        assert!(post(&[("origin", "https://acme.example.com")]));
        assert!(post(&[("origin", "https://partner.test")]));
        assert!(!post(&[("origin", "https://evil.test")]));
        assert!(!post(&[("origin", "null")]));
    }

    #[test]
    fn safe_methods_pass_and_unknown_ones_are_unsafe() {
        let evil = [("origin", "https://evil.test")];
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(allowed(&method, Carries::Cookie, &evil), "{method}");
        }
        let unknown = Method::from_bytes(b"FROB").expect("a token");
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT, unknown] {
            assert!(!allowed(&method, Carries::Cookie, &evil), "{method}");
        }
    }
}
