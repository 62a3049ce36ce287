//! What an operator gives a tenant. It lies with the tenant's settings, and no admin's change of those reaches it.

use freehold_domain::audit::{Action, Changed, Detail};
use freehold_domain::settings::TenantSettings;
use freehold_domain::slug::Slug;
use freehold_storage::setting;

use crate::node::Node;
use crate::node::load;
use crate::ops::tenants::{By, TenantRefusal, slot};
use crate::ops::{audit, tenant_change};

/// Changes a tenant's settings by `change`, in force when the answer comes; what changes
/// nothing is not recorded.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Rival`], or what the store refuses.
pub(super) async fn change(
    node: &Node,
    slug: &Slug,
    by: &By,
    change: impl FnOnce(&mut TenantSettings),
) -> Result<(), TenantRefusal> {
    let slot = slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let mut tx = node.store.write(slot.id).await?;
    let (known, version) = load::versioned_settings(&mut tx).await?;
    let mut next = known.clone();
    change(&mut next);
    let told = next.changes_since(&known);
    if told.is_empty() {
        return Ok(());
    }
    let body = serde_json::to_string(&next).map_err(|_| TenantRefusal::Internal)?;
    if !setting::replace(&mut tx, version, &body).await? {
        return Err(TenantRefusal::Rival);
    }
    let announced = tenant_change::announce(&mut tx, node, &slot, node.ambient.now()).await?;
    let changes = told.into_iter().map(|(field, from, to)| Changed { field: field.to_owned(), from, to }).collect();
    let event = by.event(slot.id, Action::SettingsChanged, Detail { changes, ..Detail::default() });
    audit::record(&mut tx, node, &keys, &event).await?;
    announced.commit(tx, node, &slot).await?;
    slot.weigh(next.weight); // places are taken before the tenant is loaded anew
    Ok(())
}
