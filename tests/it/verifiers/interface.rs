//! Schemathesis, on every operation of every host's description: what is described is accepted, what is not is refused, and
//! every answer is one that is described. It comes with credentials and without, and with what it was given before.

use std::net::SocketAddr;

use serde_json::json;

use super::{file, python};
use crate::openapi::operations;
use crate::operators::platform;
use crate::support::{Conn, Engine, Folder, Options, Server, Tenant};

/// Cases for an operation, and where they begin. Others are worth a run by hand: `FREEHOLD_TEST_SCHEMATHESIS="100 7"`.
const EXAMPLES_AND_SEED: &str = "15 1";
/// What spoils the credentials for everything that follows: run last.
const LAST: [&str; 2] = ["change_settings", "change_password"];

/// What nobody can do here who only knows the description: it takes a token of a letter, a code of an authenticator, what a
/// provider says, the password, a refresh token or an open registration.
const OUT_OF_REACH: [&str; 17] = [
    // Nothing is sold.
    "DELETE /v1/payouts/account",
    "GET /v1/payouts",
    "GET /v1/payouts/account",
    "POST /v1/payouts/account/dashboard",
    "POST /v1/payouts/account/onboarding",
    "POST /v1/plan/checkout",
    "POST /v1/plan/portal",
    "POST /v1/auth/backup-codes",
    "POST /v1/auth/email/verify",
    "POST /v1/auth/oauth/handoff",
    "POST /v1/auth/password",
    "POST /v1/auth/password/reset",
    "POST /v1/auth/refresh",
    "POST /v1/auth/register",
    "POST /v1/auth/second-factor",
    "POST /v1/auth/totp/confirm",
    "POST /v1/webhooks/endpoints", // its host must be there
];

/// How somebody comes.
enum Credentials<'a> {
    None,
    Member(&'a Tenant),
    Key(&'a str),
}

impl Credentials<'_> {
    /// Its part of the configuration. A session that was ended on the way is replaced.
    fn section(&self) -> String {
        match self {
            Self::None => "[auth]\nauto-signup = false\n".to_owned(),
            Self::Member(Tenant { email, password, .. }) => format!(
                "[auth]\nauto-signup = false\n[auth.dynamic.openapi.bearer]\npath = \"/v1/auth/login\"\n\
                 payload = {{ email = \"{email}\", password = \"{password}\" }}\nextract_selector = \"/access_token\"\n"
            ),
            Self::Key(key) => format!("[auth.openapi.api_key]\napi_key = \"{key}\"\n"),
        }
    }
}

/// A server that limits nobody and forgives a hundred wrong passwords.
async fn start() -> Server {
    let limits = ["CSP_REPORT", "OPERATOR", "PUBLIC_FORM", "EXPORT", "UPLOAD", "PIN"];
    let options = limits.iter().fold(Options::new(Engine::Sqlite).limits_off(), |options, tier| {
        options.env(&format!("FREEHOLD_LIMITS_{tier}"), "off")
    });
    let options = options
        .env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100")
        .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_ID", "freehold")
        .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_SECRET", "a-client-secret")
        .env("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com");
    Server::start(options).await
}

/// Asserts that every check passes on a document.
#[track_caller]
fn check(at: SocketAddr, host: &str, document: &str, credentials: &Credentials<'_>, filter: &[&str]) {
    let folder = Folder::new();
    let config = folder.path().join("schemathesis.toml");
    let common = std::fs::read_to_string(file("interface.toml")).unwrap();
    std::fs::write(&config, format!("{common}\n{}", credentials.section())).unwrap();
    let wanted = std::env::var("FREEHOLD_TEST_SCHEMATHESIS").unwrap_or_else(|_| EXAMPLES_AND_SEED.to_owned());
    let (examples, seed) = wanted.split_once(' ').unwrap();
    let output = python("schemathesis")
        .env("SCHEMATHESIS_HOOKS", "names")
        .env("PYTHONPATH", file(""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(&config)
        .args(["run", "--no-color", "--warnings", "off", "--generation-database", "none", "--continue-on-failure"])
        .args(["--max-examples", examples, "--seed", seed])
        .args(["--url", &format!("http://{host}:{}", at.port())])
        .args(filter)
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(document))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let is_good = output.status.success() && text.contains("No issues found");
    assert!(is_good, "{document}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The same as `--exclude-operation-id` or `--include-operation-id` of each of [`LAST`].
fn filter(flag: &'static str) -> Vec<&'static str> {
    LAST.iter().flat_map(|operation| [flag, operation]).collect()
}

/// Asserts that every described operation was answered with success at least once, but for those that are out of reach or
/// name a thing in their path, for which it takes luck.
async fn all_else_succeeded(server: &Server, conn: &mut Conn) {
    let metrics = server.private_get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let succeeded = |method: &str, path: &str| {
        let series = format!("route=\"{path}\",method=\"{method}\",status=\"");
        let mut statuses = text.lines().filter_map(|line| line.split_once(&series)).map(|(_, rest)| rest);
        statuses.any(|status| status.starts_with(['2', '3']))
    };
    let described = operations(conn).await;
    let left = described.iter().filter(|(method, path, _)| !path.contains('{') && !succeeded(method, path));
    let left: Vec<_> = left.map(|(method, path, _)| format!("{method} {path}")).collect();
    assert!(left.iter().all(|operation| OUT_OF_REACH.contains(&operation.as_str())), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_host_is_what_its_description_says() {
    let server = start().await;
    let acme = server.tenant("acme");
    platform(&server).await; // who reads what is reported of weaknesses
    let (host, document) = (acme.host(), "openapi.json");
    check(server.http, &host, document, &Credentials::None, &[]);
    check(server.http, &host, document, &Credentials::Member(&acme), &filter("--exclude-operation-id"));
    check(server.http, &host, document, &Credentials::Member(&acme), &filter("--include-operation-id"));
    all_else_succeeded(&server, &mut Conn::to(&server, &acme).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_host_is_what_its_description_says() {
    let server = start().await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let key = conn.post("/v1/api-keys", Some(&access), &json!({ "name": "a server", "kind": "secret" })).await;
    let key = key.is(201).json()["key"].as_str().unwrap().to_owned();
    for credentials in [Credentials::None, Credentials::Key(&key)] {
        check(server.http, "api.localhost", "openapi.api.json", &credentials, &[]);
    }
    all_else_succeeded(&server, &mut Conn::open(server.http, "api.localhost").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_host_is_what_its_description_says() {
    let server = start().await;
    let platform = platform(&server).await;
    server.tenant("acme");
    let (host, document) = (platform.host(), "openapi.admin.json");
    check(server.http, &host, document, &Credentials::None, &[]);
    check(server.http, &host, document, &Credentials::Member(&platform), &filter("--exclude-operation-id"));
    check(server.http, &host, document, &Credentials::Member(&platform), &filter("--include-operation-id"));
    all_else_succeeded(&server, &mut Conn::to(&server, &platform).await).await;
}
