//! Rate buckets by the generic cell rate algorithm (ITU-T I.371 annex A), in integer nanoseconds.
//!
//! A bucket is one number, its *theoretical arrival time* (TAT): the moment it is full again. Each request moves it
//! one emission interval (`period / burst`) ahead; a request that would move it more than `period` ahead of now is
//! refused and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::penalty::Stage;
use crate::tier::{Limit, Tier};
use crate::time::UnixMs;

pub mod shared;

/// When a bucket is full again, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tat(u64);

/// Whose bucket of a tier: a member, an address, an account, or the whole tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub u128);

impl Subject {
    /// The tenant itself.
    pub const TENANT: Self = Self(0);
    /// All who are new where there is room for nobody new.
    const CROWD: Self = Self(u128::MAX);
}

/// One layer of a request: a bucket it must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// The tier whose limit applies.
    pub tier: Tier,
    /// Whose bucket of it.
    pub subject: Subject,
}

/// What a counted answer tells its client (`X-RateLimit-*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The tier with the least left.
    pub tier: Tier,
    /// How many the tier admits at once.
    pub limit: u32,
    /// How many more it would admit now.
    pub remaining: u32,
    /// When the bucket is full again.
    pub full_at: UnixMs,
}

impl Reading {
    /// Of two readings the one with the smaller share left.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let left = |r: Self| u64::from(r.remaining) * 1_000_000 / u64::from(r.limit.max(1));
        if left(other) < left(self) { other } else { self }
    }
}

/// A layer had no room: nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate limit {} reached", .reading.tier)]
pub struct RateLimited {
    /// The layer that refused, empty.
    pub reading: Reading,
    /// Whose bucket of the tier that is.
    pub subject: Subject,
    /// [`Stage::Limit`] by a bucket; another by a block, before any bucket was asked.
    pub stage: Stage,
    /// How long until this very request would be admitted.
    pub retry_after: Duration,
}

impl RateLimited {
    /// What the same request is told this much later: nothing, once it would be admitted. Until then nobody else is
    /// admitted to that bucket either, so it stands as it was.
    #[must_use]
    pub fn after(self, elapsed: Duration) -> Option<Self> {
        let retry_after = self.retry_after.checked_sub(elapsed).filter(|left| !left.is_zero())?;
        Some(Self { retry_after, ..self })
    }

    /// Of two refusals the one that lasts longer.
    fn longer(self, other: Self) -> Self {
        if self.retry_after >= other.retry_after { self } else { other }
    }
}

/// What is known of buckets that have no saved level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The last run stopped cleanly and saved its levels: an unseen bucket is full.
    Full,
    /// The last run may have emptied it at this moment at the latest.
    EmptiedBy(UnixMs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    burst: u32,
    interval_ns: u64,
    capacity_ns: u64,
}

/// The rate of `limit`, or `None` when nothing is counted.
fn rate(limit: Limit) -> Option<Rate> {
    let Limit::Per { burst, period } = limit else { return None };
    let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
    // Rounded up, so that no period admits more than `burst`.
    let interval_ns = period_ns.div_ceil(u64::from(burst.max(1)));
    Some(Rate { burst, interval_ns, capacity_ns: interval_ns.saturating_mul(u64::from(burst)) })
}

fn nanos(at: UnixMs) -> u64 {
    at.get().unsigned_abs().saturating_mul(1_000_000)
}

/// The moment `tat` has passed, in milliseconds, rounded up.
fn millis(tat: u64) -> UnixMs {
    UnixMs::new(i64::try_from(tat.div_ceil(1_000_000)).unwrap_or(i64::MAX))
}

impl Unseen {
    /// The level an unseen bucket starts from: never more than it can have regained since the last run, and always
    /// enough for one request.
    fn start_ns(self, rate: &Rate, now_ns: u64) -> u64 {
        match self {
            Self::Full => 0,
            Self::EmptiedBy(at) => {
                let one_left = now_ns.saturating_add(rate.capacity_ns.saturating_sub(rate.interval_ns));
                nanos(at).saturating_add(rate.capacity_ns).min(one_left)
            }
        }
    }
}

/// Moves a bucket by one request, or says when it would have room.
///
/// # Errors
/// How long until there is room, when there is none.
fn decide(tat: u64, rate: &Rate, now_ns: u64) -> Result<u64, Duration> {
    let next = tat.max(now_ns).saturating_add(rate.interval_ns);
    match next.checked_sub(now_ns.saturating_add(rate.capacity_ns)) {
        None | Some(0) => Ok(next),
        Some(short_ns) => Err(Duration::from_nanos(short_ns)),
    }
}

fn reading(tier: Tier, rate: &Rate, tat: u64, now_ns: u64) -> Reading {
    let used = tat.saturating_sub(now_ns);
    let left = rate.capacity_ns.saturating_sub(used) / rate.interval_ns.max(1);
    Reading {
        tier,
        limit: rate.burst,
        remaining: u32::try_from(left).unwrap_or(u32::MAX),
        full_at: millis(tat.max(now_ns)),
    }
}

/// The buckets of one owner: a tenant, or a share of a node's addresses.
///
/// A bucket that is full again is dropped, so the memory follows the traffic of one period; where strangers choose the
/// subjects it has a bound too. Past it, whoever is new shares one bucket of the tier with all others who are new: those who
/// were there before are counted as ever, and nobody goes uncounted.
#[derive(Debug)]
pub struct Buckets {
    tats: BTreeMap<Layer, u64>,
    /// Where buckets are shared: those whose level only this node knows.
    own: BTreeSet<Layer>,
    /// How often their keeper had been lost when this was looked at last.
    losses: u64,
    steps_to_sweep: usize,
    len_max: usize,
}

impl Default for Buckets {
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl Buckets {
    /// No buckets yet, and at most so many, but for one of each tier that newcomers share.
    #[must_use]
    pub const fn at_most(len_max: usize) -> Self {
        Self { tats: BTreeMap::new(), own: BTreeSet::new(), losses: 0, steps_to_sweep: 0, len_max }
    }

    /// The bucket that this layer is counted in.
    fn place(&self, layer: Layer) -> Layer {
        let has_room = self.tats.len() < self.len_max || self.tats.contains_key(&layer);
        if has_room { layer } else { Layer { subject: Subject::CROWD, ..layer } }
    }

    /// Counts one request in every layer, or in none.
    ///
    /// The answer is the reading of the tightest layer; `None` when no layer is counted.
    ///
    /// # Errors
    /// [`RateLimited`] by the layer that must wait longest; nothing is counted.
    pub fn admit(
        &mut self,
        layers: &[Layer],
        limit: impl Fn(Tier) -> Limit,
        unseen: Unseen,
        now: UnixMs,
    ) -> Result<Option<Reading>, RateLimited> {
        let now_ns = nanos(now);
        let mut moved: [Option<(Layer, u64)>; 4] = [None; 4];
        let mut tightest: Option<Reading> = None;
        let mut refused: Option<RateLimited> = None;
        for (slot, layer) in moved.iter_mut().zip(layers) {
            let layer = &self.place(*layer);
            let Some(rate) = rate(limit(layer.tier)) else { continue };
            let tat = match self.tats.get_mut(layer) {
                // A level is never further ahead than a whole bucket: the limit may have been another, or the clock. It
                // is kept like that, or the wait that a refusal tells would begin anew with each.
                Some(tat) => {
                    *tat = (*tat).min(now_ns.saturating_add(rate.capacity_ns));
                    *tat
                }
                None => unseen.start_ns(&rate, now_ns),
            };
            match decide(tat, &rate, now_ns) {
                Ok(next) => {
                    *slot = Some((*layer, next));
                    let reading = reading(layer.tier, &rate, next, now_ns);
                    tightest = Some(tightest.map_or(reading, |t| t.tighter(reading)));
                }
                Err(retry_after) => {
                    let reading = reading(layer.tier, &rate, tat, now_ns);
                    let this = RateLimited { reading, subject: layer.subject, stage: Stage::Limit, retry_after };
                    refused = Some(refused.map_or(this, |known| known.longer(this)));
                }
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        self.sweep_sometimes(now_ns);
        for (layer, next) in moved.into_iter().flatten() {
            self.tats.insert(layer, next);
        }
        Ok(tightest)
    }

    /// Whether the layer has a bucket or there is room for one: those that are full again make way, some time.
    pub(crate) fn make_room(&mut self, layer: Layer, now: UnixMs) -> bool {
        if self.place(layer) == layer {
            return true;
        }
        self.sweep_sometimes(nanos(now));
        self.place(layer) == layer
    }

    /// Drops every bucket of the tiers that are not to be kept, whatever its level.
    pub(crate) fn retain(&mut self, keep: impl Fn(Tier) -> bool) {
        self.tats.retain(|layer, _| keep(layer.tier));
        self.own.retain(|layer| keep(layer.tier));
    }

    /// Drops every bucket that is full at `now`; the others stay as they are.
    pub fn sweep(&mut self, now: UnixMs) {
        let now_ns = nanos(now);
        self.tats.retain(|_, tat| *tat > now_ns);
        self.own.retain(|layer| self.tats.contains_key(layer));
        self.steps_to_sweep = self.tats.len().max(64);
    }

    /// How many buckets are not known to be full.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tats.len()
    }

    /// Whether every bucket is full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tats.is_empty()
    }

    /// Every level, to be saved at a clean stop.
    pub fn levels(&self) -> impl Iterator<Item = (Layer, Tat)> {
        self.tats.iter().map(|(layer, tat)| (*layer, Tat(*tat)))
    }

    /// Takes back a saved level.
    pub fn restore(&mut self, layer: Layer, tat: Tat) {
        self.tats.insert(layer, tat.0);
        self.own.insert(layer);
    }

    /// Sweeps once every as many steps as there are buckets: constant cost a step.
    fn sweep_sometimes(&mut self, now_ns: u64) {
        match self.steps_to_sweep.checked_sub(1) {
            Some(left) => self.steps_to_sweep = left,
            None => self.sweep(millis(now_ns)),
        }
    }
}

#[cfg(test)]
mod tests;
