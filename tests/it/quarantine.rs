//! Tenants out of service: quarantined after too many failures, parked while nobody asks, suspended by the operator.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::keepsakes::{self, Keepsakes};
use crate::support::{Conn, Engine, Options, Server, Session, on_both_engines};
use crate::watch::{is_503, metric, panic_of, remaining, set_limit, until};

/// Failures within a minute that a tenant survives.
const RESTARTS_MAX: usize = 3;
/// How long the first quarantine lasts here.
const QUARANTINE: Duration = Duration::from_secs(1);

on_both_engines!(a_tenant_that_keeps_failing_is_quarantined_alone an_idle_tenant_is_parked_and_forgets_nothing);

async fn a_tenant_that_keeps_failing_is_quarantined_alone(engine: Engine) {
    let options = Options::new(engine).env("FREEHOLD_TREE_QUARANTINE_S", "1");
    let server = Server::start(keepsakes::options(options)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut other = Conn::to(&server, &globex).await;
    let elsewhere = other.sign_in(&globex).await;
    let mut kept = Keepsakes::of(&server, acme).await;
    let mut conn = Conn::to(&server, &kept.tenant).await;

    for _ in 0..RESTARTS_MAX {
        panic_of(&server, "acme", "rate_limits").await;
        until("it answers again", async || (conn.me(&kept.live.access).await == 200).then_some(())).await;
    }
    assert_eq!(metric(&server, "freehold_tenant_quarantines_total").await, 0);
    panic_of(&server, "acme", "rate_limits").await;
    let in_quarantine = async || metric(&server, "freehold_tenant_quarantines_total").await == 1;
    until("the tenant is quarantined", async || in_quarantine().await.then_some(())).await;
    let since = Instant::now();
    let refused = conn.get("/v1/me", Some(&kept.live.access)).await;
    is_503(&refused, "tenant-quarantined");
    assert_eq!(refused.header("retry-after"), Some("1"));
    is_503(&conn.get("/", None).await, "tenant-quarantined");
    assert_eq!(other.me(&elsewhere.access).await, 200);

    // Then comes one trial. What the buckets held before is not known any more: they begin with one request.
    let trial = async || Some(conn.get("/v1/me", Some(&kept.live.access)).await).filter(|answer| answer.status != 503);
    let (trial, _) = until("the trial", trial).await;
    assert_eq!(remaining(trial.is(200)), 0);
    assert!(since.elapsed() >= QUARANTINE / 2, "it came back after {:?}", since.elapsed());
    conn.get("/v1/me", Some(&kept.live.access)).await.is_problem(429, "rate-limited");
    set_limit(&server, "acme", "api-tenant", "off");
    kept.hold_but_levels(&mut conn).await;
    assert_eq!(other.me(&elsewhere.access).await, 200);
}

async fn an_idle_tenant_is_parked_and_forgets_nothing(engine: Engine) {
    let options = Options::new(engine).env("FREEHOLD_TREE_PASSIVATE_S", "1");
    let server = Server::start(keepsakes::options(options)).await;
    let mut kept = Keepsakes::of(&server, server.tenant("acme")).await;
    let before = metric(&server, "freehold_tenant_passivations_total").await;
    let mut conn = Conn::to(&server, &kept.tenant).await;
    kept.hold(&mut conn).await;

    let parked = async || (tree(&server).await["tenants_active"] == 0).then_some(());
    until("the tenant is parked", parked).await;
    assert_eq!(metric(&server, "freehold_tenant_passivations_total").await, before + 1);
    assert_eq!(tree(&server).await["tenants_known"], 1);

    kept.hold(&mut conn).await;
    assert_eq!(tree(&server).await["tenants"][0]["slug"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_tenant_is_forgotten_once_there_is_nothing_to_remember() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_TREE_PASSIVATE_S", "1");
    let server = Server::start(options).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    set_limit(&server, "globex", "api-tenant", "2/h");
    let (mut conn, mut other) = (Conn::to(&server, &acme).await, Conn::to(&server, &globex).await);
    let (session, limited) = (conn.sign_in(&acme).await, other.sign_in(&globex).await);
    assert_eq!((conn.me(&session.access).await, other.me(&limited.access).await), (200, 200));
    assert_eq!(other.me(&limited.access).await, 429);

    let forgotten = async || (tree(&server).await["tenants_known"] == 1).then_some(());
    until("the tenant that left nothing behind is forgotten", forgotten).await;
    assert_eq!(metric(&server, "freehold_tenants_known").await, 1);
    assert_eq!(other.me(&limited.access).await, 429);
    assert_eq!(conn.me(&session.access).await, 200);
    Session::of(&conn.refresh(&session.refresh).await);
    assert_eq!(tree(&server).await["tenants_known"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_answered_without_store_access() {
    const PATHS: [&str; 6] =
        ["/", "/v1/me", "/v1/sessions", "/.well-known/jwks.json", "/openapi.json", "/no/such/path"];
    const POSTED: [&str; 6] = [
        "/v1/auth/login",
        "/v1/auth/refresh",
        "/v1/auth/logout",
        "/v1/auth/logout-all",
        "/v1/auth/password",
        "/no/such/path",
    ];
    const OTHERS: [(&str, &str); 7] = [
        ("PUT", "/v1/me"),
        ("PATCH", "/v1/settings"),
        ("DELETE", "/v1/sessions/x"),
        ("OPTIONS", "/v1/auth/login"),
        ("GET", "/security"),
        ("GET", "/v1/audit?limit=nonsense"),
        ("BREW", "/coffee"),
    ];
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    state(&server, "suspend", "acme");

    let before = server.count("transactions").await;
    let gets = PATHS.map(|path| ("GET", path));
    let posts = POSTED.map(|path| ("POST", path));
    for (method, path) in gets.into_iter().chain(posts).chain(OTHERS) {
        let answer = match method {
            "POST" => conn.post(path, Some(&session.access), &json!({})).await,
            _ => conn.call(method, path, Some(&session.access)).await,
        };
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        answer.is_problem(403, "tenant-suspended");
        assert_eq!(answer.json()["error"], "TenantSuspendedError");
    }
    assert_eq!(conn.call("HEAD", "/v1/me", None).await.status, 403);
    assert_eq!(server.count("transactions").await, before);
    Conn::to(&server, &globex).await.sign_in(&globex).await;

    state(&server, "resume", "acme");
    assert_eq!(conn.me(&session.access).await, 200);
}

async fn tree(server: &Server) -> Value {
    server.private_get("/debug/tree").await.is(200).json()
}

#[track_caller]
fn state(server: &Server, verb: &str, slug: &str) {
    let done = server.cli(&["tenant", verb, slug], "");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// One failing tenant is its own trouble; where many fail, the node is unready, and ready again once they are not.
#[tokio::test(flavor = "multi_thread")]
async fn many_failing_tenants_make_the_node_unready() {
    let options =
        Options::new(Engine::Sqlite).env("FREEHOLD_TREE_UNREADY_FROM", "2").env("FREEHOLD_TREE_QUARANTINE_S", "5");
    let server = Server::start(options.limits_off()).await;
    for (slug, ready) in [("acme", 200), ("globex", 503)] {
        let tenant = server.tenant(slug);
        let mut conn = Conn::to(&server, &tenant).await;
        let access = conn.sign_in(&tenant).await.access;
        let before = metric(&server, "freehold_tenant_quarantines_total").await;
        until("it is quarantined", async || {
            let strike = json!({ "fault": "panic", "slug": slug, "actor": "rate_limits" });
            Conn::open(server.private, "127.0.0.1").await.post("/debug/fault", None, &strike).await;
            conn.me(&access).await;
            (metric(&server, "freehold_tenant_quarantines_total").await > before).then_some(())
        })
        .await;
        let answer = server.private_get("/readyz").await;
        assert_eq!(answer.status, ready, "{slug}");
        if ready == 503 {
            assert_eq!(answer.json()["reasons"], json!(["many tenants are quarantined"]));
        }
    }
    until("it is ready", async || (server.private_get("/readyz").await.status == 200).then_some(())).await;
}
