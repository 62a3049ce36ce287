//! The inbox: what acts on webhooks that were received. They are acknowledged when they are kept; here, out of the path of any
//! request, each has its effect, in the transaction that says so: at least tried, exactly once done.
//!
//! ```text
//! kept --a moment, in which others come--> round: those that are due, in the order in which they came, some in one transaction
//!      --that one fails--> each in one of its own --fails too--> later, and after eight tries parked, as domain::inbox says
//! ```
//!
//! What an event changes is read by `domain::stripe` from the body that was kept. What those of the platform's own tenant tell of
//! another tenant is passed on to it first ([`plans`]). The change to *done* is conditional, so that of
//! two nodes which both make a round one has the effect, and a transaction whose outcome nobody knows is simply tried again.
//! Events of a tenant that is not served wait.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::inbox::{Next, RETRY};
use freehold_domain::keys::{Sealed, TenantKeys};
use freehold_domain::stripe::{self, Change, Effect, Told};
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{Body, Provider, Source};
use freehold_storage::webhook_inbox::{self as rows, WaitingRow};
use freehold_storage::{Chain, StoreError, TenantTx, stripe_account, stripe_subscription, webhook_event};
use tokio_util::sync::CancellationToken;

use crate::fault;
use crate::metric;
use crate::node::load::{self, LoadError};
use crate::node::{Node, Unreachable};
use crate::plans::{self, NotPassedOn};
use crate::queue::{EVERYBODY, Queue};
use crate::slot::TenantSlot;

/// How many tenants' events are acted on at once.
const ROUNDS_MAX: usize = 8;
/// How long the first of several events waits for the others.
const GATHERED: Duration = Duration::from_millis(50);
/// How many events have their effect in one transaction.
const TOGETHER_MAX: u32 = 16;
/// How many such transactions there are for one tenant before another tenant has its turn.
const TURNS_MAX: usize = 16;
/// How long the events of a tenant wait that is not served.
const UNSERVED_WAIT: Duration = Duration::from_mins(1);

/// Which tenants have events that wait for their effect.
#[derive(Default)]
pub struct Inbox {
    queue: Queue<TenantId>,
}

impl Inbox {
    /// Something was kept now: a round is made in a moment.
    pub(crate) fn kept(&self, tenant: TenantId, now: UnixMs) {
        self.wake(tenant, now.plus(GATHERED));
    }

    /// The tenant has an event that is due at `at`.
    pub(crate) fn wake(&self, tenant: TenantId, at: UnixMs) {
        self.queue.wake(tenant, at);
    }

    /// How many tenants have some, as far as this node knows.
    pub(crate) fn tenants_waiting(&self) -> usize {
        self.queue.len()
    }

    /// The clock has jumped: what has become due is found.
    #[cfg(feature = "test-faults")]
    pub(crate) fn look_at_the_clock(&self) {
        self.queue.look_at_the_clock();
    }
}

/// Why a round could not be made.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NotDone(#[from] NotDone),
    #[error(transparent)]
    Keys(#[from] LoadError),
    #[error(transparent)]
    Tenant(#[from] Unreachable),
}

/// Why events had no effect.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tenant that it tells of could not be told.
    #[error("it could not be passed on")]
    NotPassedOn(#[from] NotPassedOn),
    #[cfg(feature = "test-faults")]
    #[error("injected failure")]
    Injected,
}

impl NotDone {
    /// Whether it says nothing of the events.
    fn is_of_the_store(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient() || matches!(error, StoreError::Full { .. }),
            Self::NotPassedOn(_) => false,
            #[cfg(feature = "test-faults")]
            Self::Injected => false,
        }
    }

    /// The word that admins are told.
    const fn word(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::NotPassedOn(_) => "tenant",
            #[cfg(feature = "test-faults")]
            Self::Injected => "injected",
        }
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Settled {
    /// It had its effect, here.
    Done,
    /// It cannot be read, for this reason.
    Parked(String),
    /// Somebody else was first.
    Elsewhere,
}

/// Makes rounds until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let inbox = &node.inbox;
    inbox
        .queue
        .run(&node.ambient, &stop, (ROUNDS_MAX, RETRY), EVERYBODY, |tenant| round(Arc::clone(&node), tenant))
        .await;
}

/// One tenant's round, and when its next is due.
async fn round(node: Arc<Node>, tenant: TenantId) -> Option<UnixMs> {
    act(&node, tenant).await.unwrap_or_else(|error| {
        tracing::warn!(tenant.id = %tenant, error = %Chain(&error), "a tenant's webhooks could not be acted on");
        Some(node.ambient.now().plus(RETRY))
    })
}

/// Acts on the events of a tenant that are due; when the next is.
async fn act(node: &Node, id: TenantId) -> Result<Option<UnixMs>, Trouble> {
    let slot = node.slot_of(id).await?;
    let now = node.ambient.now();
    if slot.standing().state_at(now) != TenantState::Active {
        return Ok(Some(now.plus(UNSERVED_WAIT)));
    }
    let next = act_on_due(node, &slot).await;
    if slot.live().is_none() {
        node.store.close_tenant(id).await;
    }
    next
}

async fn act_on_due(node: &Node, slot: &TenantSlot) -> Result<Option<UnixMs>, Trouble> {
    let now = node.ambient.now();
    let next = rows::next_try(&mut node.store.read(slot.id).await?).await?;
    if next.is_none_or(|next| now < next) {
        return Ok(next);
    }
    let live = slot.live();
    let loaded;
    let keys = if let Some(live) = &live {
        &live.keys
    } else {
        loaded = load::keys(node, slot).await?;
        &loaded
    };
    for _ in 0..TURNS_MAX {
        let now = node.ambient.now();
        let mut tx = node.store.read(slot.id).await?;
        let due = rows::due(&mut tx, now, TOGETHER_MAX).await?;
        if due.is_empty() || slot.standing().state_at(now) != TenantState::Active {
            return Ok(rows::next_try(&mut tx).await?.map(|next| next.max(now)));
        }
        drop(tx);
        fault::reach("inbox.begun");
        let settled = settle_together(node, slot, keys, &due).await;
        match due.as_slice() {
            [row] => or_count(node, slot, row, settled).await?,
            rows if settled.is_err() => settle_apart(node, slot, keys, rows).await?,
            _ => {}
        }
    }
    Ok(Some(node.ambient.now()))
}

/// Each in a transaction of its own, so that one which fails holds up no other.
async fn settle_apart(node: &Node, slot: &TenantSlot, keys: &TenantKeys, due: &[WaitingRow]) -> Result<(), Trouble> {
    for row in due {
        let settled = settle_together(node, slot, keys, std::slice::from_ref(row)).await;
        or_count(node, slot, row, settled).await?;
    }
    Ok(())
}

/// Counts a failure against the event that was alone in its transaction, unless it is the store's.
async fn or_count(
    node: &Node,
    slot: &TenantSlot,
    row: &WaitingRow,
    settled: Result<(), NotDone>,
) -> Result<(), Trouble> {
    match settled {
        Ok(()) => Ok(()),
        Err(not) if not.is_of_the_store() => Err(not.into()),
        Err(not) => Ok(count_failure(node, slot, row, &not).await?),
    }
}

/// All of them in one transaction, or none. It says *done* of each first, and takes what changes in one order: two nodes that do
/// the same wait for each other, and never in a ring.
async fn settle_together(node: &Node, slot: &TenantSlot, keys: &TenantKeys, due: &[WaitingRow]) -> Result<(), NotDone> {
    let now = node.ambient.now();
    let mut in_order: Vec<_> = due.iter().collect();
    in_order.sort_unstable_by_key(|row| row.id);
    let (mut settled, mut changes) = (vec![], vec![]);
    let mut tx = node.store.write(slot.id).await?;
    for row in in_order {
        settled.push((row, settle(&mut tx, keys, row, &mut changes).await?));
    }
    changes.sort_unstable_by(|one, other| one.effect.place().cmp(&other.effect.place()));
    for change in changes {
        if let Some((tenant, effect)) = change.for_tenant().filter(|_| slot.slug.is_platform()) {
            plans::pass_on(node, tenant, &effect).await?;
            fault::reach("inbox.passed_on");
        }
        match change.effect {
            Effect::Subscription(fact) => stripe_subscription::fold(&mut tx, &fact, now).await?,
            Effect::Account(fact) => stripe_account::fold(&mut tx, &fact, now).await?,
        }
    }
    fault::reach("inbox.written");
    tx.commit().await?;
    fault::reach("inbox.committed");
    for (row, settled) in settled {
        match settled {
            Settled::Done => metrics::counter!(metric::WEBHOOK_INBOX, "outcome" => "done").increment(1),
            Settled::Parked(word) => tell_parked(slot, row, &word),
            Settled::Elsewhere => {}
        }
    }
    Ok(())
}

/// Says of an event that it is done, and adds what it changes to what is to follow; or parks what cannot be read.
async fn settle(
    tx: &mut TenantTx,
    keys: &TenantKeys,
    row: &WaitingRow,
    changes: &mut Vec<Change>,
) -> Result<Settled, NotDone> {
    let change = match read(tx, keys, row).await? {
        Ok(change) => change,
        Err(word) => {
            let is_first = rows::park(tx, (row.id, row.tries), &word).await?;
            return Ok(if is_first { Settled::Parked(word) } else { Settled::Elsewhere });
        }
    };
    if !rows::done(tx, row.id, row.tries).await? {
        return Ok(Settled::Elsewhere);
    }
    #[cfg(feature = "test-faults")]
    if fault::fails("inbox.effect", &row.event_id) {
        return Err(NotDone::Injected);
    }
    changes.extend(change);
    Ok(Settled::Done)
}

/// What the event changes, or the word that says why nobody can tell.
async fn read(
    tx: &mut TenantTx,
    keys: &TenantKeys,
    row: &WaitingRow,
) -> Result<Result<Option<Change>, String>, StoreError> {
    let WaitingRow { source, provider, event_id, kind, account, happened_at_ms, .. } = row;
    if !provider.parse::<Provider>().is_ok_and(|provider| stripe::concerns(provider, kind)) {
        return Ok(Ok(None)); // kept before anything acted on events
    }
    let sealed = webhook_event::body(tx, row.delivery).await?;
    let sealed = sealed.and_then(|sealed| Sealed::<Body>::from_stored(sealed).ok());
    let Some(body) = sealed.and_then(|sealed| keys.open_sealed(&Body::place(&row.delivery), &sealed).ok()) else {
        return Ok(Err("sealed".to_owned()));
    };
    let is_of_connected = source == Source::StripeConnect.as_str();
    let told = Told { event_id, kind, account: account.as_deref(), is_of_connected, at: *happened_at_ms };
    Ok(stripe::read(told, body.bytes()).map_err(|not| not.to_string()))
}

/// Counts a try in vain.
async fn count_failure(node: &Node, slot: &TenantSlot, row: &WaitingRow, not: &NotDone) -> Result<(), StoreError> {
    let mut tx = node.store.write(slot.id).await?;
    let (word, tries) = (not.word(), row.tries + 1);
    match Next::after(u32::try_from(tries).unwrap_or(u32::MAX)) {
        Next::Again(pause) => {
            let at = node.ambient.now().plus(pause);
            let is_first = rows::postpone(&mut tx, (row.id, row.tries), at, word).await?;
            tx.commit().await?;
            if is_first {
                metrics::counter!(metric::WEBHOOK_INBOX, "outcome" => "retried").increment(1);
                tracing::warn!(
                    tenant.id = %slot.id, webhook.id = %row.id, webhook.kind = row.kind, webhook.tries = tries,
                    error = %Chain(not), "a webhook is tried again"
                );
            }
        }
        Next::Park => {
            let is_first = rows::park(&mut tx, (row.id, row.tries), word).await?;
            tx.commit().await?;
            if is_first {
                tell_parked(slot, row, word);
            }
        }
    }
    Ok(())
}

/// Counts and logs an event that is parked: somebody has to look.
fn tell_parked(slot: &TenantSlot, row: &WaitingRow, word: &str) {
    metrics::counter!(metric::WEBHOOK_INBOX, "outcome" => "parked").increment(1);
    tracing::error!(
        tenant.id = %slot.id, webhook.id = %row.id, webhook.kind = row.kind, webhook.tries = row.tries + 1,
        webhook.fault = word, "a webhook was parked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_says_nothing_of_an_event() {
        let source = || "why".into();
        let away = [
            StoreError::Unavailable { source: source() },
            StoreError::Conflict { source: source() },
            StoreError::Full { source: source() },
        ];
        for error in away {
            assert!(NotDone::from(error).is_of_the_store());
        }
        for error in [StoreError::Defect { source: source() }, StoreError::Poisoned] {
            let not = NotDone::from(error);
            assert!(!not.is_of_the_store() && not.word() == "store");
        }
    }
}
