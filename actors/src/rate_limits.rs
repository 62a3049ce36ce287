//! The RateLimits actor: every bucket of one tenant, asked once a request with every layer that applies.
//!
//! Where nodes share their counters, what comes while an answer is on its way goes together in the next message: one at a
//! time, so that a tenant's requests are counted in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use freehold_domain::gcra::shared::{Ask, Verdict};
use freehold_domain::gcra::{Layer, RateLimited, Reading, Subject};
use freehold_domain::tier::Tier;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use crate::ask::Reply;
use crate::node::Node;
use crate::shared_counters::{Line, SharedCounters};
use crate::slot::{Live, TenantSlot};
use crate::{penalties, shadow};

/// Requests that are counted with one message at most.
const TOGETHER_MAX: usize = 256;

/// What a request is told.
pub type Decision = Result<Option<Reading>, RateLimited>;

/// What RateLimits can be asked.
pub enum Msg {
    /// Counts one request in every layer, or in none.
    Admit(Box<[Layer]>, Reply<Decision>),
    /// What the keeper of shared counters said of these, or that it was lost.
    Counted(Vec<Asked>, Option<Vec<Verdict>>),
    /// How many buckets are not full.
    Snapshot(Reply<usize>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

/// A request that waits for the keeper's word.
pub struct Asked {
    layers: Box<[Layer]>,
    asks: Vec<Ask>,
    reply: Reply<Decision>,
}

/// The shell around [`freehold_domain::gcra::Buckets`].
pub(crate) struct RateLimits;

/// What the shell knows: whose buckets it keeps, and who waits for the keeper of shared counters.
pub(crate) struct State {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
    pub(crate) live: Arc<Live>,
    waiting: VecDeque<(Box<[Layer]>, Reply<Decision>)>,
    /// The message that is under way.
    sent: Option<JoinHandle<()>>,
}

impl State {
    pub(crate) fn new(node: Arc<Node>, slot: Arc<TenantSlot>, live: Arc<Live>) -> Self {
        Self { node, slot, live, waiting: VecDeque::new(), sent: None }
    }

    /// Turns away who is blocked, before anything is counted.
    fn stop(&self, layers: &[Layer]) -> Result<(), RateLimited> {
        let limit = |tier| self.live.limits.get(tier);
        penalties::stop(&self.node, &self.slot, layers, limit, self.node.ambient.now()).map_or(Ok(()), Err)
    }

    /// Notes who is limited and keeps on, and that the whole tenant is. Whoever is admitted is counted against the limits that
    /// are tried.
    fn judge(&self, layers: &[Layer], decision: Decision) -> Decision {
        let (now, limit) = (self.node.ambient.now(), |tier| self.live.limits.get(tier));
        if decision.is_ok() && self.live.settings.shadow_limits.concern(layers) {
            shadow::count(&self.slot, layers, now);
        }
        if let Err(limited) = decision
            && (limited.reading.tier, limited.subject) == (Tier::ApiTenant, Subject::TENANT)
        {
            self.live.exhausted.store(Some(Arc::new((limited, now))));
        }
        penalties::judge(&self.node, &self.slot, decision, limit, now)
    }

    /// Counts a request here and now: all of its limits, or this node's share where the keeper of shared ones is away.
    fn decide(&self, layers: &[Layer]) -> Decision {
        self.stop(layers)?;
        let now = self.node.ambient.now();
        let limit = |tier| self.live.limits.get(tier);
        let mut cell = self.slot.cells.buckets();
        let unseen = cell.1.unwrap_or(self.node.unseen);
        let decision = match &self.node.shared_counters {
            None => cell.0.admit(layers, limit, unseen, now),
            Some(shared) => cell.0.admit_alone(layers, limit, shared.nodes(), unseen, now),
        };
        drop(cell);
        self.judge(layers, decision)
    }

    /// Takes the keeper's word for a request.
    fn learn(&self, layers: &[Layer], asks: &[Ask], verdict: &Verdict) -> Decision {
        let decision = self.slot.cells.buckets().0.learn(asks, verdict, self.node.ambient.now());
        self.judge(layers, decision)
    }

    /// Asks the keeper about who waits, unless it is being asked; without it they are decided here.
    fn send(&mut self, myself: &ActorRef<Msg>) {
        if self.sent.as_ref().is_some_and(|sent| !sent.is_finished()) {
            return;
        }
        let shared = self.node.shared_counters.clone();
        match shared.as_ref().and_then(|shared| Some((shared, shared.line()?))) {
            Some((shared, line)) => {
                let asked = self.asked(shared);
                if !asked.is_empty() {
                    let (shared, tenant, myself) = (Arc::clone(shared), self.slot.id, myself.clone());
                    self.sent = Some(tokio::spawn(ask(shared, line, tenant, asked, myself)));
                }
            }
            None => {
                for (layers, reply) in std::mem::take(&mut self.waiting) {
                    if reply.start() {
                        reply.answer(self.decide(&layers));
                    }
                }
            }
        }
    }

    /// Takes up the first of those who wait and are not blocked.
    fn asked(&mut self, shared: &SharedCounters) -> Vec<Asked> {
        let count = self.waiting.len().min(TOGETHER_MAX);
        let mut started = Vec::with_capacity(count);
        for (layers, reply) in self.waiting.drain(..count).collect::<Vec<_>>() {
            match self.stop(&layers) {
                Err(limited) if reply.start() => reply.answer(Err(limited)),
                Ok(()) if reply.start() => started.push((layers, reply)),
                Ok(()) | Err(_) => {}
            }
        }
        let mut cell = self.slot.cells.buckets();
        cell.0.insist(shared.losses());
        let now = self.node.ambient.now();
        let ask = |(layers, reply): (Box<[Layer]>, _)| {
            let asks = cell.0.asks(&layers, |tier| self.live.limits.get(tier), now);
            Asked { layers, asks, reply }
        };
        started.into_iter().map(ask).collect()
    }
}

async fn ask(
    shared: Arc<SharedCounters>,
    line: Arc<Line>,
    tenant: freehold_domain::id::TenantId,
    asked: Vec<Asked>,
    actor: ActorRef<Msg>,
) {
    let requests: Vec<_> = asked.iter().map(|asked| &*asked.asks).collect();
    let verdicts = shared.count(&line, tenant, &requests).await;
    // An actor that is gone has taken its askers with it: they are told that the outcome is not known.
    drop(actor.cast(Msg::Counted(asked, verdicts)));
}

impl Actor for RateLimits {
    type Msg = Msg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, myself: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            // What is only tried is no business of the keeper's.
            Msg::Admit(layers, reply) if state.node.shared_counters.is_some() && state.live.limits_any(&layers) => {
                state.waiting.push_back((layers, reply));
                state.send(&myself);
            }
            Msg::Admit(layers, reply) => {
                if reply.start() {
                    reply.answer(state.decide(&layers));
                }
            }
            Msg::Counted(asked, verdicts) => {
                let mut verdicts = verdicts.into_iter().flatten();
                for Asked { layers, asks, reply } in asked {
                    reply.answer(match verdicts.next() {
                        Some(verdict) => state.learn(&layers, &asks, &verdict),
                        None => state.decide(&layers),
                    });
                }
                state.sent = None;
                state.send(&myself);
            }
            Msg::Snapshot(reply) => reply.answer(state.slot.cells.buckets().0.len()),
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }
}
