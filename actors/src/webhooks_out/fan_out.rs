//! From the audit log to messages.

use std::sync::Arc;

use freehold_domain::audit::Action;
use freehold_domain::audit::chain::Row;
use freehold_domain::id::{TenantId, WebhookEndpointId};
use freehold_domain::time::UnixMs;
use freehold_domain::webhook_out::Topics;
use freehold_storage::webhook_endpoint::{self, WebhookEndpointRow};
use freehold_storage::{StoreError, TenantTx, audit, webhook_message};

use super::Trouble;
use crate::node::Node;

/// Rows that are looked at in one transaction.
const ROWS_MAX: u32 = 200;

/// Whom to tell of what.
struct Wanting {
    endpoint: WebhookEndpointId,
    after_seq: i64,
    topics: Topics,
}

/// Writes messages for what nobody has looked at, and has them told.
pub(super) async fn round(node: &Arc<Node>, tenant: TenantId) -> Result<Option<UnixMs>, Trouble> {
    while step(node, tenant).await? {}
    let firsts = webhook_message::firsts(&mut node.store.read(tenant).await?).await?;
    for first in firsts {
        node.outbox.lines.wake((tenant, first.endpoint), first.at);
    }
    if node.slots.by_id(tenant).is_none_or(|slot| slot.live().is_none()) {
        node.store.close_tenant(tenant).await;
    }
    Ok(None)
}

/// Looks through a part of the log; `false` when there was nothing more.
async fn step(node: &Node, tenant: TenantId) -> Result<bool, StoreError> {
    let mut tx = node.store.read(tenant).await?;
    let Some(cursor) = webhook_endpoint::cursor(&mut tx).await? else { return Ok(false) };
    let rows = audit::after(&mut tx, cursor, ROWS_MAX).await?;
    drop(tx);
    let Some(last) = rows.last().map(|row| row.seq) else { return Ok(false) };
    let mut tx = node.store.write(tenant).await?;
    if !webhook_endpoint::advance(&mut tx, cursor, last).await? {
        return Ok(true); // a rival has looked, and there may be more
    }
    let wanting = wanting(webhook_endpoint::all(&mut tx).await?)?;
    let now = node.ambient.now();
    for row in &rows {
        tell(&mut tx, &wanting, row, now).await?;
    }
    crate::fault::reach("webhook_out.looked");
    tx.commit().await?;
    Ok(true)
}

fn wanting(endpoints: Vec<WebhookEndpointRow>) -> Result<Vec<Wanting>, StoreError> {
    let told = endpoints.into_iter().filter(|endpoint| endpoint.disabled.is_none());
    told.map(|endpoint| {
        let corrupt = || StoreError::Corrupt { table: "webhook_endpoint", id: endpoint.id.to_string() };
        let topics = endpoint.topics.parse().map_err(|_| corrupt())?;
        Ok(Wanting { endpoint: endpoint.id, after_seq: endpoint.after_seq, topics })
    })
    .collect()
}

async fn tell(tx: &mut TenantTx, wanting: &[Wanting], row: &Row, now: UnixMs) -> Result<(), StoreError> {
    for wanting in wanting.iter().filter(|wanting| wanting.wants(row)) {
        webhook_message::insert(tx, wanting.endpoint, (row.seq, &row.entry.action), now).await?;
    }
    Ok(())
}

impl Wanting {
    fn wants(&self, row: &Row) -> bool {
        row.seq > self.after_seq && wants(&self.topics, self.endpoint, row)
    }
}

/// Whether an endpoint with these topics is told of a row. Of its own test each is told, and nobody of that of another.
pub(crate) fn wants(topics: &Topics, endpoint: WebhookEndpointId, row: &Row) -> bool {
    match row.entry.action.parse() {
        Ok(Action::WebhookEndpointTested) => row.entry.subject == Some(endpoint.uuid()),
        Ok(action) => topics.have(action),
        Err(_) => false, // of a newer version
    }
}
