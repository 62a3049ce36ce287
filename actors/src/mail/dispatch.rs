//! Dispatch: whose letters are due, and a round for each such tenant, which hands its letters over one after the other.
//!
//! A letter is claimed by a conditional update before it is carried, so that of two nodes one carries it; a claim whose node
//! died ends with its lease.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::keys::{Sealed, TenantKeys};
use freehold_domain::letter::{Letter, Sender};
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
use freehold_storage::mail::{self, MailRow};
use freehold_storage::{Chain, StoreError};
use tokio_util::sync::CancellationToken;

use super::carrier::{NotTaken, Parcel, TAKEN_WITHIN};
use crate::metric;
use crate::node::load::{self, LoadError};
use crate::node::{Node, Unreachable};
use crate::queue::EVERYBODY;
use crate::slot::TenantSlot;

/// How many tenants' letters are carried at once.
pub(crate) const ROUNDS_MAX: usize = 16;
/// How many letters of one tenant are carried before another tenant has its turn.
const LETTERS_MAX: u32 = 50;
/// How long a claimed letter is nobody else's: longer than it takes to carry it.
const LEASE: Duration = Duration::from_secs(30);
/// How long the letters of a tenant wait that is not served.
const UNSERVED_WAIT: Duration = Duration::from_mins(5);

/// Why a round could not be made.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] LoadError),
    #[error(transparent)]
    Tenant(#[from] Unreachable),
}

/// Dispatches until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let post = &node.post;
    post.queue
        .run(&node.ambient, &stop, (ROUNDS_MAX, post.patience.retry), EVERYBODY, |tenant| {
            round(Arc::clone(&node), tenant)
        })
        .await;
}

/// One tenant's round, and when its next is due.
async fn round(node: Arc<Node>, tenant: TenantId) -> Option<UnixMs> {
    carry_due(&node, tenant).await.unwrap_or_else(|error| {
        tracing::warn!(tenant.id = %tenant, error = %Chain(&error), "a tenant's letters could not be read");
        Some(node.ambient.now().plus(node.post.patience.retry))
    })
}

/// Carries the letters of a tenant that are due; when the next is.
async fn carry_due(node: &Node, id: TenantId) -> Result<Option<UnixMs>, Trouble> {
    match next_due(node, id).await? {
        None => return Ok(None),
        Some(next) if next.next_try_at_ms > node.ambient.now() => return Ok(Some(next.next_try_at_ms)),
        Some(_) => {}
    }
    let slot = node.slot_of(id).await?;
    let live = slot.live();
    let loaded;
    let keys = if let Some(live) = &live {
        &live.keys
    } else {
        loaded = load::keys(node, &slot).await?;
        &loaded
    };
    let next = carry_letters(node, &slot, keys).await;
    if slot.live().is_none() {
        node.store.close_tenant(id).await;
    }
    next
}

async fn carry_letters(node: &Node, slot: &TenantSlot, keys: &TenantKeys) -> Result<Option<UnixMs>, Trouble> {
    for _ in 0..LETTERS_MAX {
        let Some(row) = next_due(node, slot.id).await? else { return Ok(None) };
        let now = node.ambient.now();
        if row.next_try_at_ms > now {
            return Ok(Some(row.next_try_at_ms));
        }
        if !matches!(slot.standing().state_at(now), TenantState::Active | TenantState::ReadOnly) {
            return Ok(Some(now.plus(UNSERVED_WAIT)));
        }
        let tries = u32::try_from(row.tries).unwrap_or(u32::MAX);
        if node.post.patience.is_over(tries, row.created_at_ms, now) {
            give_up(node, slot, &row, row.tries).await?;
        } else if carry_one(node, slot, keys, &row).await? == Err(NotTaken::Away) {
            return Ok(Some(node.ambient.now().plus(node.post.patience.retry)));
        }
    }
    Ok(Some(node.ambient.now()))
}

/// The letter of a tenant that is due first.
async fn next_due(node: &Node, id: TenantId) -> Result<Option<MailRow>, StoreError> {
    mail::next(&mut node.store.read(id).await?).await
}

/// Claims a letter and carries it. What became of it; fine when somebody else has claimed it.
async fn carry_one(
    node: &Node,
    slot: &TenantSlot,
    keys: &TenantKeys,
    row: &MailRow,
) -> Result<Result<(), NotTaken>, StoreError> {
    const { assert!(TAKEN_WITHIN.as_secs() < LEASE.as_secs()) };
    let mut tx = node.store.write(slot.id).await?;
    if !mail::claim(&mut tx, row.id, row.tries, node.ambient.now().plus(LEASE)).await? {
        return Ok(Ok(()));
    }
    tx.commit().await?;
    let tries = row.tries + 1;
    let opened = Sealed::<Letter>::from_stored(row.letter_sealed.clone()).ok();
    let Some(letter) = opened.and_then(|sealed| keys.open_sealed(&Letter::place(row.id.as_bytes()), &sealed).ok())
    else {
        tracing::error!(tenant.id = %slot.id, mail.id = %row.id, "a letter cannot be opened");
        give_up(node, slot, row, tries).await?;
        return Ok(Ok(()));
    };
    let origin = node.settings.issuer(&slot.slug);
    let sender = Sender { name: &slot.name, origin: &origin };
    let parcel = Parcel { id: row.id, written: row.created_at_ms, letter: &letter, sender };
    let carried = node.post.carrier.carry(parcel).await;
    let mut tx = node.store.write(slot.id).await?;
    match carried {
        Ok(()) => {
            mail::delete(&mut tx, row.id).await?;
            metrics::counter!(metric::MAIL_SENT, "kind" => letter.content.kind()).increment(1);
        }
        Err(not_taken) => {
            let pause = node.post.patience.pause(u32::try_from(tries).unwrap_or(u32::MAX));
            mail::postpone(&mut tx, row.id, tries, node.ambient.now().plus(pause)).await?;
            metrics::counter!(metric::MAIL_NOT_TAKEN, "reason" => not_taken.reason()).increment(1);
            tracing::warn!(
                tenant.id = %slot.id, mail.id = %row.id, mail.kind = row.kind, mail.tries = tries, error = %not_taken,
                "a letter was not taken"
            );
        }
    }
    tx.commit().await?;
    Ok(carried)
}

/// Gives up a letter that was tried `tries` times.
async fn give_up(node: &Node, slot: &TenantSlot, row: &MailRow, tries: i64) -> Result<(), StoreError> {
    let mut tx = node.store.write(slot.id).await?;
    if mail::give_up(&mut tx, row.id, tries, node.ambient.now()).await? {
        tx.commit().await?;
        metrics::counter!(metric::MAIL_GIVEN_UP).increment(1);
        tracing::error!(
            tenant.id = %slot.id, mail.id = %row.id, mail.kind = row.kind, mail.tries = tries, "a letter was given up"
        );
    }
    Ok(())
}
