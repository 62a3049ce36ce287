//! How many passwords are begun while one waits: what tests count and metrics do not.

use std::collections::BTreeMap;

use freehold_domain::id::TenantId;

/// Since when a password waits: how many were begun before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    tenant: TenantId,
    begun: u64,
}

/// What every tenant waited for.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    begun: u64,
    most: BTreeMap<TenantId, u64>,
}

impl Overtaken {
    /// A tenant's password waits from now on.
    pub(super) const fn joins(&self, tenant: TenantId) -> Behind {
        Behind { tenant, begun: self.begun }
    }

    /// Its turn has come.
    pub(super) fn begins(&mut self, behind: &Behind) {
        let most = self.most.entry(behind.tenant).or_default();
        *most = (*most).max(self.begun - behind.begun);
        self.begun += 1;
    }

    /// The most that any of a tenant's waited for, for each tenant.
    pub(super) fn told(&self) -> Vec<(TenantId, u64)> {
        self.most.iter().map(|(tenant, most)| (*tenant, *most)).collect()
    }
}
