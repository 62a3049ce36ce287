//! The Tenant actor: supervises one tenant's children. Each starts on first use, stops when idle, and is started again
//! by the rule of [`freehold_domain::restart`] when it fails.

use std::sync::Arc;

use freehold_domain::restart::Verdict;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::ask::Reply;
use crate::breakers::{self, Breakers};
use crate::front_end;
use crate::lockouts::{self, Lockouts};
use crate::metric;
use crate::node::Node;
use crate::rate_limits::{self, RateLimits};
use crate::sessions::{self, Sessions};
use crate::slot::{Live, TenantSlot};
use crate::supervision;

/// The children a tenant may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::rate_limits`]
    RateLimits,
    /// [`crate::sessions`]
    Sessions,
    /// [`crate::lockouts`]
    Lockouts,
    /// [`crate::breakers`]
    Breakers,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::RateLimits, Self::Sessions, Self::Lockouts, Self::Breakers];

    /// The name in metrics and snapshots.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimits => "rate_limits",
            Self::Sessions => "sessions",
            Self::Lockouts => "lockouts",
            Self::Breakers => "breakers",
        }
    }
}

/// What Tenant can be asked.
pub enum Msg {
    /// Start this child unless it runs; the answer comes when it is published.
    Start(Kind, Reply<()>),
    /// Start this child again after its delay.
    Restart(Kind),
    /// Stop this child: it has been idle.
    StopIdle(Kind),
    /// Which children run.
    Snapshot(Reply<Vec<(Kind, &'static str)>>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

enum Child {
    Stopped,
    Running(ActorCell),
    /// It failed and waits for its delay; these wait for it.
    Failed(Vec<Reply<()>>),
}

/// The shell.
pub(crate) struct Tenant;

/// What it supervises, and for whom.
pub(crate) struct Arguments {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
    pub(crate) live: Arc<Live>,
    pub(crate) front_end: ActorRef<front_end::Msg>,
}

pub(crate) struct State {
    given: Arguments,
    rate_limits: Child,
    sessions: Child,
    lockouts: Child,
    breakers: Child,
}

impl Actor for Tenant {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg>, given: Arguments) -> Result<State, ActorProcessingErr> {
        let [rate_limits, sessions, lockouts, breakers] = Kind::ALL.map(|_| Child::Stopped);
        Ok(State { given, rate_limits, sessions, lockouts, breakers })
    }

    async fn handle(&self, me: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Start(kind, reply) => {
                if !reply.start() {
                    return Ok(());
                }
                match state.child(kind) {
                    Child::Running(_) => reply.answer(()),
                    Child::Failed(waiting) => waiting.push(reply),
                    Child::Stopped => {
                        state.start(kind, &me).await?;
                        reply.answer(());
                    }
                }
            }
            Msg::Restart(kind) => {
                if let Child::Failed(waiting) = state.child(kind) {
                    let waiting = std::mem::take(waiting);
                    state.start(kind, &me).await?;
                    for reply in waiting {
                        reply.answer(());
                    }
                }
            }
            Msg::StopIdle(kind) => {
                if let Child::Running(cell) = state.child(kind) {
                    cell.unlink(me.get_cell());
                    cell.stop(None);
                    *state.child(kind) = Child::Stopped;
                    state.given.live.unpublish(kind);
                }
            }
            Msg::Snapshot(reply) => reply.answer(Kind::ALL.map(|kind| (kind, state.child(kind).as_str())).into()),
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
        let supervisor = format_args!("tenant {}", state.given.slot.id);
        let Some(who) = supervision::gone(event, supervisor) else { return Ok(()) };
        let failed = |child: &Child| matches!(child, Child::Running(cell) if cell.get_id() == who);
        let Some(kind) = Kind::ALL.into_iter().find(|kind| failed(state.child(*kind))) else { return Ok(()) };
        *state.child(kind) = Child::Failed(vec![]);
        state.given.live.unpublish(kind);
        metrics::counter!(metric::RESTARTS, "actor" => kind.as_str()).increment(1);
        match state.given.slot.failed(state.given.node.ambient.now()) {
            Verdict::RestartAfter(delay) => supervision::remind(&me, delay, move || Msg::Restart(kind)),
            Verdict::Quarantine => {
                drop(state.given.front_end.send_message(front_end::Msg::Quarantine(state.given.slot.id)));
            }
        }
        Ok(())
    }
}

impl State {
    fn child(&mut self, kind: Kind) -> &mut Child {
        match kind {
            Kind::RateLimits => &mut self.rate_limits,
            Kind::Sessions => &mut self.sessions,
            Kind::Lockouts => &mut self.lockouts,
            Kind::Breakers => &mut self.breakers,
        }
    }

    /// Starts a child and publishes its address. Children do no I/O when they start and cannot fail to.
    async fn start(&mut self, kind: Kind, me: &ActorRef<Msg>) -> Result<(), ActorProcessingErr> {
        let Arguments { node, slot, live, .. } = &self.given;
        let (node, slot, live) = (Arc::clone(node), Arc::clone(slot), Arc::clone(live));
        let now = node.ambient.now();
        let supervisor = me.get_cell();
        let cell = match kind {
            Kind::RateLimits => {
                let given = rate_limits::State::new(node, slot, Arc::clone(&live));
                let (actor, _) = Actor::spawn_linked(None, RateLimits, given, supervisor).await?;
                live.rate_limits.publish(actor, now)
            }
            Kind::Sessions => {
                let given = sessions::State { node, slot, live: Arc::clone(&live) };
                let (actor, _) = Actor::spawn_linked(None, Sessions, given, supervisor).await?;
                live.sessions.publish(actor, now)
            }
            Kind::Lockouts => {
                let given = lockouts::State { node, slot };
                let (actor, _) = Actor::spawn_linked(None, Lockouts, given, supervisor).await?;
                live.lockouts.publish(actor, now)
            }
            Kind::Breakers => {
                let given = breakers::State { node, slot };
                let (actor, _) = Actor::spawn_linked(None, Breakers, given, supervisor).await?;
                live.breakers.publish(actor, now)
            }
        };
        *self.child(kind) = Child::Running(cell);
        Ok(())
    }
}

impl Child {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running(_) => "running",
            Self::Failed(_) => "restarting",
        }
    }
}
