//! How many of the connections one tenant's transactions may have at once, so that one whose transactions hang leaves some to
//! the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_domain::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::StoreError;

/// The share of each tenant: half of the connections, and at least one.
#[derive(Debug)]
pub(crate) struct Shares {
    each_max: usize,
    /// The tenants that have or want a connection.
    tenants: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
    refused: AtomicU64,
}

/// A connection's worth of a tenant's share, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    // The order is that of dropping: who looks whether the tenant is still known finds the permit gone.
    _permit: OwnedSemaphorePermit,
    _known: Known,
}

/// Keeps a tenant known that has or wants a connection.
#[derive(Debug)]
struct Known {
    shares: Arc<Shares>,
    tenant: TenantId,
}

/// Why a tenant gets no connection now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the tenant has its share of the connections")]
struct ShareUsedUp;

impl Shares {
    /// Of so many connections.
    pub(crate) fn of(connections: u32) -> Self {
        let each_max = usize::try_from(connections / 2).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { each_max, tenants: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// How many connections a tenant has at most.
    pub(crate) const fn each_max(&self) -> usize {
        self.each_max
    }

    /// How often a tenant was refused because it had its share.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until the tenant may have one connection more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it may not by the deadline.
    pub(crate) async fn take(self: &Arc<Self>, tenant: TenantId, deadline: Instant) -> Result<Share, StoreError> {
        let (known, own) = self.know(tenant);
        let Ok(permit) = timeout_at(deadline, own.acquire_owned()).await else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::unavailable(ShareUsedUp));
        };
        Ok(Share { _permit: permit.map_err(StoreError::unavailable)?, _known: known })
    }

    fn know(self: &Arc<Self>, tenant: TenantId) -> (Known, Arc<Semaphore>) {
        let new = || Arc::new(Semaphore::new(self.each_max));
        let mut tenants = self.lock();
        let own = Arc::clone(tenants.entry(tenant).or_insert_with(new));
        (Known { shares: Arc::clone(self), tenant }, own)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, Arc<Semaphore>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut tenants = self.shares.lock();
        // The map's alone: nobody else has or wants a connection, and whoever comes now waits for the lock.
        if tenants.get(&self.tenant).is_some_and(|own| Arc::strong_count(own) == 1) {
            tenants.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use freehold_domain::time::UnixMs;

    use super::*;

    fn tenant(number: u8) -> TenantId {
        TenantId::new(UnixMs::new(1_700_000_000_000), [number; 10])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn a_tenant_has_half_and_others_have_theirs() {
        for (connections, each) in [(0, 1), (1, 1), (2, 1), (3, 1), (32, 16)] {
            assert_eq!(Shares::of(connections).each_max(), each);
        }
        let shares = Arc::new(Shares::of(4));
        let mut held =
            vec![shares.take(tenant(1), soon()).await.unwrap(), shares.take(tenant(1), soon()).await.unwrap()];
        let refused = shares.take(tenant(1), soon()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }) && shares.refused() == 1, "{refused}");
        let other = shares.take(tenant(2), soon()).await.unwrap();
        held.pop();
        held.push(shares.take(tenant(1), soon()).await.unwrap());
        assert_eq!((shares.lock().len(), shares.refused()), (2, 1));
        drop(other);
        assert_eq!(shares.lock().len(), 1);
        drop(held);
        assert!(shares.lock().is_empty(), "who has nothing is not remembered");
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let shares = Arc::new(Shares::of(2));
        let held = shares.take(tenant(1), soon()).await.unwrap();
        let waits = tokio::spawn({
            let shares = Arc::clone(&shares);
            async move { shares.take(tenant(1), Instant::now() + Duration::from_secs(30)).await }
        });
        // The map's, the permit's and that of who waits.
        while shares.lock().values().map(Arc::strong_count).sum::<usize>() < 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        let share = waits.await.unwrap().unwrap();
        assert_eq!(shares.lock().len(), 1);
        drop(share);
        assert!(shares.lock().is_empty());
    }
}
