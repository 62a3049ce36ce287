//! The Sessions actor: rotates refresh tokens, one at a time a family.

mod group_commit;
mod rotate;

use std::sync::Arc;

use freehold_domain::id::FamilyId;
use freehold_domain::refresh_token::TokenHash;
use freehold_domain::rotation::{Act, Effect};
use freehold_domain::time::UnixMs;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::ask::Reply;
use crate::node::Node;
use crate::ops::context::{Counted, Origin};
use crate::ops::refusal::Refusal;
use crate::ops::token_pair::TokenPair;
use crate::slot::{Live, SlotRotations, TenantSlot};

pub(crate) use rotate::has_ended;

/// The rotations of a tenant that wait for its store.
pub(crate) type Commits = group_commit::GroupCommit<rotate::Ask, rotate::Rotated>;

/// What a refresh comes to.
pub type Refreshed = Result<Arc<TokenPair>, Refusal>;

/// What Sessions can be asked.
pub enum Msg {
    /// A request that arrived then presents a refresh token.
    Refresh(Presented, Reply<Refreshed>),
    /// The store has answered a rotation.
    Settled(Effect, Refreshed, Reply<()>),
    /// A held pair is due.
    Due(Effect, Reply<()>),
    /// How many rotations are under way.
    Snapshot(Reply<usize>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

/// A refresh token as it was presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The family it names.
    pub family: FamilyId,
    /// Its hash.
    pub hash: TokenHash,
    /// When the request arrived.
    pub arrived: UnixMs,
    /// What is counted for the request.
    pub counted: Counted,
    /// Where the request came from.
    pub origin: Origin,
}

/// A request that waits for a pair.
pub(crate) struct Waiting {
    counted: Counted,
    origin: Origin,
    reply: Reply<Refreshed>,
}

/// The shell around [`freehold_domain::rotation`].
pub(crate) struct Sessions;

/// What the shell knows: whose sessions it keeps.
pub(crate) struct State {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
    pub(crate) live: Arc<Live>,
}

type Acts = Vec<Act<Arc<TokenPair>, Refusal, Waiting>>;

impl Actor for Sessions {
    type Msg = Msg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let now = state.node.ambient.now();
        match message {
            Msg::Refresh(presented, reply) => {
                if reply.start() {
                    let Presented { family, hash, arrived, counted, origin } = presented;
                    let waiting = Waiting { counted, origin, reply };
                    let act = state.rotations(|r| r.present(family, hash, arrived, waiting, now).into_iter().collect());
                    state.perform(act);
                }
            }
            Msg::Settled(effect, outcome, reply) => {
                let hold = state.node.settings.refresh_hold;
                state.report(reply, |r| r.settled(effect, outcome, hold, now));
            }
            Msg::Due(effect, reply) => state.report(reply, |r| r.due(effect, now)),
            Msg::Snapshot(reply) => reply.answer(state.rotations(|r| r.len())),
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }
}

impl State {
    /// One step of the machine, in its cell.
    fn rotations<T>(&self, step: impl FnOnce(&mut SlotRotations) -> T) -> T {
        step(&mut self.slot.cells.rotations())
    }

    /// Takes a report of an effect up, once.
    fn report(&self, reply: Reply<()>, step: impl FnOnce(&mut SlotRotations) -> Acts) {
        if reply.start() {
            let acts = self.rotations(step);
            self.perform(acts);
            reply.answer(());
        }
    }

    /// Does what the machine asks for; every effect runs in a task of its own and reports with a message.
    fn perform(&self, acts: Acts) {
        for act in acts {
            match act {
                Act::Rotate(effect) => self.rotate(effect),
                Act::WakeAt(effect, at) => self.wake(effect, at),
                Act::Answer(outcome, waiters) => {
                    for waiter in waiters {
                        waiter.reply.answer(outcome.clone());
                    }
                }
            }
        }
    }

    /// Rotates for the first who presented the token; the others share what comes of it.
    fn rotate(&self, effect: Effect) {
        let (node, slot, live) = self.parts();
        let first = self.rotations(|r| r.first(effect.family).map(|w| (w.counted.clone(), w.origin.clone())));
        let Some((counted, origin)) = first else { return };
        let ask = rotate::Ask { effect, counted, origin };
        tokio::spawn(async move {
            let outcome = rotate::rotate(&node, &slot, &live, ask).await;
            node.report(&slot, |reply| Msg::Settled(effect, outcome.clone(), reply)).await;
        });
    }

    fn wake(&self, effect: Effect, at: UnixMs) {
        let (node, slot, _) = self.parts();
        let wait = at.since(node.ambient.now());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            node.report(&slot, |reply| Msg::Due(effect, reply)).await;
        });
    }

    fn parts(&self) -> (Arc<Node>, Arc<TenantSlot>, Arc<Live>) {
        (Arc::clone(&self.node), Arc::clone(&self.slot), Arc::clone(&self.live))
    }
}
