//! Reports of weaknesses: a form at `/security/report` and `POST /v1/security-reports` for everybody, on every host but the
//! API's; what operators see and note of them, on their own host alone.
//!
//! What is told goes to the platform's own tenant, whatever host it comes to and however that host's tenant stands.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_actors::ops::security_reports::{self as ops, Receipt, SecurityReportItem};
use freehold_domain::disclosure::Disclosure;
use freehold_domain::id::{MemberId, SecurityReportId};
use freehold_domain::policy::Permission;
use freehold_domain::security_report::{
    ANSWERED_WITHIN, NOTE_CHARS_MAX, Note, ReportText, Reporter, SecurityReport, TEXT_CHARS_MAX,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Public, Routes};
use crate::arrival::Arrival;
use crate::auth::parsed;
use crate::body::{Valid, Validate, given};
use crate::caller::{Member, Tenant, run};
use crate::faults::Faults;
use crate::headers::{Nonce, no_store};
use crate::openapi::{self, ListParams};
use crate::pages::page_with_script;
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use crate::security::Deployment;
use freehold_domain::rfc3339;
use freehold_domain::text::free;

/// Where the form is.
pub(crate) const FORM: &str = "/security/report";
/// Where it is posted to.
pub(crate) const REPORTS: &str = "/v1/security-reports";

/// What everybody may do; it takes a [`Deployment`].
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get(FORM, Public, form).post(REPORTS, Public, receive)
}

/// What operators may do besides.
#[must_use]
pub fn operators_routes() -> Routes {
    Routes::default()
        .get(REPORTS, May(Permission::SecurityReportsList), list)
        .get("/v1/security-reports/{id}", May(Permission::SecurityReportsList), read)
        .post("/v1/security-reports/{id}/answer", May(Permission::SecurityReportsAnswer), answer)
}

/// Whether what is at this path is for whoever runs the server, rather than for the tenant of its host.
pub(crate) fn is_for_operators(path: &str) -> bool {
    matches!(path, FORM | REPORTS)
}

/// `{text, reporter?}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What is weak, and how that shows.
    #[schema(required, schema_with = openapi::lines::<TEXT_CHARS_MAX>)]
    text: Option<String>,
    /// Who tells it, in their own words: a name, an address, or both. Without it nobody can be answered.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::one_line::<254>)]
    reporter: Option<String>,
}

impl Validate for Report {
    type Checked = (ReportText, Option<Reporter>);

    fn check(self, faults: &mut Faults) -> Option<Self::Checked> {
        let text = faults.required("text", self.text);
        let text = text.and_then(|text| parsed(faults, "text", free(text)));
        let reporter = self.reporter.and_then(|text| parsed(faults, "reporter", free(text)));
        Some((text?, reporter))
    }
}

/// What is told, and at which host: an extractor.
pub struct Told(SecurityReport);

impl<S: Sync> FromRequest<S> for Told {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let arrival = Arc::clone(Arrival::of(request.extensions())?);
        let Valid((text, reporter)) = Valid::<Report>::from_request(request, state).await?;
        let (host, _) = arrival.host.as_ref().ok_or_else(|| Problem::new(Kind::Internal))?;
        Ok(Self(SecurityReport { reporter, text, host: host.host().to_owned() }))
    }
}

/// What whoever tells is given.
#[derive(Serialize, ToSchema)]
#[schema(as = SecurityReportReceipt)]
pub(crate) struct ReceiptBody {
    /// The reference of the report.
    #[schema(value_type = Uuid)]
    id: SecurityReportId,
    #[schema(format = DateTime)]
    received_at: String,
    /// Until when it is to be answered.
    #[schema(format = DateTime)]
    due_at: String,
}

/// `POST /v1/security-reports`: tells whoever runs this server of a weakness.
///
/// It is kept sealed and read by operators alone. 409 `conflict` while too many reports wait for an answer.
#[utoipa::path(post, path = "/v1/security-reports", tag = "public", operation_id = "report_weakness",
    request_body = Report, responses(
        (status = 201, description = "What the report is found by, and until when it is to be answered.", body = ReceiptBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn receive(
    tenant: Tenant,
    Extension(deployment): Extension<Arc<Deployment>>,
    Told(report): Told,
) -> Result<Response, Problem> {
    let (cx, mailbox) = (tenant.cx, deployment.disclosure.as_ref().and_then(Disclosure::mailbox));
    let receipt = run(async move { ops::receive(&cx, &report, mailbox).await }).await?;
    let Receipt { reference, received_at, due_at } = receipt;
    let (received_at, due_at) = (rfc3339::text(received_at), rfc3339::text(due_at));
    Ok(no_store((StatusCode::CREATED, Json(ReceiptBody { id: reference, received_at, due_at }))))
}

/// Posts what is filled in, and says what the report is found by.
const SCRIPT: &str = "const form=document.querySelector('form'),said=document.querySelector('output');\
    form.addEventListener('submit',async event=>{event.preventDefault();\
    const button=form.querySelector('button');button.disabled=true;\
    const filled=[...new FormData(form)].filter(([,value])=>value.trim());\
    try{const answer=await fetch(form.dataset.post,{method:'POST',headers:{'content-type':'application/json'},\
    body:JSON.stringify(Object.fromEntries(filled))});\
    const told=await answer.json();\
    if(answer.ok){said.textContent='Thank you. The reference of your report is '+told.id+\
    '. It is to be answered by '+new Date(told.due_at).toUTCString()+'.';\
    form.querySelector('fieldset').hidden=true;return}\
    said.textContent=told.errors?told.errors.map(e=>e.field+' '+e.message).join(', '):told.detail||told.title}\
    catch{said.textContent='There is no answer. Try again.'}button.disabled=false});";

/// `GET /security/report`: the form.
#[utoipa::path(get, path = "/security/report", tag = "public", operation_id = "report_page", responses(
    (status = 200, description = "A page for people: tell of a weakness.", content_type = "text/html", body = String),
))]
pub(crate) async fn form(nonce: Nonce) -> Response {
    let hours = ANSWERED_WITHIN.as_secs() / 3_600;
    let body = format!(
        "<h1>Report a weakness</h1><p>This goes to whoever runs this server, is kept sealed, and is to be answered within \
         {hours} hours. Kept with it are the host of this page and, in the operators' log, the address that you come from.</p>\
         <form data-post=\"{REPORTS}\"><fieldset>\
         <p><label>What is weak, and how does that show?<br><textarea name=\"text\" rows=\"12\" cols=\"60\" \
         maxlength=\"{TEXT_CHARS_MAX}\" required></textarea></label></p>\
         <p><label>Who are you, and where do you want the answer? You may leave this empty; then there is none.<br>\
         <input name=\"reporter\" size=\"60\" maxlength=\"254\"></label></p>\
         <p><button>Send the report</button></p></fieldset></form>\
         <p><output></output></p><noscript>This page needs JavaScript.</noscript>"
    );
    no_store(page_with_script(nonce, "Report a weakness", &body, SCRIPT))
}

/// A part of the reports.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecurityReportList {
    items: Vec<SecurityReportBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<SecurityReportId>,
}

/// What somebody told of a weakness. Nothing of it is proved: anybody can tell.
#[derive(Serialize, ToSchema)]
#[schema(as = SecurityReport)]
pub(crate) struct SecurityReportBody {
    #[schema(value_type = Uuid)]
    id: SecurityReportId,
    /// `open`, `overdue` or `answered`.
    state: &'static str,
    #[schema(format = DateTime)]
    received_at: String,
    /// Until when it is to be answered.
    #[schema(format = DateTime)]
    due_at: String,
    /// The host at which it was told.
    host: String,
    /// Who told it, in their own words.
    #[schema(required)]
    reporter: Option<String>,
    /// What was told; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    #[schema(required, format = DateTime)]
    answered_at: Option<String>,
    /// The operator who noted the answer.
    #[schema(required, value_type = Option<Uuid>)]
    answered_by: Option<MemberId>,
    /// What was answered; left out of lists, and while there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
}

impl SecurityReportBody {
    fn in_list(item: SecurityReportItem) -> Self {
        Self { text: None, note: None, ..item.into() }
    }
}

impl From<SecurityReportItem> for SecurityReportBody {
    fn from(item: SecurityReportItem) -> Self {
        let SecurityReport { reporter, text, host } = item.report;
        let answer = item.answer.as_ref();
        Self {
            id: item.id,
            state: item.standing.as_str(),
            received_at: rfc3339::text(item.received_at),
            due_at: rfc3339::text(item.due_at),
            host,
            reporter: reporter.map(String::from),
            text: Some(text.into()),
            answered_at: answer.map(|answer| rfc3339::text(answer.at)),
            answered_by: answer.map(|answer| answer.by),
            note: answer.map(|answer| answer.note.expose().clone()),
        }
    }
}

/// The report that a path names; what is no id is nobody's.
fn id(text: &str) -> Result<SecurityReportId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

/// `GET /v1/security-reports`: what anybody told of weaknesses, without its text; operators alone.
#[utoipa::path(get, path = "/v1/security-reports", tag = "security reports", operation_id = "list_security_reports",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A part of them, in the order in which they came.", body = SecurityReportList)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<SecurityReportId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = ops::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(SecurityReportBody::in_list).collect();
    Ok(no_store(Json(SecurityReportList { items, next_cursor: page.next })))
}

/// `GET /v1/security-reports/{id}`: one of them, with its text; operators alone.
#[utoipa::path(get, path = "/v1/security-reports/{id}", tag = "security reports", operation_id = "read_security_report",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The report.")),
    responses((status = 200, description = "The report.", body = SecurityReportBody)),
)]
pub(crate) async fn read(member: Member, Path(text): Path<String>, Query(()): Query<()>) -> Result<Response, Problem> {
    let item = ops::read(member.cx(), &member.claims, id(&text)?).await?;
    Ok(no_store(Json(SecurityReportBody::from(item))))
}

/// `{note}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerReport {
    /// What was answered. It is kept, not sent: whoever told is answered where they asked to be.
    #[schema(required, schema_with = openapi::lines::<NOTE_CHARS_MAX>)]
    note: Option<String>,
}

impl Validate for AnswerReport {
    type Checked = Note;

    fn check(self, faults: &mut Faults) -> Option<Note> {
        let note = faults.required("note", self.note)?;
        parsed(faults, "note", free(note))
    }
}

/// `POST /v1/security-reports/{id}/answer`: notes that whoever told was answered, and stops the clock; operators alone.
///
/// 409 `conflict` when it was answered before: the first answer stands.
#[utoipa::path(post, path = "/v1/security-reports/{id}/answer", tag = "security reports",
    operation_id = "answer_security_report", request_body = AnswerReport, security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The report.")), responses(
        (status = 200, description = "The report, as it is now.", body = SecurityReportBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn answer(
    member: Member,
    Path(text): Path<String>,
    Valid(note): Valid<AnswerReport>,
) -> Result<Response, Problem> {
    let (id, cx, claims) = (id(&text)?, member.tenant.cx, member.claims);
    let item = run(async move { ops::answer(&cx, &claims, id, &note).await }).await?;
    Ok(no_store(Json(SecurityReportBody::from(item))).into_response())
}
