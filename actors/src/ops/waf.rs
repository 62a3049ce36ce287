//! What an operator decides about a tenant's requests that rules match. It lies with the tenant's settings, and no admin's
//! change of those reaches it.

use freehold_domain::audit::{Action, Changed, Detail};
use freehold_domain::settings::TenantSettings;
use freehold_domain::slug::Slug;
use freehold_domain::waf::Mode;
use freehold_storage::setting;

use crate::node::Node;
use crate::node::load;
use crate::ops::tenants::{By, TenantRefusal, slot};
use crate::ops::{audit, tenant_change};

/// Decides what is done with a tenant's requests that rules match; `None` for what the server does with those of all. In
/// force when the answer comes.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Rival`], or what the store refuses.
pub async fn set(node: &Node, slug: &Slug, mode: Option<Mode>, by: &By) -> Result<(), TenantRefusal> {
    let slot = slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let mut tx = node.store.write(slot.id).await?;
    let (known, version) = load::versioned_settings(&mut tx).await?;
    let next = TenantSettings { waf: mode, ..known.clone() };
    let told = next.changes_since(&known);
    if told.is_empty() {
        return Ok(());
    }
    let body = serde_json::to_string(&next).map_err(|_| TenantRefusal::Internal)?;
    if !setting::replace(&mut tx, version, &body).await? {
        return Err(TenantRefusal::Rival);
    }
    let change = tenant_change::announce(&mut tx, node, &slot, node.ambient.now()).await?;
    let changes = told.into_iter().map(|(field, from, to)| Changed { field: field.to_owned(), from, to }).collect();
    let event = by.event(slot.id, Action::SettingsChanged, Detail { changes, ..Detail::default() });
    audit::record(&mut tx, node, &keys, &event).await?;
    Ok(change.commit(tx, node, &slot).await?)
}
