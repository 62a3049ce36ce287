//! Invitations that were not accepted yet: one an address, each found by the hash of its token.

use freehold_domain::id::{InvitationId, MemberId};
use freehold_domain::time::UnixMs;
use uuid::Uuid;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, TenantTx};

queries! {
    INVITATION_INSERT (8) = "
        INSERT INTO invitation (id, email_key, email_sealed, role, token_hash, invited_by, created_at_ms, expires_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT DO NOTHING";
    INVITATION_DELETE_BY_EMAIL_KEY (1) = "DELETE FROM invitation WHERE email_key = $1";
    INVITATION_RENEW (3) = "UPDATE invitation SET token_hash = $2, expires_at_ms = $3 WHERE id = $1";
    INVITATION_DELETE (1) = "DELETE FROM invitation WHERE id = $1";
    INVITATION_BY_ID (1) = "
        SELECT id, email_key, email_sealed, role, invited_by, created_at_ms, expires_at_ms FROM invitation WHERE id = $1";
    INVITATION_BY_TOKEN (2) = "
        SELECT id, email_key, email_sealed, role, invited_by, created_at_ms, expires_at_ms
        FROM invitation WHERE token_hash = $1 AND expires_at_ms > $2";
    INVITATION_SPEND (2) = "DELETE FROM invitation WHERE token_hash = $1 AND expires_at_ms > $2";
    INVITATION_PAGE (2) = "
        SELECT id, email_key, email_sealed, role, invited_by, created_at_ms, expires_at_ms
        FROM invitation WHERE id > $1 ORDER BY id LIMIT $2";
    INVITATION_SWEEP (2) = "
        DELETE FROM invitation WHERE id IN
            (SELECT id FROM invitation WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)";
}

/// An invitation as it is stored, without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRow {
    /// The invitation.
    pub id: InvitationId,
    /// What the e-mail address is found by, under the tenant's key. Unique.
    pub email_key: Vec<u8>,
    /// The sealed e-mail address.
    pub email_sealed: Vec<u8>,
    /// The role's name.
    pub role: String,
    /// Who invited.
    pub invited_by: MemberId,
    /// When.
    pub created_at_ms: UnixMs,
    /// Until when it can be accepted.
    pub expires_at_ms: UnixMs,
}

impl TryFrom<Row> for InvitationRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: InvitationId::from_uuid(row.get("id")?),
            email_key: row.get("email_key")?,
            email_sealed: row.get("email_sealed")?,
            role: row.get("role")?,
            invited_by: MemberId::from_uuid(row.get("invited_by")?),
            created_at_ms: UnixMs::new(row.get("created_at_ms")?),
            expires_at_ms: UnixMs::new(row.get("expires_at_ms")?),
        })
    }
}

/// Adds an invitation in the place of any other for its address. `false` when a rival invited at the same moment.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert(tx: &mut TenantTx, invitation: &InvitationRow, token_hash: &[u8]) -> Result<bool, StoreError> {
    void(tx, &invitation.email_key).await?;
    let args = args![
        invitation.id,
        invitation.email_key.as_slice(),
        invitation.email_sealed.as_slice(),
        invitation.role.as_str(),
        token_hash,
        invitation.invited_by,
        invitation.created_at_ms,
        invitation.expires_at_ms,
    ];
    Ok(tx.execute(INVITATION_INSERT, args).await? == 1)
}

/// Gives an invitation another token, which voids the one before, and another end. `false` when there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn renew(
    tx: &mut TenantTx,
    id: InvitationId,
    token_hash: &[u8],
    expires_at_ms: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(INVITATION_RENEW, args![id, token_hash, expires_at_ms]).await? == 1)
}

/// Deletes the invitation of an address, if there is one: somebody who has the address is a member already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn void(tx: &mut TenantTx, email_key: &[u8]) -> Result<(), StoreError> {
    tx.execute(INVITATION_DELETE_BY_EMAIL_KEY, args![email_key]).await?;
    Ok(())
}

/// Takes an invitation back. `false` when there is none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut TenantTx, id: InvitationId) -> Result<bool, StoreError> {
    Ok(tx.execute(INVITATION_DELETE, args![id]).await? == 1)
}

/// The invitation with this id, expired or not.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_id(tx: &mut TenantTx, id: InvitationId) -> Result<Option<InvitationRow>, StoreError> {
    tx.fetch_optional(INVITATION_BY_ID, args![id]).await
}

/// The invitation with this token that can be accepted at `now`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn by_token(tx: &mut TenantTx, token_hash: &[u8], now: UnixMs) -> Result<Option<InvitationRow>, StoreError> {
    tx.fetch_optional(INVITATION_BY_TOKEN, args![token_hash, now]).await
}

/// Spends an invitation. `false` when it was spent, taken back or has expired: of all who try, one wins.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn spend(tx: &mut TenantTx, token_hash: &[u8], now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(INVITATION_SPEND, args![token_hash, now]).await? == 1)
}

/// The next `limit` invitations after `after`, by id, which is by age, expired ones too.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn page(
    tx: &mut TenantTx,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<InvitationRow>, StoreError> {
    let after = after.map_or(Uuid::nil(), InvitationId::uuid);
    tx.fetch_all(INVITATION_PAGE, args![after, i64::from(limit)]).await
}

/// Deletes up to `limit` invitations that expired at `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut TenantTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(INVITATION_SWEEP, args![before, i64::from(limit)]).await
}
