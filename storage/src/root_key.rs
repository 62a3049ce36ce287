//! Tenants' root keys, sealed by the master key. Apart from the tenants' rows: without them those are noise.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{KeysTx, Row};

queries! {
    ROOT_KEY_INSERT (5) = "
        INSERT INTO root_key (tenant, version, master_key_id, sealed, created_at_ms) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    ROOT_KEY_ALL_OF (1) = "
        SELECT version, master_key_id, sealed, created_at_ms FROM root_key WHERE tenant = $1 ORDER BY version";
    ROOT_KEY_DELETE_ALL_OF (1) = "DELETE FROM root_key WHERE tenant = $1";
}

/// A version of a tenant's root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyRow {
    /// From 1 up.
    pub version: i64,
    /// The master key it is sealed under.
    pub master_key_id: String,
    /// The key, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at_ms: UnixMs,
}

impl TryFrom<Row> for RootKeyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: row.get("version")?,
            master_key_id: row.get("master_key_id")?,
            sealed: row.get("sealed")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
        })
    }
}

/// Adds a version. `false` when the tenant has it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut KeysTx, tenant: TenantId, key: &RootKeyRow) -> Result<bool, StoreError> {
    let args = args![tenant, key.version, key.master_key_id.as_str(), key.sealed.as_slice(), key.created_at_ms];
    Ok(tx.execute(ROOT_KEY_INSERT, args).await? == 1)
}

/// All versions of the tenant's root key, the first one first. A handful.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all_of(tx: &mut KeysTx, tenant: TenantId) -> Result<Vec<RootKeyRow>, StoreError> {
    tx.fetch_all(ROOT_KEY_ALL_OF, args![tenant]).await
}

/// Deletes all versions, and with them whatever the tenant has sealed; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete_all_of(tx: &mut KeysTx, tenant: TenantId) -> Result<u64, StoreError> {
    tx.execute(ROOT_KEY_DELETE_ALL_OF, args![tenant]).await
}
