//! Subscriptions at Stripe, as its events tell of them. [`fold`] is the only way in: what is greater takes the place of what is
//! there, and every event counts.

use freehold_domain::stripe::{Fact, PriceId, Seller, Subscription, SubscriptionId, Version};
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    SUBSCRIPTION_COUNT (2) = "
        UPDATE stripe_subscription SET events = events + 1 WHERE account = $1 AND id = $2
        RETURNING version_ended, version_at_ms, version_rank, version_event_id";
    SUBSCRIPTION_INSERT (13) = "
        INSERT INTO stripe_subscription
            (account, id, customer, status, price, period_end_ms, cancels_at_end, version_ended, version_at_ms, version_rank,
             version_event_id, events, updated_at_ms, period_start_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13)
        ON CONFLICT DO NOTHING";
    SUBSCRIPTION_REPLACE (13) = "
        UPDATE stripe_subscription
        SET customer = $3, status = $4, price = $5, period_end_ms = $6, cancels_at_end = $7, version_ended = $8,
            version_at_ms = $9, version_rank = $10, version_event_id = $11, updated_at_ms = $12, period_start_ms = $13
        WHERE account = $1 AND id = $2";
    SUBSCRIPTION_PAGE (3) = "
        SELECT account, id, customer, status, price, period_start_ms, period_end_ms, cancels_at_end, version_ended,
            version_at_ms, version_rank, version_event_id, events, updated_at_ms
        FROM stripe_subscription WHERE (account, id) > ($1, $2) AND account <> 'platform' ORDER BY account, id LIMIT $3";
    SUBSCRIPTION_OF_PLATFORM (1) = "
        SELECT account, id, customer, status, price, period_start_ms, period_end_ms, cancels_at_end, version_ended,
            version_at_ms, version_rank, version_event_id, events, updated_at_ms
        FROM stripe_subscription WHERE account = 'platform' ORDER BY updated_at_ms DESC, id LIMIT $1";
}

/// A subscription as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Which, how it stands, and as of when.
    pub fact: Fact<SubscriptionId, Subscription>,
    /// How many events told of it.
    pub events: i64,
    /// When what is known of it changed.
    pub updated_at_ms: UnixMs,
}

fn corrupt(id: &str) -> StoreError {
    StoreError::Corrupt { table: "stripe_subscription", id: id.to_owned() }
}

impl TryFrom<Row> for SubscriptionRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let [account, id, customer, status] =
            ["account", "id", "customer", "status"].map(|name| row.get::<String>(name));
        let (account, id, customer, status) = (account?, id?, customer?, status?);
        let price: Option<String> = row.get("price")?;
        let (start, end): (Option<i64>, Option<i64>) = (row.get("period_start_ms")?, row.get("period_end_ms")?);
        let state = Subscription {
            customer: customer.parse().map_err(|_| corrupt(&id))?,
            status: status.parse().map_err(|_| corrupt(&id))?,
            price: price.map(|text| text.parse()).transpose().map_err(|_| corrupt(&id))?,
            period_start: start.map(UnixMs::new),
            period_end: end.map(UnixMs::new),
            cancels_at_end: row.get::<i64>("cancels_at_end")? != 0,
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
            ended: row.get::<i64>("version_ended")? != 0,
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
pub async fn fold(tx: &mut TenantTx, fact: &Fact<SubscriptionId, Subscription>, now: UnixMs) -> Result<(), StoreError> {
    let Fact { seller, id, state, version } = fact;
    let values = || {
        args![
            seller.as_str(),
            id.as_str(),
            state.customer.as_str(),
            state.status.as_str(),
            state.price.as_ref().map(PriceId::as_str),
            state.period_end,
            i64::from(state.cancels_at_end),
            i64::from(version.ended),
            version.at,
            version.rank,
            version.event_id.as_str(),
            now,
            state.period_start
        ]
    };
    let mut stored: Option<Stored> = tx.fetch_optional(SUBSCRIPTION_COUNT, args![seller.as_str(), id.as_str()]).await?;
    if stored.is_none() {
        if tx.execute(SUBSCRIPTION_INSERT, values()).await? == 1 {
            return Ok(());
        }
        stored = tx.fetch_optional(SUBSCRIPTION_COUNT, args![seller.as_str(), id.as_str()]).await?; // a rival's
    }
    let Stored(stored) = stored.ok_or_else(|| corrupt(id.as_str()))?;
    if version.replaces(&stored) {
        tx.execute(SUBSCRIPTION_REPLACE, values()).await?;
    }
    Ok(())
}

/// What the tenant buys of the platform: at most `limit`, of which last something changed first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn of_platform(tx: &mut TenantTx, limit: u32) -> Result<Vec<SubscriptionRow>, StoreError> {
    tx.fetch_all(SUBSCRIPTION_OF_PLATFORM, args![i64::from(limit)]).await
}

/// The next `limit` subscriptions that the tenant, or an account connected to it, sells after this one of this
/// account: those of the tenant's own first, whose account is empty.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(
    tx: &mut TenantTx,
    (account, id): (&str, &str),
    limit: u32,
) -> Result<Vec<SubscriptionRow>, StoreError> {
    tx.fetch_all(SUBSCRIPTION_PAGE, args![account, id, i64::from(limit)]).await
}
