//! `POST /csp-report`, where browsers report of a tenant's pages, and `/v1/csp-reports`, where its admins read that.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::Response;
use freehold_actors::ops::csp_reports::{self as ops, CspReportItem};
use freehold_domain::csp_report::{self, CspReport, LIST, SINGLE};
use freehold_domain::id::CspReportId;
use freehold_domain::policy::Permission;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{May, Public, Routes};
use crate::arrival::Arrival;
use crate::body::Raw;
use crate::caller::{Member, Tenant, run};
use crate::headers::{CSP_REPORT, no_store};
use crate::openapi::ListParams;
use crate::problem::{Kind, Problem};
use crate::query::{ListPart, Query};
use freehold_domain::rfc3339;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .post(CSP_REPORT, Public, take)
        .get("/v1/csp-reports", May(Permission::CspReportsList), list)
        .delete("/v1/csp-reports", May(Permission::CspReportsClear), clear)
}

/// The reports of a body in one of the two formats that are about pages of the host that it comes to.
pub struct Reported(Vec<CspReport>);

impl<S: Sync> FromRequest<S> for Reported {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mut types = request.headers().get_all(CONTENT_TYPE).iter();
        let (Some(given), None) = (types.next(), types.next()) else {
            return Err(Problem::new(Kind::UnsupportedMediaType));
        };
        let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let known = [SINGLE, LIST].into_iter().find(|known| essence.eq_ignore_ascii_case(known));
        let known = known.filter(|_| !request.headers().contains_key(CONTENT_ENCODING));
        let media_type = known.ok_or_else(|| Problem::new(Kind::UnsupportedMediaType))?;
        let arrival = Arc::clone(Arrival::of(request.extensions())?);
        let Raw(body) = Raw::from_request(request, state).await?;
        let mut reports =
            csp_report::parse(media_type, &body).map_err(|error| Problem::invalid("(body)", error.to_string()))?;
        let host = arrival.host.as_ref().map_or("", |(host, _)| host.host());
        reports.retain(|report| report.is_about(host));
        Ok(Self(reports))
    }
}

/// `POST /csp-report`: what a browser reports of a page of this tenant, by `report-uri` or by the Reporting API.
///
/// Anybody can send one and nothing of it is believed: it is counted, kept once for each sort, at most 200 of them for 30
/// days, without queries, fragments and samples of code. Reports of other kinds and of pages of other hosts are left out.
#[utoipa::path(post, path = "/csp-report", tag = "public", operation_id = "report_csp",
    request_body(content((Object = "application/csp-report"), (Vec<Object> = "application/reports+json"))),
    responses((status = 204, description = "Taken.")),
)]
pub(crate) async fn take(tenant: Tenant, Reported(reports): Reported) -> Result<StatusCode, Problem> {
    let cx = tenant.cx;
    run(async move { ops::take(&cx, &reports).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A part of what browsers reported.
#[derive(Serialize, ToSchema)]
pub(crate) struct CspReportList {
    items: Vec<CspReportBody>,
    /// `cursor` for the next part; `null` on the last.
    #[schema(required, value_type = Option<String>)]
    next_cursor: Option<CspReportId>,
}

/// One sort of violation. Nothing of it is believed: anybody can report.
#[derive(Serialize, ToSchema)]
pub(crate) struct CspReportBody {
    #[schema(value_type = Uuid)]
    id: CspReportId,
    /// The directive that forbade it.
    directive: String,
    /// The origin and path of what was blocked, or a word for it, such as `inline`.
    blocked: String,
    /// The origin and path of the page.
    document: String,
    /// The origin and path of the script that did it, if there was one.
    #[schema(required)]
    source: Option<String>,
    #[schema(required)]
    line: Option<u32>,
    /// Whether it was blocked, or only noted.
    enforced: bool,
    /// How often it was reported.
    times: i64,
    #[schema(format = DateTime)]
    first_seen_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
}

impl From<CspReportItem> for CspReportBody {
    fn from(item: CspReportItem) -> Self {
        let CspReport { directive, blocked, document, source, line, is_enforced } = item.report;
        Self {
            id: item.id,
            directive,
            blocked,
            document,
            source,
            line,
            enforced: is_enforced,
            times: item.times,
            first_seen_at: rfc3339::text(item.first_seen_at),
            last_seen_at: rfc3339::text(item.last_seen_at),
        }
    }
}

/// `GET /v1/csp-reports`: what browsers reported of this tenant's pages, each sort once; admins alone.
#[utoipa::path(get, path = "/v1/csp-reports", tag = "csp reports", operation_id = "list_csp_reports",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A part of them, in the order in which they first came.", body = CspReportList)),
)]
pub(crate) async fn list(member: Member, Query(part): Query<ListPart>) -> Result<Response, Problem> {
    let cursor = part.cursor.map(|text| text.parse::<CspReportId>());
    let after = cursor.transpose().map_err(|_| Problem::invalid("cursor", "is not one that was given out"))?;
    let page = ops::list(member.cx(), &member.claims, after, part.limit.into()).await?;
    let items = page.items.into_iter().map(CspReportBody::from).collect();
    Ok(no_store(Json(CspReportList { items, next_cursor: page.next })))
}

/// `DELETE /v1/csp-reports`: forgets all of them; admins alone. What is not mended comes again.
#[utoipa::path(delete, path = "/v1/csp-reports", tag = "csp reports", operation_id = "clear_csp_reports",
    security(("bearer" = [])), responses((status = 204, description = "Forgotten.")),
)]
pub(crate) async fn clear(member: Member) -> Result<StatusCode, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    run(async move { ops::clear(&cx, &claims).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
