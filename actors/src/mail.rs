//! Mail: letters are written in the transaction that needs them, wait sealed in the tenant's store, and are sent by
//! [`dispatch`], never in the path of a request.
//!
//! Nothing that was committed is lost. A letter is deleted when it was taken, so one that was taken just before a crash is
//! sent again: at least once, with the same `Message-ID`.

pub mod carrier;
pub mod dispatch;

use std::sync::Arc;

use freehold_domain::delivery::Patience;
use freehold_domain::id::{MailId, TenantId};
use freehold_domain::keys::{CryptoError, TenantKeys};
use freehold_domain::letter::Letter;
use freehold_domain::time::UnixMs;
use freehold_storage::{StoreError, TenantTx, mail};

use crate::node::Node;
use crate::ops::audit::NotRecorded;
use crate::ops::refusal::Refusal;
use crate::queue::Queue;
use carrier::{Carrier, Security};

/// The post of a node: who carries letters, and which tenants have some.
pub struct Post {
    carrier: Carrier,
    patience: Patience,
    queue: Queue<TenantId>,
}

/// A letter could not be enqueued; its transaction is lost.
#[derive(Debug, thiserror::Error)]
pub enum NotEnqueued {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The letter could not be sealed.
    #[error("the letter could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl From<NotEnqueued> for Refusal {
    fn from(error: NotEnqueued) -> Self {
        match error {
            NotEnqueued::Store(error) => error.into(),
            NotEnqueued::Crypto(_) => Self::Internal,
        }
    }
}

impl From<NotEnqueued> for NotRecorded {
    fn from(error: NotEnqueued) -> Self {
        match error {
            NotEnqueued::Store(error) => error.into(),
            NotEnqueued::Crypto(error) => error.into(),
        }
    }
}

impl Post {
    /// The post with this carrier.
    #[must_use]
    pub fn new(carrier: Carrier, patience: Patience) -> Self {
        Self { carrier, patience, queue: Queue::default() }
    }

    /// How the connection to the mail server is protected; `None` where letters become files.
    #[must_use]
    pub const fn protection(&self) -> Option<Security> {
        self.carrier.protection()
    }

    /// The tenant has a letter that is due at `at`: whoever dispatches learns of it at once.
    pub(crate) fn wake(&self, tenant: TenantId, at: UnixMs) {
        self.queue.wake(tenant, at);
    }

    /// How many tenants have letters, as far as this node knows.
    pub(crate) fn tenants_waiting(&self) -> usize {
        self.queue.len()
    }
}

/// Writes a letter: it is sent if the transaction commits, and only then, soon after. Call it before the row of the audit
/// log is added.
///
/// # Errors
/// [`NotEnqueued`].
pub(crate) async fn enqueue(
    tx: &mut TenantTx,
    node: &Node,
    keys: &TenantKeys,
    letter: &Letter,
) -> Result<(), NotEnqueued> {
    let now = node.ambient.now();
    let id = MailId::new(now, node.ambient.random());
    let sealed = keys.seal(&Letter::place(id.as_bytes()), letter, node.nonce())?;
    mail::insert(tx, id, letter.content.kind(), sealed.bytes(), now).await?;
    let (post, tenant) = (Arc::clone(&node.post), keys.tenant());
    tx.after_commit(move || post.wake(tenant, now));
    Ok(())
}
