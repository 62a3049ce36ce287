//! `[limits]`: how much each tier admits.

use freehold_domain::tier::{Limit, Limits, Tier};

use super::profile::Profile;
use super::values::Values;

/// The setting of `tier`.
pub(super) fn setting(tier: Tier) -> String {
    format!("limits.{}", tier.as_str().replace('-', "_"))
}

pub(super) fn read(values: &mut Values, profile: Profile) -> Limits {
    let mut limits = Limits::default();
    for tier in Tier::ALL {
        let setting = setting(tier);
        let remedy = "write it like 10/s, 600/min or 5/h, from 1 to 1000000, or off";
        let Some(limit) = values.read(&setting, "a limit", remedy, |text| text.parse().ok()) else {
            continue;
        };
        if limit == Limit::Off && profile == Profile::Production {
            values.fault(&setting, "is off, which production refuses", "write a limit like 600/min");
        }
        limits.set(tier, limit);
    }
    limits
}
