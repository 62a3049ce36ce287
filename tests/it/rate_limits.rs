//! Every tier: so many at once, then 429 with the exact time to wait, and nobody else's bucket is touched.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant};
use crate::watch::{metric, number, remaining, set_limit};

/// The tiers of a tenant, the request that each counts, and how that is answered when it is admitted.
const TIERS: [(&str, Send, u16); 5] = [
    ("login-address", Send::Login, 401),
    ("login-account", Send::Login, 401),
    ("refresh", Send::Refresh, 200),
    ("api-member", Send::Me, 200),
    ("api-tenant", Send::Me, 200),
];

#[derive(Clone, Copy)]
enum Send {
    Me,
    /// With a wrong password, which is counted all the same.
    Login,
    Refresh,
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
    Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tier_admits_its_burst_and_then_names_the_wait() {
    let server = Server::start(options()).await;
    let mut other = Client::of(&server, "other").await;
    for (tier, send, admitted) in TIERS {
        let mut client = Client::of(&server, tier).await;
        // In force when the command has returned.
        set_limit(&server, tier, tier, SLOW);
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
        assert_eq!(other.send(send).await.status, admitted, "{tier} of another tenant");
        assert_eq!(metric(&server, &format!("freehold_rate_limited_total{{tier=\"{tier}\"}}")).await, 2);
        set_limit(&server, tier, tier, "off");
        assert_eq!(client.send(send).await.status, admitted, "{tier} switched off");
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
    for (tier, send, admitted) in TIERS {
        let mut client = Client::of(&server, tier).await;
        set_limit(&server, tier, tier, QUICK);
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
        let tenant = server.tenant(slug);
        let mut conn = Conn::to(server, &tenant).await;
        let session = conn.sign_in(&tenant).await;
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
