//! A provider that gives out tokens, as this server is known to it: at addresses that the operator named, or, of Shopify's, at a
//! shop that a tenant named.

mod hosted;
mod shopify;

use std::time::Duration;

use freehold_domain::integration::Integration;
use freehold_domain::integration::grant::{self, Grant, Returned};
use freehold_domain::integration::shopify::callback::Callback;
use freehold_domain::integration::shopify::{NotAShop, Shop};
use freehold_domain::oauth::Refused;
use freehold_domain::oauth::state::State;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use hyper::StatusCode;

use self::hosted::Hosted;
use self::shopify::Shopify;
use super::{AppRule, Health, ShopifyRule, Tried};
use crate::outbound::{Answered, CallFailed, Outbound};
use crate::public_client::{NoAnswer, PublicClient};

const JSON_TYPE: &str = "application/json";

/// What this server is to a provider.
pub(crate) enum App {
    Hosted(Box<Hosted>),
    Shopify(Shopify),
}

/// Whose account is called, and the way to it where the account says where that is.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) client: &'a PublicClient,
    pub(crate) account: &'a str,
}

/// The page where somebody is asked to allow it.
#[derive(Debug)]
pub(crate) struct ConsentPage {
    address: String,
    /// Whose page it is, where a shop has its own.
    pub(crate) shop: Option<Shop>,
}

/// Why a provider gave no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It did not answer.
    #[error("the provider did not answer")]
    Away(#[source] CallFailed),
    /// The shop did not, or is not where it may be called.
    #[error("the shop did not answer")]
    ShopAway(#[source] NoAnswer),
    /// The operator allows less than it did.
    #[error("the shop may not be called any more")]
    NotAllowed,
    /// It failed, or asks for time.
    #[error("the provider failed with {0}")]
    Ill(StatusCode, Option<Duration>),
    /// It did not take what it was given.
    #[error("the provider refused with {0}")]
    Refused(StatusCode),
    /// It says that the grant is over.
    #[error("the grant is over")]
    Over,
    /// It answered with something else.
    #[error(transparent)]
    Nonsense(#[from] grant::NotAGrant),
}

impl Failed {
    /// What that says of the provider.
    pub(crate) const fn health(&self) -> Health {
        match self {
            Self::Away(_) | Self::ShopAway(_) | Self::NotAllowed | Self::Nonsense(_) => Health::Ill(None),
            Self::Ill(_, retry_after) => Health::Ill(*retry_after),
            Self::Refused(_) | Self::Over => Health::Well,
        }
    }
}

impl App {
    pub(super) fn hosted(integration: Integration, rule: AppRule, over: &Outbound) -> Self {
        Self::Hosted(Box::new(Hosted::new(integration, rule, over)))
    }

    pub(super) const fn shopify(rule: ShopifyRule) -> Self {
        Self::Shopify(Shopify::new(rule))
    }

    /// Where it is asked for: at this shop, of those that have shops.
    ///
    /// # Errors
    /// [`NotAShop`]
    pub(crate) fn consent_page(&self, shop: Option<&str>) -> Result<ConsentPage, NotAShop> {
        match self {
            Self::Hosted(app) if shop.is_none() => Ok(app.consent_page()),
            Self::Hosted(_) => Err(NotAShop::Strange),
            Self::Shopify(app) => app.consent_page(shop.ok_or(NotAShop::Missing)?),
        }
    }

    /// Where somebody is sent to allow it.
    pub(crate) fn authorization_url(&self, page: &ConsentPage, state: &State, redirect_uri: &str) -> Secret<String> {
        let query = match self {
            Self::Hosted(app) => app.consent_query(state, redirect_uri),
            Self::Shopify(app) => app.consent_query(state, redirect_uri),
        };
        Secret::new(format!("{}?{}", page.address, query.expose()))
    }

    /// Whose account it is that somebody came back from, where that is known now: what a shop sends must be signed, at the wall
    /// clock `wall`, for the shop that was begun with.
    ///
    /// # Errors
    /// [`Refused`]
    pub(crate) fn came_from(
        &self,
        (callback, realm): (&Callback, Option<String>),
        begun_with: impl FnOnce() -> Option<Secret<String>>,
        wall: UnixMs,
    ) -> Result<Option<String>, Refused> {
        match self {
            Self::Hosted(app) => app.came_from(realm),
            Self::Shopify(app) => app.came_from(callback, begun_with(), wall).map(Some),
        }
    }

    /// Tokens for a code, at the wall clock `wall`.
    ///
    /// # Errors
    /// [`Failed`]
    pub(crate) async fn exchange(
        &self,
        client: &PublicClient,
        back: &Returned,
        redirect_uri: &str,
        wall: UnixMs,
    ) -> Result<Grant, Failed> {
        match self {
            Self::Hosted(app) => app.exchange(back, redirect_uri, wall).await,
            Self::Shopify(app) => {
                let account = back.account.as_deref().unwrap_or_default();
                app.exchange(Whose { client, account }, &back.code, wall).await
            }
        }
    }

    /// Tokens for a refresh token, at the wall clock `wall`.
    ///
    /// # Errors
    /// [`Failed`]
    pub(crate) async fn refresh(
        &self,
        whose: Whose<'_>,
        refresh: &Secret<String>,
        wall: UnixMs,
    ) -> Result<Grant, Failed> {
        match self {
            Self::Hosted(app) => app.refresh(refresh, wall).await,
            Self::Shopify(app) => app.refresh(whose, refresh, wall).await,
        }
    }

    /// Takes a grant back: QuickBooks by its refresh token, Square and Shopify by the access token.
    ///
    /// # Errors
    /// [`Failed`]; it may be good until it ends.
    pub(crate) async fn revoke(
        &self,
        whose: Whose<'_>,
        access: &Secret<String>,
        refresh: Option<&Secret<String>>,
    ) -> Result<(), Failed> {
        match self {
            Self::Hosted(app) => app.revoke(access, refresh).await,
            Self::Shopify(app) => app.revoke(whose, access).await,
        }
    }

    /// Shows the provider a token, in a call that changes nothing there.
    pub(crate) async fn try_token(&self, whose: Whose<'_>, access: &Secret<String>) -> (Tried, Health) {
        match self {
            Self::Hosted(app) => app.try_token(access, whose.account).await,
            Self::Shopify(app) => app.try_token(whose, access).await,
        }
    }
}

/// What a token endpoint answered.
fn tokens(of: Integration, answered: &Answered, wall: UnixMs) -> Result<Grant, Failed> {
    let Answered { status, retry_after, text } = answered;
    match Health::of(*status, *retry_after) {
        Health::Ill(retry_after) => Err(Failed::Ill(*status, retry_after)),
        Health::Well if status.is_success() => Ok(Grant::read(of, text.expose(), wall)?),
        Health::Well if grant::is_over(text.expose()) => Err(Failed::Over),
        Health::Well => Err(Failed::Refused(*status)),
    }
}

/// What was answered by whoever was to take tokens back.
fn taken_back(status: StatusCode, retry_after: Option<Duration>) -> Result<(), Failed> {
    match Health::of(status, retry_after) {
        Health::Ill(retry_after) => Err(Failed::Ill(status, retry_after)),
        Health::Well if status.is_success() => Ok(()),
        Health::Well => Err(Failed::Refused(status)),
    }
}
