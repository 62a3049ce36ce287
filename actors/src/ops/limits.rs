//! The limits that one tenant has instead of everybody's: given, and taken back.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Detail};
use freehold_domain::id::TenantId;
use freehold_domain::slug::Slug;
use freehold_domain::tier::{Allowance, Limit, Tier};
use freehold_storage::rate_limit::{self, RateLimitRow};

use crate::node::Node;
use crate::node::load;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{By, TenantRefusal, slot};
use crate::ops::{audit, operators, tenant_change};

/// Gives a tenant an allowance in one tier, and says which limit that is; in force when the answer comes. Repeating is the same.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses.
pub async fn set(node: &Node, slug: &Slug, tier: Tier, allowance: Allowance, by: &By) -> Result<Limit, TenantRefusal> {
    let slot = slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let (name, text) = (tier.as_str().to_owned(), allowance.to_string());
    let detail = Detail { tier: Some(name.clone()), limit: Some(text), ..Detail::default() };
    let mut tx = node.store.write(slot.id).await?;
    let in_force = match allowance {
        Allowance::Own(limit) => {
            let (burst, period_ms) = limit.to_row();
            rate_limit::set(&mut tx, &RateLimitRow { tier: name, burst, period_ms }).await?;
            limit
        }
        Allowance::Default => {
            let common = node.settings.limits.get(tier);
            if !rate_limit::remove(&mut tx, &name).await? {
                return Ok(common);
            }
            common
        }
    };
    let change = tenant_change::announce(&mut tx, node, &slot, node.ambient.now()).await?;
    audit::record(&mut tx, node, &keys, &by.event(slot.id, Action::TenantLimited, detail)).await?;
    change.commit(tx, node, &slot).await?;
    Ok(in_force)
}

/// The same, for an operator at the operators' host; the tenant's name in host names comes back too.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn set_by_operator(
    cx: &Context,
    caller: &AccessClaims,
    id: TenantId,
    (tier, allowance): (Tier, Allowance),
) -> Result<(Slug, Limit), Refusal> {
    operators::admit(cx, caller).await?;
    let by = operators::by(cx, caller);
    let row = operators::by_id(cx, id).await?;
    let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
    let in_force = set(&cx.node, &slug, tier, allowance, &by).await.map_err(operators::refused)?;
    operators::record(cx, &by, id, Action::TenantLimited, None).await?;
    Ok((slug, in_force))
}
