//! A URL that a tenant names and the server then calls: what it may be.
//!
//! It is read by one strict rule and not by whoever connects: a host has one spelling, so nothing is checked in one form and
//! called in another (OWASP, Server-Side Request Forgery Prevention). Of a name only the caller knows where it leads; that is
//! checked by [`Reach::may_call`] for each address, and the address that was checked is the one to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::public_address::is_public;

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const HTTPS_PORT: u16 = 443;

/// Names, and what is below them, that never lead to the Internet (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476) or that
/// clouds and offices keep for themselves.
const SPECIAL: [&str; 13] = [
    "localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion", "invalid", "alt",
    "localdomain", "private",
];

/// How far calls that tenants ask for may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Networks that may be called besides the Internet.
    pub private_networks: Vec<IpNet>,
    /// Ports that may be called.
    pub ports: Vec<RangeInclusive<u16>>,
}

impl Reach {
    /// Whether this address may be called.
    #[must_use]
    pub fn may_call(&self, address: IpAddr) -> bool {
        is_public(address) || self.private_networks.iter().any(|network| network.contains(&address))
    }

    fn may_use(&self, port: u16) -> bool {
        self.ports.iter().any(|ports| ports.contains(&port))
    }
}

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To wherever the DNS says. In lower case, without a dot at its end.
    Name(String),
    /// To this address.
    Address(IpAddr),
}

/// An `https` URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    place: Place,
    port: u16,
    /// Path and query, as they are sent.
    target: String,
}

/// Which rule a URL breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// It is too long.
    #[error("must be of at most {URL_BYTES_MAX} bytes")]
    TooLong,
    /// It has a character that none has.
    #[error("must be of visible ASCII characters, without backslashes; write other letters of a name in Punycode")]
    Characters,
    /// It does not begin with `https://`.
    #[error("must begin with https://")]
    Scheme,
    /// It names a user.
    #[error("must not name a user or a password")]
    User,
    /// It names a place within what is answered.
    #[error("must not have a fragment")]
    Fragment,
    /// Its host is none.
    #[error("must have a host of letters, digits and hyphens with a dot in it, or an IP address")]
    Host,
    /// Its host is a number, or several, that some read as an address and some do not.
    #[error("must write an IPv4 address as four decimal numbers without leading zeros")]
    Number,
    /// Its host is a name that the Internet does not have.
    #[error("must not be a name that is kept for local networks")]
    SpecialName,
    /// Its host is an address that the Internet does not route, or wraps one.
    #[error("must not lead to an address that is not public")]
    PrivateAddress,
    /// Its host is a name that has no address.
    #[error("must have a host that has an address")]
    NoAddress,
    /// Its port is none that is called.
    #[error("must not have this port: only those that the operator allows are called")]
    Port,
}

impl UrlRefused {
    /// The rule, in a word.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::Characters => "characters",
            Self::Scheme => "https-only",
            Self::User => "no-credentials",
            Self::Fragment => "no-fragment",
            Self::Host => "host",
            Self::Number => "numeric-host",
            Self::SpecialName => "special-name",
            Self::PrivateAddress => "private-address",
            Self::NoAddress => "no-address",
            Self::Port => "port",
        }
    }
}

impl PublicUrl {
    /// The URL that `text` is.
    ///
    /// # Errors
    /// [`UrlRefused`]: the first rule that it breaks.
    pub fn parse(text: &str, reach: &Reach) -> Result<Self, UrlRefused> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlRefused::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte)) {
            return Err(UrlRefused::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlRefused::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(UrlRefused::Scheme);
        }
        if rest.contains('#') {
            return Err(UrlRefused::Fragment);
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlRefused::User);
        }
        let (host, port) = host_and_port(authority)?;
        let place = place(host)?;
        if let Place::Address(address) = place
            && !reach.may_call(address)
        {
            return Err(UrlRefused::PrivateAddress);
        }
        if !reach.may_use(port) {
            return Err(UrlRefused::Port);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { place, port, target: format!("{slash}{target}") })
    }

    /// Where it leads.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the `Host` header has them: the port of https is left out.
    #[must_use]
    pub fn authority(&self) -> String {
        let port = if self.port == HTTPS_PORT { String::new() } else { format!(":{}", self.port) };
        match &self.place {
            Place::Name(name) => format!("{name}{port}"),
            Place::Address(IpAddr::V4(address)) => format!("{address}{port}"),
            Place::Address(IpAddr::V6(address)) => format!("[{address}]{port}"),
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.target)
    }
}

fn host_and_port(authority: &str) -> Result<(&str, u16), UrlRefused> {
    let bracket = authority.rfind(']').unwrap_or(0);
    let colon = authority.get(bracket..).and_then(|tail| tail.find(':')).map(|at| bracket + at);
    let Some(colon) = colon else { return Ok((authority, HTTPS_PORT)) };
    let (host, port) = authority.split_at(colon);
    let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port > 0).ok_or(UrlRefused::Port)?;
    Ok((host, port))
}

fn place(host: &str) -> Result<Place, UrlRefused> {
    if let Some(inner) = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| UrlRefused::Host)?;
        return Ok(Place::Address(IpAddr::V6(address)));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Place::Address(IpAddr::V4(address)));
    }
    let name = host.to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    if labels.last().copied().is_some_and(is_number) || labels.iter().all(|label| is_number(label)) {
        return Err(UrlRefused::Number);
    }
    if labels.iter().any(|label| !is_label(label)) || name.len() > HOST_BYTES_MAX {
        return Err(UrlRefused::Host);
    }
    if labels.last().is_some_and(|last| SPECIAL.contains(last)) {
        return Err(UrlRefused::SpecialName);
    }
    if labels.len() < 2 { Err(UrlRefused::Host) } else { Ok(Place::Name(name)) }
}

/// What the URL standard takes for a part of an IPv4 address: decimal, octal or hexadecimal digits.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || (!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_label(label: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    bytes.len() <= LABEL_BYTES_MAX
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, UrlRefused> {
        PublicUrl::parse(text, &reach()).map(|url| url.to_string())
    }

    fn reach() -> Reach {
        Reach {
            private_networks: vec!["10.7.0.0/16".parse().unwrap(), "::ffff:10.9.0.0/112".parse().unwrap()],
            ports: vec![443..=443, 8_000..=8_999],
        }
    }

    #[test]
    fn what_may_be_called_has_one_spelling() {
        for (text, shown) in [
            ("https://hooks.example.com", "https://hooks.example.com/"),
            ("HTTPS://Hooks.Example.COM:443/A?b=C", "https://hooks.example.com/A?b=C"),
            ("https://hooks.example.com?x", "https://hooks.example.com/?x"),
            ("https://hooks.example.com:8443/%2e/a", "https://hooks.example.com:8443/%2e/a"),
            ("https://xn--mller-kva.example/", "https://xn--mller-kva.example/"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            ("https://[2606:4700::1111]:8000/", "https://[2606:4700::1111]:8000/"),
            ("https://10.7.1.1/", "https://10.7.1.1/"),
            ("https://[::ffff:a09:1]/", "https://[::ffff:10.9.0.1]/"),
            ("https://7.example/a@b", "https://7.example/a@b"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(shown), "{text}");
        }
    }

    const REFUSED: [(UrlRefused, &str); 9] = [
        (UrlRefused::Characters, "https://müller.example https://a.example\\@b.example https://<a>.example"),
        (UrlRefused::Scheme, "example.com //example.com http://example.com ftp://a.example file:///etc/passwd"),
        (UrlRefused::Fragment, "https://example.com/#a https://10.0.0.1#@example.com"),
        (UrlRefused::User, "https://u@example.com https://u:p@example.com https://example.com@10.0.0.1/"),
        (
            UrlRefused::Host,
            "https:// https:///a https://example https://example.com. https://.example.com https://-a.example \
             https://a_b.example https://[127.0.0.1]/ https://[fe80::1%25eth0]/ https://a..example https://%31.example",
        ),
        (
            UrlRefused::Number,
            "https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://127.1/ https://0x7f.1/ https://0x/ \
             https://127.0.0.1.1/ https://example.1/ https://00000177.0.0.1 https://127.0.0.0x1 https://256.1.1.1",
        ),
        (
            UrlRefused::SpecialName,
            "https://localhost/ https://a.localhost https://db.internal https://LOCALHOST https://printer.local \
             https://a.onion https://x.home.arpa",
        ),
        (
            UrlRefused::PrivateAddress,
            "https://127.0.0.1/ https://10.0.0.1 https://169.254.169.254/latest/meta-data https://[::1]/ \
             https://[::ffff:127.0.0.1]/ https://[64:ff9b::7f00:1]/ https://[2002:7f00:1::]/ https://0.0.0.0 \
             https://[::]/ https://192.168.0.1:8080/",
        ),
        (
            UrlRefused::Port,
            "https://example.com:80 https://example.com:22/ https://example.com:0 https://example.com: \
             https://example.com:65536 https://example.com:+443 https://[::1 https://::1/ https://example.com:443:443",
        ),
    ];

    #[test]
    fn each_rule_refuses_what_is_its_own() {
        for (rule, texts) in REFUSED {
            for text in texts.split(' ') {
                assert_eq!(parse(text), Err(rule), "{text}");
            }
        }
        assert_eq!(parse(""), Err(UrlRefused::Scheme));
        assert_eq!(parse("https://a.example/ b"), Err(UrlRefused::Characters));
        assert_eq!(parse(&format!("https://{}.com/", "a".repeat(64))), Err(UrlRefused::Host));
        assert_eq!(parse(&format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX))), Err(UrlRefused::TooLong));
    }
}
