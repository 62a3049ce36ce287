//! Changes of what a tenant has loaded: in force on this node before they are answered, and on the others by the change feed.

use freehold_domain::time::UnixMs;
use freehold_storage::{StoreError, TenantTx};

use crate::changes;
use crate::node::Node;
use crate::slot::TenantSlot;

/// What tells this node's change from those of others, until it is committed.
#[must_use]
pub(super) struct Announced {
    mark: i64,
}

/// Announces that what the tenant has loaded is another once this transaction commits.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub(super) async fn announce(
    tx: &mut TenantTx,
    node: &Node,
    slot: &TenantSlot,
    now: UnixMs,
) -> Result<Announced, StoreError> {
    let mark = node.mark();
    changes::tenant(tx, slot.id, mark, now).await?;
    Ok(Announced { mark })
}

impl Announced {
    /// Commits, and loads the tenant anew. When nobody knows whether it was committed the change feed shall say.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) async fn commit(self, tx: TenantTx, node: &Node, slot: &TenantSlot) -> Result<(), StoreError> {
        let committed = tx.commit().await;
        let in_doubt = committed.as_ref().is_err_and(StoreError::leaves_doubt);
        if in_doubt {
            node.disown(self.mark);
        }
        if committed.is_ok() || in_doubt {
            node.reload(slot).await;
        }
        committed
    }
}
