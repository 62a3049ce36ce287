//! The plan that a tenant is on, by what it pays the platform for, and how much of each thing it may have.
//!
//! ```text
//! subscriptions at the platform --active, trialing--> their plan, the greatest of several
//!                               --past due, and its grace is not over--> its plan
//!                               --anything else--> free
//! ```
//!
//! There is no clock but the one that is given, and nothing is remembered but the subscriptions as the newest event told of them:
//! whatever order events come in, the plan is the same. Nothing is taken away from a tenant that has more than its plan allows;
//! it gets no more.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::stripe::{PriceId, Status, Subscription};
use crate::time::UnixMs;

/// A plan, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Nothing is paid.
    Free,
    /// The first that is paid for.
    Pro,
    /// The greatest.
    Business,
}

/// Something that a plan bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quota {
    /// Members who are not deactivated.
    Members,
    /// API keys that are good.
    ApiKeys,
    /// Endpoints that webhooks are sent to.
    WebhookEndpoints,
}

/// No plan is called that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of free, pro, business")]
pub struct NoPlan;

/// How much of each thing a plan allows; `None`: as much as anybody likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// By plan, the least first.
    pub by_plan: [Option<u32>; 3],
}

/// What the platform sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    /// What `pro` costs, and has cost.
    pub pro: Prices,
    /// What `business` costs, and has cost.
    pub business: Prices,
    /// How long a plan goes on after what was paid for has ended and a payment failed.
    pub grace: Duration,
    /// By quota, in the order of [`Quota::ALL`].
    pub allowances: [Allowance; 3],
}

/// The prices of a plan. One that is replaced goes on for whoever pays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// What whoever buys it now pays.
    pub sold: PriceId,
    /// What others still pay.
    pub before: Vec<PriceId>,
}

/// A tenant has as much of something as its plan allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plan allows no more")]
pub struct QuotaReached {
    /// Of what.
    pub quota: Quota,
    /// How much its plan allows.
    pub limit: u32,
    /// The plan.
    pub plan: Plan,
}

impl Plan {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Free, Self::Pro, Self::Business];

    /// The name in settings and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Business => "business",
        }
    }
}

impl Quota {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Members, Self::ApiKeys, Self::WebhookEndpoints];

    /// The name in settings and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::ApiKeys => "api_keys",
            Self::WebhookEndpoints => "webhook_endpoints",
        }
    }
}

impl FromStr for Plan {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, NoPlan> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text).ok_or(NoPlan)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Plans {
    /// What is paid for a plan; `None` for the one that costs nothing.
    #[must_use]
    pub const fn prices(&self, plan: Plan) -> Option<&Prices> {
        match plan {
            Plan::Free => None,
            Plan::Pro => Some(&self.pro),
            Plan::Business => Some(&self.business),
        }
    }

    /// The plan that a price is of; `None` for a price that is none of these.
    #[must_use]
    pub fn of_price(&self, price: &PriceId) -> Option<Plan> {
        let is_of = |prices: &Prices| prices.sold == *price || prices.before.contains(price);
        Plan::ALL.into_iter().find(|plan| self.prices(*plan).is_some_and(is_of))
    }

    /// The plan that these subscriptions give at `now`.
    #[must_use]
    pub fn in_force<'s>(&self, subscriptions: impl IntoIterator<Item = &'s Subscription>, now: UnixMs) -> Plan {
        let given = subscriptions.into_iter().filter_map(|subscription| self.given(subscription, now));
        given.max().unwrap_or(Plan::Free)
    }

    fn given(&self, subscription: &Subscription, now: UnixMs) -> Option<Plan> {
        let plan = self.of_price(subscription.price.as_ref()?)?;
        match subscription.status {
            Status::Active | Status::Trialing => Some(plan),
            Status::PastDue => {
                subscription.period_start.filter(|paid_until| now < paid_until.plus(self.grace)).map(|_| plan)
            }
            Status::Incomplete | Status::IncompleteExpired | Status::Canceled | Status::Unpaid | Status::Paused => None,
        }
    }

    /// How much of this a plan allows; `None`: as much as anybody likes.
    #[must_use]
    pub fn limit(&self, plan: Plan, quota: Quota) -> Option<u32> {
        let allowance = self.allowances.get(quota as usize).copied().unwrap_or(Allowance { by_plan: [Some(0); 3] });
        allowance.by_plan.get(plan as usize).copied().unwrap_or(Some(0))
    }

    /// Lets a tenant have one more of what it has `used` of.
    ///
    /// # Errors
    /// [`QuotaReached`]
    pub fn admit(&self, plan: Plan, quota: Quota, used: u32) -> Result<(), QuotaReached> {
        match self.limit(plan, quota) {
            Some(limit) if used >= limit => Err(QuotaReached { quota, limit, plan }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether somebody who has this subscription changes it, and does not buy another: it is paid for, or can be.
#[must_use]
pub const fn is_held(status: Status) -> bool {
    match status {
        Status::Incomplete | Status::Trialing | Status::Active | Status::PastDue | Status::Unpaid | Status::Paused => {
            true
        }
        Status::IncompleteExpired | Status::Canceled => false,
    }
}
