//! `[http]` and `[private]`: the two listeners.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::acme;
use super::platform::Domain;
use super::profile::Profile;
use super::tls::{self, TlsFiles};
use super::values::Values;

const LISTEN: &str = "http.listen";
pub(super) const REDIRECT_LISTEN: &str = "http.redirect_listen";
const DENIED_CIDRS: &str = "http.denied_cidrs";
const TRUSTED_PROXIES: &str = "http.trusted_proxies";
const PRIVATE_LISTEN: &str = "private.listen";
pub(super) const SETTINGS: &[&str] =
    &[LISTEN, REDIRECT_LISTEN, tls::SETTINGS[0], tls::SETTINGS[1], TRUSTED_PROXIES, DENIED_CIDRS, PRIVATE_LISTEN];

/// The public listener.
#[derive(Debug)]
pub struct Http {
    /// Where it listens. Port 0: the system chooses one.
    pub listen: SocketAddr,
    /// Its certificates that are files; without any, and without ACME, it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where plain HTTP is sent to HTTPS, if anywhere. Port 0: the system chooses one.
    pub redirect: Option<SocketAddr>,
    /// From where nobody is served. Never a network of every address.
    pub denied: Vec<IpNet>,
    /// The proxies whose forwarded headers are believed. Never a network of every address.
    pub trusted_proxies: Vec<IpNet>,
}

/// The private listener: probes, metrics, the view of the tree.
#[derive(Clone, Debug)]
pub struct Private {
    /// Where it listens; not where the public one does. Port 0: the system chooses one.
    pub listen: SocketAddr,
}

pub(super) fn read(values: &mut Values, profile: Profile, domain: Option<&Domain>) -> Option<(Http, Private)> {
    let listen = address(values, LISTEN);
    let private = address(values, PRIVATE_LISTEN);
    if let (Some(listen), Some(private)) = (listen, private)
        && listen == private
        && listen.port() != 0
    {
        values.fault(PRIVATE_LISTEN, "is the address of the public listener", "choose another port");
    }
    let trusted_proxies = networks_of(values, TRUSTED_PROXIES);
    let denied = networks_of(values, DENIED_CIDRS);
    let has_tls = tls::SETTINGS.iter().chain(&[acme::DIRECTORY]).any(|setting| values.is_set(setting));
    // With ACME, files need not be for the platform: what they are not good for is ordered.
    let must_be_for = domain.filter(|_| !values.is_set(acme::DIRECTORY)).map(Domain::as_str);
    let tls = tls::read(values, must_be_for);
    let redirect = values.is_set(REDIRECT_LISTEN).then(|| address(values, REDIRECT_LISTEN)).flatten();
    if redirect.is_some() && !has_tls {
        values.fault(
            REDIRECT_LISTEN,
            "sends to HTTPS, which is not spoken here",
            "set FREEHOLD_HTTP_TLS_CERT or FREEHOLD_ACME_DIRECTORY, or unset it",
        );
    }
    if redirect.is_some_and(|redirect| redirect.port() != 0 && [listen, private].contains(&Some(redirect))) {
        values.fault(REDIRECT_LISTEN, "is the address of another listener", "choose another port");
    }
    let without_tls = !has_tls && trusted_proxies.is_none() && !values.is_faulty(TRUSTED_PROXIES);
    if profile == Profile::Production && without_tls {
        values.fault(
            TRUSTED_PROXIES,
            "not set, and production needs TLS",
            "set FREEHOLD_HTTP_TLS_CERT and FREEHOLD_HTTP_TLS_KEY, or FREEHOLD_ACME_DIRECTORY, or terminate TLS in a proxy and \
             write its address here",
        );
    }
    let http = Http {
        listen: listen?,
        tls,
        redirect,
        denied: denied.unwrap_or_default(),
        trusted_proxies: trusted_proxies.unwrap_or_default(),
    };
    Some((http, Private { listen: private? }))
}

/// Under `--demo` nobody else may reach the listeners. Reads them itself: another fault must not hide these.
pub(super) fn check_demo(values: &mut Values) {
    for setting in [LISTEN, PRIVATE_LISTEN] {
        if address(values, setting).is_some_and(|listen| !listen.ip().is_loopback()) {
            values.fault(
                setting,
                "is not a loopback address, and --demo needs one",
                "listen on 127.0.0.1 or [::1], or leave --demo out",
            );
        }
    }
}

fn address(values: &mut Values, setting: &str) -> Option<SocketAddr> {
    let remedy = "write it like 127.0.0.1:8080 or [::1]:8080; a host name is not enough";
    values.read(setting, "an IP address and a port", remedy, |text| text.parse().ok())
}

/// The networks that `setting` lists, if it is set.
pub(super) fn networks_of(values: &mut Values, setting: &str) -> Option<Vec<IpNet>> {
    let remedy = "write CIDRs with commas between, like 10.0.0.0/8,fd00::/8";
    values.read(setting, "a list of networks, none of which is every address", remedy, networks)
}

fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |text: &str| {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
        (network.prefix_len() > 0).then(|| network.trunc())
    };
    text.split(',').map(|part| network(part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cidrs_or_addresses() {
        let read = |text: &str| {
            networks(text).map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read("10.1.2.3/8, 192.0.2.1,::1").as_deref(), Some("10.0.0.0/8 192.0.2.1/32 ::1/128"));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0.0/8,", "0.0.0.0/0", "::/0"] {
            assert_eq!(networks(wrong), None, "{wrong}");
        }
    }
}
