//! The change feed: what other nodes have committed. Read four times a second where a store is shared; the node that
//! commits puts it in force at once and does not wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::time::UnixMs;
use freehold_storage::feed::{self, FeedRow};
use freehold_storage::{Chain, StoreError, family};
use tokio_util::sync::CancellationToken;

use crate::changes;
use crate::node::Node;
use crate::ops::refusal::Refusal;
use crate::slot::{Deaths, TenantSlot};

/// How often it is read.
pub const EVERY: Duration = Duration::from_millis(250);
/// How far before the last complete read each read looks again: sequence numbers commit out of order.
const LOOK_BACK: Duration = Duration::from_secs(5);
/// How long a page of it may take: a store that is away is known to be so before [`STALE_AFTER`].
const PAGE_WITHIN: Duration = Duration::from_millis(1_250);
/// After this long without a read, sessions are asked of the store.
const STALE_AFTER: Duration = Duration::from_secs(2);
/// This long after the store did not answer, nobody waits for it to be asked again.
const AWAY_FOR: Duration = Duration::from_secs(3);
/// After this long without a store either, nobody is admitted.
const BLIND_AFTER: Duration = Duration::from_secs(30);

const PAGE: u32 = 1_000;

/// Reads the feed until `stop`. Does nothing where no other process shares the store.
pub async fn follow(node: Arc<Node>, stop: CancellationToken) {
    if !node.store.is_shared() {
        return;
    }
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match read(&node, &mut seen).await {
            Ok(()) => node.feed_read_at.store(seen.read_at.get(), Ordering::Release),
            Err(error) => {
                node.note_silence(&error);
                tracing::warn!(error = %Chain(&error), "the change feed could not be read");
            }
        }
    }
}

/// Which rows were applied.
#[derive(Default)]
struct Seen {
    /// When the last complete read began.
    read_at: UnixMs,
    last: i64,
    recent: BTreeSet<i64>,
}

/// How many applied rows are remembered: more than the look-back can return.
const RECENT_MAX: usize = 100_000;

/// Applies every row that was not applied yet; one that cannot be is tried again with the next read.
async fn read(node: &Arc<Node>, seen: &mut Seen) -> Result<(), StoreError> {
    let read_at = node.ambient.now();
    let (mut after, mut since) = (seen.last, seen.read_at.minus(LOOK_BACK));
    let mut last = seen.last;
    loop {
        let page = async { feed::changes_after(&mut node.store.system_read().await?, after, since, PAGE).await };
        let rows = tokio::time::timeout(PAGE_WITHIN, page).await;
        let rows = rows.unwrap_or_else(|late| Err(StoreError::Unavailable { source: late.into() }))?;
        for row in &rows {
            if !seen.recent.contains(&row.seq) {
                apply(node, row).await?;
                seen.recent.insert(row.seq);
            }
            last = last.max(row.seq);
            after = row.seq;
        }
        if rows.len() < PAGE as usize {
            break;
        }
        since = UnixMs::MAX;
    }
    (seen.last, seen.read_at) = (last, read_at);
    while seen.recent.len() > RECENT_MAX {
        seen.recent.pop_first();
    }
    Ok(())
}

async fn apply(node: &Arc<Node>, row: &FeedRow) -> Result<(), StoreError> {
    let Some(slot) = node.slots.by_id(row.tenant) else { return Ok(()) };
    let deaths = match row.kind.as_str() {
        changes::FAMILY => Deaths::family(FamilyId::from_uuid(row.subject)),
        changes::EPOCH => Deaths::epoch(MemberId::from_uuid(row.subject), row.value),
        _ if node.made(row.value) => return Ok(()),
        _ => {
            node.reread(row.tenant).await?;
            // Nobody waits for it: a front end that is busy delays no other tenant's news.
            let node = Arc::clone(node);
            tokio::spawn(async move { node.reload(&slot).await });
            return Ok(());
        }
    };
    slot.bury(&deaths, node.ambient.now());
    Ok(())
}

impl Node {
    /// Asks the store whether a session still stands, when the feed has not been read for two seconds.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for a dead session; [`Refusal::Unavailable`] when neither feed nor store has
    /// answered for thirty seconds.
    pub async fn confirm(&self, slot: &TenantSlot, claims: &AccessClaims) -> Result<(), Refusal> {
        self.confirm_by(async || self.stands(slot, claims).await).await
    }

    /// The same for whatever the store can be asked about. Few requests ask: the question has its room when it is put, and
    /// no request carries it.
    pub(crate) async fn confirm_by(
        &self,
        stands: impl AsyncFnOnce() -> Result<bool, StoreError>,
    ) -> Result<(), Refusal> {
        let now = self.ambient.now();
        let blind_for = now.since(UnixMs::new(self.feed_read_at.load(Ordering::Acquire)));
        if !self.store.is_shared() || blind_for < STALE_AFTER {
            return Ok(());
        }
        if now.since(UnixMs::new(self.store_silent_at.load(Ordering::Acquire))) < AWAY_FOR {
            return if blind_for < BLIND_AFTER { Ok(()) } else { Err(Refusal::Unavailable) };
        }
        match Box::pin(stands()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Unauthenticated),
            Err(error) => {
                self.note_silence(&error);
                if blind_for < BLIND_AFTER { Ok(()) } else { Err(Refusal::from_store(&error)) }
            }
        }
    }

    /// Notes that the store did not answer: it is enough that one waits for that.
    fn note_silence(&self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable { .. }) {
            self.store_silent_at.store(self.ambient.now().get(), Ordering::Release);
        }
    }

    async fn stands(&self, slot: &TenantSlot, claims: &AccessClaims) -> Result<bool, StoreError> {
        let mut tx = self.store.read(slot.id).await?;
        let row = family::by_id(&mut tx, claims.sid).await?;
        Ok(row.is_some_and(|row| {
            row.family.revoked_at_ms.is_none() && row.deactivated_at_ms.is_none() && claims.epoch >= row.epoch
        }))
    }
}
