//! A stalled tenant: whoever asks it is told so in time, the crowd beyond the gate at once, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Conn, Engine, Options, Server};
use crate::watch::{is_503, metric, until};

/// Requests of one tenant in flight at once.
const GATE: usize = 256;
const CROWD: usize = GATE + 144;
const STALL: Duration = Duration::from_millis(1_500);
/// How long an actor may take to start on a question, and room for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_millis(250 + 1_000);
/// How long it takes to send somebody away, for every second of them.
const SHED_WITHIN: Duration = Duration::from_millis(50);
const GROWTH_KIB_MAX: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_tenant_sheds_load_and_recovers() {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_LIMITS_ADDRESS", "off")).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut other = Conn::to(&server, &globex).await;
    let elsewhere = other.sign_in(&globex).await;
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let mut crowd = vec![];
    for _ in 0..CROWD {
        crowd.push(Conn::to(&server, &acme).await);
    }
    let resident_before = resident_kib(&server);

    let stall = json!({ "fault": "stall", "slug": "acme", "actor": "rate_limits", "stall_ms": STALL.as_millis() });
    server.fault(stall).await;
    let stalled = Instant::now();
    let mut answers = JoinSet::new();
    for mut conn in crowd {
        let bearer = format!("Bearer {access}");
        answers.spawn(async move {
            let since = Instant::now();
            let answer = conn.send(conn.request("GET", "/v1/me", &[("authorization", &bearer)], b"")).await;
            (answer, since.elapsed())
        });
    }
    let mut served_elsewhere = 0;
    while stalled.elapsed() < STALL / 2 {
        assert_eq!(other.me(&elsewhere.access).await, 200);
        served_elsewhere += 1;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let mut took = vec![];
    for (answer, time) in answers.join_all().await {
        is_503(&answer, "overloaded");
        took.push(time);
    }
    took.sort();
    let resident = resident_kib(&server);
    let shed = metric(&server, "freehold_requests_shed_total{reason=\"gate\"}").await;
    let shed_half = took[usize::try_from(shed).unwrap() / 2];
    eprintln!(
        "shed at the gate: {shed} of {CROWD}, half of them within {shed_half:?}; the last answer after {:?}",
        took[CROWD - 1]
    );
    eprintln!(
        "{served_elsewhere} requests served elsewhere; resident: {resident_before} KiB before, {resident} KiB then"
    );
    assert!(shed >= 1);
    assert!(shed_half < SHED_WITHIN, "{shed_half:?}");
    assert!(took[CROWD - 1] < ANSWERED_WITHIN, "{:?}", took[CROWD - 1]);
    assert!(resident <= resident_before + GROWTH_KIB_MAX);

    let (_, late) = until("the tenant recovers", async || (conn.me(&access).await == 200).then_some(())).await;
    eprintln!("recovered {:?} after the stall began, asked for {late:?}", stalled.elapsed());
    assert_eq!(metric(&server, "freehold_actor_restarts_total").await, 0);
    let gate = server.private_get("/debug/tree").await.json()["in_flight"].clone();
    assert_eq!(gate, 0);
}

/// The memory that the server has in use.
fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
