//! What opens the services outside that a tenant has connected, and whose turn it is to refresh that.
//!
//! Every change raises the version, and a change to tokens is conditional on it: of two nodes that refresh the same ones, one
//! is heard. Who begins to refresh claims the row before it asks the provider, so that the other does not ask at all.

use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    INTEGRATION_ALL (0) = "
        SELECT name, secret_sealed, refresh_sealed, account, last4, set_at_ms, ends_at_ms, due_at_ms, expired_at_ms, version
        FROM integration ORDER BY name";
    INTEGRATION_BY_NAME (1) = "
        SELECT name, secret_sealed, refresh_sealed, account, last4, set_at_ms, ends_at_ms, due_at_ms, expired_at_ms, version
        FROM integration WHERE name = $1";
    INTEGRATION_INSERT (8) = "
        INSERT INTO integration
            (name, secret_sealed, refresh_sealed, account, last4, set_at_ms, ends_at_ms, due_at_ms, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $6) ON CONFLICT DO NOTHING";
    INTEGRATION_REPLACE (8) = "
        UPDATE integration
        SET secret_sealed = $2, refresh_sealed = $3, account = $4, last4 = $5, set_at_ms = $6, ends_at_ms = $7,
            due_at_ms = $8, claimed_until_ms = NULL, expired_at_ms = NULL, version = version + 1
        WHERE name = $1";
    INTEGRATION_CLAIM (4) = "
        UPDATE integration SET claimed_until_ms = $3
        WHERE name = $1 AND version = $2 AND (claimed_until_ms IS NULL OR claimed_until_ms <= $4)";
    INTEGRATION_RENEW (7) = "
        UPDATE integration
        SET secret_sealed = $3, refresh_sealed = $4, last4 = $5, ends_at_ms = $6, due_at_ms = $7, claimed_until_ms = NULL,
            version = version + 1
        WHERE name = $1 AND version = $2";
    INTEGRATION_REST (3) = "
        UPDATE integration SET due_at_ms = $3, claimed_until_ms = NULL, version = version + 1
        WHERE name = $1 AND version = $2";
    INTEGRATION_EXPIRE (3) = "
        UPDATE integration SET expired_at_ms = $3, due_at_ms = NULL, claimed_until_ms = NULL, version = version + 1
        WHERE name = $1 AND version = $2";
    INTEGRATION_REMOVE (1) = "DELETE FROM integration WHERE name = $1";
    INTEGRATION_NEXT_DUE (0) = "SELECT MIN(due_at_ms) AS due_at_ms FROM integration";
}

/// An integration as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationRow {
    /// Its name.
    pub name: String,
    /// The key or the access token, sealed.
    pub secret_sealed: Vec<u8>,
    /// The refresh token, sealed.
    pub refresh_sealed: Option<Vec<u8>>,
    /// What is not secret: whose account it is, or where the service is.
    pub account: String,
    /// The last characters of the secret.
    pub last4: String,
    /// Since when it is connected.
    pub set_at_ms: UnixMs,
    /// When the access token ends; `None` for a key, which does not.
    pub ends_at_ms: Option<UnixMs>,
    /// When it is to be refreshed; `None` for what is not.
    pub due_at_ms: Option<UnixMs>,
    /// When its provider said that the grant is over.
    pub expired_at_ms: Option<UnixMs>,
    /// Raised by every change; it begins with the time at which it was connected, so that no row is taken for one that was
    /// there before it.
    pub version: i64,
}

impl TryFrom<Row> for IntegrationRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(UnixMs::new));
        Ok(Self {
            name: row.get("name")?,
            secret_sealed: row.get("secret_sealed")?,
            refresh_sealed: row.get("refresh_sealed")?,
            account: row.get("account")?,
            last4: row.get("last4")?,
            set_at_ms: UnixMs::new(row.get("set_at_ms")?),
            ends_at_ms: time("ends_at_ms")?,
            due_at_ms: time("due_at_ms")?,
            expired_at_ms: time("expired_at_ms")?,
            version: row.get("version")?,
        })
    }
}

struct Due(Option<UnixMs>);

impl TryFrom<Row> for Due {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get::<Option<i64>>("due_at_ms")?.map(UnixMs::new)))
    }
}

/// All that the tenant has connected, by name: at most as many as are known.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<IntegrationRow>, StoreError> {
    tx.fetch_all(INTEGRATION_ALL, args![]).await
}

/// The one with this name.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_name(tx: &mut TenantTx, name: &str) -> Result<Option<IntegrationRow>, StoreError> {
    tx.fetch_optional(INTEGRATION_BY_NAME, args![name]).await
}

/// Writes what was connected now, in the place of what was there; who refreshes that is not heard any more. What the row says
/// of its version and of an end is not looked at.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set(tx: &mut TenantTx, row: &IntegrationRow) -> Result<(), StoreError> {
    let (secret, refresh) = (row.secret_sealed.as_slice(), row.refresh_sealed.as_deref());
    let (name, account, last4) = (row.name.as_str(), row.account.as_str(), row.last4.as_str());
    let args = || args![name, secret, refresh, account, last4, row.set_at_ms, row.ends_at_ms, row.due_at_ms];
    if tx.execute(INTEGRATION_INSERT, args()).await? == 0 {
        tx.execute(INTEGRATION_REPLACE, args()).await?;
    }
    Ok(())
}

/// Claims the right to refresh what was read, until `until`. `false` when it was changed since, or somebody else has that right
/// at `now`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn claim(
    tx: &mut TenantTx,
    row: &IntegrationRow,
    (now, until): (UnixMs, UnixMs),
) -> Result<bool, StoreError> {
    Ok(tx.execute(INTEGRATION_CLAIM, args![row.name.as_str(), row.version, until, now]).await? == 1)
}

/// What took the place of tokens.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// The access token, sealed.
    pub secret_sealed: Vec<u8>,
    /// The refresh token, sealed.
    pub refresh_sealed: Option<Vec<u8>>,
    /// The last characters of the access token.
    pub last4: String,
    /// When it ends.
    pub ends_at_ms: UnixMs,
    /// When it is to be refreshed.
    pub due_at_ms: UnixMs,
}

/// Puts other tokens in the place of those that were read. `false` when they were changed since.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn renew(tx: &mut TenantTx, row: &IntegrationRow, renewed: &Renewed) -> Result<bool, StoreError> {
    let (secret, refresh) = (renewed.secret_sealed.as_slice(), renewed.refresh_sealed.as_deref());
    let (ends, due) = (renewed.ends_at_ms, renewed.due_at_ms);
    let args = args![row.name.as_str(), row.version, secret, refresh, renewed.last4.as_str(), ends, due];
    Ok(tx.execute(INTEGRATION_RENEW, args).await? == 1)
}

/// Leaves what was read alone until `due`, and gives the right to refresh it back. `false` when it was changed since.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn rest(tx: &mut TenantTx, row: &IntegrationRow, due: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(INTEGRATION_REST, args![row.name.as_str(), row.version, due]).await? == 1)
}

/// Notes that the grant that was read is over. `false` when it was changed since.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn expire(tx: &mut TenantTx, row: &IntegrationRow, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(INTEGRATION_EXPIRE, args![row.name.as_str(), row.version, now]).await? == 1)
}

/// Takes it away. `false` when there was none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove(tx: &mut TenantTx, name: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(INTEGRATION_REMOVE, args![name]).await? == 1)
}

/// When the first of the tenant's tokens is to be refreshed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn next_due(tx: &mut TenantTx) -> Result<Option<UnixMs>, StoreError> {
    let due: Option<Due> = tx.fetch_optional(INTEGRATION_NEXT_DUE, args![]).await?;
    Ok(due.and_then(|Due(at)| at))
}
