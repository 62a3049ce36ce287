//! Accounts at Stripe, as its events tell of them. [`fold`] is the only way in: what is greater takes the place of what is there,
//! and every event counts.

use freehold_domain::stripe::{Account, AccountId, Fact, Seller, Version};
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    ACCOUNT_COUNT (2) = "
        UPDATE stripe_account SET events = events + 1 WHERE account = $1 AND id = $2
        RETURNING version_at_ms, version_rank, version_event_id";
    ACCOUNT_INSERT (9) = "
        INSERT INTO stripe_account
            (account, id, charges_enabled, payouts_enabled, details_submitted, version_at_ms, version_rank, version_event_id,
             events, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)
        ON CONFLICT DO NOTHING";
    ACCOUNT_REPLACE (9) = "
        UPDATE stripe_account
        SET charges_enabled = $3, payouts_enabled = $4, details_submitted = $5, version_at_ms = $6, version_rank = $7,
            version_event_id = $8, updated_at_ms = $9
        WHERE account = $1 AND id = $2";
    ACCOUNT_PAGE (3) = "
        SELECT account, id, charges_enabled, payouts_enabled, details_submitted, version_at_ms, version_rank,
            version_event_id, events, updated_at_ms
        FROM stripe_account WHERE (account, id) > ($1, $2) AND account <> 'platform' ORDER BY account, id LIMIT $3";
    ACCOUNT_OF_PLATFORM (1) = "
        SELECT account, id, charges_enabled, payouts_enabled, details_submitted, version_at_ms, version_rank,
            version_event_id, events, updated_at_ms
        FROM stripe_account WHERE account = 'platform' AND id = $1";
}

/// An account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Which, how it stands, and as of when.
    pub fact: Fact<AccountId, Account>,
    /// How many events told of it.
    pub events: i64,
    /// When what is known of it changed.
    pub updated_at_ms: UnixMs,
}

fn corrupt(id: &str) -> StoreError {
    StoreError::Corrupt { table: "stripe_account", id: id.to_owned() }
}

impl TryFrom<Row> for AccountRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let (account, id): (String, String) = (row.get("account")?, row.get("id")?);
        let flag = |name| Ok::<_, StoreError>(row.get::<i64>(name)? != 0);
        let state = Account {
            charges_enabled: flag("charges_enabled")?,
            payouts_enabled: flag("payouts_enabled")?,
            details_submitted: flag("details_submitted")?,
        };
        let seller: Seller = account.parse().map_err(|_| corrupt(&id))?;
        let (events, updated_at_ms) = (row.get("events")?, UnixMs::new(row.get("updated_at_ms")?));
        let version = Stored::try_from(row)?.0;
        let fact = Fact { seller, id: id.parse().map_err(|_| corrupt(&id))?, state, version };
        Ok(Self { fact, events, updated_at_ms })
    }
}

struct Stored(Version);

impl TryFrom<Row> for Stored {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(Version {
            ended: false,
            at: UnixMs::new(row.get("version_at_ms")?),
            rank: row.get("version_rank")?,
            event_id: row.get("version_event_id")?,
        }))
    }
}

/// Counts what an event tells, and keeps it where it is newer than what is known. Whoever does the same at the same time waits.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn fold(tx: &mut TenantTx, fact: &Fact<AccountId, Account>, now: UnixMs) -> Result<(), StoreError> {
    let Fact { seller, id, state, version } = fact;
    let values = || {
        args![
            seller.as_str(),
            id.as_str(),
            i64::from(state.charges_enabled),
            i64::from(state.payouts_enabled),
            i64::from(state.details_submitted),
            version.at,
            version.rank,
            version.event_id.as_str(),
            now
        ]
    };
    let mut stored: Option<Stored> = tx.fetch_optional(ACCOUNT_COUNT, args![seller.as_str(), id.as_str()]).await?;
    if stored.is_none() {
        if tx.execute(ACCOUNT_INSERT, values()).await? == 1 {
            return Ok(());
        }
        stored = tx.fetch_optional(ACCOUNT_COUNT, args![seller.as_str(), id.as_str()]).await?; // a rival's
    }
    let Stored(stored) = stored.ok_or_else(|| corrupt(id.as_str()))?;
    if version.replaces(&stored) {
        tx.execute(ACCOUNT_REPLACE, values()).await?;
    }
    Ok(())
}

/// How this account stands that the tenant has at the platform; `None` while nothing told of it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn of_platform(tx: &mut TenantTx, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
    tx.fetch_optional(ACCOUNT_OF_PLATFORM, args![id.as_str()]).await
}

/// The next `limit` accounts after this one of this account: the tenant's own first, where no other account is named.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut TenantTx, (account, id): (&str, &str), limit: u32) -> Result<Vec<AccountRow>, StoreError> {
    tx.fetch_all(ACCOUNT_PAGE, args![account, id, i64::from(limit)]).await
}
