//! What an operator decides about a tenant's requests that rules match.

use freehold_domain::slug::Slug;
use freehold_domain::waf::Mode;

use crate::node::Node;
use crate::ops::given;
use crate::ops::tenants::{By, TenantRefusal};

/// Decides what is done with a tenant's requests that rules match; `None` for what the server does with those of all. In
/// force when the answer comes.
///
/// # Errors
/// [`TenantRefusal::Unknown`], [`TenantRefusal::Rival`], or what the store refuses.
pub async fn set(node: &Node, slug: &Slug, mode: Option<Mode>, by: &By) -> Result<(), TenantRefusal> {
    given::change(node, slug, by, |settings| settings.waf = mode).await
}
