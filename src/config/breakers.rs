//! `[breakers]`: when a tenant's integration is left alone, and for how long.

use std::time::Duration;

use freehold_domain::breaker::BreakerRule;

use super::values::Values;

const FAILURES: &str = "breakers.failures";
const PERCENT: &str = "breakers.percent";
const PAUSE_S: &str = "breakers.pause_s";
const PROBES: &str = "breakers.probes";
pub(super) const SETTINGS: &[&str] = &[FAILURES, PERCENT, PAUSE_S, PROBES];

pub(super) fn read(values: &mut Values) -> Option<BreakerRule> {
    let failures_max = values.number(FAILURES, "failures", 1..=1_000);
    let percent_max = values.number(PERCENT, "percent", 1..=100);
    let pause_s = values.number(PAUSE_S, "seconds", 1..=600);
    let probes = values.number(PROBES, "probes", 1..=100);
    let pause = Duration::from_secs(u64::from(pause_s?));
    let (failures_max, percent_max, probes) = (failures_max?, percent_max?, probes?);
    Some(BreakerRule { failures_max, percent_max, pause, probes, ..BreakerRule::USUAL })
}
