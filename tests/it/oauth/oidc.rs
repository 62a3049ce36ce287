//! A real OpenID provider in a process of its own: see `provider.mjs`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::browser::Browser;
use crate::support::Options;

/// The running provider. It ends with its stdin, which ends with this.
pub(crate) struct Oidc {
    child: Child,
    pub(crate) issuer: String,
}

impl Oidc {
    /// A provider that sends browsers back to this address alone.
    pub(crate) fn start(redirect_uri: &str) -> Self {
        let folder = std::env::var("FREEHOLD_TEST_OIDC_DIR")
            .unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which installs an OpenID provider"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oauth/provider.mjs");
        let mut child = Command::new("node")
            .args([script.to_str().unwrap(), &folder, redirect_uri])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the provider did not start"));
        Self { child, issuer: format!("http://127.0.0.1:{}", said["port"]) }
    }

    /// A server that takes its word.
    pub(crate) fn configure(&self, options: Options) -> Options {
        let at = |path: &str| format!("{}{path}", self.issuer);
        options
            .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_ID", "freehold")
            .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_SECRET", super::SECRET)
            .env("FREEHOLD_OAUTH_GOOGLE_AUTHORIZE_URL", &at("/auth"))
            .env("FREEHOLD_OAUTH_GOOGLE_TOKEN_URL", &at("/token"))
            .env("FREEHOLD_OAUTH_GOOGLE_JWKS_URL", &at("/jwks"))
            .env("FREEHOLD_OAUTH_GOOGLE_ISSUER", &self.issuer)
    }

    /// Whoever comes from now on is this account.
    pub(crate) async fn account(&self, account: &Value) {
        let mut nobody = Browser::new("127.0.0.1:1".parse().unwrap());
        nobody.post(&format!("{}/test/account", self.issuer), account).await.is(204);
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
