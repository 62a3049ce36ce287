//! What every public request passes before its route: address bucket → tenant → its state → its body → its gate → rules, if
//! there are any.
//!
//! A tenant that is not served is answered here, without any store access once it is known; only what problems mean can
//! be read on every host, and reports of weaknesses go to the platform's own tenant from every host. A small body
//! comes in before the gate, so that clients who are slow to send one keep nobody's place. At the API host it is the key
//! that names the tenant: see [`crate::api_host`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use freehold_actors::gate::Places;
use freehold_actors::node::{Node, Unreachable};
use freehold_actors::ops::context::{Client as Caller, Context, Counted, Origin};
use freehold_actors::ops::refusal::Refusal;
use freehold_actors::slot::TenantSlot;
use freehold_domain::custom_domain::PROOF_PATH;
use freehold_domain::gcra::{Reading, Subject};
use freehold_domain::id::TenantId;
use freehold_domain::oauth::Refused;
use freehold_domain::plan::QuotaReached;
use freehold_domain::request_filter::{self, Probe};
use freehold_domain::settings::NoRoles;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
#[cfg(feature = "waf")]
use freehold_domain::waf::Mode;
use tower::Service;

use crate::api_host::{self, Keyed};
use crate::arrival::Arrival;
use crate::body;
use crate::client_address::{AddressKey, Scheme};
use crate::domains;
use crate::faces::Faces;
use crate::host::Place;
use crate::problem::{self, Kind, Problem};
use crate::public::{Cleartext, READYZ};
use crate::redirect;
use crate::security::Deployment;
use crate::security_reports;
use crate::webhooks;

/// Requests that were refused for what they ask or from where they come, by `reason`.
const REFUSED: &str = "freehold_requests_filtered_total";

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TIER: HeaderName = HeaderName::from_static("x-ratelimit-tier");

/// What is wrong with a breached password.
pub(crate) const BREACHED: &str = "has appeared in a breach of another service: choose another";
/// What is wrong with a password that everybody tries first.
pub(crate) const COMMON: &str = "is one of the commonest passwords: choose another";
const USER_AGENT_CHARS_MAX: usize = 256;
/// What a client is told to wait when a tenant is being moved or held: nobody knows how long.
const STANDING_WAIT: Duration = Duration::from_secs(30);
/// What a provider is told to wait when a tenant takes nothing: it tries again for days.
const WEBHOOK_WAIT: Duration = Duration::from_mins(5);

/// A request that was admitted to a tenant: an extension of every request on a tenant's host.
#[derive(Clone)]
pub struct Admitted {
    /// The server.
    pub node: Arc<Node>,
    /// The tenant.
    pub slot: Arc<TenantSlot>,
    /// Where the request came from.
    pub caller: Caller,
    /// What was counted for it.
    pub counted: Counted,
    /// Its places on the node and in the tenant, held until the last clone is gone.
    pub passes: Arc<Places>,
}

/// A request that needs no tenant, because its host is none's: an extension of each of them.
#[derive(Clone)]
pub(crate) struct Entered {
    node: Arc<Node>,
    caller: Caller,
    counted: Counted,
    arrival: Arc<Arrival>,
}

impl Entered {
    /// Admits it to the tenant that something else in it names, as if it came to that tenant's host with this method.
    pub(crate) async fn admit_to(self, tenant: TenantId, method: &Method) -> Result<Context, Problem> {
        let Self { node, caller: client, counted, arrival } = self;
        let slot = node.slot_of(tenant).await.map_err(unreachable)?;
        if slot.slug == Slug::platform() {
            check_operator(&node, client.origin.address)?;
        }
        arrival.note_tenant(slot.slug.as_str());
        let passes = take_places(&node, &slot, (method, ""), None)?;
        let live = node.live(&slot).await?;
        Ok(Context { node, slot, live, client, counted, passes })
    }
}

/// Answers a request by the face of its host, if it is admitted; every answer that a tier counted carries what is left.
pub(crate) async fn answer(
    node: Arc<Node>,
    mut faces: Faces,
    deployment: &Deployment,
    request: Request,
) -> Response<Body> {
    #[cfg(feature = "test-faults")]
    crate::fault::request();
    let counted = Counted::default();
    let (mut parts, mut body) = request.into_parts();
    let entered = async {
        let entry = enter(node, deployment.cleartext, &parts, &mut body, &counted).await?;
        #[cfg(feature = "waf")]
        let (entry, body) = compared(deployment, entry, &parts, body).await?;
        Ok::<_, Problem>((entry, body))
    };
    let mut response = match entered.await {
        Ok((Entry::Preflight, _)) => api_host::preflight(),
        Ok((Entry::Answered(answer), _)) => answer,
        Ok((Entry::Open(entered), body)) => {
            parts.extensions.insert(*entered);
            let Ok(response) = faces.call(Request::from_parts(parts, body)).await;
            response
        }
        Ok((Entry::ByHost(admitted), body)) => {
            parts.extensions.insert(*admitted);
            let Ok(response) = faces.call(Request::from_parts(parts, body)).await;
            response
        }
        Ok((Entry::ByKey(keyed), body)) => {
            let origin = keyed.origin.clone();
            parts.extensions.insert(*keyed);
            let Ok(mut response) = faces.call(Request::from_parts(parts, body)).await;
            api_host::share(response.headers_mut(), origin);
            response
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(reading) = counted.tightest() {
        tell(response.headers_mut(), reading);
    }
    response
}

/// How a request comes in.
enum Entry {
    /// To what needs no tenant.
    Open(Box<Entered>),
    /// To a tenant, by its host.
    ByHost(Box<Admitted>),
    /// To a tenant at the API host, by its key.
    ByKey(Box<Keyed>),
    /// Not at all: a browser asks about one that it may send.
    Preflight,
    /// By what needs no route.
    Answered(Response<Body>),
}

async fn enter(
    node: Arc<Node>,
    cleartext: Cleartext,
    request: &Parts,
    body: &mut Body,
    counted: &Counted,
) -> Result<Entry, Problem> {
    let arrival = Arrival::of(&request.extensions)?;
    let caller = knock(&node, request, arrival, counted)?;
    let client = caller.origin.address;
    if let Some(probe) = request_filter::probe(request.uri.path(), request.uri.query()) {
        metrics::counter!(REFUSED, "reason" => probe.as_str()).increment(1);
        return Err(match probe {
            Probe::Control | Probe::Traversal | Probe::Scanner => Problem::new(Kind::NotFound),
            Probe::Injection => Problem::invalid("(query)", "is not one that any client of this server has"),
        });
    }
    note_domain(&node, arrival).await?;
    if let Some(domain) = arrival.domain().filter(|_| request.uri.path() == PROOF_PATH && request.method.is_safe()) {
        return Ok(Entry::Answered(domains::shown_proof(domain))); // whatever the state of its tenant
    }
    if let Some(redirect) = sent_to_https(&node, cleartext, request, arrival) {
        return Ok(Entry::Answered(redirect));
    }
    if arrival.place() == Some(&Place::Api) && api_host::takes_key(request) {
        return if api_host::is_preflight(request) {
            Ok(Entry::Preflight)
        } else {
            Ok(Entry::ByKey(Box::new(api_host::enter(node, (request, body), caller, counted).await?)))
        };
    }
    let is_for_everybody = request.uri.path().starts_with(problem::PAGES);
    let slot = if is_for_everybody { None } else { tenant(&node, arrival, client).await? };
    let is_served_here = slot.is_some() || arrival.place() == Some(&Place::Apex);
    let slot = if is_served_here && security_reports::is_for_operators(request.uri.path()) {
        Some(node.slot(&Slug::platform()).await.map_err(unreachable)?) // from anywhere, and however the host's tenant stands
    } else {
        slot
    };
    let Some(slot) = slot else {
        let (counted, arrival) = (counted.clone(), Arc::clone(arrival));
        return Ok(Entry::Open(Box::new(Entered { node, caller, counted, arrival })));
    };
    let passes = enter_tenant(&node, &slot, request, body).await?;
    Ok(Entry::ByHost(Box::new(Admitted { node, slot, caller, counted: counted.clone(), passes })))
}

/// Compares a request that is admitted to a tenant with the rules, as the tenant's mode has it; the others go on.
#[cfg(feature = "waf")]
async fn compared(
    deployment: &Deployment,
    entry: Entry,
    request: &Parts,
    body: Body,
) -> Result<(Entry, Body), Problem> {
    let Some(waf) = &deployment.waf else { return Ok((entry, body)) };
    let (tenant, mode) = match &entry {
        Entry::ByHost(admitted) => {
            let live = admitted.node.live(&admitted.slot).await?;
            (admitted.slot.id, Mode::in_force(admitted.node.settings.waf, live.settings.waf))
        }
        Entry::ByKey(keyed) => keyed.waf_mode(),
        Entry::Open(_) | Entry::Preflight | Entry::Answered(_) => return Ok((entry, body)),
    };
    let body = waf.admit(tenant, mode, request, body).await?;
    Ok((entry, body))
}

/// Sees that the tenant is served, waits for the body, and takes a place on the node and one of the tenant's.
pub(crate) async fn enter_tenant(
    node: &Node,
    slot: &TenantSlot,
    request: &Parts,
    body: &mut Body,
) -> Result<Arc<Places>, Problem> {
    let arrival = Arrival::of(&request.extensions)?;
    arrival.note_tenant(slot.slug.as_str());
    let asked = (&request.method, request.uri.path());
    served_for(slot, asked, node.ambient.now())?;
    let is_large = !body::receive(node, request, body).await?;
    let client = arrival.client.ok_or_else(|| Problem::new(Kind::Internal))?;
    take_places(node, slot, asked, is_large.then(|| bucket(client.key())))
}

/// A place on the node and one of the tenant's, if it is served.
fn take_places(
    node: &Node,
    slot: &TenantSlot,
    asked: (&Method, &str),
    large_of: Option<Subject>,
) -> Result<Arc<Places>, Problem> {
    served_for(slot, asked, node.ambient.now())?;
    Ok(Arc::new(node.enter(slot, large_of).map_err(Refusal::from)?))
}

/// Who sent a request: counted by the address, and turned away where its network is denied.
pub(crate) fn knock(node: &Node, request: &Parts, arrival: &Arrival, counted: &Counted) -> Result<Caller, Problem> {
    let client = arrival.client.ok_or_else(|| Problem::new(Kind::Internal))?;
    let origin = Origin { address: client.address, request_id: arrival.id.shared() };
    let user_agent = user_agent(&request.headers);
    let caller = Caller { origin, bucket: bucket(client.key()), user_agent, device_cookie: None };
    if node.settings.denied_networks.iter().any(|network| network.contains(&client.address)) {
        metrics::counter!(REFUSED, "reason" => "address").increment(1);
        return Err(Problem::new(Kind::Forbidden).detail("Nobody is served at this address."));
    }
    node.admit_address(&caller, is_foreign(&request.headers), counted)?;
    Ok(caller)
}

/// Whether a page of another site made a browser send it (Fetch Metadata): its sender cannot help it.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site")
}

/// Notes which custom domain the request's host is, where it is none of the platform's.
pub(crate) async fn note_domain(node: &Node, arrival: &Arrival) -> Result<(), Problem> {
    let Some((host, Place::Unknown)) = &arrival.host else { return Ok(()) };
    if host.literal().is_none()
        && let Some(domain) = node.attached(host.host()).await.map_err(|error| Refusal::from_store(&error))?
    {
        arrival.note_domain(domain);
    }
    Ok(())
}

/// Where a request is sent that came without TLS, if it is: not one that asks whether the server is ready, for a load
/// balancer asks that as it likes, and not one to a host that is nobody's.
fn sent_to_https(node: &Node, cleartext: Cleartext, request: &Parts, arrival: &Arrival) -> Option<Response<Body>> {
    let is_clear = arrival.client.is_none_or(|client| client.scheme == Scheme::Http);
    let (host, place) = arrival.host.as_ref()?;
    let is_somebodys = *place != Place::Unknown || arrival.domain().is_some();
    let is_sent = cleartext == Cleartext::Redirected && is_clear && is_somebodys && request.uri.path() != READYZ;
    is_sent.then(|| redirect::to_https(host, &request.uri, node.settings.public_port))
}

/// The tenant that a host is about: the platform's own at the operators' host, which may be for some networks alone.
async fn tenant(node: &Node, arrival: &Arrival, client: IpAddr) -> Result<Option<Arc<TenantSlot>>, Problem> {
    let slot = match (arrival.place(), arrival.domain()) {
        (Some(Place::Tenant(slug)), _) if slug.is_reserved() => return Err(Problem::new(Kind::NotFound)),
        (Some(Place::Tenant(slug)), _) => node.slot(slug).await,
        (Some(Place::Admin), _) => {
            check_operator(node, client)?;
            node.slot(&Slug::platform()).await
        }
        // The operators' host is its own: no other name leads there, past the networks it may be for.
        (Some(Place::Unknown), Some(domain)) => node
            .slot_of(domain.tenant)
            .await
            .and_then(|slot| if slot.slug.is_platform() { Err(Unreachable::Unknown) } else { Ok(slot) }),
        (Some(Place::Apex | Place::Api | Place::Unknown) | None, _) => return Ok(None),
    };
    slot.map(Some).map_err(unreachable)
}

/// The platform's own tenant may be for some networks alone.
fn check_operator(node: &Node, client: IpAddr) -> Result<(), Problem> {
    let networks = &node.settings.operator_networks;
    let is_known = networks.is_empty() || networks.iter().any(|network| network.contains(&client));
    if is_known { Ok(()) } else { Err(Problem::new(Kind::NotFound)) }
}

fn unreachable(error: Unreachable) -> Problem {
    match error {
        Unreachable::Unknown => Problem::new(Kind::NotFound),
        Unreachable::Store(error) => Refusal::from_store(&error).into(),
    }
}

/// [`served`], with this method and path: what providers post shall come again where it is not, for they give up what is
/// refused.
fn served_for(slot: &TenantSlot, (method, path): (&Method, &str), now: UnixMs) -> Result<(), Problem> {
    let is_refused = matches!(slot.standing().state_at(now), TenantState::Suspended | TenantState::ReadOnly);
    if is_refused && path.starts_with(webhooks::PATHS) {
        return Err(Problem::new(Kind::Unavailable).retry_after(WEBHOOK_WAIT));
    }
    served(slot, method, now)
}

/// Whether the tenant is served at all, and with this method.
pub(crate) fn served(slot: &TenantSlot, method: &Method, now: UnixMs) -> Result<(), Problem> {
    if let Some(wait) = slot.quarantined_for(now) {
        return Err(Problem::new(Kind::TenantQuarantined).retry_after(wait));
    }
    match slot.standing().state_at(now) {
        TenantState::Active => Ok(()),
        TenantState::ReadOnly if method.is_safe() => Ok(()),
        TenantState::ReadOnly => Err(Problem::new(Kind::TenantReadOnly)),
        TenantState::Suspended => Err(Problem::new(Kind::TenantSuspended)),
        TenantState::Draining => Err(Problem::new(Kind::TenantDraining).retry_after(STANDING_WAIT)),
        TenantState::Held => Err(Problem::new(Kind::TenantHeld).retry_after(STANDING_WAIT)),
    }
}

fn bucket(key: AddressKey) -> Subject {
    Subject(match key.address() {
        IpAddr::V4(four) => u128::from(four.to_bits()),
        IpAddr::V6(six) => six.to_bits(),
    })
}

/// The first line of it that can be shown, cut.
fn user_agent(headers: &HeaderMap) -> Box<str> {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(USER_AGENT_CHARS_MAX).collect::<String>().into()
}

fn tell(headers: &mut HeaderMap, reading: Reading) {
    headers.insert(LIMIT, reading.limit.into());
    headers.insert(REMAINING, reading.remaining.into());
    headers.insert(RESET, (reading.full_at.get().div_euclid(1_000) + 1).into());
    headers.insert(TIER, HeaderValue::from_static(reading.tier.as_str()));
}

const fn kind_of(refused: Refused) -> Kind {
    match refused {
        Refused::Denied => Kind::OauthDenied,
        Refused::Failed => Kind::OauthFailed,
        Refused::Expired => Kind::OauthExpired,
        Refused::NotLinked => Kind::OauthNotLinked,
        Refused::NotAdmitted => Kind::OauthNotAdmitted,
        Refused::Unverified => Kind::OauthUnverified,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        const SOON: Duration = Duration::from_secs(1);
        const LAST_ADMIN: &str = "The last active admin of a tenant stays: make somebody else an admin first.";
        const NO_SUPPORT: &str = "This tenant does not allow operators to act as its members: `support_access` is off.";
        const LAST_WAY_IN: &str = "The last way to sign in stays: set a password or link another account first.";
        const MUST_ENROL: &str =
            "This tenant requires a second factor: enrol one, and refresh the session. Nothing else is allowed before.";
        const NOT_FRESH: &str = "This takes a session that was started within the last five minutes: sign in again.";
        const NO_ROOM: &str =
            "Too many reports wait for an answer. Write to whom /.well-known/security.txt names, or try again later.";
        const ENOUGH: &str = "There are as many of these as a tenant may have: take one away first.";
        const EVENT_DONE: &str = "The event had its effect, or has none: it has no second one.";
        const ANSWERED: &str = "The report was answered before: the first answer stands.";
        match refusal {
            Refusal::RateLimited(limited) => {
                Self::rate_limited(limited.reading.tier.as_str(), limited.stage.as_str(), limited.retry_after)
            }
            Refusal::Locked(locked) => Self::new(Kind::AccountLocked).retry_after(locked.retry_after),
            Refusal::Breached => Self::invalid("new_password", BREACHED),
            Refusal::Common => Self::invalid("new_password", COMMON),
            Refusal::InvalidCredentials => Self::new(Kind::InvalidCredentials),
            Refusal::SecondFactorRequired(challenge) => {
                Self::new(Kind::SecondFactorRequired).with("challenge", challenge.expose().as_str())
            }
            Refusal::Domain(refusal) => domains::problem(refusal),
            Refusal::OAuth(refused) => Self::new(kind_of(refused)),
            Refusal::NoRoomForReports => Self::new(Kind::Conflict).detail(NO_ROOM),
            Refusal::Url(refused) => Self::invalid("url", refused.to_string()).with("rule", refused.rule()),
            Refusal::BaseUrl(refused) => Self::invalid("base_url", refused.to_string()).with("rule", refused.rule()),
            Refusal::Shop(not) => Self::invalid("shop", not.to_string()),
            Refusal::ShopUrl(refused) => Self::invalid("shop", refused.to_string()).with("rule", refused.rule()),
            Refusal::IntegrationExpired => Self::new(Kind::IntegrationExpired),
            Refusal::QuotaReached(QuotaReached { quota, limit, plan }) => Self::new(Kind::QuotaReached)
                .with("quota", quota.as_str())
                .with("limit", limit)
                .with("plan", plan.as_str()),
            Refusal::Subscribed => Self::new(Kind::AlreadySubscribed),
            Refusal::PayoutAccountStays => Self::new(Kind::PayoutAccountStays),
            Refusal::Enough => Self::new(Kind::Conflict).detail(ENOUGH),
            Refusal::EventDone => Self::new(Kind::Conflict).detail(EVENT_DONE),
            Refusal::ReportAnswered => Self::new(Kind::Conflict).detail(ANSWERED),
            Refusal::LastWayIn => Self::new(Kind::Conflict).detail(LAST_WAY_IN),
            Refusal::NotFresh => Self::new(Kind::Forbidden).detail(NOT_FRESH),
            Refusal::NoSupportAccess => Self::new(Kind::Forbidden).detail(NO_SUPPORT),
            Refusal::NotInvited => Self::invalid("invitation", "is not valid any more, or is for another address"),
            Refusal::RegistrationClosed => {
                Self::new(Kind::Forbidden).detail("Whoever wants to join this tenant needs an invitation.")
            }
            Refusal::LastAdmin => Self::new(Kind::Conflict).detail(LAST_ADMIN),
            Refusal::MustEnrol => {
                Self::new(Kind::Forbidden).detail(MUST_ENROL).with("second_factor_enrolment", "required")
            }
            Refusal::TooShort(short) => Self::invalid("new_password", short.to_string()),
            Refusal::NoRoles => Self::invalid("second_factor_roles", NoRoles.to_string()),
            Refusal::Collides => Self::new(Kind::Conflict),
            Refusal::Unauthenticated => Self::invalid_token(),
            Refusal::Conflict => Self::new(Kind::Conflict).retry_after(SOON),
            Refusal::NotFound => Self::new(Kind::NotFound),
            Refusal::Overloaded => Self::new(Kind::Overloaded).retry_after(SOON),
            Refusal::Unavailable => Self::new(Kind::Unavailable).retry_after(SOON),
            Refusal::Internal => Self::new(Kind::Internal),
        }
    }
}
