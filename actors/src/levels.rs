//! Bucket levels that belong to the node: those of addresses, and those saved at a clean stop.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use freehold_domain::gcra::{Buckets, Layer, RateLimited, Reading, Subject, Tat, Unseen};
use freehold_domain::id::TenantId;
use freehold_domain::tier::{Limit, Tier};
use freehold_domain::time::UnixMs;
use serde::{Deserialize, Serialize};

use crate::node::Node;

const SHARDS: usize = 16;
/// Addresses of a shard that have a bucket of their own at once: half a million in all, some 30 MB.
const ADDRESSES_MAX: usize = 32_768;

/// The address buckets of the node, in shards so that connections seldom meet.
pub struct AddressBuckets([Mutex<Buckets>; SHARDS]);

impl Default for AddressBuckets {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Buckets::at_most(ADDRESSES_MAX))))
    }
}

impl AddressBuckets {
    /// Counts one request of an address.
    ///
    /// # Errors
    /// [`RateLimited`] when it has no room.
    pub fn admit(
        &self,
        address: Subject,
        limit: Limit,
        unseen: Unseen,
        now: UnixMs,
    ) -> Result<Option<Reading>, RateLimited> {
        if limit == Limit::Off {
            return Ok(None);
        }
        let layer = Layer { tier: Tier::Address, subject: address };
        let mut buckets = self.shard(address).lock().unwrap_or_else(PoisonError::into_inner);
        buckets.admit(&[layer], |_| limit, unseen, now)
    }

    fn shard(&self, address: Subject) -> &Mutex<Buckets> {
        // IPv6 networks differ in their high half, IPv4 addresses in their low one.
        let Subject(bits) = address;
        let mixed = (bits ^ (bits >> 64)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let [first, ..] = &self.0;
        self.0.get(usize::try_from(mixed % 16).unwrap_or(0)).unwrap_or(first)
    }
}

/// One saved level.
#[derive(Debug, Serialize, Deserialize)]
struct Level {
    tier: String,
    subject: u128,
    tat: Tat,
}

impl Level {
    fn of(layer: Layer, tat: Tat) -> Self {
        Self { tier: layer.tier.as_str().to_owned(), subject: layer.subject.0, tat }
    }
}

/// Every level of a node, as a clean stop saves it. Subjects are ids, addresses and keyed hashes; no name, no secret.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Levels {
    /// When buckets that are not listed were empty at the latest; `None`: never.
    emptied_by: Option<UnixMs>,
    addresses: Vec<Level>,
    tenants: BTreeMap<TenantId, TenantLevels>,
}

/// The levels of one tenant, and when its other buckets were empty at the latest, where that is not the node's time.
#[derive(Debug, Serialize, Deserialize)]
struct TenantLevels {
    emptied_by: Option<UnixMs>,
    levels: Vec<Level>,
}

impl Levels {
    /// The levels of every bucket that is not full.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let mut levels = Self { emptied_by: emptied_by(node.unseen), ..Self::default() };
        for shard in &node.addresses.0 {
            levels.addresses.extend(list(&shard.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        node.slots.still_saved(|id, saved| {
            let kept = saved.levels.iter().map(|(layer, tat)| Level::of(*layer, *tat)).collect();
            levels.tenants.insert(id, TenantLevels { emptied_by: saved.unseen.and_then(emptied_by), levels: kept });
        });
        node.slots.all(|slot| {
            let cell = slot.cells.buckets();
            let mine = TenantLevels { emptied_by: cell.1.and_then(emptied_by), levels: list(&cell.0) };
            if mine.emptied_by.is_some() || !mine.levels.is_empty() {
                levels.tenants.insert(slot.id, mine);
            }
        });
        levels
    }

    /// What is known of buckets that are not listed.
    #[must_use]
    pub fn unseen(&self) -> Unseen {
        self.emptied_by.map_or(Unseen::Full, Unseen::EmptiedBy)
    }

    /// Puts the levels back: addresses at once, a tenant's when its slot is first met.
    pub fn restore(self, node: &Node) {
        for level in self.addresses {
            if let Ok(tier) = level.tier.parse() {
                let layer = Layer { tier, subject: Subject(level.subject) };
                let shard = node.addresses.shard(layer.subject);
                shard.lock().unwrap_or_else(PoisonError::into_inner).restore(layer, level.tat);
            }
        }
        node.slots.saved(self.tenants.into_iter().map(|(id, levels)| (id, read(levels))).collect());
    }
}

/// A tenant's levels as its slot takes them.
pub(crate) struct SavedLevels {
    /// What is known of its other buckets, where that is not what is known of the node's.
    pub(crate) unseen: Option<Unseen>,
    pub(crate) levels: Vec<(Layer, Tat)>,
}

fn emptied_by(unseen: Unseen) -> Option<UnixMs> {
    match unseen {
        Unseen::Full => None,
        Unseen::EmptiedBy(at) => Some(at),
    }
}

fn list(buckets: &Buckets) -> Vec<Level> {
    buckets.levels().map(|(layer, tat)| Level::of(layer, tat)).collect()
}

fn read(saved: TenantLevels) -> SavedLevels {
    let layer = |l: Level| Some((Layer { tier: l.tier.parse().ok()?, subject: Subject(l.subject) }, l.tat));
    let levels = saved.levels.into_iter().filter_map(layer).collect();
    SavedLevels { unseen: saved.emptied_by.map(Unseen::EmptiedBy), levels }
}
