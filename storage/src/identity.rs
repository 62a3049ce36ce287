//! Accounts at providers by which members sign in: each is one member's.

use freehold_domain::id::{IdentityId, MemberId};
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::member::MemberRow;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    IDENTITY_INSERT (6) = "
        INSERT INTO identity (id, provider, subject_key, member_id, account_sealed, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING";
    IDENTITY_MEMBER (2) = "
        SELECT m.id AS id, m.email_key AS email_key, m.email_sealed AS email_sealed, m.name_sealed AS name_sealed,
               m.password_hash AS password_hash, m.role AS role, m.credential_version AS credential_version,
               m.epoch AS epoch, m.created_at_ms AS created_at_ms, m.deactivated_at_ms AS deactivated_at_ms,
               m.password_unchecked_at_ms AS password_unchecked_at_ms
        FROM identity i JOIN member m ON m.id = i.member_id WHERE i.provider = $1 AND i.subject_key = $2";
    IDENTITY_BY_SUBJECT (2) = "
        SELECT id, provider, subject_key, member_id, account_sealed, created_at_ms
        FROM identity WHERE provider = $1 AND subject_key = $2";
    IDENTITIES_OF (2) = "
        SELECT id, provider, subject_key, member_id, account_sealed, created_at_ms
        FROM identity WHERE member_id = $1 ORDER BY id LIMIT $2";
    IDENTITY_DELETE (2) = "DELETE FROM identity WHERE id = $1 AND member_id = $2";
}

/// An account at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// The identity.
    pub id: IdentityId,
    /// The provider's name.
    pub provider: String,
    /// What its subject is found by, under the tenant's key. Unique at the provider.
    pub subject_key: Vec<u8>,
    /// Whose it is.
    pub member: MemberId,
    /// What the account is called there, sealed.
    pub account_sealed: Option<Vec<u8>>,
    /// Since when.
    pub created_at_ms: UnixMs,
}

impl TryFrom<Row> for IdentityRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: IdentityId::from_uuid(row.get("id")?),
            provider: row.get("provider")?,
            subject_key: row.get("subject_key")?,
            member: MemberId::from_uuid(row.get("member_id")?),
            account_sealed: row.get("account_sealed")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
        })
    }
}

/// Adds an identity. `false` when it is somebody's already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, identity: &IdentityRow) -> Result<bool, StoreError> {
    let args = args![
        identity.id,
        identity.provider.as_str(),
        identity.subject_key.as_slice(),
        identity.member,
        identity.account_sealed.clone(),
        identity.created_at_ms,
    ];
    Ok(tx.execute(IDENTITY_INSERT, args).await? == 1)
}

/// The member whose identity this is, deactivated or not: read in one statement, so that what is proved by an identity
/// that is taken away at the same moment is proved for the credential of before.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn member_of(tx: &mut TenantTx, provider: &str, subject_key: &[u8]) -> Result<Option<MemberRow>, StoreError> {
    tx.fetch_optional(IDENTITY_MEMBER, args![provider, subject_key]).await
}

/// The identity with this subject.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_subject(
    tx: &mut TenantTx,
    provider: &str,
    subject_key: &[u8],
) -> Result<Option<IdentityRow>, StoreError> {
    tx.fetch_optional(IDENTITY_BY_SUBJECT, args![provider, subject_key]).await
}

/// At most `limit` identities of a member, oldest first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn all_of(tx: &mut TenantTx, member: MemberId, limit: u32) -> Result<Vec<IdentityRow>, StoreError> {
    tx.fetch_all(IDENTITIES_OF, args![member, i64::from(limit)]).await
}

/// Takes an identity from its member. `false` when it is not this member's.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut TenantTx, id: IdentityId, member: MemberId) -> Result<bool, StoreError> {
    Ok(tx.execute(IDENTITY_DELETE, args![id, member]).await? == 1)
}
