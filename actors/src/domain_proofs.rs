//! Looking for the proof of a custom domain: in the DNS, and over HTTP at an address of the name's own.
//!
//! Whoever claims a name chooses what is asked, so nothing but this is: one TXT name, and one page of one port of addresses
//! that the whole Internet routes. The address that was checked is the one that is called, so a name cannot lead elsewhere
//! in between; nothing follows a redirect, and nothing of an answer is kept.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use freehold_domain::custom_domain::{Challenge, DomainName, Look, PROOF_PATH, Rules, Seen};
use freehold_domain::public_address::is_public;
use hickory_resolver::proto::rr::{RData, RecordType};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::metric;
use crate::names::{Names, NoRecords};
use crate::outbound::{Bounds, CallFailed, get_plain};

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
    names: Names,
    at_once: Semaphore,
}

impl DomainProofs {
    /// By this rule. Where nobody can be asked for names no look finds anything, and a line of the log says so.
    #[must_use]
    pub fn new(rule: ProofRule) -> Self {
        Self { names: Names::of(rule.resolver), rule, at_once: Semaphore::new(AT_ONCE) }
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
        match self.names.records(&format!("{}.", name.txt_name()), RecordType::TXT).await {
            Ok(records) => {
                let text = |data| if let RData::TXT(txt) = data { Some(txt.txt_data.concat()) } else { None };
                let texts: Vec<_> = records.into_iter().filter_map(text).collect();
                challenge.seen_in(texts.iter().map(Vec::as_slice))
            }
            Err(none) => none.into(),
        }
    }

    async fn page(&self, name: &DomainName, challenge: &Challenge) -> Seen {
        let addresses = match self.names.addresses(name.as_str()).await {
            Ok(addresses) => addresses,
            Err(none) => return none.into(),
        };
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
}

impl From<NoRecords> for Seen {
    fn from(none: NoRecords) -> Self {
        match none {
            NoRecords::None => Self::Nothing,
            NoRecords::NoAnswer => Self::NoAnswer,
        }
    }
}
