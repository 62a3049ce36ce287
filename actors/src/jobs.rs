//! What is done every so often: whether the store keeps tenants apart is looked at; who may still come in is compared with
//! it, whatever told this node of it; signing keys that are old get a successor; rows nobody needs any more are swept from
//! the stores of active tenants and from the system store, tenants that are parked and blank are forgotten, and gauges set.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::custom_domain::CLAIM_KEPT;
use freehold_domain::id::TenantId;
use freehold_domain::known_client::KNOWN_FOR;
use freehold_domain::revocation::DEPTH;
use freehold_domain::signing_rotation::KEPT;
use freehold_domain::time::{CLOCKS_APART_MAX, UnixMs};
use freehold_domain::{webhook, webhook_out};
use freehold_storage::{
    Chain, Isolation, Store, StoreError, change, csp_report, custom_domain, family, invitation, known_client, lockout,
    mail, oauth, one_time_token, second_factor, signing_key, webhook_event, webhook_message, webhook_refusal,
};
use tokio_util::sync::CancellationToken;

use crate::changes;
use crate::metric;
use crate::node::Node;
use crate::ops::{self, signing_keys};
use crate::penalties;
use crate::shares::Resource;
use crate::slot::TenantSlot;

const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Between two looks for custom domains that are due, at most.
const DOMAINS_EVERY_MAX: Duration = Duration::from_mins(1);
const GAUGE_EVERY: Duration = Duration::from_secs(5);
/// Between two looks for tenants to forget: as long as a tenant may be idle, within these.
const FORGET_EVERY_MIN: Duration = Duration::from_secs(1);
const FORGET_EVERY_MAX: Duration = Duration::from_mins(1);
/// How long failures are remembered of an account that nobody tries.
const LOCKOUT_KEPT: Duration = Duration::from_hours(24);
/// How long a sort of violation is kept that browsers report no more.
const CSP_REPORTS_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long it is known that a letter was given up.
const GIVEN_UP_KEPT: Duration = Duration::from_hours(30 * 24);
/// Deliveries that are swept at once: some are large.
const DELIVERIES_MAX: u32 = 200;
const ROWS_MAX: u32 = 1_000;
/// As many times as many: what the tenant's rate limit lets in between two sweeps.
const OAUTH_ROUNDS_MAX: u32 = 60;

/// Runs the jobs until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut sweeps = tokio::time::interval(SWEEP_EVERY);
    let mut gauges = tokio::time::interval(GAUGE_EVERY);
    let mut looks = tokio::time::interval(node.settings.reconcile);
    let mut domains = tokio::time::interval(node.proofs.rules().retry.min(DOMAINS_EVERY_MAX));
    let passivate = node.settings.passivate;
    let mut forgets = tokio::time::interval(passivate.clamp(FORGET_EVERY_MIN, FORGET_EVERY_MAX));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweeps.tick() => sweep_all(&node).await,
            _ = gauges.tick() => set_gauges(&node),
            _ = looks.tick() => {
                look_at_isolation(&node).await;
                reconcile_all(&node).await;
                if let Err(error) = ops::security_reports::measure(&node).await {
                    tracing::warn!(error = %Chain(&error), "reports of weaknesses could not be counted");
                }
            }
            _ = domains.tick() => {
                if let Err(error) = ops::domains::look_at_due(&node).await {
                    tracing::warn!(error = %Chain(&error), "custom domains could not be looked at");
                }
            }
            _ = forgets.tick() => {
                let now = node.ambient.now();
                node.slots.forget(now.minus(passivate), now);
            }
        }
    }
}

/// Sets the gauges to what is now.
pub fn set_gauges(node: &Node) {
    let (active, quarantined) = node.slots.census(node.ambient.now());
    metrics::gauge!(metric::KNOWN_TENANTS).set(u32::try_from(node.slots.len()).unwrap_or(u32::MAX));
    metrics::gauge!(metric::ACTIVE_TENANTS).set(u32::try_from(active).unwrap_or(u32::MAX));
    metrics::gauge!(metric::QUARANTINED_TENANTS).set(u32::try_from(quarantined).unwrap_or(u32::MAX));
    metrics::gauge!(metric::ISOLATED).set(u32::from(node.is_isolated()));
    metrics::gauge!(metric::IN_FLIGHT).set(node.in_flight());
    metrics::gauge!(metric::RECEIVING).set(node.receiving());
    metrics::gauge!(metric::MAIL_TENANTS).set(u32::try_from(node.post.tenants_waiting()).unwrap_or(u32::MAX));
    metrics::gauge!(metric::WEBHOOK_LINES).set(u32::try_from(node.outbox.lines_waiting()).unwrap_or(u32::MAX));
    let waiting = u32::try_from(node.inbox.tenants_waiting()).unwrap_or(u32::MAX);
    metrics::gauge!(metric::WEBHOOK_INBOX_TENANTS).set(waiting);
    Resource::Connections.refused_so_far(node.store.refused_their_share());
    penalties::set_gauges(node);
    metrics::gauge!(metric::HASH_QUEUE).set(u32::try_from(node.pool.depth()).unwrap_or(u32::MAX));
}

/// The tenants that are active.
fn active(node: &Node) -> Vec<TenantId> {
    let mut active = vec![];
    node.slots.all(|slot| active.extend(slot.live().is_some().then_some(slot.id)));
    active
}

/// Looks whether the store still keeps tenants apart: where it does not, the node asks for no more requests.
async fn look_at_isolation(node: &Node) {
    match node.store.isolation().await {
        Ok(Isolation::RowLevelSecurity { fault: Some(fault) }) => {
            tracing::error!(fault, "the store does not keep tenants apart: this node is not ready");
            node.note_isolation(false);
        }
        Ok(Isolation::Files | Isolation::RowLevelSecurity { fault: None }) => node.note_isolation(true),
        Err(error) => tracing::warn!(error = %Chain(&error), "nobody can say whether the store keeps tenants apart"),
    }
}

/// Reads what died of late anew, for every active tenant: what a node missed of it is in force from here on.
async fn reconcile_all(node: &Node) {
    for id in active(node) {
        let Some(slot) = node.slots.by_id(id) else { continue };
        let since = node.ambient.now().minus(DEPTH + CLOCKS_APART_MAX);
        let dead = async { changes::reconciled(&mut node.store.read(id).await?, since).await };
        match dead.await {
            Ok(dead) => {
                slot.bury_all(&dead);
                signing_keys::rotate_if_due(node, &slot).await;
            }
            Err(error) => {
                tracing::warn!(tenant.id = %id, error = %Chain(&error), "a tenant could not be compared with its store");
            }
        }
    }
}

async fn sweep_all(node: &Node) {
    for id in active(node) {
        let Some(slot) = node.slots.by_id(id) else { continue };
        if let Err(error) = sweep(node, &slot, node.ambient.now()).await {
            tracing::warn!(tenant.id = %id, error = %Chain(&error), "a tenant's store could not be swept");
        }
    }
    if let Err(error) = ops::security_reports::sweep(node, ROWS_MAX).await {
        tracing::warn!(error = %Chain(&error), "reports of weaknesses could not be swept");
    }
    if let Err(error) = sweep_system(&node.store, node.ambient.now()).await {
        tracing::warn!(error = %Chain(&error), "the system store could not be swept");
    }
}

/// Deletes what has ended: families past their end with their spent tokens, challenges nobody answered, failures a day old,
/// old changes, clients that do not come any more, signing keys whose last token has expired, reports of browsers a month
/// old, webhooks three months old, and what is known of letters that were given up.
async fn sweep(node: &Node, slot: &TenantSlot, now: UnixMs) -> Result<(), StoreError> {
    let mut tx = node.store.write(slot.id).await?;
    family::sweep(&mut tx, now, ROWS_MAX).await?;
    family::forget_successors(&mut tx, now, ROWS_MAX).await?;
    invitation::sweep(&mut tx, now, ROWS_MAX).await?;
    second_factor::sweep(&mut tx, now, ROWS_MAX).await?;
    one_time_token::sweep(&mut tx, now, ROWS_MAX).await?;
    lockout::sweep(&mut tx, now.minus(LOCKOUT_KEPT), now, ROWS_MAX).await?;
    change::sweep(&mut tx, now.minus(DEPTH), ROWS_MAX).await?;
    known_client::sweep(&mut tx, now.minus(KNOWN_FOR), ROWS_MAX).await?;
    csp_report::sweep(&mut tx, now.minus(CSP_REPORTS_KEPT), ROWS_MAX).await?;
    webhook_event::sweep(&mut tx, now.minus(webhook::KEPT), DELIVERIES_MAX).await?;
    webhook_message::sweep(&mut tx, now.minus(webhook_out::KEPT), ROWS_MAX).await?;
    webhook_refusal::sweep(&mut tx, now.minus(webhook::KEPT)).await?;
    signing_key::sweep(&mut tx, now.minus(KEPT)).await?;
    mail::sweep(&mut tx, now.minus(GIVEN_UP_KEPT), ROWS_MAX).await?;
    tx.commit().await?;
    sweep_oauth(node, slot, now).await
}

/// Deletes sign-ins at providers that nobody finished. Anybody can begin one, so there may be many.
async fn sweep_oauth(node: &Node, slot: &TenantSlot, now: UnixMs) -> Result<(), StoreError> {
    for _ in 0..OAUTH_ROUNDS_MAX {
        let mut tx = node.store.write(slot.id).await?;
        let swept = oauth::sweep(&mut tx, now, ROWS_MAX).await?;
        tx.commit().await?;
        if swept < u64::from(ROWS_MAX) {
            break;
        }
    }
    Ok(())
}

/// Deletes claims of domains that nobody proved, and old changes of tenants as such. In a shared store they stand with the tenant's own, and go with those.
async fn sweep_system(store: &Store, now: UnixMs) -> Result<(), StoreError> {
    let mut tx = store.system_write().await?;
    custom_domain::sweep(&mut tx, now.minus(CLAIM_KEPT), ROWS_MAX).await?;
    if store.is_shared() {
        return tx.commit().await;
    }
    change::sweep(&mut tx, now.minus(DEPTH), ROWS_MAX).await?;
    tx.commit().await
}
