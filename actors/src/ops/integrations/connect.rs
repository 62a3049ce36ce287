//! Connecting a service by a grant: the beginning, on the tenant's host; the callback, on the one host of all tenants; and the
//! end, at home again, in the browser that began.
//!
//! ```text
//! begin --state, 10 min, once--> provider --code--> callback --handoff, 30 s, once, the same browser--> tokens --> connected
//! ```
//!
//! A shop that is named at the beginning is kept with the state, and what comes back must be signed for it.
//!
//! The callback asks the provider for nothing. Whoever lures somebody to allow a connection that he began himself has no browser
//! with both the cookie and the consent, so that nobody's books are connected to another's tenant.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::id::{FamilyId, MemberId};
use freehold_domain::integration::Integration;
use freehold_domain::integration::grant::{Grant, Returned};
use freehold_domain::integration::refresh::due_at;
use freehold_domain::integration::shopify::callback::Callback;
use freehold_domain::keys::Sealed;
use freehold_domain::oauth::state::{FlowSecrets, State};
use freehold_domain::oauth::{HANDOFF_TTL, Refused, STATE_TTL};
use freehold_domain::one_time_token::{OneTimeToken, Purpose};
use freehold_domain::policy::Permission;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_storage::integration::{self as rows, IntegrationRow};
use freehold_storage::oauth::{self as flows, HandoffRow, StateRow};
use freehold_storage::{Chain, family, member};

use super::record;
use crate::integrations::{App, Failed, Health, Whose, guarded};
use crate::node::Settings;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::oauth::{Beginning, Begun, home};
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::login_address;

/// What a provider sent somebody back with, who was to connect a service.
#[derive(Debug)]
pub enum Back {
    /// A code.
    Code(Brought),
    /// Whoever it was did not allow it.
    Denied,
    /// Another error, or nothing that makes sense.
    Failed,
}

/// What a provider sends with a code.
#[derive(Debug)]
pub struct Brought {
    /// What is exchanged for tokens.
    pub code: Secret<String>,
    /// The account, as QuickBooks says it.
    pub realm: Option<String>,
    /// Every parameter, as Shopify signs them.
    pub signed: Callback,
}

/// How a callback ended whose state was good, and the origin where it began.
#[derive(Debug)]
pub struct CameBack {
    /// The code for the tenant's own host, or why there is none.
    pub ended: Result<Secret<String>, Refusal>,
    /// Where it began.
    pub home: String,
}

/// Where every provider sends everybody back to: one address for all tenants.
fn callback_url(settings: &Settings) -> String {
    format!("{}/integrations/callback", settings.origin(&settings.platform_domain))
}

/// Begins to connect a service, for a member who signed in a short while ago: of Shopify's, this shop.
///
/// # Errors
/// [`Refusal::NotFound`] for one that is not configured, or has a key; [`Refusal::Shop`] and [`Refusal::ShopUrl`] for what is no
/// shop, or leads where nothing may be called; [`Refusal::NotFresh`]; what the limits and the store refuse.
pub async fn begin(
    cx: &Context,
    caller: &AccessClaims,
    (of, shop): (Integration, Option<&str>),
    from: Beginning<'_>,
) -> Result<Begun, Refusal> {
    let node = &cx.node;
    let app = node.integrations.app(of).ok_or(Refusal::NotFound)?;
    cx.admit_member(caller).await?;
    let page = app.consent_page(shop).map_err(Refusal::Shop)?;
    if let Some(shop) = &page.shop {
        node.outbox.client.admit(&shop.url("/")).await.map_err(Refusal::ShopUrl)?;
    }
    let mut tx = begin_fresh(cx, caller).await?;
    let known = from.browser.and_then(|text| OneTimeToken::parse(Purpose::OauthBrowser, text));
    let browser = known.unwrap_or_else(|| OneTimeToken::from_random(Purpose::OauthBrowser, node.ambient.random()));
    let state = State::from_random(cx.slot.id, node.ambient.random());
    let hash = state.connect_hash();
    let place = FlowSecrets::place(&hash);
    // No provider takes PKCE: nothing is kept for the exchange but a shop. The row has a place, and something must be there.
    let secrets_sealed = match &page.shop {
        Some(shop) => cx.seal(place, &Secret::new(shop.host().to_owned()))?,
        None => cx.seal(place, &FlowSecrets::from_random(node.ambient.random()))?,
    };
    let row = StateRow {
        provider: of.to_string(),
        secrets_sealed,
        browser_hash: browser.hash().to_vec(),
        family: Some(caller.sid),
        home: from.domain.map(|attached| attached.name.to_string()),
    };
    flows::begin(&mut tx, &hash, &row, node.ambient.now().plus(STATE_TTL)).await?;
    tx.commit().await?;
    let url = app.authorization_url(&page, &state, &callback_url(&node.settings));
    Ok(Begun { url, browser: browser.text() })
}

/// Takes down what came back. The state is spent first: of all who bring the same one, one goes on.
///
/// # Errors
/// [`Refused::Expired`] for a state that is unknown, used or too old; what the limits and the store refuse.
pub async fn callback(cx: &Context, state: &State, back: Back) -> Result<CameBack, Refusal> {
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let hash = state.connect_hash();
    let row = flows::take_state(&mut tx, &hash, now).await?.ok_or(Refused::Expired)?;
    tx.commit().await?;
    let integration: Integration = row.provider.parse().map_err(|_| Refusal::Internal)?;
    let home = home(cx, row.home.as_deref()).await?;
    let Brought { code, realm, signed } = match back {
        Back::Code(brought) => brought,
        Back::Denied => return Ok(CameBack { ended: Err(Refused::Denied.into()), home }),
        Back::Failed => return Ok(CameBack { ended: Err(Refused::Failed.into()), home }),
    };
    let app = cx.node.integrations.app(integration).ok_or(Refused::Expired)?; // it was, when this began
    let begun_with = || {
        let sealed = Sealed::<Secret<String>>::from_stored(row.secrets_sealed.clone()).ok()?;
        cx.live.keys.open_sealed(&FlowSecrets::place(&hash), &sealed).ok()
    };
    let account = match app.came_from((&signed, realm), begun_with, cx.node.ambient.wall()) {
        Ok(account) => account,
        Err(refused) => return Ok(CameBack { ended: Err(refused.into()), home }),
    };
    let handoff = OneTimeToken::from_random(Purpose::IntegrationHandoff, cx.node.ambient.random());
    let hash = handoff.hash();
    let returned = Returned { integration, code, account };
    let row = HandoffRow {
        provider: row.provider,
        profile_sealed: cx.seal(Returned::place(&hash), &returned)?,
        browser_hash: row.browser_hash,
        family: row.family,
    };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    flows::hand_off(&mut tx, &hash, &row, now.plus(HANDOFF_TTL)).await?;
    tx.commit().await?;
    Ok(CameBack { ended: Ok(handoff.text()), home })
}

/// Takes a code and a browser in, and connects the service for the member who began, while that session lives and its member
/// may.
///
/// # Errors
/// [`Refused::Expired`] for a code that is unknown, used, too old or another browser's, and where the session is over;
/// [`Refused::Failed`] where the provider gives nothing for it; [`Refusal::Unavailable`] where it does not answer.
pub async fn come_home(
    cx: &Context,
    code: Option<&OneTimeToken>,
    browser: Option<&OneTimeToken>,
) -> Result<Integration, Refusal> {
    cx.admit(&[login_address(cx), cx.tenant_layer()]).await?;
    let (code, browser) = code.zip(browser).ok_or(Refused::Expired)?;
    let hash = code.hash();
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let row = flows::take_handoff(&mut tx, &hash, &browser.hash(), cx.node.ambient.now()).await?;
    tx.commit().await?;
    let row = row.ok_or(Refused::Expired)?;
    let sealed = Sealed::from_stored(row.profile_sealed).map_err(|_| Refusal::Internal)?;
    let returned: Returned =
        cx.live.keys.open_sealed(&Returned::place(&hash), &sealed).map_err(|_| Refusal::Internal)?;
    let family = row.family.ok_or(Refusal::Internal)?;
    allowed(cx, family).await?;
    let app = cx.node.integrations.app(returned.integration).ok_or(Refused::Expired)?; // it was, when this began
    let (redirect_uri, wall) = (callback_url(&cx.node.settings), cx.node.ambient.wall());
    let answered = guarded(&cx.node, &cx.slot, returned.integration, async {
        let answered = app.exchange(&cx.node.outbox.client, &returned, &redirect_uri, wall).await;
        let health = answered.as_ref().map_or_else(Failed::health, |_| Health::Well);
        (answered, health)
    });
    let grant = answered.await?.map_err(|failed| {
        let integration = returned.integration.as_str();
        tracing::warn!(tenant.id = %cx.slot.id, integration, error = %Chain(&failed), "a service was not connected");
        if failed.health() == Health::Well { Refusal::from(Refused::Failed) } else { Refusal::Unavailable }
    })?;
    connect(cx, app, &returned, &grant, family).await?;
    Ok(returned.integration)
}

/// Which member it is, if the session lives and its member may still do this.
async fn allowed(cx: &Context, family: FamilyId) -> Result<MemberId, Refusal> {
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let session = family::by_id(&mut tx, family).await?.map(|row| row.family);
    let alive = session.filter(|family| family.revoked_at_ms.is_none() && now < family.expires_at_ms);
    let member = member::by_id(&mut tx, alive.ok_or(Refused::Expired)?.member).await?.ok_or(Refused::Expired)?;
    let role: Role = member.role.parse().map_err(|_| Refusal::Internal)?;
    let may = cx.node.settings.policy.may(role, Permission::IntegrationsChange);
    if may && member.deactivated_at_ms.is_none() { Ok(member.id) } else { Err(Refused::Expired.into()) }
}

async fn connect(
    cx: &Context,
    app: &App,
    Returned { integration, account, .. }: &Returned,
    grant: &Grant,
    family: FamilyId,
) -> Result<(), Refusal> {
    let (now, of) = (cx.node.ambient.now(), *integration);
    let account = account.as_ref().or(grant.account.as_ref()).ok_or(Refused::Failed)?.clone();
    let refresh = grant.refresh.as_ref();
    if grant.lasts.is_some() && refresh.is_none() {
        return Err(Refused::Failed.into()); // it would end, and nothing could be done
    }
    let due = grant.lasts.map(|lasts| due_at(now, lasts));
    let row = IntegrationRow {
        name: of.to_string(),
        secret_sealed: cx.seal(of.secret_place(), &grant.access)?,
        refresh_sealed: refresh.map(|token| cx.seal(of.refresh_place(), token)).transpose()?,
        account,
        last4: grant.access.last4(),
        set_at_ms: now,
        ends_at_ms: grant.lasts.map(|lasts| now.plus(lasts)),
        due_at_ms: due,
        expired_at_ms: None,
        version: now.get(),
    };
    let kept = async {
        let member = allowed(cx, family).await?; // the provider took its time
        let mut tx = cx.node.store.write(cx.slot.id).await?;
        rows::set(&mut tx, &row).await?;
        record(cx, &mut tx, (Action::IntegrationConnected, Actor::Member(member)), of).await?;
        tx.commit().await?;
        Ok(())
    };
    match kept.await {
        Ok(()) => due.into_iter().for_each(|due| cx.node.integrations.wake(cx.slot.id, due)),
        Err(refusal) => {
            // Nobody has these tokens; but where others of the same account are stored, their provider would take both back.
            let stored = rows::by_name(&mut cx.node.store.read(cx.slot.id).await?, of.as_str()).await?;
            if stored.is_none() {
                let whose = Whose { client: &cx.node.outbox.client, account: &row.account };
                drop(app.revoke(whose, &grant.access, refresh).await);
            }
            return Err(refusal);
        }
    }
    tracing::info!(tenant.id = %cx.slot.id, integration = of.as_str(), "a service was connected");
    Ok(())
}
