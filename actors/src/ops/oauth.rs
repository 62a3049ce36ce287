//! Signing in at a provider: the beginning, on the tenant's host, and the callback, on the one host of all tenants.
//!
//! A callback only takes down what the provider vouches for. Who that is here, and what follows from it, is decided when
//! the browser that began comes home with its cookie ([`handoff`]): whoever lures another browser to a callback of theirs
//! has signed nobody in and linked nothing.

pub mod handoff;

use freehold_domain::access_token::AccessClaims;
use freehold_domain::id::FamilyId;
use freehold_domain::keys::Sealed;
use freehold_domain::oauth::state::{FlowSecrets, State};
use freehold_domain::oauth::{HANDOFF_TTL, Profile, Provider, Refused, STATE_TTL};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::secret::Secret;
use freehold_storage::oauth::{self as rows, HandoffRow, StateRow};
use freehold_storage::{Chain, TenantTx};

use crate::gate;
use crate::metric;
use crate::node::Attached;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::login_address;
use crate::providers::{Configured, Exchange};

/// A sign-in that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Secret<String>,
    /// The cookie that tells this browser.
    pub browser: Secret<String>,
}

/// From where it is begun.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// The cookie of another that this browser has begun.
    pub browser: Option<&'a str>,
    /// The custom domain; `None` for the tenant's host under the platform's domain.
    pub domain: Option<&'a Attached>,
}

/// What a provider sent somebody back with.
#[derive(Debug)]
pub enum Returned {
    /// A code.
    Code(Secret<String>),
    /// Whoever it was did not allow it.
    Denied,
    /// Another error, or nothing that makes sense.
    Failed,
}

/// How a callback ended whose state was good.
#[derive(Debug)]
pub enum Ended {
    /// With the code for the tenant's own host.
    HandedOff(Secret<String>),
    /// With nobody.
    Refused(Refusal),
}

/// A callback whose state was good.
#[derive(Debug)]
pub struct CameBack {
    /// How it ended.
    pub ended: Ended,
    /// The origin where it began.
    pub home: String,
}

/// Begins a sign-in. A browser that has begun another keeps its cookie, so that two tabs do not void each other.
///
/// # Errors
/// [`Refusal::NotFound`] for a provider that is not configured; what the limits refuse.
pub async fn start(cx: &Context, provider: Provider, from: Beginning<'_>) -> Result<Begun, Refusal> {
    let configured = configured(cx, provider)?;
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let tx = cx.node.store.write(cx.slot.id).await?;
    let begun = begin(cx, tx, (provider, configured), from, None).await?;
    count(provider, "started");
    Ok(begun)
}

/// Begins to link an account to the caller, who signed in a short while ago.
///
/// # Errors
/// [`Refusal::NotFound`] for a provider that is not configured; [`Refusal::NotFresh`].
pub async fn link(
    cx: &Context,
    caller: &AccessClaims,
    provider: Provider,
    from: Beginning<'_>,
) -> Result<Begun, Refusal> {
    let configured = configured(cx, provider)?;
    cx.admit_member(caller).await?;
    let tx = begin_fresh(cx, caller).await?;
    let begun = begin(cx, tx, (provider, configured), from, Some(caller.sid)).await?;
    count(provider, "link_started");
    Ok(begun)
}

async fn begin(
    cx: &Context,
    mut tx: TenantTx,
    (provider, configured): (Provider, Configured<'_>),
    Beginning { browser, domain }: Beginning<'_>,
    family: Option<FamilyId>,
) -> Result<Begun, Refusal> {
    let node = &cx.node;
    let known = browser.and_then(|text| OneTimeToken::parse(Purpose::OauthBrowser, text));
    let browser = known.unwrap_or_else(|| OneTimeToken::from_random(Purpose::OauthBrowser, node.ambient.random()));
    let state = State::from_random(cx.slot.id, node.ambient.random());
    let secrets = FlowSecrets::from_random(node.ambient.random());
    let hash = state.hash();
    let sealed = cx.live.keys.seal(&FlowSecrets::place(&hash), &secrets, node.nonce());
    let row = StateRow {
        provider: provider.as_str().to_owned(),
        secrets_sealed: sealed.map_err(|_| Refusal::Internal)?.into_bytes(),
        browser_hash: browser.hash().to_vec(),
        family,
        home: domain.map(|attached| attached.name.to_string()),
    };
    rows::begin(&mut tx, &hash, &row, node.ambient.now().plus(STATE_TTL)).await?;
    tx.commit().await?;
    let url = configured.authorization_url(&state, &secrets, &node.settings.oauth_callback());
    Ok(Begun { url: Secret::new(url), browser: browser.text() })
}

/// Takes down what a provider vouches for. The state is spent before anybody is asked: of all who bring the same one, one
/// goes on.
///
/// # Errors
/// [`Refused::Expired`] for a state that is unknown, used or too old; what the limits and the store refuse.
pub async fn callback(
    cx: &Context,
    state: &State,
    returned: Returned,
    issuer: Option<&str>,
) -> Result<CameBack, Refusal> {
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let hash = state.hash();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let row = rows::take_state(&mut tx, &hash, cx.node.ambient.now()).await?.ok_or(Refused::Expired)?;
    let _place = cx.slot.call_outside(gate::OUTBOUND_MAX)?; // who finds none has not spent the state, and comes again
    tx.commit().await?;
    let provider: Provider = row.provider.parse().map_err(|_| Refusal::Internal)?;
    let secrets = Sealed::from_stored(row.secrets_sealed.clone()).map_err(|_| Refusal::Internal)?;
    let secrets = cx.live.keys.open_sealed(&FlowSecrets::place(&hash), &secrets).map_err(|_| Refusal::Internal)?;
    let home = home(cx, row.home.as_deref()).await?;
    let ended = match vouch(cx, provider, &secrets, returned, issuer).await {
        Ok(profile) => Ended::HandedOff(hand_off(cx, provider, &profile, row).await?),
        Err(refusal) => {
            count(provider, if refusal == Refusal::Unavailable { "unavailable" } else { "failed" });
            Ended::Refused(refusal)
        }
    };
    Ok(CameBack { ended, home })
}

/// The origin where it began, while that is still the tenant's.
pub(super) async fn home(cx: &Context, domain: Option<&str>) -> Result<String, Refusal> {
    let settings = &cx.node.settings;
    let Some(domain) = domain else { return Ok(settings.issuer(&cx.slot.slug)) };
    let attached = cx.node.attached(domain).await?;
    let is_ours = attached.is_some_and(|attached| attached.tenant == cx.slot.id);
    if is_ours { Ok(settings.origin(domain)) } else { Err(Refused::Expired.into()) }
}

async fn vouch(
    cx: &Context,
    provider: Provider,
    secrets: &FlowSecrets,
    returned: Returned,
    issuer: Option<&str>,
) -> Result<Profile, Refusal> {
    let configured = configured(cx, provider).map_err(|_| Refused::Expired)?; // it was, when this began
    if !configured.is_issuer(issuer) {
        return Err(Refused::Failed.into());
    }
    let code = match returned {
        Returned::Code(code) => code,
        Returned::Denied => return Err(Refused::Denied.into()),
        Returned::Failed => return Err(Refused::Failed.into()),
    };
    let redirect_uri = cx.node.settings.oauth_callback();
    let exchange = Exchange { code: &code, secrets, redirect_uri: &redirect_uri };
    configured.vouch(&exchange).await.map_err(|none| {
        let provider = provider.as_str();
        tracing::warn!(tenant.id = %cx.slot.id, provider, error = %Chain(&none), "a provider vouched for nobody");
        Refusal::from(&none)
    })
}

/// The code under which the profile waits for its browser.
async fn hand_off(
    cx: &Context,
    provider: Provider,
    profile: &Profile,
    state: StateRow,
) -> Result<Secret<String>, Refusal> {
    let code = OneTimeToken::from_random(Purpose::OauthHandoff, cx.node.ambient.random());
    let hash = code.hash();
    let sealed = cx.live.keys.seal(&Profile::place(&hash), profile, cx.node.nonce());
    let row = HandoffRow {
        provider: state.provider,
        profile_sealed: sealed.map_err(|_| Refusal::Internal)?.into_bytes(),
        browser_hash: state.browser_hash,
        family: state.family,
    };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    rows::hand_off(&mut tx, &hash, &row, cx.node.ambient.now().plus(HANDOFF_TTL)).await?;
    tx.commit().await?;
    count(provider, "handed_off");
    Ok(code.text())
}

fn configured(cx: &Context, provider: Provider) -> Result<Configured<'_>, Refusal> {
    cx.node.providers.get(provider).ok_or(Refusal::NotFound)
}

fn count(provider: Provider, outcome: &'static str) {
    metrics::counter!(metric::OAUTH, "provider" => provider.as_str(), "outcome" => outcome).increment(1);
}
