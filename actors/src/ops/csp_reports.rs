//! What browsers report of a tenant's pages: taken from anybody, kept in bounds, shown to admins.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::csp_report::{CspReport, KEPT_MAX};
use freehold_domain::gcra::Layer;
use freehold_domain::id::CspReportId;
use freehold_domain::keys::Sealed;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_storage::csp_report as rows;

use crate::metric;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// A sort of violation, as admins see it.
#[derive(Clone, Debug)]
pub struct CspReportItem {
    /// Which.
    pub id: CspReportId,
    /// What was reported.
    pub report: CspReport,
    /// How often.
    pub times: i64,
    /// When first.
    pub first_seen_at: UnixMs,
    /// When last.
    pub last_seen_at: UnixMs,
}

/// A part of them, in the order in which they first came.
#[derive(Clone, Debug)]
pub struct CspReportPage {
    /// The sorts.
    pub items: Vec<CspReportItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<CspReportId>,
}

/// Takes the reports of one request: what is known is counted, and what is new is kept, in the place of the one
/// that came least where there is no room.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn take(cx: &Context, reports: &[CspReport]) -> Result<(), Refusal> {
    cx.admit(&[Layer { tier: Tier::CspReport, subject: cx.client.bucket }, cx.tenant_layer()]).await?;
    if reports.is_empty() {
        return Ok(());
    }
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    for report in reports {
        let disposition = if report.is_enforced { "enforce" } else { "report" };
        metrics::counter!(metric::CSP_REPORTS, "disposition" => disposition).increment(1);
        let key = cx.live.keys.csp_report_key(&report.identity());
        if rows::again(&mut tx, key.bytes(), now).await? {
            continue;
        }
        let id = CspReportId::new(now, cx.node.ambient.random());
        let sealed = cx.live.keys.seal(&CspReport::place(id.as_bytes()), report, cx.node.nonce());
        let sealed = sealed.map_err(|_| Refusal::Internal)?;
        if !rows::insert(&mut tx, id, key.bytes(), sealed.bytes(), now, KEPT_MAX).await? {
            rows::evict(&mut tx).await?;
            rows::insert(&mut tx, id, key.bytes(), sealed.bytes(), now, KEPT_MAX).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// The sorts that first came after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<CspReportId>,
    limit: u32,
) -> Result<CspReportPage, Refusal> {
    cx.admit_member(caller).await?;
    let mut found = rows::page(&mut cx.node.store.read(cx.slot.id).await?, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.id);
    let item = |row: rows::CspReportRow| {
        let sealed = Sealed::from_stored(row.report_sealed).map_err(|_| Refusal::Internal)?;
        let report = cx.live.keys.open_sealed(&CspReport::place(row.id.as_bytes()), &sealed);
        Ok(CspReportItem {
            id: row.id,
            report: report.map_err(|_| Refusal::Internal)?,
            times: row.times,
            first_seen_at: row.first_seen_at_ms,
            last_seen_at: row.last_seen_at_ms,
        })
    };
    Ok(CspReportPage { items: found.into_iter().map(item).collect::<Result<_, Refusal>>()?, next })
}

/// Forgets every report: what is not mended comes again.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn clear(cx: &Context, caller: &AccessClaims) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if rows::delete_all(&mut tx).await? > 0 {
        let (action, actor) = (Action::CspReportsCleared, Actor::Member(caller.sub));
        audit::record_request(&mut tx, cx, action, actor, cx.slot.id.uuid()).await?;
    }
    Ok(tx.commit().await?)
}
