//! Bucket levels and blocks that belong to the node: those of addresses, and those saved at a clean stop.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_domain::gcra::{Buckets, Layer, RateLimited, Reading, Subject, Tat, Unseen};
use freehold_domain::id::{BlockId, TenantId};
use freehold_domain::penalty::{Block, Penalties};
use freehold_domain::tier::{Limit, Tier};
use freehold_domain::time::UnixMs;
use serde::{Deserialize, Serialize};

use crate::ambient::Ambient;
use crate::node::Node;

const SHARDS: usize = 16;
/// Addresses of a shard that have a bucket of their own at once: half a million in all, some 30 MB.
const ADDRESSES_MAX: usize = 32_768;

/// Addresses of a shard that are counted against a block at once.
const PENALTIES_MAX: usize = 4_096;

/// Whether a request is let in, and what is left.
type Decision = Result<Option<Reading>, RateLimited>;

/// The address buckets of the node and who is blocked, in shards so that connections seldom meet.
pub struct AddressBuckets([Mutex<Shard>; SHARDS]);

struct Shard {
    buckets: Buckets,
    penalties: Penalties,
}

impl Default for AddressBuckets {
    fn default() -> Self {
        let shard = || Shard { buckets: Buckets::at_most(ADDRESSES_MAX), penalties: Penalties::at_most(PENALTIES_MAX) };
        Self(std::array::from_fn(|_| Mutex::new(shard())))
    }
}

impl AddressBuckets {
    /// Counts one request of an address, and who is banned from this one on. One that a page of somebody else made a browser
    /// send counts, and is not held against the address.
    ///
    /// # Errors
    /// [`RateLimited`] when it has no room, or is blocked.
    pub(crate) fn admit(
        &self,
        address: Subject,
        limit: Limit,
        is_foreign: bool,
        unseen: Unseen,
        ambient: Ambient,
    ) -> (Decision, Option<(Layer, Block)>) {
        if limit == Limit::Off {
            return (Ok(None), None);
        }
        let (layer, now) = (Layer { tier: Tier::Address, subject: address }, ambient.now());
        let mut shard = self.take(address);
        if is_foreign {
            let blocked = shard.penalties.standing_block(layer, limit, now);
            let admit = || shard.buckets.admit(&[layer], |_| limit, unseen, now);
            return (blocked.map_or_else(admit, Err), None);
        }
        if let Some(stopped) = shard.penalties.stop(&[layer], |_| limit, now) {
            return (Err(stopped.limited), stopped.banned);
        }
        let decision = shard.buckets.admit(&[layer], |_| limit, unseen, now);
        let id = || BlockId::new(now, ambient.random());
        (decision.map_err(|limited| shard.penalties.refused(limited, |_| limit, id, now)), None)
    }

    /// Which addresses are blocked or banned at `now`, by id.
    pub(crate) fn held(&self, now: UnixMs) -> Vec<(Layer, Block)> {
        let mut held = vec![];
        self.each(|shard| held.extend(shard.penalties.held(now)));
        held.sort_by_key(|(_, block)| block.id);
        held
    }

    /// How many are blocked at `now`, and how many banned.
    pub(crate) fn census(&self, now: UnixMs) -> (u32, u32) {
        let (mut blocked, mut banned) = (0, 0);
        self.each(|shard| {
            let (more, others) = shard.penalties.census(now);
            (blocked, banned) = (blocked + more, banned + others);
        });
        (blocked, banned)
    }

    /// As [`Penalties::take_unplaced`], of all.
    pub(crate) fn take_unplaced(&self) -> u64 {
        let mut unplaced = 0;
        self.each(|shard| unplaced += shard.penalties.take_unplaced());
        unplaced
    }

    /// Ends a block or a ban; whose it was.
    pub(crate) fn lift(&self, id: BlockId, now: UnixMs) -> Option<(Layer, Block)> {
        let mut lifted = None;
        self.each(|shard| lifted = lifted.or_else(|| shard.penalties.lift(id, now)));
        lifted
    }

    fn each(&self, mut see: impl FnMut(&mut Shard)) {
        for shard in &self.0 {
            see(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn take(&self, address: Subject) -> MutexGuard<'_, Shard> {
        self.shard(address).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, address: Subject) -> &Mutex<Shard> {
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

/// One saved block or ban.
#[derive(Debug, Serialize, Deserialize)]
struct Penalty {
    tier: String,
    subject: u128,
    #[serde(flatten)]
    block: Block,
}

impl Penalty {
    fn of((layer, block): (Layer, Block)) -> Self {
        Self { tier: layer.tier.as_str().to_owned(), subject: layer.subject.0, block }
    }

    /// `None` for a tier that is no more.
    fn read(self) -> Option<(Layer, Block)> {
        Some((Layer { tier: self.tier.parse().ok()?, subject: Subject(self.subject) }, self.block))
    }
}

/// Every level of a node, as a clean stop saves it, and who is blocked. Subjects are ids, addresses and keyed hashes; no name, no secret.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Levels {
    /// When buckets that are not listed were empty at the latest; `None`: never.
    emptied_by: Option<UnixMs>,
    addresses: Vec<Level>,
    #[serde(default)]
    blocked_addresses: Vec<Penalty>,
    tenants: BTreeMap<TenantId, TenantLevels>,
}

/// The levels of one tenant, and when its other buckets were empty at the latest, where that is not the node's time.
#[derive(Debug, Serialize, Deserialize)]
struct TenantLevels {
    emptied_by: Option<UnixMs>,
    levels: Vec<Level>,
    #[serde(default)]
    blocked: Vec<Penalty>,
}

impl Levels {
    /// The levels of every bucket that is not full.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let now = node.ambient.now();
        let blocked = |held: Vec<(Layer, Block)>| held.into_iter().map(Penalty::of).collect();
        let mut levels = Self { emptied_by: emptied_by(node.unseen), ..Self::default() };
        node.addresses.each(|shard| levels.addresses.extend(list(&shard.buckets)));
        levels.blocked_addresses = blocked(node.addresses.held(now));
        node.slots.still_saved(|id, saved| {
            let kept = saved.levels.iter().map(|(layer, tat)| Level::of(*layer, *tat)).collect();
            let (unseen, blocked) = (saved.unseen.and_then(emptied_by), blocked(saved.blocked.clone()));
            levels.tenants.insert(id, TenantLevels { emptied_by: unseen, levels: kept, blocked });
        });
        node.slots.all(|slot| {
            let cell = slot.cells.buckets();
            let blocked = blocked(slot.cells.penalties().held(now));
            let mine = TenantLevels { emptied_by: cell.1.and_then(emptied_by), levels: list(&cell.0), blocked };
            if mine.emptied_by.is_some() || !mine.levels.is_empty() || !mine.blocked.is_empty() {
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
                node.addresses.take(layer.subject).buckets.restore(layer, level.tat);
            }
        }
        for (layer, block) in self.blocked_addresses.into_iter().filter_map(Penalty::read) {
            node.addresses.take(layer.subject).penalties.restore(layer, block);
        }
        node.slots.saved(self.tenants.into_iter().map(|(id, levels)| (id, read(levels))).collect());
    }
}

/// A tenant's levels as its slot takes them.
pub(crate) struct SavedLevels {
    /// What is known of its other buckets, where that is not what is known of the node's.
    pub(crate) unseen: Option<Unseen>,
    pub(crate) levels: Vec<(Layer, Tat)>,
    pub(crate) blocked: Vec<(Layer, Block)>,
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
    let blocked = saved.blocked.into_iter().filter_map(Penalty::read).collect();
    SavedLevels { unseen: saved.emptied_by.map(Unseen::EmptiedBy), levels, blocked }
}
