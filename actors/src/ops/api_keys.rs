//! A tenant's API keys, as its admins manage them. What they do is in force on the next request of this node, and on
//! the others within a second.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::api_key::{ApiKey, KEYS_MAX, KeyKind, Scopes};
use freehold_domain::audit::{Action, Actor};
use freehold_domain::id::{ApiKeyId, MemberId};
use freehold_domain::plan::Quota;
use freehold_domain::secret::Secret;
use freehold_domain::text::OneLine;
use freehold_domain::time::UnixMs;
use freehold_storage::TenantTx;
use freehold_storage::api_key::{self as rows, ApiKeyRow, NewApiKey};

use crate::ops::audit::record_request;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::tenant_change;
use crate::plans;

/// The longest name of a key, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// What is wanted of a new key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its admins call it.
    pub name: OneLine<NAME_CHARS_MAX>,
    /// Where it may be used.
    pub kind: KeyKind,
    /// What for.
    pub scopes: Scopes,
    /// From the pages of which origins, in their canonical text; none for a secret key.
    pub allowed_origins: Vec<String>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMs>,
}

/// A key as its admins see it.
#[derive(Clone, Debug)]
pub struct KeyItem {
    /// Which.
    pub id: ApiKeyId,
    /// What its admins call it.
    pub name: String,
    /// Where it may be used.
    pub kind: KeyKind,
    /// What for.
    pub scopes: Scopes,
    /// From the pages of which origins.
    pub allowed_origins: Vec<String>,
    /// The last characters of its text.
    pub last4: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: MemberId,
    /// When it ends or has ended, if it does.
    pub expires_at: Option<UnixMs>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMs>,
    /// Until when the text before the last rotation works, while it does.
    pub previous_until: Option<UnixMs>,
}

/// One page of a tenant's keys, oldest first.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys.
    pub items: Vec<KeyItem>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<ApiKeyId>,
}

/// A key with its text, which nobody can be told again.
#[derive(Debug)]
pub struct Shown {
    /// The key.
    pub item: KeyItem,
    /// Its text.
    pub text: Secret<String>,
}

/// The tenant's keys after `after` that were not revoked, at most `limit`. The caller must be an admin, here and below.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<ApiKeyId>,
    limit: u32,
) -> Result<KeyPage, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let mut rows = rows::page(&mut tx, after, limit + 1).await?;
    drop(tx);
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.key.id);
    let items = rows.into_iter().map(|row| item(row, now)).collect::<Result<_, _>>()?;
    Ok(KeyPage { items, next })
}

/// Makes a key.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::Collides`] when the tenant has as many keys as any may, [`Refusal::QuotaReached`] as its plan
/// allows.
pub async fn create(cx: &Context, caller: &AccessClaims, new: NewKey) -> Result<Shown, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let key = ApiKey::from_random(new.kind, cx.slot.id, cx.node.ambient.random());
    let row = NewApiKey {
        id: ApiKeyId::new(now, cx.node.ambient.random()),
        name: new.name.as_str().to_owned(),
        kind: new.kind.as_str().to_owned(),
        scopes: new.scopes.to_string(),
        allowed_origins: new.allowed_origins.join(" "),
        last4: key.last4(),
        hash: key.hash().bytes().to_vec(),
        created_at_ms: now,
        created_by: caller.sub,
        expires_at_ms: new.expires_at,
    };
    let mut tx = begin_fresh(cx, caller).await?;
    // Held before the keys are counted: two that are made at once are counted one after the other. Nothing that is
    // waited for follows, so nobody who holds another row and wants the head is kept waiting by this one for ever.
    freehold_storage::audit::hold(&mut tx).await?;
    if rows::live(&mut tx, now, KEYS_MAX).await?.len() >= KEYS_MAX as usize {
        return Err(Refusal::Collides);
    }
    plans::admit(cx, &mut tx, Quota::ApiKeys).await?;
    if !rows::insert(&mut tx, &row).await? {
        return Err(Refusal::Internal);
    }
    finish(cx, tx, Action::ApiKeyCreated, caller, row.id, now).await?;
    tracing::info!(tenant.id = %cx.slot.id, api_key.id = %row.id, "an API key was made");
    let item = item(ApiKeyRow { key: row, previous: None, last_used_at_ms: None }, now)?;
    Ok(Shown { item, text: key.text() })
}

/// Gives a key another text. The one before works for `overlap`, and any before that not any more.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`]; [`Refusal::Collides`] for a key that has expired.
pub async fn rotate(cx: &Context, caller: &AccessClaims, id: ApiKeyId, overlap: Duration) -> Result<Shown, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = begin_fresh(cx, caller).await?;
    let known = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    let kind = known.key.kind.parse().map_err(|_| Refusal::Internal)?;
    let key = ApiKey::from_random(kind, cx.slot.id, cx.node.ambient.random());
    if !rows::rotate(&mut tx, id, key.hash().bytes(), &key.last4(), now.plus(overlap), now).await? {
        return Err(Refusal::Collides);
    }
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::Internal)?;
    finish(cx, tx, Action::ApiKeyRotated, caller, id, now).await?;
    tracing::info!(tenant.id = %cx.slot.id, api_key.id = %id, "an API key was rotated");
    Ok(Shown { item: item(row, now)?, text: key.text() })
}

/// Revokes a key.
///
/// # Errors
/// [`Refusal::NotFound`] for one that is not there, or was revoked.
pub async fn revoke(cx: &Context, caller: &AccessClaims, id: ApiKeyId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if !rows::revoke(&mut tx, id, now).await? {
        return Err(Refusal::NotFound);
    }
    finish(cx, tx, Action::ApiKeyRevoked, caller, id, now).await?;
    tracing::info!(tenant.id = %cx.slot.id, api_key.id = %id, "an API key was revoked");
    Ok(())
}

/// Records and commits a change, which is in force on this node then.
async fn finish(
    cx: &Context,
    mut tx: TenantTx,
    action: Action,
    caller: &AccessClaims,
    id: ApiKeyId,
    now: UnixMs,
) -> Result<(), Refusal> {
    let change = tenant_change::announce(&mut tx, &cx.node, &cx.slot, now).await?;
    record_request(&mut tx, cx, action, Actor::Member(caller.sub), id.uuid()).await?;
    Ok(change.commit(tx, &cx.node, &cx.slot).await?)
}

fn item(row: ApiKeyRow, now: UnixMs) -> Result<KeyItem, Refusal> {
    let key = row.key;
    Ok(KeyItem {
        id: key.id,
        name: key.name,
        kind: key.kind.parse().map_err(|_| Refusal::Internal)?,
        scopes: key.scopes.parse().map_err(|_| Refusal::Internal)?,
        allowed_origins: key.allowed_origins.split_whitespace().map(str::to_owned).collect(),
        last4: key.last4,
        created_at: key.created_at_ms,
        created_by: key.created_by,
        expires_at: key.expires_at_ms,
        last_used_at: row.last_used_at_ms,
        previous_until: row.previous.map(|(_, until)| until).filter(|until| now < *until),
    })
}
