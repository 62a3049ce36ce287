//! Google, or another OpenID provider: an id token for a code, checked against the provider's keys.

use freehold_domain::oauth::Profile;
use freehold_domain::oauth::id_token::{self, Expected};
use freehold_domain::oauth::key_set::{Found, KeyCache, KeySet, ProviderKey};
use tokio::sync::Mutex;

use super::{BOUNDS, Client, Exchange, GoogleRule, JSON, NoProfile};
use crate::ambient::Ambient;
use crate::outbound::Outbound;

pub(super) const SCOPE: &str = "openid email profile";

/// The provider, and its keys.
pub(crate) struct Google {
    pub(super) client: Client,
    jwks: Outbound,
    issuer: String,
    hosted_domain: Option<String>,
    /// Held while they are asked for: whoever needs them meanwhile waits for the same answer.
    keys: Mutex<KeyCache>,
    ambient: Ambient,
}

impl Google {
    pub(super) fn new(rule: GoogleRule, ambient: Ambient) -> Result<Self, rustls::Error> {
        let client = Client::new("oauth_google", rule.client, ambient)?;
        Ok(Self {
            jwks: client.token.and_to(rule.jwks_url),
            client,
            issuer: rule.issuer,
            hosted_domain: rule.hosted_domain,
            keys: Mutex::default(),
            ambient,
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn hosted_domain(&self) -> Option<&str> {
        self.hosted_domain.as_deref()
    }

    pub(super) async fn vouch(&self, exchange: &Exchange<'_>) -> Result<Profile, NoProfile> {
        let token = id_token::in_answer(self.client.exchange(exchange).await?.expose())?;
        let key = self.key(&id_token::key_id(&token)?).await?;
        let expected = Expected {
            issuer: &self.issuer,
            client_id: &self.client.rule.id,
            nonce: &exchange.secrets.nonce(),
            hosted_domain: self.hosted_domain(),
        };
        Ok(id_token::verify(&token, &key, &expected, self.ambient.wall())?)
    }

    /// The key of this name, from the cache or, as rarely as its rule says, from the provider.
    async fn key(&self, id: &str) -> Result<ProviderKey, NoProfile> {
        let now = self.ambient.now();
        let mut cache = self.keys.lock().await;
        match cache.find(id, now) {
            Found::Key(key) => return Ok(key),
            Found::Unknown => return Err(NoProfile::UnknownKey),
            Found::Fetch => cache.ask(now),
        }
        let text = self.client.call(self.jwks.get("", &[JSON], BOUNDS)).await?;
        cache.take(KeySet::parse(&text)?, now);
        match cache.find(id, now) {
            Found::Key(key) => Ok(key),
            Found::Unknown | Found::Fetch => Err(NoProfile::UnknownKey),
        }
    }
}
