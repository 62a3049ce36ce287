//! The account at which the platform pays a tenant out, for the tenant's admins: made and kept at Stripe, which asks its owner for all
//! that is personal. Here is its id, and how it stands by webhooks; payouts are read there and pass through.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::secret::Secret;
use freehold_domain::stripe::call::{self, Call, Payout};
use freehold_domain::stripe::{Account, AccountId, PayoutId};
use freehold_domain::time::UnixMs;
use freehold_storage::stripe_account;
use freehold_storage::stripe_made::{self, Kind};
use hyper::StatusCode;

use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::stripe::{ask, ask_or_fail, back, fresh, made, record_alone};
use crate::stripe::{Failed, Stripe};

/// The account as admins see it.
#[derive(Clone, Debug)]
pub struct PayoutAccountItem {
    /// Which.
    pub id: AccountId,
    /// How it stands and as of when; `None` until an event told of it.
    pub standing: Option<(Account, UnixMs)>,
}

/// A part of the payouts.
#[derive(Clone, Debug)]
pub struct PayoutPage {
    /// The payouts, the newest first.
    pub items: Vec<Payout>,
    /// After which the next part begins; `None` on the last.
    pub next: Option<PayoutId>,
}

/// The account, if there is one.
///
/// # Errors
/// [`Refusal::NotFound`] where tenants are not paid out, or this one has no account; what the limits and the store refuse.
pub async fn show(cx: &Context, caller: &AccessClaims) -> Result<PayoutAccountItem, Refusal> {
    payer(cx)?;
    cx.admit_member(caller).await?;
    let id = known(cx).await?;
    let row = stripe_account::of_platform(&mut cx.node.store.read(cx.slot.id).await?, &id).await?;
    Ok(PayoutAccountItem { id, standing: row.map(|row| (row.fact.state, row.fact.version.at)) })
}

/// Opens the page at which the owner of the account tells Stripe what it wants to know; the account is made where there is none. The
/// page can be used once, within minutes; whoever needs it longer opens another.
///
/// # Errors
/// [`Refusal::NotFound`] where tenants are not paid out; [`Refusal::NotFresh`]; [`Refusal::Overloaded`] and [`Refusal::Unavailable`]
/// where Stripe cannot be asked; what the limits and the store refuse.
pub async fn onboard(cx: &Context, caller: &AccessClaims) -> Result<Secret<String>, Refusal> {
    let stripe = payer(cx)?;
    cx.admit_member(caller).await?;
    drop(begin_fresh(cx, caller).await?);
    let account: AccountId = made(cx, stripe, caller, (Kind::Account, &Call::make_account(cx.slot.id))).await?;
    let url = ask_or_fail(cx, stripe, &Call::open_onboarding(&account, &back(cx)), call::url).await?;
    record_alone(cx, caller, Action::PayoutOnboardingOpened).await?;
    Ok(url)
}

/// Opens the page at which the owner sees what was paid, and to which bank. Stripe refuses before it knows its owner.
///
/// # Errors
/// As [`onboard`], and [`Refusal::NotFound`] where there is no account.
pub async fn dashboard(cx: &Context, caller: &AccessClaims) -> Result<Secret<String>, Refusal> {
    let stripe = payer(cx)?;
    cx.admit_member(caller).await?;
    drop(begin_fresh(cx, caller).await?);
    let call = Call::open_dashboard(&known(cx).await?);
    let url = match ask(cx, stripe, (&call, fresh(cx)), call::url).await? {
        Ok(url) => url,
        Err(Failed::Refused(StatusCode::BAD_REQUEST, _)) => return Err(Refusal::Collides),
        Err(_) => return Err(Refusal::Unavailable),
    };
    record_alone(cx, caller, Action::PayoutDashboardOpened).await?;
    Ok(url)
}

/// The payouts after `after`, as Stripe tells them now.
///
/// # Errors
/// [`Refusal::NotFound`] where there is no account; [`Refusal::Overloaded`] and [`Refusal::Unavailable`] where Stripe cannot be asked;
/// what the limits and the store refuse.
pub async fn page(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<&PayoutId>,
    limit: u32,
) -> Result<PayoutPage, Refusal> {
    let stripe = payer(cx)?;
    cx.admit_member(caller).await?;
    let call = Call::payouts(&known(cx).await?, after, limit.min(STRIPE_LIMIT_MAX));
    let (items, more) = ask_or_fail(cx, stripe, &call, call::payouts).await?;
    let next = items.last().filter(|_| more).map(|payout| payout.id.clone());
    Ok(PayoutPage { items, next })
}

/// What is refused where an account is gone at Stripe.
const GONE: [&str; 3] = ["resource_missing", "resource_missing:account", "account_invalid"];
/// What Stripe answers at once, at most.
const STRIPE_LIMIT_MAX: u32 = 100;

/// Closes the account: at Stripe first, which refuses while there is money in it, and then here.
///
/// # Errors
/// [`Refusal::NotFound`] where there is none; [`Refusal::PayoutAccountStays`] where Stripe refuses; [`Refusal::NotFresh`];
/// [`Refusal::Overloaded`] and [`Refusal::Unavailable`] where Stripe cannot be asked; what the limits and the store refuse.
pub async fn close(cx: &Context, caller: &AccessClaims) -> Result<(), Refusal> {
    let stripe = payer(cx)?;
    cx.admit_member(caller).await?;
    drop(begin_fresh(cx, caller).await?);
    let account = known(cx).await?;
    match ask(cx, stripe, (&Call::close_account(&account), fresh(cx)), call::gone).await? {
        // What is gone there already is closed too: somebody lost the first answer.
        Ok(()) => {}
        Err(failed) if GONE.into_iter().any(|word| failed.says(word)) => {}
        Err(Failed::Refused(StatusCode::BAD_REQUEST, _)) => return Err(Refusal::PayoutAccountStays),
        Err(_) => return Err(Refusal::Unavailable),
    }
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if stripe_made::forget(&mut tx, Kind::Account, account.as_str()).await? {
        let by = Actor::Member(caller.sub);
        audit::record_request(&mut tx, cx, Action::PayoutAccountClosed, by, cx.slot.id.uuid()).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn payer(cx: &Context) -> Result<&Stripe, Refusal> {
    let is_paid_out = |stripe: &&Stripe| stripe.pays_out && !cx.slot.slug.is_platform();
    cx.node.stripe.as_ref().filter(is_paid_out).ok_or(Refusal::NotFound)
}

async fn known(cx: &Context) -> Result<AccountId, Refusal> {
    let made = stripe_made::of(&mut cx.node.store.read(cx.slot.id).await?, Kind::Account).await?;
    made.and_then(|row| row.id).ok_or(Refusal::NotFound)?.parse().map_err(|_| Refusal::Internal)
}
