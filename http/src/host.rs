//! Which host a request is for: exactly one, well-formed, and placed against the platform's domain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Version};
use freehold_domain::slug::Slug;

use crate::problem::Problem;

const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// The text is not `host[:port]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a host name or address, with or without a port")]
pub struct NotAnAuthority;

/// `host[:port]` (RFC 3986 §3.2) without user information: lower-case, without a trailing dot. An extension of every
/// request behind the edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: String,
    port: Option<u16>,
    literal: Option<IpAddr>,
}

impl Authority {
    /// Reads `name`, `name:1`, `1.2.3.4:1` or `[::1]:1`.
    ///
    /// # Errors
    /// [`NotAnAuthority`] for everything else: user information, paths, other characters, empty or overlong labels, port 0.
    pub fn parse(text: &str) -> Result<Self, NotAnAuthority> {
        if let Some(rest) = text.strip_prefix('[') {
            let (inner, after) = rest.split_once(']').ok_or(NotAnAuthority)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| NotAnAuthority)?;
            let port =
                if after.is_empty() { None } else { Some(port(after.strip_prefix(':').ok_or(NotAnAuthority)?)?) };
            return Ok(Self { host: format!("[{address}]"), port, literal: Some(IpAddr::V6(address)) });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, Some(port(digits)?)),
            None => (text, None),
        };
        let host = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if host.len() > NAME_CHARS_MAX || !host.split('.').all(is_label) {
            return Err(NotAnAuthority);
        }
        let literal = host.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        Ok(Self { host, port, literal })
    }

    /// The one host that this request names.
    ///
    /// # Errors
    /// A validation [`Problem`] for none (RFC 9112 §3.2), several, a bad one, or a `Host` that is not the target's.
    pub fn of(request: &Parts) -> Result<Self, Problem> {
        let fault = |message: &'static str| Problem::invalid("(host)", message);
        let read = |text: &str| Self::parse(text).map_err(|_| fault("must be a host name, with or without a port"));
        let mut lines = request.headers.get_all(HOST).iter();
        let (line, None) = (lines.next(), lines.next()) else { return Err(fault("is given twice")) };
        let header = line.map(HeaderValue::to_str).map(|text| read(text.unwrap_or("?"))).transpose()?;
        let target = request.uri.authority().map(|authority| read(authority.as_str())).transpose()?;
        match (target, header) {
            (Some(target), Some(header)) if target != header => Err(fault("is not the host of the request's target")),
            (_, Some(header)) => Ok(header),
            (Some(target), None) if request.version >= Version::HTTP_2 => Ok(target),
            (_, None) => Err(fault("is required")),
        }
    }

    /// The name or the literal, an IPv6 one in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address, when the host is one and not a name.
    #[must_use]
    pub const fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    /// Whether it is `localhost`, a name under it, or a loopback address (RFC 6761 §6.3).
    #[must_use]
    pub fn is_local(&self) -> bool {
        let name = self.host == "localhost" || self.host.ends_with(".localhost");
        name || self.literal.is_some_and(|address| address.is_loopback())
    }
}

/// What lives at a host. An extension of every request behind the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The platform's own domain.
    Apex,
    /// `{slug}.{platform}`: whether there is such a tenant is for the directory to say.
    Tenant(Slug),
    /// `api.{platform}`: the SDK's API.
    Api,
    /// `admin.{platform}`: the operators.
    Admin,
    /// Not under the platform's domain: a custom domain, or nobody's.
    Unknown,
}

/// The platform's domain.
#[derive(Clone, Debug)]
pub struct Platform {
    suffix: String,
}

impl Platform {
    /// The platform at this domain, `localhost` or `example.com`.
    ///
    /// # Errors
    /// [`NotAnAuthority`] when it is not a name without a port.
    pub fn new(domain: &str) -> Result<Self, NotAnAuthority> {
        let authority = Authority::parse(domain)?;
        if authority.port.is_some() || authority.literal.is_some() {
            return Err(NotAnAuthority);
        }
        Ok(Self { suffix: format!(".{}", authority.host) })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.suffix.strip_prefix('.').unwrap_or_default()
    }

    /// Where this host leads. The port does not matter.
    #[must_use]
    pub fn place(&self, host: &Authority) -> Place {
        if host.host == self.domain() {
            return Place::Apex;
        }
        match host.host.strip_suffix(&self.suffix) {
            Some("api") => Place::Api,
            Some("admin") => Place::Admin,
            Some(label) => label.parse().map_or(Place::Unknown, Place::Tenant),
            None => Place::Unknown,
        }
    }
}

fn port(digits: &str) -> Result<u16, NotAnAuthority> {
    if digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnAuthority);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(NotAnAuthority)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_CHARS_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn of(target: &str, version: Version, hosts: &[&str]) -> Option<(String, Option<u16>)> {
        let mut request = Request::builder().uri(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        Authority::of(&parts).ok().map(|authority| (authority.host, authority.port))
    }

    #[test]
    fn exactly_one_well_formed_host() {
        let one = |host| of("/", Version::HTTP_11, &[host]);
        assert_eq!(one("Acme.Example.COM."), Some(("acme.example.com".into(), None)));
        assert_eq!(one("acme.localhost:8080"), Some(("acme.localhost".into(), Some(8080))));
        assert_eq!(one("127.0.0.1:80"), Some(("127.0.0.1".into(), Some(80))));
        assert_eq!(one("[::1]:80"), Some(("[::1]".into(), Some(80))));
        for bad in [
            "", ".", "a..b", "user@acme", "a:b@acme", "acme:", "acme:0", "acme:65536", "acme:+80", "acme:80:80",
            "acme/x", "a b", "acme,b", "-a.b", "a-.b", "a_b", "[::1", "[::1]x", "[1.2.3.4]", "::1", "\u{e4}.example",
            "acme..", "acme\\x", "acme?x",
        ] {
            assert_eq!(one(bad), None, "{bad}");
        }
        for long in ["a".repeat(64), ["a"; 128].join(".")] {
            assert_eq!(of("/", Version::HTTP_11, &[&long]), None);
        }
        assert_eq!(of("/", Version::HTTP_11, &[]), None);
        assert_eq!(of("/", Version::HTTP_11, &["acme", "acme"]), None);
    }

    #[test]
    fn the_target_and_the_header_agree() {
        let wanted = Some(("acme".to_owned(), None));
        assert_eq!(of("http://acme/", Version::HTTP_2, &[]), wanted);
        assert_eq!(of("http://acme/", Version::HTTP_2, &["acme"]), wanted);
        assert_eq!(of("http://acme/", Version::HTTP_2, &["globex"]), None);
        assert_eq!(of("http://u@acme/", Version::HTTP_2, &[]), None);
        assert_eq!(of("http://acme/", Version::HTTP_11, &["ACME"]), wanted);
        assert_eq!(of("http://acme/", Version::HTTP_11, &["globex"]), None);
        assert_eq!(of("http://acme/", Version::HTTP_11, &[]), None);
    }

    #[test]
    fn places() {
        let place = |host: &str| {
            Platform::new("example.com").expect("a domain").place(&Authority::parse(host).expect("a host"))
        };
        assert_eq!(place("example.com:443"), Place::Apex);
        assert_eq!(place("ACME.example.com."), Place::Tenant("acme".parse().expect("a slug")));
        assert_eq!(place("api.example.com"), Place::Api);
        assert_eq!(place("admin.example.com:1"), Place::Admin);
        for unknown in
            ["evilexample.com", "a.acme.example.com", "9acme.example.com", "acme.example.com.evil", "com", "1.2.3.4"]
        {
            assert_eq!(place(unknown), Place::Unknown, "{unknown}");
        }
        assert!(Platform::new("example.com:1").is_err() && Platform::new("127.0.0.1").is_err());
    }

    #[test]
    fn local_hosts() {
        let local = |host: &str| Authority::parse(host).expect("a host").is_local();
        assert!(local("localhost:1") && local("acme.localhost") && local("127.0.0.1") && local("[::1]:1"));
        assert!(!local("notlocalhost") && !local("localhost.example.com") && !local("10.0.0.1"));
    }
}
