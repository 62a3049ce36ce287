//! `GET /v1/security-status`: how a tenant's security stands now, for its admins.

use std::sync::Arc;

use axum::response::Response;
use axum::{Extension, Json};
use freehold_actors::ops::security as ops;
use freehold_domain::breaker::Circuit;
use freehold_domain::time::UnixMs;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Deployment, TlsBy};
use crate::caller::Member;
use crate::certificates::Certificate;
use crate::headers::no_store;
use crate::problem::Problem;
use freehold_domain::rfc3339;

const DAY_S: i64 = 24 * 3_600;

/// How a tenant's security stands on the node that answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecurityStatus {
    #[schema(format = DateTime)]
    answered_at: String,
    /// The certificates of the server that are files, in the order in which they are tried, and the one that was issued for
    /// the tenant's host; none where a proxy has them.
    certificates: Vec<CertificateStatus>,
    signing_key: SigningKeyStatus,
    argon2: Argon2Status,
    breached_passwords: BreachedStatus,
    isolation: IsolationStatus,
    /// Letters of this tenant that were not taken by a mail server yet.
    letters_waiting: i64,
    /// Where requests are counted: `memory`, each node for itself; `shared` with the other nodes; or `alone`, while what is
    /// shared does not answer and each node admits its share.
    counters: &'static str,
}

#[derive(Serialize, ToSchema)]
struct CertificateStatus {
    #[schema(format = DateTime)]
    not_after: String,
    /// Whole days until then; negative once it has ended.
    days_left: i64,
}

#[derive(Serialize, ToSchema)]
struct SigningKeyStatus {
    #[schema(format = DateTime)]
    created_at: String,
    age_days: i64,
    /// When another key is announced, or signs where one is announced already; `null` for never.
    #[schema(required, format = DateTime)]
    due_at: Option<String>,
}

/// What a new password hash costs.
#[derive(Serialize, ToSchema)]
struct Argon2Status {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What keeps the tenant's rows from others, looked at for this answer.
#[derive(Serialize, ToSchema)]
struct IsolationStatus {
    /// `files`, one a tenant, or `row_level_security` of the database.
    kept_by: &'static str,
    /// Whether it binds the server: false when a table lost it, or when the server's role may pass it by.
    holds: bool,
}

#[derive(Serialize, ToSchema)]
struct BreachedStatus {
    /// `none`, `folder` or `service`.
    source: &'static str,
    /// `closed` while the service is asked, `open` while it is left alone, `half_open` while one call tries it; `null`
    /// without one.
    #[schema(required)]
    circuit: Option<&'static str>,
}

/// `GET /v1/security-status`: how the tenant's security stands now; admins alone.
#[utoipa::path(get, path = "/v1/security-status", tag = "settings", operation_id = "security_status",
    security(("bearer" = [])), responses((status = 200, description = "How it stands.", body = SecurityStatus)),
)]
pub(crate) async fn status(
    member: Member,
    Extension(deployment): Extension<Arc<Deployment>>,
) -> Result<Response, Problem> {
    let cx = member.cx();
    let state = ops::read(cx, &member.claims).await?;
    let (now, wall) = (cx.node.ambient.now(), cx.node.ambient.wall());
    let (params, breached) = (cx.node.pool.params(), &cx.node.breached);
    Ok(no_store(Json(SecurityStatus {
        answered_at: rfc3339::text(now),
        certificates: certificates(&deployment.tls, &cx.node.settings.host_of(&cx.slot.slug), wall),
        signing_key: SigningKeyStatus {
            created_at: rfc3339::text(state.key_made),
            age_days: days(state.key_made, now),
            due_at: state.key_due.map(rfc3339::text),
        },
        argon2: Argon2Status { memory_kib: params.memory_kib(), passes: params.passes(), lanes: params.lanes() },
        breached_passwords: BreachedStatus {
            source: breached.source_name(),
            circuit: breached.circuit().map(Circuit::as_str),
        },
        isolation: IsolationStatus { kept_by: state.kept_apart_by, holds: state.is_kept_apart },
        letters_waiting: state.letters_waiting,
        counters: cx.node.counting(),
    })))
}

fn certificates(tls: &TlsBy, host: &str, now: UnixMs) -> Vec<CertificateStatus> {
    let TlsBy::Server(tls) = tls else { return vec![] };
    let certificates = tls.certificates();
    let ends = certificates.of_files().chain(certificates.issued_for(host)).map(Certificate::not_after);
    ends.map(|end| CertificateStatus { not_after: rfc3339::text(end), days_left: days(now, end) }).collect()
}

fn days(from: UnixMs, to: UnixMs) -> i64 {
    (to.as_secs() - from.as_secs()).div_euclid(DAY_S)
}
