//! The limits in force, and who is blocked or banned for having kept on against them: seen, lifted, and recorded.
//!
//! Blocks are this node's own: it knows whom it refused itself, and nobody whom another node did.

use std::net::IpAddr;
use std::sync::Arc;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::gcra::Layer;
use freehold_domain::id::{BlockId, TenantId};
use freehold_domain::penalty::{Block, Stage};
use freehold_domain::shadow::Seen;
use freehold_domain::slug::Slug;
use freehold_domain::subject::Who;
use freehold_domain::tier::{Counts, Limit, Limits, Terms, Tier};
use freehold_domain::time::UnixMs;

use crate::api_keys::ApiKeys;
use crate::node::{Node, Unreachable};
use crate::ops::audit::{self, NotRecorded};
use crate::ops::context::Context;
use crate::ops::operators;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{self, By, TenantRefusal};
use crate::penalties::Ban;
use crate::slot::TenantSlot;

/// A tier, as it is in force.
#[derive(Clone, Copy, Debug)]
pub struct TierItem {
    /// Which.
    pub tier: Tier,
    /// What it admits.
    pub limit: Limit,
    /// What it admits where a tenant was given nothing else; `None` where that is the same.
    pub default: Option<Limit>,
    /// Whom it counts.
    pub counts: Counts,
    /// What becomes of whoever keeps on; `None` where nothing but 429 does.
    pub terms: Option<Terms>,
    /// The limit that is tried there, and what it came to on this node, if one is.
    pub shadow: Option<Seen>,
}

/// Somebody who is blocked or banned.
#[derive(Clone, Debug)]
pub struct BlockItem {
    /// Which block.
    pub id: BlockId,
    /// In which tier.
    pub tier: Tier,
    /// Who, in words: an address, or the id of a member or a key.
    pub whom: String,
    /// Blocked or banned.
    pub stage: Stage,
    /// When that began.
    pub since: UnixMs,
    /// When it is over.
    pub until: UnixMs,
}

/// The tiers, and a part of who is blocked.
#[derive(Clone, Debug)]
pub struct RateLimitsPage {
    /// Every tier that counts there.
    pub tiers: Vec<TierItem>,
    /// Who is blocked, by id.
    pub items: Vec<BlockItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<BlockId>,
}

/// Which part of those who are blocked is wanted: at most so many after this one.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// After which; from the first, if it is none.
    pub after: Option<BlockId>,
    /// How many.
    pub limit: usize,
}

/// The caller's tenant.
///
/// # Errors
/// What the limits refuse.
pub async fn read(cx: &Context, caller: &AccessClaims, part: Part) -> Result<RateLimitsPage, Refusal> {
    cx.admit_member(caller).await?;
    Ok(page_of(&cx.node, &cx.slot, &cx.live.limits, &cx.live.api_keys, part))
}

/// Lifts a block of the caller's tenant, in force when the answer comes.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn lift(cx: &Context, caller: &AccessClaims, id: BlockId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let (layer, _) = find(cx.slot.cells.penalties().held(cx.node.ambient.now()), id)?;
    let event = lifted(layer, Some(&cx.live.api_keys), Actor::Member(caller.sub), cx.client.origin.detail());
    audit::record_alone(&cx.node, &cx.slot, &event).await?;
    cx.slot.cells.penalties().lift(id, cx.node.ambient.now());
    Ok(())
}

/// Another tenant, for an operator.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn read_tenant(
    cx: &Context,
    caller: &AccessClaims,
    tenant: TenantId,
    part: Part,
) -> Result<RateLimitsPage, Refusal> {
    operators::admit(cx, caller).await?;
    let slot = slot_of(cx, tenant).await?;
    let live = cx.node.live(&slot).await?;
    Ok(page_of(&cx.node, &slot, &live.limits, &live.api_keys, part))
}

/// Lifts a block of another tenant, for an operator.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn lift_of_tenant(cx: &Context, caller: &AccessClaims, tenant: TenantId, id: BlockId) -> Result<(), Refusal> {
    operators::admit(cx, caller).await?;
    let slot = slot_of(cx, tenant).await?;
    let by = operators::by(cx, caller);
    lift_by(&cx.node, &slot, id, &by).await?;
    operators::record(cx, &by, tenant, Action::RateLimitLifted, None).await
}

/// The addresses that this node blocks, whatever they ask for.
///
/// # Errors
/// What the limits refuse.
pub async fn read_addresses(cx: &Context, caller: &AccessClaims, part: Part) -> Result<RateLimitsPage, Refusal> {
    operators::admit(cx, caller).await?;
    let held = cx.node.addresses.held(cx.node.ambient.now());
    let (items, next) = cut(held, None, part);
    let limit = cx.node.settings.limits.get(Tier::Address);
    let tiers = vec![tier_item(Tier::Address, (limit, limit), None)];
    Ok(RateLimitsPage { tiers, items, next })
}

/// Lifts the block of an address.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn lift_address(cx: &Context, caller: &AccessClaims, id: BlockId) -> Result<(), Refusal> {
    operators::admit(cx, caller).await?;
    let (layer, _) = find(cx.node.addresses.held(cx.node.ambient.now()), id)?;
    let event = lifted(layer, None, Actor::Member(caller.sub), cx.client.origin.detail());
    audit::record_alone(&cx.node, &cx.slot, &event).await?;
    cx.node.addresses.lift(id, cx.node.ambient.now());
    Ok(())
}

/// Who is blocked at a tenant, for the command line.
///
/// # Errors
/// [`TenantRefusal`]
pub async fn blocks(node: &Node, slug: &Slug) -> Result<Vec<BlockItem>, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let (held, live) = (slot.cells.penalties().held(node.ambient.now()), slot.live());
    let keys = live.as_ref().map(|live| &live.api_keys);
    Ok(held.into_iter().map(|held| block_item(held, keys)).collect())
}

/// Lifts a block of a tenant, for the command line; `false` when there is no such block.
///
/// # Errors
/// [`TenantRefusal`]
pub async fn unblock(node: &Node, slug: &Slug, id: BlockId) -> Result<bool, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    match lift_by(node, &slot, id, &By::CommandLine).await {
        Ok(()) => Ok(true),
        Err(NotLifted::Unknown) => Ok(false),
        Err(NotLifted::Unrecorded(error)) => Err(error.into()),
    }
}

/// Which addresses are blocked, for the command line.
#[must_use]
pub fn address_blocks(node: &Node) -> Vec<BlockItem> {
    node.addresses.held(node.ambient.now()).into_iter().map(|held| block_item(held, None)).collect()
}

/// Lifts the block of an address, for the command line; `false` when there is no such block. It is recorded in the platform's
/// log, if there is a platform.
///
/// # Errors
/// [`TenantRefusal`]
pub async fn unblock_address(node: &Node, id: BlockId) -> Result<bool, TenantRefusal> {
    let Ok((layer, _)) = find(node.addresses.held(node.ambient.now()), id) else { return Ok(false) };
    match tenants::slot(node, &Slug::platform()).await {
        Ok(platform) => {
            let event = lifted(layer, None, Actor::Operator(None), Detail::default());
            audit::record_alone(node, &platform, &event).await?;
        }
        Err(TenantRefusal::Unknown(_)) => {}
        Err(error) => return Err(error),
    }
    node.addresses.lift(id, node.ambient.now());
    Ok(true)
}

/// Writes a ban to the log that it belongs to: the tenant's, or for an address of the node the platform's, if there is one.
///
/// # Errors
/// [`NotRecorded`]; it can be tried again.
pub(crate) async fn record_ban(node: &Node, ban: Ban) -> Result<(), NotRecorded> {
    let found = match ban.tenant {
        Some(id) => node.slot_of(id).await,
        None => node.slot(&Slug::platform()).await,
    };
    let slot = match found {
        Ok(slot) => slot,
        Err(Unreachable::Unknown) => return Ok(()),
        Err(Unreachable::Store(error)) => return Err(error.into()),
    };
    let live = slot.live();
    let event = Event {
        action: Action::RateLimitBanned,
        actor: Actor::System,
        subject: Who::of(ban.layer).id(),
        detail: named(ban.layer, live.as_ref().map(|live| &live.api_keys), Detail::default()),
    };
    audit::record_alone(node, &slot, &event).await
}

/// Why a block was not lifted.
enum NotLifted {
    Unknown,
    Unrecorded(NotRecorded),
}

impl From<NotLifted> for Refusal {
    fn from(not: NotLifted) -> Self {
        match not {
            NotLifted::Unknown => Self::NotFound,
            NotLifted::Unrecorded(error) => error.into(),
        }
    }
}

/// Recorded first: a block that could not be recorded as lifted stays.
async fn lift_by(node: &Node, slot: &TenantSlot, id: BlockId, by: &By) -> Result<(), NotLifted> {
    let held = slot.cells.penalties().held(node.ambient.now());
    let (layer, _) = find(held, id).map_err(|_| NotLifted::Unknown)?;
    let live = slot.live();
    let detail = named(layer, live.as_ref().map(|live| &live.api_keys), Detail::default());
    let event = by.event(slot.id, Action::RateLimitLifted, detail);
    let event = Event { subject: Who::of(layer).id(), ..event };
    audit::record_alone(node, slot, &event).await.map_err(NotLifted::Unrecorded)?;
    slot.cells.penalties().lift(id, node.ambient.now());
    Ok(())
}

fn find(held: Vec<(Layer, Block)>, id: BlockId) -> Result<(Layer, Block), Refusal> {
    held.into_iter().find(|(_, block)| block.id == id).ok_or(Refusal::NotFound)
}

async fn slot_of(cx: &Context, tenant: TenantId) -> Result<Arc<TenantSlot>, Refusal> {
    operators::by_id(cx, tenant).await?;
    cx.node.slot_of(tenant).await.map_err(|error| match error {
        Unreachable::Unknown => Refusal::NotFound,
        Unreachable::Store(error) => error.into(),
    })
}

fn lifted(layer: Layer, keys: Option<&ApiKeys>, actor: Actor, detail: Detail) -> Event {
    let detail = named(layer, keys, detail);
    Event { action: Action::RateLimitLifted, actor, subject: Who::of(layer).id(), detail }
}

fn named(layer: Layer, keys: Option<&ApiKeys>, detail: Detail) -> Detail {
    Detail { tier: Some(layer.tier.as_str().to_owned()), whom: Some(words(layer, keys)), ..detail }
}

fn page_of(node: &Node, slot: &TenantSlot, limits: &Limits, keys: &ApiKeys, part: Part) -> RateLimitsPage {
    let held = slot.cells.penalties().held(node.ambient.now());
    let (items, next) = cut(held, Some(keys), part);
    let common = &node.settings.limits;
    let limit = |tier| if tier == Tier::Address { common.get(tier) } else { limits.get(tier) };
    let shadow = slot.cells.shadow();
    let item = |tier| tier_item(tier, (limit(tier), common.get(tier)), shadow.seen(tier));
    let tiers = Tier::ALL.into_iter().map(item).collect();
    RateLimitsPage { tiers, items, next }
}

fn tier_item(tier: Tier, (limit, common): (Limit, Limit), shadow: Option<Seen>) -> TierItem {
    let row = tier.row();
    let terms = row.graduation.and_then(|graduation| graduation.under(limit));
    let default = Some(common).filter(|common| *common != limit);
    TierItem { tier, limit, default, counts: row.counts, terms, shadow }
}

/// The part that is wanted, and where the next one begins.
fn cut(held: Vec<(Layer, Block)>, keys: Option<&ApiKeys>, part: Part) -> (Vec<BlockItem>, Option<BlockId>) {
    let after = held.into_iter().filter(|(_, block)| part.after.is_none_or(|after| block.id > after));
    let mut items: Vec<_> = after.take(part.limit + 1).map(|held| block_item(held, keys)).collect();
    let more = items.len() > part.limit;
    items.truncate(part.limit);
    let next = items.last().filter(|_| more).map(|item| item.id);
    (items, next)
}

fn block_item((layer, block): (Layer, Block), keys: Option<&ApiKeys>) -> BlockItem {
    let Block { id, stage, since, until } = block;
    BlockItem { id, tier: layer.tier, whom: words(layer, keys), stage, since, until }
}

/// Who that is, for people.
fn words(layer: Layer, keys: Option<&ApiKeys>) -> String {
    match Who::of(layer) {
        Who::Address(IpAddr::V4(address)) => format!("address {address}"),
        Who::Address(IpAddr::V6(network)) => format!("network {network}/64"),
        Who::Member(id) => format!("member {id}"),
        Who::Session(id) => format!("session {id}"),
        Who::Key(id) => format!("API key {id}"),
        Who::Visitor => match keys.and_then(|keys| keys.visited(layer.subject)) {
            Some((key, address)) => format!("visitor at {address} with API key {key}"),
            None => "visitor with an API key".to_owned(),
        },
        Who::Account => "account".to_owned(),
        Who::Many => "all".to_owned(),
    }
}
