//! `[platform]`: the domain whose subdomains are tenants, and how clients reach it.

use std::fmt;

use freehold_domain::slug::Slug;
use freehold_http::client_address::Scheme;
use ipnet::IpNet;

use super::http::networks_of;
use super::profile::Profile;
use super::values::Values;

const DOMAIN: &str = "platform.domain";
pub(super) const PUBLIC_URL: &str = "platform.public_url";
const OPERATOR_CIDRS: &str = "platform.operator_cidrs";
const RESERVED_SLUGS: &str = "platform.reserved_slugs";
pub(super) const SETTINGS: &[&str] = &[DOMAIN, PUBLIC_URL, OPERATOR_CIDRS, RESERVED_SLUGS];

/// Bytes of a domain, so that `{slug}.` (63 + 1) in front still makes a DNS name (253).
const DOMAIN_BYTES_MAX: usize = 253 - 64;

/// A DNS name in lower case: never an IP address, never longer than leaves room for a tenant's slug in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// The domain `text` names, in lower case. `None` if it is not a DNS name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label that is a number makes it an IPv4 address (WHATWG URL §3.5).
        let numeric = text.rsplit('.').next().is_none_or(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        (text.len() <= DOMAIN_BYTES_MAX && !numeric && text.split('.').all(label)).then_some(Self(text))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `localhost` or under it: a name no other machine can reach.
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost" || self.0.ends_with(".localhost")
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The platform's address as clients see it: a scheme, a host and perhaps a port. `Display` is its origin, without
/// a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    scheme: Scheme,
    host: Domain,
    port: u16,
}

impl PublicUrl {
    /// The address of `host` behind `scheme` at `port`.
    #[must_use]
    pub const fn new(scheme: Scheme, host: Domain, port: u16) -> Self {
        Self { scheme, host, port }
    }

    /// The address `text` is: nothing but scheme, host and port, and at most a slash after it. `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = Scheme::parse(scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.split_once(':') {
            None => (authority, scheme.default_port()),
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()?),
            Some(_) => return None,
        };
        (port > 0).then_some(Self { scheme, host: Domain::parse(host)?, port })
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Domain {
        &self.host
    }

    /// The port, the scheme's own if none was written; never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The origin of `{label}.{host}`: a tenant's slug, `api` or `admin`.
    #[must_use]
    pub fn origin_of(&self, label: &str) -> String {
        self.origin(&format!("{label}.{}", self.host))
    }

    fn origin(&self, host: &str) -> String {
        let scheme = self.scheme.as_str();
        if self.port == self.scheme.default_port() {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin(self.host.as_str()))
    }
}

/// Where the platform is found.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Tenants live at `{slug}.{domain}`.
    pub domain: Domain,
    /// How clients reach the platform. `None`: at `http://{domain}` and the port that listens.
    pub public_url: Option<PublicUrl>,
    /// From where operators may come; empty for anywhere.
    pub operator_cidrs: Vec<IpNet>,
    /// What no new tenant may be called, besides the names that the platform has itself.
    pub reserved_slugs: Vec<Slug>,
}

impl Platform {
    /// How clients reach the platform once `port` listens, and speaks `scheme` where nothing else is set.
    #[must_use]
    pub(super) fn public_url_at(&self, scheme: Scheme, port: u16) -> PublicUrl {
        self.public_url.clone().unwrap_or_else(|| PublicUrl::new(scheme, self.domain.clone(), port))
    }
}

pub(super) fn read(values: &mut Values, profile: Profile) -> Option<Platform> {
    let domain =
        values.read(DOMAIN, "a DNS name", "write a name like example.com, without scheme and port", Domain::parse);
    let public_url = values.read(
        PUBLIC_URL,
        "an http or https address of a host",
        "write it like https://example.com, without user name, path and query",
        PublicUrl::parse,
    );
    let production = profile == Profile::Production;
    if production && domain.as_ref().is_some_and(Domain::is_localhost) {
        values.fault(
            DOMAIN,
            "is localhost, which production cannot serve",
            "set the domain whose subdomains are the tenants",
        );
    }
    if production && !values.is_faulty(PUBLIC_URL) && public_url.as_ref().is_none_or(|url| url.scheme != Scheme::Https)
    {
        values.fault(
            PUBLIC_URL,
            "is not https, which production requires",
            "set the https address of the platform domain",
        );
    }
    if let (Some(domain), Some(url)) = (&domain, &public_url)
        && url.host != *domain
        && !values.is_faulty(DOMAIN)
    {
        let remedy = format!("write {domain} as its host, or change FREEHOLD_PLATFORM_DOMAIN");
        values.fault(PUBLIC_URL, "its host is not the platform domain", &remedy);
    }
    let operator_cidrs = networks_of(values, OPERATOR_CIDRS);
    let slugs = |text: &str| text.split(',').map(|slug| slug.trim().parse().ok()).collect::<Option<Vec<Slug>>>();
    let remedy = "write labels with commas between, like billing,shop";
    let reserved_slugs = values.read(RESERVED_SLUGS, "a list of slugs", remedy, slugs);
    Some(Platform {
        domain: domain?,
        public_url,
        operator_cidrs: operator_cidrs.unwrap_or_default(),
        reserved_slugs: reserved_slugs.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        assert_eq!(Domain::parse("Example.COM").map(|domain| domain.to_string()), Some("example.com".to_owned()));
        assert!(Domain::parse(&format!("{}.com", "a.".repeat(92))).is_none(), "an empty label");
        for wrong in ["", ".", "a.", ".a", "-a.com", "a-.com", "a_b.com", "127.0.0.1", "[::1]", "a b", "example.com:80"]
        {
            assert_eq!(Domain::parse(wrong), None, "{wrong}");
        }
        let longest = format!("{}a", "a.".repeat(94));
        assert!(Domain::parse(&longest).is_some());
        assert!(Domain::parse(&format!("{longest}a")).is_none());
    }

    #[test]
    fn public_urls() {
        for (text, origin, tenant) in [
            ("https://example.com", "https://example.com", "https://acme.example.com"),
            ("HTTPS://Example.com:443/", "https://example.com", "https://acme.example.com"),
            ("http://localhost:8080", "http://localhost:8080", "http://acme.localhost:8080"),
        ] {
            let url = PublicUrl::parse(text);
            assert_eq!(url.as_ref().map(ToString::to_string).as_deref(), Some(origin));
            assert_eq!(url.map(|url| url.origin_of("acme")).as_deref(), Some(tenant));
        }
        for wrong in [
            "example.com",
            "ftp://example.com",
            "https://",
            "https://user@example.com",
            "https://example.com/path",
            "https://example.com?x",
            "https://example.com:0",
            "https://example.com:+1",
            "https://example.com:",
            "https://[::1]",
        ] {
            assert_eq!(PublicUrl::parse(wrong), None, "{wrong}");
        }
    }
}
