//! `[outbound]`: how far calls go to URLs that tenants named, and who vouches for them.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use freehold_actors::public_client::OutboundRule;
use freehold_domain::public_url::Reach;

use super::http::networks_of;
use super::roots;
use super::values::Values;

const PORTS: &str = "outbound.ports";
const PRIVATE_CIDRS: &str = "outbound.private_cidrs";
const CA_FILE: &str = "outbound.ca_file";
pub(super) const SETTINGS: &[&str] = &[PORTS, PRIVATE_CIDRS, CA_FILE];

/// Asks `resolver` for names, as the proofs of domains do.
pub(super) fn read(values: &mut Values, resolver: Option<SocketAddr>) -> Option<OutboundRule> {
    let ports = values.read(PORTS, "a list of ports", "write ports with commas between, like 443,8000-8999", ports);
    let private_networks = networks_of(values, PRIVATE_CIDRS).unwrap_or_default();
    let roots = roots::setting(values, CA_FILE);
    let reach = Reach { private_networks, ports: ports? };
    Some(OutboundRule { resolver, reach, roots: roots?.unwrap_or_default() })
}

fn ports(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let port = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port: &u16| is_plain && *port > 0)
    };
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (port(from)?, port(to)?);
        (from <= to).then_some(from..=to)
    };
    text.split(',').map(|part| range(part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_ranges() {
        assert_eq!(ports("443, 8000-8999"), Some(vec![443..=443, 8_000..=8_999]));
        for wrong in ["", "0", "443,", "65536", "9-8", "+443", "https", "1-2-3", "443;8443"] {
            assert_eq!(ports(wrong), None, "{wrong}");
        }
    }
}
