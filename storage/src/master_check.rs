//! A known value sealed by each master key, so that a wrong master key is noticed at start and not at the first secret.

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{KeysTx, Row};

queries! {
    MASTER_CHECK_INSERT (2) = "INSERT INTO master_check (key_id, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    MASTER_CHECK_ALL (0) = "SELECT key_id, sealed FROM master_check ORDER BY key_id";
    MASTER_CHECK_DELETE (1) = "DELETE FROM master_check WHERE key_id = $1";
}

/// What a master key has sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterCheckRow {
    /// The master key's id.
    pub key_id: String,
    /// The known value, sealed.
    pub sealed: Vec<u8>,
}

impl TryFrom<Row> for MasterCheckRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { key_id: row.get("key_id")?, sealed: row.get("sealed")? })
    }
}

/// Adds the value of a master key used for the first time. `false` when there is one of that key.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut KeysTx, check: &MasterCheckRow) -> Result<bool, StoreError> {
    let args = args![check.key_id.as_str(), check.sealed.as_slice()];
    Ok(tx.execute(MASTER_CHECK_INSERT, args).await? == 1)
}

/// The values of all master keys that may have sealed something here, by key id. A handful.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut KeysTx) -> Result<Vec<MasterCheckRow>, StoreError> {
    tx.fetch_all(MASTER_CHECK_ALL, args![]).await
}

/// Forgets the value of a master key that seals nothing any more: a ring of that key alone is another store's from now on.
/// `false` when there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut KeysTx, key_id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(MASTER_CHECK_DELETE, args![key_id]).await? == 1)
}
