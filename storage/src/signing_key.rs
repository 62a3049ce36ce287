//! The key pairs that sign a tenant's access tokens.

use freehold_domain::id::SigningKeyId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    SIGNING_KEY_INSERT (4) = "
        INSERT INTO signing_key (id, public_key, private_sealed, created_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    SIGNING_KEY_ALL (0) = "
        SELECT id, public_key, private_sealed, created_at_ms, retired_at_ms FROM signing_key
        ORDER BY created_at_ms, id";
    SIGNING_KEY_RETIRE (2) = "
        UPDATE signing_key SET retired_at_ms = $2 WHERE id = $1 AND retired_at_ms IS NULL";
    SIGNING_KEY_DELETE_ALL (0) = "DELETE FROM signing_key";
    SIGNING_KEY_SWEEP (1) = "DELETE FROM signing_key WHERE retired_at_ms < $1";
}

/// A signing key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Its `kid`.
    pub id: SigningKeyId,
    /// What verifies.
    pub public_key: Vec<u8>,
    /// What signs, sealed.
    pub private_sealed: Vec<u8>,
    /// When it was made.
    pub created_at_ms: UnixMs,
    /// Until when it signs, if another follows it.
    pub retired_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for SigningKeyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: SigningKeyId::from_uuid(row.get("id")?),
            public_key: row.get("public_key")?,
            private_sealed: row.get("private_sealed")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            retired_at_ms: row.get::<Option<i64>>("retired_at_ms")?.map(UnixMs::new),
        })
    }
}

/// Adds a key that signs from now on, whatever `retired_at_ms` says. `false` when its id is taken.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, key: &SigningKeyRow) -> Result<bool, StoreError> {
    let args = args![key.id, key.public_key.as_slice(), key.private_sealed.as_slice(), key.created_at_ms];
    Ok(tx.execute(SIGNING_KEY_INSERT, args).await? == 1)
}

/// All keys of the tenant, retired ones too, the oldest first. A handful: rotation sweeps.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<SigningKeyRow>, StoreError> {
    tx.fetch_all(SIGNING_KEY_ALL, args![]).await
}

/// Has the key sign until `end` and no longer. `false` when it has an end already, or there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn retire(tx: &mut TenantTx, id: SigningKeyId, end: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(SIGNING_KEY_RETIRE, args![id, end]).await? == 1)
}

/// Deletes every key of the tenant: add one in the same transaction.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete_all(tx: &mut TenantTx) -> Result<(), StoreError> {
    tx.execute(SIGNING_KEY_DELETE_ALL, args![]).await?;
    Ok(())
}

/// Deletes the keys retired before `before`; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs) -> Result<u64, StoreError> {
    tx.execute(SIGNING_KEY_SWEEP, args![before]).await
}
