//! Tokens that were sent by mail and work once. A newer one for the same purpose and subject takes the older one's place.

use freehold_domain::id::MemberId;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    TOKEN_VOID (2) = "DELETE FROM one_time_token WHERE purpose = $1 AND subject = $2";
    TOKEN_INSERT (7) = "
        INSERT INTO one_time_token (token_hash, purpose, subject, member_id, credential_version, pending_sealed, expires_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT DO NOTHING";
    TOKEN_OPEN (3) = "
        SELECT member_id, credential_version, pending_sealed FROM one_time_token
        WHERE token_hash = $1 AND purpose = $2 AND expires_at_ms > $3";
    TOKEN_SPEND (3) = "
        DELETE FROM one_time_token WHERE token_hash = $1 AND purpose = $2 AND expires_at_ms > $3";
    TOKEN_SWEEP (2) = "
        DELETE FROM one_time_token WHERE token_hash IN
            (SELECT token_hash FROM one_time_token WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitled {
    /// Whose account; `None` where there is none yet.
    pub member: Option<MemberId>,
    /// The version of the credential it was given for; for any other it is void.
    pub credential_version: i64,
    /// What takes effect, sealed.
    pub pending_sealed: Option<Vec<u8>>,
}

impl TryFrom<Row> for Entitled {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            member: row.get::<Option<Uuid>>("member_id")?.map(MemberId::from_uuid),
            credential_version: row.get("credential_version")?,
            pending_sealed: row.get("pending_sealed")?,
        })
    }
}

/// Which token: its hash, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct TokenKey<'a> {
    /// The hash.
    pub hash: &'a [u8],
    /// The purpose's name.
    pub purpose: &'a str,
}

/// How often a token is added again that met another one of the same moment.
const RACES_MAX: u32 = 3;

/// Adds a token in the place of the subject's older one for the same purpose. `false` when others always came first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn replace(
    tx: &mut TenantTx,
    key: TokenKey<'_>,
    subject: &[u8],
    entitled: &Entitled,
    expires_at_ms: UnixMs,
) -> Result<bool, StoreError> {
    for _ in 0..RACES_MAX {
        tx.execute(TOKEN_VOID, args![key.purpose, subject]).await?;
        let args = args![
            key.hash,
            key.purpose,
            subject,
            entitled.member,
            entitled.credential_version,
            entitled.pending_sealed.as_deref(),
            expires_at_ms,
        ];
        if tx.execute(TOKEN_INSERT, args).await? == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the token is good for at `now`; `None` for one that was spent, voided, or expired.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn open(tx: &mut TenantTx, key: TokenKey<'_>, now: UnixMs) -> Result<Option<Entitled>, StoreError> {
    tx.fetch_optional(TOKEN_OPEN, args![key.hash, key.purpose, now]).await
}

/// Spends a token. `false` when it was spent, voided, or expired: of all who try, one wins.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend(tx: &mut TenantTx, key: TokenKey<'_>, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(TOKEN_SPEND, args![key.hash, key.purpose, now]).await? == 1)
}

/// Deletes up to `limit` tokens that expired at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(TOKEN_SWEEP, args![before, i64::from(limit)]).await
}
