//! The store goes away: what needs no store goes on, what does is told so in time, and nobody is charged for it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Conn, Database, Engine, Line, Options, Proxy, Server, Session, Tenant};
use crate::watch::{is_503, note, until};

/// How long the database is away.
const AWAY: Duration = Duration::from_secs(4);
/// How long a request may take that needs the store: its time-out of 2 s, and room for a busy machine.
const TOLD_WITHIN: Duration = Duration::from_millis(2_500 + 1_000);
/// How long a request may take that does not.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// How soon everything is as before.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_cut_off_is_lived_through() {
    live_through(Line::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_lived_through() {
    live_through(Line::Hung).await;
}

async fn live_through(fault: Line) {
    let database = Database::new().await;
    let proxy = Proxy::before(database.port()).await;
    let options = Options::new(Engine::Postgres).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "2");
    let server = Server::start_through(options, database, proxy.port);
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    server.private_get("/readyz").await.is(200);

    proxy.set(fault);
    let since = Instant::now();
    let reader = tokio::spawn(read_for(Conn::to(&server, &acme).await, session.access.clone()));
    let login = json!({ "email": acme.email, "password": acme.password });
    let refresh = json!({ "refresh_token": session.refresh });
    let made_up = format!("fhr_{}_{}", "0".repeat(32), "A".repeat(56));
    let mut slowest = Duration::ZERO;
    while since.elapsed() < AWAY {
        for (path, body) in [("/v1/auth/login", &login), ("/v1/auth/refresh", &refresh)] {
            let sent = Instant::now();
            is_503(&conn.post(path, None, body).await, "unavailable");
            assert!(sent.elapsed() < TOLD_WITHIN, "{path}: {:?}", sent.elapsed());
            slowest = slowest.max(sent.elapsed());
        }
    }
    // What nobody was ever given is known without the store.
    let sent = Instant::now();
    conn.refresh(&made_up).await.is_problem(401, "unauthenticated");
    assert!(sent.elapsed() < READ_WITHIN, "{:?}", sent.elapsed());
    let away = server.private_get("/readyz").await;
    assert_eq!(away.is(503).json()["reasons"], json!(["the store does not answer"]));
    assert_eq!(Conn::to(&server, &acme).await.get("/readyz", None).await.is(503).body.len(), 0);
    let (reads, slowest_read) = reader.await.unwrap();
    note(&format!("{fault:?}: refused within {slowest:?}; {reads} reads, each within {slowest_read:?}"));
    assert!(slowest_read < READ_WITHIN, "{slowest_read:?}");

    proxy.set(Line::Open);
    let (session, back) = until("it is back", async || {
        let answer = conn.refresh(&session.refresh).await;
        (answer.status != 503).then(|| Session::of(&answer))
    })
    .await;
    let ((), probed) =
        until("it is ready", async || (server.private_get("/readyz").await.status == 200).then_some(())).await;
    note(&format!("{fault:?}: back within {back:?}, ready within {probed:?} more"));
    assert!(back + probed < BACK_WITHIN, "{back:?} {probed:?}");
    assert_eq!(conn.me(&session.access).await, 200);
    nothing_was_charged(&mut conn, &acme).await;
    nothing_broke(&server);
}

/// Reads from memory for as long as the database is away: how often, and the longest time.
async fn read_for(mut conn: Conn, access: String) -> (u32, Duration) {
    let (since, mut reads, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while since.elapsed() < AWAY {
        let sent = Instant::now();
        assert_eq!(conn.me(&access).await, 200);
        slowest = slowest.max(sent.elapsed());
        reads += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (reads, slowest)
}

/// With two failures an account is locked: one more must still be free.
async fn nothing_was_charged(conn: &mut Conn, tenant: &Tenant) {
    conn.login(tenant, "wrong horse").await.is_problem(401, "invalid-credentials");
    conn.sign_in(tenant).await;
}

#[track_caller]
fn nothing_broke(server: &Server) {
    let log = server.log();
    for sign in ["panicked", "\"http.status\":500", "\"status\":500"] {
        assert!(!log.contains(sign), "{sign}: {log}");
    }
}
