//! Who can reach what is not for everybody, and whose word is believed.

use std::net::IpAddr;

use freehold_domain::public_address::is_public;
use ipnet::IpNet;

use super::finding::Finding;
use crate::config::Config;

/// A wider network is not one of somebody's own.
const PREFIX_MIN_V4: u8 = 8;
const PREFIX_MIN_V6: u8 = 16;

/// Whether the private listener is where the internet can reach it.
pub(super) fn private_address(config: &Config) -> Finding {
    const CHECK: &str = "private-address";
    let address = config.private.listen;
    let remedy = "set FREEHOLD_PRIVATE_LISTEN to a loopback address, or one of a network of your own";
    if address.ip().is_unspecified() {
        return Finding::bad(
            CHECK,
            format!("the private listener is on every address of this machine ({address})"),
            remedy,
        );
    }
    if is_public(address.ip()) {
        return Finding::bad(CHECK, format!("the private listener is on a public address ({address})"), remedy);
    }
    Finding::good(CHECK, format!("the private listener is on {address}"))
}

/// Whether the networks of proxies are narrow.
pub(super) fn trusted_proxies(config: &Config) -> Finding {
    const CHECK: &str = "trusted-proxies";
    let networks = &config.http.trusted_proxies;
    let names = |networks: &[&IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let wide: Vec<_> = networks.iter().filter(|network| is_wide(network)).collect();
    if !wide.is_empty() {
        let found = format!("whoever comes from {} may say whose request it is", names(&wide));
        return Finding::bad(CHECK, found, "write the addresses of the proxies alone in FREEHOLD_HTTP_TRUSTED_PROXIES");
    }
    if networks.is_empty() {
        return Finding::good(CHECK, "no proxy is believed");
    }
    Finding::good(CHECK, format!("believed are {}", names(&networks.iter().collect::<Vec<_>>())))
}

fn is_wide(network: &IpNet) -> bool {
    match network.addr() {
        IpAddr::V4(_) => network.prefix_len() < PREFIX_MIN_V4,
        IpAddr::V6(_) => network.prefix_len() < PREFIX_MIN_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_half_the_internet_is_wide() {
        let wide = |text: &str| is_wide(&text.parse().expect("a network"));
        assert!(wide("128.0.0.0/1") && wide("10.0.0.0/7") && wide("2000::/3"));
        assert!(!wide("10.0.0.0/8") && !wide("192.0.2.1/32") && !wide("fd00::/16"));
    }
}
