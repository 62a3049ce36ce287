//! The breaker before one service: calls are made or refused, and their outcomes told, as `domain`'s rule says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_domain::breaker::{Breaker as Machine, BreakerRule, Circuit, Failure, Tripped};

use crate::ambient::Ambient;
use crate::metric;

/// The breaker of one service.
pub(crate) struct Breaker {
    service: &'static str,
    rule: BreakerRule,
    ambient: Ambient,
    machine: Mutex<Machine>,
}

/// A call that was not made, or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoResult<E> {
    /// The breaker is open.
    #[error(transparent)]
    Tripped(#[from] Tripped),
    /// The call failed.
    #[error(transparent)]
    Failed(E),
}

impl Breaker {
    /// A closed one. `service` names it in metrics and logs.
    pub(crate) fn new(service: &'static str, rule: BreakerRule, ambient: Ambient) -> Self {
        Self { service, rule, ambient, machine: Mutex::default() }
    }

    /// Makes the call, unless the breaker is open. A call that is dropped before its end counts for nothing.
    pub(crate) async fn run<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, NoResult<E>> {
        let begun = self.step(|machine| machine.begin(self.rule, self.ambient.now()))?;
        let outcome = call.await;
        let [spread] = self.ambient.random();
        let failure = Failure { retry_after: None, spread };
        self.step(|machine| {
            if outcome.is_ok() {
                machine.succeeded(&begun, self.rule, self.ambient.now());
            } else {
                machine.failed(&begun, self.rule, failure, self.ambient.now());
            }
        });
        outcome.map_err(NoResult::Failed)
    }

    /// Whether calls are made, for whoever asks.
    pub(crate) fn circuit(&self) -> Circuit {
        self.step(|machine| machine.circuit())
    }

    fn step<T>(&self, step: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine: MutexGuard<'_, Machine> = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let before = machine.circuit();
        let outcome = step(&mut machine);
        let after = machine.circuit();
        drop(machine);
        if before != after {
            let (service, to) = (self.service, after.as_str());
            metrics::counter!(metric::BREAKER_CHANGES, "service" => service, "to" => to).increment(1);
            tracing::warn!(service, to, "a circuit breaker changed");
        }
        outcome
    }
}
