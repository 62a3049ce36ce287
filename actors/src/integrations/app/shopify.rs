//! Shopify, which gives out tokens at each shop: JSON is posted there, and tokens have a header of their own.

use freehold_domain::integration::Integration;
use freehold_domain::integration::grant::Grant;
use freehold_domain::integration::shopify::callback::{Callback, NotOfShopify};
use freehold_domain::integration::shopify::{NotAShop, Shop};
use freehold_domain::oauth::state::State;
use freehold_domain::oauth::{Refused, form};
use freehold_domain::public_url::PublicUrl;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use serde_json::json;

use super::super::{BOUNDS, Health, JSON, ShopifyRule, Tried, of_status, unanswered};
use super::{ConsentPage, Failed, JSON_TYPE, Whose, taken_back, tokens};

const CONSENT_PATH: &str = "/admin/oauth/authorize";
const TOKEN_PATH: &str = "/admin/oauth/access_token";
/// Takes the app away from the shop, and with it every token.
const REVOKE_PATH: &str = "/admin/api_permissions/current.json";
/// Answered to every token. A version is there for a year; afterwards the oldest one answers that is.
const SHOP_PATH: &str = "/admin/api/2026-07/shop.json";
const TOKEN_HEADER: &str = "x-shopify-access-token";

/// What this server is to every shop.
pub(crate) struct Shopify(ShopifyRule);

impl Shopify {
    pub(super) const fn new(rule: ShopifyRule) -> Self {
        Self(rule)
    }

    pub(super) fn consent_page(&self, shop: &str) -> Result<ConsentPage, NotAShop> {
        let shop = self.0.domain.shop(shop)?;
        Ok(ConsentPage { address: shop.url(CONSENT_PATH), shop: Some(shop) })
    }

    pub(super) fn consent_query(&self, state: &State, redirect_uri: &str) -> Secret<String> {
        let state = state.text();
        form::encode(&[
            ("client_id", self.0.client_id.as_str()),
            ("scope", self.0.scopes.as_str()),
            ("redirect_uri", redirect_uri),
            ("state", state.expose().as_str()),
        ])
    }

    pub(super) fn came_from(
        &self,
        callback: &Callback,
        begun_with: Option<Secret<String>>,
        wall: UnixMs,
    ) -> Result<String, Refused> {
        let shop = begun_with.and_then(|shop| self.0.domain.shop(shop.expose()).ok()).ok_or(Refused::Failed)?;
        match callback.verify(&self.0.client_secret, &shop, wall) {
            Ok(()) => Ok(shop.host().to_owned()),
            Err(NotOfShopify::Time) => Err(Refused::Expired),
            Err(NotOfShopify::Twice | NotOfShopify::Unsigned | NotOfShopify::Signature | NotOfShopify::Shop) => {
                Err(Refused::Failed)
            }
        }
    }

    /// Of the kind that ends, is refreshed, and is the only one of the shop that is good.
    pub(super) async fn exchange(
        &self,
        whose: Whose<'_>,
        code: &Secret<String>,
        wall: UnixMs,
    ) -> Result<Grant, Failed> {
        self.tokens(whose, &[("code", code.expose()), ("expiring", "1")], wall).await
    }

    pub(super) async fn refresh(
        &self,
        whose: Whose<'_>,
        refresh: &Secret<String>,
        wall: UnixMs,
    ) -> Result<Grant, Failed> {
        self.tokens(whose, &[("grant_type", "refresh_token"), ("refresh_token", refresh.expose())], wall).await
    }

    async fn tokens(&self, whose: Whose<'_>, ask: &[(&str, &str)], wall: UnixMs) -> Result<Grant, Failed> {
        let mut body: serde_json::Map<_, _> = ask.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        body.insert("client_id".into(), json!(self.0.client_id));
        body.insert("client_secret".into(), json!(self.0.client_secret.expose()));
        let body = Secret::new(serde_json::Value::from(body).to_string());
        let url = self.url(whose, TOKEN_PATH)?;
        let headers = [(JSON.0, JSON.1.to_owned())];
        let answered = whose.client.ask(&url, &headers, (JSON_TYPE, body.expose()), BOUNDS).await;
        tokens(Integration::Shopify, &answered.map_err(Failed::ShopAway)?, wall)
    }

    pub(super) async fn revoke(&self, whose: Whose<'_>, access: &Secret<String>) -> Result<(), Failed> {
        let url = self.url(whose, REVOKE_PATH)?;
        let answered = whose.client.delete(&url, &headers(access), BOUNDS.within).await.map_err(Failed::ShopAway)?;
        taken_back(answered.status, answered.retry_after)
    }

    pub(super) async fn try_token(&self, whose: Whose<'_>, access: &Secret<String>) -> (Tried, Health) {
        let Ok(url) = self.url(whose, SHOP_PATH) else { return unanswered("url-not-allowed") };
        match whose.client.get(&url, &headers(access), BOUNDS.within).await {
            Ok(answer) => of_status(answer.status, answer.retry_after),
            Err(no) => unanswered(no.as_str()),
        }
    }

    /// A path at the shop whose account it is, if the operator still allows it: a name from the store is believed no more than
    /// one that is typed in.
    fn url(&self, whose: Whose<'_>, path: &str) -> Result<PublicUrl, Failed> {
        let shop: Shop = self.0.domain.shop(whose.account).map_err(|_| Failed::NotAllowed)?;
        PublicUrl::parse(&shop.url(path), whose.client.reach()).map_err(|_| Failed::NotAllowed)
    }
}

fn headers(access: &Secret<String>) -> [(&'static str, String); 2] {
    [(JSON.0, JSON.1.to_owned()), (TOKEN_HEADER, access.expose().clone())]
}
