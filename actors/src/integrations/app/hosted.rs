//! Providers that are at addresses the operator named, as they want to be asked: QuickBooks in forms, Square in JSON.

use freehold_domain::integration::grant::{Grant, Returned};
use freehold_domain::integration::{Integration, basic, bearer};
use freehold_domain::oauth::state::State;
use freehold_domain::oauth::{Refused, form};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use serde_json::json;

use super::super::{AppRule, BOUNDS, Health, JSON, Tried, tried};
use super::{ConsentPage, Failed, JSON_TYPE, taken_back, tokens};
use crate::outbound::Outbound;
use crate::providers::ClientRule;

const FORM_TYPE: &str = "application/x-www-form-urlencoded";
/// All that is called so far; whoever calls more has to ask for more.
const QUICKBOOKS_SCOPE: &str = "com.intuit.quickbooks.accounting";
const SQUARE_SCOPE: &str = "MERCHANT_PROFILE_READ";

/// What this server is to such a provider.
pub(crate) struct Hosted {
    integration: Integration,
    rule: ClientRule,
    token: Outbound,
    revoke: Outbound,
    api: Outbound,
}

impl Hosted {
    pub(super) fn new(integration: Integration, rule: AppRule, over: &Outbound) -> Self {
        Self {
            integration,
            token: over.and_to(rule.client.token_url.clone()),
            revoke: over.and_to(rule.revoke_url),
            api: over.and_to(rule.api_url),
            rule: rule.client,
        }
    }

    pub(super) fn consent_page(&self) -> ConsentPage {
        ConsentPage { address: self.rule.authorize_url.to_string(), shop: None }
    }

    pub(super) fn consent_query(&self, state: &State, redirect_uri: &str) -> Secret<String> {
        let state = state.text();
        let mut query = vec![
            ("client_id", self.rule.id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", redirect_uri),
            ("state", state.expose().as_str()),
        ];
        if self.integration == Integration::Square {
            query.extend([("scope", SQUARE_SCOPE), ("session", "false")]);
        } else {
            query.push(("scope", QUICKBOOKS_SCOPE));
        }
        form::encode(&query)
    }

    /// QuickBooks says here whose account it is, Square with the tokens.
    pub(super) fn came_from(&self, realm: Option<String>) -> Result<Option<String>, Refused> {
        if self.integration == Integration::QuickBooks { realm.ok_or(Refused::Failed).map(Some) } else { Ok(None) }
    }

    pub(super) async fn exchange(&self, back: &Returned, redirect_uri: &str, wall: UnixMs) -> Result<Grant, Failed> {
        let code = [("grant_type", "authorization_code"), ("code", back.code.expose()), ("redirect_uri", redirect_uri)];
        self.tokens(&code, wall).await
    }

    pub(super) async fn refresh(&self, refresh: &Secret<String>, wall: UnixMs) -> Result<Grant, Failed> {
        self.tokens(&[("grant_type", "refresh_token"), ("refresh_token", refresh.expose())], wall).await
    }

    async fn tokens(&self, ask: &[(&str, &str)], wall: UnixMs) -> Result<Grant, Failed> {
        let answered = if self.integration == Integration::Square {
            let mut body: serde_json::Map<_, _> =
                ask.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
            body.insert("client_id".into(), json!(self.rule.id));
            body.insert("client_secret".into(), json!(self.rule.secret.expose()));
            let body = Secret::new(serde_json::Value::from(body).to_string());
            self.token.ask("", &[JSON], Some((JSON_TYPE, body.expose().as_str())), BOUNDS).await
        } else {
            let (opens, form) = (basic(&self.rule.id, &self.rule.secret), form::encode(ask));
            let headers = [JSON, ("authorization", opens.expose().as_str())];
            self.token.ask("", &headers, Some((FORM_TYPE, form.expose().as_str())), BOUNDS).await
        };
        tokens(self.integration, &answered.map_err(Failed::Away)?, wall)
    }

    pub(super) async fn revoke(&self, access: &Secret<String>, refresh: Option<&Secret<String>>) -> Result<(), Failed> {
        let secret = self.rule.secret.expose();
        let (opens, body) = if self.integration == Integration::Square {
            let body = json!({ "client_id": self.rule.id, "access_token": access.expose() });
            (Secret::new(format!("Client {secret}")), body)
        } else {
            let token = refresh.unwrap_or(access);
            (basic(&self.rule.id, &self.rule.secret), json!({ "token": token.expose() }))
        };
        let body = Secret::new(body.to_string());
        let headers = [JSON, ("authorization", opens.expose().as_str())];
        let answered = self
            .revoke
            .ask("", &headers, Some((JSON_TYPE, body.expose().as_str())), BOUNDS)
            .await
            .map_err(Failed::Away)?;
        taken_back(answered.status, answered.retry_after)
    }

    pub(super) async fn try_token(&self, access: &Secret<String>, account: &str) -> (Tried, Health) {
        let path = if self.integration == Integration::Square {
            "/v2/merchants/me".to_owned()
        } else {
            format!("/v3/company/{account}/companyinfo/{account}")
        };
        let opens = bearer(access);
        let headers = [JSON, ("authorization", opens.expose().as_str())];
        tried(self.api.ask(&path, &headers, None, BOUNDS).await)
    }
}
