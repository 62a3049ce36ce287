//! Failures counted against accounts, and the locks they led to.

use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    LOCKOUT_BY_ACCOUNT (1) = "
        SELECT failures, locked_until_ms, version, updated_at_ms FROM lockout WHERE account = $1";
    LOCKOUT_INSERT (4) = "
        INSERT INTO lockout (account, failures, locked_until_ms, version, updated_at_ms)
        VALUES ($1, $2, $3, 1, $4)
        ON CONFLICT DO NOTHING";
    LOCKOUT_UPDATE (5) = "
        UPDATE lockout SET failures = $3, locked_until_ms = $4, updated_at_ms = $5, version = version + 1
        WHERE account = $1 AND version = $2";
    LOCKOUT_RESET (1) = "DELETE FROM lockout WHERE account = $1";
    LOCKOUT_COUNT (0) = "SELECT COUNT(*) AS accounts FROM lockout";
    /// The conditions are said twice: PostgreSQL looks at a row that a rival has changed meanwhile with the outer ones.
    LOCKOUT_SWEEP (3) = "
        DELETE FROM lockout
        WHERE updated_at_ms < $1 AND (locked_until_ms IS NULL OR locked_until_ms <= $2) AND account IN
            (SELECT account FROM lockout
             WHERE updated_at_ms < $1 AND (locked_until_ms IS NULL OR locked_until_ms <= $2)
             ORDER BY updated_at_ms LIMIT $3)";
}

/// What is counted against an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many in a row.
    pub count: i64,
    /// Until when the account is locked, if it is or was.
    pub locked_until_ms: Option<UnixMs>,
}

/// An account's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutRow {
    /// What is counted.
    pub failures: Failures,
    /// Raised by every write: who writes says which version was read.
    pub version: i64,
    /// The last write.
    pub updated_at_ms: UnixMs,
}

impl TryFrom<Row> for LockoutRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            failures: Failures {
                count: row.get("failures")?,
                locked_until_ms: row.get::<Option<i64>>("locked_until_ms")?.map(UnixMs::new),
            },
            version: row.get("version")?,
            updated_at_ms: UnixMs::new(row.get("updated_at_ms")?),
        })
    }
}

struct Accounts(i64);

impl TryFrom<Row> for Accounts {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("accounts")?))
    }
}

/// The row of this account; `None` when nothing is counted against it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_account(tx: &mut TenantTx, account: &[u8]) -> Result<Option<LockoutRow>, StoreError> {
    tx.fetch_optional(LOCKOUT_BY_ACCOUNT, args![account]).await
}

/// Begins to count, with version 1. `false` when the account has a row.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, account: &[u8], failures: Failures, now: UnixMs) -> Result<bool, StoreError> {
    let args = args![account, failures.count, failures.locked_until_ms, now];
    Ok(tx.execute(LOCKOUT_INSERT, args).await? == 1)
}

/// Replaces what is counted if the row is still of version `expected`, and raises the version by one. `false` when
/// somebody else was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn update(
    tx: &mut TenantTx,
    account: &[u8],
    expected: i64,
    failures: Failures,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let args = args![account, expected, failures.count, failures.locked_until_ms, now];
    Ok(tx.execute(LOCKOUT_UPDATE, args).await? == 1)
}

/// Forgets the failures of an account: its right password was given.
///
/// # Errors
/// [`StoreError`] as for every statement.
pub async fn reset(tx: &mut TenantTx, account: &[u8]) -> Result<(), StoreError> {
    tx.execute(LOCKOUT_RESET, args![account]).await?;
    Ok(())
}

/// How many accounts have a row.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn count(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let accounts: Option<Accounts> = tx.fetch_optional(LOCKOUT_COUNT, args![]).await?;
    Ok(accounts.map_or(0, |Accounts(count)| count.unsigned_abs()))
}

/// Deletes up to `limit` rows last written before `before`, the oldest first, and never one locked at `now`; answers
/// how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, now: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(LOCKOUT_SWEEP, args![before, now, i64::from(limit)]).await
}
