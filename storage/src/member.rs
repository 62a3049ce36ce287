//! Members of a tenant.

use freehold_domain::id::MemberId;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    MEMBER_INSERT (10) = "
        INSERT INTO member (id, email_key, email_sealed, name_sealed, password_hash, role, credential_version, epoch, created_at_ms, password_unchecked_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT DO NOTHING";
    MEMBER_BY_EMAIL_KEY (1) = "
        SELECT id, email_key, email_sealed, name_sealed, password_hash, role, credential_version, epoch, created_at_ms, deactivated_at_ms, password_unchecked_at_ms
        FROM member WHERE email_key = $1";
    MEMBER_BY_ID (1) = "
        SELECT id, email_key, email_sealed, name_sealed, password_hash, role, credential_version, epoch, created_at_ms, deactivated_at_ms, password_unchecked_at_ms
        FROM member WHERE id = $1";
    MEMBER_PAGE (2) = "
        SELECT id, email_key, email_sealed, name_sealed, password_hash, role, credential_version, epoch, created_at_ms, deactivated_at_ms, password_unchecked_at_ms
        FROM member WHERE id > $1 ORDER BY id LIMIT $2";
    MEMBER_SET_PASSWORD (4) = "
        UPDATE member SET password_hash = $3, password_unchecked_at_ms = $4, credential_version = credential_version + 1, epoch = epoch + 1
        WHERE id = $1 AND credential_version = $2 AND deactivated_at_ms IS NULL
        RETURNING credential_version, epoch";
    MEMBER_SET_EMAIL (4) = "
        UPDATE member SET email_key = $3, email_sealed = $4, credential_version = credential_version + 1, epoch = epoch + 1
        WHERE id = $1 AND credential_version = $2 AND deactivated_at_ms IS NULL
        RETURNING credential_version, epoch";
    MEMBER_RENEW_HASH (3) = "
        UPDATE member SET password_hash = $3 WHERE id = $1 AND credential_version = $2";
    MEMBER_PASSWORD_CHECKED (2) = "
        UPDATE member SET password_unchecked_at_ms = NULL
        WHERE id = $1 AND credential_version = $2 AND password_unchecked_at_ms IS NOT NULL";
    MEMBER_HOLD (2) = "
        UPDATE member SET credential_version = credential_version
        WHERE id = $1 AND credential_version = $2 AND deactivated_at_ms IS NULL
        RETURNING role, epoch";
    MEMBER_LIFT_EPOCH (2) = "
        UPDATE member SET epoch = $2 WHERE id = $1 AND epoch < $2";
    MEMBER_RAISE_EPOCH (1) = "
        UPDATE member SET epoch = epoch + 1 WHERE id = $1 RETURNING credential_version, epoch";
    MEMBER_RAISE (1) = "
        UPDATE member SET credential_version = credential_version + 1, epoch = epoch + 1
        WHERE id = $1 AND deactivated_at_ms IS NULL
        RETURNING credential_version, epoch";
}

/// A member as it is stored.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// The member.
    pub id: MemberId,
    /// What the e-mail address is found by, under the tenant's key. Unique.
    pub email_key: Vec<u8>,
    /// The sealed e-mail address.
    pub email_sealed: Vec<u8>,
    /// The sealed name.
    pub name_sealed: Vec<u8>,
    /// The hash of the password; `None` when the member has none yet.
    pub password_hash: Option<Secret<String>>,
    /// The role's name.
    pub role: String,
    /// Raised with everything that the member signs in with.
    pub credential_version: i64,
    /// Raised with everything that ends the access tokens issued before.
    pub epoch: i64,
    /// When the member joined.
    pub created_at_ms: UnixMs,
    /// When the member was deactivated, if so.
    pub deactivated_at_ms: Option<UnixMs>,
    /// When the password was accepted, if nobody could say then whether it was breached.
    pub password_unchecked_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for MemberRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: MemberId::from_uuid(row.get("id")?),
            email_key: row.get("email_key")?,
            email_sealed: row.get("email_sealed")?,
            name_sealed: row.get("name_sealed")?,
            password_hash: row.get::<Option<String>>("password_hash")?.map(Secret::new),
            role: row.get("role")?,
            credential_version: row.get("credential_version")?,
            epoch: row.get("epoch")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            deactivated_at_ms: row.get::<Option<i64>>("deactivated_at_ms")?.map(UnixMs::new),
            password_unchecked_at_ms: row.get::<Option<i64>>("password_unchecked_at_ms")?.map(UnixMs::new),
        })
    }
}

/// What a change of credentials left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The version now.
    pub version: i64,
    /// The epoch now.
    pub epoch: i64,
}

impl TryFrom<Row> for Credentials {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { version: row.get("credential_version")?, epoch: row.get("epoch")? })
    }
}

/// Adds a member, active whatever `deactivated_at_ms` says. `false` when its id or e-mail key is taken.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, member: &MemberRow) -> Result<bool, StoreError> {
    let args = args![
        member.id,
        member.email_key.as_slice(),
        member.email_sealed.as_slice(),
        member.name_sealed.as_slice(),
        member.password_hash.as_ref(),
        member.role.as_str(),
        member.credential_version,
        member.epoch,
        member.created_at_ms,
        member.password_unchecked_at_ms,
    ];
    Ok(tx.execute(MEMBER_INSERT, args).await? == 1)
}

/// The member with this e-mail key, deactivated or not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_email_key(tx: &mut TenantTx, email_key: &[u8]) -> Result<Option<MemberRow>, StoreError> {
    tx.fetch_optional(MEMBER_BY_EMAIL_KEY, args![email_key]).await
}

/// The member with this id, deactivated or not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: MemberId) -> Result<Option<MemberRow>, StoreError> {
    tx.fetch_optional(MEMBER_BY_ID, args![id]).await
}

/// The next `limit` members after `after` with everything that is stored of them, deactivated ones too, by id.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut TenantTx, after: Option<MemberId>, limit: u32) -> Result<Vec<MemberRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), MemberId::uuid);
    tx.fetch_all(MEMBER_PAGE, args![after, i64::from(limit)]).await
}

/// A new password.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// Its hash.
    pub hash: Secret<String>,
    /// When it was accepted, if nobody could say whether it was breached.
    pub unchecked_at_ms: Option<UnixMs>,
}

/// Replaces the password of an active member whose credentials are still of version `expected`, and raises version and
/// epoch. `None` when somebody else was first, or there is no such member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set_password(
    tx: &mut TenantTx,
    id: MemberId,
    expected: i64,
    new: &NewPassword,
) -> Result<Option<Credentials>, StoreError> {
    tx.fetch_optional(MEMBER_SET_PASSWORD, args![id, expected, &new.hash, new.unchecked_at_ms]).await
}

/// Gives an active member whose credentials are still of version `expected` another e-mail address, and raises version and
/// epoch. `None` when they are not.
///
/// # Errors
/// [`StoreError::Conflict`] when the address is another member's; the transaction is lost.
pub async fn set_email(
    tx: &mut TenantTx,
    id: MemberId,
    expected: i64,
    email_key: &[u8],
    email_sealed: &[u8],
) -> Result<Option<Credentials>, StoreError> {
    tx.fetch_optional(MEMBER_SET_EMAIL, args![id, expected, email_key, email_sealed]).await
}

/// Notes that somebody could say whether the password is breached, while the member's credentials are of version
/// `expected`. `false` when they are not, or it was noted before.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn password_checked(tx: &mut TenantTx, id: MemberId, expected: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(MEMBER_PASSWORD_CHECKED, args![id, expected]).await? == 1)
}

/// Puts another hash of the same password in place, while the member's credentials are of version `expected`, which they
/// stay. `false` when they are not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn renew_hash(
    tx: &mut TenantTx,
    id: MemberId,
    expected: i64,
    hash: &Secret<String>,
) -> Result<bool, StoreError> {
    Ok(tx.execute(MEMBER_RENEW_HASH, args![id, expected, hash]).await? == 1)
}

/// Raises the member's epoch to `epoch`. `false` when it is that far already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn lift_epoch(tx: &mut TenantTx, id: MemberId, epoch: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(MEMBER_LIFT_EPOCH, args![id, epoch]).await? == 1)
}

/// What a new session of a member says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The role.
    pub role: String,
    /// The epoch.
    pub epoch: i64,
}

impl TryFrom<Row> for Standing {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { role: row.get("role")?, epoch: row.get("epoch")? })
    }
}

/// Holds a member whose credential is still this version until the transaction ends: a change of the credential waits
/// for it, and then sees what it wrote. `None` when the credential has changed or the member is deactivated.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn hold(tx: &mut TenantTx, id: MemberId, credential_version: i64) -> Result<Option<Standing>, StoreError> {
    tx.fetch_optional(MEMBER_HOLD, args![id, credential_version]).await
}

/// Raises the epoch of a member: every access token issued before is dead. The answer is the new epoch; `None` when
/// there is no such member.
///
/// # Errors
/// [`StoreError`] as for every statement.
pub async fn raise_epoch(tx: &mut TenantTx, id: MemberId) -> Result<Option<i64>, StoreError> {
    let raised: Option<Credentials> = tx.fetch_optional(MEMBER_RAISE_EPOCH, args![id]).await?;
    Ok(raised.map(|credentials| credentials.epoch))
}

/// Raises credential version and epoch of an active member: sign-ins under way and every access token issued before are
/// dead. `None` when there is no such member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn raise(tx: &mut TenantTx, id: MemberId) -> Result<Option<Credentials>, StoreError> {
    tx.fetch_optional(MEMBER_RAISE, args![id]).await
}
