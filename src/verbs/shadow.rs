//! `freehold tenant limit … --shadow` and `freehold tenant end-shadow`.

use freehold_actors::node::Node;
use freehold_actors::ops::shadow::{self, Trial};
use freehold_actors::ops::tenants::By;
use freehold_domain::slug::Slug;
use freehold_domain::tier::{Limit, Tier};
use serde_json::{Value, json};

use super::refused;
use crate::failure::Failure;

/// Tries a limit on a tenant's traffic; off ends the trial of the tier, in production too, for it refuses nothing.
pub(super) async fn set(node: &Node, slug: &Slug, tier: Tier, limit: Limit) -> Result<Vec<Value>, Failure> {
    perform(node, slug, Trial::Of(tier, limit)).await?;
    Ok(vec![json!({ "slug": slug.as_str(), "tier": tier.as_str(), "limit": limit.to_string(), "shadow": true })])
}

/// Ends every trial.
pub(super) async fn end(node: &Node, slug: &Slug) -> Result<Vec<Value>, Failure> {
    perform(node, slug, Trial::End).await?;
    Ok(vec![json!({ "slug": slug.as_str(), "shadow": false })])
}

async fn perform(node: &Node, slug: &Slug, trial: Trial) -> Result<(), Failure> {
    shadow::set(node, slug, trial, &By::CommandLine).await.map_err(|error| refused(&error))
}
