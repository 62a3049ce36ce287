//! Who is calling: the peer, or what a trusted proxy says about it.
//!
//! `X-Forwarded-For` is read from the right, hop by hop, for as long as the hops are trusted; the first that is not is
//! the client. Nothing is believed from a peer that is not a trusted proxy, and `X-Forwarded-Host` from nobody.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// At most this many hops of `X-Forwarded-For` are walked.
const HOPS_MAX: usize = 32;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The headers by which proxies say what they know of a client.
pub(crate) const FORWARDING: [HeaderName; 2] = [FORWARDED_FOR, FORWARDED_PROTO];

/// How the client reached the outermost hop that we trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The scheme with this name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }

    /// 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The other end of the TCP connection: an extension of every request that the accept loop hands on.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address, as the kernel says.
    pub address: SocketAddr,
    /// What the listener speaks.
    pub scheme: Scheme,
}

/// The networks whose forwarding headers are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is one of theirs. An IPv4-mapped address counts as the IPv4 address it holds.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The caller of one request: an extension of every request behind the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; never IPv4-mapped.
    pub address: IpAddr,
    /// How it came.
    pub scheme: Scheme,
    /// Whether the peer is a trusted proxy.
    pub proxied: bool,
}

impl Client {
    /// The caller behind `peer`, going by these headers only when `peer` is trusted.
    #[must_use]
    pub fn behind(peer: Peer, headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let address = peer.address.ip().to_canonical();
        if !proxies.trusts(address) {
            return Self { address, scheme: peer.scheme, proxied: false };
        }
        let scheme = rightmost(headers, &FORWARDED_PROTO).and_then(Scheme::parse).unwrap_or(peer.scheme);
        Self { address: walk(address, headers, proxies), scheme, proxied: true }
    }

    /// What limits are counted by.
    #[must_use]
    pub fn key(&self) -> AddressKey {
        AddressKey::of(self.address)
    }
}

/// An address as limits count it: IPv4 whole, IPv6 by its /64, which is what one subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// The key of this address. An IPv4-mapped address has the key of the IPv4 address it holds.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(four) => Self(IpAddr::V4(four)),
            IpAddr::V6(six) => Self(IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)))),
        }
    }

    /// The address, or the first of the /64.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.0
    }
}

impl std::fmt::Display for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(four) => four.fmt(f),
            IpAddr::V6(six) => write!(f, "{six}/64"),
        }
    }
}

/// The rightmost hop that is not trusted; where a hop cannot be read, the trusted one that passed it on.
fn walk(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let mut last = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    // A line that is not text is one hop that cannot be read.
    for hop in lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')).take(HOPS_MAX) {
        let Some(address) = hop_address(hop.trim()) else { return last };
        if !proxies.trusts(address) {
            return address;
        }
        last = address;
    }
    last
}

/// `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5`.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    let address = bare.ok().or_else(|| {
        let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    })?;
    Some(address.to_canonical())
}

/// The last value of a list header: what the hop next to us has added.
fn rightmost<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?;
    line.to_str().ok()?.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> Client {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let peer = Peer { address: SocketAddr::new(ip(peer), 1), scheme: Scheme::Http };
        Client::behind(peer, &headers, &TrustedProxies::new(networks.to_vec()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        let cases: &[(&str, &[&str], &str)] = &[
            // an untrusted peer is believed nothing
            ("203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4,10.9.9.9"], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4", "10.9.9.9"], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4:555"], "1.2.3.4"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            // IPv4-mapped peers and hops are unwrapped before they are judged
            ("::ffff:10.0.0.1", &["1.2.3.4, ::ffff:10.2.3.4"], "1.2.3.4"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            // what cannot be read stops the walk at the last trusted hop
            ("10.0.0.1", &["1.2.3.4, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, _hidden, 10.5.5.5"], "10.5.5.5"),
            ("10.0.0.1", &["1.2.3.4,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["\u{e9}"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            // only trusted ones: the leftmost
            ("10.0.0.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ];
        for (peer, lines, wanted) in cases {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(client(peer, &headers).address, ip(wanted), "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_walk_is_bounded() {
        let line = vec!["10.1.1.1"; 100_000].join(",");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", &line)]).address, ip("10.1.1.1"));
    }

    #[test]
    fn the_scheme_comes_from_trusted_proxies_only() {
        let proto = |peer, value| client(peer, &[("x-forwarded-proto", value)]).scheme;
        assert_eq!(proto("203.0.113.9", "https"), Scheme::Http);
        assert_eq!(proto("10.0.0.1", "HTTPS"), Scheme::Https);
        assert_eq!(proto("10.0.0.1", "https, http"), Scheme::Http);
        assert_eq!(proto("10.0.0.1", "gopher"), Scheme::Http);
    }

    #[test]
    fn keys_are_what_one_subscriber_holds() {
        let key = |text| AddressKey::of(ip(text));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:1.2.3.4"), key("1.2.3.4"));
        assert_ne!(key("1.2.3.4"), key("1.2.3.5"));
        assert_eq!(key("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }
}
