//! Looking for the proof of a custom domain: in the DNS, and over HTTP at an address of the name's own.
//!
//! Whoever claims a name chooses what is asked, so nothing but this is: one TXT name, and one page of one port of addresses
//! that the whole Internet routes. The address that was checked is the one that is called, so a name cannot lead elsewhere
//! in between; nothing follows a redirect, and nothing of an answer is kept.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use freehold_domain::custom_domain::{Challenge, DomainName, Look, PROOF_PATH, Rules, Seen};
use freehold_domain::public_address::is_public;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metric;
use crate::outbound::{Bounds, CallFailed, get_plain};

/// One look at the DNS, its second try included.
const DNS_WITHIN: Duration = Duration::from_secs(4);
const DNS_TRY_WITHIN: Duration = Duration::from_millis(1_500);
/// One page.
const PAGE: Bounds = Bounds { within: Duration::from_secs(3), bytes_max: 1024 };
/// Most addresses of a name that are called.
const ADDRESSES_MAX: usize = 2;
/// Looks under way at the same time, at most.
const AT_ONCE: usize = 8;

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRule {
    /// Who is asked for names; whoever the system asks, if nobody is named.
    pub resolver: Option<SocketAddr>,
    /// The port of the page: 80, but for tests.
    pub http_port: u16,
    /// Networks that may be called besides those of the Internet.
    pub private_networks: Vec<IpNet>,
    /// How often an attached name is looked at, and how long its proof may be gone.
    pub rules: Rules,
}

/// The ways to both places.
pub struct DomainProofs {
    rule: ProofRule,
    /// `None`: nobody can be asked.
    resolver: Option<TokioResolver>,
    at_once: Semaphore,
}

impl DomainProofs {
    /// By this rule. Where nobody can be asked for names no look finds anything, and a line of the log says so.
    #[must_use]
    pub fn new(rule: ProofRule) -> Self {
        let resolver = resolver(rule.resolver)
            .inspect_err(|error| tracing::warn!(%error, "no name server: custom domains cannot be verified"));
        Self { rule, resolver: resolver.ok(), at_once: Semaphore::new(AT_ONCE) }
    }

    /// How often to look.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rule.rules
    }

    /// Looks at both places; a look waits while eight others are under way.
    pub async fn look(&self, name: &DomainName, challenge: &Challenge) -> Look {
        let _place = self.at_once.acquire().await;
        let (txt, http) = tokio::join!(self.txt(name, challenge), self.page(name, challenge));
        let look = Look { txt, http };
        metrics::counter!(metric::DOMAIN_LOOKS, "txt" => txt.as_str(), "http" => http.as_str()).increment(1);
        look
    }

    async fn txt(&self, name: &DomainName, challenge: &Challenge) -> Seen {
        match self.records(&format!("{}.", name.txt_name()), RecordType::TXT).await {
            Ok(records) => {
                let text = |data| if let RData::TXT(txt) = data { Some(txt.txt_data.concat()) } else { None };
                let texts: Vec<_> = records.into_iter().filter_map(text).collect();
                challenge.seen_in(texts.iter().map(Vec::as_slice))
            }
            Err(seen) => seen,
        }
    }

    async fn page(&self, name: &DomainName, challenge: &Challenge) -> Seen {
        let full = format!("{name}.");
        let (v4, v6) = tokio::join!(self.records(&full, RecordType::A), self.records(&full, RecordType::AAAA));
        let (v4, v6) = match (v4, v6) {
            (Err(Seen::NoAnswer), Err(_)) | (Err(_), Err(Seen::NoAnswer)) => return Seen::NoAnswer,
            (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
        };
        let addresses: Vec<_> = v4.iter().chain(&v6).filter_map(RData::ip_addr).collect();
        let mut seen = if addresses.is_empty() { Seen::Nothing } else { Seen::Forbidden };
        for address in addresses.into_iter().filter(|address| self.may_call(*address)).take(ADDRESSES_MAX) {
            let to = SocketAddr::new(address, self.rule.http_port);
            seen = match get_plain(to, name.as_str(), PROOF_PATH, PAGE).await {
                Ok(page) if challenge.is_page(&page) => return Seen::Proof,
                Ok(_) | Err(CallFailed::TooLong | CallFailed::Malformed) => Seen::Other,
                Err(CallFailed::Status(_)) => Seen::Nothing,
                Err(CallFailed::Late | CallFailed::Connection(_) | CallFailed::Exchange(_)) => Seen::NoAnswer,
            };
        }
        seen
    }

    fn may_call(&self, address: IpAddr) -> bool {
        is_public(address) || self.rule.private_networks.iter().any(|network| network.contains(&address))
    }

    /// The records of a name. [`Seen::Nothing`] when the DNS says that there are none.
    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Seen> {
        let resolver = self.resolver.as_ref().ok_or(Seen::NoAnswer)?;
        match timeout(DNS_WITHIN, resolver.lookup(name, kind)).await {
            Ok(Ok(found)) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none))))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                Err(Seen::Nothing)
            }
            Ok(Err(_)) | Err(_) => Err(Seen::NoAnswer),
        }
    }
}

fn resolver(address: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match address {
        None => TokioResolver::builder_tokio()?,
        Some(address) => {
            let at = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0; // what is there now, not what was
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = DNS_TRY_WITHIN;
    options.attempts = 1;
    builder.build()
}
