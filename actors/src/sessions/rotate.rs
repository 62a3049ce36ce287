//! The effects of Sessions: one transaction that rotates a token, and one that revokes a family.

use std::sync::Arc;

use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::refresh_token::TokenHash;
use freehold_domain::rotation::{Effect, Outcome};
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_domain::token_family::{self, Judgement};
use freehold_storage::{TenantTx, family};

use crate::changes;
use crate::fault;
use crate::node::Node;
use crate::ops::context::Counted;
use crate::ops::refusal::Refusal;
use crate::ops::token_pair::{self, Holder, TokenPair};
use crate::slot::{Live, TenantSlot};

/// Rotates the presented token in one transaction, or says why not.
pub(super) async fn rotate(
    node: &Arc<Node>,
    slot: &Arc<TenantSlot>,
    live: &Live,
    effect: Effect,
    counted: Option<Counted>,
) -> Outcome<Arc<TokenPair>, Refusal> {
    match try_rotate(node, slot, live, effect, counted).await {
        Ok(Some(pair)) => Outcome::Rotated(Arc::new(pair)),
        Ok(None) => Outcome::Replayed(Refusal::Unauthenticated),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// `None` means that the token was spent before.
async fn try_rotate(
    node: &Arc<Node>,
    slot: &Arc<TenantSlot>,
    live: &Live,
    effect: Effect,
    counted: Option<Counted>,
) -> Result<Option<TokenPair>, Refusal> {
    let mut tx = node.store.write(slot.id).await?;
    fault::reach("rotation.begun");
    let now = node.ambient.now();
    let Some(row) = family::by_id(&mut tx, effect.family).await? else { return Err(Refusal::Unauthenticated) };
    match judge(&mut tx, node, &row, effect, now).await? {
        Judgement::Live => {}
        Judgement::Replayed => return Ok(None),
        Judgement::SpentElsewhere => return Err(Refusal::Conflict),
        Judgement::Dead | Judgement::Unknown => return Err(Refusal::Unauthenticated),
    }
    let role = row.role.parse().map_err(|_| Refusal::Internal)?;
    let holder = Holder { member: row.family.member, role, epoch: row.epoch };
    count(node, slot, live, holder.member, counted.unwrap_or_default()).await?;
    let next = token_pair::new_refresh_token(node, effect.family);
    let (old, new) = (effect.presented, next.hash());
    if !family::rotate(&mut tx, effect.family, row.family.generation, old.bytes(), new.bytes(), now).await? {
        return Err(Refusal::Conflict);
    }
    let held_until_ms = effect.arrived.plus(node.settings.refresh_hold);
    family::spend(&mut tx, effect.family, old.bytes(), family::Spent { at_ms: now, by: node.id, held_until_ms })
        .await?;
    fault::reach("rotation.written");
    tx.commit().await?;
    fault::reach("rotation.committed");
    token_pair::issue(node, live, holder, &next, row.family.expires_at_ms).map(Some)
}

async fn judge(
    tx: &mut TenantTx,
    node: &Node,
    row: &family::FamilyOfMember,
    effect: Effect,
    now: UnixMs,
) -> Result<Judgement, Refusal> {
    let stored = row.family.token_hash.as_slice().try_into().map_err(|_| Refusal::Internal)?;
    let stored = TokenHash::from_bytes(stored);
    let ended =
        row.family.revoked_at_ms.is_some() || row.deactivated_at_ms.is_some() || now >= row.family.expires_at_ms;
    let mut spent = None;
    if stored != effect.presented {
        spent = family::spent(tx, effect.family, effect.presented.bytes()).await?;
    }
    let spent = spent.map(|s| token_family::Spent { here: s.by == node.id, held_until: s.held_until_ms });
    Ok(token_family::judge(stored, effect.presented, ended, spent, effect.arrived))
}

/// Counts the rotation of a member whose token is good, before it happens.
async fn count(
    node: &Arc<Node>,
    slot: &Arc<TenantSlot>,
    live: &Live,
    member: MemberId,
    counted: Counted,
) -> Result<(), Refusal> {
    let layers = [
        Layer { tier: Tier::Refresh, subject: Subject(member.uuid().as_u128()) },
        Layer { tier: Tier::ApiTenant, subject: Subject::TENANT },
    ];
    node.admit(slot, live, &layers, &counted).await
}

/// Revokes the family of a replayed token and says so in the change feed.
///
/// # Errors
/// [`Refusal::Unavailable`] when the store did not commit.
pub(super) async fn revoke(node: &Node, slot: &TenantSlot, family: FamilyId) -> Result<(), Refusal> {
    let mut tx = node.store.write(slot.id).await?;
    changes::revoke(&mut tx, family, node.ambient.now()).await?;
    tx.commit().await?;
    fault::reach("revocation.committed");
    Ok(())
}
