//! Forwarding headers: believed of a trusted peer alone, and whatever they say, a client has one address.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use freehold_http::client_address::{Client, Peer, Scheme, TrustedProxies};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "forwarded", "x-real-ip"];

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(16) {
        let Some((name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(*name) % NAMES.len()], value);
        }
    }
    let peer = Peer { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), scheme: Scheme::Http };
    let unknown = Client::behind(peer, &headers, &TrustedProxies::default());
    assert!(!unknown.proxied && unknown.scheme == Scheme::Http && unknown.address == Ipv4Addr::LOCALHOST);
    let proxies =
        TrustedProxies::new(["127.0.0.0/8", "10.0.0.0/8"].map(|text| text.parse().expect("a network")).into());
    let known = Client::behind(peer, &headers, &proxies);
    assert!(known.proxied && known.address == known.address.to_canonical());
    let _ = known.key();
});
