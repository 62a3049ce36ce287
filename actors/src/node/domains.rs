//! Where a host leads that is not under the platform's domain: asked of the store once a second at most, for each host.
//!
//! What is changed on this node is in force at once, and on the others within that second. While the store does not answer,
//! what it said last holds on for half a minute.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::custom_domain::{Challenge, DomainName};
use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;
use freehold_storage::custom_domain::{self, CustomDomainRow};
use freehold_storage::{Chain, StoreError};
use quick_cache::sync::Cache;

use crate::node::Node;

const FRESH_FOR: Duration = Duration::from_secs(1);
const STALE_FOR: Duration = Duration::from_secs(30);
const KNOWN_MAX: usize = 10_000;

/// A custom domain that leads to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The name.
    pub name: DomainName,
    /// To whom.
    pub tenant: TenantId,
    /// What its proof shows.
    pub challenge: Challenge,
    /// Whether browsers are told to take names under it for its own.
    pub hsts_subdomains: bool,
}

impl Attached {
    fn of(row: CustomDomainRow) -> Result<Self, StoreError> {
        let CustomDomainRow { tenant, domain, challenge, hsts_subdomains, .. } = row;
        let name = domain.parse().map_err(|_| StoreError::Corrupt { table: "custom_domain", id: domain })?;
        Ok(Self { name, tenant, challenge: Challenge::from_stored(challenge), hsts_subdomains })
    }
}

/// Where a host leads, and when the store said so.
type Known = (Option<Arc<Attached>>, UnixMs);

/// What is known of hosts.
pub struct Domains {
    known: Cache<Box<str>, Known>,
}

impl Default for Domains {
    fn default() -> Self {
        Self { known: Cache::new(KNOWN_MAX) }
    }
}

impl Domains {
    /// The next look asks the store.
    pub(crate) fn forget(&self, host: &str) {
        self.known.remove(host);
    }
}

impl Node {
    /// The custom domain that this host is: a name in lower case.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not say, and has not of late.
    pub async fn attached(&self, host: &str) -> Result<Option<Arc<Attached>>, StoreError> {
        let now = self.ambient.now();
        let known = self.domains.known.get(host);
        match known {
            Some((attached, at)) if now.since(at) < FRESH_FOR => Ok(attached),
            known => Box::pin(self.ask_where(host, known, now)).await,
        }
    }

    /// Asks the store, which few requests do: no other has the room for it.
    async fn ask_where(
        &self,
        host: &str,
        known: Option<Known>,
        now: UnixMs,
    ) -> Result<Option<Arc<Attached>>, StoreError> {
        let row = async { custom_domain::attached(&mut self.store.system_read().await?, host).await };
        match row.await.and_then(|row| row.map(Attached::of).transpose()) {
            Ok(attached) => {
                let attached = attached.map(Arc::new);
                self.domains.known.insert(host.into(), (attached.clone(), now));
                Ok(attached)
            }
            Err(error) => match known {
                Some((attached, at)) if now.since(at) < STALE_FOR => {
                    tracing::warn!(error = %Chain(&error), "where a host leads is not known anew");
                    Ok(attached)
                }
                Some(_) | None => Err(error),
            },
        }
    }
}
