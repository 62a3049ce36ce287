//! The keys that sign a tenant's access tokens: which there are, and another one in time or at once.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::id::{SigningKeyId, TenantId};
use freehold_domain::keys::{CryptoError, RootKey, SigningKey, TenantKeys};
use freehold_domain::secret::Secret;
use freehold_domain::signing_rotation::{self, Announced};
use freehold_domain::slug::Slug;
use freehold_domain::time::UnixMs;
use freehold_storage::signing_key::{self as rows, SigningKeyRow};
use freehold_storage::{StoreError, TenantTx};

use crate::metric;
use crate::node::Node;
use crate::node::load::{self, LoadError};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::tenant_change;
use crate::ops::tenants::{self, By, TenantRefusal};
use crate::slot::TenantSlot;

/// A key that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyItem {
    /// Its `kid`.
    pub id: SigningKeyId,
    /// Since when it is published.
    pub created_at: UnixMs,
    /// Whether it signs now.
    pub is_signing: bool,
    /// Until when it signs, if another follows it.
    pub signs_until: Option<UnixMs>,
}

/// How another key takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// Published first; it signs when everybody knows it. No token dies.
    #[default]
    Announced,
    /// At once, and the others are withdrawn, with every access token that they signed.
    AtOnce,
}

/// Why there is no other key.
#[derive(Debug, thiserror::Error)]
pub enum RotationRefusal {
    /// One is on its way.
    #[error(transparent)]
    Announced(#[from] Announced),
    /// There is no such tenant, or its store or keys are away.
    #[error(transparent)]
    Tenant(#[from] TenantRefusal),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant's keys cannot be read.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// It could not be recorded.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// A key could not be made.
    #[error("a key could not be made")]
    Crypto(#[from] CryptoError),
}

impl From<RotationRefusal> for Refusal {
    fn from(refusal: RotationRefusal) -> Self {
        match refusal {
            RotationRefusal::Announced(_) => Self::Collides,
            RotationRefusal::Store(error) => error.into(),
            RotationRefusal::Keys(error) => error.into(),
            RotationRefusal::NotRecorded(error) => error.into(),
            RotationRefusal::Tenant(_) | RotationRefusal::Crypto(_) => Self::Internal,
        }
    }
}

/// The tenant's published keys, in the order in which they sign.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<SigningKeyItem>, Refusal> {
    cx.admit_member(caller).await?;
    let keys = rows::all(&mut cx.node.store.read(cx.slot.id).await?).await?;
    Ok(items(&keys, cx.node.ambient.now()))
}

/// Gives the tenant another key, on the word of an admin whose session is fresh.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::Collides`] when one is announced already.
pub async fn rotate(cx: &Context, caller: &AccessClaims, takeover: Takeover) -> Result<Vec<SigningKeyItem>, Refusal> {
    cx.admit_member(caller).await?;
    drop(begin_fresh(cx, caller).await?);
    let event = Event {
        action: action(takeover),
        actor: Actor::Member(caller.sub),
        subject: None,
        detail: cx.client.origin.detail(),
    };
    Ok(replace(&cx.node, &cx.slot, &cx.live.keys, takeover, event).await?)
}

/// Gives a tenant another key, from outside of it.
///
/// # Errors
/// [`RotationRefusal`]
pub async fn rotate_tenant(
    node: &Node,
    slug: &Slug,
    takeover: Takeover,
    by: &By,
) -> Result<Vec<SigningKeyItem>, RotationRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let event = by.event(slot.id, action(takeover), Detail::default());
    replace(node, &slot, &keys, takeover, event).await
}

/// Announces another key where the last one has been in use for as long as it may.
pub(crate) async fn rotate_if_due(node: &Node, slot: &TenantSlot) {
    let Some(live) = slot.live() else { return };
    if !live.keys.is_rotation_due(node.ambient.now(), node.settings.signing_rotate) {
        return;
    }
    let event =
        Event { action: Action::SigningKeyRotated, actor: Actor::System, subject: None, detail: Detail::default() };
    match replace(node, slot, &live.keys, Takeover::Announced, event).await {
        Ok(_) | Err(RotationRefusal::Announced(_)) => {} // another node was first
        Err(error) => tracing::warn!(tenant.id = %slot.id, %error, "a signing key could not be rotated"),
    }
}

const fn action(takeover: Takeover) -> Action {
    match takeover {
        Takeover::Announced => Action::SigningKeyRotated,
        Takeover::AtOnce => Action::SigningKeysWithdrawn,
    }
}

async fn replace(
    node: &Node,
    slot: &TenantSlot,
    keys: &TenantKeys,
    takeover: Takeover,
    event: Event,
) -> Result<Vec<SigningKeyItem>, RotationRefusal> {
    let root = load::newest_root(node, slot).await?;
    let now = node.ambient.now();
    let mut tx = node.store.write(slot.id).await?;
    // Held before the keys are read: of two who rotate at once the second sees what the first has done.
    freehold_storage::audit::hold(&mut tx).await?;
    let known = rows::all(&mut tx).await?;
    let latest = known.iter().map(|key| key.created_at_ms.plus(Duration::from_millis(1))).max();
    let new = new_row(node, slot.id, &root, latest.unwrap_or(now).max(now))?;
    match takeover {
        Takeover::Announced => announce(&mut tx, &known, now, node.settings.signing_announced).await?,
        Takeover::AtOnce => rows::delete_all(&mut tx).await?,
    }
    rows::insert(&mut tx, &new).await?;
    let items = items(&rows::all(&mut tx).await?, now);
    let change = tenant_change::announce(&mut tx, node, slot, now).await?;
    audit::record(&mut tx, node, keys, &Event { subject: Some(new.id.uuid()), ..event }).await?;
    change.commit(tx, node, slot).await?;
    metrics::counter!(metric::SIGNING_KEY_ROTATIONS).increment(1);
    tracing::info!(tenant.id = %slot.id, kid = %new.id, ?takeover, "a signing key was made");
    Ok(items)
}

/// Gives the last key the end that makes room for another.
async fn announce(
    tx: &mut TenantTx,
    known: &[SigningKeyRow],
    now: UnixMs,
    announced: Duration,
) -> Result<(), RotationRefusal> {
    let ends: Vec<_> = known.iter().map(|key| key.retired_at_ms).collect();
    let end = signing_rotation::end_of_last(&ends, now, announced)?;
    if let Some(last) = known.last() {
        rows::retire(tx, last.id, end).await?;
    }
    Ok(())
}

/// A new key of the tenant, as a row.
pub(super) fn new_row(
    node: &Node,
    tenant: TenantId,
    root: &RootKey,
    now: UnixMs,
) -> Result<SigningKeyRow, CryptoError> {
    let id = SigningKeyId::new(now, node.ambient.random());
    let key = SigningKey::from_seed(id, Secret::new(node.ambient.random()))?;
    Ok(SigningKeyRow {
        id,
        public_key: key.verifying_key().public().to_vec(),
        private_sealed: key.seal(root, tenant, node.nonce())?.into_bytes(),
        created_at_ms: now,
        retired_at_ms: None,
    })
}

pub(super) fn items(keys: &[SigningKeyRow], now: UnixMs) -> Vec<SigningKeyItem> {
    let ends: Vec<_> = keys.iter().map(|key| key.retired_at_ms).collect();
    let signing = keys.get(signing_rotation::signs(&ends, now)).map(|key| key.id);
    let published = keys.iter().filter(|key| signing_rotation::is_published(key.retired_at_ms, now));
    let item = |key: &SigningKeyRow| SigningKeyItem {
        id: key.id,
        created_at: key.created_at_ms,
        is_signing: Some(key.id) == signing,
        signs_until: key.retired_at_ms,
    };
    published.map(item).collect()
}
