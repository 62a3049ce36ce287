//! Breached passwords by the k-anonymity range protocol: `GET {url}/range/{five hex digits}` with `Add-Padding: true`, so
//! that neither the request nor the length of its answer tells which password was meant.
//!
//! Source: the range search of Have I Been Pwned, "Searching by range" and "Introducing padding".

use std::time::Duration;

use freehold_domain::breached::BreachName;
use freehold_domain::breaker::{BreakerRule, Circuit};

use super::{ANSWER_WITHIN, ServiceUrl, Unsaid};
use crate::ambient::Ambient;
use crate::breaker::Breaker;
use crate::outbound::{Bounds, Outbound};

/// Consecutive failures after which the service is left alone.
const FAILURES_MAX: u32 = 3;
/// A padded range has about 50 KB.
const BOUNDS: Bounds = Bounds { within: ANSWER_WITHIN, bytes_max: 1024 * 1024 };
const HEADERS: &[(&str, &str)] = &[("add-padding", "true")];

/// The service, behind its breaker.
pub(super) struct RangeService {
    outbound: Outbound,
    breaker: Breaker,
}

impl RangeService {
    pub(super) fn at(url: ServiceUrl, pause: Duration, ambient: Ambient) -> Result<Self, rustls::Error> {
        let rule = BreakerRule {
            failures_max: FAILURES_MAX,
            percent_max: 101,
            pause,
            pause_max: pause,
            probe: 2 * ANSWER_WITHIN,
            ..BreakerRule::USUAL
        };
        Ok(Self { outbound: Outbound::to(url)?, breaker: Breaker::new("breached_passwords", rule, ambient) })
    }

    /// Whether it is asked.
    pub(super) fn circuit(&self) -> Circuit {
        self.breaker.circuit()
    }

    /// How often the password was seen. An answer that is no range is a failure of the service, too.
    pub(super) async fn times_seen(&self, name: &BreachName) -> Result<u64, Unsaid> {
        let asked = async {
            let range = self.outbound.get(&format!("/range/{}", name.range()), HEADERS, BOUNDS).await?;
            name.count_in(&range).ok_or(Unsaid::NoRange)
        };
        Ok(self.breaker.run(asked).await?)
    }
}
