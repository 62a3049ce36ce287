//! The effects of Sessions: a transaction that rotates tokens, and one that revokes a family.

use std::sync::Arc;

use freehold_domain::audit::{Action, Actor, Event};
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::MemberId;
use freehold_domain::keys::{Place, Sealed};
use freehold_domain::letter::{Content, Letter, Occasion};
use freehold_domain::refresh_token::{RefreshToken, TokenHash};
use freehold_domain::rotation::Effect;
use freehold_domain::secret::Secret;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_domain::token_family::{self, Judgement};
use freehold_storage::family::{FamilyOfMember, Successor};
use freehold_storage::{Chain, StoreError, TenantTx, family, member};

use crate::changes;
use crate::fault;
use crate::mail;
use crate::metric;
use crate::node::Node;
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::{Counted, Origin};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::opened_email;
use crate::ops::token_pair::{self, Holder, TokenPair};
use crate::sessions::Refreshed;
use crate::slot::{Deaths, Live, TenantSlot};

/// How often the store is asked to revoke a replayed family.
const REVOKE_TRIES: u32 = 3;
/// Which part of the time that a pair is held anyway its rotation may wait for others to share the commit.
const GATHER_PART: u32 = 5;

/// One token to rotate.
pub(crate) struct Ask {
    pub(super) effect: Effect,
    /// What is counted for the request.
    pub(super) counted: Counted,
    /// Where the request came from.
    pub(super) origin: Origin,
}

/// What became of it.
pub(crate) type Rotated = Result<Arc<TokenPair>, NotRotated>;

/// Why a token was not rotated.
pub(crate) enum NotRotated {
    /// Its family has to die, and this is what is recorded: it was spent before and its successor handed out, or its end
    /// was buried and never stored.
    Doomed(Action),
    /// Anything else.
    Refused(Refusal),
}

impl From<Refusal> for NotRotated {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for NotRotated {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Rotates the presented token, or says why not. A token that was spent before revokes its family.
///
/// Whoever has a token of the family is counted before the store is asked, in a bucket of the family's: what the token is worth
/// is not known yet, and a dead one is not held against its member.
pub(super) async fn rotate(node: &Arc<Node>, slot: &Arc<TenantSlot>, live: &Live, ask: Ask) -> Refreshed {
    let (effect, origin) = (ask.effect, ask.origin.clone());
    let holder = Layer { tier: Tier::Refresh, subject: Subject::session(effect.family) };
    node.admit(slot, live, &[holder], &ask.counted).await?;
    // A shared store has many writers and flushes what they commit together; there, transactions that each hold
    // several families could also wait for each other.
    let rotated = if node.store.is_shared() {
        all(node, slot, live, vec![ask]).await.pop()
    } else {
        let gather = node.settings.refresh_hold / GATHER_PART;
        live.commits.join(ask, gather, |asks| all(node, slot, live, asks)).await
    };
    match rotated {
        Some(Ok(pair)) => Ok(pair),
        Some(Err(NotRotated::Doomed(action))) => Err(revoke(node, slot, live, effect, action, &origin).await),
        Some(Err(NotRotated::Refused(refusal))) => Err(refusal),
        None => Err(Refusal::Unavailable),
    }
}

/// Rotates all these tokens in one transaction. A pair is one that was committed; a refusal has changed nothing.
async fn all(node: &Arc<Node>, slot: &Arc<TenantSlot>, live: &Live, asks: Vec<Ask>) -> Vec<Rotated> {
    let mut tx = match node.store.write(slot.id).await {
        Ok(tx) => tx,
        Err(error) => {
            let refusal = Refusal::from(error);
            return asks.iter().map(|_| Err(refusal.clone().into())).collect();
        }
    };
    fault::reach("rotation.begun");
    let mut rotated = Vec::with_capacity(asks.len());
    for ask in asks {
        rotated.push(one(&mut tx, node, slot, live, ask).await);
    }
    if rotated.iter().all(Result::is_err) {
        return rotated;
    }
    fault::reach("rotation.written");
    if let Err(error) = tx.commit().await {
        let refusal = Refusal::from(error);
        return rotated.into_iter().map(|one| one.and(Err(refusal.clone().into()))).collect();
    }
    fault::reach("rotation.committed");
    rotated
}

/// Writes one rotation. The pair is made first: after the conditional update only the store can fail.
async fn one(tx: &mut TenantTx, node: &Arc<Node>, slot: &Arc<TenantSlot>, live: &Live, ask: Ask) -> Rotated {
    let Ask { effect, counted, .. } = ask;
    let now = node.ambient.now();
    let Some(row) = family::by_id(tx, effect.family).await? else { return Err(Refusal::Unauthenticated.into()) };
    let (judgement, successor) = judge(tx, node, live, &row, effect, now).await?;
    match judgement {
        Judgement::Live | Judgement::Reusable => {}
        Judgement::Replayed => {
            metrics::counter!(metric::REPLAYS).increment(1);
            tracing::warn!(tenant.id = %slot.id, session.id = %effect.family, "a spent refresh token was presented");
            return Err(NotRotated::Doomed(Action::SessionReplayed));
        }
        Judgement::SpentElsewhere => return Err(Refusal::Conflict.into()),
        Judgement::Dead | Judgement::Unknown => return Err(Refusal::Unauthenticated.into()),
    }
    // Its end was buried here, and the commit was in doubt: it is made true now.
    if !slot.revocations().admits(effect.family, row.family.member, row.epoch) {
        return Err(NotRotated::Doomed(Action::SessionEnded));
    }
    let role = row.role.parse().map_err(|_| Refusal::Internal)?;
    let has_second_factor = row.second_factor_at_ms.is_some();
    let holder = Holder { member: row.family.member, role, epoch: row.epoch, has_second_factor };
    count(node, slot, live, holder.member, counted).await?;
    let ends = row.family.expires_at_ms.min(row.family.created_at_ms.plus(live.settings.session_lifetime()));
    if let Some(again) = successor.filter(|_| judgement == Judgement::Reusable) {
        return Ok(Arc::new(token_pair::issue(node, live, holder, &again, ends)?));
    }
    let next = token_pair::new_refresh_token(node, live, effect.family);
    let pair = token_pair::issue(node, live, holder, &next, ends)?;
    let successor = seal_successor(node, live, effect, &next, now)?;
    let (old, new) = (effect.presented, next.hash());
    if !family::rotate(tx, effect.family, row.family.generation, old.bytes(), new.bytes(), now).await? {
        return Err(lost(tx, effect).await?.into());
    }
    let held_until_ms = effect.arrived.plus(node.settings.refresh_hold);
    let spent = family::Spent { at_ms: now, by: node.id, held_until_ms, successor };
    family::spend(tx, effect.family, old.bytes(), spent).await?;
    Ok(Arc::new(pair))
}

/// Why the conditional update found nothing: the family was revoked meanwhile, or another node rotated the token.
async fn lost(tx: &mut TenantTx, effect: Effect) -> Result<Refusal, Refusal> {
    let row = family::by_id(tx, effect.family).await?;
    let revoked = row.is_none_or(|row| row.family.revoked_at_ms.is_some());
    Ok(if revoked { Refusal::Unauthenticated } else { Refusal::Conflict })
}

/// What the presented token is worth; and the token that took its place, where that is the live one.
async fn judge(
    tx: &mut TenantTx,
    node: &Node,
    live: &Live,
    row: &FamilyOfMember,
    effect: Effect,
    now: UnixMs,
) -> Result<(Judgement, Option<RefreshToken>), Refusal> {
    let stored = row.family.token_hash.as_slice().try_into().map_err(|_| Refusal::Internal)?;
    let stored = TokenHash::from_bytes(stored);
    let ended = has_ended(live, row, now);
    let mut spent = None;
    if stored != effect.presented {
        spent = family::spent(tx, effect.family, effect.presented.bytes()).await?;
    }
    let Some(spent) = spent else {
        return Ok((token_family::judge(stored, effect.presented, ended, None, effect.arrived), None));
    };
    let successor = spent.successor.as_ref().map(|known| open_successor(live, effect, known)).transpose()?;
    let successor = successor.filter(|token| token.hash() == stored);
    let spent = token_family::Spent {
        here: spent.by == node.id || !node.store.is_shared(),
        held_until: spent.held_until_ms,
        reusable_until: spent.successor.filter(|_| successor.is_some()).map(|known| known.until_ms),
    };
    Ok((token_family::judge(stored, effect.presented, ended, Some(spent), effect.arrived), successor))
}

/// Whether the session is over, whatever token is presented.
pub(crate) fn has_ended(live: &Live, row: &FamilyOfMember, now: UnixMs) -> bool {
    row.family.revoked_at_ms.is_some()
        || row.deactivated_at_ms.is_some()
        || now >= row.family.expires_at_ms
        || live.settings.has_ended(row.family.created_at_ms, row.family.last_used_at_ms, now)
}

/// Seals the token that takes the presented one's place, where the tenant lets it be given again.
fn seal_successor(
    node: &Node,
    live: &Live,
    effect: Effect,
    next: &RefreshToken,
    now: UnixMs,
) -> Result<Option<Successor>, Refusal> {
    let Some(grace) = live.settings.reuse_grace() else { return Ok(None) };
    let sealed = live.keys.seal(&successor_place(&spent_row(effect)), &next.text(), node.nonce());
    let sealed = sealed.map_err(|_| Refusal::Internal)?.into_bytes();
    Ok(Some(Successor { sealed, until_ms: now.plus(grace) }))
}

fn open_successor(live: &Live, effect: Effect, known: &Successor) -> Result<RefreshToken, Refusal> {
    let sealed = Sealed::<Secret<String>>::from_stored(known.sealed.clone()).map_err(|_| Refusal::Internal)?;
    let text = live.keys.open_sealed(&successor_place(&spent_row(effect)), &sealed).map_err(|_| Refusal::Internal)?;
    text.expose().parse().map_err(|_| Refusal::Internal)
}

/// The key of the presented token's row among the spent ones.
fn spent_row(effect: Effect) -> Vec<u8> {
    [effect.family.as_bytes().as_slice(), effect.presented.bytes()].concat()
}

fn successor_place(row: &[u8]) -> Place<'_> {
    Place { table: "spent_token", column: "successor_sealed", row }
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

/// Revokes the family of a token that is worth nothing any more: dead in the snapshot first, then in the store, then
/// 401. A store that fails once is asked again; while it stays away the family is dead on this node, and the answer is
/// 503.
async fn revoke(
    node: &Node,
    slot: &TenantSlot,
    live: &Live,
    effect: Effect,
    action: Action,
    origin: &Origin,
) -> Refusal {
    slot.bury(&Deaths::family(effect.family), node.ambient.now());
    for _ in 0..REVOKE_TRIES {
        match revoke_once(node, slot, live, effect, action, origin).await {
            Ok(()) => {
                fault::reach("revocation.committed");
                return Refusal::Unauthenticated;
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), tenant.id = %slot.id, "a family could not be revoked yet");
            }
        }
    }
    Refusal::Unavailable
}

/// Revokes the family and records why, in one transaction. Of those who present spent tokens of a family, the first ends
/// it, and the member is written to if the token that followed had been used: it may have been copied then.
async fn revoke_once(
    node: &Node,
    slot: &TenantSlot,
    live: &Live,
    effect: Effect,
    action: Action,
    origin: &Origin,
) -> Result<(), NotRecorded> {
    let family = effect.family;
    let mut tx = node.store.write(slot.id).await?;
    if changes::revoke(&mut tx, family, node.ambient.now()).await? {
        if action == Action::SessionReplayed && is_successor_used(&mut tx, effect).await? {
            tell(&mut tx, node, live, effect, origin).await?;
        }
        let (actor, subject) = (Actor::Unknown, Some(family.uuid()));
        audit::record(&mut tx, node, &live.keys, &Event { action, actor, subject, detail: origin.detail() }).await?;
    }
    Ok(tx.commit().await?)
}

/// Whether the token that took the place of this spent one was used too: the family was rotated after it was spent.
async fn is_successor_used(tx: &mut TenantTx, Effect { family, presented, .. }: Effect) -> Result<bool, StoreError> {
    let spent = family::spent(tx, family, presented.bytes()).await?;
    let row = family::by_id(tx, family).await?;
    Ok(row.zip(spent).is_some_and(|(row, spent)| row.family.last_used_at_ms > spent.at_ms))
}

/// Writes to the member that the session was ended.
async fn tell(tx: &mut TenantTx, node: &Node, live: &Live, effect: Effect, origin: &Origin) -> Result<(), NotRecorded> {
    let Some(row) = family::by_id(tx, effect.family).await? else { return Ok(()) };
    let Some(member) = member::by_id(tx, row.family.member).await? else { return Ok(()) };
    let occasion = Occasion { at: node.ambient.wall(), address: origin.address };
    let letter = Letter { to: opened_email(&live.keys, &member)?, content: Content::SessionReplayed(occasion) };
    Ok(mail::enqueue(tx, node, &live.keys, &letter).await?)
}
