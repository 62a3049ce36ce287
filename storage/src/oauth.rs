//! Sign-ins at providers that are under way: states that wait for a callback, handoffs that wait for their browser. Each
//! is there once: taking it takes it away, and of all who try, one has it.

use freehold_domain::id::FamilyId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    STATE_INSERT (7) = "
        INSERT INTO oauth_state (state_hash, provider, secrets_sealed, browser_hash, family_id, expires_at_ms, home)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    STATE_TAKE (2) = "
        DELETE FROM oauth_state WHERE state_hash = $1 AND expires_at_ms > $2
        RETURNING provider, secrets_sealed, browser_hash, family_id, home";
    STATE_SWEEP (2) = "
        DELETE FROM oauth_state WHERE state_hash IN
            (SELECT state_hash FROM oauth_state WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
    HANDOFF_INSERT (6) = "
        INSERT INTO oauth_handoff (code_hash, provider, profile_sealed, browser_hash, family_id, expires_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)";
    HANDOFF_TAKE (3) = "
        DELETE FROM oauth_handoff WHERE code_hash = $1 AND browser_hash = $2 AND expires_at_ms > $3
        RETURNING provider, profile_sealed, browser_hash, family_id";
    HANDOFF_SWEEP (2) = "
        DELETE FROM oauth_handoff WHERE code_hash IN
            (SELECT code_hash FROM oauth_handoff WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
}

/// What waits for a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The provider's name.
    pub provider: String,
    /// The sealed verifier and nonce; of an integration the shop, or nothing that is looked at.
    pub secrets_sealed: Vec<u8>,
    /// The hash of what the browser was given.
    pub browser_hash: Vec<u8>,
    /// The session of the member who links the account; `None` for a sign-in.
    pub family: Option<FamilyId>,
    /// The custom domain where it began; `None` for the tenant's host under the platform's domain.
    pub home: Option<String>,
}

impl TryFrom<Row> for StateRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            provider: row.get("provider")?,
            secrets_sealed: row.get("secrets_sealed")?,
            browser_hash: row.get("browser_hash")?,
            family: row.get::<Option<_>>("family_id")?.map(FamilyId::from_uuid),
            home: row.get("home")?,
        })
    }
}

/// What waits for its browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffRow {
    /// The provider's name.
    pub provider: String,
    /// What the provider vouches for, sealed.
    pub profile_sealed: Vec<u8>,
    /// The hash of what the browser was given.
    pub browser_hash: Vec<u8>,
    /// The session of the member who links the account; `None` for a sign-in.
    pub family: Option<FamilyId>,
}

impl TryFrom<Row> for HandoffRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            provider: row.get("provider")?,
            profile_sealed: row.get("profile_sealed")?,
            browser_hash: row.get("browser_hash")?,
            family: row.get::<Option<_>>("family_id")?.map(FamilyId::from_uuid),
        })
    }
}

/// Begins to wait for a callback with the state of this hash.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn begin(
    tx: &mut TenantTx,
    state_hash: &[u8],
    row: &StateRow,
    expires_at_ms: UnixMs,
) -> Result<(), StoreError> {
    let (sealed, browser) = (row.secrets_sealed.as_slice(), row.browser_hash.as_slice());
    let home = row.home.as_deref();
    let args = args![state_hash, row.provider.as_str(), sealed, browser, row.family, expires_at_ms, home];
    tx.execute(STATE_INSERT, args).await?;
    Ok(())
}

/// Takes what waits for the state of this hash. `None` when there is nothing, or nothing any more.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn take_state(tx: &mut TenantTx, state_hash: &[u8], now: UnixMs) -> Result<Option<StateRow>, StoreError> {
    tx.fetch_optional(STATE_TAKE, args![state_hash, now]).await
}

/// Begins to wait for the browser that shows the code of this hash.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn hand_off(
    tx: &mut TenantTx,
    code_hash: &[u8],
    row: &HandoffRow,
    expires_at_ms: UnixMs,
) -> Result<(), StoreError> {
    let (sealed, browser) = (row.profile_sealed.as_slice(), row.browser_hash.as_slice());
    tx.execute(HANDOFF_INSERT, args![code_hash, row.provider.as_str(), sealed, browser, row.family, expires_at_ms])
        .await?;
    Ok(())
}

/// Takes what waits for this code and this browser. `None` when there is nothing, or nothing any more; another browser
/// takes nothing away.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn take_handoff(
    tx: &mut TenantTx,
    code_hash: &[u8],
    browser_hash: &[u8],
    now: UnixMs,
) -> Result<Option<HandoffRow>, StoreError> {
    tx.fetch_optional(HANDOFF_TAKE, args![code_hash, browser_hash, now]).await
}

/// Deletes up to `limit` states, and as many handoffs, that expired at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    let states = tx.execute(STATE_SWEEP, args![before, i64::from(limit)]).await?;
    Ok(states + tx.execute(HANDOFF_SWEEP, args![before, i64::from(limit)]).await?)
}
