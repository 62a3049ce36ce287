//! The Root actor: supervises the front ends. One that fails starts again at once; the slots of its shard are parked
//! and load at their next use, so no tenant loses more than the question that was being answered.

use std::sync::Arc;

use freehold_domain::restart::{Restarts, Verdict, WINDOW};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::front_end::{FrontEnd, SHARDS};
use crate::metric;
use crate::node::Node;
use crate::supervision;

/// What Root can be asked.
pub enum Msg {
    /// Start this front end again.
    Restart(usize),
}

/// The shell.
pub(crate) struct Root;

pub(crate) struct State {
    node: Arc<Node>,
    shards: Vec<(ActorId, Restarts)>,
}

impl Actor for Root {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Node>;

    async fn pre_start(&self, me: ActorRef<Msg>, node: Arc<Node>) -> Result<State, ActorProcessingErr> {
        let mut shards = Vec::with_capacity(SHARDS);
        for shard in 0..SHARDS {
            shards.push((start(&node, shard, &me).await?, Restarts::default()));
        }
        Ok(State { node, shards })
    }

    async fn handle(&self, me: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let Msg::Restart(shard) = message;
        let id = start(&state.node, shard, &me).await?;
        if let Some(entry) = state.shards.get_mut(shard) {
            entry.0 = id;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervision::gone(event, "root") else { return Ok(()) };
        let failed = state.shards.iter_mut().enumerate().find(|(_, (id, _))| *id == who);
        let Some((shard, (_, restarts))) = failed else { return Ok(()) };
        metrics::counter!(metric::RESTARTS, "actor" => "front_end").increment(1);
        let delay = match restarts.failed(state.node.ambient.now()) {
            Verdict::RestartAfter(delay) => delay,
            // A shard cannot be quarantined as a tenant can: it is tried again once the failures are old.
            Verdict::Quarantine => WINDOW,
        };
        supervision::remind(&me, delay, move || Msg::Restart(shard));
        Ok(())
    }
}

/// Starts a front end and publishes its address.
async fn start(node: &Arc<Node>, shard: usize, me: &ActorRef<Msg>) -> Result<ActorId, ActorProcessingErr> {
    let (actor, _) = Actor::spawn_linked(None, FrontEnd, (Arc::clone(node), shard), me.get_cell()).await?;
    let id = actor.get_id();
    node.publish_front_end(shard, actor);
    Ok(id)
}
