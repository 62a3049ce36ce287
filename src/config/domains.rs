//! `[domains]`: how the proofs of tenants' own domains are looked for, and how often.

use std::net::SocketAddr;
use std::time::Duration;

use freehold_actors::domain_proofs::ProofRule;
use freehold_domain::custom_domain::Rules;

use super::http::networks_of;
use super::profile::Profile;
use super::values::Values;

const RESOLVER: &str = "domains.resolver";
const HTTP_PORT: &str = "domains.http_port";
const PRIVATE_CIDRS: &str = "domains.private_cidrs";
const RECHECK_S: &str = "domains.recheck_s";
const RETRY_S: &str = "domains.retry_s";
const DETACH_AFTER_S: &str = "domains.detach_after_s";
pub(super) const SETTINGS: &[&str] = &[RESOLVER, HTTP_PORT, PRIVATE_CIDRS, RECHECK_S, RETRY_S, DETACH_AFTER_S];

const HTTP_PORT_DEFAULT: u16 = 80;

pub(super) fn read(values: &mut Values, profile: Profile) -> Option<ProofRule> {
    let resolver =
        values.read(RESOLVER, "the address of a name server", "write it with a port, like 192.0.2.53:53", |text| {
            text.parse::<SocketAddr>().ok()
        });
    let http_port = values.number(HTTP_PORT, "port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    if profile == Profile::Production && http_port.is_some_and(|port| port != HTTP_PORT_DEFAULT) {
        values.fault(HTTP_PORT, "is another than 80, where others than a domain's owner may listen", "remove it");
    }
    let private_networks = networks_of(values, PRIVATE_CIDRS);
    let seconds = |values: &mut Values, setting| values.number(setting, "seconds", 1..=31_536_000);
    let (recheck, retry) = (seconds(values, RECHECK_S), seconds(values, RETRY_S));
    let detach_after = seconds(values, DETACH_AFTER_S);
    let of = |seconds: u32| Duration::from_secs(seconds.into());
    Some(ProofRule {
        resolver,
        http_port: http_port?,
        private_networks: private_networks.unwrap_or_default(),
        rules: Rules { recheck: of(recheck?), retry: of(retry?), detach_after: of(detach_after?) },
    })
}
