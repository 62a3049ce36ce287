//! Letters that wait to be sent.

use freehold_domain::id::MailId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    MAIL_INSERT (4) = "
        INSERT INTO mail (id, kind, letter_sealed, created_at_ms, next_try_at_ms, tries) VALUES ($1, $2, $3, $4, $4, 0)";
    MAIL_NEXT (0) = "
        SELECT id, kind, letter_sealed, created_at_ms, next_try_at_ms, tries FROM mail
        WHERE given_up_at_ms IS NULL ORDER BY next_try_at_ms, id LIMIT 1";
    MAIL_WAITING (0) = "SELECT COUNT(*) AS letters FROM mail WHERE given_up_at_ms IS NULL";
    MAIL_CLAIM (3) = "
        UPDATE mail SET tries = tries + 1, next_try_at_ms = $3
        WHERE id = $1 AND tries = $2 AND given_up_at_ms IS NULL";
    MAIL_POSTPONE (3) = "
        UPDATE mail SET next_try_at_ms = $3 WHERE id = $1 AND tries = $2 AND given_up_at_ms IS NULL";
    MAIL_DELETE (1) = "DELETE FROM mail WHERE id = $1";
    MAIL_GIVE_UP (3) = "
        UPDATE mail SET given_up_at_ms = $3, letter_sealed = NULL
        WHERE id = $1 AND tries = $2 AND given_up_at_ms IS NULL";
    MAIL_SWEEP (2) = "
        DELETE FROM mail WHERE id IN
            (SELECT id FROM mail WHERE given_up_at_ms <= $1 ORDER BY given_up_at_ms LIMIT $2)";
}

/// A letter that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRow {
    /// The row.
    pub id: MailId,
    /// What kind of letter it is.
    pub kind: String,
    /// The sealed letter.
    pub letter_sealed: Vec<u8>,
    /// When it was written.
    pub created_at_ms: UnixMs,
    /// When it is tried next.
    pub next_try_at_ms: UnixMs,
    /// How often it was tried.
    pub tries: i64,
}

impl TryFrom<Row> for MailRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: MailId::from_uuid(row.get("id")?),
            kind: row.get("kind")?,
            letter_sealed: row.get("letter_sealed")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            next_try_at_ms: UnixMs::new(row.get("next_try_at_ms")?),
            tries: row.get("tries")?,
        })
    }
}

struct Count(i64);

impl TryFrom<Row> for Count {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("letters")?))
    }
}

/// Adds a letter that is due at once.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(
    tx: &mut TenantTx,
    id: MailId,
    kind: &str,
    letter_sealed: &[u8],
    now: UnixMs,
) -> Result<(), StoreError> {
    tx.execute(MAIL_INSERT, args![id, kind, letter_sealed, now]).await?;
    Ok(())
}

/// The letter that is due first, now or later. Those that were given up are not among them.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn next(tx: &mut TenantTx) -> Result<Option<MailRow>, StoreError> {
    tx.fetch_optional(MAIL_NEXT, args![]).await
}

/// How many letters wait. Those that were given up are not among them.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn waiting(tx: &mut TenantTx) -> Result<i64, StoreError> {
    let counted: Option<Count> = tx.fetch_optional(MAIL_WAITING, args![]).await?;
    Ok(counted.map_or(0, |Count(letters)| letters))
}

/// Takes a letter that was tried `tries` times, to be tried once more; until `lease` nobody else does. `false` when
/// somebody was first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn claim(tx: &mut TenantTx, id: MailId, tries: i64, lease: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(MAIL_CLAIM, args![id, tries, lease]).await? == 1)
}

/// Lets a letter be tried again at `at`, unless it was tried since.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn postpone(tx: &mut TenantTx, id: MailId, tries: i64, at: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(MAIL_POSTPONE, args![id, tries, at]).await? == 1)
}

/// Deletes a letter: it was sent.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut TenantTx, id: MailId) -> Result<bool, StoreError> {
    Ok(tx.execute(MAIL_DELETE, args![id]).await? == 1)
}

/// Gives a letter up, unless it was tried since: it is forgotten, and that there was one is not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn give_up(tx: &mut TenantTx, id: MailId, tries: i64, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(MAIL_GIVE_UP, args![id, tries, now]).await? == 1)
}

/// Deletes up to `limit` rows of letters that were given up at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(MAIL_SWEEP, args![before, i64::from(limit)]).await
}
