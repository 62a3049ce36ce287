//! What a tenant has decided for itself: one text, replaced as a whole.

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    SETTING (0) = "SELECT body, version FROM setting";
    SETTING_INSERT (1) = "INSERT INTO setting (body, version) VALUES ($1, 1) ON CONFLICT DO NOTHING";
    SETTING_REPLACE (2) = "UPDATE setting SET body = $2, version = version + 1 WHERE version = $1";
}

/// The settings as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    /// JSON.
    pub body: String,
    /// Raised by every write.
    pub version: i64,
}

impl TryFrom<Row> for SettingRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { body: row.get("body")?, version: row.get("version")? })
    }
}

/// The settings; `None` while the tenant has decided nothing.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn get(tx: &mut TenantTx) -> Result<Option<SettingRow>, StoreError> {
    tx.fetch_optional(SETTING, args![]).await
}

/// Replaces settings that are still of version `expected`, `None` for none yet. `false` when somebody else was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn replace(tx: &mut TenantTx, expected: Option<i64>, body: &str) -> Result<bool, StoreError> {
    let written = match expected {
        Some(version) => tx.execute(SETTING_REPLACE, args![version, body]).await?,
        None => tx.execute(SETTING_INSERT, args![body]).await?,
    };
    Ok(written == 1)
}
