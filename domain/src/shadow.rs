//! Limits that are tried on a tenant's real traffic: they refuse nothing, and it is counted what they would have refused.
//!
//! A request that the limits in force admit is counted once more, in buckets of the shadow alone. All the shadow's limits that
//! apply to it have to have room, as with limits in force: it moves each of their buckets or none, and what has no room would
//! have been refused by the tier whose wait is longest, which a 429 would have named. So the refusals of all tiers together are
//! as many as there would have been. Tiers without a limit in the shadow are not counted.
//!
//! A request that the limits in force refuse is not counted: it is refused with the shadow or without it, and a limit that
//! refuses counts nothing either.
//!
//! Bounded: past [`BUCKETS_MAX`] a subject that is new is left out and told as not counted. Sharing a bucket, as newcomers do
//! where something is protected, would here tell of refusals that nobody would have seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::gcra::{Buckets, Layer, Subject, Unseen};
use crate::tier::{Limit, Tier};
use crate::time::UnixMs;

/// Buckets of one tenant's shadow that are not full, in all its tiers together. A last request may add some: one a layer.
pub const BUCKETS_MAX: usize = 16_384;
/// Subjects that are told apart among those a tier would have refused.
pub const SUBJECTS_MAX: usize = 1_000;

/// A limit that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tried {
    limit: Limit,
    since: UnixMs,
}

/// The limits that are tried on one tenant's traffic; none by default.
///
/// Stored as JSON. What a later release wrote and this one cannot read is as if it were not there: a shadow is not worth a
/// tenant that cannot be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Written>", into = "BTreeMap<String, Written>")]
pub struct ShadowLimits(BTreeMap<Tier, Tried>);

/// A limit that is tried, as it is stored.
#[derive(Serialize, Deserialize)]
struct Written {
    limit: String,
    since_ms: UnixMs,
}

impl From<BTreeMap<String, Written>> for ShadowLimits {
    fn from(written: BTreeMap<String, Written>) -> Self {
        let read = |(tier, Written { limit, since_ms }): (String, Written)| {
            let limit = limit.parse().ok().filter(|limit| *limit != Limit::Off)?;
            Some((tier.parse().ok()?, Tried { limit, since: since_ms }))
        };
        Self(written.into_iter().filter_map(read).collect())
    }
}

impl From<ShadowLimits> for BTreeMap<String, Written> {
    fn from(ShadowLimits(tried): ShadowLimits) -> Self {
        let write = |(tier, Tried { limit, since }): (Tier, Tried)| {
            (tier.as_str().to_owned(), Written { limit: limit.to_string(), since_ms: since })
        };
        tried.into_iter().map(write).collect()
    }
}

impl ShadowLimits {
    /// Whether nothing is tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is tried in one of these layers.
    #[must_use]
    pub fn concern(&self, layers: &[Layer]) -> bool {
        !self.is_empty() && layers.iter().any(|layer| self.0.contains_key(&layer.tier))
    }

    /// Tries this limit from now on; [`Limit::Off`] ends the trial of the tier. What is tried already goes on as it is.
    pub fn set(&mut self, tier: Tier, limit: Limit, now: UnixMs) {
        if limit == Limit::Off {
            self.0.remove(&tier);
        } else if self.0.get(&tier).is_none_or(|tried| tried.limit != limit) {
            self.0.insert(tier, Tried { limit, since: now });
        }
    }

    /// Ends every trial.
    pub fn end(&mut self) {
        self.0.clear();
    }

    /// What is tried, in words: `api-member 5/min, refresh 3/h`.
    #[must_use]
    pub fn told(&self) -> String {
        let told: Vec<_> = self.0.iter().map(|(tier, tried)| format!("{tier} {}", tried.limit)).collect();
        told.join(", ")
    }
}

/// What a limit that is tried came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The limit.
    pub limit: Limit,
    /// When it was set.
    pub since: UnixMs,
    /// Since when it is counted: since it was set, or for less long where whoever counts began later.
    pub counted_since: UnixMs,
    /// How many requests were counted.
    pub counted: u64,
    /// How many of them it would have refused.
    pub refused: u64,
    /// How many subjects it would have refused: [`SUBJECTS_MAX`] stands for that many or more.
    pub subjects: usize,
    /// When it would have refused last.
    pub last: Option<UnixMs>,
    /// How many requests were left out, for there was no room for another bucket.
    pub uncounted: u64,
}

#[derive(Debug)]
struct Tally {
    tried: Tried,
    counted_since: UnixMs,
    counted: u64,
    refused: u64,
    subjects: BTreeSet<Subject>,
    last: Option<UnixMs>,
    uncounted: u64,
}

impl Tally {
    const fn new(tried: Tried, now: UnixMs) -> Self {
        let subjects = BTreeSet::new();
        Self { tried, counted_since: now, counted: 0, refused: 0, subjects, last: None, uncounted: 0 }
    }

    fn refuse(&mut self, subject: Subject, now: UnixMs) {
        self.refused += 1;
        self.last = Some(now);
        if self.subjects.len() < SUBJECTS_MAX {
            self.subjects.insert(subject);
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            limit: self.tried.limit,
            since: self.tried.since,
            counted_since: self.counted_since,
            counted: self.counted,
            refused: self.refused,
            subjects: self.subjects.len(),
            last: self.last,
            uncounted: self.uncounted,
        }
    }
}

/// The trials of one tenant, and what they came to.
#[derive(Debug)]
pub struct Shadow {
    tallies: BTreeMap<Tier, Tally>,
    buckets: Buckets,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { tallies: BTreeMap::new(), buckets: Buckets::at_most(BUCKETS_MAX) }
    }
}

impl Shadow {
    /// Tries these limits and no others. A trial that goes on keeps its counts; what ended or was set anew is forgotten with
    /// its buckets.
    pub fn put(&mut self, limits: &ShadowLimits, now: UnixMs) {
        let ShadowLimits(tried) = limits;
        self.tallies.retain(|tier, tally| tried.get(tier) == Some(&tally.tried));
        self.buckets.retain(|tier| self.tallies.contains_key(&tier));
        for (tier, tried) in tried {
            self.tallies.entry(*tier).or_insert_with(|| Tally::new(*tried, now));
        }
    }

    /// Counts a request that was admitted; the tier that would have refused it, if one would have.
    pub fn count(&mut self, layers: &[Layer], now: UnixMs) -> Option<Tier> {
        let tiers: BTreeSet<_> =
            layers.iter().map(|layer| layer.tier).filter(|tier| self.tallies.contains_key(tier)).collect();
        if tiers.is_empty() {
            return None;
        }
        let is_tried = |layer: &&Layer| tiers.contains(&layer.tier);
        let has_room = layers.iter().filter(is_tried).all(|layer| self.buckets.make_room(*layer, now));
        for (_, tally) in self.tallies.iter_mut().filter(|(tier, _)| tiers.contains(tier)) {
            let count = if has_room { &mut tally.counted } else { &mut tally.uncounted };
            *count += 1;
        }
        if !has_room {
            return None;
        }
        let limit = |tier| self.tallies.get(&tier).map_or(Limit::Off, |tally| tally.tried.limit);
        let refused = self.buckets.admit(layers, limit, Unseen::Full, now).err()?;
        let tier = refused.reading.tier;
        self.tallies.get_mut(&tier)?.refuse(refused.subject, now);
        Some(tier)
    }

    /// What the trial of a tier came to, if it is tried.
    #[must_use]
    pub fn seen(&self, tier: Tier) -> Option<Seen> {
        self.tallies.get(&tier).map(Tally::seen)
    }

    /// Whether nothing is tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }
}

#[cfg(test)]
mod tests;
