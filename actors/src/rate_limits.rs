//! The RateLimits actor: every bucket of one tenant, asked once a request with every layer that applies.

use std::sync::Arc;

use freehold_domain::gcra::{Layer, RateLimited, Reading};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::ask::Reply;
use crate::node::Node;
use crate::penalties;
use crate::slot::{Live, TenantSlot};

/// What RateLimits can be asked.
pub enum Msg {
    /// Counts one request in every layer, or in none.
    Admit(Box<[Layer]>, Reply<Result<Option<Reading>, RateLimited>>),
    /// How many buckets are not full.
    Snapshot(Reply<usize>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

/// The shell around [`freehold_domain::gcra::Buckets`].
pub(crate) struct RateLimits;

/// What the shell knows: whose buckets it keeps.
pub(crate) struct State {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
    pub(crate) live: Arc<Live>,
}

impl Actor for RateLimits {
    type Msg = Msg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Admit(layers, reply) => {
                if reply.start() {
                    let (now, limit) = (state.node.ambient.now(), |tier| state.live.limits.get(tier));
                    if let Some(limited) = penalties::stop(&state.node, &state.slot, &layers, limit, now) {
                        reply.answer(Err(limited));
                        return Ok(());
                    }
                    let mut cell = state.slot.cells.buckets();
                    let unseen = cell.1.unwrap_or(state.node.unseen);
                    let decision = cell.0.admit(&layers, limit, unseen, now);
                    drop(cell);
                    reply.answer(penalties::judge(&state.node, &state.slot, decision, limit, now));
                }
            }
            Msg::Snapshot(reply) => reply.answer(state.slot.cells.buckets().0.len()),
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }
}
