//! `[redis]`: counters that several nodes share.

use freehold_actors::shared_counters::CounterRule;

use super::profile::Profile;
use super::roots;
use super::values::Values;

pub(super) const URL: &str = "redis.url";
const CA_FILE: &str = "redis.ca_file";
pub(super) const SETTINGS: &[&str] = &[URL, CA_FILE];

/// Where the keeper of shared counters is, if they are shared. The outer `None` comes with a fault.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read(values: &mut Values, profile: Profile) -> Option<Option<CounterRule>> {
    let remedy = "write it like redis://localhost:6379 or rediss://user:password@host:6379/0";
    let rule = values.read(URL, "the address of a Redis or Valkey server", remedy, CounterRule::parse);
    let ca = roots::pem(values, CA_FILE);
    if !values.is_set(URL) {
        if values.is_set(CA_FILE) && !values.is_faulty(CA_FILE) {
            values.fault(CA_FILE, "is of no use without FREEHOLD_REDIS_URL", "set that, or unset this one");
        }
        return Some(None);
    }
    let rule = rule?;
    if values.is_set(CA_FILE) && !rule.is_encrypted() {
        values.fault(CA_FILE, "is of no use without TLS", "write rediss:// in FREEHOLD_REDIS_URL, or unset this one");
        return None;
    }
    if profile == Profile::Production && rule.is_read_on_the_way() {
        values.fault(URL, "is not encrypted on its way to another machine", "write rediss://");
        return None;
    }
    Some(Some(rule.signed_by(ca?)))
}
