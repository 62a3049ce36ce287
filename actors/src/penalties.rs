//! Whoever keeps on against a limit, as the shells that count requests see it; and the bans, which are written to an audit
//! log by a task of their own, so that no request waits for that.

use std::sync::{Arc, Weak};
use std::time::Duration;

use freehold_domain::gcra::{Layer, RateLimited, Reading};
use freehold_domain::id::{BlockId, TenantId};
use freehold_domain::penalty::Block;
use freehold_domain::tier::{Limit, Tier};
use freehold_domain::time::UnixMs;
use tokio::sync::mpsc;

use crate::node::Node;
use crate::ops::rate_limits;
use crate::slot::TenantSlot;

/// Bans that wait to be written.
const WAITING_MAX: usize = 1_024;
/// How often one is tried to be written, and how long is waited in between.
const TRIES: u32 = 5;
const RETRY: Duration = Duration::from_secs(2);

/// Somebody who is banned from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ban {
    /// At which tenant; `None` for an address that is banned from the node.
    pub(crate) tenant: Option<TenantId>,
    /// Who, in which tier.
    pub(crate) layer: Layer,
    /// Since when, and until when.
    pub(crate) block: Block,
}

/// Where bans are told.
#[derive(Debug)]
pub(crate) struct Bans(mpsc::Sender<Ban>);

impl Bans {
    /// A place to tell bans, and the other end of it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Ban>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Has a ban written. Waits for nothing: past [`WAITING_MAX`] the log of the server alone tells of it.
    pub(crate) fn tell(&self, ban: Ban) {
        if self.0.try_send(ban).is_err() {
            tracing::error!(tier = %ban.layer.tier, block.id = %ban.block.id, "a ban has no room in an audit log");
        }
    }
}

/// Writes what is told, one after the other, for as long as there is a node.
pub(crate) async fn write_down(node: Weak<Node>, mut told: mpsc::Receiver<Ban>) {
    while let Some(ban) = told.recv().await {
        for tries_left in (0..TRIES).rev() {
            let Some(node) = node.upgrade() else { return };
            let written = rate_limits::record_ban(&node, ban).await;
            drop(node);
            match written {
                Ok(()) => break,
                Err(error) if tries_left == 0 => {
                    tracing::error!(%error, block.id = %ban.block.id, "a ban is in no audit log");
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// Refuses a request of somebody who is blocked at this tenant, before any bucket is asked.
pub(crate) fn stop(
    node: &Node,
    slot: &TenantSlot,
    layers: &[Layer],
    limit: impl Fn(Tier) -> Limit,
    now: UnixMs,
) -> Option<RateLimited> {
    let stopped = slot.cells.penalties().stop(layers, limit, now)?;
    if let Some((layer, block)) = stopped.banned {
        node.bans.tell(Ban { tenant: Some(slot.id), layer, block });
    }
    Some(stopped.limited)
}

/// Takes into account what the buckets decided: a refusal may be the one that blocks.
pub(crate) fn judge(
    node: &Node,
    slot: &TenantSlot,
    decision: Result<Option<Reading>, RateLimited>,
    limit: impl Fn(Tier) -> Limit,
    now: UnixMs,
) -> Result<Option<Reading>, RateLimited> {
    let id = || BlockId::new(now, node.ambient.random());
    decision.map_err(|limited| slot.cells.penalties().refused(limited, limit, id, now))
}

/// Sets the gauges to who is blocked and banned now, and counts whom there was no room for.
pub(crate) fn set_gauges(node: &Node) {
    let now = node.ambient.now();
    let (mut blocked, mut banned) = node.addresses.census(now);
    let mut unplaced = node.addresses.take_unplaced();
    node.slots.all(|slot| {
        let mut penalties = slot.cells.penalties();
        let (more, others) = penalties.census(now);
        (blocked, banned) = (blocked + more, banned + others);
        unplaced += penalties.take_unplaced();
    });
    metrics::counter!(crate::metric::RATE_UNPLACED).increment(unplaced);
    for (stage, count) in [("block", blocked), ("ban", banned)] {
        metrics::gauge!(crate::metric::RATE_BLOCKED, "stage" => stage).set(count);
    }
}

/// Starts the task that writes bans.
pub(crate) fn start(node: &Arc<Node>, told: mpsc::Receiver<Ban>) {
    tokio::spawn(write_down(Arc::downgrade(node), told));
}
