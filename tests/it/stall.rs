//! A stalled tenant: whoever asks it is told so in time, whoever comes to a full gate at once, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Conn, Engine, Options, Server};
use crate::watch::{is_503, metric};

/// Requests of one tenant in flight at once.
const GATE: usize = 256;
/// Whoever is sent away comes again, so that the gate stays full.
const CROWD: usize = GATE + 32;
const STALL: Duration = Duration::from_millis(1_500);
/// How long an actor may take to start on a question: whoever is behind the gate is told no sooner.
const START_WITHIN: Duration = Duration::from_millis(250);
/// The same, with room for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_millis(250 + 1_000);
/// How soon who comes to a full gate is sent away.
const SHED_WITHIN: Duration = Duration::from_millis(50);
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(10);
/// Between two requests of the late comer: the crowd is sent away and comes back in waves of [`START_WITHIN`], and who
/// comes between two of them finds room at the gate.
const APART: Duration = Duration::from_millis(90);
/// More than anybody sends here; with no limit at all the stalled actor would not be asked.
const PLENTY: &str = "1000000/s";

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_tenant_sheds_load_and_recovers() {
    let options = Options::new(Engine::Sqlite).limits_off();
    let server = Server::start(options.env("FREEHOLD_LIMITS_API_MEMBER", PLENTY)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut other = Conn::to(&server, &globex).await;
    let elsewhere = other.sign_in(&globex).await;
    let mut late_comer = Conn::to(&server, &acme).await;
    let access = late_comer.sign_in(&acme).await.access;
    let mut crowd = vec![];
    for _ in 0..CROWD {
        crowd.push(Conn::to(&server, &acme).await);
    }
    let resident_before = resident_kib(&server);

    let stall = json!({ "fault": "stall", "slug": "acme", "actor": "rate_limits", "stall_ms": STALL.as_millis() });
    server.fault(stall).await;
    let stalled = Instant::now();
    let mut clients = JoinSet::new();
    for conn in crowd {
        clients.spawn(ask_until_served(conn, access.clone()));
    }
    let (mut shed, mut served_elsewhere) = (vec![], 0);
    while stalled.elapsed() < STALL * 2 / 3 {
        let sent = Instant::now();
        is_503(&late_comer.get("/v1/me", Some(&access)).await, "overloaded");
        shed.extend(Some(sent.elapsed()).filter(|took| *took < START_WITHIN));
        assert_eq!(other.me(&elsewhere.access).await, 200);
        served_elsewhere += 1;
        tokio::time::sleep(APART).await;
    }
    let resident = resident_kib(&server);
    shed.sort();
    assert!(!shed.is_empty(), "the gate was never full");
    let half = shed[shed.len() / 2];
    // The crowd asks on until it is served: the tenant has recovered by itself.
    let times = clients.join_all().await;
    let slowest = times.iter().max().unwrap();
    let at_gate = metric(&server, "freehold_requests_shed_total{reason=\"gate\"}").await;
    eprintln!(
        "{at_gate} shed at the gate; of {} late comers half within {half:?}, all within {:?}",
        shed.len(),
        shed.last()
    );
    eprintln!(
        "the crowd was answered within {slowest:?} each, and served {:?} after the stall began",
        stalled.elapsed()
    );
    eprintln!("{served_elsewhere} served elsewhere; {resident_before} KiB resident before, {resident} KiB then");
    assert!(at_gate >= 1);
    assert!(half < SHED_WITHIN, "{half:?}");
    assert!(*slowest < ANSWERED_WITHIN, "{slowest:?}");
    assert!(resident <= resident_before + GROWTH_KIB_MAX);
    assert_eq!(late_comer.me(&access).await, 200);
    assert_eq!(metric(&server, "freehold_actor_restarts_total").await, 0);
    assert_eq!(metric(&server, "freehold_requests_in_flight").await, 0);
}

/// Asks over and over until it is served: the longest time that an answer took.
async fn ask_until_served(mut conn: Conn, access: String) -> Duration {
    let mut slowest = Duration::ZERO;
    loop {
        let sent = Instant::now();
        let answer = conn.get("/v1/me", Some(&access)).await;
        slowest = slowest.max(sent.elapsed());
        if answer.status == 200 {
            return slowest;
        }
        is_503(&answer, "overloaded");
        tokio::time::sleep(PACE).await;
    }
}

/// The memory that the server has in use.
fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
