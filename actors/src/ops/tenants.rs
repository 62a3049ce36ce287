//! What operators do with tenants.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::email::Email;
use freehold_domain::id::{MemberId, TenantId};
use freehold_domain::keys::{CryptoError, KeyVersion, RootKey, Sealed, StoredSigningKey, TenantKeys, TenantKeysError};
use freehold_domain::letter::{Content, Letter, Link};
use freehold_domain::password::Password;
use freehold_domain::role::Role;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::text::OneLine;
use freehold_domain::time::UnixMs;
use freehold_domain::weight::Weight;
use freehold_storage::directory::{self, TenantRow, TenantStateRow};
use freehold_storage::master_seal::{self, Kept, SealRow};
use freehold_storage::member::MemberRow;
use freehold_storage::root_key::RootKeyRow;
use freehold_storage::signing_key::SigningKeyRow;
use freehold_storage::{StoreError, TenantTx, member, root_key, signing_key};
use uuid::Uuid;

use crate::breached::{Accepted, Compromised};
use crate::changes;
use crate::mail::{self, NotEnqueued};
use crate::node::load::LoadError;
use crate::node::{Node, Unreachable};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::Origin;
use crate::ops::invitations::{self, NotWritten};
use crate::ops::new_member::NewMember;
use crate::ops::signing_keys;
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
    /// Who looks after it.
    pub admin: FirstAdmin,
}

/// The first admin of a tenant.
pub enum FirstAdmin {
    /// Signs in with this password.
    WithPassword(Email, Password),
    /// Is invited by mail.
    Invited(Email),
}

/// Who does something to a tenant from outside of it.
#[derive(Clone, Debug)]
pub enum By {
    /// Whoever may run the command line.
    CommandLine,
    /// An operator, by the API: a member of the platform's own tenant, and where the request came from.
    Operator(MemberId, Origin),
}

impl By {
    /// That this was done to `tenant`.
    pub(super) fn event(&self, tenant: TenantId, action: Action, detail: Detail) -> Event {
        let (actor, detail) = match self {
            Self::CommandLine => (Actor::Operator(None), detail),
            Self::Operator(id, origin) => {
                let Detail { address, request_id, .. } = origin.detail();
                (Actor::Operator(Some(*id)), Detail { address, request_id, ..detail })
            }
        };
        Event { action, actor, subject: Some(tenant.uuid()), detail }
    }
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
    /// Somebody else changed the same at the same moment.
    #[error("somebody else changed it at the same moment: say it again")]
    Rival,
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

impl From<NotWritten> for TenantRefusal {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Store(error) => error.into(),
            NotWritten::Rival | NotWritten::Crypto(_) => Self::Internal,
        }
    }
}

impl From<NotEnqueued> for TenantRefusal {
    fn from(error: NotEnqueued) -> Self {
        NotRecorded::from(error).into()
    }
}

/// Makes a tenant with one admin. Its row in the directory is written last: until then nothing of it can be seen, and
/// a tenant that is seen is whole.
///
/// # Errors
/// [`TenantRefusal`]; a slug that is not free changes nothing.
pub async fn create(node: &Node, new: NewTenant, by: &By) -> Result<TenantRow, TenantRefusal> {
    if node.settings.reserved.hold(&new.slug) {
        return Err(TenantRefusal::Reserved(new.slug));
    }
    make(node, new, by).await
}

/// [`create`], of the platform's own tenant too.
pub(super) async fn make(node: &Node, new: NewTenant, by: &By) -> Result<TenantRow, TenantRefusal> {
    if directory::by_slug(&mut node.store.system_read().await?, new.slug.as_str()).await?.is_some() {
        return Err(TenantRefusal::Taken(new.slug));
    }
    let accepted = match &new.admin {
        FirstAdmin::WithPassword(_, password) => node.breached.check(password).await?,
        FirstAdmin::Invited(_) => Accepted::Checked,
    };
    let now = node.ambient.now();
    let id = TenantId::new(now, node.ambient.random());
    let root = RootKey::from_random(KeyVersion::FIRST, node.ambient.random());
    let (signing_row, keys) = first_keys(node, id, &root, now).map_err(|_| TenantRefusal::Internal)?;
    save_root_key(node, id, &root, now).await?;
    node.store.create_tenant_store(id).await?;
    let mut tx = match &new.admin {
        FirstAdmin::WithPassword(email, password) => {
            let name: Name = "Admin".parse().map_err(|_| TenantRefusal::Internal)?;
            let admin = admin_row(node, &keys, (email, &name), (password, accepted)).await?;
            let mut tx = node.store.write(id).await?;
            member::insert(&mut tx, &admin).await?;
            tx
        }
        FirstAdmin::Invited(email) => {
            let mut tx = node.store.write(id).await?;
            invite_admin(&mut tx, node, &keys, email, by).await?;
            tx
        }
    };
    signing_key::insert(&mut tx, &signing_row).await?;
    audit::record(&mut tx, node, &keys, &by.event(id, Action::TenantCreated, Detail::default())).await?;
    tx.commit().await?;

    let mut tx = node.store.system_write_for(id).await?;
    let state = TenantState::Active.as_str();
    if !directory::insert(&mut tx, id, new.slug.as_str(), new.name.as_str(), state, now).await? {
        return Err(TenantRefusal::Taken(new.slug));
    }
    tx.commit().await?;
    let row = find(node, &new.slug).await?;
    node.slots.meet(&row)?;
    node.post.wake(id, now); // a letter whose round came before the directory knew the tenant
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
    let row = signing_keys::new_row(node, tenant, root, now)?;
    let seed = Sealed::from_stored(row.private_sealed.clone()).map_err(|_| CryptoError)?;
    let signing = StoredSigningKey { id: row.id, seed, made: now, signs_until: None };
    let keys = TenantKeys::open(tenant, std::slice::from_ref(root), &[signing])?;
    Ok((row, keys))
}

async fn save_root_key(node: &Node, id: TenantId, root: &RootKey, now: UnixMs) -> Result<(), TenantRefusal> {
    let seal = || node.ring.load().seal_root(id, root, node.nonce()).map_err(|_| TenantRefusal::Internal);
    let version = root.version().get().into();
    let mut tx = node.store.keys_write().await?;
    let (mut master, sealed) = seal()?;
    let row = RootKeyRow { version, master_key_id: master.as_str().to_owned(), sealed, created_at_ms: now };
    root_key::insert(&mut tx, id, &row).await?;
    tx.commit().await?;
    // A rotation that began meanwhile may have passed by before the row was there.
    let (kept, mut old) = (Kept::Root { tenant: id, version }, row.sealed);
    while node.ring.load().newest() != &master {
        let (newer, sealed) = seal()?;
        let row = SealRow { kept: kept.clone(), master_key_id: master.as_str().to_owned(), sealed: old };
        let mut tx = node.store.keys_write().await?;
        if !master_seal::replace(&mut tx, &row, newer.as_str(), &sealed).await? {
            return Ok(()); // it has not
        }
        tx.commit().await?;
        (master, old) = (newer, sealed);
    }
    Ok(())
}

/// An admin with a password that was looked up, as a row.
pub(super) async fn admin_row(
    node: &Node,
    keys: &TenantKeys,
    (email, name): (&Email, &Name),
    (password, accepted): (&Password, Accepted),
) -> Result<MemberRow, TenantRefusal> {
    let mut permit = node.pool.reserve(keys.tenant(), Weight::default()).map_err(|_| TenantRefusal::Internal)?;
    let hash = node.pool.hash(&mut permit, password.clone()).await.map_err(|_| TenantRefusal::Internal)?;
    let (password_hash, unchecked) = (Some(hash.text()), accepted == Accepted::Unchecked);
    let new = NewMember { email, name, role: Role::Admin, password_hash, unchecked };
    new.row(node, keys).map_err(|_| TenantRefusal::Internal)
}

/// Invites the first admin of a tenant that nobody belongs to yet.
async fn invite_admin(
    tx: &mut TenantTx,
    node: &Node,
    keys: &TenantKeys,
    email: &Email,
    by: &By,
) -> Result<(), TenantRefusal> {
    let invited_by = match by {
        By::CommandLine => MemberId::from_uuid(Uuid::nil()),
        By::Operator(id, _) => *id,
    };
    let (item, token) = invitations::insert(tx, node, keys, email, Role::Admin, invited_by).await?;
    let inviter = format!("An operator of {}", node.settings.platform_domain);
    let inviter = inviter.parse().map_err(|_| TenantRefusal::Internal)?;
    let link = Link { token: token.text(), until: item.expires_at };
    let content = Content::Invitation { inviter, role: Role::Admin, link };
    Ok(mail::enqueue(tx, node, keys, &Letter { to: email.clone(), content }).await?)
}

/// The tenants after `after` in the order of their slugs, at most `limit`.
///
/// # Errors
/// [`StoreError`] when the directory cannot be read.
pub async fn list(node: &Node, after: &str, limit: u32) -> Result<Vec<TenantRow>, StoreError> {
    directory::page(&mut node.store.system_read().await?, after, limit).await
}

/// Why a tenant gets a state, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Term<'a> {
    /// The operator's words.
    pub reason: Option<&'a str>,
    /// When the state ends by itself.
    pub until: Option<UnixMs>,
}

/// A state that was set.
#[derive(Clone, Debug)]
pub struct StateSet {
    /// The tenant, as it is now.
    pub tenant: TenantRow,
    /// The name of the state out of service that this one took the place of; what had ended by itself held no longer.
    pub replaced: Option<String>,
}

/// Gives a tenant a state; it is in force for every request that comes after the answer. Repeating is the same.
///
/// The state is set in the directory, and recorded in the tenant's store afterwards, in a transaction of its own: a
/// tenant whose store is away can be suspended all the same, and a crash in between leaves a state without its row.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Reserved`] for the platform's own, what the store refuses,
/// [`TenantRefusal::Unrecorded`] for a state that is set.
pub async fn set_state(
    node: &Node,
    slug: &Slug,
    state: TenantState,
    term: Term<'_>,
    by: &By,
) -> Result<StateSet, TenantRefusal> {
    let Term { reason, until } = term;
    if slug.is_platform() {
        return Err(TenantRefusal::Reserved(slug.clone()));
    }
    let known = find(node, slug).await?;
    let id = known.id;
    // Decisions are told apart by their time: this one is later than the last, whatever the clocks say.
    let now = node.ambient.now().max(known.updated_at_ms.plus(Duration::from_millis(1)));
    let has_ended = known.state.until_ms.is_some_and(|until| now >= until);
    let is_other = |held: &String| [TenantState::Active, state].iter().all(|state| held != state.as_str());
    let replaced = Some(known.state.name).filter(|held| !has_ended && state != TenantState::Active && is_other(held));
    let row = TenantStateRow { name: state.as_str().to_owned(), reason: reason.map(str::to_owned), until_ms: until };
    let mut tx = node.store.system_write_for(id).await?;
    directory::set_state(&mut tx, id, &row, now).await?;
    changes::tenant(&mut tx, id, node.mark(), now).await?;
    tx.commit().await?;
    let row = find(node, slug).await?;
    let slot = node.slots.meet(&row)?;
    let detail = Detail { reason: reason.map(str::to_owned), ..Detail::default() };
    let event = by.event(id, action_of(state), detail);
    audit::record_alone(node, &slot, &event).await.map_err(TenantRefusal::Unrecorded)?;
    tracing::info!(tenant.id = %id, tenant.slug = %slug, state = state.as_str(), "a tenant's state was set");
    Ok(StateSet { tenant: row, replaced })
}

pub(super) const fn action_of(state: TenantState) -> Action {
    match state {
        TenantState::Active => Action::TenantResumed,
        TenantState::Suspended => Action::TenantSuspended,
        TenantState::ReadOnly => Action::TenantFrozen,
        TenantState::Draining => Action::TenantDrained,
        TenantState::Held => Action::TenantHeld,
    }
}

pub(super) async fn slot(node: &Node, slug: &Slug) -> Result<Arc<TenantSlot>, TenantRefusal> {
    node.slot(slug).await.map_err(|error| match error {
        Unreachable::Unknown => TenantRefusal::Unknown(slug.clone()),
        Unreachable::Store(error) => error.into(),
    })
}

pub(super) async fn find(node: &Node, slug: &Slug) -> Result<TenantRow, TenantRefusal> {
    let row = directory::by_slug(&mut node.store.system_read().await?, slug.as_str()).await?;
    row.ok_or_else(|| TenantRefusal::Unknown(slug.clone()))
}
