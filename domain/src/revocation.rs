//! Which access tokens are dead before they expire.
//!
//! An access token lives [`ACCESS_TTL`]; whatever was revoked longer ago than [`DEPTH`] has no living token left, so
//! what a tenant must remember is bounded by what it revoked in the last sixteen minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{FamilyId, MemberId};
use crate::time::UnixMs;

/// How long an access token lives.
pub const ACCESS_TTL: Duration = Duration::from_mins(15);
/// How long a revocation is remembered: a minute longer than any token it concerns.
pub const DEPTH: Duration = Duration::from_mins(16);

/// The revocations of one tenant, [`DEPTH`] deep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    families: BTreeMap<FamilyId, UnixMs>,
    epochs: BTreeMap<MemberId, (i64, UnixMs)>,
}

impl Revocations {
    /// Whether a token of this family, issued to this member at this epoch, still stands.
    #[must_use]
    pub fn admits(&self, family: FamilyId, member: MemberId, epoch: i64) -> bool {
        !self.families.contains_key(&family) && self.epochs.get(&member).is_none_or(|(least, _)| epoch >= *least)
    }

    /// The least epoch that a token of this member must have, when there is one.
    #[must_use]
    pub fn least_epoch(&self, member: MemberId) -> Option<i64> {
        self.epochs.get(&member).map(|(least, _)| *least)
    }

    /// Remembers that `family` was revoked at `at`.
    pub fn revoke(&mut self, family: FamilyId, at: UnixMs) {
        self.families.entry(family).or_insert(at);
    }

    /// Remembers that the tokens of `member` must be of `epoch` or later. Epochs never fall.
    pub fn raise_epoch(&mut self, member: MemberId, epoch: i64, at: UnixMs) {
        let known = self.epochs.entry(member).or_insert((epoch, at));
        if epoch >= known.0 {
            *known = (epoch, at);
        }
    }

    /// Remembers everything that `other` remembers.
    pub fn merge(&mut self, other: &Self) {
        for (family, at) in &other.families {
            self.revoke(*family, *at);
        }
        for (member, (epoch, at)) in &other.epochs {
            self.raise_epoch(*member, *epoch, *at);
        }
    }

    /// Forgets what no living token can concern any more.
    pub fn prune(&mut self, now: UnixMs) {
        self.families.retain(|_, at| now.since(*at) < DEPTH);
        self.epochs.retain(|_, (_, at)| now.since(*at) < DEPTH);
    }

    /// Whether nothing is remembered that may still concern a living token.
    #[must_use]
    pub fn is_all_past(&self, now: UnixMs) -> bool {
        let past = |at: &UnixMs| now.since(*at) >= DEPTH;
        self.families.values().all(past) && self.epochs.values().all(|(_, at)| past(at))
    }

    /// How many entries are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len() + self.epochs.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    #[test]
    fn a_revoked_family_and_an_old_epoch_are_refused() {
        let (family, other) = (FamilyId::new(T0, [1; 10]), FamilyId::new(T0, [2; 10]));
        let (member, else_) = (MemberId::new(T0, [3; 10]), MemberId::new(T0, [4; 10]));
        let mut dead = Revocations::default();
        assert!(dead.admits(family, member, 0));
        dead.revoke(family, T0);
        assert!(!dead.admits(family, member, 9));
        assert!(dead.admits(other, member, 0));
        dead.raise_epoch(member, 2, T0);
        dead.raise_epoch(member, 1, T0);
        assert!(!dead.admits(other, member, 1));
        assert!(dead.admits(other, member, 2));
        assert!(dead.admits(other, else_, 0));
    }

    #[test]
    fn nothing_is_forgotten_while_a_token_may_live() {
        let family = FamilyId::new(T0, [1; 10]);
        let member = MemberId::new(T0, [3; 10]);
        let mut dead = Revocations::default();
        dead.revoke(family, T0);
        dead.raise_epoch(member, 1, T0);
        dead.prune(T0.plus(ACCESS_TTL));
        assert_eq!(dead.len(), 2);
        assert!(!dead.is_all_past(T0.plus(ACCESS_TTL)) && dead.is_all_past(T0.plus(DEPTH)));
        dead.prune(T0.plus(DEPTH));
        assert!(dead.is_empty());
    }
}
