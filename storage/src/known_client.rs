//! From where members have signed in of late. What tells clients apart is a keyed hash: a row says nothing by itself.

use freehold_domain::id::MemberId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    KNOWN_CLIENT_SEEN (3) = "
        UPDATE known_client SET last_seen_at_ms = $3 WHERE member_id = $1 AND client_key = $2";
    KNOWN_CLIENT_INSERT (3) = "
        INSERT INTO known_client (member_id, client_key, last_seen_at_ms) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING";
    KNOWN_CLIENT_ANY (1) = "
        SELECT client_key FROM known_client WHERE member_id = $1 LIMIT 1";
    KNOWN_CLIENT_FORGET (1) = "DELETE FROM known_client WHERE member_id = $1";
    KNOWN_CLIENT_SWEEP (2) = "
        DELETE FROM known_client WHERE (member_id, client_key) IN
            (SELECT member_id, client_key FROM known_client WHERE last_seen_at_ms <= $1 ORDER BY last_seen_at_ms LIMIT $2)";
}

struct ClientKey;

impl TryFrom<Row> for ClientKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        row.get::<Vec<u8>>("client_key").map(|_| Self)
    }
}

/// Notes that a client that is known was seen again. `false` when it is not known to the member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn seen(tx: &mut TenantTx, member: MemberId, client_key: &[u8], now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(KNOWN_CLIENT_SEEN, args![member, client_key, now]).await? == 1)
}

/// Adds a client to those that are known to the member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, member: MemberId, client_key: &[u8], now: UnixMs) -> Result<(), StoreError> {
    tx.execute(KNOWN_CLIENT_INSERT, args![member, client_key, now]).await?;
    Ok(())
}

/// Whether any client is known to the member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn is_any_known(tx: &mut TenantTx, member: MemberId) -> Result<bool, StoreError> {
    let any: Option<ClientKey> = tx.fetch_optional(KNOWN_CLIENT_ANY, args![member]).await?;
    Ok(any.is_some())
}

/// Forgets every client of the member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn forget(tx: &mut TenantTx, member: MemberId) -> Result<(), StoreError> {
    tx.execute(KNOWN_CLIENT_FORGET, args![member]).await?;
    Ok(())
}

/// Forgets up to `limit` clients that were last seen at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(KNOWN_CLIENT_SWEEP, args![before, i64::from(limit)]).await
}
