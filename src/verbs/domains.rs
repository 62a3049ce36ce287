//! `freehold domain list` and `freehold domain remove`.

use freehold_actors::node::Node;
use freehold_actors::ops::domains::{DomainItem, list_of, remove_of};
use freehold_actors::ops::tenants::By;
use freehold_domain::custom_domain::DomainName;
use freehold_domain::rfc3339;
use freehold_domain::slug::Slug;
use serde_json::{Value, json};

use super::{data, refused};
use crate::cli::Exit;
use crate::failure::Failure;

/// Every domain of a tenant.
pub(super) async fn list(node: &Node, slug: &Slug) -> Result<Vec<Value>, Failure> {
    let items = list_of(node, slug).await.map_err(|error| refused(&error))?;
    let line = |item: DomainItem| {
        json!({
            "domain": item.name.as_str(),
            "attached_at": item.attached_at.map(rfc3339::text),
            "failing_since": item.failing_since.map(rfc3339::text),
            "ends_at": item.ends_at.map(rfc3339::text),
        })
    };
    Ok(items.into_iter().map(line).collect())
}

/// Takes a domain away from a tenant.
pub(super) async fn remove(node: &Node, slug: &Slug, domain: &str) -> Result<Vec<Value>, Failure> {
    let name: DomainName = domain.parse().map_err(|error| data("domain", &error))?;
    if remove_of(node, slug, &name, &By::CommandLine).await.map_err(|error| refused(&error))? {
        return Ok(vec![json!({ "slug": slug.as_str(), "domain": name.as_str(), "removed": true })]);
    }
    Err(Failure::new(Exit::Data, format!("the tenant {} has no domain {name}", slug.as_str())))
}
