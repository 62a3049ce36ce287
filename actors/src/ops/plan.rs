//! The tenant's plan, for its admins: which it is, what it allows, and the pages at Stripe where it is bought and changed. How it stands
//! is told by webhooks alone; nothing that a browser brings back counts.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::Action;
use freehold_domain::plan::{Plan, Quota, is_held};
use freehold_domain::secret::Secret;
use freehold_domain::stripe::call::{self, Call};
use freehold_domain::stripe::{CustomerId, PriceId, Subscription, SubscriptionId};
use freehold_domain::time::UnixMs;
use freehold_storage::stripe_made::{self, Kind};
use freehold_storage::stripe_subscription;

use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::stripe::{ask, ask_or_fail, back, fresh, made, record_alone};
use crate::plans::{BOUGHT_MAX, sold_to, used};
use crate::stripe::Stripe;

/// How much of something a tenant has, and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaItem {
    /// Of what.
    pub quota: Quota,
    /// How much it has.
    pub used: u32,
    /// How much its plan allows; `None`: as much as it likes.
    pub limit: Option<u32>,
}

/// A subscription of the tenant's at the platform, by the newest event that told of it.
#[derive(Clone, Debug)]
pub struct Bought {
    /// Which.
    pub id: SubscriptionId,
    /// How it stands.
    pub state: Subscription,
    /// The plan that its price is of; `None` for a price that the operator sells no plan for.
    pub plan: Option<Plan>,
    /// When that happened which the newest event tells.
    pub as_of: UnixMs,
}

/// The plan as admins see it.
#[derive(Clone, Debug)]
pub struct PlanItem {
    /// Which it is; `None` where none is sold.
    pub plan: Option<Plan>,
    /// What it bounds.
    pub quotas: Vec<QuotaItem>,
    /// What was bought, of which last something changed first.
    pub bought: Vec<Bought>,
}

/// The plan in force, and what it allows.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn show(cx: &Context, caller: &AccessClaims) -> Result<PlanItem, Refusal> {
    cx.admit_member(caller).await?;
    let (now, plans) = (cx.node.ambient.now(), sold_to(&cx.node, &cx.slot));
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let rows = if plans.is_some() { stripe_subscription::of_platform(&mut tx, BOUGHT_MAX).await? } else { vec![] };
    let plan = plans.map(|plans| plans.in_force(rows.iter().map(|row| &row.fact.state), now));
    let mut quotas = vec![];
    for quota in Quota::ALL {
        let used = used(&mut tx, quota, now).await?;
        let limit = plans.zip(plan).and_then(|(plans, plan)| plans.limit(plan, quota));
        quotas.push(QuotaItem { quota, used, limit });
    }
    let bought = rows.into_iter().map(|row| {
        let plan = row.fact.state.price.as_ref().and_then(|price| plans?.of_price(price));
        Bought { id: row.fact.id, state: row.fact.state, plan, as_of: row.fact.version.at }
    });
    Ok(PlanItem { plan, quotas, bought: bought.collect() })
}

/// Opens a page at which this plan is paid for. Those that were open for the tenant are closed first, so that nobody pays twice; two
/// that are opened at the very same moment stay open both.
///
/// # Errors
/// [`Refusal::NotFound`] where plans are not sold, or not to this tenant; [`Refusal::Subscribed`] for a tenant that has a subscription;
/// [`Refusal::Overloaded`] and [`Refusal::Unavailable`] where Stripe cannot be asked; what the limits and the store refuse.
pub async fn checkout(cx: &Context, caller: &AccessClaims, plan: Plan) -> Result<Secret<String>, Refusal> {
    let (stripe, plans) = seller(cx)?;
    let price = &plans.prices(plan).ok_or(Refusal::NotFound)?.sold;
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let bought = stripe_subscription::of_platform(&mut tx, BOUGHT_MAX).await?;
    drop(tx);
    if bought.iter().any(|row| is_held(row.fact.state.status)) {
        return Err(Refusal::Subscribed);
    }
    let make = Call::make_customer(cx.slot.id);
    let customer: CustomerId = made(cx, stripe, caller, (Kind::Customer, &make)).await?;
    let url = if let Some(url) = open_page(cx, stripe, &customer, price).await? {
        url
    } else {
        forget(cx, &customer).await?;
        let another: CustomerId = made(cx, stripe, caller, (Kind::Customer, &make)).await?;
        open_page(cx, stripe, &another, price).await?.ok_or(Refusal::Unavailable)?
    };
    record_alone(cx, caller, Action::PlanCheckoutOpened).await?;
    Ok(url)
}

/// Closes the pages that are open for a customer, and opens one for this price; `None` where the customer is gone at Stripe.
async fn open_page(
    cx: &Context,
    stripe: &Stripe,
    customer: &CustomerId,
    price: &PriceId,
) -> Result<Option<Secret<String>>, Refusal> {
    let pages = match ask(cx, stripe, (&Call::open_pages(customer), fresh(cx)), call::pages).await? {
        Ok(pages) => pages,
        Err(failed) if failed.says(call::NO_CUSTOMER) => return Ok(None),
        Err(_) => return Err(Refusal::Unavailable),
    };
    for page in pages {
        ask_or_fail(cx, stripe, &Call::close_page(&page), call::done).await?;
    }
    let page = Call::open_page(cx.slot.id, customer, price, &back(cx), cx.node.ambient.wall());
    match ask(cx, stripe, (&page, fresh(cx)), call::url).await? {
        Ok(url) => Ok(Some(url)),
        Err(failed) if failed.says(call::NO_CUSTOMER) => Ok(None),
        Err(_) => Err(Refusal::Unavailable),
    }
}

/// Forgets a customer that is gone at Stripe: whoever asks next makes another.
async fn forget(cx: &Context, customer: &CustomerId) -> Result<(), Refusal> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    stripe_made::forget(&mut tx, Kind::Customer, customer.as_str()).await?;
    tracing::warn!(tenant.id = %cx.slot.id, customer = customer.as_str(), "the customer is gone at Stripe");
    Ok(tx.commit().await?)
}

/// Opens the portal, where the tenant changes, pays and cancels what it has.
///
/// # Errors
/// [`Refusal::NotFound`] where plans are not sold, or this tenant never began to buy one; [`Refusal::NotFresh`];
/// [`Refusal::Overloaded`] and [`Refusal::Unavailable`] where Stripe cannot be asked; what the limits and the store refuse.
pub async fn portal(cx: &Context, caller: &AccessClaims) -> Result<Secret<String>, Refusal> {
    let (stripe, _) = seller(cx)?;
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    let customer = stripe_made::of(&mut tx, Kind::Customer).await?.and_then(|row| row.id).ok_or(Refusal::NotFound)?;
    drop(tx);
    let customer: CustomerId = customer.parse().map_err(|_| Refusal::Internal)?;
    let url = match ask(cx, stripe, (&Call::open_portal(&customer, &back(cx)), fresh(cx)), call::url).await? {
        Ok(url) => url,
        Err(failed) if failed.says(call::NO_CUSTOMER) => {
            forget(cx, &customer).await?;
            return Err(Refusal::NotFound);
        }
        Err(_) => return Err(Refusal::Unavailable),
    };
    record_alone(cx, caller, Action::PlanPortalOpened).await?;
    Ok(url)
}

fn seller(cx: &Context) -> Result<(&Stripe, &freehold_domain::plan::Plans), Refusal> {
    let sold = sold_to(&cx.node, &cx.slot).ok_or(Refusal::NotFound)?;
    Ok((cx.node.stripe.as_ref().ok_or(Refusal::NotFound)?, sold))
}
