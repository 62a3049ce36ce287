//! Reports of weaknesses: taken from anybody, sealed in the platform's own store, read and answered by operators, and
//! measured against the time in which whoever told has an answer.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::email::Email;
use freehold_domain::gcra::Layer;
use freehold_domain::id::{MemberId, SecurityReportId, TenantId};
use freehold_domain::keys::{Sealed, TenantKeys};
use freehold_domain::letter::Content;
use freehold_domain::secret::Secret;
use freehold_domain::security_report::{ANSWERED_KEPT, ANSWERED_WITHIN, Note, OPEN_MAX, SecurityReport, Standing, due};
use freehold_domain::slug::Slug;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_storage::security_report::{AnswerRow, OpenReports, SecurityReportRow};
use freehold_storage::{StoreError, directory, security_report as rows};

use crate::metric;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// What whoever told of a weakness is given.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// What the report is found by.
    pub reference: SecurityReportId,
    /// When it came.
    pub received_at: UnixMs,
    /// Until when it is to be answered.
    pub due_at: UnixMs,
}

/// A report, as operators see it.
#[derive(Clone, Debug)]
pub struct SecurityReportItem {
    /// Which.
    pub id: SecurityReportId,
    /// What was told, and by whom.
    pub report: SecurityReport,
    /// When it came.
    pub received_at: UnixMs,
    /// Until when it is to be answered.
    pub due_at: UnixMs,
    /// How it stands now.
    pub standing: Standing,
    /// What became of it; `None` while it waits.
    pub answer: Option<Answer>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When.
    pub at: UnixMs,
    /// By whom.
    pub by: MemberId,
    /// What.
    pub note: Secret<String>,
}

/// A part of the reports, in the order in which they came.
#[derive(Clone, Debug)]
pub struct SecurityReportPage {
    /// The reports.
    pub items: Vec<SecurityReportItem>,
    /// Where the next part begins; `None` on the last.
    pub next: Option<SecurityReportId>,
}

/// Takes a report, whose context is the platform's, and writes to the operators' mailbox that there is one.
///
/// # Errors
/// [`Refusal::NoRoomForReports`] when too many wait; what the limit of forms and the store refuse.
pub async fn receive(cx: &Context, report: &SecurityReport, mailbox: Option<Email>) -> Result<Receipt, Refusal> {
    // Of addresses alone: strangers must not use up what the operators have.
    cx.admit(&[Layer { tier: Tier::PublicForm, subject: cx.client.bucket }]).await?;
    let now = cx.node.ambient.now();
    let receipt =
        Receipt { reference: SecurityReportId::new(now, cx.node.ambient.random()), received_at: now, due_at: due(now) };
    let id = receipt.reference;
    let sealed = cx.live.keys.seal(&SecurityReport::place(id.as_bytes()), report, cx.node.nonce());
    let sealed = sealed.map_err(|_| Refusal::Internal)?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    if !rows::insert(&mut tx, id, sealed.bytes(), now, OPEN_MAX).await? {
        tracing::error!(open_max = OPEN_MAX, "a report of a weakness was refused: too many wait for an answer");
        return Err(Refusal::NoRoomForReports);
    }
    if let Some(mailbox) = mailbox {
        cx.write_to(&mut tx, mailbox, Content::SecurityReport { reference: id, due: receipt.due_at }).await?;
    }
    audit::record_request(&mut tx, cx, Action::SecurityReportReceived, Actor::Unknown, id.uuid()).await?;
    tx.commit().await?;
    tracing::info!(report.id = %id, "a report of a weakness was received");
    Ok(receipt)
}

/// The reports that came after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<SecurityReportId>,
    limit: u32,
) -> Result<SecurityReportPage, Refusal> {
    cx.admit_member(caller).await?;
    let mut found = rows::page(&mut cx.node.store.read(cx.slot.id).await?, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.id);
    let items = found.into_iter().map(|row| item(cx, row)).collect::<Result<_, Refusal>>()?;
    Ok(SecurityReportPage { items, next })
}

/// One report.
///
/// # Errors
/// [`Refusal::NotFound`]; what the limits and the store refuse.
pub async fn read(cx: &Context, caller: &AccessClaims, id: SecurityReportId) -> Result<SecurityReportItem, Refusal> {
    cx.admit_member(caller).await?;
    let row = rows::by_id(&mut cx.node.store.read(cx.slot.id).await?, id).await?;
    item(cx, row.ok_or(Refusal::NotFound)?)
}

/// Notes that whoever told was answered, and what. The first answer stands.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::ReportAnswered`]; what the limits and the store refuse.
pub async fn answer(
    cx: &Context,
    caller: &AccessClaims,
    id: SecurityReportId,
    note: &Note,
) -> Result<SecurityReportItem, Refusal> {
    cx.admit_member(caller).await?;
    let note = Secret::new(note.as_str().to_owned());
    let sealed = cx.live.keys.seal(&SecurityReport::note_place(id.as_bytes()), &note, cx.node.nonce());
    let note_sealed = sealed.map_err(|_| Refusal::Internal)?.bytes().to_vec();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let answer = AnswerRow { at_ms: cx.node.ambient.now(), by: caller.sub, note_sealed };
    let is_first = rows::answer(&mut tx, id, &answer).await?;
    let row = rows::by_id(&mut tx, id).await?.ok_or(Refusal::NotFound)?;
    if !is_first {
        return Err(Refusal::ReportAnswered);
    }
    audit::record_request(&mut tx, cx, Action::SecurityReportAnswered, Actor::Member(caller.sub), id.uuid()).await?;
    tx.commit().await?;
    item(cx, row)
}

fn item(cx: &Context, row: SecurityReportRow) -> Result<SecurityReportItem, Refusal> {
    let SecurityReportRow { id, report_sealed, received_at_ms, answer } = row;
    let (keys, now) = (&cx.live.keys, cx.node.ambient.now());
    let sealed = Sealed::from_stored(report_sealed).map_err(|_| Refusal::Internal)?;
    let report = keys.open_sealed(&SecurityReport::place(id.as_bytes()), &sealed).map_err(|_| Refusal::Internal)?;
    let answer = answer.map(|row| opened(keys, id, row)).transpose()?;
    Ok(SecurityReportItem {
        id,
        report,
        received_at: received_at_ms,
        due_at: due(received_at_ms),
        standing: Standing::of(received_at_ms, answer.as_ref().map(|answer| answer.at), now),
        answer,
    })
}

fn opened(keys: &TenantKeys, id: SecurityReportId, row: AnswerRow) -> Result<Answer, Refusal> {
    let sealed = Sealed::from_stored(row.note_sealed).map_err(|_| Refusal::Internal)?;
    let note = keys.open_sealed(&SecurityReport::note_place(id.as_bytes()), &sealed);
    Ok(Answer { at: row.at_ms, by: row.by, note: note.map_err(|_| Refusal::Internal)? })
}

/// Sets the gauges to what waits now; with them whoever watches the server sees when an answer is late.
///
/// # Errors
/// [`StoreError`]; the gauges stay as they were.
pub(crate) async fn measure(node: &Node) -> Result<(), StoreError> {
    let now = node.ambient.now();
    let open = match platform(node).await? {
        Some(id) => rows::open(&mut node.store.read(id).await?, now.minus(ANSWERED_WITHIN)).await?,
        None => OpenReports::default(),
    };
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let oldest_s = open.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest)).as_secs();
    metrics::gauge!(metric::SECURITY_REPORT_OLDEST).set(u32::try_from(oldest_s).unwrap_or(u32::MAX));
    metrics::gauge!(metric::SECURITY_REPORTS_OPEN).set(count(open.open));
    metrics::gauge!(metric::SECURITY_REPORTS_OVERDUE).set(count(open.overdue));
    Ok(())
}

/// Deletes reports that were answered long ago, up to `limit`, whether or not an operator was here of late.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn sweep(node: &Node, limit: u32) -> Result<(), StoreError> {
    let Some(id) = platform(node).await? else { return Ok(()) };
    let mut tx = node.store.write(id).await?;
    rows::sweep(&mut tx, node.ambient.now().minus(ANSWERED_KEPT), limit).await?;
    tx.commit().await
}

/// The platform's own tenant, once there is an operator; it is not remembered for having been looked at.
async fn platform(node: &Node) -> Result<Option<TenantId>, StoreError> {
    let row = directory::by_slug(&mut node.store.system_read().await?, Slug::platform().as_str()).await?;
    Ok(row.map(|row| row.id))
}
