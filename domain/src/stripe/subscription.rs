//! How a subscription stands.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::body::{self, Metadata, Reference};
use super::{CustomerId, PriceId, SubscriptionId, Unreadable};
use crate::id::TenantId;
use crate::time::UnixMs;

/// How a subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose it is.
    pub customer: CustomerId,
    /// In which state.
    pub status: Status,
    /// What is paid for: the first price; `None` where there is none, or one from before Stripe named them.
    pub price: Option<PriceId>,
    /// When the period began that is, or is to be, paid for: of several the first. One that is past due was paid for until then.
    pub period_start: Option<UnixMs>,
    /// When what is paid for ends, of several the first.
    pub period_end: Option<UnixMs>,
    /// Whether it ends with that.
    pub cancels_at_end: bool,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// The states that Stripe knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Status {
            $($(#[$doc])* $name,)*
        }

        impl Status {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in events, rows and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

statuses! {
    /// The first payment is to come.
    Incomplete "incomplete";
    /// It never came: the end.
    IncompleteExpired "incomplete_expired";
    /// Nothing is paid yet.
    Trialing "trialing";
    /// It is paid.
    Active "active";
    /// A payment failed, and is tried again.
    PastDue "past_due";
    /// It was given up: the end.
    Canceled "canceled";
    /// Payments failed, and are not tried any more.
    Unpaid "unpaid";
    /// Its trial ended without a way to pay.
    Paused "paused";
}

/// The text names no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no status of a subscription")]
pub struct NoStatus;

impl Status {
    /// Whether it never leaves this state.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl FromStr for Status {
    type Err = NoStatus;

    fn from_str(text: &str) -> Result<Self, NoStatus> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or(NoStatus)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is read of a subscription. `current_period_end` is its own up to version 2025-03-31 of the API, and from then on that of
/// each item.
#[derive(Deserialize)]
struct Object {
    id: Option<String>,
    customer: Option<Reference>,
    status: Option<String>,
    items: Option<Items>,
    current_period_start: Option<i64>,
    current_period_end: Option<i64>,
    metadata: Option<Metadata>,
    cancel_at_period_end: Option<bool>,
}

#[derive(Deserialize)]
struct Items {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: Option<Reference>,
    current_period_start: Option<i64>,
    current_period_end: Option<i64>,
}

pub(super) fn read(bytes: &[u8]) -> Result<(SubscriptionId, Subscription, Option<TenantId>), Unreadable> {
    let object: Object = body::object(bytes)?;
    let id = object.id.unwrap_or_default().parse().map_err(|_| Unreadable::SubscriptionId)?;
    let customer = object.customer.as_ref().map_or("", Reference::id);
    let customer = customer.parse().map_err(|_| Unreadable::CustomerId)?;
    let status = object.status.unwrap_or_default().parse().map_err(|_| Unreadable::Status)?;
    let items = object.items.map_or_else(Vec::new, |items| items.data);
    let price = items.first().and_then(|item| item.price.as_ref()?.id().parse().ok());
    let starts = items.iter().filter_map(|item| item.current_period_start).min();
    let ends = items.iter().filter_map(|item| item.current_period_end).min();
    let period_start = object.current_period_start.or(starts).map(body::seconds);
    let period_end = object.current_period_end.or(ends).map(body::seconds);
    let cancels_at_end = object.cancel_at_period_end.unwrap_or(false);
    let tenant = object.metadata.and_then(|metadata| metadata.tenant());
    Ok((id, Subscription { customer, status, price, period_start, period_end, cancels_at_end }, tenant))
}
