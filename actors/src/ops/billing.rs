//! What Stripe told of subscriptions and accounts, for whoever may see it. It comes from webhooks alone: see [`crate::inbox`].

use freehold_domain::access_token::AccessClaims;
use freehold_domain::stripe::{Account, AccountId, Fact, Seller, Subscription, SubscriptionId};
use freehold_domain::time::UnixMs;
use freehold_storage::{stripe_account, stripe_subscription};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// Something that is known, and of how many events.
#[derive(Clone, Debug)]
pub struct Item<I, S> {
    /// Which, how it stands, and as of when.
    pub fact: Fact<I, S>,
    /// How many events told of it, each counted once.
    pub events: i64,
    /// When what is known of it changed last.
    pub updated_at: UnixMs,
}

/// A part of what is known, and whether there is more: the next part begins after the last of this one.
#[derive(Clone, Debug)]
pub struct Page<I, S> {
    /// What is known, by account and id.
    pub items: Vec<Item<I, S>>,
    /// Whether there is more.
    pub more: bool,
}

/// After which one of which account a part begins.
pub type After<I> = Option<(Seller, I)>;

/// The subscriptions after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn subscriptions(
    cx: &Context,
    caller: &AccessClaims,
    after: &After<SubscriptionId>,
    limit: u32,
) -> Result<Page<SubscriptionId, Subscription>, Refusal> {
    cx.admit_member(caller).await?;
    let after = after.as_ref().map_or(("", ""), |(seller, id)| (seller.as_str(), id.as_str()));
    let rows = stripe_subscription::page(&mut cx.node.store.read(cx.slot.id).await?, after, limit + 1).await?;
    let items = rows.into_iter().map(|row| Item { fact: row.fact, events: row.events, updated_at: row.updated_at_ms });
    Ok(page(items.collect(), limit))
}

/// The accounts after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn accounts(
    cx: &Context,
    caller: &AccessClaims,
    after: &After<AccountId>,
    limit: u32,
) -> Result<Page<AccountId, Account>, Refusal> {
    cx.admit_member(caller).await?;
    let after = after.as_ref().map_or(("", ""), |(seller, id)| (seller.as_str(), id.as_str()));
    let rows = stripe_account::page(&mut cx.node.store.read(cx.slot.id).await?, after, limit + 1).await?;
    let items = rows.into_iter().map(|row| Item { fact: row.fact, events: row.events, updated_at: row.updated_at_ms });
    Ok(page(items.collect(), limit))
}

fn page<I, S>(mut items: Vec<Item<I, S>>, limit: u32) -> Page<I, S> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Page { items, more }
}
