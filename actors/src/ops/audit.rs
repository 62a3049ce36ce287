//! The audit log: recording what an operation does, in the transaction that does it; listing; verifying.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::chain::{Entry, Finding, Row, Stop, Suspect, Walk};
use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::id::{AuditId, MemberId};
use freehold_domain::keys::{CryptoError, Sealed, TenantKeys};
use freehold_domain::slug::Slug;
use freehold_domain::time::UnixMs;
use freehold_storage::audit::Wanted;
use freehold_storage::{StoreError, TenantTx, audit};
use uuid::Uuid;

use crate::node::Node;
use crate::node::load::{self, LoadError};
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{self, TenantRefusal};
use crate::slot::TenantSlot;

/// How many rows are verified at once.
const PAGE: u32 = 500;

/// An event could not be recorded; its transaction is lost.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant's keys could not be read.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// The row could not be sealed.
    #[error("the row could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl From<NotRecorded> for Refusal {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Store(error) => error.into(),
            NotRecorded::Keys(error) => error.into(),
            NotRecorded::Crypto(_) => Self::Internal,
        }
    }
}

/// Adds the row that tells `event`: there when the transaction commits, and only then. Call it last, just before the
/// commit: from here on every other transaction that records something at this tenant waits.
///
/// # Errors
/// [`NotRecorded`]; what was not recorded must not be committed.
pub(crate) async fn record(
    tx: &mut TenantTx,
    node: &Node,
    keys: &TenantKeys,
    event: &Event,
) -> Result<(), NotRecorded> {
    let head = audit::hold(tx).await?;
    let now = node.ambient.now();
    let id = AuditId::new(now, node.ambient.random());
    let entry = Entry::seal(keys, id, now, event, node.nonce())?;
    let (row, head) = head.append(keys, entry)?;
    audit::append(tx, &row, &head).await?;
    node.outbox.tell(tx, node, keys.tenant());
    Ok(())
}

/// [`record`] of what a request did.
pub(super) async fn record_request(
    tx: &mut TenantTx,
    cx: &Context,
    action: Action,
    actor: Actor,
    subject: Uuid,
) -> Result<(), NotRecorded> {
    let event = Event { action, actor, subject: Some(subject), detail: cx.client.origin.detail() };
    record(tx, &cx.node, &cx.live.keys, &event).await
}

/// [`record`] in a transaction of its own, of what an operator did to a tenant elsewhere.
pub(super) async fn record_alone(node: &Node, slot: &TenantSlot, event: &Event) -> Result<(), NotRecorded> {
    let keys = load::keys(node, slot).await?;
    let mut tx = node.store.write(slot.id).await?;
    record(&mut tx, node, &keys, event).await?;
    Ok(tx.commit().await?)
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// By this actor.
    pub actor: Option<Actor>,
    /// Of this action.
    pub action: Option<Action>,
    /// At this time or later.
    pub since: Option<UnixMs>,
    /// Before this time.
    pub until: Option<UnixMs>,
}

/// One event as it was recorded.
#[derive(Clone, Debug)]
pub struct AuditItem {
    /// The row.
    pub id: AuditId,
    /// When it happened.
    pub at: UnixMs,
    /// What.
    pub action: String,
    /// What kind of actor did it.
    pub actor_kind: String,
    /// Which member, if it was one.
    pub actor: Option<Uuid>,
    /// Whom or what it was done to.
    pub subject: Option<Uuid>,
    /// From where, and what else there is to say. Empty where it cannot be opened any more.
    pub detail: Detail,
}

/// One page of the log, the newest first.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The events.
    pub items: Vec<AuditItem>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<i64>,
}

/// The events of the caller's tenant before the row `before`, at most `limit`. The caller must be an admin.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list_audit(
    cx: &Context,
    caller: &AccessClaims,
    filter: Filter,
    before: Option<i64>,
    limit: u32,
) -> Result<AuditPage, Refusal> {
    cx.admit_member(caller).await?;
    let wanted = Wanted {
        before_seq: before.unwrap_or(i64::MAX),
        since: filter.since.unwrap_or_default(),
        until: filter.until.unwrap_or(UnixMs::MAX),
        action: filter.action.map_or("", Action::as_str),
        actor_kind: filter.actor.map_or("", Actor::kind),
        actor: filter.actor.and_then(Actor::member).map(MemberId::uuid),
    };
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let mut rows = audit::before(&mut tx, &wanted, limit + 1).await?;
    drop(tx);
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(AuditPage { items: rows.into_iter().map(|row| item(cx, row)).collect(), next })
}

/// A row that was tampered with is shown all the same: it must not hide the others.
fn item(cx: &Context, row: Row) -> AuditItem {
    let Entry { id, at, action, actor_kind, actor, subject, detail_sealed } = row.entry;
    let sealed = Sealed::<Detail>::from_stored(detail_sealed).ok();
    let detail = sealed.and_then(|sealed| cx.live.keys.open_sealed(&Detail::place(id.as_bytes()), &sealed).ok());
    if detail.is_none() {
        tracing::error!(tenant.id = %cx.slot.id, audit.seq = row.seq, "a row of the audit log cannot be opened");
    }
    AuditItem { id, at, action, actor_kind, actor, subject, detail: detail.unwrap_or_default() }
}

/// What verifying a log comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many rows are right, from the first on.
    pub rows: i64,
    /// The first fault.
    pub finding: Option<Finding>,
}

/// Walks over a tenant's whole log, a page at a time, while others may append to it.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses; a log that is not right is no error.
pub async fn verify(node: &Node, slug: &Slug) -> Result<Verdict, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let mut walk = Walk::new(&keys);
    let mut last = i64::MIN;
    loop {
        let mut tx = node.store.read(slot.id).await?;
        // The head first: every row up to it is there when the rows are read.
        let head = audit::head(&mut tx).await?;
        let rows = audit::after(&mut tx, last, PAGE).await?;
        drop(tx);
        for row in &rows {
            last = row.seq;
            if let Err(stop) = walk.step(row) {
                let finding = match stop {
                    Stop::Found(finding) => finding,
                    Stop::Suspect(suspect) => look_everywhere(node, &slot, &keys, *suspect).await?,
                };
                return Ok(Verdict { rows: walk.seq(), finding: Some(finding) });
            }
        }
        if rows.is_empty() {
            return Ok(Verdict { rows: walk.seq(), finding: walk.end(head.as_ref()).err() });
        }
    }
}

/// Compares a suspect with every row, to tell one that was moved from one that was changed.
async fn look_everywhere(
    node: &Node,
    slot: &TenantSlot,
    keys: &TenantKeys,
    mut suspect: Suspect,
) -> Result<Finding, StoreError> {
    let mut last = i64::MIN;
    loop {
        let macs = audit::macs_after(&mut node.store.read(slot.id).await?, last, PAGE).await?;
        for row in &macs {
            last = row.seq;
            suspect.compare(keys, &row.mac);
        }
        if macs.is_empty() {
            return Ok(suspect.finding());
        }
    }
}
