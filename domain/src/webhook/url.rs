//! The URL that a provider called, taken apart without a letter of it changed: what is signed are its letters.

use std::fmt::Write as _;

use super::form;

/// Bytes of a URL that is looked at.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// An http or https URL.
#[derive(Clone, Copy)]
pub(super) struct Url<'a> {
    /// With its `://`.
    scheme: &'a str,
    /// With its `@`, if there is any.
    user: &'a str,
    host: &'a str,
    /// With its colon, if there is any.
    port: &'a str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Url<'a> {
    /// The parts of `text`; `None` for what is no such URL, or too long.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (name, _) = text.split_once("://").filter(|_| text.len() <= URL_BYTES_MAX)?;
        let is_known = ["http", "https"].iter().any(|known| name.eq_ignore_ascii_case(known));
        let (scheme, behind) = text.split_at_checked(name.len() + 3).filter(|_| is_known)?;
        let (authority, rest) = behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len()));
        let (user, place) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        // A colon within brackets is one of an IPv6 address.
        let bracket = place.rfind(']').unwrap_or(0);
        let colon = place.get(bracket..).and_then(|tail| tail.find(':'));
        let (host, port) = place.split_at(colon.map_or(place.len(), |colon| bracket + colon));
        (!host.is_empty()).then_some(Self { scheme, user, host, port, rest })
    }

    /// Without a port, and with the one that it has or that belongs to its scheme.
    pub(super) fn without_and_with_port(&self) -> [String; 2] {
        let Self { scheme, user, host, port, rest } = self;
        let usual = if scheme.eq_ignore_ascii_case("https://") { ":443" } else { ":80" };
        let port = if port.is_empty() { usual } else { port };
        [format!("{scheme}{user}{host}{rest}"), format!("{scheme}{user}{host}{port}{rest}")]
    }

    /// What may be meant by it, when a signature does not fit: the other scheme, a slash more or less at the end, no query.
    pub(super) fn mistaken(&self) -> Vec<String> {
        let Self { scheme, user, host, port, rest } = self;
        let other = if scheme.eq_ignore_ascii_case("https://") { "http://" } else { "https://" };
        let path = rest.split('?').next().unwrap_or_default();
        let slash = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
        let query = rest.strip_prefix(path).unwrap_or_default();
        let [without, with] = self.without_and_with_port();
        let of = |scheme: &str, rest: &str| format!("{scheme}{user}{host}{port}{rest}");
        vec![of(other, rest), of(scheme, &format!("{slash}{query}")), of(scheme, path), without, with]
    }

    /// The pairs of its query, as they stand.
    pub(super) fn query(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let query = self.rest.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// The URL with every letter of its query that browsers escape escaped, such as `'` by `%27`.
pub(super) fn with_query_escaped(url: &str) -> String {
    let Some((head, query)) = url.split_once('?') else { return url.to_owned() };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\'');
    format!("{head}?{}", escaped(query.as_bytes(), is_plain))
}

/// The URL with its query decoded and written anew, as an old module of Node.js does: a space as `%20`, `=` behind every name.
pub(super) fn with_query_anew(url: &str) -> String {
    let Some((head, query)) = url.split_once('?').filter(|(_, query)| !query.is_empty()) else { return url.to_owned() };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    let write = |text: &[u8]| escaped(text, is_plain);
    let pairs: Vec<_> =
        form::pairs(query.as_bytes()).map(|(name, value)| format!("{}={}", write(&name), write(&value))).collect();
    format!("{head}?{}", pairs.join("&"))
}

fn escaped(text: &[u8], is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        if is_plain(*byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // a String takes everything
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_put_together_again() {
        for (url, without, with) in [
            ("https://a.test/x?y=:1", "https://a.test/x?y=:1", "https://a.test:443/x?y=:1"),
            ("https://a.test:443/x", "https://a.test/x", "https://a.test:443/x"),
            ("https://a.test:8443/x", "https://a.test/x", "https://a.test:8443/x"),
            ("http://a.test?q=a/b@c:d", "http://a.test?q=a/b@c:d", "http://a.test:80?q=a/b@c:d"),
            ("HTTPS://u:p@A.test:1/", "HTTPS://u:p@A.test/", "HTTPS://u:p@A.test:1/"),
            ("https://[::1]:8080/", "https://[::1]/", "https://[::1]:8080/"),
            ("https://[::1]/é", "https://[::1]/é", "https://[::1]:443/é"),
        ] {
            assert_eq!(Url::of(url).unwrap().without_and_with_port(), [without, with], "{url}");
        }
        let long = format!("https://a.test/{}", "x".repeat(URL_BYTES_MAX));
        for bad in ["", "https", "https://", "https:///x", "ftp://a.test/", "//a.test/", "https://u@:1/", "é://", &long]
        {
            assert!(Url::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_written_in_other_ways() {
        for (query, escaped, anew) in [
            ("", "", ""),
            ("a=it's", "a=it%27s", "a=it's"),
            ("a=1+2&b", "a=1+2&b", "a=1%202&b="),
            ("a=%c3%a9&a=é", "a=%c3%a9&a=%C3%A9", "a=%C3%A9&a=%C3%A9"),
            ("a b=<\">", "a%20b=%3C%22%3E", "a%20b=%3C%22%3E"),
            ("a=b=c&&d=%zz", "a=b=c&&d=%zz", "a=b%3Dc&d=%25zz"),
        ] {
            let url = |query: &str| format!("https://a.test/'?{query}");
            assert_eq!(with_query_escaped(&url(query)), url(escaped));
            assert_eq!(with_query_anew(&url(query)), url(anew));
        }
        assert_eq!(with_query_anew("https://a.test/é"), "https://a.test/é");
    }
}
