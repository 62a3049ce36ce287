//! What the platform asks of Stripe, as forms, and what of the answers is read: ids, addresses to send somebody to, and payouts. The
//! version of the API is pinned, so that neither changes with an account's settings.

#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::{AccountId, CustomerId, PayoutId, PriceId};
use crate::card_number;
use crate::id::TenantId;
use crate::oauth::form;
use crate::secret::Secret;
use crate::time::UnixMs;

/// The version of the API that is spoken.
pub const API_VERSION: &str = "2026-10-28.endive";
/// How long a page to pay at is open: somewhat more than the half hour that is the least Stripe takes.
const PAGE_TTL: Duration = Duration::from_mins(35);
const URL_BYTES_MAX: usize = 4_096;
const WORD_CHARS_MAX: usize = 64;

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It changes nothing.
    Get,
    /// It makes or changes something.
    Post,
    /// It takes something away.
    Delete,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Of what: a path and perhaps a query.
    pub path: String,
    /// The form that is posted; empty for what is not.
    pub form: Vec<(&'static str, String)>,
    /// In whose name, if it is a connected account's.
    pub account: Option<AccountId>,
}

impl Call {
    fn post(path: impl Into<String>, form: Vec<(&'static str, String)>) -> Self {
        Self { method: Method::Post, path: path.into(), form, account: None }
    }

    /// Makes the customer that a tenant is. Nothing of it but its id leaves this server.
    #[must_use]
    pub fn make_customer(tenant: TenantId) -> Self {
        Self::post("/v1/customers", vec![("metadata[freehold_tenant]", tenant.to_string())])
    }

    /// Which pages to pay at are open for a customer.
    #[must_use]
    pub fn open_pages(customer: &CustomerId) -> Self {
        let query = [("customer", customer.as_str()), ("status", "open"), ("limit", "10")];
        let path = format!("/v1/checkout/sessions?{}", form::encode(&query).expose());
        Self { method: Method::Get, path, form: vec![], account: None }
    }

    /// Closes such a page, so that nobody pays twice.
    #[must_use]
    pub fn close_page(page: &PageId) -> Self {
        Self::post(format!("/v1/checkout/sessions/{}/expire", page.as_str()), vec![])
    }

    /// Opens a page to subscribe at, for this price, at the wall clock `wall`; from there, as from every page, somebody is sent `back`.
    #[must_use]
    pub fn open_page(tenant: TenantId, customer: &CustomerId, price: &PriceId, back: &str, wall: UnixMs) -> Self {
        let expires_at = wall.plus(PAGE_TTL).get() / 1_000;
        Self::post(
            "/v1/checkout/sessions",
            vec![
                ("mode", "subscription".to_owned()),
                ("customer", customer.to_string()),
                ("client_reference_id", tenant.to_string()),
                ("line_items[0][price]", price.to_string()),
                ("line_items[0][quantity]", "1".to_owned()),
                ("subscription_data[metadata][freehold_tenant]", tenant.to_string()),
                ("success_url", back.to_owned()),
                ("cancel_url", back.to_owned()),
                ("expires_at", expires_at.to_string()),
            ],
        )
    }

    /// Opens the portal, where a customer changes, pays and cancels what it has.
    #[must_use]
    pub fn open_portal(customer: &CustomerId, back: &str) -> Self {
        let form = vec![("customer", customer.to_string()), ("return_url", back.to_owned())];
        Self::post("/v1/billing_portal/sessions", form)
    }

    /// Makes the account at which a tenant is paid out. Stripe asks its owner for all that is personal, and bears what is asked.
    #[must_use]
    pub fn make_account(tenant: TenantId) -> Self {
        Self::post(
            "/v1/accounts",
            vec![
                ("controller[stripe_dashboard][type]", "express".to_owned()),
                ("controller[fees][payer]", "application".to_owned()),
                ("controller[losses][payments]", "application".to_owned()),
                ("controller[requirement_collection]", "stripe".to_owned()),
                ("capabilities[card_payments][requested]", "true".to_owned()),
                ("capabilities[transfers][requested]", "true".to_owned()),
                ("metadata[freehold_tenant]", tenant.to_string()),
            ],
        )
    }

    /// Opens the page at which the owner of an account tells Stripe what it wants to know.
    #[must_use]
    pub fn open_onboarding(account: &AccountId, back: &str) -> Self {
        Self::post(
            "/v1/account_links",
            vec![
                ("account", account.to_string()),
                ("type", "account_onboarding".to_owned()),
                ("refresh_url", back.to_owned()),
                ("return_url", back.to_owned()),
            ],
        )
    }

    /// Opens the page at which the owner of an account sees what it has been paid.
    #[must_use]
    pub fn open_dashboard(account: &AccountId) -> Self {
        Self::post(format!("/v1/accounts/{account}/login_links"), vec![])
    }

    /// Closes an account. Stripe refuses while there is money in it.
    #[must_use]
    pub fn close_account(account: &AccountId) -> Self {
        Self { method: Method::Delete, path: format!("/v1/accounts/{account}"), form: vec![], account: None }
    }

    /// The payouts of an account after this one, the newest first.
    #[must_use]
    pub fn payouts(account: &AccountId, after: Option<&PayoutId>, limit: u32) -> Self {
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(after.map(|after| ("starting_after", after.as_str())));
        let path = format!("/v1/payouts?{}", form::encode(&query).expose());
        Self { method: Method::Get, path, form: vec![], account: Some(account.clone()) }
    }

    /// Asks for a price.
    #[must_use]
    pub fn price(price: &PriceId) -> Self {
        Self { method: Method::Get, path: format!("/v1/prices/{price}"), form: vec![], account: None }
    }

    /// The form as it is sent.
    #[must_use]
    pub fn encoded(&self) -> Secret<String> {
        let fields: Vec<_> = self.form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form::encode(&fields)
    }
}

/// A page to pay at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageId(String);

impl PageId {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// The answer is none that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the answer to this call")]
pub struct NotAnAnswer;

#[derive(Deserialize)]
struct Object {
    id: String,
}

/// What was made.
///
/// # Errors
/// [`NotAnAnswer`] where it has no id of this kind.
pub fn id<I: FromStr>(text: &str) -> Result<I, NotAnAnswer> {
    let Object { id } = serde_json::from_str(text).map_err(|_| NotAnAnswer)?;
    id.parse().map_err(|_| NotAnAnswer)
}

/// That it was done to something, whatever is told of it.
///
/// # Errors
/// [`NotAnAnswer`] where nothing is named.
pub fn done(text: &str) -> Result<(), NotAnAnswer> {
    serde_json::from_str::<Object>(text).map(drop).map_err(|_| NotAnAnswer)
}

#[derive(Deserialize)]
struct Gone {
    deleted: bool,
}

/// That something is gone.
///
/// # Errors
/// [`NotAnAnswer`] where it does not say so.
pub fn gone(text: &str) -> Result<(), NotAnAnswer> {
    let Gone { deleted } = serde_json::from_str(text).map_err(|_| NotAnAnswer)?;
    if deleted { Ok(()) } else { Err(NotAnAnswer) }
}

#[derive(Deserialize)]
struct Price {
    active: bool,
    recurring: Option<serde::de::IgnoredAny>,
}

/// Whether a price is one that a plan can be sold for: active, and paid again and again.
///
/// # Errors
/// [`NotAnAnswer`] where it does not say so.
pub fn is_for_a_plan(text: &str) -> Result<bool, NotAnAnswer> {
    let Price { active, recurring } = serde_json::from_str(text).map_err(|_| NotAnAnswer)?;
    Ok(active && recurring.is_some())
}

#[derive(Deserialize)]
struct Page {
    url: String,
}

/// Where a page is that was opened. Whoever has the address can use it.
///
/// # Errors
/// [`NotAnAnswer`] where it is no web address.
pub fn url(text: &str) -> Result<Secret<String>, NotAnAnswer> {
    let Page { url } = serde_json::from_str(text).map_err(|_| NotAnAnswer)?;
    let is_url = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
    // Whatever stands before an `@` is read as a host by whoever looks and as a user by whoever goes there.
    let is_plain =
        url.len() <= URL_BYTES_MAX && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"@\\".contains(&byte));
    if is_url && is_plain { Ok(Secret::new(url)) } else { Err(NotAnAnswer) }
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

/// The pages that are open.
///
/// # Errors
/// [`NotAnAnswer`]
pub fn pages(text: &str) -> Result<Vec<PageId>, NotAnAnswer> {
    let List { data, .. } = serde_json::from_str::<List<Object>>(text).map_err(|_| NotAnAnswer)?;
    let is_plain = |id: &str| id.starts_with("cs_") && id.len() <= super::ID_BYTES_MAX && is_word(id);
    data.into_iter().map(|Object { id }| if is_plain(&id) { Ok(PageId(id)) } else { Err(NotAnAnswer) }).collect()
}

/// A payout: what an account was, or is to be, paid to its bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Which.
    pub id: PayoutId,
    /// How much, in the smallest unit of the currency; below zero where it was taken back.
    pub amount: i64,
    /// Of what: three letters (ISO 4217), in lower case.
    pub currency: String,
    /// How it stands, in Stripe's words: `pending`, `in_transit`, `paid`, `failed`, `canceled`.
    pub status: String,
    /// When it was made.
    pub created: UnixMs,
    /// When it arrives, or did.
    pub arrives: UnixMs,
}

#[derive(Deserialize)]
struct PayoutObject {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    created: i64,
    arrival_date: i64,
}

/// A part of the payouts, and whether there are more. Of each only what is named here is read: where it goes stays at Stripe.
///
/// # Errors
/// [`NotAnAnswer`]
pub fn payouts(text: &str) -> Result<(Vec<Payout>, bool), NotAnAnswer> {
    let List { data, has_more } = serde_json::from_str::<List<PayoutObject>>(text).map_err(|_| NotAnAnswer)?;
    let read = |object: PayoutObject| {
        let PayoutObject { id, amount, currency, status, created, arrival_date } = object;
        let is_currency = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase());
        let (created, arrives) = (super::body::seconds(created), super::body::seconds(arrival_date));
        let id = id.parse().map_err(|_| NotAnAnswer)?;
        let is_good = is_currency && is_word(&status);
        if is_good { Ok(Payout { id, amount, currency, status, created, arrives }) } else { Err(NotAnAnswer) }
    };
    Ok((data.into_iter().map(read).collect::<Result<_, _>>()?, has_more))
}

#[derive(Deserialize)]
struct Refused {
    error: RefusedBecause,
}

#[derive(Deserialize)]
struct RefusedBecause {
    code: Option<String>,
    param: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What is refused where the customer that is named is gone at Stripe.
pub const NO_CUSTOMER: &str = "resource_missing:customer";

/// Why something was refused, in a word that a log can carry: Stripe's code, or else the type of the error; and after a colon what it is
/// about, where that is said.
#[must_use]
pub fn refused(text: &str) -> Option<String> {
    let Refused { error } = serde_json::from_str(text).ok()?;
    let is_good = |word: &String| word.len() <= WORD_CHARS_MAX && is_word(word) && !card_number::is_in(word);
    let word = error.code.or(error.kind).filter(is_good)?;
    Some(match error.param.filter(is_good) {
        Some(about) => format!("{word}:{about}"),
        None => word,
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
