//! Tokens that nobody asks for are refreshed too: a grant that is never used would be over one day.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
use freehold_storage::integration as rows;
use freehold_storage::{Chain, StoreError};
use tokio_util::sync::CancellationToken;

use super::access::Holder;
use crate::node::{Node, Unreachable};
use crate::ops::refusal::Refusal;
use crate::queue::EVERYBODY;

/// How many tenants' tokens are refreshed at once.
const ROUNDS_MAX: usize = 4;
/// When it is tried again where something of our own failed, and at the earliest where the provider did.
const AGAIN: Duration = Duration::from_secs(30);
/// How long the tokens of a tenant wait that is not served.
const UNSERVED_WAIT: Duration = Duration::from_mins(5);

/// Why a round could not be made.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tenant(#[from] Unreachable),
    #[error("the tenant is not served: {0:?}")]
    Refused(Refusal),
}

/// Refreshes what is due until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let round = |tenant| round(Arc::clone(&node), tenant);
    node.integrations.tenants.run(&node.ambient, &stop, (ROUNDS_MAX, AGAIN), EVERYBODY, round).await;
}

/// One tenant's round, and when its next is due.
async fn round(node: Arc<Node>, tenant: TenantId) -> Option<UnixMs> {
    refresh(&node, tenant).await.unwrap_or_else(|error| {
        tracing::warn!(tenant.id = %tenant, error = %Chain(&error), "a tenant's tokens could not be looked at");
        Some(node.ambient.now().plus(AGAIN))
    })
}

async fn refresh(node: &Arc<Node>, tenant: TenantId) -> Result<Option<UnixMs>, Trouble> {
    let slot = node.slot_of(tenant).await?;
    let now = node.ambient.now();
    if !matches!(slot.standing().state_at(now), TenantState::Active | TenantState::ReadOnly) {
        return Ok(Some(now.plus(UNSERVED_WAIT)));
    }
    let all = rows::all(&mut node.store.read(tenant).await?).await?;
    let due = all.iter().filter(|row| row.due_at_ms.is_some_and(|due| due <= now));
    for of in due.filter_map(|row| row.name.parse().ok()) {
        let live = node.live(&slot).await.map_err(Trouble::Refused)?;
        let holder = Holder { node: Arc::clone(node), slot: Arc::clone(&slot), live, of };
        // What became of it is in its row, and what failed was told where it did.
        drop(holder.access().await);
    }
    let next = rows::next_due(&mut node.store.read(tenant).await?).await?;
    let now = node.ambient.now();
    Ok(next.map(|at| if at <= now { now.plus(AGAIN) } else { at }))
}
