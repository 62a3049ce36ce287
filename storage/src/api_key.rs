//! API keys: what each may do, and the hash of its text.

use freehold_domain::id::{ApiKeyId, MemberId};
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    API_KEY_INSERT (10) = "
        INSERT INTO api_key (id, name, kind, scopes, allowed_origins, last4, key_hash, created_at_ms, created_by, expires_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT DO NOTHING";
    API_KEY_BY_ID (1) = "
        SELECT id, name, kind, scopes, allowed_origins, last4, key_hash, previous_hash, previous_until_ms,
               created_at_ms, created_by, expires_at_ms, last_used_at_ms
        FROM api_key WHERE id = $1 AND revoked_at_ms IS NULL";
    API_KEY_PAGE (2) = "
        SELECT id, name, kind, scopes, allowed_origins, last4, key_hash, previous_hash, previous_until_ms,
               created_at_ms, created_by, expires_at_ms, last_used_at_ms
        FROM api_key WHERE id > $1 AND revoked_at_ms IS NULL ORDER BY id LIMIT $2";
    API_KEY_LIVE (2) = "
        SELECT id, name, kind, scopes, allowed_origins, last4, key_hash, previous_hash, previous_until_ms,
               created_at_ms, created_by, expires_at_ms, last_used_at_ms
        FROM api_key WHERE revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > $1)
        ORDER BY id LIMIT $2";
    API_KEY_ROTATE (5) = "
        UPDATE api_key SET previous_hash = key_hash, previous_until_ms = $4, key_hash = $2, last4 = $3
        WHERE id = $1 AND revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > $5)";
    API_KEY_REVOKE (2) = "UPDATE api_key SET revoked_at_ms = $2 WHERE id = $1 AND revoked_at_ms IS NULL";
    API_KEY_USED (2) = "
        UPDATE api_key SET last_used_at_ms = $2
        WHERE id = $1 AND revoked_at_ms IS NULL AND (last_used_at_ms IS NULL OR last_used_at_ms < $2)";
}

/// A key about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// The key, whatever its text.
    pub id: ApiKeyId,
    /// What its admins call it.
    pub name: String,
    /// Where it may be used.
    pub kind: String,
    /// What for: names with spaces between.
    pub scopes: String,
    /// From which origins, with spaces between.
    pub allowed_origins: String,
    /// The last characters of its text.
    pub last4: String,
    /// The hash of its text.
    pub hash: Vec<u8>,
    /// Now.
    pub created_at_ms: UnixMs,
    /// Who makes it.
    pub created_by: MemberId,
    /// When it ends, if it does.
    pub expires_at_ms: Option<UnixMs>,
}

/// A key that was not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// As it was made, with the last characters and the hash of its present text.
    pub key: NewApiKey,
    /// The hash of the text before the last rotation, and until when that is good.
    pub previous: Option<(Vec<u8>, UnixMs)>,
    /// When it was last used, to the minute.
    pub last_used_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |column: &str| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(UnixMs::new));
        let key = NewApiKey {
            id: ApiKeyId::from_uuid(row.get("id")?),
            name: row.get("name")?,
            kind: row.get("kind")?,
            scopes: row.get("scopes")?,
            allowed_origins: row.get("allowed_origins")?,
            last4: row.get("last4")?,
            hash: row.get("key_hash")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            created_by: MemberId::from_uuid(row.get("created_by")?),
            expires_at_ms: time("expires_at_ms")?,
        };
        let previous = row.get::<Option<Vec<u8>>>("previous_hash")?.zip(time("previous_until_ms")?);
        Ok(Self { key, previous, last_used_at_ms: time("last_used_at_ms")? })
    }
}

/// Adds a key. `false` when its id or its hash is there already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, new: &NewApiKey) -> Result<bool, StoreError> {
    let args = args![
        new.id,
        new.name.as_str(),
        new.kind.as_str(),
        new.scopes.as_str(),
        new.allowed_origins.as_str(),
        new.last4.as_str(),
        new.hash.as_slice(),
        new.created_at_ms,
        new.created_by,
        new.expires_at_ms,
    ];
    Ok(tx.execute(API_KEY_INSERT, args).await? == 1)
}

/// The key with this id, expired or not; `None` once it was revoked.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKeyRow>, StoreError> {
    tx.fetch_optional(API_KEY_BY_ID, args![id]).await
}

/// The next `limit` keys after `after` that were not revoked, expired or not, by id, which is by age.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut TenantTx, after: Option<ApiKeyId>, limit: u32) -> Result<Vec<ApiKeyRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), ApiKeyId::uuid);
    tx.fetch_all(API_KEY_PAGE, args![after, i64::from(limit)]).await
}

/// The first `limit` keys, by age, that are neither revoked nor expired at `now`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn live(tx: &mut TenantTx, now: UnixMs, limit: u32) -> Result<Vec<ApiKeyRow>, StoreError> {
    tx.fetch_all(API_KEY_LIVE, args![now, i64::from(limit)]).await
}

/// Gives a key another text; the one before it is good until `previous_until_ms`, and any before that no more. `false`
/// when the key is revoked, expired at `now` or not there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn rotate(
    tx: &mut TenantTx,
    id: ApiKeyId,
    hash: &[u8],
    last4: &str,
    previous_until_ms: UnixMs,
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(API_KEY_ROTATE, args![id, hash, last4, previous_until_ms, now]).await? == 1)
}

/// Revokes a key. `false` when it was, or is not there.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn revoke(tx: &mut TenantTx, id: ApiKeyId, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(API_KEY_REVOKE, args![id, now]).await? == 1)
}

/// Notes that a key was used. `false` when a later use is noted, or it is gone.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn used(tx: &mut TenantTx, id: ApiKeyId, at: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(API_KEY_USED, args![id, at]).await? == 1)
}
