//! GitHub: a token for a code, and with it `GET /user` and `GET /user/emails`. The token is not kept.

use freehold_domain::oauth::Profile;
use freehold_domain::oauth::github;
use freehold_domain::secret::Secret;

use super::{BOUNDS, Client, Exchange, GitHubRule, NoProfile};
use crate::ambient::Ambient;
use crate::outbound::Outbound;

/// Who it is can be read without any scope; the addresses need this one.
pub(super) const SCOPE: &str = "user:email";

const ACCEPT: (&str, &str) = ("accept", "application/vnd.github+json");
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// GitHub, or a server that speaks like it.
pub(crate) struct GitHub {
    pub(super) client: Client,
    api: Outbound,
    pub(super) authority: String,
}

impl GitHub {
    pub(super) fn new(rule: GitHubRule, ambient: Ambient) -> Result<Self, rustls::Error> {
        let client = Client::new("oauth_github", rule.client, ambient)?;
        let authority = rule.api_url.to_string();
        Ok(Self { api: client.token.and_to(rule.api_url), client, authority })
    }

    pub(super) async fn vouch(&self, exchange: &Exchange<'_>) -> Result<Profile, NoProfile> {
        let token = github::access_token(self.client.exchange(exchange).await?.expose())?;
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        let user = self.get("/user", &bearer).await?;
        let emails = self.get("/user/emails?per_page=100", &bearer).await?;
        Ok(github::profile(&user, &emails)?)
    }

    async fn get(&self, path: &str, bearer: &Secret<String>) -> Result<String, NoProfile> {
        let headers = [ACCEPT, VERSION, ("authorization", bearer.expose().as_str())];
        self.client.call(self.api.get(path, &headers, BOUNDS)).await
    }
}
