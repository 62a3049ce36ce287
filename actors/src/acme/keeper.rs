//! The loop that looks which certificates are due and has a few ordered at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use freehold_domain::acme::{Want, due};
use freehold_domain::time::UnixMs;
use freehold_storage::{Chain, StoreError, acme};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::caller::Way;
use super::held::Held;
use super::order::{Keeping, Outcome, order};
use super::{AcmeRule, Showcase, wanted};
use crate::metric;
use crate::node::Node;

/// How often it is looked which hosts are wanted, and which certificates other nodes brought.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often rows that nobody needs are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// How many orders this node makes at a time.
const ORDERS_MAX: usize = 4;
/// How long no order is made, at most, when the authority wants to be left alone: one host may have to wait longer.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// How long a certificate that has ended is kept, and an order that nobody tries.
const ENDED_KEPT: Duration = Duration::from_hours(7 * 24);
const ROWS_MAX: u32 = 1_000;
/// How long a host rests whose order could not even be written down.
const UNWRITTEN_REST: Duration = Duration::from_mins(1);

struct Keeper {
    keeping: Arc<Keeping>,
    showcase: Arc<dyn Showcase>,
    held: Held,
    /// Hosts that are not to be tried before a time.
    resting: BTreeMap<String, UnixMs>,
    /// No order at all before this.
    paused_until: UnixMs,
    orders: JoinSet<Result<Outcome, StoreError>>,
    under_way: HashMap<Id, String>,
}

/// Keeps certificates for every host that is wanted, until `stop`.
///
/// # Errors
/// When the provider does not know the protocol versions of rustls.
pub async fn keep(
    node: Arc<Node>,
    rule: AcmeRule,
    showcase: Arc<dyn Showcase>,
    stop: CancellationToken,
) -> Result<(), rustls::Error> {
    let way = Way::new(rule.roots(), node.ambient)?;
    let keeping = Arc::new(Keeping { node, rule, way });
    let mut keeper = Keeper {
        keeping,
        showcase,
        held: Held::default(),
        resting: BTreeMap::new(),
        paused_until: UnixMs::new(0),
        orders: JoinSet::new(),
        under_way: HashMap::new(),
    };
    keeper.begin().await;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweeps = interval(SWEEP_EVERY);
    loop {
        let one = async {
            tokio::select! {
                _ = looks.tick() => keeper.look().await,
                Some(done) = keeper.orders.join_next_with_id() => keeper.settle(done).await,
                _ = sweeps.tick() => keeper.sweep().await,
            }
        };
        match stop.run_until_cancelled(Box::pin(one)).await {
            None => break,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "the certificates could not be looked after");
            }
        }
    }
    keeper.end().await;
    Ok(())
}

impl Keeper {
    /// In a store of one process nobody else has an order: those of the last run are nobody's.
    async fn begin(&self) {
        let store = &self.keeping.node.store;
        if store.is_shared() {
            return;
        }
        let released = async {
            let mut tx = store.keys_write().await?;
            acme::release_all(&mut tx).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(error = %Chain(&error), "orders of an earlier run wait for the end of their lease");
        }
    }

    /// Cuts off what is under way and lets others have it.
    async fn end(mut self) {
        self.orders.shutdown().await;
        let node = &self.keeping.node;
        let released = async {
            let mut tx = node.store.keys_write().await?;
            acme::release(&mut tx, node.id).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(error = %Chain(&error), "orders that were cut off wait for the end of their lease");
        }
    }

    /// Looks what there is and what is wanted, and has ordered what is due.
    async fn look(&mut self) -> Result<(), StoreError> {
        let node = &self.keeping.node;
        self.held.refresh(node, &*self.showcase).await?;
        let hosts = wanted::hosts(node).await?;
        let (now, wall) = (node.ambient.now(), node.ambient.wall());
        self.resting.retain(|_, until| *until > now);
        let hosts: Vec<String> = hosts.into_iter().filter(|host| !self.showcase.has_its_own(host)).collect();
        self.tell(&hosts, wall);
        if self.paused_until > now {
            return Ok(());
        }
        let busy: BTreeSet<&str> = self.under_way.values().map(String::as_str).collect();
        let idle = hosts.iter().filter(|host| !busy.contains(host.as_str()));
        let wants = idle.map(|host| Want {
            host,
            held: self.held.validity(host),
            rests_until: self.resting.get(host).copied().unwrap_or(now),
        });
        let room = ORDERS_MAX.saturating_sub(self.under_way.len());
        let due: Vec<String> = due(wants, now, wall, room).into_iter().cloned().collect();
        for host in due {
            let (keeping, ordered, known) = (Arc::clone(&self.keeping), host.clone(), self.held.issued_at(&host));
            let task = self.orders.spawn(async move { order(&keeping, &ordered, known).await });
            self.under_way.insert(task.id(), host);
        }
        Ok(())
    }

    /// Takes note of what became of an order, and looks for the next.
    async fn settle(&mut self, done: Result<(Id, Result<Outcome, StoreError>), JoinError>) -> Result<(), StoreError> {
        let now = self.keeping.node.ambient.now();
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => (error.id(), None), // it panicked
        };
        let Some(host) = self.under_way.remove(&id) else { return Ok(()) };
        match outcome {
            Some(Ok(Outcome::Issued)) => {}
            Some(Ok(Outcome::NotOurs(until))) => {
                self.resting.insert(host, until);
            }
            Some(Ok(Outcome::Failed { rests_until, is_refused })) => {
                if is_refused {
                    self.paused_until = self.paused_until.max(rests_until.min(now.plus(PAUSE_MAX)));
                }
                self.resting.insert(host, rests_until);
            }
            Some(Err(error)) => {
                tracing::warn!(acme.host = host, error = %Chain(&error), "how an order stands could not be written");
                self.resting.insert(host, now.plus(UNWRITTEN_REST));
            }
            None => {
                self.resting.insert(host, now.plus(UNWRITTEN_REST));
            }
        }
        self.look().await
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        let node = &self.keeping.node;
        let mut tx = node.store.keys_write().await?;
        acme::sweep(&mut tx, node.ambient.wall().minus(ENDED_KEPT), node.ambient.now(), ROWS_MAX).await?;
        tx.commit().await
    }

    /// Sets the gauges: how long the certificate is good that ends first, and how many hosts have none.
    fn tell(&self, hosts: &[String], wall: UnixMs) {
        let ends: Vec<UnixMs> =
            hosts.iter().filter_map(|host| self.held.validity(host)).map(|validity| validity.not_after).collect();
        let missing = hosts.len() - ends.len();
        metrics::gauge!(metric::ACME_MISSING).set(u32::try_from(missing).unwrap_or(u32::MAX));
        if let Some(first) = ends.iter().min() {
            let seconds = i32::try_from(first.as_secs() - wall.as_secs()).unwrap_or(i32::MAX);
            metrics::gauge!(metric::ACME_LEFT).set(seconds);
        }
    }
}
