//! What the rest of the server sees of a tenant: the published decision of its front end.
//!
//! Reading what is published takes no lock. Its FrontEnd alone decides who lives in it; whoever commits the end of a
//! session buries it here; the cells keep what must survive the death of an actor.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use freehold_domain::attempts::Attempts;
use freehold_domain::gcra::{Buckets, Layer, RateLimited, Subject, Unseen};
use freehold_domain::id::{FamilyId, MemberId, TenantId};
use freehold_domain::keys::{LookupKey, TenantKeys};
use freehold_domain::penalty::Penalties;
use freehold_domain::restart::{Quarantine, Restarts, Verdict};
use freehold_domain::revocation::Revocations;
use freehold_domain::rotation::Rotations;
use freehold_domain::settings::TenantSettings;
use freehold_domain::shadow::Shadow;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::tier::{Limit, Limits};
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::Tally;
use freehold_domain::weight::Weight;
use ractor::{ActorCell, ActorRef};

use crate::api_keys::ApiKeys;
use crate::breakers::Machines;
use crate::gate::{self, Full, Gate, LargeGate, LargePass, Pass};
use crate::ops::token_pair::TokenPair;
use crate::shares::Resource;
use crate::tenant::Kind;
use crate::webhook_sources::WebhookSources;
use crate::{breakers, lockouts, rate_limits, sessions, tenant};

/// One tenant, as every request finds it.
pub struct TenantSlot {
    /// The tenant.
    pub id: TenantId,
    /// Its name in host names.
    pub slug: Slug,
    /// Its name for people.
    pub name: Box<str>,
    standing: ArcSwap<Standing>,
    quarantine: ArcSwapOption<Quarantine>,
    live: ArcSwapOption<Live>,
    revocations: ArcSwap<Revocations>,
    gate: Arc<Gate>,
    large: Arc<LargeGate>,
    outbound: Arc<Gate>,
    weight: AtomicU32,
    used_at: AtomicI64,
    pub(crate) cells: Cells,
}

/// What died, by one committed transaction or by the change feed.
#[derive(Clone, Debug, Default)]
pub struct Deaths {
    /// Revoked families.
    pub families: Vec<FamilyId>,
    /// Members whose tokens must be of this epoch or later.
    pub epochs: Vec<(MemberId, i64)>,
}

impl Deaths {
    /// One family.
    #[must_use]
    pub fn family(family: FamilyId) -> Self {
        Self { families: vec![family], epochs: vec![] }
    }

    /// Every token of a member before this epoch.
    #[must_use]
    pub fn epoch(member: MemberId, epoch: i64) -> Self {
        Self { families: vec![], epochs: vec![(member, epoch)] }
    }
}

static NOTHING_REVOKED: LazyLock<Arc<Revocations>> = LazyLock::new(Arc::default);

/// What the operator has made of the tenant, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is served.
    pub state: TenantState,
    /// The operator's words.
    pub reason: Option<Box<str>>,
    /// When the state ends by itself.
    pub until: Option<UnixMs>,
    /// When the operator decided so; an older decision never replaces a newer one.
    pub decided_at: UnixMs,
}

impl Standing {
    /// The state at `now`: once `until` has passed the tenant is active again.
    #[must_use]
    pub fn state_at(&self, now: UnixMs) -> TenantState {
        if self.until.is_some_and(|until| now >= until) { TenantState::Active } else { self.state }
    }
}

/// What an active tenant has loaded, and the actors that serve it.
pub struct Live {
    /// Which of the node's loads this is.
    pub(crate) number: u64,
    /// Its keys, opened.
    pub keys: TenantKeys,
    /// The `iss` of its access tokens.
    pub issuer: Box<str>,
    /// Its rate limits.
    pub limits: Arc<Limits>,
    /// What it has decided for itself.
    pub settings: TenantSettings,
    /// Its API keys.
    pub api_keys: ApiKeys,
    /// From where it takes webhooks.
    pub webhook_sources: WebhookSources,
    /// Whether it has an endpoint that is told of events.
    pub tells: bool,
    /// The last refusal by the limit of the whole tenant, and when it was: until it is over, nobody's request needs to ask.
    pub(crate) exhausted: ArcSwapOption<(RateLimited, UnixMs)>,
    pub(crate) commits: sessions::Commits,
    pub(crate) tenant: ArcSwapOption<ActorRef<tenant::Msg>>,
    pub(crate) rate_limits: Published<rate_limits::Msg>,
    pub(crate) sessions: Published<sessions::Msg>,
    pub(crate) lockouts: Published<lockouts::Msg>,
    pub(crate) breakers: Published<breakers::Msg>,
}

/// A child's published address and when it was last asked.
pub struct Published<M> {
    pub(crate) actor: ArcSwapOption<ActorRef<M>>,
    pub(crate) asked_at: AtomicI64,
}

impl<M> Published<M> {
    /// Publishes a child's address.
    pub(crate) fn publish(&self, actor: ActorRef<M>, now: UnixMs) -> ActorCell {
        let cell = actor.get_cell();
        self.asked_at.store(now.get(), Ordering::Relaxed);
        self.actor.store(Some(Arc::new(actor)));
        cell
    }

    /// Whether it runs and nobody has asked it anything since `since`.
    fn is_idle(&self, since: UnixMs) -> bool {
        self.actor.load().is_some() && self.asked_at.load(Ordering::Relaxed) < since.get()
    }
}

impl Live {
    /// Whether a request of these layers is counted anywhere: for a limit in force, or for one that is tried.
    pub(crate) fn counts(&self, layers: &[Layer]) -> bool {
        self.limits_any(layers) || self.settings.shadow_limits.concern(layers)
    }

    /// Whether a limit in force applies to a request of these layers.
    pub(crate) fn limits_any(&self, layers: &[Layer]) -> bool {
        layers.iter().any(|layer| self.limits.get(layer.tier) != Limit::Off)
    }

    /// Takes a child's address back.
    pub(crate) fn unpublish(&self, kind: Kind) {
        match kind {
            Kind::RateLimits => self.rate_limits.actor.store(None),
            Kind::Sessions => self.sessions.actor.store(None),
            Kind::Lockouts => self.lockouts.actor.store(None),
            Kind::Breakers => self.breakers.actor.store(None),
        }
    }

    /// The children that run and were not asked anything since `since`.
    pub(crate) fn idle_children(&self, since: UnixMs) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| match kind {
            Kind::RateLimits => self.rate_limits.is_idle(since),
            Kind::Sessions => self.sessions.is_idle(since),
            Kind::Lockouts => self.lockouts.is_idle(since),
            Kind::Breakers => self.breakers.is_idle(since),
        })
    }
}

impl<M> Default for Published<M> {
    fn default() -> Self {
        Self { actor: ArcSwapOption::empty(), asked_at: AtomicI64::new(0) }
    }
}

/// Buckets of a tenant that are not full at once, some 25 MB: past that, whoever is new shares one of the tier with all others
/// who are.
const BUCKETS_MAX: usize = 262_144;

/// Subjects of a tenant that are counted against a block at once: whoever comes when there is no room is not.
const PENALTIES_MAX: usize = 4_096;

/// Where the tenant's machines live. Only the actor of a cell takes it, but for penalties and the shadow, which whoever
/// looks at them, lifts a block or loads the tenant takes too; a step changes one entry, last, so whatever a panic leaves behind is whole.
pub(crate) struct Cells {
    buckets: Mutex<(Buckets, Option<Unseen>)>,
    penalties: Mutex<Penalties>,
    shadow: Mutex<Shadow>,
    webhook_tally: Mutex<Tally>,
    rotations: Mutex<SlotRotations>,
    attempts: Mutex<SlotAttempts>,
    breakers: Mutex<Machines>,
    restarts: Mutex<Restarts>,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            buckets: Mutex::new((Buckets::at_most(BUCKETS_MAX), None)),
            penalties: Mutex::new(Penalties::at_most(PENALTIES_MAX)),
            shadow: Mutex::default(),
            webhook_tally: Mutex::default(),
            rotations: Mutex::default(),
            attempts: Mutex::default(),
            breakers: Mutex::default(),
            restarts: Mutex::default(),
        }
    }
}

/// The sign-in attempts of a slot.
pub(crate) type SlotAttempts = Attempts<LookupKey, lockouts::Waiting>;

/// The rotations of a slot: pairs, and the requests that wait for them.
pub(crate) type SlotRotations = Rotations<Arc<TokenPair>, sessions::Waiting>;

/// A poisoned cell is whole all the same: see [`Cells`].
fn take<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cells {
    pub(crate) fn buckets(&self) -> MutexGuard<'_, (Buckets, Option<Unseen>)> {
        take(&self.buckets)
    }

    pub(crate) fn penalties(&self) -> MutexGuard<'_, Penalties> {
        take(&self.penalties)
    }

    /// The limits that are tried, as they were loaded last, and what they came to.
    pub(crate) fn shadow(&self) -> MutexGuard<'_, Shadow> {
        take(&self.shadow)
    }

    /// The webhooks that were refused of late.
    pub(crate) fn webhook_tally(&self) -> MutexGuard<'_, Tally> {
        take(&self.webhook_tally)
    }

    pub(crate) fn rotations(&self) -> MutexGuard<'_, SlotRotations> {
        take(&self.rotations)
    }

    pub(crate) fn attempts(&self) -> MutexGuard<'_, SlotAttempts> {
        take(&self.attempts)
    }

    pub(crate) fn breakers(&self) -> MutexGuard<'_, Machines> {
        take(&self.breakers)
    }

    /// Whether they keep nothing that a new slot would not begin with.
    fn is_blank(&self, now: UnixMs) -> bool {
        let mut buckets = self.buckets();
        buckets.0.sweep(now);
        self.penalties().sweep(now);
        buckets.0.is_empty()
            && buckets.1.is_none()
            && self.penalties().is_empty()
            && self.shadow().is_empty()
            && self.rotations().is_empty()
            && self.attempts().is_empty()
            && self.breakers().is_blank()
            && take(&self.restarts).is_quiet(now)
    }
}

impl TenantSlot {
    /// A parked slot.
    #[must_use]
    pub fn new(id: TenantId, slug: Slug, name: &str, standing: Standing) -> Self {
        Self {
            id,
            slug,
            name: name.into(),
            standing: ArcSwap::from_pointee(standing),
            quarantine: ArcSwapOption::empty(),
            live: ArcSwapOption::empty(),
            revocations: ArcSwap::new(Arc::clone(&NOTHING_REVOKED)),
            gate: Arc::new(Gate::default()),
            large: Arc::default(),
            outbound: Arc::new(Gate::default()),
            weight: AtomicU32::new(Weight::MIN.get()),
            used_at: AtomicI64::new(0),
            cells: Cells::default(),
        }
    }

    /// What the operator has made of it.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Publishes a standing, unless a newer one is known; the next request sees it.
    pub(crate) fn set_standing(&self, standing: Standing) {
        let standing = Arc::new(standing);
        self.standing.rcu(|known| {
            if known.decided_at > standing.decided_at { Arc::clone(known) } else { Arc::clone(&standing) }
        });
    }

    /// How long the tenant is still quarantined.
    #[must_use]
    pub fn quarantined_for(&self, now: UnixMs) -> Option<Duration> {
        self.quarantine.load().as_ref().and_then(|quarantine| quarantine.remaining(now))
    }

    /// What it has loaded; `None` while it is parked.
    #[must_use]
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// Which access tokens are dead. Complete whenever the tenant is active: what was committed before it was loaded came
    /// with the load, and what is committed since is buried here by whoever committed it, or by the change feed.
    #[must_use]
    pub fn revocations(&self) -> Guard<Arc<Revocations>> {
        self.revocations.load()
    }

    /// Remembers what died; every later request sees it.
    pub(crate) fn bury(&self, deaths: &Deaths, now: UnixMs) {
        self.revocations.rcu(|known| {
            let mut next = Revocations::clone(known);
            for family in &deaths.families {
                next.revoke(*family, now);
            }
            for (member, epoch) in &deaths.epochs {
                next.raise_epoch(*member, *epoch, now);
            }
            next.prune(now);
            next
        });
    }

    /// Remembers what a load has read.
    pub(crate) fn bury_all(&self, read: &Revocations) {
        self.revocations.rcu(|known| {
            let mut next = Revocations::clone(known);
            next.merge(read);
            next
        });
    }

    /// Takes one of the tenant's places and notes that it is used.
    ///
    /// # Errors
    /// [`Full`] past [`gate::tenant_max`].
    pub(crate) fn enter(&self, now: UnixMs) -> Result<Pass, Full> {
        self.used_at.store(now.get(), Ordering::Relaxed);
        self.gate.enter(gate::tenant_max(self.weight()))
    }

    /// Takes one of the tenant's places for requests with a large body, for an address.
    ///
    /// # Errors
    /// [`Full`] past [`gate::LARGE_MAX`], and for the address past [`gate::LARGE_OF_ONE_MAX`].
    pub(crate) fn enter_large(&self, address: Subject) -> Result<LargePass, Full> {
        self.large.enter(address)
    }

    /// Takes a place for a call to a service outside, while the tenant has fewer than `max`.
    ///
    /// # Errors
    /// [`Full`], and counted.
    pub(crate) fn call_outside(&self, max: u32) -> Result<Pass, Full> {
        self.outbound.enter(max).inspect_err(|_| Resource::Outbound.refused())
    }

    /// Its share of what tenants share, as it was loaded last; an ordinary one before the first load.
    #[must_use]
    pub fn weight(&self) -> Weight {
        Weight::new(self.weight.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Puts another weight in force.
    pub(crate) fn weigh(&self, weight: Weight) {
        self.weight.store(weight.get(), Ordering::Relaxed);
    }

    /// How many of its requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.gate.taken()
    }

    /// When it was last asked for anything.
    pub(crate) fn used_at(&self) -> UnixMs {
        UnixMs::new(self.used_at.load(Ordering::Relaxed))
    }

    /// Whether nothing would be lost with this slot: it is parked, nobody has asked for it since `idle_since`, and what
    /// its cells keep is what a new slot begins with.
    pub(crate) fn is_blank(&self, idle_since: UnixMs, now: UnixMs) -> bool {
        let is_idle = self.live().is_none() && self.in_flight() == 0 && self.used_at() < idle_since;
        is_idle
            && self.quarantine.load().as_ref().is_none_or(|quarantine| quarantine.is_forgotten(now))
            && self.revocations().is_all_past(now)
            && self.cells.is_blank(now)
    }

    /// Publishes what was loaded, or parks the tenant.
    pub(crate) fn publish(&self, live: Option<Arc<Live>>) {
        if let Some(live) = &live {
            self.weigh(live.settings.weight);
        }
        self.live.store(live);
    }

    /// Notes a failure of one of its actors and decides what follows.
    pub(crate) fn failed(&self, now: UnixMs) -> Verdict {
        take(&self.cells.restarts).failed(now)
    }

    /// Takes the tenant out of service: parked, its buckets as good as emptied, its failures forgotten with the trial.
    pub(crate) fn quarantine(&self, base: Duration, now: UnixMs) -> Arc<Quarantine> {
        let last = self.quarantine.load().as_deref().copied();
        let next = Arc::new(Quarantine::begin(last, base, now));
        self.quarantine.store(Some(Arc::clone(&next)));
        self.publish(None);
        *take(&self.cells.restarts) = Restarts::default();
        *take(&self.cells.buckets) = (Buckets::at_most(BUCKETS_MAX), Some(Unseen::EmptiedBy(next.until)));
        *self.cells.shadow() = Shadow::default();
        *take(&self.cells.rotations) = SlotRotations::default();
        *take(&self.cells.attempts) = SlotAttempts::default();
        next
    }
}

#[cfg(test)]
mod tests {
    use freehold_domain::tier::Tier;

    use super::*;

    #[test]
    fn a_tenants_places_follow_its_weight() {
        let slug = "acme".parse().unwrap();
        let slot = TenantSlot::new(TenantId::new(UnixMs::new(0), [0; 10]), slug, "Acme", Standing::default());
        let mut places = vec![];
        for (weight, most) in [(1, 256), (3, 768), (2, 768), (16, 4_096)] {
            slot.weigh(Weight::new(weight).unwrap());
            places.extend(std::iter::from_fn(|| slot.enter(UnixMs::new(0)).ok()));
            assert_eq!((slot.in_flight(), places.len()), (most, most as usize), "{weight}");
        }
        places.clear();
        assert_eq!(slot.in_flight(), 0);
    }

    #[test]
    fn a_tenants_buckets_have_a_bound_and_newcomers_past_it_share_one() {
        let slot = TenantSlot::new(
            TenantId::new(UnixMs::new(0), [0; 10]),
            "acme".parse().unwrap(),
            "Acme",
            Standing::default(),
        );
        let limit = |tier: Tier| tier.default_limit();
        let ask = |subject: u128| {
            let layer = Layer { tier: Tier::CspReport, subject: Subject(subject) };
            slot.cells.buckets().0.admit(&[layer], limit, Unseen::Full, UnixMs::new(1))
        };
        let many = BUCKETS_MAX as u128;
        for subject in 1..=many {
            ask(subject).unwrap();
        }
        let newcomers = (1..=1_000).filter(|n| ask(many + n).is_ok()).count();
        assert_eq!(newcomers, 60, "all of them have the limit of one");
        assert!(slot.cells.buckets().0.len() <= BUCKETS_MAX + 1);
        assert!(ask(1).is_ok(), "who was there before has a bucket of its own");
    }

    #[test]
    fn calls_outside_and_looks_at_domains_are_counted_together() {
        let slug = "acme".parse().unwrap();
        let slot = TenantSlot::new(TenantId::new(UnixMs::new(0), [0; 10]), slug, "Acme", Standing::default());
        let looks: Vec<_> = std::iter::from_fn(|| slot.call_outside(gate::LOOKS_MAX).ok()).collect();
        let calls: Vec<_> = std::iter::from_fn(|| slot.call_outside(gate::OUTBOUND_MAX).ok()).collect();
        assert_eq!((looks.len(), calls.len()), (4, 12));
        drop(looks);
        assert!(slot.call_outside(gate::LOOKS_MAX).is_err() && slot.call_outside(gate::OUTBOUND_MAX).is_ok());
    }
}
