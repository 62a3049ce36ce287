//! Refresh-token rotation: one successor a token, shared by those who ask at the same time, and none after.
//!
//! ```text
//! (none) --present--> Rotating --rotated--> Held until first arrival + hold --due--> all answered, (none)
//!                        |                    ^ the same token joins both states and gets the same pair
//!                        |--refused--> all answered, (none)
//!                        '--replayed--> Revoking --revoked--> all refused, (none)
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

/// An effect that has not reported after this long is taken for lost: its outcome is unknown, its waiters are let go,
/// and the next use asks the store again.
pub const LOST_AFTER: Duration = Duration::from_secs(5);

/// What the store said of a presented token, or why it could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<P, R> {
    /// The successor is committed.
    Rotated(P),
    /// Nothing was changed, or nobody knows; the reason goes to everybody who waits.
    Refused(R),
    /// The token was spent before: somebody has it twice. The reason is what those who wait are told.
    Replayed(R),
}

/// What the shell has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Act<P, R, W> {
    /// Ask the store to rotate this token; report with [`Rotations::settled`].
    Rotate(Effect),
    /// Call [`Rotations::due`] at this moment.
    WakeAt(Effect, UnixMs),
    /// Forget the family in the snapshot, then in the store; report with [`Rotations::revoked`].
    Revoke(Effect),
    /// Hand the pair to everybody who waited.
    Deliver(P, Vec<W>),
    /// Refuse everybody who waited.
    Refuse(R, Vec<W>),
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
enum Phase<P, R> {
    Rotating,
    Held(P, UnixMs),
    Revoking(R),
}

#[derive(Debug)]
struct Entry<P, R, W> {
    effect: Effect,
    phase: Phase<P, R>,
    waiters: Vec<W>,
    /// Requests with another token of the family; each is decided when this entry is done.
    later: Vec<(TokenHash, UnixMs, W)>,
}

/// The rotations of one tenant that are under way: `P` is the pair, `R` a refusal, `W` a waiting request.
#[derive(Debug)]
pub struct Rotations<P, R, W> {
    entries: BTreeMap<FamilyId, Entry<P, R, W>>,
    effects: u64,
}

impl<P, R, W> Default for Rotations<P, R, W> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), effects: 0 }
    }
}

impl<P, R, W> Rotations<P, R, W> {
    /// A request that arrived at `arrived` presents a token: it starts a rotation, joins one, or waits its turn.
    pub fn present(
        &mut self,
        family: FamilyId,
        presented: TokenHash,
        arrived: UnixMs,
        waiter: W,
        now: UnixMs,
    ) -> Option<Act<P, R, W>> {
        let effect = Effect { family, presented, arrived, number: self.effects + 1 };
        let fresh = Entry { effect, phase: Phase::Rotating, waiters: vec![], later: vec![] };
        let entry = match self.entries.entry(family) {
            MapEntry::Vacant(free) => free.insert(fresh),
            MapEntry::Occupied(mut taken) if taken.get().is_lost(now) => {
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

    /// The store has answered an effect. A pair is held until `hold` after the first arrival.
    pub fn settled(
        &mut self,
        effect: Effect,
        outcome: Outcome<P, R>,
        hold: Duration,
        now: UnixMs,
    ) -> Vec<Act<P, R, W>> {
        let Some(entry) = self.entries.get_mut(&effect.family).filter(|e| e.effect == effect) else { return vec![] };
        match outcome {
            Outcome::Rotated(pair) => {
                let until = effect.arrived.plus(hold);
                entry.phase = Phase::Held(pair, until);
                if now >= until { self.due(effect, now) } else { vec![Act::WakeAt(effect, until)] }
            }
            Outcome::Replayed(refusal) => {
                entry.phase = Phase::Revoking(refusal);
                vec![Act::Revoke(effect)]
            }
            Outcome::Refused(refusal) => {
                self.close(effect.family, |_, waiters| Some(Act::Refuse(refusal, waiters)), now)
            }
        }
    }

    /// The moment named by [`Act::WakeAt`] has come: everybody gets the pair.
    pub fn due(&mut self, effect: Effect, now: UnixMs) -> Vec<Act<P, R, W>> {
        match self.entries.get(&effect.family) {
            Some(Entry { effect: mine, phase: Phase::Held(_, until), .. }) if *mine == effect && now >= *until => {}
            Some(Entry { effect: mine, phase: Phase::Held(_, until), .. }) if *mine == effect => {
                return vec![Act::WakeAt(effect, *until)];
            }
            _ => return vec![],
        }
        let deliver = |phase, waiters| match phase {
            Phase::Held(pair, _) => Some(Act::Deliver(pair, waiters)),
            Phase::Rotating | Phase::Revoking(_) => None,
        };
        self.close(effect.family, deliver, now)
    }

    /// The family of a replayed token is revoked, or that failed and `failure` says so.
    pub fn revoked(&mut self, effect: Effect, failure: Option<R>, now: UnixMs) -> Vec<Act<P, R, W>> {
        match self.entries.get(&effect.family) {
            Some(Entry { effect: mine, phase: Phase::Revoking(_), .. }) if *mine == effect => {}
            _ => return vec![],
        }
        let refuse = |phase, waiters| match phase {
            Phase::Revoking(refusal) => Some(Act::Refuse(failure.unwrap_or(refusal), waiters)),
            Phase::Rotating | Phase::Held(..) => None,
        };
        self.close(effect.family, refuse, now)
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

    /// Ends an entry with `last`, then lets the first of those who waited behind it begin.
    fn close(
        &mut self,
        family: FamilyId,
        last: impl FnOnce(Phase<P, R>, Vec<W>) -> Option<Act<P, R, W>>,
        now: UnixMs,
    ) -> Vec<Act<P, R, W>> {
        let Some(entry) = self.entries.remove(&family) else { return vec![] };
        let mut acts: Vec<_> = last(entry.phase, entry.waiters).into_iter().collect();
        for (presented, arrived, waiter) in entry.later {
            acts.extend(self.present(family, presented, arrived, waiter, now));
        }
        acts
    }
}

impl<P, R, W> Entry<P, R, W> {
    fn is_lost(&self, now: UnixMs) -> bool {
        now.since(self.effect.arrived) >= LOST_AFTER
    }
}

#[cfg(test)]
mod tests;
