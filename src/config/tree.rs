//! `[tree]`: how long tenants stay in memory, how long a failing one rests, and how many failing ones are too many.

use std::time::Duration;

use super::values::Values;

const PASSIVATE_S: &str = "tree.passivate_s";
const QUARANTINE_S: &str = "tree.quarantine_s";
const RECONCILE_S: &str = "tree.reconcile_s";
const UNREADY_FROM: &str = "tree.unready_from";
pub(super) const SETTINGS: &[&str] = &[PASSIVATE_S, QUARANTINE_S, RECONCILE_S, UNREADY_FROM];

/// The times and numbers of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// How long a tenant is idle before it leaves memory: one second to one day.
    pub passivate: Duration,
    /// The first quarantine of a failing tenant, which doubles up to 15 minutes: one second to 15 minutes.
    pub quarantine: Duration,
    /// How often what is known of dead sessions is compared with the store: one second to five minutes.
    pub reconcile: Duration,
    /// From how many quarantined tenants on a node may be unready: 1 to 1,000,000.
    pub unready_from: usize,
}

pub(super) fn read(values: &mut Values) -> Option<Tree> {
    let passivate_s = values.number(PASSIVATE_S, "seconds", 1..=86_400);
    let quarantine_s = values.number(QUARANTINE_S, "seconds", 1..=900);
    let reconcile_s = values.number(RECONCILE_S, "seconds", 1..=300);
    let unready_from = values.number(UNREADY_FROM, "tenants", 1..=1_000_000);
    Some(Tree {
        passivate: Duration::from_secs(u64::from(passivate_s?)),
        quarantine: Duration::from_secs(u64::from(quarantine_s?)),
        reconcile: Duration::from_secs(u64::from(reconcile_s?)),
        unready_from: usize::try_from(unready_from?).ok()?,
    })
}
