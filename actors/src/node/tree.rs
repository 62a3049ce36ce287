//! What operators see of the tree: every front end, and the actors of active tenants.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::breaker::Circuit;
use serde::Serialize;

use crate::ask::{Reply, question};
use crate::breakers::Shown;
use crate::front_end;
use crate::node::Node;
use crate::slot::TenantSlot;
use crate::{breakers, lockouts, rate_limits, sessions, tenant};

const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// The tree at one moment.
#[derive(Debug, Serialize)]
pub struct Tree {
    /// Tenants this node has met.
    pub tenants_known: usize,
    /// Tenants that are active.
    pub tenants_active: usize,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests whose bodies are still being sent.
    pub receiving: u32,
    /// Passwords in the hash queue.
    pub hash_queue: usize,
    /// Active tenants of each front end; `None` for one that did not answer.
    pub front_ends: Vec<Option<usize>>,
    /// Some of the active tenants.
    pub tenants: Vec<TenantNode>,
}

/// One active tenant.
#[derive(Debug, Serialize)]
pub struct TenantNode {
    id: String,
    slug: String,
    state: &'static str,
    in_flight: u32,
    children: Vec<(&'static str, &'static str)>,
    buckets: Option<usize>,
    rotations: Option<usize>,
    revocations: usize,
    charges: Option<usize>,
    breakers_open: Option<usize>,
}

/// Asks every actor for its snapshot; at most `tenants_max` tenants are shown.
pub async fn snapshot(node: &Node, tenants_max: usize) -> Tree {
    let (mut known, mut active) = (0, vec![]);
    let mut active_count = 0;
    let mut front_ends = Vec::with_capacity(front_end::SHARDS);
    for shard in 0..front_end::SHARDS {
        node.slots.each(shard, |slot| {
            known += 1;
            if slot.live().is_some() {
                active_count += 1;
                if active.len() < tenants_max {
                    active.push(slot.id);
                }
            }
        });
        front_ends.push(node.ask_front_end(shard, front_end::Msg::Snapshot).await);
    }
    let mut tenants = vec![];
    for slot in active.into_iter().filter_map(|id| node.slots.by_id(id)) {
        tenants.extend(of(node, &slot).await);
    }
    Tree {
        tenants_known: known,
        tenants_active: active_count,
        in_flight: node.in_flight(),
        receiving: node.receiving(),
        hash_queue: node.pool.depth(),
        front_ends,
        tenants,
    }
}

/// One tenant; `None` while it is parked. Looking at a tenant starts none of its children.
pub async fn of(node: &Node, slot: &Arc<TenantSlot>) -> Option<TenantNode> {
    let live = slot.live()?;
    let tenant = live.tenant.load_full();
    let children = shown(tenant.as_deref(), tenant::Msg::Snapshot).await.unwrap_or_default();
    Some(TenantNode {
        id: slot.id.to_string(),
        slug: slot.slug.to_string(),
        state: slot.standing().state_at(node.ambient.now()).as_str(),
        in_flight: slot.in_flight(),
        children: children.into_iter().map(|(kind, state)| (kind.as_str(), state)).collect(),
        buckets: shown(live.rate_limits.actor.load_full().as_deref(), rate_limits::Msg::Snapshot).await,
        rotations: shown(live.sessions.actor.load_full().as_deref(), sessions::Msg::Snapshot).await,
        revocations: slot.revocations().len(),
        charges: shown(live.lockouts.actor.load_full().as_deref(), lockouts::Msg::Snapshot).await,
        breakers_open: shown(live.breakers.actor.load_full().as_deref(), breakers::Msg::Snapshot)
            .await
            .as_deref()
            .map(open),
    })
}

fn open(breakers: &[Shown]) -> usize {
    breakers.iter().filter(|shown| shown.circuit != Circuit::Closed).count()
}

/// An actor's snapshot; `None` when it does not run or does not answer.
async fn shown<M: ractor::Message, T>(
    actor: Option<&ractor::ActorRef<M>>,
    make: impl FnOnce(Reply<T>) -> M,
) -> Option<T> {
    let (reply, asked) = question();
    actor?.send_message(make(reply)).ok()?;
    asked.answer_until(ANSWER_WITHIN).await.ok()
}

impl Node {
    /// Asks a front end something that may happen twice or never.
    pub(crate) async fn ask_front_end<T>(
        &self,
        shard: usize,
        make: impl FnOnce(Reply<T>) -> front_end::Msg,
    ) -> Option<T> {
        shown(self.front_ends.get(shard)?.load_full().as_deref(), make).await
    }

    /// The clock has jumped: whoever waits for a time looks at it anew.
    #[cfg(feature = "test-faults")]
    pub fn look_at_the_clock(&self) {
        self.inbox.look_at_the_clock();
        self.integrations.look_at_the_clock();
    }

    /// Lets a failure befall an actor of the tenant; `false` when there is no such actor now.
    #[cfg(feature = "test-faults")]
    pub async fn strike(&self, slot: &Arc<TenantSlot>, actor: &str, fault: crate::fault::Fault) -> bool {
        use freehold_domain::gcra::{Layer, Subject};
        use freehold_domain::tier::Tier;
        let Ok(live) = self.live(slot).await else { return false };
        // Whatever child is meant, it runs once it was asked something.
        let probe = Layer { tier: Tier::Export, subject: Subject(u128::MAX) };
        let _ = self.ask(slot, |reply| rate_limits::Msg::Admit([probe].into(), reply)).await;
        let _ = self.ask(slot, sessions::Msg::Snapshot).await;
        let _ = self.ask(slot, lockouts::Msg::Snapshot).await;
        let _ = self.ask(slot, breakers::Msg::Snapshot).await;
        match actor {
            "front_end" => {
                let shard = super::Slots::shard_of(slot.id);
                self.front_ends
                    .get(shard)
                    .and_then(arc_swap::ArcSwapOption::load_full)
                    .is_some_and(|a| a.send_message(front_end::Msg::Fault(fault)).is_ok())
            }
            "tenant" => live.tenant.load_full().is_some_and(|a| a.send_message(tenant::Msg::Fault(fault)).is_ok()),
            "rate_limits" => live
                .rate_limits
                .actor
                .load_full()
                .is_some_and(|a| a.send_message(rate_limits::Msg::Fault(fault)).is_ok()),
            "sessions" => {
                live.sessions.actor.load_full().is_some_and(|a| a.send_message(sessions::Msg::Fault(fault)).is_ok())
            }
            "lockouts" => {
                live.lockouts.actor.load_full().is_some_and(|a| a.send_message(lockouts::Msg::Fault(fault)).is_ok())
            }
            "breakers" => {
                live.breakers.actor.load_full().is_some_and(|a| a.send_message(breakers::Msg::Fault(fault)).is_ok())
            }
            _ => false,
        }
    }
}
