//! A provider that gives out tokens, as it wants to be asked: QuickBooks in forms, Square in JSON.

use std::time::Duration;

use freehold_domain::integration::grant::{self, Grant, Returned};
use freehold_domain::integration::{Integration, basic, bearer};
use freehold_domain::oauth::form;
use freehold_domain::oauth::state::State;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use hyper::StatusCode;
use serde_json::json;

use super::{AppRule, BOUNDS, Health, JSON, Tried, tried};
use crate::outbound::{Answered, CallFailed, Outbound};
use crate::providers::ClientRule;

const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const JSON_TYPE: &str = "application/json";
/// All that is called so far; whoever calls more has to ask for more.
const QUICKBOOKS_SCOPE: &str = "com.intuit.quickbooks.accounting";
const SQUARE_SCOPE: &str = "MERCHANT_PROFILE_READ";

/// What this server is to a provider.
pub(crate) struct App {
    integration: Integration,
    rule: ClientRule,
    token: Outbound,
    revoke: Outbound,
    api: Outbound,
}

/// Why a provider gave no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It did not answer.
    #[error("the provider did not answer")]
    Away(#[source] CallFailed),
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
            Self::Away(_) | Self::Nonsense(_) => Health::Ill(None),
            Self::Ill(_, retry_after) => Health::Ill(*retry_after),
            Self::Refused(_) | Self::Over => Health::Well,
        }
    }
}

impl App {
    pub(super) fn new(integration: Integration, rule: AppRule, over: &Outbound) -> Self {
        Self {
            integration,
            token: over.and_to(rule.client.token_url.clone()),
            revoke: over.and_to(rule.revoke_url),
            api: over.and_to(rule.api_url),
            rule: rule.client,
        }
    }

    /// Where somebody is sent to allow it.
    pub(crate) fn authorization_url(&self, state: &State, redirect_uri: &str) -> Secret<String> {
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
        Secret::new(format!("{}?{}", self.rule.authorize_url, form::encode(&query).expose()))
    }

    /// Tokens for a code, at the wall clock `wall`.
    ///
    /// # Errors
    /// [`Failed`]
    pub(crate) async fn exchange(&self, back: &Returned, redirect_uri: &str, wall: UnixMs) -> Result<Grant, Failed> {
        let code = [("grant_type", "authorization_code"), ("code", back.code.expose()), ("redirect_uri", redirect_uri)];
        self.tokens(&code, wall).await
    }

    /// Tokens for a refresh token, at the wall clock `wall`.
    ///
    /// # Errors
    /// [`Failed`]
    pub(crate) async fn refresh(&self, refresh: &Secret<String>, wall: UnixMs) -> Result<Grant, Failed> {
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
        let Answered { status, retry_after, text } = answered.map_err(Failed::Away)?;
        match Health::of(status, retry_after) {
            Health::Ill(retry_after) => Err(Failed::Ill(status, retry_after)),
            Health::Well if status.is_success() => Ok(Grant::read(text.expose(), wall)?),
            Health::Well if grant::is_over(text.expose()) => Err(Failed::Over),
            Health::Well => Err(Failed::Refused(status)),
        }
    }

    /// Takes a grant back: QuickBooks by its refresh token, Square by its access token.
    ///
    /// # Errors
    /// [`Failed`]; it may be good until it ends.
    pub(crate) async fn revoke(&self, access: &Secret<String>, refresh: Option<&Secret<String>>) -> Result<(), Failed> {
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
        match Health::of(answered.status, answered.retry_after) {
            Health::Ill(retry_after) => Err(Failed::Ill(answered.status, retry_after)),
            Health::Well if answered.status.is_success() => Ok(()),
            Health::Well => Err(Failed::Refused(answered.status)),
        }
    }

    /// Shows the provider a token, in a call that changes nothing there.
    pub(crate) async fn try_token(&self, access: &Secret<String>, account: &str) -> (Tried, Health) {
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
