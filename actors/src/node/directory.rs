//! The slots of known tenants, found by slug or id without asking an actor.
//!
//! A tenant is known from its first request on, until it is parked and there is nothing left to remember of it; before
//! and after that it costs nothing. A slug that is nobody's is remembered for
//! a second, so that a flood of unknown hosts does not become a flood of queries.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use freehold_domain::id::TenantId;
use freehold_domain::slug::Slug;
use freehold_domain::time::UnixMs;
use freehold_storage::StoreError;
use freehold_storage::directory::{self, TenantRow};
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};

use crate::front_end::SHARDS;
use crate::levels::SavedLevels;
use crate::node::Node;
use crate::slot::{Standing, TenantSlot};

const NOBODY_TTL: Duration = Duration::from_secs(1);
const NOBODY_MAX: usize = 10_000;
const TURNS: usize = 64;

/// The slots of the tenants this node has met.
pub struct Slots {
    by_slug: DashMap<Slug, Arc<TenantSlot>>,
    by_id: DashMap<TenantId, Arc<TenantSlot>>,
    /// Slugs that were nobody's, and when.
    nobody: Cache<Slug, UnixMs>,
    /// Ids that were nobody's, and when.
    nobody_by_id: Cache<TenantId, UnixMs>,
    /// Look-ups of one slug or id go one at a time: a burst for a tenant that is not known yet asks the directory once.
    turns: [Mutex<()>; TURNS],
    /// Levels of the last run, for slots that were not met yet.
    saved: DashMap<TenantId, SavedLevels>,
}

/// Why a slug has no slot.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// There is no such tenant.
    #[error("no such tenant")]
    Unknown,
    /// The directory could not be read.
    #[error("the directory could not be read")]
    Store(#[from] StoreError),
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            by_slug: DashMap::new(),
            by_id: DashMap::new(),
            nobody: Cache::new(NOBODY_MAX),
            nobody_by_id: Cache::new(NOBODY_MAX),
            turns: std::array::from_fn(|_| Mutex::default()),
            saved: DashMap::new(),
        }
    }
}

impl Slots {
    /// The slot of this slug, or that it is nobody's, as far as is known without asking.
    fn known(&self, slug: &Slug, now: UnixMs) -> Option<Result<Arc<TenantSlot>, Unreachable>> {
        if let Some(slot) = self.by_slug.get(slug) {
            return Some(Ok(Arc::clone(&slot)));
        }
        let nobody = self.nobody.get(slug).is_some_and(|at| now.since(at) < NOBODY_TTL);
        nobody.then_some(Err(Unreachable::Unknown))
    }

    /// The slot of the tenant with this id, or that there is none, as far as is known without asking.
    fn known_by_id(&self, id: TenantId, now: UnixMs) -> Option<Result<Arc<TenantSlot>, Unreachable>> {
        if let Some(slot) = self.by_id(id) {
            return Some(Ok(slot));
        }
        let nobody = self.nobody_by_id.get(&id).is_some_and(|at| now.since(at) < NOBODY_TTL);
        nobody.then_some(Err(Unreachable::Unknown))
    }

    /// Waits for the turn of this look-up.
    async fn turn(&self, of: &impl Hash) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let [first, ..] = &self.turns;
        let place = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        self.turns.get(place).unwrap_or(first).lock().await
    }

    /// Which front end owns the tenant.
    pub(crate) fn shard_of(id: TenantId) -> usize {
        // The last bytes of a UUIDv7 are random.
        id.uuid().as_bytes().last().map_or(0, |byte| usize::from(*byte) % SHARDS)
    }

    /// The slot of a tenant this node has met.
    #[must_use]
    pub fn by_id(&self, id: TenantId) -> Option<Arc<TenantSlot>> {
        self.by_id.get(&id).map(|slot| Arc::clone(&slot))
    }

    /// Shows every slot of one shard.
    pub(crate) fn each(&self, shard: usize, mut see: impl FnMut(&TenantSlot)) {
        self.by_id.iter().filter(|slot| Self::shard_of(slot.id) == shard).for_each(|slot| see(&slot));
    }

    /// Shows every slot.
    pub fn all(&self, mut see: impl FnMut(&TenantSlot)) {
        self.by_id.iter().for_each(|slot| see(&slot));
    }

    /// Forgets the tenants of which nothing would be lost and that nobody holds; their next request meets them anew.
    pub fn forget(&self, idle_since: UnixMs, now: UnixMs) {
        let blank = |slot: &TenantSlot| slot.is_blank(idle_since, now);
        let mut candidates = vec![];
        self.all(|slot| candidates.extend(blank(slot).then(|| (slot.id, slot.slug.clone()))));
        for (id, slug) in candidates {
            self.by_slug.remove_if(&slug, |_, _| {
                // Under both locks nobody can take hold of it, and these two are all who hold it.
                self.by_id.remove_if(&id, |_, slot| Arc::strong_count(slot) == 2 && blank(slot)).is_some()
            });
        }
    }

    /// How many tenants are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many tenants are active, and how many are quarantined.
    #[must_use]
    pub fn census(&self, now: UnixMs) -> (usize, usize) {
        self.by_id.iter().fold((0, 0), |(active, quarantined), slot| {
            let out = slot.quarantined_for(now).is_some();
            (active + usize::from(slot.live().is_some()), quarantined + usize::from(out))
        })
    }

    /// Keeps the levels of the last run for the slots they belong to.
    pub(crate) fn saved(&self, levels: BTreeMap<TenantId, SavedLevels>) {
        for (id, levels) in levels {
            drop(self.saved.insert(id, levels));
        }
    }

    /// Shows the levels of the last run whose slots were not met.
    pub(crate) fn still_saved(&self, mut see: impl FnMut(TenantId, &SavedLevels)) {
        self.saved.iter().for_each(|entry| see(*entry.key(), &entry));
    }

    /// The slot for a row of the directory, known from now on.
    pub(crate) fn meet(&self, row: &TenantRow) -> Result<Arc<TenantSlot>, StoreError> {
        let corrupt = || StoreError::Corrupt { table: "tenant", id: row.id.to_string() };
        let slug: Slug = row.slug.parse().map_err(|_| corrupt())?;
        let standing = Standing {
            state: row.state.name.parse().map_err(|_| corrupt())?,
            reason: row.state.reason.as_deref().map(Into::into),
            until: row.state.until_ms,
            decided_at: row.updated_at_ms,
        };
        let id = row.id;
        let known = self.by_id.entry(id).or_insert_with(|| {
            let slot = TenantSlot::new(id, slug.clone(), &row.name, standing.clone());
            if let Some((_, saved)) = self.saved.remove(&id) {
                let mut cell = slot.cells.buckets();
                cell.1 = saved.unseen;
                for (layer, tat) in saved.levels {
                    cell.0.restore(layer, tat);
                }
                drop(cell);
                for (layer, block) in saved.blocked {
                    slot.cells.penalties().restore(layer, block);
                }
            }
            Arc::new(slot)
        });
        let slot = Arc::clone(&known);
        drop(known); // its lock comes after the slug's: see `forget`
        slot.set_standing(standing);
        self.by_slug.insert(slug.clone(), Arc::clone(&slot));
        self.nobody.remove(&slug);
        self.nobody_by_id.remove(&id);
        Ok(slot)
    }
}

impl Node {
    /// The slot of the tenant called `slug`.
    ///
    /// # Errors
    /// [`Unreachable`] when there is none, or the directory cannot be read.
    pub async fn slot(&self, slug: &Slug) -> Result<Arc<TenantSlot>, Unreachable> {
        match self.slots.known(slug, self.ambient.now()) {
            Some(known) => known,
            None => Box::pin(self.look_up(slug)).await,
        }
    }

    /// Asks the directory, which few requests do: no other has the room for it.
    async fn look_up(&self, slug: &Slug) -> Result<Arc<TenantSlot>, Unreachable> {
        let _turn = self.slots.turn(slug).await;
        if let Some(known) = self.slots.known(slug, self.ambient.now()) {
            return known;
        }
        let mut tx = self.store.system_read().await?;
        if let Some(row) = directory::by_slug(&mut tx, slug.as_str()).await? {
            drop(tx);
            let slot = self.slots.meet(&row)?;
            // The feed skips tenants that are not known yet: what it skipped while this one was being met is read again.
            self.reread(slot.id).await?;
            return Ok(slot);
        }
        self.slots.nobody.insert(slug.clone(), self.ambient.now());
        Err(Unreachable::Unknown)
    }

    /// The slot of the tenant with this id, which somebody claims that there is.
    ///
    /// # Errors
    /// As [`Node::slot`].
    pub async fn slot_of(&self, id: TenantId) -> Result<Arc<TenantSlot>, Unreachable> {
        match self.slots.known_by_id(id, self.ambient.now()) {
            Some(known) => known,
            None => Box::pin(self.look_up_id(id)).await,
        }
    }

    async fn look_up_id(&self, id: TenantId) -> Result<Arc<TenantSlot>, Unreachable> {
        let _turn = self.slots.turn(&id).await;
        if let Some(known) = self.slots.known_by_id(id, self.ambient.now()) {
            return known;
        }
        let mut tx = self.store.system_read().await?;
        if let Some(row) = directory::by_id(&mut tx, id).await? {
            drop(tx);
            let slot = self.slots.meet(&row)?;
            self.reread(slot.id).await?; // as above
            return Ok(slot);
        }
        self.slots.nobody_by_id.insert(id, self.ambient.now());
        Err(Unreachable::Unknown)
    }

    /// Reads a tenant's standing anew: another node changed it.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be read.
    pub(crate) async fn reread(&self, id: TenantId) -> Result<(), StoreError> {
        let mut tx = self.store.system_read().await?;
        if let Some(row) = directory::by_id(&mut tx, id).await? {
            self.slots.meet(&row)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use freehold_storage::directory::TenantStateRow;

    use super::*;

    const NOW: UnixMs = UnixMs::new(1_700_000_000_000);

    fn row() -> TenantRow {
        TenantRow {
            id: TenantId::new(NOW, [7; 10]),
            slug: "acme".into(),
            name: "Acme".into(),
            state: TenantStateRow { name: "active".into(), reason: None, until_ms: None },
            created_at_ms: NOW,
            updated_at_ms: NOW,
        }
    }

    #[test]
    fn a_slot_is_forgotten_only_when_it_is_blank() {
        let slots = Slots::default();
        let forget = || slots.forget(NOW, NOW);
        let slot = slots.meet(&row()).unwrap();
        forget();
        assert_eq!(slots.len(), 1, "somebody holds it");
        slot.bury(&crate::slot::Deaths::family(freehold_domain::id::FamilyId::new(NOW, [1; 10])), NOW);
        drop(slot);
        forget();
        assert_eq!(slots.len(), 1, "it remembers a death");
        slots.forget(NOW, NOW.plus(freehold_domain::revocation::DEPTH));
        assert!(slots.is_empty() && slots.by_slug.is_empty());
    }

    /// Two slots of one tenant would be two counts of everything that is counted for it.
    #[test]
    fn while_anybody_holds_a_slot_it_is_the_only_one_of_its_tenant() {
        let slots = Slots::default();
        let (row, slug) = (row(), "acme".parse().unwrap());
        thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|_| slots.forget(NOW, NOW)));
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let known = slots.known(&slug, NOW).and_then(Result::ok);
                        let held = known.unwrap_or_else(|| slots.meet(&row).unwrap());
                        let now = slots.by_id(row.id).expect("a slot that is held is known");
                        assert!(Arc::ptr_eq(&held, &now));
                    }
                });
            }
        });
    }
}
