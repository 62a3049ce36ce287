//! Every tier: so many at once, then 429 with the exact time to wait, and nobody else's bucket is touched.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use tokio::task::JoinSet;

use crate::openapi::operations;
use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant};
use crate::watch::{metric, number, remaining, set_limit};
use crate::webhook_in::signed::{STRIPE, stripe, stripe_event};
use crate::webhook_in::{post, set_secret};

/// The tiers of a tenant that something counts, the request that each counts, and how that is answered when it is admitted.
const TIERS: [(&str, Send, u16); 12] = [
    ("login-address", Send::Login, 401),
    ("login-account", Send::Login, 401),
    ("signup", Send::Register, 403), // which is closed, and counted before that is told
    ("password-reset", Send::Forgot, 202),
    ("second-factor", Send::Confirm, 409), // there is nothing to be confirmed
    ("public-form", Send::Form, 201),
    ("refresh", Send::Refresh, 200),
    ("api-member", Send::Me, 200),
    ("api-tenant", Send::Me, 200),
    ("webhook-in", Send::Webhook, 200),
    ("csp-report", Send::Report, 204),
    ("operator", Send::Tenants, 200),
];
/// Counted by the node, before any tenant: see below.
const ADDRESS: &str = "address";
/// What has a limit and nothing to limit yet, and what the path of its route would hold.
const WITHOUT_ROUTE: [(&str, &str); 6] = [
    ("pin", "/pin"),
    ("upload", "/upload"),
    ("export", "/export"),
    ("ai-chat", "/chat"),
    ("events", "/v1/events"),
    ("schema", "/schema"),
];

#[derive(Clone, Copy)]
enum Send {
    Me,
    /// With a wrong password, which is counted all the same.
    Login,
    Refresh,
    Register,
    Forgot,
    Confirm,
    Webhook,
    /// To the platform, like the next but one.
    Form,
    Report,
    Tenants,
}

impl Send {
    /// Whether it counts at the platform's own tenant.
    fn is_of_platform(self) -> bool {
        matches!(self, Self::Form | Self::Tenants)
    }
}

/// A limit whose interval of ten seconds no test idles away.
const SLOW: &str = "6/min";
const BURST: u64 = 6;
const INTERVAL_S: u64 = 10;
/// A limit that can be waited out.
const QUICK: &str = "1/s";
/// Requests among which at least one comes too early.
const TRIES: usize = 20;

fn options() -> Options {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100");
    options.env("FREEHOLD_LIMITS_CSP_REPORT", "off").env("FREEHOLD_LIMITS_OPERATOR", "off")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tier_admits_its_burst_and_then_names_the_wait() {
    let server = Server::start(options()).await;
    let platform = platform(&server).await;
    let mut other = Client::of(&server, "other").await;
    for (tier, send, admitted) in TIERS {
        let mut client = Client::for_tier(&server, &platform, tier, send).await;
        let slug = client.tenant.slug.clone();
        // In force when the command has returned.
        set_limit(&server, &slug, tier, SLOW);
        for n in 1..=BURST {
            let answer = client.send(send).await;
            assert_eq!(answer.status, admitted, "{tier}: {answer:?}");
            says(&answer, tier, BURST - n);
            assert!((10 * n - 9..=10 * n + 1).contains(&full_in_s(&answer)), "{tier}: {answer:?}");
        }
        for _ in 0..2 {
            let refused = client.send(send).await;
            is_limited(&refused, tier);
            says(&refused, tier, 0);
            assert!((1..=INTERVAL_S).contains(&number(&refused, "retry-after")), "{tier}: {refused:?}");
        }
        let (elsewhere, expected) = if send.is_of_platform() { (Send::Me, 200) } else { (send, admitted) };
        assert_eq!(other.send(elsewhere).await.status, expected, "{tier} of another tenant");
        let series = format!("freehold_rate_limited_total{{tier=\"{tier}\",stage=\"limit\"}}");
        assert_eq!(metric(&server, &series).await, 2);
        set_limit(&server, &slug, tier, "off");
        assert_eq!(client.send(send).await.status, admitted, "{tier} switched off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tier_is_tried_or_has_nothing_to_limit() {
    let server = Server::start(options()).await;
    let mut client = Client::of(&server, "acme").await;
    let platform = platform(&server).await;
    let shown = client.conn.get("/v1/rate-limits", Some(&client.session.access)).await.is(200).json();
    let tiers = shown["tiers"].as_array().unwrap().iter().map(|tier| tier["tier"].as_str().unwrap());
    let tiers: BTreeSet<_> = tiers.collect();
    let unrouted = WITHOUT_ROUTE.map(|(tier, _)| tier);
    let known: BTreeSet<_> = TIERS.iter().map(|(tier, ..)| *tier).chain(unrouted).chain([ADDRESS]).collect();
    assert_eq!(tiers, known);
    let told = client.conn.get("/security.json", None).await.is(200).json();
    let told = told["promises"].as_array().unwrap().iter().find(|entry| entry["id"] == "K53").unwrap().clone();
    assert_eq!(told["parameters"]["not_built_yet"], json!(unrouted));

    let mut paths = vec![];
    for host in [client.tenant.host(), platform.host(), "api.localhost".to_owned()] {
        let described = operations(&mut Conn::open(server.http, &host).await).await;
        assert!(described.len() > 3, "{host}");
        paths.extend(described.into_iter().map(|(_, path, _)| path));
    }
    for (tier, part) in WITHOUT_ROUTE {
        let found = paths.iter().find(|path| path.contains(part));
        assert_eq!(found, None, "{tier} has a route: try it, in the table above");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_its_own_bucket() {
    let server = Server::start(options()).await;
    let mut client = Client::of(&server, "acme").await;
    set_limit(&server, "acme", "login-account", SLOW);
    for _ in 0..BURST {
        client.send(Send::Login).await.is_problem(401, "invalid-credentials");
    }
    is_limited(&client.send(Send::Login).await, "login-account");
    client.tenant.email = "eve@example.com".to_owned();
    says(&client.send(Send::Login).await, "login-account", BURST - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_one_bucket_for_every_tenant() {
    let server = Server::start(options().env("FREEHOLD_LIMITS_ADDRESS", SLOW)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conns = [Conn::to(&server, &acme).await, Conn::to(&server, &globex).await];
    for n in 0..BURST {
        let answer = conns[usize::from(n % 2 == 0)].get("/no/such/path", None).await;
        answer.is_problem(404, "not-found");
        says(&answer, "address", BURST - 1 - n);
    }
    for conn in &mut conns {
        is_limited(&conn.get("/no/such/path", None).await, "address");
    }
    let mut nowhere = Conn::open(server.http, "nobody.localhost").await;
    is_limited(&nowhere.get("/", None).await, "address");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_as_told_is_admitted() {
    let server = Server::start(options()).await;
    let mut waiting = JoinSet::new();
    let platform = platform(&server).await;
    for (tier, send, admitted) in TIERS {
        let mut client = Client::for_tier(&server, &platform, tier, send).await;
        set_limit(&server, &client.tenant.slug, tier, QUICK);
        waiting.spawn(async move {
            let refused = client.until_refused(send).await;
            is_limited(&refused, tier);
            assert_eq!(number(&refused, "retry-after"), 1);
            tokio::time::sleep(Duration::from_secs(number(&refused, "retry-after"))).await;
            let answer = client.send(send).await;
            assert_eq!(answer.status, admitted, "{tier}: {answer:?}");
        });
    }
    waiting.join_all().await;
}

/// A tenant's client.
struct Client {
    conn: Conn,
    tenant: Tenant,
    session: Session,
}

impl Client {
    async fn of(server: &Server, slug: &str) -> Self {
        Self::at(server, server.tenant(slug)).await
    }

    /// Of a tenant of its own, or of the platform where it is that which counts.
    async fn for_tier(server: &Server, platform: &Tenant, tier: &str, send: Send) -> Self {
        if send.is_of_platform() { Self::at(server, platform.clone()).await } else { Self::of(server, tier).await }
    }

    async fn at(server: &Server, tenant: Tenant) -> Self {
        let mut conn = Conn::to(server, &tenant).await;
        let session = conn.sign_in(&tenant).await;
        set_secret(&mut conn, &session, "stripe", STRIPE).await;
        Self { conn, tenant, session }
    }

    async fn send(&mut self, send: Send) -> Answer {
        match send {
            Send::Me => self.conn.get("/v1/me", Some(&self.session.access)).await,
            Send::Login => self.conn.login(&self.tenant, "wrong horse").await,
            Send::Refresh => {
                let answer = self.conn.refresh(&self.session.refresh).await;
                if answer.status == 200 {
                    self.session = Session::of(&answer);
                }
                answer
            }
            Send::Register => {
                let new = json!({ "email": "eve@example.com", "password": "a password of eve", "name": "Eve" });
                self.conn.post("/v1/auth/register", None, &new).await
            }
            Send::Forgot => {
                self.conn.post("/v1/auth/password/forgot", None, &json!({ "email": "eve@example.com" })).await
            }
            Send::Confirm => {
                let access = Some(self.session.access.as_str());
                self.conn.post("/v1/auth/totp/confirm", access, &json!({ "code": "123456" })).await
            }
            Send::Webhook => {
                let signed = stripe(STRIPE, &stripe_event("evt_one"));
                post(&mut self.conn, &signed).await.expect("an answer")
            }
            Send::Form => self.conn.post("/v1/security-reports", None, &json!({ "text": "an open door" })).await,
            Send::Report => {
                let blocked = json!({ "effective-directive": "script-src-elem", "blocked-uri": "inline",
                    "document-uri": format!("http://{}/", self.tenant.host()) });
                let body = json!({ "csp-report": blocked }).to_string();
                let headers = [("content-type", "application/csp-report")];
                self.conn.send(self.conn.request("POST", "/csp-report", &headers, body.as_bytes())).await
            }
            Send::Tenants => self.conn.get("/v1/tenants", Some(&self.session.access)).await,
        }
    }

    /// Sends one after the other until one comes too early.
    async fn until_refused(&mut self, send: Send) -> Answer {
        for _ in 0..TRIES {
            let answer = self.send(send).await;
            if answer.status == 429 {
                return answer;
            }
        }
        panic!("none of {TRIES} requests was refused");
    }
}

/// Asserts a 429 of this tier, in header and body alike.
#[track_caller]
fn is_limited(answer: &Answer, tier: &str) {
    answer.is_problem(429, "rate-limited");
    let body = answer.json();
    assert_eq!(body["tier"], tier, "{answer:?}");
    assert_eq!(body["retry_after_s"], json!(number(answer, "retry-after")));
}

/// Asserts what the answer tells of the tier.
#[track_caller]
fn says(answer: &Answer, tier: &str, left: u64) {
    assert_eq!(answer.header("x-ratelimit-tier"), Some(tier), "{answer:?}");
    assert_eq!(number(answer, "x-ratelimit-limit"), BURST, "{answer:?}");
    assert_eq!(remaining(answer), left, "{answer:?}");
}

/// In how many seconds the bucket is full again.
#[track_caller]
fn full_in_s(answer: &Answer) -> u64 {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    number(answer, "x-ratelimit-reset") - now
}
