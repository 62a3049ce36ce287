//! Operators: the members of the platform's own tenant, and what they do by its API.
//!
//! The platform is a tenant like any other: operators sign in at its host, with its lockouts, second factor and audit log.
//! What an operator does to a tenant is recorded in that tenant's log and in the platform's own.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::email::Email;
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::id::TenantId;
use freehold_domain::password::Password;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_storage::directory::{self, TenantRow};

use crate::node::load;
use crate::node::{Node, tree};
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::new_member;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{self, By, FirstAdmin, Name, NewTenant, TenantRefusal, Term};

/// Why an operator was not made.
#[derive(Debug, thiserror::Error)]
pub enum OperatorRefusal {
    /// The address is an operator's.
    #[error("there is an operator with this address")]
    Taken,
    /// Anything else.
    #[error(transparent)]
    Tenant(#[from] TenantRefusal),
}

/// Makes an operator; with the first one the platform's own tenant.
///
/// # Errors
/// [`OperatorRefusal`], with nothing changed.
pub async fn create(node: &Node, email: Email, password: Password) -> Result<TenantRow, OperatorRefusal> {
    let slug = Slug::platform();
    let known = match tenants::find(node, &slug).await {
        Ok(known) => known,
        Err(TenantRefusal::Unknown(_)) => {
            let name: Name = "Operators".parse().map_err(|_| TenantRefusal::Internal)?;
            let admin = FirstAdmin::WithPassword(email.clone(), password.clone());
            match tenants::make(node, NewTenant { slug: slug.clone(), name, admin }, &By::CommandLine).await {
                Ok(made) => return Ok(made),
                Err(TenantRefusal::Taken(_)) => tenants::find(node, &slug).await?, // by a rival, meanwhile
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(refusal) => return Err(refusal.into()),
    };
    add(node, &slug, &email, &password).await?;
    Ok(known)
}

async fn add(node: &Node, slug: &Slug, email: &Email, password: &Password) -> Result<(), OperatorRefusal> {
    let accepted = node.breached.check(password).await.map_err(TenantRefusal::from)?;
    let slot = tenants::slot(node, slug).await?;
    let keys = load::keys(node, &slot).await.map_err(TenantRefusal::from)?;
    let name: Name = "Operator".parse().map_err(|_| TenantRefusal::Internal)?;
    let row = tenants::admin_row(node, &keys, (email, &name), (password, accepted)).await?;
    let mut tx = node.store.write(slot.id).await.map_err(TenantRefusal::from)?;
    if !new_member::insert(&mut tx, &keys, email, &row).await.map_err(TenantRefusal::from)? {
        return Err(OperatorRefusal::Taken);
    }
    let (action, actor) = (Action::MemberJoined, Actor::Operator(None));
    let event = Event { action, actor, subject: Some(row.id.uuid()), detail: Detail::default() };
    audit::record(&mut tx, node, &keys, &event).await.map_err(TenantRefusal::from)?;
    Ok(tx.commit().await.map_err(TenantRefusal::from)?)
}

/// A tenant, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantItem {
    /// The tenant.
    pub id: TenantId,
    /// Its name in host names.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// Its public origin.
    pub url: String,
    /// Whether it is served.
    pub state: TenantState,
    /// Why, in an operator's words.
    pub reason: Option<String>,
    /// When the state ends by itself.
    pub until: Option<UnixMs>,
    /// When it was made.
    pub created_at: UnixMs,
}

impl TenantItem {
    fn of(node: &Node, row: TenantRow) -> Result<Self, Refusal> {
        let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
        let ended = row.state.until_ms.is_some_and(|until| node.ambient.now() >= until);
        let state = row.state.name.parse().map_err(|_| Refusal::Internal)?;
        Ok(Self {
            id: row.id,
            url: node.settings.issuer(&slug),
            slug,
            name: row.name,
            state: if ended { TenantState::Active } else { state },
            reason: row.state.reason.filter(|_| !ended),
            until: row.state.until_ms.filter(|_| !ended),
            created_at: row.created_at_ms,
        })
    }
}

/// A part of the tenants.
#[derive(Debug)]
pub struct TenantPage {
    /// The tenants, by slug.
    pub items: Vec<TenantItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<String>,
}

/// The tenants after the slug `after`, at most `limit`; the platform's own is not among them.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims, after: &str, limit: u32) -> Result<TenantPage, Refusal> {
    admit(cx, caller).await?;
    let mut rows = tenants::list(&cx.node, after, limit + 2).await?;
    rows.retain(|row| row.slug != Slug::platform().as_str());
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.slug.clone());
    let items = rows.into_iter().map(|row| TenantItem::of(&cx.node, row)).collect::<Result<_, _>>()?;
    Ok(TenantPage { items, next })
}

/// Makes a tenant whose first admin is invited by mail.
///
/// # Errors
/// [`Refusal::Collides`] for a slug that is reserved or taken.
pub async fn create_tenant(
    cx: &Context,
    caller: &AccessClaims,
    (slug, name): (Slug, Name),
    admin: Email,
) -> Result<TenantItem, Refusal> {
    admit(cx, caller).await?;
    let by = by(cx, caller);
    let new = NewTenant { slug, name, admin: FirstAdmin::Invited(admin) };
    let made = tenants::create(&cx.node, new, &by).await.map_err(refused)?;
    record(cx, &by, made.id, Action::TenantCreated, None).await?;
    TenantItem::of(&cx.node, made)
}

/// Gives a tenant a state, in force when the answer comes. Repeating is the same.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn set_state(
    cx: &Context,
    caller: &AccessClaims,
    id: TenantId,
    state: TenantState,
    term: Term<'_>,
) -> Result<TenantItem, Refusal> {
    admit(cx, caller).await?;
    let by = by(cx, caller);
    let row = by_id(cx, id).await?;
    let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
    let set = tenants::set_state(&cx.node, &slug, state, term, &by).await.map_err(refused)?;
    record(cx, &by, id, tenants::action_of(state), term.reason).await?;
    TenantItem::of(&cx.node, set.tenant)
}

/// The actors of a tenant; `None` while it is parked.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn tree(cx: &Context, caller: &AccessClaims, id: TenantId) -> Result<Option<tree::TenantNode>, Refusal> {
    admit(cx, caller).await?;
    by_id(cx, id).await?;
    let Some(slot) = cx.node.slots.by_id(id) else { return Ok(None) };
    Ok(tree::of(&cx.node, &slot).await)
}

pub(super) async fn admit(cx: &Context, caller: &AccessClaims) -> Result<(), Refusal> {
    let operator = Layer { tier: Tier::Operator, subject: Subject(caller.sub.uuid().as_u128()) };
    cx.admit(&[operator]).await?;
    cx.admit_member(caller).await
}

pub(super) async fn by_id(cx: &Context, id: TenantId) -> Result<TenantRow, Refusal> {
    let row = directory::by_id(&mut cx.node.store.system_read().await?, id).await?;
    row.filter(|row| row.slug != Slug::platform().as_str()).ok_or(Refusal::NotFound)
}

pub(super) fn by(cx: &Context, caller: &AccessClaims) -> By {
    By::Operator(caller.sub, cx.client.origin.clone())
}

/// Records what was done in the platform's own log too.
pub(super) async fn record(
    cx: &Context,
    by: &By,
    id: TenantId,
    action: Action,
    reason: Option<&str>,
) -> Result<(), Refusal> {
    let event = by.event(id, action, Detail { reason: reason.map(str::to_owned), ..Detail::default() });
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    audit::record(&mut tx, &cx.node, &cx.live.keys, &event).await?;
    Ok(tx.commit().await?)
}

pub(super) fn refused(refusal: TenantRefusal) -> Refusal {
    match refusal {
        TenantRefusal::Reserved(_) | TenantRefusal::Taken(_) => Refusal::Collides,
        TenantRefusal::Unknown(_) => Refusal::NotFound,
        TenantRefusal::Store(error) => error.into(),
        TenantRefusal::Keys(error) => error.into(),
        TenantRefusal::Unrecorded(error) => error.into(),
        TenantRefusal::Password(compromised) => compromised.into(),
        TenantRefusal::Rival => Refusal::Conflict,
        TenantRefusal::Internal => Refusal::Internal,
    }
}
