//! A tenant's own domains: `/v1/domains`, for its admins, and the page that proves an attached one.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use freehold_actors::node::Attached;
use freehold_actors::ops::domains::{self as ops, DomainItem, DomainRefusal};
use freehold_domain::custom_domain::{DomainName, LOOK_EVERY, Look, PROOF_PATH, Seen};
use freehold_domain::policy::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::body::{Valid, Validate};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::headers::no_store;
use crate::problem::{Kind, Problem};
use crate::query::Query;
use crate::totp::Nothing;
use freehold_domain::rfc3339;

const CLAIMED: &str = "The tenant claims this domain already: GET it to see what proves it.";
const TOO_MANY: &str = "A tenant has at most 20 domains, claimed and attached: give one up first.";
const ATTACHED: &str =
    "The domain leads to another tenant. It can be attached once that tenant has given it up, or its proof is gone.";
const TOO_SOON: &str = "It was looked at a moment ago.";

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    let change = || May(Permission::DomainsChange);
    Routes::default()
        .get("/v1/domains", May(Permission::DomainsList), list)
        .post("/v1/domains", change(), claim)
        .get("/v1/domains/{domain}", May(Permission::DomainsList), read)
        .patch("/v1/domains/{domain}", change(), self::change)
        .delete("/v1/domains/{domain}", change(), remove)
        .post("/v1/domains/{domain}/verify", change(), verify)
}

/// Every domain of the tenant, by name: twenty at most.
#[derive(Serialize, ToSchema)]
pub(crate) struct DomainList {
    items: Vec<DomainBody>,
    /// `null`: there is no other part.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A domain of the tenant's own.
#[derive(Serialize, ToSchema)]
struct DomainBody {
    /// Its name, in A-labels.
    domain: String,
    state: DomainState,
    /// Either of these proves that it is the tenant's, and one must stay.
    proof: Proof,
    /// When it was claimed, or detached.
    #[schema(format = DateTime)]
    claimed_at: String,
    /// Since when it leads to the tenant.
    #[schema(required, format = DateTime)]
    attached_at: Option<String>,
    /// When the proof was last looked for.
    #[schema(required, format = DateTime)]
    looked_at: Option<String>,
    /// Since when the proof is gone.
    #[schema(required, format = DateTime)]
    failing_since: Option<String>,
    /// When it is detached if the proof stays gone; when the claim is forgotten if nobody proves it.
    #[schema(required, format = DateTime)]
    ends_at: Option<String>,
    /// Whether browsers are told to come to every name under it by HTTPS alone, for two years, and that it may be preloaded.
    hsts_subdomains: bool,
}

/// Whether it leads to the tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DomainState {
    /// Not yet, or not any more: it must be proved.
    Claimed,
    /// It does.
    Attached,
    /// It does, and its proof is gone.
    Failing,
}

/// What proves a domain.
#[derive(Serialize, ToSchema)]
struct Proof {
    /// A TXT record of the DNS.
    txt: TxtProof,
    /// Or a page over plain HTTP, at an address that the whole Internet routes.
    http: HttpProof,
}

#[derive(Serialize, ToSchema)]
struct TxtProof {
    name: String,
    value: String,
}

#[derive(Serialize, ToSchema)]
struct HttpProof {
    url: String,
    body: String,
}

impl From<DomainItem> for DomainBody {
    fn from(item: DomainItem) -> Self {
        let DomainItem { name, challenge, attached_at, failing_since, .. } = item;
        Self {
            state: match (attached_at, failing_since) {
                (None, _) => DomainState::Claimed,
                (Some(_), None) => DomainState::Attached,
                (Some(_), Some(_)) => DomainState::Failing,
            },
            proof: Proof {
                txt: TxtProof { name: name.txt_name(), value: challenge.txt() },
                http: HttpProof { url: format!("http://{name}{PROOF_PATH}"), body: challenge.as_str().to_owned() },
            },
            domain: name.to_string(),
            claimed_at: rfc3339::text(item.claimed_at),
            attached_at: attached_at.map(rfc3339::text),
            looked_at: item.looked_at.map(rfc3339::text),
            failing_since: failing_since.map(rfc3339::text),
            ends_at: item.ends_at.map(rfc3339::text),
            hsts_subdomains: item.hsts_subdomains,
        }
    }
}

/// The domain that a path names; what can be none is nobody's.
fn name(text: &str) -> Result<DomainName, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::NotFound))
}

fn shown(item: DomainItem) -> Response {
    no_store(Json(DomainBody::from(item)))
}

/// What a wish about a domain was refused for.
pub(crate) fn problem(refusal: DomainRefusal) -> Problem {
    let conflict = |detail| Problem::new(Kind::Conflict).detail(detail);
    match refusal {
        DomainRefusal::Platform => Problem::invalid("domain", "is the platform's own"),
        DomainRefusal::Claimed => conflict(CLAIMED),
        DomainRefusal::TooMany => conflict(TOO_MANY),
        DomainRefusal::Attached => conflict(ATTACHED),
        DomainRefusal::TooSoon => conflict(TOO_SOON).retry_after(LOOK_EVERY),
        DomainRefusal::NotProved(Look { txt, http }) => {
            let mut faults = Faults::default();
            let of_others = "names somebody else: take that record away";
            faults.add("proof.txt", if txt == Seen::Other { of_others } else { told(txt) });
            faults.add("proof.http", told(http));
            faults.into()
        }
    }
}

const fn told(seen: Seen) -> &'static str {
    match seen {
        Seen::Proof => "is there",
        Seen::Other => "holds something else",
        Seen::Nothing => "is not there",
        Seen::NoAnswer => "could not be asked for: there was no answer",
        Seen::Forbidden => "was not asked for: the domain leads to an address that is not the Internet's",
    }
}

/// `GET /v1/domains`: the tenant's own domains; admins alone.
#[utoipa::path(get, path = "/v1/domains", tag = "domains", operation_id = "list_domains", security(("bearer" = [])),
    responses((status = 200, description = "The domains.", body = DomainList)),
)]
pub(crate) async fn list(member: Member, Query(()): Query<()>) -> Result<Response, Problem> {
    let items = ops::list(member.cx(), &member.claims).await?;
    let items = items.into_iter().map(DomainBody::from).collect();
    Ok(no_store(Json(DomainList { items, next_cursor: None })))
}

/// `{domain}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimDomain {
    /// A name of the tenant's own, such as `shop.example.com`; internationalised names too. No public suffix, nothing under
    /// the platform's domain.
    #[schema(required, nullable = false, example = "shop.example.com", min_length = 3, max_length = 254)]
    domain: Option<String>,
}

impl Validate for ClaimDomain {
    type Checked = DomainName;

    fn check(self, faults: &mut Faults) -> Option<DomainName> {
        let text = faults.required("domain", self.domain)?;
        text.parse()
            .map_err(|error: freehold_domain::custom_domain::NotADomain| faults.add("domain", error.to_string()))
            .ok()
    }
}

/// `POST /v1/domains`: claims a domain; admins alone.
///
/// Nothing leads to the tenant yet: show one of the two proofs, then verify. A claim keeps nobody else from the domain, and
/// is forgotten after a week. 409 `conflict` when the tenant claims it already, or has twenty.
#[utoipa::path(post, path = "/v1/domains", tag = "domains", operation_id = "claim_domain", request_body = ClaimDomain,
    security(("bearer" = [])),
    responses((status = 201, description = "The domain.", body = DomainBody), (status = 409, description = "problem")),
)]
pub(crate) async fn claim(member: Member, Valid(name): Valid<ClaimDomain>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let item = run(async move { ops::claim(&cx, &claims, &name).await }).await?;
    Ok((StatusCode::CREATED, shown(item)).into_response())
}

/// `GET /v1/domains/{domain}`: one of them; admins alone.
#[utoipa::path(get, path = "/v1/domains/{domain}", tag = "domains", operation_id = "read_domain",
    security(("bearer" = [])), params(("domain" = String, Path, description = "The domain.")),
    responses((status = 200, description = "The domain.", body = DomainBody)),
)]
pub(crate) async fn read(member: Member, Path(text): Path<String>, Query(()): Query<()>) -> Result<Response, Problem> {
    Ok(shown(ops::read(member.cx(), &member.claims, &name(&text)?).await?))
}

/// `{hsts_subdomains}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeDomain {
    /// Whether browsers are told to come to every name under the domain by HTTPS alone, for two years, and that it may be
    /// preloaded. Only for a domain all of whose names have HTTPS: it cannot be taken back from browsers that were told.
    #[schema(required, nullable = false)]
    hsts_subdomains: Option<bool>,
}

impl Validate for ChangeDomain {
    type Checked = bool;

    fn check(self, faults: &mut Faults) -> Option<bool> {
        faults.required("hsts_subdomains", self.hsts_subdomains)
    }
}

/// `PATCH /v1/domains/{domain}`: what browsers are told of names under it; admins alone.
#[utoipa::path(patch, path = "/v1/domains/{domain}", tag = "domains", operation_id = "change_domain",
    request_body = ChangeDomain, security(("bearer" = [])),
    params(("domain" = String, Path, description = "The domain.")),
    responses((status = 200, description = "The domain, as it is now.", body = DomainBody)),
)]
pub(crate) async fn change(
    member: Member,
    Path(text): Path<String>,
    Valid(hsts_subdomains): Valid<ChangeDomain>,
) -> Result<Response, Problem> {
    let (name, cx, claims) = (name(&text)?, member.tenant.cx, member.claims);
    Ok(shown(run(async move { ops::set_hsts(&cx, &claims, &name, hsts_subdomains).await }).await?))
}

/// `DELETE /v1/domains/{domain}`: gives it up; admins alone.
///
/// It leads nowhere from the next request on, and another tenant that proves it may have it.
#[utoipa::path(delete, path = "/v1/domains/{domain}", tag = "domains", operation_id = "remove_domain",
    security(("bearer" = [])), params(("domain" = String, Path, description = "The domain.")),
    responses((status = 204, description = "Given up.")),
)]
pub(crate) async fn remove(member: Member, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    let (name, cx, claims) = (name(&text)?, member.tenant.cx, member.claims);
    run(async move { ops::remove(&cx, &claims, &name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/domains/{domain}/verify`: looks for the proof now, and attaches the domain where it is there; admins alone.
///
/// 400 names what was found at each place. 409 `conflict` within five seconds of the last look, and while the domain leads
/// to another tenant. An attached domain is looked at again every day by itself; once its proof is gone for three days (both
/// settings of the server) it is detached.
#[utoipa::path(post, path = "/v1/domains/{domain}/verify", tag = "domains", operation_id = "verify_domain",
    request_body = Option<Nothing>, security(("bearer" = [])),
    params(("domain" = String, Path, description = "The domain.")),
    responses((status = 200, description = "It is attached.", body = DomainBody), (status = 409, description = "problem")),
)]
pub(crate) async fn verify(member: Member, Path(text): Path<String>, _: Valid<Nothing>) -> Result<Response, Problem> {
    let (name, cx, claims) = (name(&text)?, member.tenant.cx, member.claims);
    Ok(shown(run(async move { ops::verify(&cx, &claims, &name).await }).await?))
}

/// The page that proves an attached domain, at that domain alone: a proof over HTTP that was given at another server stays when
/// the domain leads here. Nothing here proves what is only claimed.
pub(crate) fn shown_proof(domain: &Attached) -> Response {
    let shown = format!("{}\n", domain.challenge.as_str());
    no_store(([(CONTENT_TYPE, "text/plain; charset=utf-8")], shown))
}
