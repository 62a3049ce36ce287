//! What Stripe's events change here: how subscriptions and connected accounts stand. State comes from webhooks only, and is the
//! same whatever order they come in and however often.
//!
//! ```text
//! event --kind says nothing here--> no effect
//!       --body, ids, status in their form--> Effect --version greater than the stored one--> is the state
//!                                                   --not greater--> counted, and nothing else
//!       --not in their form--> Unreadable: parked with a word, for trying again reads the same bytes
//! ```
//!
//! What the platform's own account tells of a tenant's plan, and of the account it has for payouts there, is passed on to that
//! tenant: [`Change::for_tenant`].
//!
//! Of a body only what is typed here is ever stored: four kinds of ids (`sub_`, `cus_`, `acct_`, and the price's), a status of a
//! closed list, times and yes or no. A number of a card has no place to go.

mod account;
mod body;
pub mod call;
mod ids;
mod seller;
mod subscription;
#[cfg(test)]
mod tests;
mod version;

pub use self::account::Account;
pub use self::ids::{AccountId, CustomerId, ID_BYTES_MAX, NotAnId, PayoutId, PriceId, SubscriptionId};
pub use self::seller::{NoSeller, Seller};
pub use self::subscription::{NoStatus, Status, Subscription};
pub use self::version::Version;

use crate::id::TenantId;
use crate::time::UnixMs;
use crate::webhook::Provider;

/// What is known of an event besides its body, from where it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Which, at Stripe.
    pub event_id: &'a str,
    /// What happened, in Stripe's words.
    pub kind: &'a str,
    /// To which connected account; `None` for the tenant's own.
    pub account: Option<&'a str>,
    /// Whether it was signed as those of connected accounts are.
    pub is_of_connected: bool,
    /// When, to the second.
    pub at: Option<UnixMs>,
}

/// What an event changes, where it is newer than what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// How a subscription stands.
    Subscription(Fact<SubscriptionId, Subscription>),
    /// How an account stands.
    Account(Fact<AccountId, Account>),
}

impl Effect {
    /// Of what it is, in an order that all share: whoever changes several takes them in it, and nobody waits for somebody who
    /// waits for them.
    #[must_use]
    pub fn place(&self) -> (bool, &str, &str) {
        match self {
            Self::Subscription(fact) => (false, fact.seller.as_str(), fact.id.as_str()),
            Self::Account(fact) => (true, fact.seller.as_str(), fact.id.as_str()),
        }
    }
}

/// What an event changes, and which tenant of the platform's is named with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it changes where it came in.
    pub effect: Effect,
    /// The tenant that the object's [`TENANT_METADATA`] names, as this server writes it there.
    pub tenant: Option<TenantId>,
}

/// The key of the metadata that names a tenant: on subscriptions and accounts that this server has made for it.
pub const TENANT_METADATA: &str = "freehold_tenant";

impl Change {
    /// What it changes for another tenant, if it came to the platform's own: a subscription that the platform sells is that
    /// tenant's plan, an account that is connected to the platform is the one it is paid out at. What a connected account sells
    /// is neither, whatever its metadata says: whoever has the account writes that.
    #[must_use]
    pub fn for_tenant(&self) -> Option<(TenantId, Effect)> {
        let tenant = self.tenant?;
        match &self.effect {
            Effect::Subscription(fact) if fact.seller == Seller::Own => {
                Some((tenant, Effect::Subscription(Fact { seller: Seller::Platform, ..fact.clone() })))
            }
            Effect::Account(fact) if fact.seller.connected() == Some(&fact.id) => {
                Some((tenant, Effect::Account(Fact { seller: Seller::Platform, ..fact.clone() })))
            }
            Effect::Subscription(_) | Effect::Account(_) => None,
        }
    }
}

/// That something stands so, as of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<I, S> {
    /// At whose account. With `id` it is the key: two accounts never share a row.
    pub seller: Seller,
    /// Of what.
    pub id: I,
    /// How it stands.
    pub state: S,
    /// As of when.
    pub version: Version,
}

/// An event that must have an effect cannot be read: trying again would read the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The body is not of the shape that this kind of event has.
    #[error("body")]
    Body,
    /// Nothing says when it happened, so nobody can say what it is newer than.
    #[error("no-time")]
    NoTime,
    /// An event of a connected account came with the signature of the tenant's own, or the other way round.
    #[error("wrong-secret")]
    WrongSecret,
    /// The connected account's id is none.
    #[error("account-id")]
    AccountId,
    /// The subscription's id is none.
    #[error("subscription-id")]
    SubscriptionId,
    /// The customer's id is none.
    #[error("customer-id")]
    CustomerId,
    /// The status is none that is known.
    #[error("status")]
    Status,
}

/// Whether events of this kind change anything here; known without the body.
#[must_use]
pub fn concerns(provider: Provider, kind: &str) -> bool {
    provider == Provider::Stripe && Kind::of(kind).is_some()
}

/// What the event changes; `None` where its kind changes nothing.
///
/// # Errors
/// [`Unreadable`], whose text is the word that is told.
pub fn read(told: Told<'_>, body: &[u8]) -> Result<Option<Change>, Unreadable> {
    let Some(kind) = Kind::of(told.kind) else { return Ok(None) };
    let at = told.at.ok_or(Unreadable::NoTime)?;
    if told.is_of_connected != told.account.is_some() {
        return Err(Unreadable::WrongSecret);
    }
    let account = told.account.map(str::parse).transpose().map_err(|_| Unreadable::AccountId)?;
    let seller = account.map_or(Seller::Own, Seller::Connected);
    let event_id = told.event_id.to_owned();
    Ok(Some(match kind {
        Kind::Account => {
            let (id, state, tenant) = account::read(body)?;
            let version = Version { ended: false, at, rank: kind.rank(), event_id };
            Change { effect: Effect::Account(Fact { seller, id, state, version }), tenant }
        }
        Kind::SubscriptionCreated
        | Kind::SubscriptionChanged
        | Kind::SubscriptionToggled
        | Kind::SubscriptionDeleted => {
            let (id, mut state, tenant) = subscription::read(body)?;
            if kind == Kind::SubscriptionDeleted && !state.status.is_end() {
                state.status = Status::Canceled; // whatever it says of itself: it is gone
            }
            let version = Version { ended: state.status.is_end(), at, rank: kind.rank(), event_id };
            Change { effect: Effect::Subscription(Fact { seller, id, state, version }), tenant }
        }
    }))
}

/// A kind of event that changes something, in the order in which those of one second are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Account,
    SubscriptionCreated,
    SubscriptionChanged,
    /// Paused or resumed.
    SubscriptionToggled,
    SubscriptionDeleted,
}

impl Kind {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "account.updated" => Some(Self::Account),
            "customer.subscription.created" => Some(Self::SubscriptionCreated),
            "customer.subscription.updated" => Some(Self::SubscriptionChanged),
            "customer.subscription.paused" | "customer.subscription.resumed" => Some(Self::SubscriptionToggled),
            "customer.subscription.deleted" => Some(Self::SubscriptionDeleted),
            _ => None,
        }
    }

    const fn rank(self) -> i64 {
        match self {
            Self::Account | Self::SubscriptionCreated => 0,
            Self::SubscriptionChanged => 1,
            Self::SubscriptionToggled => 2,
            Self::SubscriptionDeleted => 3,
        }
    }
}
