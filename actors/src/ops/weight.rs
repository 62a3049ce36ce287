//! What share an operator gives a tenant of what tenants share.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::Action;
use freehold_domain::id::TenantId;
use freehold_domain::slug::Slug;
use freehold_domain::weight::Weight;

use crate::node::Node;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::tenants::{By, TenantRefusal};
use crate::ops::{given, operators};

/// Gives a tenant a weight; in force when the answer comes.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Rival`], or what the store refuses.
pub async fn set(node: &Node, slug: &Slug, weight: Weight, by: &By) -> Result<(), TenantRefusal> {
    given::change(node, slug, by, |settings| settings.weight = weight).await
}

/// The same, for an operator at the operators' host; the tenant's name in host names comes back. Repeating is the same.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Conflict`] when somebody else changed the tenant's settings at the same moment.
pub async fn set_by_operator(
    cx: &Context,
    caller: &AccessClaims,
    id: TenantId,
    weight: Weight,
) -> Result<Slug, Refusal> {
    operators::admit(cx, caller).await?;
    let by = operators::by(cx, caller);
    let row = operators::by_id(cx, id).await?;
    let slug: Slug = row.slug.parse().map_err(|_| Refusal::Internal)?;
    set(&cx.node, &slug, weight, &by).await.map_err(operators::refused)?;
    operators::record(cx, &by, id, Action::SettingsChanged, None).await?;
    Ok(slug)
}
