//! The Breakers actor: stands before every integration of a tenant, one breaker for each.
//!
//! The machines live in a cell of the slot, so neither a panic nor parking loses them; those that are not closed are written
//! down as well, and a node that starts begins with what was written: open, and then one probe. A breaker is each node's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use freehold_domain::breaker::{Breaker, BreakerRule, Call, Circuit, Failure, Remembered, Tripped};
use freehold_domain::time::UnixMs;
use freehold_storage::breaker::{self as rows, BreakerRow};
use freehold_storage::{Chain, StoreError};
use hyper::StatusCode;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::ask::{NoAnswer, Reply};
use crate::metric;
use crate::node::Node;
use crate::slot::TenantSlot;

/// When a change is written down again that the store did not take.
const AGAIN: Duration = Duration::from_secs(1);
/// How often that is tried: what is lost is a pause, and the next change writes anew.
const TRIES_MAX: u32 = 30;

/// The name of an integration: what kind it is, a colon, and which.
pub type Integration = Arc<str>;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side is well, whatever it answered.
    Succeeded,
    /// It is not.
    Failed(Failure),
}

/// What a call says of how the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// It is not, and asks to be left alone for so long, if it does.
    Ill(Option<Duration>),
}

impl Health {
    /// Of a status: what is refused says nothing of the service, but for one that asks for time.
    pub(crate) fn of(status: StatusCode, retry_after: Option<Duration>) -> Self {
        let is_ill = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        if is_ill { Self::Ill(retry_after) } else { Self::Well }
    }
    /// What the breaker is told, with a random byte.
    pub(crate) const fn outcome(self, spread: u8) -> Outcome {
        match self {
            Self::Well => Outcome::Succeeded,
            Self::Ill(retry_after) => Outcome::Failed(Failure { retry_after, spread }),
        }
    }
}

/// What is done to a breaker by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// It is opened, until it is reset.
    Open,
    /// It is closed.
    Reset,
    /// Its integration is gone.
    Forget,
}

/// A breaker as admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Before which integration it stands.
    pub integration: Integration,
    /// What it is.
    pub circuit: Circuit,
    /// Until when, if it is not closed; [`UnixMs::MAX`] where it was opened by hand.
    pub until: Option<UnixMs>,
    /// How often it opened since it was last closed.
    pub openings: u32,
}

/// What Breakers can be asked.
pub enum Msg {
    /// Begin a call.
    Begin(Integration, Reply<Result<Call, Tripped>>),
    /// A call came to its end.
    Ended(Integration, Call, Outcome, Reply<()>),
    /// Change one.
    ByHand(Integration, ByHand, Reply<()>),
    /// Which there are.
    Snapshot(Reply<Vec<Shown>>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

/// The breakers of a slot, and which of them are to be written down.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    all: BTreeMap<Integration, Breaker>,
    dirty: BTreeSet<Integration>,
    is_writing: bool,
}

impl Machines {
    /// Takes what was written down of those that are not known here.
    pub(crate) fn restore(&mut self, rows: Vec<BreakerRow>, now: UnixMs) {
        for BreakerRow { integration, remembered } in rows {
            self.all.entry(integration.into()).or_insert_with(|| Breaker::restored(remembered, now));
        }
    }

    /// Whether a new slot would begin with the same: what is not closed was written down.
    pub(crate) fn is_blank(&self) -> bool {
        self.dirty.is_empty() && !self.is_writing
    }

    fn shown(&self) -> Vec<Shown> {
        let shown = |(integration, breaker): (&Integration, &Breaker)| {
            let remembered = breaker.remembered();
            Shown {
                integration: Arc::clone(integration),
                circuit: breaker.circuit(),
                until: remembered.map(|remembered| remembered.until),
                openings: remembered.map_or(0, |remembered| remembered.openings),
            }
        };
        self.all.iter().map(shown).collect()
    }

    /// Takes one step of one breaker; `true` when somebody must begin to write.
    fn step<T>(&mut self, integration: &Integration, step: impl FnOnce(&mut Breaker) -> T) -> (T, bool) {
        let breaker = self.all.entry(Arc::clone(integration)).or_default();
        let before = (breaker.circuit(), breaker.remembered());
        let outcome = step(breaker);
        let after = (breaker.circuit(), breaker.remembered());
        if before.0 != after.0 {
            let (service, to) = (integration.split(':').next().unwrap_or_default().to_owned(), after.0.as_str());
            metrics::counter!(metric::BREAKER_CHANGES, "service" => service, "to" => to).increment(1);
        }
        let begin = before.1 != after.1 && self.note(integration);
        (outcome, begin)
    }

    fn knows(&self, integration: &Integration) -> bool {
        self.all.contains_key(integration)
    }

    fn forget(&mut self, integration: &Integration) -> bool {
        self.all.remove(integration).is_some_and(|breaker| breaker.remembered().is_some()) && self.note(integration)
    }

    fn note(&mut self, integration: &Integration) -> bool {
        self.dirty.insert(Arc::clone(integration));
        !std::mem::replace(&mut self.is_writing, true)
    }

    /// What is to be written next, as it is now; `None` ends the writing.
    fn take_dirty(&mut self) -> Option<(Integration, Option<Remembered>)> {
        let Some(next) = self.dirty.pop_first() else {
            self.is_writing = false;
            return None;
        };
        let remembered = self.all.get(&next).and_then(Breaker::remembered);
        Some((next, remembered))
    }
}

/// The shell.
pub(crate) struct Breakers;

/// What the shell knows: before whose integrations it stands.
pub(crate) struct State {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
}

impl Actor for Breakers {
    type Msg = Msg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let (rule, now) = (state.node.settings.breaker, state.node.ambient.now());
        match message {
            Msg::Begin(integration, reply) => {
                if reply.start() {
                    reply.answer(state.step(&integration, |breaker| breaker.begin(rule, now)));
                }
            }
            Msg::Ended(integration, call, outcome, reply) => {
                if reply.start() {
                    // One that was taken away while it was called does not come back.
                    if state.slot.cells.breakers().knows(&integration) {
                        state.step(&integration, |breaker| end(breaker, &call, outcome, (rule, now)));
                    }
                    reply.answer(());
                }
            }
            Msg::ByHand(integration, by_hand, reply) => {
                if reply.start() {
                    match by_hand {
                        ByHand::Open => state.step(&integration, Breaker::hold_open),
                        ByHand::Reset => state.step(&integration, Breaker::reset),
                        ByHand::Forget => state.write_if(state.slot.cells.breakers().forget(&integration)),
                    }
                    reply.answer(());
                }
            }
            Msg::Snapshot(reply) => reply.answer(state.slot.cells.breakers().shown()),
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }
}

fn end(breaker: &mut Breaker, call: &Call, outcome: Outcome, (rule, now): (BreakerRule, UnixMs)) {
    match outcome {
        Outcome::Succeeded => breaker.succeeded(call, rule, now),
        Outcome::Failed(failure) => breaker.failed(call, rule, failure, now),
    }
}

impl State {
    fn step<T>(&self, integration: &Integration, step: impl FnOnce(&mut Breaker) -> T) -> T {
        let (outcome, begin) = self.slot.cells.breakers().step(integration, step);
        self.write_if(begin);
        outcome
    }

    /// Has one task write down what changed: of two changes of one breaker the later one stays.
    fn write_if(&self, begin: bool) {
        if begin {
            let (node, slot) = (Arc::clone(&self.node), Arc::clone(&self.slot));
            tokio::spawn(async move { write_down(&node, &slot).await });
        }
    }
}

async fn write_down(node: &Node, slot: &TenantSlot) {
    loop {
        let next = slot.cells.breakers().take_dirty();
        let Some((integration, remembered)) = next else { return };
        for _ in 0..TRIES_MAX {
            let Err(error) = write(node, slot, &integration, remembered).await else { break };
            tracing::warn!(tenant.id = %slot.id, error = %Chain(&error), "a circuit breaker could not be written down");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn write(
    node: &Node,
    slot: &TenantSlot,
    integration: &str,
    remembered: Option<Remembered>,
) -> Result<(), StoreError> {
    let mut tx = node.store.write(slot.id).await?;
    rows::set(&mut tx, integration, remembered).await?;
    tx.commit().await
}

/// Begins a call to an integration of the tenant's.
///
/// # Errors
/// [`Tripped`] within, while its breaker is open; [`NoAnswer`] when nobody can say.
pub(crate) async fn begin(
    node: &Node,
    slot: &Arc<TenantSlot>,
    integration: &Integration,
) -> Result<Result<Call, Tripped>, NoAnswer> {
    node.ask(slot, |reply| Msg::Begin(Arc::clone(integration), reply)).await
}

/// Tells how a call ended.
pub(crate) async fn end_call(
    node: &Node,
    slot: &Arc<TenantSlot>,
    integration: &Integration,
    (call, outcome): (&Call, Outcome),
) {
    node.report(slot, |reply| Msg::Ended(Arc::clone(integration), call.clone(), outcome, reply)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_at_a_time_and_what_is_written_is_the_last() {
        let name: Integration = "webhook:1".into();
        let mut machines = Machines::default();
        assert!(machines.is_blank());
        assert!(machines.step(&name, Breaker::hold_open).1, "somebody must begin to write");
        assert!(!machines.step(&name, Breaker::reset).1, "that one goes on");
        assert!(!machines.is_blank());
        assert_eq!(machines.take_dirty(), Some((Arc::clone(&name), None)));
        assert_eq!((machines.take_dirty(), machines.is_blank()), (None, true));
        assert!(!machines.step(&name, Breaker::reset).1, "nothing to remember has changed");
        assert!(machines.step(&name, Breaker::hold_open).1);
        assert!(machines.take_dirty().is_some_and(|(_, remembered)| remembered.is_some()));
        assert!(!machines.forget(&name), "the writing has not ended");
        assert_eq!((machines.take_dirty(), machines.take_dirty()), (Some((name, None)), None));
    }

    #[test]
    fn what_was_written_does_not_replace_what_is_known() {
        let row = |name: &str| BreakerRow {
            integration: name.to_owned(),
            remembered: Remembered { until: UnixMs::MAX, openings: 3 },
        };
        let mut machines = Machines::default();
        assert!(!machines.step(&"webhook:1".into(), Breaker::reset).1);
        machines.restore(vec![row("webhook:1"), row("webhook:2")], UnixMs::new(1));
        let shown = machines.shown();
        assert_eq!((shown[0].circuit, shown[0].until), (Circuit::Closed, None));
        assert_eq!((shown[1].circuit, shown[1].until, shown[1].openings), (Circuit::Open, Some(UnixMs::MAX), 3));
    }
}
