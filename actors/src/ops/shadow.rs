//! The limits that operators try on a tenant's traffic: set and ended. They refuse nothing; see [`freehold_domain::shadow`].

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::Action;
use freehold_domain::id::TenantId;
use freehold_domain::settings::TenantSettings;
use freehold_domain::slug::Slug;
use freehold_domain::tier::{Limit, Tier};

use crate::node::Node;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{By, TenantRefusal};
use crate::ops::{given, operators};

/// What becomes of the limits that are tried.
#[derive(Clone, Copy, Debug)]
pub enum Trial {
    /// One of this tier is tried from now on; with [`Limit::Off`] none of it.
    Of(Tier, Limit),
    /// None is tried any more.
    End,
}

/// Changes what is tried on a tenant's traffic; in force for its next request. What ends is forgotten with all that was
/// counted. Repeating is the same.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Rival`], or what the store refuses.
pub async fn set(node: &Node, slug: &Slug, trial: Trial, by: &By) -> Result<(), TenantRefusal> {
    let now = node.ambient.now();
    let change = |settings: &mut TenantSettings| match trial {
        Trial::Of(tier, limit) => settings.shadow_limits.set(tier, limit, now),
        Trial::End => settings.shadow_limits.end(),
    };
    given::change(node, slug, by, change).await
}

/// The same, for an operator at the operators' host; the tenant's name in host names comes back.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Conflict`] when somebody else changed the tenant's settings at the same moment.
pub async fn set_by_operator(cx: &Context, caller: &AccessClaims, id: TenantId, trial: Trial) -> Result<Slug, Refusal> {
    operators::admit(cx, caller).await?;
    let by = operators::by(cx, caller);
    let row = operators::by_id(cx, id).await?;
    let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
    set(&cx.node, &slug, trial, &by).await.map_err(operators::refused)?;
    operators::record(cx, &by, id, Action::SettingsChanged, None).await?;
    Ok(slug)
}
