//! A tenant's circuit breakers that are not closed.

use freehold_domain::breaker::Remembered;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    BREAKER_ALL (0) = "SELECT integration, until_ms, openings FROM breaker ORDER BY integration";
    BREAKER_SET (3) = "
        INSERT INTO breaker (integration, until_ms, openings) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING";
    BREAKER_REMOVE (1) = "DELETE FROM breaker WHERE integration = $1";
}

/// A breaker as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerRow {
    /// Before which integration it stands.
    pub integration: String,
    /// What is remembered of it.
    pub remembered: Remembered,
}

impl TryFrom<Row> for BreakerRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let openings: i64 = row.get("openings")?;
        let remembered = Remembered {
            until: UnixMs::new(row.get("until_ms")?),
            openings: u32::try_from(openings).unwrap_or(u32::MAX),
        };
        Ok(Self { integration: row.get("integration")?, remembered })
    }
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<BreakerRow>, StoreError> {
    tx.fetch_all(BREAKER_ALL, args![]).await
}

/// Writes what is remembered of one; `None`: it is closed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set(tx: &mut TenantTx, integration: &str, remembered: Option<Remembered>) -> Result<(), StoreError> {
    tx.execute(BREAKER_REMOVE, args![integration]).await?;
    if let Some(Remembered { until, openings }) = remembered {
        tx.execute(BREAKER_SET, args![integration, until, i64::from(openings)]).await?;
    }
    Ok(())
}
