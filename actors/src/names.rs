//! Where names lead that tenants chose: what the DNS says now, not what it said, and nothing of the host's own files.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::time::timeout;

/// One look at the DNS, its second try included.
const WITHIN: Duration = Duration::from_secs(4);
const TRY_WITHIN: Duration = Duration::from_millis(1_500);

/// Whoever is asked.
pub(crate) struct Names(Option<TokioResolver>);

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRecords {
    /// The DNS says that there are none.
    None,
    /// Nobody says anything.
    NoAnswer,
}

impl Names {
    /// Asks `server`; whoever the system asks, if nobody is named. Where nobody can be asked no name leads anywhere, and a line
    /// of the log says so.
    pub(crate) fn of(server: Option<SocketAddr>) -> Self {
        let resolver = resolver(server);
        Self(resolver.inspect_err(|error| tracing::warn!(%error, "no name server: no name can be looked up")).ok())
    }

    /// The records of a name that has a dot at its end.
    pub(crate) async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, NoRecords> {
        let resolver = self.0.as_ref().ok_or(NoRecords::NoAnswer)?;
        match timeout(WITHIN, resolver.lookup(name, kind)).await {
            Ok(Ok(found)) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none))))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                Err(NoRecords::None)
            }
            Ok(Err(_)) | Err(_) => Err(NoRecords::NoAnswer),
        }
    }

    /// The addresses of a name without a dot at its end, of both kinds; none where the DNS says so.
    ///
    /// # Errors
    /// [`NoRecords::NoAnswer`]
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoRecords> {
        let full = format!("{name}.");
        let (v4, v6) = tokio::join!(self.records(&full, RecordType::A), self.records(&full, RecordType::AAAA));
        let (v4, v6) = match (v4, v6) {
            (Err(NoRecords::NoAnswer), Err(_)) | (Err(_), Err(NoRecords::NoAnswer)) => return Err(NoRecords::NoAnswer),
            (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
        };
        Ok(v4.iter().chain(&v6).filter_map(RData::ip_addr).collect())
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
    options.timeout = TRY_WITHIN;
    options.attempts = 1;
    builder.build()
}
