//! What operators do with tenants.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::email::Email;
use freehold_domain::id::{MemberId, SigningKeyId, TenantId};
use freehold_domain::keys::{KeyVersion, RootKey, SigningKey, StoredSigningKey, TenantKeys, TenantKeysError};
use freehold_domain::password::Password;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::text::OneLine;
use freehold_domain::tier::{Limit, Tier};
use freehold_domain::time::UnixMs;
use freehold_storage::directory::{self, TenantRow, TenantStateRow};
use freehold_storage::member::MemberRow;
use freehold_storage::rate_limit::RateLimitRow;
use freehold_storage::root_key::RootKeyRow;
use freehold_storage::signing_key::SigningKeyRow;
use freehold_storage::{StoreError, member, rate_limit, root_key, signing_key};

use crate::breached::{Accepted, Compromised};
use crate::changes;
use crate::node::load::{self, LoadError};
use crate::node::{Node, Unreachable};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::sign_in::{email_place, name_place};
use crate::slot::TenantSlot;

/// The longest name of a tenant or a person, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A name on one line.
pub type Name = OneLine<NAME_CHARS_MAX>;

/// A tenant to be.
pub struct NewTenant {
    /// Its name in host names.
    pub slug: Slug,
    /// Its name for people.
    pub name: Name,
    /// Its first admin's e-mail address.
    pub admin_email: Email,
    /// Its first admin's password.
    pub admin_password: Password,
}

/// Why an operator's wish was not done.
#[derive(Debug, thiserror::Error)]
pub enum TenantRefusal {
    /// The slug is reserved.
    #[error("the slug {0} is reserved")]
    Reserved(Slug),
    /// The slug is another tenant's.
    #[error("the slug {0} is taken")]
    Taken(Slug),
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    Unknown(Slug),
    /// The first admin's password is not to be used.
    #[error(transparent)]
    Password(#[from] Compromised),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant's keys cannot be read.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// It is done and in force, and its row in the audit log is not there. Saying it again writes one.
    #[error("it is done, but could not be recorded in the audit log")]
    Unrecorded(#[source] NotRecorded),
    /// It failed on our side.
    #[error("internal error")]
    Internal,
}

impl From<NotRecorded> for TenantRefusal {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Store(error) => error.into(),
            NotRecorded::Keys(error) => error.into(),
            NotRecorded::Crypto(_) => Self::Internal,
        }
    }
}

/// Makes a tenant with one admin. Its row in the directory is written last: until then nothing of it can be seen, and
/// a tenant that is seen is whole.
///
/// # Errors
/// [`TenantRefusal`]; a slug that is not free changes nothing.
pub async fn create(node: &Node, new: NewTenant) -> Result<TenantRow, TenantRefusal> {
    if new.slug.is_reserved() {
        return Err(TenantRefusal::Reserved(new.slug));
    }
    if directory::by_slug(&mut node.store.system_read().await?, new.slug.as_str()).await?.is_some() {
        return Err(TenantRefusal::Taken(new.slug));
    }
    let accepted = node.breached.check(&new.admin_password).await?;
    let now = node.ambient.now();
    let id = TenantId::new(now, node.ambient.random());
    let root = RootKey::from_random(KeyVersion::FIRST, node.ambient.random());
    let (signing_row, keys) = first_keys(node, id, &root, now).map_err(|_| TenantRefusal::Internal)?;
    save_root_key(node, id, &root, now).await?;
    node.store.create_tenant_store(id).await?;
    let mut admin = admin_row(node, &keys, &new, now).await?;
    admin.password_unchecked_at_ms = (accepted == Accepted::Unchecked).then_some(now);
    let mut tx = node.store.write(id).await?;
    signing_key::insert(&mut tx, &signing_row).await?;
    member::insert(&mut tx, &admin).await?;
    audit::record(&mut tx, node, &keys, &by_operator(id, Action::TenantCreated, Detail::default())).await?;
    tx.commit().await?;

    let mut tx = node.store.system_write_for(id).await?;
    let state = TenantState::Active.as_str();
    if !directory::insert(&mut tx, id, new.slug.as_str(), new.name.as_str(), state, now).await? {
        return Err(TenantRefusal::Taken(new.slug));
    }
    tx.commit().await?;
    let row = find(node, &new.slug).await?;
    node.slots.meet(&row)?;
    tracing::info!(tenant.id = %id, tenant.slug = %new.slug, "a tenant was created");
    Ok(row)
}

/// A new tenant's signing key as a row, and its keys opened.
fn first_keys(
    node: &Node,
    tenant: TenantId,
    root: &RootKey,
    now: UnixMs,
) -> Result<(SigningKeyRow, TenantKeys), TenantKeysError> {
    let id = SigningKeyId::new(now, node.ambient.random());
    let key = SigningKey::from_seed(id, Secret::new(node.ambient.random()))?;
    let seed = key.seal(root, tenant, node.nonce())?;
    let row = SigningKeyRow {
        id,
        public_key: key.verifying_key().public().to_vec(),
        private_sealed: seed.bytes().to_vec(),
        created_at_ms: now,
        retired_at_ms: None,
    };
    let keys = TenantKeys::open(tenant, std::slice::from_ref(root), &[StoredSigningKey { id, seed }])?;
    Ok((row, keys))
}

async fn save_root_key(node: &Node, id: TenantId, root: &RootKey, now: UnixMs) -> Result<(), TenantRefusal> {
    let sealed = node.ring.load().seal_root(id, root, node.nonce());
    let (master, sealed) = sealed.map_err(|_| TenantRefusal::Internal)?;
    let row = RootKeyRow {
        version: root.version().get().into(),
        master_key_id: master.as_str().to_owned(),
        sealed,
        created_at_ms: now,
    };
    let mut tx = node.store.keys_write().await?;
    root_key::insert(&mut tx, id, &row).await?;
    Ok(tx.commit().await?)
}

async fn admin_row(node: &Node, keys: &TenantKeys, new: &NewTenant, now: UnixMs) -> Result<MemberRow, TenantRefusal> {
    let mut permit = node.pool.reserve().map_err(|_| TenantRefusal::Internal)?;
    let hash = node.pool.hash(&mut permit, new.admin_password.clone()).await.map_err(|_| TenantRefusal::Internal)?;
    let id = MemberId::new(now, node.ambient.random());
    let email = keys.seal(&email_place(&id), &new.admin_email, node.nonce());
    let name: Name = "Admin".parse().map_err(|_| TenantRefusal::Internal)?;
    let name = keys.seal(&name_place(&id), &name, node.nonce());
    Ok(MemberRow {
        id,
        email_key: keys.email_key(&new.admin_email).bytes().to_vec(),
        email_sealed: email.map_err(|_| TenantRefusal::Internal)?.into_bytes(),
        name_sealed: name.map_err(|_| TenantRefusal::Internal)?.into_bytes(),
        password_hash: Some(hash.text()),
        role: Role::Admin.as_str().to_owned(),
        credential_version: 1,
        epoch: 1,
        created_at_ms: now,
        deactivated_at_ms: None,
        password_unchecked_at_ms: None,
    })
}

/// The tenants after `after` in the order of their slugs, at most `limit`.
///
/// # Errors
/// [`StoreError`] when the directory cannot be read.
pub async fn list(node: &Node, after: &str, limit: u32) -> Result<Vec<TenantRow>, StoreError> {
    directory::page(&mut node.store.system_read().await?, after, limit).await
}

/// What an operator did to a tenant.
fn by_operator(tenant: TenantId, action: Action, detail: Detail) -> Event {
    Event { action, actor: Actor::Operator, subject: Some(tenant.uuid()), detail }
}

/// Gives a tenant a state; it is in force for every request that comes after the answer. Repeating is the same.
///
/// The state is set in the directory, and recorded in the tenant's store afterwards, in a transaction of its own: a
/// tenant whose store is away can be suspended all the same, and a crash in between leaves a state without its row.
///
/// # Errors
/// [`TenantRefusal::Unknown`], what the store refuses, [`TenantRefusal::Unrecorded`] for a state that is set.
pub async fn set_state(
    node: &Node,
    slug: &Slug,
    state: TenantState,
    reason: Option<&str>,
) -> Result<TenantRow, TenantRefusal> {
    let known = find(node, slug).await?;
    let id = known.id;
    // Decisions are told apart by their time: this one is later than the last, whatever the clocks say.
    let now = node.ambient.now().max(known.updated_at_ms.plus(Duration::from_millis(1)));
    let row = TenantStateRow { name: state.as_str().to_owned(), reason: reason.map(str::to_owned), until_ms: None };
    let mut tx = node.store.system_write_for(id).await?;
    directory::set_state(&mut tx, id, &row, now).await?;
    changes::tenant(&mut tx, id, node.mark(), now).await?;
    tx.commit().await?;
    let row = find(node, slug).await?;
    let slot = node.slots.meet(&row)?;
    let detail = Detail { reason: reason.map(str::to_owned), ..Detail::default() };
    let event = by_operator(id, action_of(state), detail);
    audit::record_alone(node, &slot, &event).await.map_err(TenantRefusal::Unrecorded)?;
    tracing::info!(tenant.id = %id, tenant.slug = %slug, state = state.as_str(), "a tenant's state was set");
    Ok(row)
}

const fn action_of(state: TenantState) -> Action {
    match state {
        TenantState::Active => Action::TenantResumed,
        TenantState::Suspended => Action::TenantSuspended,
        TenantState::ReadOnly => Action::TenantFrozen,
        TenantState::Draining => Action::TenantDrained,
        TenantState::Held => Action::TenantHeld,
    }
}

/// Gives a tenant a limit of its own for one tier; in force when the answer comes.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses.
pub async fn set_limit(node: &Node, slug: &Slug, tier: Tier, limit: Limit) -> Result<(), TenantRefusal> {
    let slot = slot(node, slug).await?;
    let (burst, period_ms) = limit.to_row();
    let keys = load::keys(node, &slot).await?;
    let (tier_name, text) = (Some(tier.as_str().to_owned()), Some(limit.to_string()));
    let event =
        by_operator(slot.id, Action::TenantLimited, Detail { tier: tier_name, limit: text, ..Detail::default() });
    let now = node.ambient.now();
    let mut tx = node.store.write(slot.id).await?;
    rate_limit::set(&mut tx, &RateLimitRow { tier: tier.as_str().to_owned(), burst, period_ms }).await?;
    changes::tenant(&mut tx, slot.id, node.mark(), now).await?;
    audit::record(&mut tx, node, &keys, &event).await?;
    tx.commit().await?;
    node.reload(&slot).await;
    Ok(())
}

pub(super) async fn slot(node: &Node, slug: &Slug) -> Result<Arc<TenantSlot>, TenantRefusal> {
    node.slot(slug).await.map_err(|error| match error {
        Unreachable::Unknown => TenantRefusal::Unknown(slug.clone()),
        Unreachable::Store(error) => error.into(),
    })
}

async fn find(node: &Node, slug: &Slug) -> Result<TenantRow, TenantRefusal> {
    let row = directory::by_slug(&mut node.store.system_read().await?, slug.as_str()).await?;
    row.ok_or_else(|| TenantRefusal::Unknown(slug.clone()))
}
