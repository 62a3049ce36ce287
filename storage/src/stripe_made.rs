//! What this server made for the tenant at the platform's account at Stripe: a customer who buys, an account that is paid out. One of
//! each.
//!
//! ```text
//! none --begin: an attempt, written before the call--> being made --found--> known --forget--> none
//!                                                      --renew: it was answered, and not with one--> another attempt
//! ```
//!
//! An attempt is the key under which Stripe makes one thing once, however often it is asked: whoever does not know how a call ended
//! asks again with the same. What it answered it answers again, so that a refusal takes another.

use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    STRIPE_MADE_BEGIN (2) = "INSERT INTO stripe_made (kind, attempt) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    STRIPE_MADE_OF (1) = "SELECT attempt, id FROM stripe_made WHERE kind = $1";
    STRIPE_MADE_FOUND (3) = "UPDATE stripe_made SET id = $3 WHERE kind = $1 AND attempt = $2 AND id IS NULL";
    STRIPE_MADE_RENEW (3) = "UPDATE stripe_made SET attempt = $3 WHERE kind = $1 AND attempt = $2 AND id IS NULL";
    STRIPE_MADE_FORGET (2) = "DELETE FROM stripe_made WHERE kind = $1 AND id = $2";
}

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A customer, `cus_`.
    Customer,
    /// An account, `acct_`.
    Account,
}

impl Kind {
    /// The name in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Account => "account",
        }
    }
}

/// What is made, or being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeRow {
    /// Under which key.
    pub attempt: Uuid,
    /// What it is called there, once that is known.
    pub id: Option<String>,
}

impl TryFrom<Row> for MadeRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { attempt: row.get("attempt")?, id: row.get("id")? })
    }
}

/// What there is of this kind, if there is any.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn of(tx: &mut TenantTx, kind: Kind) -> Result<Option<MadeRow>, StoreError> {
    tx.fetch_optional(STRIPE_MADE_OF, args![kind.as_str()]).await
}

/// Begins to make one, where there is none; of several who begin, one.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn begin(tx: &mut TenantTx, kind: Kind, attempt: Uuid) -> Result<bool, StoreError> {
    Ok(tx.execute(STRIPE_MADE_BEGIN, args![kind.as_str(), attempt]).await? == 1)
}

/// Writes down what this attempt made; `false` where it is written already, or another attempt is made.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn found(tx: &mut TenantTx, kind: Kind, attempt: Uuid, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(STRIPE_MADE_FOUND, args![kind.as_str(), attempt, id]).await? == 1)
}

/// Goes on with another attempt, for this one was answered with nothing; `false` where somebody did so before.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn renew(tx: &mut TenantTx, kind: Kind, attempt: Uuid, next: Uuid) -> Result<bool, StoreError> {
    Ok(tx.execute(STRIPE_MADE_RENEW, args![kind.as_str(), attempt, next]).await? == 1)
}

/// Forgets what is gone at Stripe.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn forget(tx: &mut TenantTx, kind: Kind, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(STRIPE_MADE_FORGET, args![kind.as_str(), id]).await? == 1)
}
