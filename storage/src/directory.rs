//! The directory of tenants, in the system store.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, SystemTx};

queries! {
    DIRECTORY_INSERT (5) = "
        INSERT INTO tenant (id, slug, name, state, created_at_ms, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT DO NOTHING";
    DIRECTORY_BY_SLUG (1) = "
        SELECT id, slug, name, state, reason, until_ms, created_at_ms, updated_at_ms FROM tenant WHERE slug = $1";
    DIRECTORY_BY_ID (1) = "
        SELECT id, slug, name, state, reason, until_ms, created_at_ms, updated_at_ms FROM tenant WHERE id = $1";
    DIRECTORY_SET_STATE (5) = "
        UPDATE tenant SET state = $2, reason = $3, until_ms = $4, updated_at_ms = $5 WHERE id = $1";
    DIRECTORY_PAGE (2) = "
        SELECT id, slug, name, state, reason, until_ms, created_at_ms, updated_at_ms FROM tenant
        WHERE slug > $1 ORDER BY slug LIMIT $2";
    DIRECTORY_PROBE (0) = "SELECT id FROM tenant LIMIT 1";
}

/// A tenant as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// The tenant.
    pub id: TenantId,
    /// The first label of its host name. Unique.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub state: TenantStateRow,
    /// When it was made.
    pub created_at_ms: UnixMs,
    /// When its state was last set.
    pub updated_at_ms: UnixMs,
}

/// Where a tenant stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantStateRow {
    /// The state's name.
    pub name: String,
    /// Why, if there is a reason.
    pub reason: Option<String>,
    /// Until when, if it ends by itself.
    pub until_ms: Option<UnixMs>,
}

impl TryFrom<Row> for TenantRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: TenantId::from_uuid(row.get("id")?),
            slug: row.get("slug")?,
            name: row.get("name")?,
            state: TenantStateRow {
                name: row.get("state")?,
                reason: row.get("reason")?,
                until_ms: row.get::<Option<i64>>("until_ms")?.map(UnixMs::new),
            },
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            updated_at_ms: UnixMs::new(row.get("updated_at_ms")?),
        })
    }
}

/// A row of which nothing is read.
struct Any;

impl TryFrom<Row> for Any {
    type Error = StoreError;

    fn try_from(_: Row) -> Result<Self, StoreError> {
        Ok(Self)
    }
}

/// Adds a tenant in the state `state`. `false` when its slug or its id is taken.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut SystemTx,
    id: TenantId,
    slug: &str,
    name: &str,
    state: &str,
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DIRECTORY_INSERT, args![id, slug, name, state, now]).await? == 1)
}

/// The tenant with this slug.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_slug(tx: &mut SystemTx, slug: &str) -> Result<Option<TenantRow>, StoreError> {
    tx.fetch_optional(DIRECTORY_BY_SLUG, args![slug]).await
}

/// The tenant with this id.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut SystemTx, id: TenantId) -> Result<Option<TenantRow>, StoreError> {
    tx.fetch_optional(DIRECTORY_BY_ID, args![id]).await
}

/// Sets where the tenant stands. `false` when there is no such tenant.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set_state(
    tx: &mut SystemTx,
    id: TenantId,
    state: &TenantStateRow,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let args = args![id, state.name.as_str(), state.reason.as_deref(), state.until_ms, now];
    Ok(tx.execute(DIRECTORY_SET_STATE, args).await? == 1)
}

/// The next `limit` tenants after the slug `after`, by slug; the empty slug is before all.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut SystemTx, after: &str, limit: u32) -> Result<Vec<TenantRow>, StoreError> {
    tx.fetch_all(DIRECTORY_PAGE, args![after, i64::from(limit)]).await
}

/// Reads one row, if there is one.
pub(crate) async fn probe(tx: &mut SystemTx) -> Result<(), StoreError> {
    tx.fetch_optional::<Any, 0>(DIRECTORY_PROBE, args![]).await?;
    Ok(())
}
