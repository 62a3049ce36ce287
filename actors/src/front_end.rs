//! The FrontEnd actor: owns the slots of one shard of tenants. It activates, restarts, quarantines and parks them, and
//! publishes each decision in the slot.
//!
//! ```text
//! Parked --first request--> Loading --loaded--> Active --idle--> Parked
//!                              '--failed--> Parked   '--too many failures--> Quarantined --time--> Parked
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::restart::Verdict;
use freehold_domain::time::UnixMs;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::ask::Reply;
use crate::metric;
use crate::node::Node;
use crate::node::load::{self, LoadError};
use crate::slot::{Live, TenantSlot};
use crate::supervision;
use crate::tenant::{self, Tenant};

/// How many front ends a node has.
pub const SHARDS: usize = 64;
/// How often a front end looks for what is idle.
const TICK: Duration = Duration::from_secs(1);
/// How long a child may be idle.
const CHILD_IDLE: Duration = Duration::from_secs(30);

/// What FrontEnd can be asked.
pub enum Msg {
    /// See that the tenant is active; the answer comes when its slot says so.
    Activate(Arc<TenantSlot>, Reply<Result<(), LoadError>>),
    /// What the load with this number has read.
    Loaded(TenantId, u64, Box<Result<Live, LoadError>>),
    /// The tenant's actors failed too often.
    Quarantine(TenantId),
    /// Park the tenant and forget what is loaded: its keys or limits changed.
    Reload(TenantId, Reply<()>),
    /// The tenant's actor may start again.
    Revive(TenantId),
    /// Look for what is idle.
    Tick,
    /// How many tenants are active.
    Snapshot(Reply<usize>),
    /// Park everybody: the node stops.
    Stop(Reply<()>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

struct Entry {
    slot: Arc<TenantSlot>,
    phase: Phase,
}

enum Phase {
    /// The number tells this load from one that was given up; since then these wait.
    Loading {
        number: u64,
        since: UnixMs,
        waiting: Vec<Reply<Result<(), LoadError>>>,
    },
    Active(ActorRef<tenant::Msg>),
    /// Its actor failed and waits for its delay.
    Failed(Vec<Reply<Result<(), LoadError>>>),
}

/// The shell.
pub(crate) struct FrontEnd;

pub(crate) struct State {
    node: Arc<Node>,
    tenants: HashMap<TenantId, Entry>,
    actors: HashMap<ActorId, TenantId>,
    loads: u64,
}

impl Actor for FrontEnd {
    type Msg = Msg;
    type State = State;
    /// The node, and which shard this is.
    type Arguments = (Arc<Node>, usize);

    /// What an earlier front end of this shard had published died with it: its tenants are parked, and the next
    /// request of each loads it again.
    async fn pre_start(
        &self,
        me: ActorRef<Msg>,
        (node, shard): (Arc<Node>, usize),
    ) -> Result<State, ActorProcessingErr> {
        node.slots.each(shard, |slot| slot.publish(None));
        me.send_interval(TICK, || Msg::Tick);
        Ok(State { node, tenants: HashMap::new(), actors: HashMap::new(), loads: 0 })
    }

    async fn handle(&self, me: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Activate(slot, reply) => {
                if reply.start() {
                    state.activate(slot, reply, &me);
                }
            }
            Msg::Loaded(id, number, loaded) => state.loaded(id, number, *loaded, &me).await?,
            Msg::Quarantine(id) => state.quarantine(id),
            Msg::Reload(id, reply) => {
                state.reload(id, &me);
                reply.answer(());
            }
            Msg::Revive(id) => {
                if let Some(Entry { slot, phase: Phase::Failed(_) }) = state.tenants.get(&id) {
                    let slot = Arc::clone(slot);
                    state.revive(&slot, &me).await?;
                }
            }
            Msg::Tick => state.tick(),
            Msg::Snapshot(reply) => reply.answer(state.tenants.len()),
            Msg::Stop(reply) => {
                let all: Vec<_> = state.tenants.keys().copied().collect();
                for id in all {
                    state.park(id);
                }
                reply.answer(());
            }
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervision::gone(event, "front end") else { return Ok(()) };
        let Some(id) = state.actors.remove(&who) else { return Ok(()) };
        let Some(entry) = state.tenants.get_mut(&id) else { return Ok(()) };
        entry.phase = Phase::Failed(vec![]);
        metrics::counter!(metric::RESTARTS, "actor" => "tenant").increment(1);
        match entry.slot.failed(state.node.ambient.now()) {
            Verdict::RestartAfter(delay) => supervision::remind(&me, delay, move || Msg::Revive(id)),
            Verdict::Quarantine => state.quarantine(id),
        }
        Ok(())
    }
}

impl State {
    /// Answers at once when the tenant is active; otherwise the answer waits for what makes it so.
    fn activate(&mut self, slot: Arc<TenantSlot>, reply: Reply<Result<(), LoadError>>, me: &ActorRef<Msg>) {
        let now = self.node.ambient.now();
        if slot.quarantined_for(now).is_some() {
            return reply.answer(Err(LoadError::Quarantined));
        }
        match self.tenants.get_mut(&slot.id) {
            Some(Entry { phase: Phase::Active(_), .. }) => reply.answer(Ok(())),
            Some(Entry { phase: Phase::Loading { waiting, .. } | Phase::Failed(waiting), .. }) => waiting.push(reply),
            None => self.load(slot, vec![reply], me),
        }
    }

    /// Starts a load; one that is under way already is given up.
    fn load(&mut self, slot: Arc<TenantSlot>, waiting: Vec<Reply<Result<(), LoadError>>>, me: &ActorRef<Msg>) {
        let (node, me, id) = (Arc::clone(&self.node), me.clone(), slot.id);
        let loading = Arc::clone(&slot);
        self.loads += 1;
        let number = self.loads;
        let phase = Phase::Loading { number, since: node.ambient.now(), waiting };
        self.tenants.insert(id, Entry { slot, phase });
        tokio::spawn(async move {
            let load = tokio::spawn(async move { load::load(&node, &loading).await });
            let loaded = Box::new(load.await.unwrap_or(Err(LoadError::Corrupt)));
            drop(me.send_message(Msg::Loaded(id, number, loaded)));
        });
    }

    /// Parks the tenant. Whoever waits for it already goes on waiting, for a load that begins now.
    fn reload(&mut self, id: TenantId, me: &ActorRef<Msg>) {
        match self.tenants.get_mut(&id) {
            Some(Entry { slot, phase: Phase::Loading { waiting, .. } | Phase::Failed(waiting) }) => {
                let (slot, waiting) = (Arc::clone(slot), std::mem::take(waiting));
                slot.publish(None);
                self.load(slot, waiting, me);
            }
            Some(Entry { phase: Phase::Active(_), .. }) | None => self.park(id),
        }
    }

    /// Publishes what was loaded, or lets those who waited know that it could not be.
    async fn loaded(
        &mut self,
        id: TenantId,
        number: u64,
        loaded: Result<Live, LoadError>,
        me: &ActorRef<Msg>,
    ) -> Result<(), ActorProcessingErr> {
        match self.tenants.get(&id) {
            Some(Entry { phase: Phase::Loading { number: mine, .. }, .. }) if *mine == number => {}
            _ => return Ok(()),
        }
        let Some(Entry { slot, phase: Phase::Loading { since, waiting, .. } }) = self.tenants.remove(&id) else {
            return Ok(());
        };
        let outcome = match loaded {
            Ok(live) => {
                slot.cells.shadow().put(&live.settings.shadow_limits, self.node.ambient.now());
                slot.publish(Some(Arc::new(live)));
                self.revive(&slot, me).await?;
                metrics::counter!(metric::ACTIVATIONS).increment(1);
                metrics::histogram!(metric::ACTIVATION_SECONDS)
                    .record(self.node.ambient.now().since(since).as_secs_f64());
                Ok(())
            }
            Err(error) => {
                tracing::warn!(tenant.id = %id, %error, "a tenant could not be activated");
                Err(error)
            }
        };
        for reply in waiting {
            reply.answer(outcome);
        }
        Ok(())
    }

    /// Starts the tenant's actor over what the slot has loaded.
    async fn revive(&mut self, slot: &Arc<TenantSlot>, me: &ActorRef<Msg>) -> Result<(), ActorProcessingErr> {
        let Some(live) = slot.live() else {
            self.tenants.remove(&slot.id);
            return Ok(());
        };
        let given = tenant::Arguments {
            node: Arc::clone(&self.node),
            slot: Arc::clone(slot),
            live: Arc::clone(&live),
            front_end: me.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, Tenant, given, me.get_cell()).await?;
        self.actors.insert(actor.get_id(), slot.id);
        live.tenant.store(Some(Arc::new(actor.clone())));
        let entry = Entry { slot: Arc::clone(slot), phase: Phase::Active(actor) };
        if let Some(Entry { phase: Phase::Failed(waiting), .. }) = self.tenants.insert(slot.id, entry) {
            for reply in waiting {
                reply.answer(Ok(()));
            }
        }
        Ok(())
    }

    fn quarantine(&mut self, id: TenantId) {
        let Some(entry) = self.tenants.get(&id) else { return };
        let now = self.node.ambient.now();
        let quarantine = entry.slot.quarantine(self.node.settings.quarantine, now);
        metrics::counter!(metric::QUARANTINES).increment(1);
        tracing::error!(tenant.id = %id, until_ms = quarantine.until.get(), "a tenant is quarantined");
        self.stop(id);
    }

    /// Unpublishes the tenant and stops its actors.
    fn park(&mut self, id: TenantId) {
        if let Some(entry) = self.tenants.get(&id) {
            entry.slot.publish(None);
            metrics::counter!(metric::PASSIVATIONS).increment(1);
            self.stop(id);
        }
    }

    fn stop(&mut self, id: TenantId) {
        match self.tenants.remove(&id) {
            Some(Entry { phase: Phase::Active(actor), .. }) => {
                self.actors.remove(&actor.get_id());
                actor.stop(None);
            }
            Some(Entry { phase: Phase::Loading { waiting, .. } | Phase::Failed(waiting), .. }) => {
                for reply in waiting {
                    reply.answer(Err(LoadError::Unavailable));
                }
            }
            None => {}
        }
    }

    /// Stops idle children, and parks tenants nobody has asked anything for a while.
    fn tick(&mut self) {
        let now = self.node.ambient.now();
        let idle_since = now.minus(self.node.settings.passivate);
        let child_idle_since = now.minus(CHILD_IDLE);
        let mut idle = vec![];
        for (id, entry) in &self.tenants {
            let Phase::Active(actor) = &entry.phase else { continue };
            if entry.slot.used_at() < idle_since && entry.slot.in_flight() == 0 {
                idle.push(*id);
            } else if let Some(live) = entry.slot.live() {
                for kind in live.idle_children(child_idle_since) {
                    drop(actor.send_message(tenant::Msg::StopIdle(kind)));
                }
            }
        }
        for id in idle {
            self.park(id);
            let store = self.node.store.clone();
            tokio::spawn(async move { store.close_tenant(id).await });
        }
    }
}
