//! The second factor of members: authenticators, backup codes, and challenges that wait for one of them.

use freehold_domain::id::MemberId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    TOTP_INSERT (2) = "
        INSERT INTO totp (member_id, secret_sealed, last_step, version) VALUES ($1, $2, 0, 1)
        ON CONFLICT DO NOTHING";
    TOTP_REPLACE_PENDING (2) = "
        UPDATE totp SET secret_sealed = $2, last_step = 0, version = version + 1
        WHERE member_id = $1 AND confirmed_at_ms IS NULL";
    TOTP_OF (1) = "
        SELECT secret_sealed, confirmed_at_ms, last_step, version FROM totp WHERE member_id = $1";
    TOTP_CONFIRM (4) = "
        UPDATE totp SET confirmed_at_ms = $3, last_step = $4, version = version + 1
        WHERE member_id = $1 AND version = $2 AND confirmed_at_ms IS NULL";
    TOTP_SPEND_STEP (2) = "
        UPDATE totp SET last_step = $2, version = version + 1
        WHERE member_id = $1 AND last_step < $2 AND confirmed_at_ms IS NOT NULL";
    TOTP_DELETE (1) = "DELETE FROM totp WHERE member_id = $1";
    BACKUP_CODE_INSERT (2) = "
        INSERT INTO backup_code (member_id, code_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    BACKUP_CODES_UNSPENT (1) = "
        SELECT code_hash FROM backup_code WHERE member_id = $1 AND spent_at_ms IS NULL";
    BACKUP_CODE_SPEND (3) = "
        UPDATE backup_code SET spent_at_ms = $3 WHERE member_id = $1 AND code_hash = $2 AND spent_at_ms IS NULL";
    BACKUP_CODES_DELETE (1) = "DELETE FROM backup_code WHERE member_id = $1";
    CHALLENGE_INSERT (4) = "
        INSERT INTO challenge (token_hash, member_id, credential_version, answers, expires_at_ms)
        VALUES ($1, $2, $3, 0, $4)";
    CHALLENGE_OPEN (3) = "
        SELECT member_id, credential_version FROM challenge
        WHERE token_hash = $1 AND answers < $2 AND expires_at_ms > $3";
    CHALLENGE_COUNT_ANSWER (3) = "
        UPDATE challenge SET answers = answers + 1 WHERE token_hash = $1 AND answers < $2 AND expires_at_ms > $3";
    CHALLENGE_SPEND (1) = "DELETE FROM challenge WHERE token_hash = $1";
    CHALLENGE_SWEEP (2) = "
        DELETE FROM challenge WHERE token_hash IN
            (SELECT token_hash FROM challenge WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
}

/// A member's authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpRow {
    /// The sealed secret.
    pub secret_sealed: Vec<u8>,
    /// When the member showed a code of it; until then nobody is asked for one.
    pub confirmed_at_ms: Option<UnixMs>,
    /// The last step whose code was accepted; 0 for none.
    pub last_step: i64,
    /// Raised by every write.
    pub version: i64,
}

impl TryFrom<Row> for TotpRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            secret_sealed: row.get("secret_sealed")?,
            confirmed_at_ms: row.get::<Option<i64>>("confirmed_at_ms")?.map(UnixMs::new),
            last_step: row.get("last_step")?,
            version: row.get("version")?,
        })
    }
}

/// Whose sign-in waits behind a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenged {
    /// The member whose first factor was right.
    pub member: MemberId,
    /// The version of the credential that it was right for.
    pub credential_version: i64,
}

impl TryFrom<Row> for Challenged {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            member: MemberId::from_uuid(row.get("member_id")?),
            credential_version: row.get("credential_version")?,
        })
    }
}

struct CodeHash(Vec<u8>);

impl TryFrom<Row> for CodeHash {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("code_hash")?))
    }
}

/// Gives a member an authenticator that is to be confirmed, in the place of one that was not. `false` when one is
/// confirmed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn enrol(tx: &mut TenantTx, member: MemberId, secret_sealed: &[u8]) -> Result<bool, StoreError> {
    let inserted = tx.execute(TOTP_INSERT, args![member, secret_sealed]).await? == 1;
    Ok(inserted || tx.execute(TOTP_REPLACE_PENDING, args![member, secret_sealed]).await? == 1)
}

/// The member's authenticator, confirmed or not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn totp_of(tx: &mut TenantTx, member: MemberId) -> Result<Option<TotpRow>, StoreError> {
    tx.fetch_optional(TOTP_OF, args![member]).await
}

/// Confirms an authenticator that is still of version `expected`, by the code of `step`. `false` when it is not, or was
/// confirmed before.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn confirm(
    tx: &mut TenantTx,
    member: MemberId,
    expected: i64,
    now: UnixMs,
    step: i64,
) -> Result<bool, StoreError> {
    Ok(tx.execute(TOTP_CONFIRM, args![member, expected, now, step]).await? == 1)
}

/// Spends a step and all before it. `false` when it was spent: of all who try, one wins.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend_step(tx: &mut TenantTx, member: MemberId, step: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(TOTP_SPEND_STEP, args![member, step]).await? == 1)
}

/// Takes a member's second factor away, backup codes and all. `false` when there was no authenticator.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn remove(tx: &mut TenantTx, member: MemberId) -> Result<bool, StoreError> {
    tx.execute(BACKUP_CODES_DELETE, args![member]).await?;
    Ok(tx.execute(TOTP_DELETE, args![member]).await? == 1)
}

/// Gives a member these backup codes in the place of all it had.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn replace_backup_codes(tx: &mut TenantTx, member: MemberId, hashes: &[&[u8]]) -> Result<(), StoreError> {
    tx.execute(BACKUP_CODES_DELETE, args![member]).await?;
    for hash in hashes {
        tx.execute(BACKUP_CODE_INSERT, args![member, *hash]).await?;
    }
    Ok(())
}

/// The hashes of the member's backup codes that were not spent, in no order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn unspent_backup_codes(tx: &mut TenantTx, member: MemberId) -> Result<Vec<Vec<u8>>, StoreError> {
    let hashes: Vec<CodeHash> = tx.fetch_all(BACKUP_CODES_UNSPENT, args![member]).await?;
    Ok(hashes.into_iter().map(|CodeHash(hash)| hash).collect())
}

/// Spends a backup code. `false` when it was spent, or is none: of all who try, one wins.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend_backup_code(
    tx: &mut TenantTx,
    member: MemberId,
    hash: &[u8],
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(BACKUP_CODE_SPEND, args![member, hash, now]).await? == 1)
}

/// Begins to wait for a second factor.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn challenge(
    tx: &mut TenantTx,
    token_hash: &[u8],
    challenged: Challenged,
    expires_at_ms: UnixMs,
) -> Result<(), StoreError> {
    let args = args![token_hash, challenged.member, challenged.credential_version, expires_at_ms];
    tx.execute(CHALLENGE_INSERT, args).await?;
    Ok(())
}

/// Who waits behind this challenge; `None` when there is none that is open at `now` and has had less than `answers_max`
/// answers.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn challenged(
    tx: &mut TenantTx,
    token_hash: &[u8],
    answers_max: u32,
    now: UnixMs,
) -> Result<Option<Challenged>, StoreError> {
    tx.fetch_optional(CHALLENGE_OPEN, args![token_hash, i64::from(answers_max), now]).await
}

/// Counts one answer and holds the challenge until the transaction ends: another answer waits for it. `false` when it is
/// not open any more.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn count_answer(
    tx: &mut TenantTx,
    token_hash: &[u8],
    answers_max: u32,
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(CHALLENGE_COUNT_ANSWER, args![token_hash, i64::from(answers_max), now]).await? == 1)
}

/// Ends a challenge. `false` when it was ended.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend_challenge(tx: &mut TenantTx, token_hash: &[u8]) -> Result<bool, StoreError> {
    Ok(tx.execute(CHALLENGE_SPEND, args![token_hash]).await? == 1)
}

/// Deletes up to `limit` challenges that expired at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(CHALLENGE_SWEEP, args![before, i64::from(limit)]).await
}
