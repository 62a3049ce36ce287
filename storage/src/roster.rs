//! The members of a tenant as a whole: who is there, and what must stay true of all of them together.
//!
//! Whoever changes a role or takes a member away holds the roster to the end of the transaction, and holds it first:
//! what is counted after that cannot change before the commit.

use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::member::Credentials;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    ROSTER_HOLD (0) = "UPDATE roster SET version = version + 1";
    ROSTER_INSERT (0) = "INSERT INTO roster (version) VALUES (1) ON CONFLICT DO NOTHING";
    ROSTER_OTHERS (2) = "
        SELECT COUNT(*) AS members FROM member WHERE id <> $1 AND role = $2 AND deactivated_at_ms IS NULL";
    ROSTER_ACTIVE (0) = "SELECT COUNT(*) AS members FROM member WHERE deactivated_at_ms IS NULL";
    ROSTER_PAGE (2) = "
        SELECT m.id AS id, m.email_sealed AS email_sealed, m.name_sealed AS name_sealed, m.role AS role,
               m.created_at_ms AS created_at_ms, m.deactivated_at_ms AS deactivated_at_ms,
               t.confirmed_at_ms AS second_factor_at_ms
        FROM member m LEFT JOIN totp t ON t.member_id = m.id WHERE m.id > $1 ORDER BY m.id LIMIT $2";
    ROSTER_ONE (1) = "
        SELECT m.id AS id, m.email_sealed AS email_sealed, m.name_sealed AS name_sealed, m.role AS role,
               m.created_at_ms AS created_at_ms, m.deactivated_at_ms AS deactivated_at_ms,
               t.confirmed_at_ms AS second_factor_at_ms
        FROM member m LEFT JOIN totp t ON t.member_id = m.id WHERE m.id = $1";
    ROSTER_OF_ROLE (2) = "
        SELECT m.id AS id, m.email_sealed AS email_sealed, m.name_sealed AS name_sealed, m.role AS role,
               m.created_at_ms AS created_at_ms, m.deactivated_at_ms AS deactivated_at_ms,
               t.confirmed_at_ms AS second_factor_at_ms
        FROM member m LEFT JOIN totp t ON t.member_id = m.id
        WHERE m.role = $1 AND m.deactivated_at_ms IS NULL ORDER BY m.id LIMIT $2";
    MEMBER_SET_ROLE (2) = "
        UPDATE member SET role = $2, credential_version = credential_version + 1, epoch = epoch + 1 WHERE id = $1
        RETURNING credential_version, epoch";
    MEMBER_SET_NAME (2) = "UPDATE member SET name_sealed = $2 WHERE id = $1";
    MEMBER_DEACTIVATE (2) = "
        UPDATE member SET deactivated_at_ms = $2, credential_version = credential_version + 1, epoch = epoch + 1
        WHERE id = $1 AND deactivated_at_ms IS NULL
        RETURNING credential_version, epoch";
    MEMBER_DEACTIVATED_FAMILIES (3) = "
        SELECT f.id AS id, m.deactivated_at_ms AS deactivated_at_ms
        FROM member m JOIN token_family f ON f.member_id = m.id
        WHERE m.deactivated_at_ms >= $1 AND f.revoked_at_ms IS NULL AND f.id > $2 ORDER BY f.id LIMIT $3";
    MEMBER_REACTIVATE (1) = "
        UPDATE member SET deactivated_at_ms = NULL WHERE id = $1 AND deactivated_at_ms IS NOT NULL";
    MEMBER_FAMILIES_DELETE (1) = "DELETE FROM token_family WHERE member_id = $1";
    MEMBER_TOTP_DELETE (1) = "DELETE FROM totp WHERE member_id = $1";
    MEMBER_CODES_DELETE (1) = "DELETE FROM backup_code WHERE member_id = $1";
    MEMBER_CHALLENGES_DELETE (1) = "DELETE FROM challenge WHERE member_id = $1";
    MEMBER_IDENTITIES_DELETE (1) = "DELETE FROM identity WHERE member_id = $1";
    MEMBER_DELETE (1) = "DELETE FROM member WHERE id = $1";
}

/// A member, as those see it who look after all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The member.
    pub id: MemberId,
    /// The sealed e-mail address.
    pub email_sealed: Vec<u8>,
    /// The sealed name.
    pub name_sealed: Vec<u8>,
    /// The role's name.
    pub role: String,
    /// When the member joined.
    pub created_at_ms: UnixMs,
    /// When the member was deactivated, if so.
    pub deactivated_at_ms: Option<UnixMs>,
    /// Since when the member has a confirmed second factor, if so.
    pub second_factor_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for Listed {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: MemberId::from_uuid(row.get("id")?),
            email_sealed: row.get("email_sealed")?,
            name_sealed: row.get("name_sealed")?,
            role: row.get("role")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            deactivated_at_ms: row.get::<Option<i64>>("deactivated_at_ms")?.map(UnixMs::new),
            second_factor_at_ms: row.get::<Option<i64>>("second_factor_at_ms")?.map(UnixMs::new),
        })
    }
}

/// A session that nobody has ended, of a member who was deactivated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The session.
    pub family: FamilyId,
    /// When its member was deactivated.
    pub at_ms: UnixMs,
}

impl TryFrom<Row> for Left {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at_ms = UnixMs::new(row.get("deactivated_at_ms")?);
        Ok(Self { family: FamilyId::from_uuid(row.get("id")?), at_ms })
    }
}

struct Count(i64);

impl TryFrom<Row> for Count {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("members")?))
    }
}

/// The first `limit` active members with this role.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn of_role(tx: &mut TenantTx, role: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
    tx.fetch_all(ROSTER_OF_ROLE, args![role, i64::from(limit)]).await
}

/// Holds the roster to the end of the transaction: whoever else wants it waits. The first who comes makes it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn hold(tx: &mut TenantTx) -> Result<(), StoreError> {
    if tx.execute(ROSTER_HOLD, args![]).await? == 0 && tx.execute(ROSTER_INSERT, args![]).await? == 0 {
        tx.execute(ROSTER_HOLD, args![]).await?; // a rival's, who was first
    }
    Ok(())
}

/// Whether an active member other than this one has the role. Ask while you hold the roster.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn has_another(tx: &mut TenantTx, but: MemberId, role: &str) -> Result<bool, StoreError> {
    let count: Option<Count> = tx.fetch_optional(ROSTER_OTHERS, args![but, role]).await?;
    Ok(count.is_some_and(|Count(members)| members > 0))
}

/// How many members are active. Ask while you hold the roster.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn active(tx: &mut TenantTx) -> Result<i64, StoreError> {
    let count: Option<Count> = tx.fetch_optional(ROSTER_ACTIVE, args![]).await?;
    Ok(count.map_or(0, |Count(members)| members))
}

/// The next `limit` members after `after`, by id, which is by age.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(tx: &mut TenantTx, after: Option<MemberId>, limit: u32) -> Result<Vec<Listed>, StoreError> {
    let after = after.map_or(Uuid::nil(), MemberId::uuid);
    tx.fetch_all(ROSTER_PAGE, args![after, i64::from(limit)]).await
}

/// One member, deactivated or not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn one(tx: &mut TenantTx, id: MemberId) -> Result<Option<Listed>, StoreError> {
    tx.fetch_optional(ROSTER_ONE, args![id]).await
}

/// Gives a member a role, and raises credential version and epoch. `None` when there is no such member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set_role(tx: &mut TenantTx, id: MemberId, role: &str) -> Result<Option<Credentials>, StoreError> {
    tx.fetch_optional(MEMBER_SET_ROLE, args![id, role]).await
}

/// Gives a member a name. `false` when there is no such member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set_name(tx: &mut TenantTx, id: MemberId, name_sealed: &[u8]) -> Result<bool, StoreError> {
    Ok(tx.execute(MEMBER_SET_NAME, args![id, name_sealed]).await? == 1)
}

/// Deactivates a member, and raises credential version and epoch. `None` when there is no such active member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn deactivate(tx: &mut TenantTx, id: MemberId, now: UnixMs) -> Result<Option<Credentials>, StoreError> {
    tx.fetch_optional(MEMBER_DEACTIVATE, args![id, now]).await
}

/// The next `limit` sessions after `after`, by id, that nobody has ended though their members were deactivated at `since` or
/// later.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn left_since(
    tx: &mut TenantTx,
    since: UnixMs,
    after: Option<FamilyId>,
    limit: u32,
) -> Result<Vec<Left>, StoreError> {
    let after = after.map_or(Uuid::nil(), FamilyId::uuid);
    tx.fetch_all(MEMBER_DEACTIVATED_FAMILIES, args![since, after, i64::from(limit)]).await
}

/// Makes a deactivated member active again. `false` when there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn reactivate(tx: &mut TenantTx, id: MemberId) -> Result<bool, StoreError> {
    Ok(tx.execute(MEMBER_REACTIVATE, args![id]).await? == 1)
}

/// Deletes a member with everything that is only its own: sessions, second factor, challenges, identities. `false` when there is
/// none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut TenantTx, id: MemberId) -> Result<bool, StoreError> {
    let own = [
        MEMBER_CHALLENGES_DELETE,
        MEMBER_CODES_DELETE,
        MEMBER_TOTP_DELETE,
        MEMBER_FAMILIES_DELETE,
        MEMBER_IDENTITIES_DELETE,
    ];
    for rows in own {
        tx.execute(rows, args![id]).await?;
    }
    Ok(tx.execute(MEMBER_DELETE, args![id]).await? == 1)
}
