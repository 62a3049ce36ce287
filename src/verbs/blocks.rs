//! `freehold tenant blocks` and `freehold tenant unblock`, and the same of addresses.

use freehold_actors::node::Node;
use freehold_actors::ops::rate_limits::{self, BlockItem};
use freehold_domain::id::BlockId;
use freehold_domain::rfc3339;
use freehold_domain::slug::Slug;
use serde_json::{Value, json};

use super::{data, refused};
use crate::cli::Exit;
use crate::failure::Failure;

/// Who is blocked or banned at a tenant, by this server.
pub(super) async fn list(node: &Node, slug: &Slug) -> Result<Vec<Value>, Failure> {
    let blocks = rate_limits::blocks(node, slug).await.map_err(|error| refused(&error))?;
    Ok(blocks.iter().map(line).collect())
}

/// Which addresses this server blocks or bans at every host.
pub(super) fn list_addresses(node: &Node) -> Vec<Value> {
    rate_limits::address_blocks(node).iter().map(line).collect()
}

fn line(block: &BlockItem) -> Value {
    json!({
        "id": block.id, "tier": block.tier.as_str(), "subject": block.whom, "stage": block.stage.as_str(),
        "since": rfc3339::text(block.since), "until": rfc3339::text(block.until),
    })
}

/// Lifts a block, in force when this returns.
pub(super) async fn lift(node: &Node, slug: &Slug, id: &str) -> Result<Vec<Value>, Failure> {
    let block: BlockId = id.parse().map_err(|error| data("block", &error))?;
    if rate_limits::unblock(node, slug, block).await.map_err(|error| refused(&error))? {
        Ok(vec![json!({ "slug": slug.as_str(), "id": block, "lifted": true })])
    } else {
        Err(Failure::new(Exit::Data, format!("{slug} has no block {block}, or not any more")))
    }
}

/// Lifts the block of an address, in force when this returns.
pub(super) async fn lift_address(node: &Node, id: &str) -> Result<Vec<Value>, Failure> {
    let block: BlockId = id.parse().map_err(|error| data("block", &error))?;
    if rate_limits::unblock_address(node, block).await.map_err(|error| refused(&error))? {
        Ok(vec![json!({ "id": block, "lifted": true })])
    } else {
        Err(Failure::new(Exit::Data, format!("no address has the block {block}, or not any more")))
    }
}
