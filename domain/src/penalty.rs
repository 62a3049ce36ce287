//! What becomes of whoever is refused by a limit and keeps on: longer blocked, then banned for a while.
//!
//! ```text
//! nothing  --refused-------------------------------------> Counting(1)
//! Counting --refused before the told wait is over--------> Counting(n+1), or Blocked at the limit's `block_after`
//! Counting --a period of the limit is over---------------> nothing
//! Blocked  --refused, as everything is-------------------> Blocked(n+1), or Banned at `ban_after`
//! Blocked, Banned --their time is over, or lifted--------> nothing
//! ```
//!
//! Whoever waits as told adds nothing to the count and is never blocked. What is refused makes no block and no ban longer.
//! A block that is further ahead than it is long, because a clock went back or because it was saved by another run, begins
//! anew: no jump of a clock makes a lasting one.
//!
//! The thresholds are those of the tier, under the limit in force: see [`crate::tier::Terms`]. Only who can be held
//! responsible is counted: see [`crate::subject`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gcra::{Layer, RateLimited, Reading};
use crate::id::BlockId;
use crate::subject::Who;
use crate::tier::{Limit, Terms, Tier};
use crate::time::UnixMs;

/// How severely a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The bucket was empty.
    Limit,
    /// Whoever asked is blocked.
    Block,
    /// Whoever asked is banned.
    Ban,
}

impl Stage {
    /// Its name in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Block => "block",
            Self::Ban => "ban",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who is blocked or banned in one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Names it, from the block through the ban that follows it.
    pub id: BlockId,
    /// [`Stage::Block`] or [`Stage::Ban`].
    pub stage: Stage,
    /// When this stage began.
    pub since: UnixMs,
    /// When it is over.
    pub until: UnixMs,
}

/// What is known of one subject in one tier.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Refused so often since `since`; the window ends at `until`, and the wait that was told last at `opens_at`.
    Counting { since: UnixMs, until: UnixMs, refused: u32, opens_at: UnixMs },
    /// Refused so often since the block began.
    Held { block: Block, refused: u32 },
}

impl Standing {
    fn is_over(&self, now: UnixMs) -> bool {
        match self {
            Self::Counting { since, until, .. } => now < *since || now >= *until,
            Self::Held { block, .. } => now >= block.until,
        }
    }
}

/// A request that was refused for a block, and the ban that it was the last straw for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What to answer.
    pub limited: RateLimited,
    /// Who is banned from now on, if somebody is.
    pub banned: Option<(Layer, Block)>,
}

/// The penalties of one owner: a tenant, or a share of a node's addresses.
///
/// Bounded: past `len_max` subjects, whoever is new is refused by the limit alone. What is over is dropped.
#[derive(Debug)]
pub struct Penalties {
    standings: BTreeMap<Layer, Standing>,
    steps_to_sweep: usize,
    len_max: usize,
    unplaced: u64,
}

impl Penalties {
    /// Nobody yet, and at most so many.
    #[must_use]
    pub const fn at_most(len_max: usize) -> Self {
        Self { standings: BTreeMap::new(), steps_to_sweep: 0, len_max, unplaced: 0 }
    }

    /// Refuses a request of somebody who is blocked, before any bucket is asked: by the block that lasts longest.
    pub fn stop(&mut self, layers: &[Layer], limit: impl Fn(Tier) -> Limit, now: UnixMs) -> Option<Stopped> {
        if self.standings.is_empty() {
            return None;
        }
        let mut stopped: Option<Stopped> = None;
        for layer in layers {
            let Some(terms) = terms(*layer, limit(layer.tier)) else { continue };
            let Some((block, is_new)) = self.keep_on(*layer, terms, now) else { continue };
            let limited = limited(*layer, limit(layer.tier), block, now);
            let banned = is_new.then_some((*layer, block)).or(stopped.and_then(|stopped| stopped.banned));
            let longest = match stopped {
                Some(known) if known.limited.retry_after >= limited.retry_after => known.limited,
                Some(_) | None => limited,
            };
            stopped = Some(Stopped { limited: longest, banned });
        }
        stopped
    }

    /// What is told to a request that comes by somebody who is blocked and is not held against them.
    #[must_use]
    pub fn standing_block(&self, layer: Layer, limit: Limit, now: UnixMs) -> Option<RateLimited> {
        match self.standings.get(&layer)? {
            Standing::Held { block, .. } if now < block.until => Some(limited(layer, limit, *block, now)),
            Standing::Held { .. } | Standing::Counting { .. } => None,
        }
    }

    /// Takes a refusal by a bucket into account: the answer to it, which is that of a block if it was the last straw.
    pub fn refused(
        &mut self,
        refused: RateLimited,
        limit: impl Fn(Tier) -> Limit,
        id: impl FnOnce() -> BlockId,
        now: UnixMs,
    ) -> RateLimited {
        let layer = Layer { tier: refused.reading.tier, subject: refused.subject };
        let limit = limit(layer.tier);
        let Some(terms) = terms(layer, limit) else { return refused };
        self.sweep_sometimes(now);
        let opens_at = now.plus(up(refused.retry_after));
        let (since, until, count) = match self.standings.get(&layer) {
            None if self.standings.len() >= self.len_max => {
                self.unplaced = self.unplaced.saturating_add(1);
                return refused;
            }
            // Another request of theirs was the last straw, while this one was being counted.
            Some(Standing::Held { block, .. }) if now < block.until => return limited(layer, limit, *block, now),
            Some(Standing::Counting { since, until, refused, opens_at: told }) if now >= *since && now < *until => {
                (*since, *until, refused.saturating_add(u32::from(now < *told)))
            }
            None | Some(Standing::Counting { .. } | Standing::Held { .. }) => (now, now.plus(terms.period), 1),
        };
        if count >= terms.block_after {
            let block = Block { id: id(), stage: Stage::Block, since: now, until: now.plus(terms.block) };
            self.standings.insert(layer, Standing::Held { block, refused: 0 });
            return limited(layer, limit, block, now);
        }
        self.standings.insert(layer, Standing::Counting { since, until, refused: count, opens_at });
        refused
    }

    /// Counts a request of whoever is blocked here: the block, and whether it is a ban from this request on.
    fn keep_on(&mut self, layer: Layer, terms: Terms, now: UnixMs) -> Option<(Block, bool)> {
        let Some(Standing::Held { block, refused }) = self.standings.get_mut(&layer) else { return None };
        let length = block.until.since(block.since);
        if block.until.since(now) > length {
            (block.since, block.until) = (now, now.plus(length)); // the clock went back
        }
        if now >= block.until {
            self.standings.remove(&layer);
            return None;
        }
        *refused = refused.saturating_add(1);
        let is_new = block.stage == Stage::Block && *refused >= terms.ban_after;
        if is_new {
            *block = Block { id: block.id, stage: Stage::Ban, since: now, until: now.plus(terms.ban) };
        }
        Some((*block, is_new))
    }

    /// Who is blocked or banned at `now`, by id.
    #[must_use]
    pub fn held(&self, now: UnixMs) -> Vec<(Layer, Block)> {
        let held = self.standings.iter().filter_map(|(layer, standing)| match standing {
            Standing::Held { block, .. } if !standing.is_over(now) => Some((*layer, *block)),
            Standing::Held { .. } | Standing::Counting { .. } => None,
        });
        let mut held: Vec<_> = held.collect();
        held.sort_by_key(|(_, block)| block.id);
        held
    }

    /// How many are blocked at `now`, and how many banned.
    #[must_use]
    pub fn census(&self, now: UnixMs) -> (u32, u32) {
        self.standings.values().fold((0, 0), |(blocked, banned), standing| match standing {
            Standing::Held { block, .. } if !standing.is_over(now) => {
                let is_ban = u32::from(block.stage == Stage::Ban);
                (blocked + 1 - is_ban, banned + is_ban)
            }
            Standing::Held { .. } | Standing::Counting { .. } => (blocked, banned),
        })
    }

    /// How many refusals were held against nobody since this was asked last, because there was no room.
    pub const fn take_unplaced(&mut self) -> u64 {
        std::mem::replace(&mut self.unplaced, 0)
    }

    /// Ends a block or a ban; whose it was. What the limit itself refuses it refuses as before.
    pub fn lift(&mut self, id: BlockId, now: UnixMs) -> Option<(Layer, Block)> {
        let lifted = self.held(now).into_iter().find(|(_, block)| block.id == id)?;
        self.standings.remove(&lifted.0);
        Some(lifted)
    }

    /// Takes back a block that was saved.
    pub fn restore(&mut self, layer: Layer, block: Block) {
        if block.stage != Stage::Limit && self.standings.len() < self.len_max {
            self.standings.insert(layer, Standing::Held { block, refused: 0 });
        }
    }

    /// Drops whatever is over at `now`.
    pub fn sweep(&mut self, now: UnixMs) {
        self.standings.retain(|_, standing| !standing.is_over(now));
        self.steps_to_sweep = self.standings.len().max(64);
    }

    /// Whether nothing is known of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standings.is_empty()
    }

    /// Sweeps once every as many steps as there are subjects: constant cost a step.
    fn sweep_sometimes(&mut self, now: UnixMs) {
        match self.steps_to_sweep.checked_sub(1) {
            Some(left) => self.steps_to_sweep = left,
            None => self.sweep(now),
        }
    }
}

/// What the tier holds for whoever keeps on here; `None` where that is nothing, or where nobody can be held responsible.
fn terms(layer: Layer, limit: Limit) -> Option<Terms> {
    layer.tier.row().graduation.filter(|_| Who::of(layer).is_responsible())?.under(limit)
}

fn limited(layer: Layer, limit: Limit, block: Block, now: UnixMs) -> RateLimited {
    let limit = match limit {
        Limit::Per { burst, .. } => burst,
        Limit::Off => 0,
    };
    let reading = Reading { tier: layer.tier, limit, remaining: 0, full_at: block.until };
    RateLimited { reading, subject: layer.subject, stage: block.stage, retry_after: block.until.since(now) }
}

/// In whole milliseconds, rounded up: who comes then has waited.
fn up(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
