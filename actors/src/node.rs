//! The node: everything one server process shares between its tenants, and the way to each tenant's actors.

mod children;
mod directory;
pub mod domains;
mod gates;
mod limits;
pub mod load;
mod parts;
mod tokens;
pub mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use freehold_domain::breaker::BreakerRule;
use freehold_domain::gcra::Unseen;
use freehold_domain::id::NodeId;
use freehold_domain::keys::{MasterRing, Nonce};
use freehold_domain::lockout::LockoutRule;
use freehold_domain::policy::Policy;
use freehold_domain::slug::{ReservedNames, Slug};
use freehold_domain::tier::Limits;
use freehold_domain::waf::Mode;
use freehold_storage::Store;
use ipnet::IpNet;
use quick_cache::sync::Cache;
use ractor::{Actor, ActorRef, SpawnErr};
use tokio::time::Instant;

pub use children::ChildMsg;
pub use directory::{Slots, Unreachable};
pub use domains::{Attached, Domains};
pub use parts::Parts;
pub use tokens::Tokens;

use crate::ambient::Ambient;
use crate::ask::{NoAnswer, Queue, Reply, START_WITHIN, question, queued};
use crate::breached::Breached;
use crate::domain_proofs::DomainProofs;
use crate::front_end::{self, SHARDS};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::integrations::Integrations;
use crate::levels::AddressBuckets;
use crate::mail::Post;
use crate::metric;
use crate::ops::refusal::Refusal;
use crate::password_pool::PasswordPool;
use crate::penalties::{self, Bans};
use crate::providers::Providers;
use crate::root::Root;
use crate::shared_counters::SharedCounters;
use crate::slot::{Live, TenantSlot};
use crate::stripe::Stripe;
use crate::tenant::{self, Kind};
use crate::webhooks_out::Outbox;

/// How long a report of an effect is tried to be delivered.
const REPORT_WITHIN: Duration = Duration::from_secs(5);

/// How many of its own changes a node remembers: more than it makes until the change feed has brought them.
const MARKS_MAX: usize = 10_000;
/// How long to wait before a front end that is down is looked for again.
const FRONT_END_RETRY: Duration = Duration::from_millis(2);

/// What the operator has set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits of every tenant that has none of its own.
    pub limits: Arc<Limits>,
    /// When an account locks.
    pub lockout: LockoutRule,
    /// When a tenant's integration is left alone.
    pub breaker: BreakerRule,
    /// What each role may.
    pub policy: Arc<Policy>,
    /// How long a tenant may be idle before it is parked.
    pub passivate: Duration,
    /// From how many quarantined tenants on, if they are a tenth of the active ones, the node wants no requests.
    pub suspect_from: usize,
    /// The first quarantine.
    pub quarantine: Duration,
    /// How often what is known of dead sessions is compared with the store.
    pub reconcile: Duration,
    /// How long a signing key is in use before another follows it; `None` for ever.
    pub signing_rotate: Option<Duration>,
    /// How long a signing key is published before it signs.
    pub signing_announced: Duration,
    /// How long a rotated pair is held for those who ask at the same time.
    pub refresh_hold: Duration,
    /// `http` or `https`, as clients see it.
    pub public_scheme: &'static str,
    /// The platform domain.
    pub platform_domain: Box<str>,
    /// What no new tenant may be called.
    pub reserved: ReservedNames,
    /// From where nobody is served.
    pub denied_networks: Vec<IpNet>,
    /// From where operators may come; empty for anywhere.
    pub operator_networks: Vec<IpNet>,
    /// Whether operators must have a second factor, whatever the platform's own settings say.
    pub operators_need_second_factor: bool,
    /// The port clients see, when it is not the scheme's own.
    pub public_port: Option<u16>,
    /// What is done with requests that rules match, for tenants that were given no mode; `None` without rules.
    pub waf: Option<Mode>,
}

impl Settings {
    /// The public origin of a tenant, and the `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self, slug: &Slug) -> String {
        self.origin(&self.host_of(slug))
    }

    /// A tenant's host.
    #[must_use]
    pub fn host_of(&self, slug: &Slug) -> String {
        format!("{slug}.{}", self.platform_domain)
    }

    /// Where every provider sends everybody back to: one address for all tenants.
    #[must_use]
    pub fn oauth_callback(&self) -> String {
        format!("{}/oauth/callback", self.origin(&self.platform_domain))
    }

    /// The public origin of a host.
    #[must_use]
    pub fn origin(&self, host: &str) -> String {
        let scheme = self.public_scheme;
        self.public_port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"))
    }
}

/// One server process.
pub struct Node {
    /// Which process this is.
    pub id: NodeId,
    /// Clocks and randomness.
    pub ambient: Ambient,
    /// What the operator has set.
    pub settings: Settings,
    /// The store.
    pub store: Store,
    /// The master keys.
    pub ring: ArcSwap<MasterRing>,
    /// The hashing threads.
    pub pool: PasswordPool,
    /// Letters that wait, and who carries them.
    pub post: Arc<Post>,
    /// What is to be told to endpoints, and the way to them.
    pub outbox: Arc<Outbox>,
    /// Received events that wait for their effect.
    pub inbox: Inbox,
    /// Where passwords are looked up.
    pub breached: Breached,
    /// By whose word members sign in.
    pub providers: Providers,
    /// The services outside that tenants have connected.
    pub integrations: Integrations,
    /// The platform's account at Stripe, if it sells anything.
    pub stripe: Option<Stripe>,
    /// Where the proofs of custom domains are looked for.
    pub proofs: DomainProofs,
    /// Where hosts lead that are not under the platform's domain.
    pub domains: Domains,
    /// The slots of known tenants.
    pub slots: Slots,
    /// Access tokens that were verified.
    pub tokens: Tokens,
    /// What is known of buckets without a saved level.
    pub unseen: Unseen,
    /// Counters that are shared with other nodes, if they are.
    pub shared_counters: Option<Arc<SharedCounters>>,
    /// The address buckets of the node.
    pub addresses: AddressBuckets,
    /// Where bans are told.
    pub(crate) bans: Bans,
    gate: Arc<Gate>,
    /// Where requests wait for their bodies.
    sending: Arc<Gate>,
    queues: [Arc<Queue>; Kind::ALL.len()],
    front_ends: Box<[ArcSwapOption<ActorRef<front_end::Msg>>]>,
    rootless: AtomicBool,
    /// The store was found not to keep tenants apart.
    mixed: AtomicBool,
    /// How many tenants were loaded.
    loads: AtomicU64,
    /// The marks of changes that this node made itself and has in force already.
    marks: Cache<i64, ()>,
    /// When the change feed was last read.
    pub(crate) feed_read_at: AtomicI64,
    /// When the store did not answer the change feed, or a question about a session.
    pub(crate) store_silent_at: AtomicI64,
}

impl Node {
    /// Makes a node and starts its tree.
    ///
    /// # Errors
    /// [`SpawnErr`] when the root actor does not start.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, SpawnErr> {
        let Parts {
            id,
            ambient,
            settings,
            store,
            ring,
            pool,
            breached,
            post,
            public_client,
            providers,
            integrations,
            stripe,
            proofs,
            shared_counters,
            unseen,
        } = parts;
        let (bans, told) = Bans::new();
        let node = Arc::new(Self {
            id,
            ambient,
            settings,
            store,
            ring: ArcSwap::from_pointee(ring),
            pool,
            post: Arc::new(post),
            outbox: Arc::new(Outbox::new(public_client)),
            inbox: Inbox::default(),
            breached,
            providers,
            integrations,
            stripe,
            proofs,
            domains: Domains::default(),
            slots: Slots::default(),
            tokens: Tokens::default(),
            unseen,
            shared_counters,
            addresses: AddressBuckets::default(),
            bans,
            gate: Arc::new(Gate::default()),
            sending: Arc::new(Gate::default()),
            queues: Kind::ALL.map(|kind| {
                Arc::new(Queue {
                    depth: metrics::gauge!(metric::ACTOR_QUEUE, "actor" => kind.as_str()),
                    age: metrics::histogram!(metric::ACTOR_QUEUE_SECONDS, "actor" => kind.as_str()),
                })
            }),
            front_ends: (0..SHARDS).map(|_| ArcSwapOption::empty()).collect(),
            rootless: AtomicBool::new(false),
            mixed: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            marks: Cache::new(MARKS_MAX),
            feed_read_at: AtomicI64::new(ambient.now().get()),
            store_silent_at: AtomicI64::new(0),
        });
        let (_, root) = Actor::spawn(None, Root, Arc::clone(&node)).await?;
        penalties::start(&node, told);
        let watched = Arc::clone(&node);
        tokio::spawn(async move {
            drop(root.await);
            watched.rootless.store(true, Ordering::Release);
            tracing::error!("the root of the tree is gone: this node serves nobody until it is started again");
        });
        Ok(node)
    }

    /// What keeps the data: `sqlite` or `postgresql`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.store.engine_name()
    }

    /// Whether the tree has lost its root: the process should be started again.
    #[must_use]
    pub fn is_rootless(&self) -> bool {
        self.rootless.load(Ordering::Acquire)
    }

    /// Whether the store keeps tenants apart, as far as was seen last.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        !self.mixed.load(Ordering::Acquire)
    }

    /// Notes whether it does.
    pub(crate) fn note_isolation(&self, holds: bool) {
        self.mixed.store(!holds, Ordering::Release);
    }

    /// A mark for a change that this node makes and puts in force itself.
    pub(crate) fn mark(&self) -> i64 {
        let mark = i64::from_be_bytes(self.ambient.random());
        self.marks.insert(mark, ());
        mark
    }

    /// Forgets a mark: whether its change was made is not known, so the change feed shall say.
    pub(crate) fn disown(&self, mark: i64) {
        self.marks.remove(&mark);
    }

    /// Whether a change was made by this node.
    pub(crate) fn made(&self, mark: i64) -> bool {
        self.marks.get(&mark).is_some()
    }

    /// A fresh nonce for sealing.
    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::from_random(self.ambient.random())
    }

    /// What the tenant has loaded; a parked tenant is activated first.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] while it cannot be loaded, [`Refusal::Overloaded`] when its front end is late.
    pub async fn live(&self, slot: &Arc<TenantSlot>) -> Result<Arc<Live>, Refusal> {
        loop {
            if let Some(live) = slot.live() {
                return Ok(live);
            }
            self.activate(slot).await?;
        }
    }

    /// Asks the tenant's child; it is started, and its tenant activated, when it does not run.
    ///
    /// A question that its actor did not take up is asked again while there is time: it had no effect.
    ///
    /// # Errors
    /// [`NoAnswer`] as in [`crate::ask`].
    pub async fn ask<M: ChildMsg, T>(
        &self,
        slot: &Arc<TenantSlot>,
        make: impl Fn(Reply<T>) -> M,
    ) -> Result<T, NoAnswer> {
        self.ask_within(slot, START_WITHIN, make).await
    }

    /// Delivers the report of an effect; the state it belongs to waits for it.
    pub(crate) async fn report<M: ChildMsg>(&self, slot: &Arc<TenantSlot>, make: impl Fn(Reply<()>) -> M) {
        if let Err(error) = self.ask_within(slot, REPORT_WITHIN, make).await {
            tracing::error!(tenant.id = %slot.id, actor = M::KIND.as_str(), %error, "an effect could not be reported");
        }
    }

    async fn ask_within<M: ChildMsg, T>(
        &self,
        slot: &Arc<TenantSlot>,
        within: Duration,
        make: impl Fn(Reply<T>) -> M,
    ) -> Result<T, NoAnswer> {
        let mut deadline = Instant::now() + within;
        loop {
            let Some(live) = slot.live() else {
                self.activate(slot).await.map_err(|_| NoAnswer::Unstarted)?;
                deadline = Instant::now() + within; // loading was an effect, and waited for
                continue;
            };
            let published = M::published(&live);
            let Some(child) = published.actor.load_full() else {
                self.start_child(slot, &live, M::KIND, deadline).await?;
                continue;
            };
            published.asked_at.store(self.ambient.now().get(), Ordering::Relaxed);
            let (reply, asked) = queued(self.queue(M::KIND));
            if child.send_message(make(reply)).is_ok() {
                match asked.answer(deadline.saturating_duration_since(Instant::now())).await {
                    Err(NoAnswer::Unstarted) => {}
                    answer => return answer,
                }
            }
            // It died. Its supervisor takes its address back when it learns of that; until then we do.
            let dead = published.actor.load();
            if dead.as_ref().is_some_and(|known| known.get_id() == child.get_id()) {
                published.actor.compare_and_swap(&dead, None);
            }
            if Instant::now() >= deadline {
                return Err(NoAnswer::Late);
            }
        }
    }

    fn queue(&self, kind: Kind) -> &Arc<Queue> {
        let [rate_limits, sessions, lockouts, breakers] = &self.queues;
        match kind {
            Kind::RateLimits => rate_limits,
            Kind::Sessions => sessions,
            Kind::Lockouts => lockouts,
            Kind::Breakers => breakers,
        }
    }

    /// Sees that a child of the tenant runs.
    async fn start_child(
        &self,
        slot: &Arc<TenantSlot>,
        live: &Live,
        kind: Kind,
        deadline: Instant,
    ) -> Result<(), NoAnswer> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (reply, asked) = question();
        let sent = live.tenant.load().as_ref().is_some_and(|t| t.send_message(tenant::Msg::Start(kind, reply)).is_ok());
        match if sent { asked.answer_until(left).await } else { Err(NoAnswer::Unstarted) } {
            Ok(()) => Ok(()),
            Err(NoAnswer::Late) => Err(NoAnswer::Late),
            // The tenant's actor died with the question: its front end knows what to do.
            Err(NoAnswer::Unstarted | NoAnswer::Unknown) if left.is_zero() => Err(NoAnswer::Late),
            Err(NoAnswer::Unstarted | NoAnswer::Unknown) => self.activate(slot).await.map_err(|_| NoAnswer::Unstarted),
        }
    }

    /// Sees that the tenant is active: its front end must take that up in time, and is then waited for.
    async fn activate(&self, slot: &Arc<TenantSlot>) -> Result<(), Refusal> {
        let shard = Slots::shard_of(slot.id);
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let (reply, asked) = question();
            let ask = front_end::Msg::Activate(Arc::clone(slot), reply);
            let front_end = self.front_ends.get(shard).and_then(ArcSwapOption::load_full);
            if front_end.is_some_and(|front_end| front_end.send_message(ask).is_ok()) {
                match asked.answer(deadline.saturating_duration_since(Instant::now())).await {
                    Ok(outcome) => return Ok(outcome?),
                    Err(NoAnswer::Late) => return Err(Refusal::Overloaded),
                    Err(NoAnswer::Unstarted | NoAnswer::Unknown) => {}
                }
            }
            if Instant::now() >= deadline {
                return Err(Refusal::Overloaded);
            }
            // Root is starting the front end again.
            tokio::time::sleep(FRONT_END_RETRY).await;
        }
    }

    /// Publishes a front end's address.
    pub(crate) fn publish_front_end(&self, shard: usize, actor: ActorRef<front_end::Msg>) {
        if let Some(place) = self.front_ends.get(shard) {
            place.store(Some(Arc::new(actor)));
        }
    }

    /// Parks a tenant; its next request loads it anew.
    pub async fn reload(&self, slot: &TenantSlot) {
        let front_end = self.front_ends.get(Slots::shard_of(slot.id)).and_then(ArcSwapOption::load_full);
        let (reply, asked) = question();
        if front_end.is_some_and(|f| f.send_message(front_end::Msg::Reload(slot.id, reply)).is_ok()) {
            asked.answer_until(REPORT_WITHIN).await.ok();
        }
    }

    /// Parks every tenant: the node stops.
    pub async fn stop(&self) {
        for front_end in &self.front_ends {
            let (reply, asked) = question();
            let front_end = front_end.load_full();
            if front_end.is_some_and(|f| f.send_message(front_end::Msg::Stop(reply)).is_ok()) {
                asked.answer_until(REPORT_WITHIN).await.ok();
            }
        }
    }
}
