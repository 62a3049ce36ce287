//! Refresh-token rotation: one successor a token, shared by those who ask at the same time, and none after.
//!
//! ```text
//! (none) --present--> Rotating --rotated--> Held until first arrival + hold --due--> all answered, (none)
//!                        |                    ^ the same token joins both states and gets the same pair
//!                        '--refused--> all answered, (none)
//! ```
//!
//! Tabs of one browser that refresh together share one entry and one pair, so none is signed out: until the pair is
//! handed out nobody can have used it, so whoever asks may join. Whoever presents the old token after that finds it
//! spent in the store: a replay, and the family dies (RFC 9700 §4.14.2). The store is the arbiter; this memory only decides who waits for whom.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::time::Duration;

use crate::id::FamilyId;
use crate::refresh_token::TokenHash;
use crate::time::UnixMs;

/// An effect that is this late with its report is taken for lost: its outcome is unknown, its waiters are let go, and the
/// next use asks the store again. Longer than any effect and its report may take.
pub const LOST_AFTER: Duration = Duration::from_secs(10);

/// What the shell has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Act<P, R, W> {
    /// Ask the store to rotate this token; report with [`Rotations::settled`].
    Rotate(Effect),
    /// Call [`Rotations::due`] at this moment.
    WakeAt(Effect, UnixMs),
    /// Answer everybody who waited: with the pair, or with why there is none.
    Answer(Result<P, R>, Vec<W>),
}

/// One effect in flight; its number tells it from an older one on the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The family the token names.
    pub family: FamilyId,
    /// What was presented.
    pub presented: TokenHash,
    /// When the first request with it arrived.
    pub arrived: UnixMs,
    number: u64,
}

#[derive(Debug)]
struct Entry<P, W> {
    effect: Effect,
    /// The pair, once it is committed, and until when it is held.
    held: Option<(P, UnixMs)>,
    /// When its next report is overdue.
    lost_at: UnixMs,
    waiters: Vec<W>,
    /// Requests with another token of the family; each is decided when this entry is done.
    later: Vec<(TokenHash, UnixMs, W)>,
}

/// The rotations of one tenant that are under way: `P` is the pair, `W` a waiting request.
#[derive(Debug)]
pub struct Rotations<P, W> {
    entries: BTreeMap<FamilyId, Entry<P, W>>,
    effects: u64,
}

impl<P, W> Default for Rotations<P, W> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), effects: 0 }
    }
}

impl<P, W> Rotations<P, W> {
    /// A request that arrived at `arrived` presents a token: it starts a rotation, joins one, or waits its turn.
    pub fn present<R>(
        &mut self,
        family: FamilyId,
        presented: TokenHash,
        arrived: UnixMs,
        waiter: W,
        now: UnixMs,
    ) -> Option<Act<P, R, W>> {
        let effect = Effect { family, presented, arrived, number: self.effects + 1 };
        let lost_at = now.plus(LOST_AFTER);
        let fresh = Entry { effect, held: None, lost_at, waiters: vec![], later: vec![] };
        let entry = match self.entries.entry(family) {
            MapEntry::Vacant(free) => free.insert(fresh),
            MapEntry::Occupied(mut taken) if now >= taken.get().lost_at => {
                taken.insert(fresh);
                taken.into_mut()
            }
            MapEntry::Occupied(taken) => {
                let entry = taken.into_mut();
                if entry.effect.presented == presented {
                    entry.waiters.push(waiter);
                } else {
                    entry.later.push((presented, arrived, waiter));
                }
                return None;
            }
        };
        entry.waiters.push(waiter);
        self.effects += 1;
        Some(Act::Rotate(effect))
    }

    /// The first who presented the token that is being rotated.
    #[must_use]
    pub fn first(&self, family: FamilyId) -> Option<&W> {
        self.entries.get(&family).and_then(|entry| entry.waiters.first())
    }

    /// The store has answered an effect. A pair is held until `hold` after the first arrival; a refusal says that there
    /// is no successor, or that nobody knows.
    pub fn settled<R>(
        &mut self,
        effect: Effect,
        outcome: Result<P, R>,
        hold: Duration,
        now: UnixMs,
    ) -> Vec<Act<P, R, W>> {
        let Some(entry) = self.entries.get_mut(&effect.family).filter(|e| e.effect == effect) else { return vec![] };
        match outcome {
            Ok(pair) => {
                let until = effect.arrived.plus(hold);
                entry.held = Some((pair, until));
                entry.lost_at = until.plus(LOST_AFTER);
                self.due(effect, now)
            }
            Err(refusal) => self.close(effect.family, Err(refusal), now),
        }
    }

    /// The moment named by [`Act::WakeAt`] has come: everybody gets the pair.
    pub fn due<R>(&mut self, effect: Effect, now: UnixMs) -> Vec<Act<P, R, W>> {
        let Some(entry) = self.entries.get_mut(&effect.family).filter(|e| e.effect == effect) else { return vec![] };
        match entry.held.take() {
            Some((pair, until)) if now >= until => self.close(effect.family, Ok(pair), now),
            Some((pair, until)) => {
                entry.held = Some((pair, until));
                vec![Act::WakeAt(effect, until)]
            }
            None => vec![],
        }
    }

    /// How many families are being rotated.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ends an entry with this answer, then lets those who waited behind it begin.
    fn close<R>(&mut self, family: FamilyId, answer: Result<P, R>, now: UnixMs) -> Vec<Act<P, R, W>> {
        let Some(entry) = self.entries.remove(&family) else { return vec![] };
        let mut acts = vec![Act::Answer(answer, entry.waiters)];
        for (presented, arrived, waiter) in entry.later {
            acts.extend(self.present(family, presented, arrived, waiter, now));
        }
        acts
    }
}

#[cfg(test)]
mod tests;
