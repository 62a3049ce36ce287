//! The providers by whose word members sign in: where they are, and what is asked of them.
//!
//! Both speak the authorization code flow with PKCE. Google signs an id token, whose keys are cached here; GitHub is asked
//! who it is, with a token that is forgotten afterwards. One breaker stands before each: it counts silence and failures of
//! the provider, not what visitors bring, so that nobody can trip it with codes that are wrong.

mod github;
mod google;

use std::time::Duration;

use freehold_domain::breaker::{BreakerRule, Tripped};
use freehold_domain::oauth::github::NotAnAnswer;
use freehold_domain::oauth::id_token::IdTokenError;
use freehold_domain::oauth::key_set::NotAKeySet;
use freehold_domain::oauth::state::{FlowSecrets, State};
use freehold_domain::oauth::{Profile, Provider, Refused, form, pkce};
use freehold_domain::secret::Secret;

use self::github::GitHub;
use self::google::Google;
use crate::ambient::Ambient;
use crate::breaker::{Breaker, NoResult};
use crate::ops::refusal::Refusal;
pub use crate::outbound::ServiceUrl;
use crate::outbound::{Bounds, CallFailed, Outbound};

/// One call. A sign-in makes three at most.
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(3), bytes_max: 256 * 1024 };
/// Consecutive failures after which a provider is left alone, and for how long.
const BREAKER: BreakerRule =
    BreakerRule { pause: Duration::from_secs(15), probe: Duration::from_secs(6), ..BreakerRule::USUAL };
const JSON: (&str, &str) = ("accept", "application/json");

/// What this server is to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret<String>,
    /// Where people are sent.
    pub authorize_url: ServiceUrl,
    /// Where codes are exchanged.
    pub token_url: ServiceUrl,
}

/// GitHub, or a server that speaks like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubRule {
    /// What this server is to it.
    pub client: ClientRule,
    /// Its API.
    pub api_url: ServiceUrl,
}

/// Google, or another OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoogleRule {
    /// What this server is to it.
    pub client: ClientRule,
    /// Where its keys are.
    pub jwks_url: ServiceUrl,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The one domain whose accounts are admitted, if there is one.
    pub hosted_domain: Option<String>,
}

/// What the operator has set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvidersRule {
    /// GitHub.
    pub github: Option<GitHubRule>,
    /// Google.
    pub google: Option<GoogleRule>,
}

/// The providers that are configured.
pub struct Providers {
    github: Option<GitHub>,
    google: Option<Google>,
}

impl Providers {
    /// The providers of `rule`.
    ///
    /// # Errors
    /// When TLS cannot be had.
    pub fn new(rule: ProvidersRule, ambient: Ambient) -> Result<Self, rustls::Error> {
        Ok(Self {
            github: rule.github.map(|rule| GitHub::new(rule, ambient)).transpose()?,
            google: rule.google.map(|rule| Google::new(rule, ambient)).transpose()?,
        })
    }

    /// Whether members can sign in by this one's word.
    #[must_use]
    pub fn has(&self, provider: Provider) -> bool {
        self.get(provider).is_some()
    }

    /// The provider, if it is configured.
    pub(crate) fn get(&self, provider: Provider) -> Option<Configured<'_>> {
        match provider {
            Provider::GitHub => self.github.as_ref().map(Configured::GitHub),
            Provider::Google => self.google.as_ref().map(Configured::Google),
        }
    }
}

/// A provider that is configured.
#[derive(Clone, Copy)]
pub(crate) enum Configured<'p> {
    GitHub(&'p GitHub),
    Google(&'p Google),
}

/// What came back from a provider, and what was kept for it.
pub(crate) struct Exchange<'a> {
    pub(crate) code: &'a Secret<String>,
    pub(crate) secrets: &'a FlowSecrets,
    pub(crate) redirect_uri: &'a str,
}

impl Configured<'_> {
    /// Whose subjects these are: the same one of another authority is somebody else.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Self::GitHub(github) => &github.authority,
            Self::Google(google) => google.issuer(),
        }
    }

    /// Where somebody is sent to sign in.
    pub(crate) fn authorization_url(self, state: &State, secrets: &FlowSecrets, redirect_uri: &str) -> String {
        let (state, nonce, challenge) = (state.text(), secrets.nonce(), secrets.challenge());
        let client = self.client();
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", client.rule.id.as_str()),
            ("redirect_uri", redirect_uri),
            ("state", state.expose().as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", pkce::METHOD),
        ];
        match self {
            Self::GitHub(_) => query.push(("scope", github::SCOPE)),
            Self::Google(google) => {
                query.extend([("scope", google::SCOPE), ("nonce", nonce.as_str())]);
                query.extend(google.hosted_domain().map(|domain| ("hd", domain)));
            }
        }
        format!("{}?{}", client.rule.authorize_url, form::encode(&query).expose())
    }

    /// Whether an answer may come from an issuer that names itself so (RFC 9207).
    pub(crate) fn is_issuer(self, named: Option<&str>) -> bool {
        match self {
            Self::GitHub(_) => true,
            Self::Google(google) => named.is_none_or(|named| named == google.issuer()),
        }
    }

    /// What the provider vouches for, for a code of its own.
    pub(crate) async fn vouch(self, exchange: &Exchange<'_>) -> Result<Profile, NoProfile> {
        match self {
            Self::GitHub(github) => github.vouch(exchange).await,
            Self::Google(google) => google.vouch(exchange).await,
        }
    }

    fn client(&self) -> &Client {
        match self {
            Self::GitHub(github) => &github.client,
            Self::Google(google) => &google.client,
        }
    }
}

/// Why a provider vouches for nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoProfile {
    /// It did not answer, or failed.
    #[error("the provider did not answer")]
    Away(#[source] CallFailed),
    /// It is left alone for a while.
    #[error(transparent)]
    Tripped(#[from] Tripped),
    /// It did not take what it was given.
    #[error("the provider refused")]
    Refused(#[source] CallFailed),
    /// Its id token is not believed.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// Its id token is signed with a key it does not publish.
    #[error("the key of the id token is unknown")]
    UnknownKey,
    /// Its keys cannot be read.
    #[error(transparent)]
    Keys(#[from] NotAKeySet),
    /// Its API answers with something else.
    #[error(transparent)]
    Api(#[from] NotAnAnswer),
}

impl From<&NoProfile> for Refusal {
    fn from(none: &NoProfile) -> Self {
        match none {
            NoProfile::Away(_) | NoProfile::Tripped(_) => Self::Unavailable,
            NoProfile::IdToken(IdTokenError::HostedDomain) => Refused::NotAdmitted.into(),
            NoProfile::Refused(_)
            | NoProfile::IdToken(_)
            | NoProfile::UnknownKey
            | NoProfile::Keys(_)
            | NoProfile::Api(_) => Refused::Failed.into(),
        }
    }
}

/// What both providers have: a client registered with it, a token endpoint, a breaker.
pub(crate) struct Client {
    rule: ClientRule,
    token: Outbound,
    breaker: Breaker,
}

impl Client {
    fn new(service: &'static str, rule: ClientRule, ambient: Ambient) -> Result<Self, rustls::Error> {
        let token = Outbound::to(rule.token_url.clone())?;
        Ok(Self { rule, token, breaker: Breaker::new(service, BREAKER, ambient) })
    }

    /// The answer of the token endpoint to a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    async fn exchange(&self, exchange: &Exchange<'_>) -> Result<Secret<String>, NoProfile> {
        let verifier = exchange.secrets.verifier();
        let form = form::encode(&[
            ("grant_type", "authorization_code"),
            ("code", exchange.code.expose()),
            ("redirect_uri", exchange.redirect_uri),
            ("client_id", &self.rule.id),
            ("client_secret", self.rule.secret.expose()),
            ("code_verifier", verifier.expose()),
        ]);
        self.call(self.token.post_form(&form, &[JSON], BOUNDS)).await.map(Secret::new)
    }

    /// Makes a call behind the breaker. That the provider refuses what it was given is no failure of the provider.
    async fn call(&self, call: impl Future<Output = Result<String, CallFailed>>) -> Result<String, NoProfile> {
        let judged = async {
            match call.await {
                Err(refused @ CallFailed::Status(status)) if status.is_client_error() && status != 429 => {
                    Ok(Err(NoProfile::Refused(refused)))
                }
                Err(failed) => Err(failed),
                Ok(text) => Ok(Ok(text)),
            }
        };
        self.breaker.run(judged).await.map_err(|none| match none {
            NoResult::Tripped(tripped) => tripped.into(),
            NoResult::Failed(failed) => NoProfile::Away(failed),
        })?
    }
}
