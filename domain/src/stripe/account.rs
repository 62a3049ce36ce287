//! How a connected account stands: what Stripe lets it do.

use serde::Deserialize;

use super::body::{self, Metadata};
use super::{AccountId, Unreadable};
use crate::id::TenantId;

/// What an account can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// It can be paid.
    pub charges_enabled: bool,
    /// What it was paid is paid out.
    pub payouts_enabled: bool,
    /// It has told Stripe what Stripe wants to know.
    pub details_submitted: bool,
}

/// `{"id", "charges_enabled", "payouts_enabled", "details_submitted"}` among much else that is personal.
#[derive(Deserialize)]
struct Object {
    id: Option<String>,
    charges_enabled: bool,
    payouts_enabled: bool,
    details_submitted: bool,
    metadata: Option<Metadata>,
}

pub(super) fn read(bytes: &[u8]) -> Result<(AccountId, Account, Option<TenantId>), Unreadable> {
    let Object { id, charges_enabled, payouts_enabled, details_submitted, metadata } = body::object(bytes)?;
    let id = id.unwrap_or_default().parse().map_err(|_| Unreadable::AccountId)?;
    let tenant = metadata.and_then(|metadata| metadata.tenant());
    Ok((id, Account { charges_enabled, payouts_enabled, details_submitted }, tenant))
}
