//! Where a tenant wants to be told of what happens, and how far its audit log was looked through for that.

use freehold_domain::id::WebhookEndpointId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    WEBHOOK_ENDPOINT_ALL (0) = "
        SELECT id, url, description, topics, profile, secret_sealed, previous_sealed, previous_until_ms, after_seq,
            failing_since_ms, disabled_at_ms, disabled_why, created_at_ms
        FROM webhook_endpoint ORDER BY id";
    WEBHOOK_ENDPOINT_BY_ID (1) = "
        SELECT id, url, description, topics, profile, secret_sealed, previous_sealed, previous_until_ms, after_seq,
            failing_since_ms, disabled_at_ms, disabled_why, created_at_ms
        FROM webhook_endpoint WHERE id = $1";
    WEBHOOK_ENDPOINT_ANY (0) = "SELECT id FROM webhook_endpoint WHERE disabled_at_ms IS NULL LIMIT 1";
    WEBHOOK_ENDPOINT_INSERT (8) = "
        INSERT INTO webhook_endpoint
            (id, url, description, topics, profile, secret_sealed, after_seq, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    WEBHOOK_ENDPOINT_CHANGE (5) = "
        UPDATE webhook_endpoint SET url = $2, description = $3, topics = $4, profile = $5 WHERE id = $1";
    /// Only the one who read the secret in force puts another in its place.
    WEBHOOK_ENDPOINT_ROTATE (5) = "
        UPDATE webhook_endpoint SET secret_sealed = $3, previous_sealed = $4, previous_until_ms = $5
        WHERE id = $1 AND secret_sealed = $2";
    WEBHOOK_ENDPOINT_FAILED (2) = "
        UPDATE webhook_endpoint SET failing_since_ms = $2 WHERE id = $1 AND failing_since_ms IS NULL";
    WEBHOOK_ENDPOINT_SUCCEEDED (1) = "
        UPDATE webhook_endpoint SET failing_since_ms = NULL WHERE id = $1 AND failing_since_ms IS NOT NULL";
    WEBHOOK_ENDPOINT_DISABLE (3) = "
        UPDATE webhook_endpoint SET disabled_at_ms = $2, disabled_why = $3 WHERE id = $1 AND disabled_at_ms IS NULL";
    WEBHOOK_ENDPOINT_ENABLE (2) = "
        UPDATE webhook_endpoint
        SET disabled_at_ms = NULL, disabled_why = NULL, failing_since_ms = NULL, after_seq = $2
        WHERE id = $1 AND disabled_at_ms IS NOT NULL";
    WEBHOOK_ENDPOINT_REMOVE (1) = "DELETE FROM webhook_endpoint WHERE id = $1";
    WEBHOOK_CURSOR (0) = "SELECT seq FROM webhook_cursor";
    WEBHOOK_CURSOR_INSERT (1) = "INSERT INTO webhook_cursor (seq) VALUES ($1) ON CONFLICT DO NOTHING";
    WEBHOOK_CURSOR_MOVE (2) = "UPDATE webhook_cursor SET seq = $2 WHERE seq = $1";
}

/// An endpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEndpointRow {
    /// Which.
    pub id: WebhookEndpointId,
    /// Where it is.
    pub url: String,
    /// What its owner calls it.
    pub description: String,
    /// Which events it wants.
    pub topics: String,
    /// How it is told.
    pub profile: String,
    /// The secret in force, sealed.
    pub secret_sealed: Vec<u8>,
    /// The one before it, sealed, and until when it is good.
    pub previous: Option<(Vec<u8>, UnixMs)>,
    /// It is told of what comes after this row of the audit log.
    pub after_seq: i64,
    /// Since when nothing was taken there.
    pub failing_since_ms: Option<UnixMs>,
    /// Since when nothing is sent there, and why.
    pub disabled: Option<(UnixMs, String)>,
    /// Since when it is there.
    pub created_at_ms: UnixMs,
}

impl TryFrom<Row> for WebhookEndpointRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(UnixMs::new));
        let (previous, why): (Option<Vec<u8>>, Option<String>) =
            (row.get("previous_sealed")?, row.get("disabled_why")?);
        Ok(Self {
            id: WebhookEndpointId::from_uuid(row.get("id")?),
            url: row.get("url")?,
            description: row.get("description")?,
            topics: row.get("topics")?,
            profile: row.get("profile")?,
            secret_sealed: row.get("secret_sealed")?,
            previous: previous.zip(time("previous_until_ms")?),
            after_seq: row.get("after_seq")?,
            failing_since_ms: time("failing_since_ms")?,
            disabled: time("disabled_at_ms")?.zip(why),
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
        })
    }
}

struct Id;

impl TryFrom<Row> for Id {
    type Error = StoreError;

    fn try_from(_: Row) -> Result<Self, StoreError> {
        Ok(Self)
    }
}

struct Seq(i64);

impl TryFrom<Row> for Seq {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("seq")?))
    }
}

/// All endpoints of the tenant, the oldest first: at most as many as it may have.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<WebhookEndpointRow>, StoreError> {
    tx.fetch_all(WEBHOOK_ENDPOINT_ALL, args![]).await
}

/// One endpoint.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<Option<WebhookEndpointRow>, StoreError> {
    tx.fetch_optional(WEBHOOK_ENDPOINT_BY_ID, args![id]).await
}

/// Whether there is one that is told.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn any(tx: &mut TenantTx) -> Result<bool, StoreError> {
    let any: Option<Id> = tx.fetch_optional(WEBHOOK_ENDPOINT_ANY, args![]).await?;
    Ok(any.is_some())
}

/// Adds an endpoint that has neither a secret before its first nor failed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, row: &WebhookEndpointRow) -> Result<(), StoreError> {
    let WebhookEndpointRow { id, url, description, topics, profile, secret_sealed, after_seq, created_at_ms, .. } = row;
    let args = args![
        *id,
        url.as_str(),
        description.as_str(),
        topics.as_str(),
        profile.as_str(),
        secret_sealed.as_slice(),
        *after_seq,
        *created_at_ms
    ];
    tx.execute(WEBHOOK_ENDPOINT_INSERT, args).await?;
    Ok(())
}

/// Writes what the owner of an endpoint says of it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn change(tx: &mut TenantTx, row: &WebhookEndpointRow) -> Result<(), StoreError> {
    let WebhookEndpointRow { id, url, description, topics, profile, .. } = row;
    let args = args![*id, url.as_str(), description.as_str(), topics.as_str(), profile.as_str()];
    tx.execute(WEBHOOK_ENDPOINT_CHANGE, args).await?;
    Ok(())
}

/// Puts another secret in the place of the one that was read, which may be good for a while. `false` when a rival was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn rotate(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    (read, secret_sealed): (&[u8], &[u8]),
    previous: Option<(&[u8], UnixMs)>,
) -> Result<bool, StoreError> {
    let (previous, until) = previous.unzip();
    Ok(tx.execute(WEBHOOK_ENDPOINT_ROTATE, args![id, read, secret_sealed, previous, until]).await? == 1)
}

/// Notes that nothing was taken, if that is new.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn failed(tx: &mut TenantTx, id: WebhookEndpointId, now: UnixMs) -> Result<(), StoreError> {
    tx.execute(WEBHOOK_ENDPOINT_FAILED, args![id, now]).await?;
    Ok(())
}

/// Notes that something was taken.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn succeeded(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<(), StoreError> {
    tx.execute(WEBHOOK_ENDPOINT_SUCCEEDED, args![id]).await?;
    Ok(())
}

/// Has nothing sent there any more. `false` when nothing is.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn disable(tx: &mut TenantTx, id: WebhookEndpointId, now: UnixMs, why: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_ENDPOINT_DISABLE, args![id, now, why]).await? == 1)
}

/// Has messages sent there again, new ones for what comes after this row of the audit log. `false` when they are.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn enable(tx: &mut TenantTx, id: WebhookEndpointId, after_seq: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_ENDPOINT_ENABLE, args![id, after_seq]).await? == 1)
}

/// Takes an endpoint away, with its messages. `false` when there was none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_ENDPOINT_REMOVE, args![id]).await? == 1)
}

/// Up to which row the audit log was looked through; `None` where nobody ever wanted to be told.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn cursor(tx: &mut TenantTx) -> Result<Option<i64>, StoreError> {
    let seq: Option<Seq> = tx.fetch_optional(WEBHOOK_CURSOR, args![]).await?;
    Ok(seq.map(|Seq(seq)| seq))
}

/// Begins to look, behind this row, unless that has begun.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn begin(tx: &mut TenantTx, seq: i64) -> Result<(), StoreError> {
    tx.execute(WEBHOOK_CURSOR_INSERT, args![seq]).await?;
    Ok(())
}

/// Has looked up to another row. `false` when a rival was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn advance(tx: &mut TenantTx, from: i64, to: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(WEBHOOK_CURSOR_MOVE, args![from, to]).await? == 1)
}
