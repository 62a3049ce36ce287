//! Families of refresh tokens, each a session, and the tokens they have spent.

use freehold_domain::id::{FamilyId, MemberId, NodeId};
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    FAMILY_INSERT (7) = "
        INSERT INTO token_family (id, member_id, generation, token_hash, client_sealed, created_at_ms, last_used_at_ms, expires_at_ms)
        SELECT $1, id, 1, $3, $4, $5, $5, $6
        FROM member WHERE id = $2 AND credential_version = $7 AND deactivated_at_ms IS NULL
        ON CONFLICT DO NOTHING";
    FAMILY_BY_ID (1) = "
        SELECT f.id AS id, f.member_id AS member_id, f.generation AS generation, f.token_hash AS token_hash,
               f.client_sealed AS client_sealed, f.created_at_ms AS created_at_ms, f.last_used_at_ms AS last_used_at_ms,
               f.expires_at_ms AS expires_at_ms, f.revoked_at_ms AS revoked_at_ms,
               m.role AS role, m.epoch AS epoch, m.deactivated_at_ms AS deactivated_at_ms,
               t.confirmed_at_ms AS second_factor_at_ms
        FROM token_family f JOIN member m ON m.id = f.member_id LEFT JOIN totp t ON t.member_id = f.member_id
        WHERE f.id = $1";
    FAMILY_ROTATE (5) = "
        UPDATE token_family SET generation = generation + 1, token_hash = $4, last_used_at_ms = $5
        WHERE id = $1 AND generation = $2 AND token_hash = $3 AND revoked_at_ms IS NULL AND expires_at_ms > $5";
    FAMILY_REVOKE (2) = "
        UPDATE token_family SET revoked_at_ms = $2 WHERE id = $1 AND revoked_at_ms IS NULL";
    FAMILY_REVOKE_ALL_OF (2) = "
        UPDATE token_family SET revoked_at_ms = $2
        WHERE member_id = $1 AND revoked_at_ms IS NULL AND expires_at_ms > $2
        RETURNING id";
    FAMILY_REVOKE_OTHERS (3) = "
        UPDATE token_family SET revoked_at_ms = $3
        WHERE member_id = $1 AND id <> $2 AND revoked_at_ms IS NULL AND expires_at_ms > $3";
    FAMILY_LIVE_OF (6) = "
        SELECT id, member_id, generation, token_hash, client_sealed, created_at_ms, last_used_at_ms, expires_at_ms, revoked_at_ms
        FROM token_family
        WHERE member_id = $1 AND id > $2 AND revoked_at_ms IS NULL AND expires_at_ms > $3
          AND last_used_at_ms > $4 AND created_at_ms > $5
        ORDER BY id LIMIT $6";
    FAMILY_SWEEP (2) = "
        DELETE FROM token_family WHERE id IN
            (SELECT id FROM token_family WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
    SPENT_INSERT (7) = "
        INSERT INTO spent_token
            (family_id, token_hash, spent_at_ms, spent_by, held_until_ms, successor_sealed, reusable_until_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT DO NOTHING";
    SPENT_BY_HASH (2) = "
        SELECT spent_at_ms, spent_by, held_until_ms, successor_sealed, reusable_until_ms
        FROM spent_token WHERE family_id = $1 AND token_hash = $2";
    SPENT_FORGET (2) = "
        UPDATE spent_token SET successor_sealed = NULL, reusable_until_ms = NULL
        WHERE (family_id, token_hash) IN
            (SELECT family_id, token_hash FROM spent_token WHERE reusable_until_ms <= $1
             ORDER BY reusable_until_ms LIMIT $2)";
}

/// A family about to begin, with generation 1.
#[derive(Clone, Debug)]
pub struct NewFamily {
    /// The family.
    pub id: FamilyId,
    /// Whose it is.
    pub member: MemberId,
    /// The hash of its first refresh token.
    pub token_hash: Vec<u8>,
    /// The sealed address and user agent of the client.
    pub client_sealed: Vec<u8>,
    /// Now.
    pub created_at_ms: UnixMs,
    /// When it ends, used or not.
    pub expires_at_ms: UnixMs,
}

/// A family as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyRow {
    /// The family.
    pub id: FamilyId,
    /// Whose it is.
    pub member: MemberId,
    /// How many refresh tokens it has had.
    pub generation: i64,
    /// The hash of the one that is good.
    pub token_hash: Vec<u8>,
    /// The sealed address and user agent of the client.
    pub client_sealed: Vec<u8>,
    /// When it began.
    pub created_at_ms: UnixMs,
    /// When it was last rotated, or began.
    pub last_used_at_ms: UnixMs,
    /// When it ends, used or not.
    pub expires_at_ms: UnixMs,
    /// When it was revoked, if so.
    pub revoked_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for FamilyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Self::read(&row)
    }
}

impl FamilyRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: FamilyId::from_uuid(row.get("id")?),
            member: MemberId::from_uuid(row.get("member_id")?),
            generation: row.get("generation")?,
            token_hash: row.get("token_hash")?,
            client_sealed: row.get("client_sealed")?,
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            last_used_at_ms: UnixMs::new(row.get("last_used_at_ms")?),
            expires_at_ms: UnixMs::new(row.get("expires_at_ms")?),
            revoked_at_ms: row.get::<Option<i64>>("revoked_at_ms")?.map(UnixMs::new),
        })
    }
}

/// A family with what its next tokens say about the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyOfMember {
    /// The family.
    pub family: FamilyRow,
    /// The member's role.
    pub role: String,
    /// The member's epoch.
    pub epoch: i64,
    /// When the member was deactivated, if so.
    pub deactivated_at_ms: Option<UnixMs>,
    /// Since when the member has a confirmed second factor, if so.
    pub second_factor_at_ms: Option<UnixMs>,
}

impl TryFrom<Row> for FamilyOfMember {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            family: FamilyRow::read(&row)?,
            role: row.get("role")?,
            epoch: row.get("epoch")?,
            deactivated_at_ms: row.get::<Option<i64>>("deactivated_at_ms")?.map(UnixMs::new),
            second_factor_at_ms: row.get::<Option<i64>>("second_factor_at_ms")?.map(UnixMs::new),
        })
    }
}

/// How a token was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// When.
    pub at_ms: UnixMs,
    /// The node that rotated it.
    pub by: NodeId,
    /// Until when that node may give the successor to others who present the same token.
    pub held_until_ms: UnixMs,
    /// The token that took its place, where it may be given again.
    pub successor: Option<Successor>,
}

/// The token that took the place of a spent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The sealed token.
    pub sealed: Vec<u8>,
    /// Until when whoever presents the spent token gets it again.
    pub until_ms: UnixMs,
}

impl TryFrom<Row> for Spent {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            at_ms: UnixMs::new(row.get("spent_at_ms")?),
            by: NodeId::from_uuid(row.get("spent_by")?),
            held_until_ms: UnixMs::new(row.get("held_until_ms")?),
            successor: successor(&row)?,
        })
    }
}

fn successor(row: &Row) -> Result<Option<Successor>, StoreError> {
    let sealed: Option<Vec<u8>> = row.get("successor_sealed")?;
    let until_ms = row.get::<Option<i64>>("reusable_until_ms")?.map(UnixMs::new);
    Ok(sealed.zip(until_ms).map(|(sealed, until_ms)| Successor { sealed, until_ms }))
}

/// Only the id of a family.
struct Id(FamilyId);

impl TryFrom<Row> for Id {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(FamilyId::from_uuid(row.get("id")?)))
    }
}

/// Begins a family for an active member whose credentials are still of version `credential_version`. `false` when they
/// are not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, new: &NewFamily, credential_version: i64) -> Result<bool, StoreError> {
    let args = args![
        new.id,
        new.member,
        new.token_hash.as_slice(),
        new.client_sealed.as_slice(),
        new.created_at_ms,
        new.expires_at_ms,
        credential_version,
    ];
    Ok(tx.execute(FAMILY_INSERT, args).await? == 1)
}

/// The family with this id, in whatever state, and its member.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: FamilyId) -> Result<Option<FamilyOfMember>, StoreError> {
    tx.fetch_optional(FAMILY_BY_ID, args![id]).await
}

/// Puts `new_hash` in the place of `old_hash`, if the family is of generation `generation` with that hash, and neither
/// revoked nor expired at `now`. `false` when it is not: of all who try, one wins.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn rotate(
    tx: &mut TenantTx,
    id: FamilyId,
    generation: i64,
    old_hash: &[u8],
    new_hash: &[u8],
    now: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(FAMILY_ROTATE, args![id, generation, old_hash, new_hash, now]).await? == 1)
}

/// Remembers a token as spent. `false` when it was already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend(tx: &mut TenantTx, id: FamilyId, token_hash: &[u8], spent: Spent) -> Result<bool, StoreError> {
    let (sealed, until_ms) = spent.successor.map(|successor| (successor.sealed, successor.until_ms)).unzip();
    let args = args![id, token_hash, spent.at_ms, spent.by, spent.held_until_ms, sealed, until_ms];
    Ok(tx.execute(SPENT_INSERT, args).await? == 1)
}

/// How this token of the family was spent; `None` when it never was.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spent(tx: &mut TenantTx, id: FamilyId, token_hash: &[u8]) -> Result<Option<Spent>, StoreError> {
    tx.fetch_optional(SPENT_BY_HASH, args![id, token_hash]).await
}

/// Revokes the family. `false` when it was already, or there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn revoke(tx: &mut TenantTx, id: FamilyId, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(FAMILY_REVOKE, args![id, now]).await? == 1)
}

/// Revokes every live family of the member, and answers which, in no order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn revoke_all_of(tx: &mut TenantTx, member: MemberId, now: UnixMs) -> Result<Vec<FamilyId>, StoreError> {
    let revoked: Vec<Id> = tx.fetch_all(FAMILY_REVOKE_ALL_OF, args![member, now]).await?;
    Ok(revoked.into_iter().map(|Id(id)| id).collect())
}

/// Revokes every live family of the member but `kept`, and answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn revoke_others(
    tx: &mut TenantTx,
    member: MemberId,
    kept: FamilyId,
    now: UnixMs,
) -> Result<u64, StoreError> {
    tx.execute(FAMILY_REVOKE_OTHERS, args![member, kept, now]).await
}

/// Of which families a session is alive at `now`.
#[derive(Clone, Copy, Debug)]
pub struct Alive {
    /// Now: they have not expired.
    pub now: UnixMs,
    /// They were used after this.
    pub used_after: UnixMs,
    /// They began after this.
    pub begun_after: UnixMs,
}

/// The member's next `limit` live families after `after`, by id, which is by age.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn live_of(
    tx: &mut TenantTx,
    member: MemberId,
    after: Option<FamilyId>,
    alive: Alive,
    limit: u32,
) -> Result<Vec<FamilyRow>, StoreError> {
    let Alive { now, used_after, begun_after } = alive;
    let after = after.map_or(Uuid::nil(), FamilyId::uuid);
    tx.fetch_all(FAMILY_LIVE_OF, args![member, after, now, used_after, begun_after, i64::from(limit)]).await
}

/// Forgets up to `limit` successors that may not be given again at `before`; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn forget_successors(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(SPENT_FORGET, args![before, i64::from(limit)]).await
}

/// Deletes up to `limit` families that expired at `before` or earlier, with their spent tokens; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(FAMILY_SWEEP, args![before, i64::from(limit)]).await
}
