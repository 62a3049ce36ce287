//! Change rows: what a transaction announces to every node, and what a tenant's snapshot is loaded from.

use freehold_domain::id::{FamilyId, MemberId, TenantId};
use freehold_domain::revocation::Revocations;
use freehold_domain::time::UnixMs;
use freehold_storage::change::{self, Change};
use freehold_storage::{HasChanges, StoreError, TenantTx, Tx, family, roster};
use uuid::Uuid;

/// A family was revoked; the subject is the family.
pub(crate) const FAMILY: &str = "family";
/// A member's epoch was raised; the subject is the member, the value the epoch.
pub(crate) const EPOCH: &str = "epoch";
/// The tenant's standing, keys or limits changed; the subject is the tenant.
pub(crate) const TENANT: &str = "tenant";

const PAGE: u32 = 1_000;

/// Revokes one family and announces it; `false` when it was not alive.
pub(crate) async fn revoke(tx: &mut TenantTx, id: FamilyId, now: UnixMs) -> Result<bool, StoreError> {
    let revoked = family::revoke(tx, id, now).await?;
    if revoked {
        change::append(tx, Change { kind: FAMILY, subject: id.uuid(), value: 0, at_ms: now }).await?;
    }
    Ok(revoked)
}

/// Announces that a member's tokens must be of `epoch` or later.
pub(crate) async fn raise(tx: &mut TenantTx, member: MemberId, epoch: i64, now: UnixMs) -> Result<(), StoreError> {
    change::append(tx, Change { kind: EPOCH, subject: member.uuid(), value: epoch, at_ms: now }).await
}

/// Announces that the tenant itself changed. The mark tells the node that did it from the others.
pub(crate) async fn tenant<Of: HasChanges>(
    tx: &mut Tx<Of>,
    id: TenantId,
    mark: i64,
    now: UnixMs,
) -> Result<(), StoreError> {
    change::append(tx, Change { kind: TENANT, subject: id.uuid(), value: mark, at_ms: now }).await
}

/// What died at `at` or later.
pub(crate) async fn since(tx: &mut TenantTx, at: UnixMs) -> Result<Revocations, StoreError> {
    let mut revocations = Revocations::default();
    let mut last = 0;
    loop {
        let rows = change::since(tx, at, last, PAGE).await?;
        for row in &rows {
            last = row.seq;
            apply(&mut revocations, &row.kind, row.subject, row.value, row.at_ms);
        }
        if rows.len() < PAGE as usize {
            return Ok(revocations);
        }
    }
}

/// What died at `at` or later, and every session of those who were deactivated since, whoever wrote that into the store.
pub(crate) async fn reconciled(tx: &mut TenantTx, at: UnixMs) -> Result<Revocations, StoreError> {
    let mut revocations = since(tx, at).await?;
    let mut last = None;
    loop {
        let rows = roster::left_since(tx, at, last, PAGE).await?;
        for row in &rows {
            revocations.revoke(row.family, row.at_ms);
        }
        if rows.len() < PAGE as usize {
            return Ok(revocations);
        }
        last = rows.last().map(|row| row.family);
    }
}

/// Takes one change into a snapshot of revocations; other kinds leave it as it is.
fn apply(revocations: &mut Revocations, kind: &str, subject: Uuid, value: i64, at: UnixMs) {
    match kind {
        FAMILY => revocations.revoke(FamilyId::from_uuid(subject), at),
        EPOCH => revocations.raise_epoch(MemberId::from_uuid(subject), value, at),
        _ => {}
    }
}
