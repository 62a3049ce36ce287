//! What waits in tenants' stores and this node does not know of: what an earlier run left, and what another node has.
//!
//! On SQLite every tenant's file is asked once, after a start: one process owns these files, and of what is added later it
//! knows. On PostgreSQL a question across tenants is asked every half minute, because another node's round may have died.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;
use freehold_storage::due::{self, Due};
use freehold_storage::{Chain, StoreError, directory, integration, mail, webhook_inbox};
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::webhooks_out;

/// How often a shared store is asked.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// When a tenant is looked at again whose store did not answer.
const AGAIN: Duration = Duration::from_mins(1);
const TENANTS_PAGE: u32 = 100;
const DUE_PAGE: u32 = 1_000;

/// Finds what waits, until `stop` or until everybody was asked.
pub async fn find(node: Arc<Node>, stop: CancellationToken) {
    if !node.store.is_shared() {
        if stop.run_until_cancelled(ask_everybody(&node)).await == Some(Err(())) {
            tracing::error!("the directory could not be read: what waits from an earlier run waits for the next start");
        }
        return;
    }
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        if let Err(error) = ask_the_store(&node).await {
            tracing::warn!(error = %Chain(&error), "what waits could not be read");
        }
    }
}

async fn ask_the_store(node: &Node) -> Result<(), StoreError> {
    let now = node.ambient.now();
    // Those that are due before the next look too: their round finds out when.
    let soon = now.plus(LOOK_EVERY);
    let mut tx = node.store.system_read().await?;
    for tenant in due::tenants(&mut tx, Due::Letters, soon, DUE_PAGE).await? {
        node.post.wake(tenant, now);
    }
    for tenant in due::tenants(&mut tx, Due::Messages, soon, DUE_PAGE).await? {
        node.outbox.wake(tenant, now);
    }
    for tenant in due::tenants(&mut tx, Due::Tokens, soon, DUE_PAGE).await? {
        node.integrations.wake(tenant, now);
    }
    for tenant in due::tenants(&mut tx, Due::Events, soon, DUE_PAGE).await? {
        node.inbox.wake(tenant, now);
    }
    Ok(())
}

async fn ask_everybody(node: &Node) -> Result<(), ()> {
    let mut after = String::new();
    loop {
        let page = async { directory::page(&mut node.store.system_read().await?, &after, TENANTS_PAGE).await };
        let rows = page.await.map_err(|error| tracing::error!(error = %Chain(&error), "the directory failed"))?;
        let Some(last) = rows.last() else { return Ok(()) };
        after.clone_from(&last.slug);
        for row in rows {
            // Where nobody answers, its rounds find out.
            let again = node.ambient.now().plus(AGAIN);
            ask(node, row.id, again).await;
            if node.slots.by_id(row.id).is_none_or(|slot| slot.live().is_none()) {
                node.store.close_tenant(row.id).await; // nobody else has a use for its file
            }
        }
    }
}

async fn ask(node: &Node, id: TenantId, again: UnixMs) {
    let [letter, event, token] = next_due(node, id).await.unwrap_or([Some(again); 3]);
    if let Some(at) = letter {
        node.post.wake(id, at);
    }
    if let Some(at) = event {
        node.inbox.wake(id, at);
    }
    if let Some(at) = token {
        node.integrations.wake(id, at);
    }
    match webhooks_out::waits(node, id).await {
        Ok(true) => node.outbox.wake(id, node.ambient.now()),
        Ok(false) => {}
        Err(_) => node.outbox.wake(id, again),
    }
}

/// When the first letter of a tenant is due, when the first event, and when the first token of an integration.
async fn next_due(node: &Node, id: TenantId) -> Result<[Option<UnixMs>; 3], StoreError> {
    let mut tx = node.store.read(id).await?;
    let letter = mail::next(&mut tx).await?.map(|letter| letter.next_try_at_ms);
    Ok([letter, webhook_inbox::next_try(&mut tx).await?, integration::next_due(&mut tx).await?])
}
