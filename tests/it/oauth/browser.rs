//! A browser, as far as a sign-in needs one: it keeps cookies by host, follows redirects, and says where it comes from.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::{Answer, Conn};

/// Where `*.localhost:8080` is reached.
const PLATFORM_PORT: &str = ":8080";
const HOPS_MAX: usize = 20;

/// One person's browser.
pub(crate) struct Browser {
    /// The server that answers for the platform.
    pub(crate) server: SocketAddr,
    cookies: BTreeMap<(String, String), String>,
}

/// The parts of an address.
struct Address<'a> {
    authority: &'a str,
    target: &'a str,
    /// What stands before the path: the origin.
    origin: &'a str,
}

fn parse(url: &str) -> Address<'_> {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not http: {url}"));
    let authority = rest.split('/').next().unwrap();
    let target = rest.strip_prefix(authority).unwrap().split('#').next().unwrap();
    let origin = &url[.."http://".len() + authority.len()];
    Address { authority, target: if target.is_empty() { "/" } else { target }, origin }
}

impl Browser {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    /// A cookie that it has for a host.
    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(host.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Gives it a cookie, as nobody but the host itself could.
    pub(crate) fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }

    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.send("GET", url, &[], b"").await
    }

    /// Posts from a page of the same origin.
    pub(crate) async fn post(&mut self, url: &str, body: &Value) -> Answer {
        let origin = parse(url).origin.to_owned();
        let headers = [("content-type", "application/json"), ("origin", origin.as_str())];
        self.send("POST", url, &headers, body.to_string().as_bytes()).await
    }

    pub(crate) async fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let Address { authority, target, .. } = parse(url);
        let host = authority.split(':').next().unwrap().to_owned();
        let address = if authority.ends_with(PLATFORM_PORT) { self.server } else { authority.parse().unwrap() };
        let mine = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<_> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        let (cookies, mut headers) = (cookies.join("; "), headers.to_vec());
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let mut conn = Conn::open(address, authority).await;
        let answer = conn.send(conn.request(method, target, &headers, body)).await;
        for line in answer.headers.get_all("set-cookie") {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (host.clone(), name.to_owned());
            if value.is_empty() || attributes.to_lowercase().contains("max-age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        answer
    }

    /// Follows redirects from here to an address that has a fragment, or whose path is this one: that is not fetched.
    pub(crate) async fn follow(&mut self, url: &str, until: &str) -> String {
        let mut url = url.to_owned();
        for _ in 0..HOPS_MAX {
            let answer = self.get(&url).await;
            let location = answer.header("location").unwrap_or_else(|| panic!("{url} leads nowhere: {answer:?}"));
            assert!(answer.status.is_redirection(), "{answer:?}");
            url = if location.starts_with('/') {
                format!("{}{location}", parse(&url).origin)
            } else {
                location.to_owned()
            };
            if url.contains('#') || parse(&url).target.starts_with(until) {
                return url;
            }
        }
        panic!("it goes round in circles: {url}");
    }
}

/// The value of a parameter in a query or a fragment, undecoded.
pub(crate) fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once(['?', '#'])?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}
