//! Webhooks that tenants send: what happens at a tenant is written into its audit log, and from there told to its endpoints.
//!
//! A commit that adds a row wakes [`fan_out`], which looks through the rows that nobody has looked at and writes a message for
//! each endpoint that wants one; the place up to which it has looked is a row, too, so nothing is told twice or forgotten. Each
//! endpoint has its own line, made by [`deliver`] one message at a time: one that is slow holds up itself alone.

mod deliver;
mod fan_out;

pub(crate) use self::deliver::{integration, place, told};
pub(crate) use self::fan_out::wants;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashSet;
use freehold_domain::id::{TenantId, WebhookEndpointId};
use freehold_domain::time::UnixMs;
use freehold_storage::{Chain, StoreError, TenantTx, audit, webhook_endpoint, webhook_message};
use tokio_util::sync::CancellationToken;

use crate::node::load::LoadError;
use crate::node::{Node, Unreachable};
use crate::ops::refusal::Refusal;
use crate::public_client::PublicClient;
use crate::queue::{EVERYBODY, Queue};

/// How many tenants' logs are looked through at once.
const LOOKS_MAX: usize = 8;
/// How many endpoints are told at once.
const LINES_MAX: usize = 256;
/// And of one tenant's, of those that were slow and of those that were not.
const LINES_OF_A_TENANT_MAX: usize = 4;
/// From how long on an endpoint is slow: it has its turns with others that are, and keeps no place from those that are not.
const SLOW: Duration = Duration::from_secs(1);
/// When it is tried again where something of our own failed.
const AGAIN: Duration = Duration::from_secs(30);

/// What is to be told, and the way to those that are.
pub struct Outbox {
    pub(crate) client: PublicClient,
    tenants: Queue<TenantId>,
    lines: Queue<(TenantId, WebhookEndpointId)>,
    /// The endpoints whose last answer took long, or did not come.
    slow: DashSet<WebhookEndpointId>,
}

/// Why a round could not be made.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] LoadError),
    #[error(transparent)]
    Tenant(#[from] Unreachable),
    #[error("the tenant is not served: {0:?}")]
    Refused(Refusal),
    #[error("what is stored cannot be opened")]
    Sealed,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Outbox {
    pub(crate) fn new(client: PublicClient) -> Self {
        Self { client, tenants: Queue::default(), lines: Queue::default(), slow: DashSet::new() }
    }

    /// Has the tenant's log looked through once this transaction commits, which adds to it.
    pub(crate) fn tell(self: &Arc<Self>, tx: &mut TenantTx, node: &Node, tenant: TenantId) {
        let tells = node.slots.by_id(tenant).is_none_or(|slot| slot.live().is_none_or(|live| live.tells));
        if tells {
            let (outbox, now) = (Arc::clone(self), node.ambient.now());
            tx.after_commit(move || outbox.wake(tenant, now));
        }
    }

    /// The tenant's log is to be looked through, and its messages are to be looked at.
    pub(crate) fn wake(&self, tenant: TenantId, at: UnixMs) {
        self.tenants.wake(tenant, at);
    }

    /// An endpoint was asked, and that took so long.
    fn took(&self, endpoint: WebhookEndpointId, time: Duration) {
        if time < SLOW {
            self.slow.remove(&endpoint);
        } else {
            self.slow.insert(endpoint);
        }
    }

    /// With whom an endpoint shares what one tenant may have at once.
    fn group(&self, (tenant, endpoint): &(TenantId, WebhookEndpointId)) -> (TenantId, bool) {
        (*tenant, self.slow.contains(endpoint))
    }

    /// How many endpoints have messages that wait, as far as this node knows.
    pub(crate) fn lines_waiting(&self) -> usize {
        self.lines.len()
    }
}

/// Looks and tells until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let outbox = &node.outbox;
    let look = |tenant| {
        let node = Arc::clone(&node);
        async move { or_again(&node, tenant, fan_out::round(&node, tenant).await) }
    };
    let tell = |(tenant, endpoint)| {
        let node = Arc::clone(&node);
        async move { or_again(&node, tenant, deliver::round(&node, tenant, endpoint).await) }
    };
    tokio::join!(
        outbox.tenants.run(&node.ambient, &stop, (LOOKS_MAX, AGAIN), EVERYBODY, look),
        outbox.lines.run(
            &node.ambient,
            &stop,
            (LINES_MAX, AGAIN),
            (|line: &_| outbox.group(line), LINES_OF_A_TENANT_MAX),
            tell
        )
    );
}

fn or_again(node: &Node, tenant: TenantId, next: Result<Option<UnixMs>, Trouble>) -> Option<UnixMs> {
    next.unwrap_or_else(|error| {
        tracing::warn!(tenant.id = %tenant, error = %Chain(&error), "a tenant's webhooks could not be sent");
        Some(node.ambient.now().plus(AGAIN))
    })
}

/// Whether the tenant has messages that wait, or events that nobody has looked at.
pub(crate) async fn waits(node: &Node, id: TenantId) -> Result<bool, StoreError> {
    let mut tx = node.store.read(id).await?;
    let Some(cursor) = webhook_endpoint::cursor(&mut tx).await? else { return Ok(false) };
    let head = audit::head(&mut tx).await?.map_or(0, |head| head.seq);
    Ok(cursor < head || !webhook_message::firsts(&mut tx).await?.is_empty())
}
